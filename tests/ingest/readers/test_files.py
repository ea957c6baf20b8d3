from __future__ import annotations

import hashlib

import pytest

from mfspark.errors import ExitStatus, InputError
from mfspark.ingest.readers.files import display_names, find_files, fingerprint, open_input, size_of


def test_globs_are_sorted_and_patterns_keep_their_order(tmp_path):
    for name in ("b.csv", "a.csv", "old.csv"):
        (tmp_path / name).write_text("x")
    found = find_files([str(tmp_path / "old.csv"), str(tmp_path / "*.csv")])
    assert found == [str(tmp_path / name) for name in ("old.csv", "a.csv", "b.csv")]


def test_folder_stands_for_its_data_files(tmp_path):
    for name in ("part-1.csv", "part-0.csv", "_SUCCESS", ".part-0.csv.crc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner").mkdir()
    expected = [str(tmp_path / name) for name in ("part-0.csv", "part-1.csv")]
    assert find_files([str(tmp_path)]) == expected
    assert find_files([f"file://{tmp_path}"]) == [f"file://{path}" for path in expected]


def test_folder_stands_for_its_subfolders_too(tmp_path):
    """As Spark and Hive write partitions, and people keep their months."""
    for name in ("a.csv", "2023/01.csv", "2023/02.csv", "_temporary/0/x.csv", ".git/y.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    expected = [str(tmp_path / name) for name in ("2023/01.csv", "2023/02.csv", "a.csv")]
    assert find_files([str(tmp_path)]) == expected
    assert find_files([f"{tmp_path}/"]) == expected
    assert find_files([str(tmp_path / "20*")]) == expected[:2]
    assert find_files([f"file://{tmp_path}"]) == [f"file://{path}" for path in expected]


def test_name_with_brackets_is_a_name_first(tmp_path):
    path = tmp_path / "ratings[1].csv"
    path.write_text("x")
    assert find_files([str(path)]) == [str(path)]


def test_url_globs_and_reading(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "b.txt").write_text("x")
    [url] = find_files([f"file://{tmp_path}/*.csv"])
    assert url == f"file://{tmp_path}/a.csv"
    with open_input(url) as stream:
        assert stream.readline() == b"1,2,3\n"
    assert size_of(url) == 12
    assert find_files([url]) == [url]


@pytest.mark.parametrize("pattern", ["none.csv", "*.none", "empty"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_pattern_that_finds_nothing_is_named(tmp_path, pattern, scheme):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=pattern.replace("*", r"\*")) as raised:
        find_files([f"{scheme}{tmp_path / pattern}"])
    assert raised.value.status == ExitStatus.INPUT_UNUSABLE


def test_unknown_scheme_is_refused():
    with pytest.raises(InputError, match="not a path or URL"):
        find_files(["nonsense://bucket/x.csv"])


def test_fingerprint_is_name_size_and_digest(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"abc" * 700_000)
    digest = hashlib.sha256(b"abc" * 700_000).hexdigest()
    assert fingerprint([str(path)]) == [{"name": "a.csv", "bytes": 2_100_000, "sha256": digest}]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/data/x/a.csv"], ["a.csv"]),
        (["/data/x/a.csv", "/data/y/a.csv"], ["x/a.csv", "y/a.csv"]),
        (["/data/x/a.csv", "/data/x/b.csv"], ["a.csv", "b.csv"]),
    ],
)
def test_display_names_tell_files_apart(files, names):
    assert display_names(files) == names
