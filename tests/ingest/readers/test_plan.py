"""Whole reads without a JVM: every format, every kind of broken file, and splits of a few bytes."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import ExitStatus, InputError
from mfspark.ingest.readers.plan import examine_here, plan_read

THREE = [("1", "10", 4.0), ("1", "20", 3.5), ("2", "10", 5.0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.csv",
            "userId,movieId,rating,timestamp\n1,10,4.0,964982703\n1,20,3.5,964982703\n2,10,5.0,964982703\n",
        ),
        ("crlf.csv", "userId,movieId,rating\r\n1,10,4.0\r\n1,20,3.5\r\n2,10,5.0\r\n"),
        ("bom.csv", "\ufeffuserId,movieId,rating\n1,10,4.0\n1,20,3.5\n2,10,5.0"),
        ("none.csv", "1,10,4.0\n1,20,3.5\n2,10,5.0"),
        ("semicolon.csv", "user;item;rating\n1;10;4,0\n1;20;3,5\n2;10;5,0\n"),
        (
            "quoted.csv",
            '"User-ID";"ISBN";"Book-Rating"\n"1";"10";"4"\n"1";"20";"3.5"\n"2";"10";"5"\n',
        ),
        ("r.dat", "1::10::4::964982703\n1::20::3.5::964982703\n2::10::5::964982703\n"),
        ("u.data", "1\t10\t4\t964982703\n1\t20\t3.5\t964982703\n2\t10\t5\t964982703\n"),
        ("pipe.txt", "1|10|4\n1|20|3.5\n2|10|5\n"),
        ("packed.csv.gz", "userId,movieId,rating\n1,10,4.0\n1,20,3.5\n2,10,5.0\n"),
        ("packed.dat.gz", "1::10::4\n1::20::3.5\n2::10::5\n"),
        ("wide.csv", "name,10,20\n1,4,3.5\n2,5,\n"),
        ("no_extension", "1,10,4.0\n1,20,3.5\n2,10,5.0"),
    ],
)
@pytest.mark.parametrize("split_bytes", [7, 1 << 20])
def test_text_formats(read, ratings_of, file, name, content, split_bytes):
    assert ratings_of(read(file(name, content), split_bytes=split_bytes)) == THREE


def test_formats_of_one_run_may_differ(read, ratings_of, file, workbook, tmp_path):
    pq.write_table(pa.table({"user": [5], "item": [6], "rating": [1]}), tmp_path / "p.parquet")
    files = [
        file("a.csv", "userId,movieId,rating\n1,10,4.0\n"),
        file("b.dat", "1::20::3.5\n"),
        workbook([["name", "10", "20"], ["2", 5, None], ["3", None, 2]]),
        tmp_path / "p.parquet",
    ]
    rows = sorted(read(*files), key=lambda row: row["file"])
    assert ratings_of(rows) == [*THREE, ("3", "20", 2.0), ("5", "6", 1.0)]
    assert [row["file"] for row in rows] == [0, 1, 2, 2, 3]


BAD_LINES = "u,i,r\n1,10,4\n1,20,great\n,10,3\n1,,3\n1,30\n\n1,40,nan\n1,50,3,9\n2,10,5\n"
BAD_ROWS = [
    (3, "rating_not_a_number", "1,20,great"),
    (4, "missing_user", ",10,3"),
    (5, "missing_item", "1,,3"),
    (6, "malformed_line", "1,30"),
    (8, "rating_not_a_number", "1,40,nan"),
    (9, "malformed_line", "1,50,3,9"),
]


@pytest.mark.parametrize("split_bytes", [1, 5, 16, 40, 1 << 20])
def test_rejects_have_line_and_text_whatever_the_splits(
    read, ratings_of, rejects_of, file, split_bytes
):
    rows = read(file("r.csv", BAD_LINES), split_bytes=split_bytes)
    assert rejects_of(rows) == BAD_ROWS
    assert ratings_of(rows) == [("1", "10", 4.0), ("2", "10", 5.0)]
    assert [row["line"] for row in rows if not row["reason"]] == [2, 10]


def test_header_outweighs_ragged_lines(read, ratings_of, rejects_of, file):
    rows = read(file("r.csv", "user,item,rating\na;b\nc;d\ne;f,g\n1,2,3\n"))
    assert ratings_of(rows) == [("1", "2", 3.0)]
    assert [reason for _, reason, _ in rejects_of(rows)] == ["malformed_line"] * 3


def test_scale_from_the_options(read, rejects_of, file):
    rows = read(file("r.csv", "user,item,rating\n1,2,3\n1,3,6\n"), rating_scale=(1, 5))
    assert rejects_of(rows) == [(3, "rating_out_of_range", "1,3,6")]


def test_timestamps_and_bad_ones(read, rejects_of, file):
    text = "user,item,rating,timestamp\n1,2,3,964982703\n1,3,4,soon\n1,4,5,\n"
    text += "1,5,1,2000-07-30T18:45:03Z\n"
    rows = read(file("r.csv", text))
    when = datetime(2000, 7, 30, 18, 45, 3, tzinfo=UTC)
    assert [row["rated_at"] for row in rows] == [when, None, None, when]
    assert rejects_of(rows) == [(3, "bad_timestamp", "1,3,4,soon")]


def test_quoted_line_ends(read, ratings_of, rejects_of, file):
    text = 'user,item,rating,review\n1,2,3,"fine,\nreally"\n2,3,x,"no\n"\n3,"The ""Best""",5,\n'
    rows = read(file("r.csv", text), split_bytes=4)
    assert ratings_of(rows) == [("1", "2", 3.0), ("3", 'The "Best"', 5.0)]
    assert rejects_of(rows) == [(4, "rating_not_a_number", "2,3,x,no\n")]


