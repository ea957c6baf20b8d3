"""path, show, neighbors, predict, runs: what they print and how they end."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from mfspark.tables.run import PublishedRun
from tests.cli.conftest import Command
from tests.support import made_run as made
from tests.support.places import table_dir


def lines(text: str) -> list[list[str]]:
    """The words of each line that has any."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_path_prints_the_directory_and_nothing_else(mfspark: Command, made_warehouse: Path) -> None:
    result = mfspark("path", "ratings", "--warehouse", made_warehouse)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{table_dir(PublishedRun(made_warehouse), 'ratings')}\n"
    rows = duckdb.sql(f"from '{result.stdout.strip()}/*.parquet'").fetchall()
    assert len(rows) == len(made.RATINGS)


def test_path_of_another_run(mfspark: Command, tmp_path: Path) -> None:
    first = made.publish_run(tmp_path)
    made.publish_run(tmp_path, mark=1)
    result = mfspark("path", "top_n", "-w", tmp_path, "--run-id", first)
    assert result.stdout.strip().endswith(f"runs/{first}/top_n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("path", "nix"), "no table is named 'nix'"),
        (("path", "completed"), "has no table 'completed'"),
        (("path", "top_n", "--run-id", "2026-01-01-00000000"), "no run 2026-01-01-00000000"),
        (("show", "77"), "no user '77'\n  near: "),
        (("show", "1", "--model", "svd"), "no list of model 'svd'"),
        (("neighbors", "x"), "no user 'x'"),
        (("predict", "1", "Twice"), "name one by id: i2, i3"),
        (("predict", "1", "i1", "--model", "popularity"), "predicts no ratings"),
        (("show", "1", "--config", "nowhere.toml", "-w", ""), "cannot read the configuration"),
    ],
)
def test_what_cannot_be_answered_ends_with_2_and_says_why(
    mfspark: Command, made_warehouse: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = mfspark(arguments[0], "-w", made_warehouse, *arguments[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("mfspark: ")
    assert message in result.stderr


def test_the_warehouse_comes_from_the_option_the_environment_or_the_configuration(
    mfspark: Command, made_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"{table_dir(PublishedRun(made_warehouse), 'users')}\n"
    config = tmp_path / "nightly.toml"
    config.write_text(f'warehouse = "{made_warehouse}"\n')
    assert mfspark("path", "users", "--config", config).stdout == expected
    monkeypatch.setenv("MFSPARK_WAREHOUSE", str(made_warehouse))
    assert mfspark("path", "users").stdout == expected
    monkeypatch.setenv("MFSPARK_WAREHOUSE", str(tmp_path))
    assert mfspark("path", "users", "-w", made_warehouse).stdout == expected
    monkeypatch.delenv("MFSPARK_WAREHOUSE")
    monkeypatch.chdir(tmp_path)
    result = mfspark("path", "users")
    assert result.exit_code == 2
    assert f"there is no warehouse at {tmp_path / 'warehouse'}" in result.stderr


def test_show_prints_the_list_and_the_own_best_ratings(
    mfspark: Command, made_warehouse: Path
) -> None:
    result = mfspark("show", "1", "-n", "2", "--model", "user_knn", "-w", made_warehouse)
    assert result.exit_code == 0
    found = lines(result.stdout)
    assert found[0] == ["For", "1,", "by", "user_knn"]
    assert ["2", "Twice", "[i3]", "3.00", "user_knn", "3,", "2"] in found
    assert ["First", "(1999)", "[i1]", "5"] in found
    assert ["Rated", "best", "(2", "ratings,", "4.00", "on", "average)"] in found
    assert not [line for line in found if "i5" in line]


def test_show_prints_the_list_that_is_served_and_why(mfspark: Command, tmp_path: Path) -> None:
    made.publish_run(tmp_path, served="als", serving={"n": 2})
    shown = mfspark("show", "1", "-n", "3", "-w", tmp_path).stdout
    assert lines(shown)[0] == ["For", "1,", "by", "als"]
    assert "2 rows a user were published (serving.n)" in shown
    assert shown.endswith("als is served: it was made so\n")
    other = mfspark("show", "1", "-n", "3", "-w", tmp_path, "--model", "user_knn").stdout
    assert lines(other)[0] == ["For", "1,", "by", "user_knn"]
    assert "served" not in other


def test_show_reads_a_run_of_an_older_version(mfspark: Command, tmp_path: Path) -> None:
    made.publish_run(tmp_path, served=None)
    shown = mfspark("show", "1", "-w", tmp_path).stdout
    assert lines(shown)[0] == ["For", "1,", "by", "user_knn"]
    assert "served" not in shown
    missing = mfspark("path", "serving", "-w", tmp_path)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "has no table 'serving'\n  tables there: " in missing.stderr


def test_titles_are_never_taken_for_markup_or_control_codes(
    mfspark: Command, made_warehouse: Path
) -> None:
    for arguments in (("show", "1"), ("neighbors", "3"), ("predict", "1", "i4")):
        result = mfspark(*arguments, "-w", made_warehouse)
        assert "[bold]Odd[/bold] \ufffd[31mred [i4]" in result.stdout
        assert "\x1b" not in result.stdout


def test_show_says_why_a_list_is_short(mfspark: Command, made_warehouse: Path) -> None:
    more = mfspark("show", "1", "-n", "50", "-w", made_warehouse).stdout
    assert "4 rows a user were published (publish.n)" in more
    fewer = mfspark("show", "1", "-n", "4", "-w", made_warehouse).stdout
    assert "there are no further unseen items" in fewer


def test_show_does_not_say_that_denied_items_are_not_there(
    mfspark: Command, tmp_path: Path
) -> None:
    unknown = {"allow_items": [], "deny_items": []}
    limits = {"eligible": {"n_eligible": 4, "unknown_ids": unknown}}
    made.publish_run(tmp_path, facts=limits)
    fewer = mfspark("show", "1", "-n", "4", "-w", tmp_path).stdout
    assert "there are no further unseen items that lists may hold" in fewer


def test_neighbors_stand_side_by_side(mfspark: Command, made_warehouse: Path) -> None:
    found = lines(mfspark("neighbors", "1", "-w", made_warehouse).stdout)
    assert ["1", "2", "0.7500", "1"] in found
    assert ["2", "3", "0.5000", "1"] in found
    assert ["item", "1", "2", "3"] in found
    assert ["First", "(1999)", "[i1]", "5", "4", "-"] in found


def test_a_user_without_neighbors_is_told_so(mfspark: Command, made_warehouse: Path) -> None:
    result = mfspark("neighbors", "4", "-w", made_warehouse)
    assert result.exit_code == 0
    assert "4 has no neighbors" in result.stdout


def test_predict_puts_every_model_beside_the_known_rating(
    mfspark: Command, made_warehouse: Path
) -> None:
    found = lines(mfspark("predict", "1", "First (1999)", "-w", made_warehouse).stdout)
    assert found[0] == ["1,", "First", "(1999)", "[i1]:", "rated", "5"]
    basis = ["1", "of", "2", "neighbors", "rated", "it:", "2", "4"]
    assert ["user_knn", "4.00", "5", "user_knn", *basis] in found
    assert found[-2][:4] == ["als", "4.62", "5", "als"]
    assert found[-1][:4] == ["baseline", "4.12", "5", "baseline"]


def test_predict_answers_for_unknown_users_and_items(
    mfspark: Command, made_warehouse: Path
) -> None:
    result = mfspark("predict", "77", "nothing", "-w", made_warehouse)
    assert result.exit_code == 0
    assert "note: user '77' is unknown" in result.stdout
    assert "note: item 'nothing' is unknown" in result.stdout
    assert lines(result.stdout)[-1] == ["baseline", "3.38", "-", "baseline", "3.38", "mean"]
    title = "77 (unknown user), nothing (unknown item): not rated; averages, not a prediction"
    assert title in result.stdout
    known = mfspark("predict", "1", "i1", "-w", made_warehouse, "--strict")
    assert (known.exit_code, "unknown" in known.stdout) == (0, False)


@pytest.mark.parametrize(
    ("user", "item", "names"),
    [("77", "i1", ["user '77'"]), ("1", "x", ["item 'x'"]), ("77", "x", ["user '77'", "item 'x'"])],
)
def test_predict_strictly_ends_with_3_for_unknown_ones(
    mfspark: Command, made_warehouse: Path, user: str, item: str, names: list[str]
) -> None:
    result = mfspark("predict", user, item, "--strict", "-w", made_warehouse)
    assert (result.exit_code, result.stdout) == (3, "")
    assert all(f"{name} is unknown (near: " in result.stderr for name in names)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("show", "-5", "-n", "3"), "show -n 3 -- -5"),
        (("neighbors", "-5"), "neighbors -- -5"),
        (("predict", "1", "-7 b"), "predict 1 -- '-7 b'"),
        (("predict", "--strict", "-5", "-7"), "predict --strict -- -5 -7"),
        (("fold-in", "-5=3", "7=1"), "fold-in 7=1 -- -5=3"),
        (("show", "-5", "--", "x"), "show -- -5 x"),
    ],
)
def test_ids_that_look_like_options_are_told_how_they_are_given(
    mfspark: Command, arguments: tuple[str, ...], line: str
) -> None:
    result = mfspark(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert " is taken for an option\n  ids that do stand after --: " in result.stderr
    assert result.stderr.endswith(f" {line}\n")


def test_negative_ids_stand_after_two_dashes(mfspark: Command, made_warehouse: Path) -> None:
    result = mfspark("show", "-w", made_warehouse, "--", "-5")
    assert result.exit_code == 2
    assert "has no user '-5'\n  near: " in result.stderr
    assert "Invalid value for '-n'" in mfspark("show", "1", "-n", "-5").stderr


@pytest.mark.parametrize("command", ["show", "neighbors"])
def test_an_empty_id_is_told(mfspark: Command, made_warehouse: Path, command: str) -> None:
    result = mfspark(command, "", "-w", made_warehouse)
    assert result.exit_code == 2
    assert "no user is named: the id is empty" in result.stderr


def test_an_empty_warehouse_is_never_the_default(mfspark: Command) -> None:
    result = mfspark("show", "1", "-w", "")
    assert result.exit_code == 2
    assert "the warehouse is an empty path" in result.stderr


def test_predict_by_one_model(mfspark: Command, made_warehouse: Path) -> None:
    found = lines(mfspark("predict", "1", "i3", "-m", "als", "-w", made_warehouse).stdout)
    assert [line[0] for line in found[3:]] == ["als"]


def test_runs_mark_the_current_one(mfspark: Command, tmp_path: Path) -> None:
    first = made.publish_run(tmp_path, served=None)
    second = made.publish_run(tmp_path, mark=1)
    result = mfspark("runs", "-w", tmp_path)
    found = lines(result.stdout)
    assert found[-2][0] == second
    assert found[-2][-6:] == ["8", "2", "0.8750", "als", "user_knn", "CURRENT"]
    assert found[-1][0] == first
    assert "CURRENT" not in found[-1]
    assert found[-1][-1] == "-", "an older version chose no champion"


def test_piped_tables_are_not_folded_to_eighty_columns(
    mfspark: Command, made_warehouse: Path
) -> None:
    result = mfspark("predict", "1", "First (1999)", "-w", made_warehouse)
    (line,) = [line for line in result.stdout.splitlines() if line.split()[:1] == ["als"]]
    assert "3.38 mean +0.50 user +0.25 item +0.50 taste" in line


def test_fold_in_says_what_is_odd(mfspark: Command, tmp_path: Path) -> None:
    root = made.publish_ials(tmp_path)
    result = mfspark("fold-in", "First (1999)=0", "Frst=9", "-w", root)
    assert result.exit_code == 0
    notes = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    assert "off the night's scale, 1 to 5: First (1999)=0, Frst=9" in notes[0]
    assert "this is the list of popularity" in notes[1]
    assert "by popularity of run" in result.stdout
    assert "there are no further items to list" in result.stdout
    assert "unknown items, left out: Frst (near: " in result.stdout
    twice = mfspark("fold-in", "i1=5", "i1=3", "-w", root)
    assert (twice.exit_code, twice.stdout) == (2, "")
    assert "item i1 is rated twice: i1=5 and i1=3" in twice.stderr
    for text in ("i1=4_5", " =4", "i1=inf"):
        assert f"'{text}' is not ITEM=RATING" in mfspark("fold-in", text, "-w", root).stderr
