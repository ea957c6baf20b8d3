from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import Config
from mfspark.errors import ExitStatus, InputError, MfsparkError
from mfspark.ingest import intake as intake_module
from mfspark.ingest import parts
from mfspark.ingest.base_run import BaseRatings, BaseRun
from mfspark.ingest.facts import RatingFacts
from mfspark.ingest.intake import Intake
from mfspark.ingest.report import SideCounts
from mfspark.schemas import SORTED_BY, IdTypes, check_schema, table_schema
from mfspark.storage.posix import PosixStorage
from mfspark.system.spark import Session
from mfspark.system.task_errors import task_errors
from mfspark.tables.night import Night
from mfspark.tables.table_files import TableFiles
from mfspark.tables.task_files import write_rows
from mfspark.tables.warehouse import Warehouse

DATA = Path(__file__).parents[2] / "mfspark" / "samples" / "data"
RATINGS = """user,item,rating,timestamp
1,10,4,1000000000
1,20,3,1000000000
2,10,5,1000000000
2,10,1,999999999
2,10,2,
1,20,2,1000000000
3,30,bad,1000000000
3,10,4,1000172800
4,9,4.5,1000000000
"""


@pytest.fixture
def way(request, monkeypatch):
    """Small inputs are read by this process; limits below any size force what large ones take."""
    if getattr(request, "param", "here") == "by tasks":
        monkeypatch.setattr(intake_module, "_FEW_BYTES", -1)
        monkeypatch.setattr(intake_module, "_RANGE", 3)
        monkeypatch.setattr(intake_module, "_ITEM_RANGE", 2)
        monkeypatch.setattr(intake_module, "FEW_IDS", -1)
        monkeypatch.setattr(parts, "ROWS_A_PART", 2)


EITHER_WAY = pytest.mark.parametrize("way", ["here", "by tasks"], indirect=True)


@pytest.fixture
def night(spark, tmp_path, way):  # noqa: ARG001
    """Return a function that ingests and gives the report and the rows of the tables written."""
    numbers = itertools.count()

    def run(
        ratings,
        items=(),
        base=None,
        until=None,
        tables=None,
        ids="auto",
        users=(),
        merge_on="id",
        n_test_files=0,
        **options,
    ):
        tables = {} if tables is None else tables
        options = {"max_rejected_share": 0.5, "max_superseded_share": 0.5, **options}
        values = {"ingest": options, "ids": {"type": ids}, "items": {"merge_on": merge_on}}
        config = Config.model_validate(values)

        paths = [[str(path) for path in paths] for paths in (ratings, users, items)]
        place = tmp_path / f"warehouse-{next(numbers)}"
        new = Night.begin(Warehouse(place), config, until or date(2100, 1, 1), [])
        intake = Intake(Session(lambda: spark), new, *paths, n_test_files, base, until)
        try:
            with task_errors():
                report = intake.run()
        finally:
            written = {name: new.files(name).dataset().to_table() for name in new.table_names()}
            tables.update(written)
        for table, content in tables.items():
            check_schema(content.schema, table, report.ids)
            order = [(name, "ascending") for name in SORTED_BY[table]]
            assert content.equals(content.sort_by(order)), f"{table} is not in order"
        return report, {name: table.to_pylist() for name, table in tables.items()}

    return run


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    path = tmp_path_factory.mktemp("items") / "movies.csv"
    path.write_text("movieId,title,genres\n10,Toy,A|B\n9,Heat,\n77,Unseen,C\n10,Again,D\n")
    return path


def by(rows, column):
    return {row[column]: row for row in rows}


