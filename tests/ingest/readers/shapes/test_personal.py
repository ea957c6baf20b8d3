"""Exports of what one person rated: each file is a user, called by its name."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import IngestOptions, InputColumns
from mfspark.errors import InputError
from mfspark.ingest.readers.plan import examine_here, plan_read
from mfspark.ingest.readers.shapes.personal import person_of
from mfspark.ingest.side_tables.items import read_items


def _names(line):
    return next(csv.reader([line]))


GOODREADS = _names(
    "Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Average Rating,"
    "Publisher,Binding,Number of Pages,Year Published,Original Publication Year,Date Read,"
    "Date Added,Bookshelves,Bookshelves with positions,Exclusive Shelf,My Review,Spoiler,"
    "Private Notes,Read Count,Owned Copies"
)
IMDB = _names(
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),"
    "Year,Genres,Num Votes,Release Date,Directors"
)
LETTERBOXD = ["Date", "Name", "Year", "Letterboxd URI", "Rating"]


def book(number, rating, read="", added="2019/01/02", review=""):
    """Return the row of a made-up book."""
    isbn = f'="{number:010}"'
    known = ["Ada Author", "Author, Ada", "", isbn, '=""', rating, "3.94", "House", "Paperback"]
    shelf = "read" if rating else "to-read"
    rest = ["320", "2004", "2003", read, added, shelf, f"{shelf} (#3)", shelf, review, "", "", "1"]
    return [number, f"Book {number}, or so", *known, *rest, "0"]


def film(number, rating, rated="2019-03-14"):
    """Return the row of a made-up film, as IMDb has it."""
    url = f"https://www.imdb.com/title/tt{number:07}/"
    rest = ["Movie", "7.1", "112", "1999", "Crime, Drama", "1234", "1999-02-03", "Dee Rector"]
    return [f"tt{number:07}", rating, rated, f"Film {number}", f"Film {number}", url, *rest]


def text_of(header, rows):
    """Return a table as csv modules write it."""
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def as_goodreads_writes(header, rows):
    """Return a table whose ISBNs stand as they do in the export, in quotes behind a sign."""
    out = text_of(header, rows)
    return out.replace('"=""', '="').replace('"""', '"')


def plan(*files, **options):
    return plan_read([str(f) for f in files], IngestOptions(**options), 1 << 20, examine_here)


@pytest.mark.parametrize("written", [text_of, as_goodreads_writes])
def test_goodreads_files_are_users(read, ratings_of, rejects_of, file, written):
    ann = [
        book(7, 5, read="2019/03/14"),
        book(8, 0),
        book(9, 3, review='Long,<br/>and "so so".\nTwo lines.'),
    ]
    bob = [book(9, 1, read="2020/02/29", added="2018/12/31")]
    files = [
        file(f"{who}.csv", written(GOODREADS, rows)) for who, rows in [("ann", ann), ("bob", bob)]
    ]
    found = read(*files)
    assert sorted(ratings_of(found)) == [("ann", "7", 5.0), ("ann", "9", 3.0), ("bob", "9", 1.0)]
    assert [(line, why) for line, why, _ in rejects_of(found)] == [(3, "not_rated")]
    times = {(row["user_id"], row["item_id"]): row["rated_at"] for row in found}
    assert times["ann", "7"] == datetime(2019, 3, 14, tzinfo=UTC), "when it was read"
    assert times["ann", "9"] == datetime(2019, 1, 2, tzinfo=UTC), "else when it was added"
    described = plan(*files).read_as[0]
    assert "of Goodreads, one person's, user = 'ann' (name of the file)" in described
    assert "timestamp = 'Date Read', else 'Date Added', 0 = not rated" in described
    assert "ignored: 'Title', 'Author'" in described
    assert "'Average Rating'" in described.partition("ignored")[2]


def test_excel_and_parquet_hold_such_exports_too(read, ratings_of, workbook, tmp_path):
    rows = [book(7, 5, read="2019/03/14"), book(9, 3)]
    sheet = workbook([GOODREADS, *rows], "ann.xlsx")
    columns = {
        name: list(cells) for name, cells in zip(GOODREADS, zip(*rows, strict=True), strict=True)
    }
    columns["Date Read"] = [datetime(2019, 3, 14), None]
    pq.write_table(pa.table(columns), tmp_path / "bob.parquet")
    found = read(sheet, tmp_path / "bob.parquet")
    expected = [(who, item, r) for who in ("ann", "bob") for item, r in (("7", 5.0), ("9", 3.0))]
    assert sorted(ratings_of(found)) == expected
    times = [row["rated_at"].date().isoformat() for row in found]
    assert times == ["2019-03-14", "2019-01-02"] * 2