def test_latin_1_is_told_from_utf_8(read, ratings_of, file):
    text = "user,item,rating\nZoë,Amélie,5\n"
    for encoding in ("utf-8", "iso-8859-1"):
        assert ratings_of(read(file("r.csv", text.encode(encoding)))) == [("Zoë", "Amélie", 5.0)]
    late = "user,item,rating\n" + "a,b,3\n" * 60_000 + "Zoë,c,5\n"  # beyond the sample
    rows = read(file("late.csv", late.encode("iso-8859-1")), split_bytes=100_000)
    assert ratings_of(rows)[-1] == ("Zoë", "c", 5.0)
    with pytest.raises(InputError, match="not valid UTF-8"):
        read(file("r.csv", text.encode("iso-8859-1")), encoding="utf-8")


def test_wide_rejects_name_their_cell(read, ratings_of, rejects_of, file):
    text = (
        "name,Sholay,,Dangal,Sholay\nann,4,,x,5\nben,,3,=A1,2\n,1,,,\n,,,,\ncat,1,,2\n"
        + "dan,,,1,\n" * 2
    )
    rows = read(file("w.csv", text), format="wide_csv")
    assert ratings_of(rows) == [
        ("ann", "Sholay", 4.0),
        ("ann", "Sholay", 5.0),
        ("ben", "Sholay", 2.0),
        ("dan", "Dangal", 1.0),
        ("dan", "Dangal", 1.0),
    ]
    assert rejects_of(rows) == [
        (2, "rating_not_a_number", "ann,Dangal,x"),
        (3, "blank_item_header", "ben,,3"),
        (3, "formula_without_value", "ben,Dangal,=A1"),
        (4, "missing_user", ",Sholay,1"),
        (6, "malformed_line", "cat,1,,2"),
    ]


def test_wide_timestamp_dates_all_ratings_of_the_row(read, file):
    text = "Timestamp,name,A,B,C,D\n2023-04-11 10:00,ann,4,,3,\n2023-04-12,ben,,5,,\n"
    rows = read(file("w.csv", text))
    assert [(r["user_id"], r["item_id"], r["rated_at"].day) for r in rows] == [
        ("ann", "A", 11),
        ("ann", "C", 11),
        ("ben", "B", 12),
    ]