def test_survey_statistics_are_those_of_pandas(night, golden):
    report, tables = night([DATA / "survey.xlsx"])
    truth = golden("survey")
    assert (report.n_rows, report.n_accepted, report.n_rejected) == (376, 376, 0)
    assert (report.n_users, report.n_items) == (truth["n_users"], truth["n_items"]) == (45, 10)
    assert (report.rating_scale, report.rating_step) == ((1.0, 5.0), 1.0)
    assert report.ids == IdTypes("string", "string")
    names = {"count": "n_ratings", "25%": "q25", "50%": "median", "75%": "q75"}
    items = by(tables["items"], "item_id")
    assert set(items) == set(truth["item_stats"])
    for title, statistics in truth["item_stats"].items():
        for name, value in statistics.items():
            assert items[title][names.get(name, name)] == pytest.approx(value, abs=1e-12), (
                title,
                name,
            )
    users = by(tables["users"], "user_id")
    assert sorted(users)[0] == "Respondent 01"
    assert [users[name]["user_idx"] for name in sorted(users)] == list(range(45))
    assert users["Respondent 01"]["first_rated_at"] == datetime(
        2023, 4, 11, 10, 58, 44, 990000, UTC
    )
    assert tables["rejected_ratings"] == []


@EITHER_WAY
def test_a_night_with_everything(night, file, catalogue):
    report, tables = night([file("r.csv", RATINGS)], [catalogue], until=date(2001, 9, 9))
    assert (report.n_rows, report.n_accepted, report.n_rejected, report.n_later) == (9, 4, 4, 1)
    assert report.rejected_by_reason == {"rating_not_a_number": 1, "superseded_duplicate": 3}
    assert (report.rating_scale, report.rating_step) == ((1.0, 5.0), 0.5)
    assert report.described_items == SideCounts(n=3, n_unrated=1, n_duplicates=1)
    assert report.described_users == SideCounts()
    kept = {(r["user_id"], r["item_id"]): r for r in tables["ratings"]}
    assert {pair: r["rating"] for pair, r in kept.items()} == {
        (1, 10): 4.0,
        (1, 20): 2.0,  # equally new: the later line
        (2, 10): 5.0,  # newer than the line after it, and than the one without a time
        (4, 9): 4.5,
    }
    assert {
        (r["source_file"], r["line"], r["raw"], r["reason"]) for r in tables["rejected_ratings"]
    } == {
        ("r.csv", 3, "1,20,3.0,2001-09-09 01:46:40", "superseded_duplicate"),
        ("r.csv", 5, "2,10,1.0,2001-09-09 01:46:39", "superseded_duplicate"),
        ("r.csv", 6, "2,10,2.0", "superseded_duplicate"),
        ("r.csv", 8, "3,30,bad,1000000000", "rating_not_a_number"),
    }
    items = by(tables["items"], "item_id")
    assert {i: r["item_idx"] for i, r in items.items()} == {9: 0, 10: 1, 20: 2, 77: 3}  # by value
    assert kept[(1, 20)]["item_idx"] == 2
    assert (items[10]["title"], items[10]["genres"], items[10]["n_ratings"]) == (
        "Toy",
        ["A", "B"],
        2,
    )
    assert (items[20]["title"], items[20]["genres"]) == (None, None)
    unseen = {**dict.fromkeys(items[77]), "item_id": 77, "item_idx": 3, "n_ratings": 0}
    assert items[77] == {**unseen, "title": "Unseen", "genres": ["C"]}
    users = by(tables["users"], "user_id")
    assert {u: r["user_idx"] for u, r in users.items()} == {1: 0, 2: 1, 4: 2}
    assert (users[1]["mean"], users[1]["std"], users[1]["q25"]) == (3.0, pytest.approx(2**0.5), 2.5)
    assert (users[4]["n_ratings"], users[4]["std"]) == (1, None)


@pytest.fixture
def before(tmp_path):
    """Return a function that writes what a base run has: some columns of a table."""
    storage = PosixStorage(str(tmp_path))

    def write(table, ids, **columns):
        schema = table_schema(table, ids)
        rows = pa.table({name: pa.array(c, schema.field(name).type) for name, c in columns.items()})
        file = write_rows(rows, storage, f"base/{table}")
        return TableFiles(storage, (f"base/{table}/{file.name}",))

    return write


