"""`mfspark fold-in` for the users of files: what it says, and the statuses it ends with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Command
from tests.models.test_newcomers import CHOICES_FROM, KNOWN, OPTIONS
from tests.support.fitted_run import item_id, publish_fits


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("fitted")
    publish_fits(folder, KNOWN, ("slim", "als"), OPTIONS, CHOICES_FROM)
    return str(folder)


@pytest.fixture
def new(tmp_path: Path) -> str:
    rows = [f"{u},{item_id(i)},{5 - i % 2}" for u in (1, 2, 4) for i in range(8)]
    rows += [f"6,{item_id(0)},1", "7,Nosuch,5", f"8,{item_id(0)},9"]
    path = tmp_path / "new.csv"
    path.write_text("\n".join(["who,userId,movieId,rating", *(f"x,{row}" for row in rows)]))
    return str(path)


def test_the_users_of_files_are_taken_in_and_accounted_for(
    mfspark: Command, root: str, new: str, tmp_path: Path
) -> None:
    out = tmp_path / "lists.csv"
    words = ("--ratings", new, "--out", str(out), "-n", "3", "-w", root)
    named = ("--set", "ingest.columns.user=userId")
    result = mfspark("fold-in", *words, *named)
    assert (result.exit_code, result.stderr) == (0, "")
    lists = pd.read_csv(out)
    assert lists.user_id.tolist() == [1, 1, 1, 2, 2, 2, 4, 4, 4, 6, 6, 6]
    for said in (
        "new.csv: text split by ','",
        "4 users of 5 have a list by slim of run",
        f"12 rows in {out}",
        "1 list by popularity: slim has nothing to go by",
        "1 user without a list",
        "1 of them the run knows too",
        f"2 rows of 27 left out (1 rating_out_of_range, 1 unknown_item): {tmp_path}/lists.rejected",
    ):
        assert said in result.stdout
    again = mfspark("fold-in", *words, *named)
    assert again.exit_code == 2
    assert f"{out} is there already" in again.stderr
    assert mfspark("fold-in", *words, *named, "--overwrite").exit_code == 0


def test_a_file_that_cannot_be_used_ends_with_3(mfspark: Command, root: str, new: str) -> None:
    Path(new).write_text("userId,movieId,rating\n1,N000,9\n2,N037,8\n")
    out = Path(new).with_name("lists.parquet")
    result = mfspark("fold-in", "--ratings", new, "--out", str(out), "-w", root)
    assert result.exit_code == 3
    assert "2 of 2 rows (100.0%) were rejected" in result.stderr
    assert f"rows that were left out: {out.with_name('lists.rejected.parquet')}" in result.stderr
    assert mfspark("fold-in", "-r", "nowhere.csv", "-o", str(out), "-w", root).exit_code == 3
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ratings", "new.csv"), "--ratings FILE goes with --out FILE"),
        (("--ratings", "new.csv", "--out", "l.csv", "N000=5"), "goes with --out FILE, and with no"),
        (("N000=5", "--out", "l.csv"), "--out goes with --ratings FILE"),
        (("N000=5", "--overwrite"), "--out goes with --ratings FILE"),
        ((), "nothing is rated"),
        (("--ratings", "new.csv", "--out", "l.txt"), "neither .csv nor .parquet"),
        (("--ratings", "new.csv", "--out", "l.csv", "-m", "svd"), "'svd' cannot take in new users"),
    ],
)
def test_what_does_not_go_together_is_refused(
    mfspark: Command, root: str, new: str, words: tuple[str, ...], said: str
) -> None:
    given = [new if word == "new.csv" else word for word in words]
    result = mfspark("fold-in", *given, "-w", root)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