def test_empty_part_files_are_passed_over(read, ratings_of, file):
    assert ratings_of(read(file("a.csv", ""), file("b.csv", "1,10,4\n"))) == [("1", "10", 4.0)]


def test_folders_of_text_that_say_something_are_named(file):
    path = file("day=2023-04-11/r.csv", "user,item,rating\n1,2,3\n")
    plan = plan_read([str(path)], IngestOptions(), 1 << 20, examine_here)
    assert plan.read_as[0].endswith(", ignored: what its folders say (day)")


def test_header_only_gives_no_rows(read, file):
    assert read(file("a.csv", "userId,movieId,rating\n")) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv is empty"),
        ("a.csv", b"\n\n  \n", "no rows"),
        ("a.csv", b"just some words\nand more\n", "no rows of several columns"),
        ("a.csv", b"\x7fELF\x00\x00binary", r"binary file .it has NUL bytes"),
        ("a.csv", b"PAR1\x15\x04", "looks like a Parquet file\n  rename it to .parquet"),
        (
            "a.csv",
            gzip.compress(b"1,2,3\n", mtime=0),
            "looks like a gzip file\n  rename it to .csv.gz",
        ),
        (
            "a.csv",
            b"\xd0\xcf\x11\xe0\xa1\xb1",
            "looks like an Excel workbook\n  rename it to .xlsx",
        ),
        ("a.csv", b"PK\x03\x04 cut off", "broken zip archive or Excel workbook"),
        ("a.csv", "1,2,3\n".encode("utf-16"), "UTF-16 text\n  save it again as UTF-8"),
        ("a.parquet", b"PAR1\x15\x04 cut off", "broken Parquet file.*\n.*cut off"),
        ("a.xlsx", b"PK\x03\x04 cut off", "broken zip archive or Excel workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0 cut off", "not a readable Excel workbook"),
    ],
)
def test_unusable_files_are_explained(read, file, name, content, message):
    path = file("x", b"")
    path = path.with_name(name)
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read(path)
    assert raised.value.status == ExitStatus.INPUT_UNUSABLE


def test_zip_named_csv_is_explained(read, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
        archive.writestr("ratings.csv", "1,2,3\n")
    with pytest.raises(InputError, match="looks like a zip archive\n  unpack it first"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("size", [20, 200_000])
def test_cut_off_gzip_is_explained(read, tmp_path, size):
    packed = gzip.compress(b"".join(b"%d,%d,3\n" % (i * 7919, i) for i in range(size)))
    (tmp_path / "a.csv.gz").write_bytes(packed[:-10])
    with pytest.raises(InputError, match=r"a\.csv\.gz is a broken gzip file"):
        read(tmp_path / "a.csv.gz")


def test_configured_format_must_fit(read, file, workbook):
    with pytest.raises(InputError, match=r'is text, but ingest.format is "parquet"'):
        read(file("a.csv", "1,2,3\n"), format="parquet")
    with pytest.raises(InputError, match=r'is an Excel workbook, but ingest.format is "parquet"'):
        read(workbook([["user", "A", "B"], ["u", 1, 2]]), format="parquet")
    with pytest.raises(InputError, match=r"no rows of several columns .delimiters tried: ::"):
        read(file("a.csv", "1,2,3\n"), format="dat")


def test_small_public_data(read, data_set):
    rows = read(data_set("ml-latest-small") / "ratings.csv", split_bytes=300_000)
    assert len(rows) == 100_836
    assert sum(row["rating"] for row in rows) / len(rows) == pytest.approx(3.5016, abs=5e-5)
    assert [row["line"] for row in rows] == list(range(2, 100_838))
    rows = read(data_set("movietweetings-100k") / "ratings.dat", split_bytes=300_000)
    assert (len(rows), rows[2]["item_id"]) == (100_000, "0104257")
    rows = read(data_set("ml-100k") / "u.data")
    assert (len(rows), {row["reason"] for row in rows}) == (100_000, {None})