@EITHER_WAY
def test_next_night_keeps_indices_and_people(night, file, before):
    ids = IdTypes("integer", "integer")
    known = before("users", ids, user_id=[2, 5], user_idx=[1, 0], n_ratings=[1, 1])
    base = BaseRun(known, before("items", ids, item_id=[10], item_idx=[0], n_ratings=[2]), ids)
    report, tables = night([file("r.csv", RATINGS)], base=base)
    users, items = by(tables["users"], "user_id"), by(tables["items"], "item_id")
    assert {u: r["user_idx"] for u, r in users.items()} == {5: 0, 2: 1, 1: 2, 3: 3, 4: 4}
    assert {i: r["item_idx"] for i, r in items.items()} == {10: 0, 9: 1, 20: 2}
    assert (users[5]["n_ratings"], users[5]["mean"]) == (0, None)
    assert (report.n_users, report.n_items, report.n_later) == (5, 3, 0)


def test_too_many_rejected_stops_after_writing_them(night, file):
    tables = {}
    lines = "user,item,rating\n1,2,3\n" + "1,3,x\n" * 3 + ",4,5\n"
    with pytest.raises(InputError) as raised:
        night([file("r.csv", lines)], tables=tables)
    assert raised.value.status == ExitStatus.INPUT_UNUSABLE
    assert raised.value.message.splitlines() == [
        "4 of 5 rows (80.0%) were rejected:",
        "  3 rating_not_a_number, such as r.csv:3: 1,3,x",
        "  1 missing_user, such as r.csv:6: ,4,5",
    ]
    assert "ingest.max_rejected_share = 0.5" in raised.value.hint
    assert raised.value.hint.startswith("ratings are decimal numbers; --set ingest.columns.rating=")
    assert list(tables) == ["rejected_ratings"]
    assert tables["rejected_ratings"].num_rows == 4


@pytest.mark.parametrize(
    ("row", "option"),
    [("1,2,3,13/02/2023", "ingest.columns.timestamp=-"), ("1,2", "ingest.delimiter=CHARACTER")],
)
def test_refusal_names_the_option_that_decides(night, file, row, option):
    lines = "user,item,rating,date\n" + f"{row}\n" * 9 + "1,2,3,2023-02-13\n"
    with pytest.raises(InputError) as raised:
        night([file("r.csv", lines)])
    assert f"--set {option}" in raised.value.hint


def test_ids_that_look_alike_are_named(night, file):
    lines = "user,item,rating\n" + "".join(f"{n},{n % 3},4\n" for n in range(30)) + "007,1,4\n"
    report, _ = night([file("r.csv", lines)])
    assert (report.ids.user, report.ids.item) == ("string", "integer")
    assert [note.partition(",")[0] for note in report.notes] == [
        "user ids are text",
        "1 group of user ids differ in case",
    ]


def test_duplicates_do_not_count_as_rejected(night, file):
    lines = "user,item,rating\n" + "".join(f"a,b,{n % 5}\n" for n in range(9))
    report, tables = night([file("r.csv", lines)], max_rejected_share=0.0, max_superseded_share=0.9)
    assert (report.n_accepted, report.rejected_by_reason) == (1, {"superseded_duplicate": 8})
    assert tables["ratings"][0]["rating"] == 3.0


@EITHER_WAY
def test_too_many_superseded_stops_after_writing_them(night, file):
    """Of five rows three are a pair again: the columns are probably wrong."""
    lines = "user,item,rating\na,x,1\na,x,2\na,x,3\nb,x,4\na,x,5\n"
    tables = {}
    with pytest.raises(InputError, match=r"3 of 5 accepted rows .60.0%. are superseded") as raised:
        night([file("r.csv", lines)], tables=tables)
    assert raised.value.status == ExitStatus.INPUT_UNUSABLE
    assert "such as r.csv:2: a,x,1.0" in raised.value.message
    assert "ingest.max_superseded_share" in raised.value.hint
    assert {t: content.num_rows for t, content in tables.items()} == {"rejected_ratings": 3}
    report, _ = night([file("r.csv", lines)], max_superseded_share=0.6)
    assert report.n_accepted == 2