def test_imdb_and_letterboxd(read, ratings_of, file):
    imdb = file("ann.csv", text_of(IMDB, [film(7, 10), film(8, 3)]))
    rows = [["2020-05-01", "Heat", 1995, "https://boxd.it/2aaa", 4.5]]
    letterboxd = file("bob.csv", text_of(LETTERBOXD, rows))
    assert ratings_of(read(imdb)) == [("ann", "tt0000007", 10.0), ("ann", "tt0000008", 3.0)]
    assert ratings_of(read(letterboxd)) == [("bob", "https://boxd.it/2aaa", 4.5)]


def test_exports_name_their_items(file):
    files = [
        file("ann.csv", as_goodreads_writes(GOODREADS, [book(7, 5), book(8, 0)])),
        file("bob.csv", text_of(LETTERBOXD, [["2020-05-01", "Heat", 1995, "boxd.it/2a", 4.5]])),
        file("cay.csv", text_of(IMDB, [film(7, 10)])),
    ]
    assert plan(*files).exports == tuple(map(str, files))
    titles = read_items([str(f) for f in files], IngestOptions()).table
    assert dict(zip(*(titles[c].to_pylist() for c in ("item_id", "title")), strict=True)) == {
        "7": "Book 7, or so",
        "8": "Book 8, or so",
        "boxd.it/2a": "Heat",
        "tt0000007": "Film 7",
    }
    by_isbn = InputColumns(item="ISBN")
    assert plan(files[0], columns=by_isbn).exports == (), "titles are those of other ids"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/ratings.csv", "b/ratings.csv"),
        ("ann.csv", "ann.csv.gz"),
        ("7.csv", "07/7.0.csv"),  # ids of whole numbers lose their .0
        ("Zo\u00eb.csv", "Zoe\u0308.csv"),
    ],
)
def test_two_files_of_one_name_are_refused(read, file, one, other):
    files = [file(name, text_of(GOODREADS, [book(7, 5)])) for name in (one, other)]
    with pytest.raises(InputError, match="would both be the ratings of user") as raised:
        read(*files)
    assert "rename" in raised.value.hint


def test_what_is_not_clearly_such_an_export(read, ratings_of, file):
    """Several people's in one file, an entry's address for the film's, names nobody knows."""
    joined = [[f"u{n % 2}", *book(n, 1 + n % 5)] for n in range(1, 9)]
    found = read(file("all.csv", text_of(["user", *GOODREADS], joined)))
    assert {user for user, _, _ in ratings_of(found)} == {"u0", "u1"}
    diary = [*LETTERBOXD, "Rewatch", "Tags", "Watched Date"]
    rows = [["2020-05-01", "Heat", 1995, f"https://boxd.it/{n}", 4, "", "", ""] for n in range(20)]
    with pytest.raises(InputError):
        read(file("diary.csv", text_of(diary, rows)))
    mine = file("ann.csv", text_of(["film", "my rating", "seen"], [["Heat", 4, "x"]] * 20))
    with pytest.raises(InputError) as raised:
        read(mine)
    assert "--set ingest.columns.user=-" in raised.value.hint
    assert set(ratings_of(read(mine, columns=InputColumns(user="-")))) == {("ann", "Heat", 4.0)}


def test_options_go_before_what_is_known(read, ratings_of, file):
    path = file("ann.csv", text_of(GOODREADS, [book(7, 0), book(8, 2)]))
    assert len(ratings_of(read(path, missing_ratings=(-1,)))) == 2
    by_title = read(path, columns=InputColumns(item="Title", timestamp="-"))
    assert ratings_of(by_title) == [("ann", "Book 8, or so", 2.0)]
    assert [row["rated_at"] for row in by_title] == [None, None]
    by_author = read(path, columns=InputColumns(user="Author"))
    assert ratings_of(by_author) == [("Ada Author", "7", 0.0), ("Ada Author", "8", 2.0)]


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/x/ann.csv", "ann"),
        ("s3://b/x/ann.b.csv.gz", "ann.b"),
        ("ann.ZIP", "ann"),
        ("ann", "ann"),
    ],
)
def test_names_of_people(path, who):
    assert person_of(path) == who