@EITHER_WAY
def test_only_the_files_themselves_count_as_superseding(night, file, before):
    """Ratings of the base run, and test ratings that stand among the others, are no repeats."""
    ids, names = IdTypes("string", "string"), {"user_id": ["a"], "item_id": ["x"]}
    numbers, made = {"user_idx": [0], "item_idx": [0]}, [datetime(2030, 1, 1, tzinfo=UTC)]
    old = before("ratings", ids, **names, rating=[5.0], rated_at=made, **numbers)
    users = before("users", ids, user_id=["a"], user_idx=[0], n_ratings=[1])
    items = before("items", ids, item_id=["x"], item_idx=[0], n_ratings=[1])
    base = BaseRun(users, items, ids, BaseRatings(old, 1, (1.0, 5.0), 1.0))
    rows = file("r.csv", "user,item,rating,timestamp\na,x,1,1000000000\nb,y,2,1000000000\n")
    report, _ = night([rows], base=base, max_superseded_share=0.0)
    assert report.rejected_by_reason == {"superseded_duplicate": 1}
    report, _ = night([rows, rows], max_superseded_share=0.0, n_test_files=1)
    assert report.rejected_by_reason == {"superseded_duplicate": 2}
    with pytest.raises(InputError, match="2 of 4 accepted rows"):
        night([rows, rows], max_superseded_share=0.4)


def test_nothing_to_accept(night, file):
    with pytest.raises(InputError, match=r"no ratings in r\.csv"):
        night([file("r.csv", "userId,movieId,rating\n")])
    with pytest.raises(InputError, match="all 1 ratings are later than 2001-01-01"):
        night([file("r.csv", "1,2,3,1000000000\n")], until=date(2001, 1, 1))


def test_items_file_that_matches_nothing_is_refused(night, file):
    items = file("movies.csv", "movieId,title\n0010,Toy\n0020,Heat\n")
    with pytest.raises(InputError, match=r"none of the 2 items in movies\.csv.*\n.*leading zeros"):
        night([file("r.csv", "1,10,3\n1,20,4\n")], [items])


def test_split_text_and_errors_inside_tasks(night, file, monkeypatch):
    """A large file is looked through by a job; what breaks there or later still speaks plainly."""
    monkeypatch.setattr("mfspark.ingest.readers.ratings._EXAMINE_HERE", 0)
    good = file(
        "a.csv", "".join(f"{u},{i},{(u * i) % 5 + 1}\n" for u in range(40) for i in range(40))
    )
    report, _ = night([good])
    assert (report.n_accepted, report.n_users) == (1600, 40)
    broken = file("b.csv.gz", good.read_bytes() * 3)
    broken.write_bytes(broken.read_bytes()[:-10])
    monkeypatch.setattr("mfspark.ingest.readers.detect.HEAD", 100)
    with pytest.raises(InputError, match=r"b\.csv\.gz is a broken gzip file") as raised:
        night([broken])
    assert raised.value.hint == "it may be cut off; copy it again"


def test_users_bring_their_attributes(night, file):
    users = file(
        "u.csv", "userId,age,city\n2,30,\n1,,Oslo\n7,8,Rome\nx,9,Bern\n2,31,Kiel\n,1,Ulm\n"
    )
    report, tables = night([file("r.csv", RATINGS)], users=[users])
    assert report.described_users == SideCounts(n=3, n_unrated=1, n_duplicates=1, n_skipped=2)
    found = by(tables["users"], "user_id")
    assert {user: row["attributes"] for user, row in found.items()} == {
        1: ["city=Oslo"],
        2: ["age=30"],
        3: None,
        4: None,
    }
    assert {row["title"] for row in tables["items"]} == {None}


def test_user_file_of_other_users_is_refused(night, file):
    users = file("u.csv", "userId,age\n001,30\n002,31\n")
    with pytest.raises(InputError, match=r"none of the 2 users in u\.csv rated anything"):
        night([file("r.csv", RATINGS)], users=[users])


def test_damage_found_while_writing_still_speaks_plainly(night, tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"user": range(999), "item": range(999), "rating": [3.5] * 999}), path)
    data = bytearray(path.read_bytes())
    data[20:400] = b"\xff" * 380
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"r\.parquet is a broken Parquet file") as raised:
        night([path])
    assert raised.value.hint == "it may be cut off or still being written; copy it again"


def test_public_data(night, data_set):
    folder = data_set("ml-latest-small")
    report, tables = night([folder / "ratings.csv"], [folder / "movies.csv"])
    assert (report.n_accepted, report.n_users, report.n_items) == (100_836, 610, 9742)
    assert report.described_items.n_unrated == 9742 - 9724
    assert (report.rating_scale, report.rating_step) == ((0.5, 5.0), 0.5)
    assert report.ids == IdTypes("integer", "integer")
    titles = [row["title"] for row in tables["items"]]
    assert len(titles) - len(set(titles)) == 5  # shared by two movies each, both kept
    folder = data_set("movietweetings-100k")
    report, tables = night([folder / "ratings.dat"], [folder / "movies.dat"])
    assert (report.n_accepted, report.n_users, report.n_items) == (100_000, 16_554, 10_506)
    assert report.ids == IdTypes("integer", "string")
    assert "0104257" in by(tables["items"], "item_id")


@EITHER_WAY
def test_items_of_one_title_are_averaged_into_the_first_listed(night, file):
    """User 1 rated both versions, user 2 the second alone; untitled items are never one."""
    items = file("m.csv", "movieId,title\n30,Emma\n10,Emma\n20,Heat\n40,\n50,\n60,Emma\n")
    ratings = file(
        "r.csv",
        "user,item,rating,timestamp\n1,10,4,1000000000\n1,30,1,1000000100\n1,20,5,1000000000\n"
        "2,10,2,1000000000\n2,40,3,1000000000\n2,50,4,1000000000\n",
    )
    report, tables = night([ratings], [items], merge_on="title")
    found = {(r["user_id"], r["item_id"]): r["rating"] for r in tables["ratings"]}
    assert found == {(1, 30): 2.5, (1, 20): 5, (2, 30): 2, (2, 40): 3, (2, 50): 4}
    times = {(r["user_id"], r["item_id"]): r["rated_at"] for r in tables["ratings"]}
    assert times[1, 30] == datetime(2001, 9, 9, 1, 48, 20, tzinfo=UTC)
    assert (report.n_rows, report.n_accepted, report.n_merged) == (6, 5, 1)
    assert sorted(row["item_id"] for row in tables["items"]) == [20, 30, 40, 50]
    emma = by(tables["items"], "item_id")[30]
    assert (emma["title"], emma["n_ratings"], emma["mean"]) == ("Emma", 2, 2.25)


@EITHER_WAY
def test_ids_with_and_without_point_zero_are_one(night, file):
    jan = file("jan.csv", "user,item,rating\n" + "".join(f"{n},{n % 3},4\n" for n in range(9)))
    feb = file("feb.csv", "user,item,rating\n" + "".join(f"{n}.0,1{n % 3}.0,5\n" for n in range(9)))
    items = file("items.csv", "itemId,title\n" + "".join(f"{n}.0,T{n}\n" for n in (0, 1, 2, 10)))
    report, tables = night([jan, feb], [items])
    assert (report.ids, report.n_users, report.n_items) == (IdTypes("integer", "integer"), 9, 6)
    assert by(tables["items"], "item_id")[10]["title"] == "T10"


def test_newer_day_written_as_digits_wins(night, file):
    new = file("new.csv", "user,item,rating,date\n1,10,5,20230225\n2,10,4,20230226\n")
    old = file("old.csv", "user,item,rating,date\n1,10,1,2019-05-05\n")
    _, tables = night([new, old])
    found = {(row["user_id"], row["item_id"]): row for row in tables["ratings"]}[1, 10]
    assert (found["rating"], found["rated_at"]) == (5.0, datetime(2023, 2, 25, tzinfo=UTC))


def test_ratings_apart_are_noted_and_can_be_left_out(night, file):
    lines = [f"{n},{n % 9},{-1 if n % 4 == 0 else n % 10 + 1}" for n in range(400)]
    path = file("r.csv", "user,item,rating\n" + "\n".join(lines))
    report, _ = night([path])
    assert report.rating_scale == (-1, 10)
    assert report.notes == [
        "rating -1 (100 of 400) stands apart from all others (1 to 10): if it means "
        '"not rated", set ingest.missing_ratings = [-1]'
    ]
    report, tables = night([path], missing_ratings=(-1,), max_rejected_share=0.0)
    assert (report.n_rows, report.n_accepted, report.rating_scale) == (400, 300, (1, 10))
    assert report.rejected_by_reason == {"not_rated": 100}
    assert report.notes == []
    assert len(tables["rejected_ratings"]) == 100


def test_exports_of_several_people_are_one_night(night, file, catalogue):
    header = "Book Id,Title,My Rating,Date Read,Date Added\n"
    ann = file("ann.csv", header + "10,Emma,4,2020/01/02,2019/01/01\n77,It,0,,2019/01/01\n")
    bob = file("bob.csv", header + "10,Emma (again),5,,2019/01/01\n")
    report, tables = night([ann, bob], max_rejected_share=0.0)
    assert report.rejected_by_reason == {"not_rated": 1}
    assert report.notes == []
    assert {(r["user_id"], r["rating"]) for r in tables["ratings"]} == {("ann", 4.0), ("bob", 5.0)}
    assert {row["item_id"]: row["title"] for row in tables["items"]} == {10: "Emma"}
    assert report.described_items == SideCounts(), "these files are of ratings"
    _, tables = night([ann, bob], [catalogue])
    assert by(tables["items"], "item_id")[10]["title"] == "Toy", "what item files say goes before"
    report, _ = night([ann])
    assert report.notes == [
        "all ratings are of one user: they recommend nothing; give those of several people"
    ]


@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ([0, 6, 7, 8, 9, 10], "rating 0 "),
        ([-9.5, -3.25, 0.11, 8.88, 99], "rating 99 "),
        ([0, 0, 1, 2, 3], "rating 0 "),
        ([0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], ""),
        ([0.5, 1, 3.5, 5], ""),
        ([1, 2, 3, 4, 5], ""),
        ([0, 1], ""),
        ([-10, -5.5, 0.25, 9.75], ""),
    ],
)
def test_which_ratings_stand_apart(values, noted):
    ratings = pa.array(values * 60, pa.float64())
    found = RatingFacts.of(ratings).apart()
    assert found.startswith(noted)
    assert bool(found) == bool(noted)
    each = [RatingFacts.of(ratings.slice(n, 7)) for n in range(0, len(ratings), 7)]
    assert sum(each, RatingFacts()) == RatingFacts.of(ratings), "parts tell what all tell"


def test_rows_that_are_lost_between_the_passes_are_missed(night, file, monkeypatch):
    def less(rows, *place):
        return write_rows(rows.slice(1) if "line" in rows.column_names else rows, *place)

    monkeypatch.setattr(parts, "write_rows", less)
    with pytest.raises(MfsparkError, match="has 2 rows, but 3 were written"):
        night([file("r.csv", "1,10,4\n2,20,5\n3,30,1\n")])


def test_stray_quotes_of_a_night_cost_their_own_lines(night, file):
    lines = [f"{n},{n % 9},{n % 5},fine" for n in range(1000)]
    lines[100], lines[500] = '100,1,0,"best film', '"500,5,0,fine'
    movies = [f"{n},Film {n},Drama" for n in range(9)]
    movies[4] = '4,"Film 4,Drama'
    report, tables = night(
        [file("r.csv", "user,item,rating,review\n" + "\n".join(lines))],
        [file("m.csv", "movieId,title,genres\n" + "\n".join(movies))],
        max_rejected_share=0.002,
    )
    assert (report.n_rows, report.n_accepted) == (1000, 998)
    assert report.rejected_by_reason == {"malformed_line": 2}
    assert (report.described_items.n, report.described_items.n_skipped) == (8, 1)
    assert [row["title"] for row in tables["items"]].count(None) == 1


@pytest.mark.parametrize(
    ("feedback", "merge_on", "carried", "way"),
    [
        *(
            (f, m, c, "here")
            for f in ("explicit", "implicit")
            for m in ("id", "title")
            for c in (0, 1)
        ),
        ("explicit", "title", 1, "by tasks"),
        ("implicit", "id", 1, "by tasks"),
    ],
    indirect=["way"],
)
def test_random_ratings_against_a_dictionary(
    night, file, before, monkeypatch, feedback, merge_on, carried
):
    """Many repeats, in several files and ranges, some without a time; each row ends somewhere."""
    monkeypatch.setattr(intake_module, "_RANGE", 150)
    monkeypatch.setattr(parts, "ROWS_A_PART", 100)
    random = Random(f"{feedback} {merge_on} {carried}")
    titles = {item: f"t{item % 5}" if item % 3 else "" for item in range(12)}
    rows, files = [], []
    for number in range(3):
        lines = []
        for line in range(2, 300):
            user, item, rating = (
                random.randrange(20),
                random.randrange(12),
                random.randrange(1, 9) / 2,
            )
            time = random.choice([None, None, 10**9 + random.randrange(4)])
            rows.append((user, item, rating, time, (number, line)))
            lines.append(f"{user},{item},{rating},{'' if time is None else time}")
        files.append(file(f"{number}.csv", "user,item,rating,timestamp\n" + "\n".join(lines)))
    items = file("i.csv", "itemId,title\n" + "".join(f"{i},{t}\n" for i, t in titles.items()))
    base = None
    if carried:
        ids, pairs = IdTypes("integer", "integer"), [(u, i) for u in (3, 30) for i in (2, 40)]
        old = {
            "user_id": [u for u, _ in pairs],
            "item_id": [i for _, i in pairs],
            "rating": [9.0] * 4,
            "rated_at": [datetime.fromtimestamp(10**9 + 2, UTC)] * 4,
            "user_idx": [int(u == 30) for u, _ in pairs],
            "item_idx": [int(i == 40) for _, i in pairs],
        }
        users = before("users", ids, user_id=[3, 30], user_idx=[0, 1], n_ratings=[2, 2])
        known = before("items", ids, item_id=[2, 40], item_idx=[0, 1], n_ratings=[2, 2])
        base = BaseRun(
            users, known, ids, BaseRatings(before("ratings", ids, **old), 4, (9, 9), 1.0)
        )
        rows += [(u, i, 9.0, 10**9 + 2, (-1, -1)) for u, i in pairs]
    report, tables = night(
        files, [items], base=base, merge_on=merge_on, feedback=feedback, max_superseded_share=0.95
    )

    by_pair = {}
    for user, item, rating, time, place in rows:
        by_pair.setdefault((user, item), []).append((time or 0, place, rating))
    kept = {
        pair: (sum(r for *_, r in all_) if feedback == "implicit" else max(all_)[2], max(all_)[0])
        for pair, all_ in by_pair.items()
    }
    first = {}
    for item, title in titles.items():
        first.setdefault(title or item, item)
    merged = {}
    for (user, item), rated in kept.items():
        one = first.get(titles.get(item) or item, item) if merge_on == "title" else item
        merged.setdefault((user, one), []).append(rated)
    truth = {p: (fmean(r for r, _ in all_), max(t for _, t in all_)) for p, all_ in merged.items()}
    found = {
        (r["user_id"], r["item_id"]): (
            r["rating"],
            r["rated_at"].timestamp() if r["rated_at"] else 0,
        )
        for r in tables["ratings"]
    }
    assert found == {pair: pytest.approx(rated) for pair, rated in truth.items()}
    assert report.n_rows == 3 * 298
    lost = {(int(r["source_file"][0]), r["line"]) for r in tables["rejected_ratings"]}
    newest = {max(all_)[1] for all_ in by_pair.values()}
    old = {place for *_, place in rows if place not in newest and place[0] >= 0}
    assert lost == (old if feedback == "explicit" else set())
    for side in ("user", "item"):
        index = {row[f"{side}_id"]: row[f"{side}_idx"] for row in tables[f"{side}s"]}
        assert sorted(index.values()) == list(range(len(index)))
        assert {
            r[f"{side}_id"]: r[f"{side}_idx"] for r in tables["ratings"]
        }.items() <= index.items()
        n = Counter(pair[side == "item"] for pair in truth)
        assert {r[f"{side}_id"]: r["n_ratings"] for r in tables[f"{side}s"] if r["n_ratings"]} == n
