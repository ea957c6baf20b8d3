"""Sheets as people keep them: row numbers, ids, totals and ranks beside the ratings."""

from __future__ import annotations

import random

import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.readers.columns import file_columns
from mfspark.ingest.readers.shapes.totals import may_say_total, says_total

FILMS = ("Heat", "Up", "Big", "Jaws", "Ran", "Alien")
MARKS = ("Maths", "English", "Physics", "Art")
PEOPLE = [
    "Asha",
    "Ravi",
    "Meera",
    "Tom",
    "Ann",
    "Bob",
    "Cleo",
    "Dan",
    "Eve",
    "Finn",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kim",
    "Lea",
    "Max",
    "Ned",
    "Oli",
    "Pam",
    "Qi",
    "Ray",
    "Sue",
    "Tim",
    "Uma",
]


def grid(n=20, films=FILMS, blank=0.2, scale=(1, 5)):
    chance = random.Random(2)
    return [
        ["" if chance.random() < blank else chance.randint(*scale) for _ in films] for _ in range(n)
    ]


def known(row):
    return [cell for cell in row if cell != ""]


def total(row):
    return sum(known(row))


def mean(row, digits=2):
    return round(total(row) / len(known(row)), digits) if known(row) else ""


def by_film(how, rows):
    return [how(column) for column in zip(*rows, strict=True)]


def sheet(header, rows):
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"


def truth(rows, users=PEOPLE, films=FILMS):
    return sorted(
        (str(user), film, float(r))
        for user, row in zip(users, rows, strict=False)
        for film, r in zip(films, row, strict=True)
        if r != ""
    )


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("name", ["No", "#", "Nr.", "", "S.No", "index", "Serial No"])
@pytest.mark.parametrize("first", [0, 1])
def test_row_numbers_are_no_item(read, ratings_of, file, name, n, first):
    rows = grid(n)
    numbered = [(k + first, PEOPLE[k], *row) for k, row in enumerate(rows)]
    found = ratings_of(read(file("s.csv", sheet((name, "Name", *FILMS), numbered))))
    assert sorted(found) == truth(rows)


@pytest.mark.parametrize(("name", "n"), [("No", 5), ("#", 5), ("x", 20), ("lfd", 20)])
def test_row_numbers_may_stand_anywhere(read, ratings_of, file, name, n):
    rows = grid(n)
    right = [(PEOPLE[k], k + 1, *row) for k, row in enumerate(rows)]
    last = [(PEOPLE[k], *row, k + 1) for k, row in enumerate(rows)]
    for header, lines in ((("Name", name, *FILMS), right), (("Name", *FILMS, name), last)):
        assert sorted(ratings_of(read(file("s.csv", sheet(header, lines))))) == truth(rows)


def test_row_numbers_without_a_known_name(read, ratings_of, file):
    for n in (5, 20):
        rows = grid(n)
        lines = [(k + 1, PEOPLE[k], *row) for k, row in enumerate(rows)]
        assert sorted(ratings_of(read(file("s.csv", sheet(("k", "wer", *FILMS), lines))))) == truth(
            rows
        )


def test_ids_beside_row_numbers_are_the_users(read, ratings_of, file):
    rows, ids = grid(), [4711 + 37 * k for k in range(20)]
    for name in ("id", "user_id", "Student ID"):
        lines = [(k + 1, ids[k], *row) for k, row in enumerate(rows)]
        found = ratings_of(read(file("s.csv", sheet(("No", name, *FILMS), lines))))
        assert sorted(found) == truth(rows, ids)


def test_names_that_come_again_are_told_apart_by_ids(read, ratings_of, file):
    rows, ids = grid(), [4711 + 37 * k for k in range(20)]
    twice = [(PEOPLE[k % 10], ids[k], *row) for k, row in enumerate(rows)]
    found = ratings_of(read(file("s.csv", sheet(("Name", "Student ID", *FILMS), twice))))
    assert sorted(found) == truth(rows, ids)


@pytest.mark.parametrize("how", [total, mean, lambda row: mean(row, 1)])
@pytest.mark.parametrize(
    "label", ["Total", "Class average", "Összesen", "Итого", "合計", "", "Zzz"]
)
@pytest.mark.parametrize("above", [False, True])
def test_rows_that_sum_up_are_rejected(read, ratings_of, rejects_of, file, how, label, above):
    rows = grid()
    people = [(PEOPLE[k], *row) for k, row in enumerate(rows)]
    summed = (label, *by_film(how, rows))
    lines = [summed, *people] if above else [*people, summed]
    found = read(file("s.csv", sheet(("Name", *FILMS), lines)))
    assert sorted(ratings_of(found)) == truth(rows)
    where = 2 if above else 22
    assert rejects_of(found) == [(where, "totals_row", ",".join(map(str, summed)))]


def test_means_that_a_person_may_have_given_are_known_by_how_they_are_written(
    read, ratings_of, rejects_of, file
):
    rows = [(k % 5 + 1, (k + 2) % 5 + 1, (2 * k) % 5 + 1) for k in range(20)]  # all means are 3
    people = [(PEOPLE[k], *row) for k, row in enumerate(rows)]
    found = read(
        file("s.csv", sheet(("Name", *FILMS[:3]), [*people, ("Zzz", "3.0", "3.0", "3.0")]))
    )
    assert len(ratings_of(found)) == 60
    assert [(line, reason) for line, reason, _ in rejects_of(found)] == [(22, "totals_row")]
    plain = read(file("s.csv", sheet(("Name", *FILMS[:3]), [*people, ("Zzz", "3", "3", "3")])))
    assert len(ratings_of(plain)) == 63


def test_several_rows_that_sum_up(read, ratings_of, rejects_of, file):
    rows = grid()
    lines = [
        *((PEOPLE[k], *row) for k, row in enumerate(rows)),
        ("",) * 7,
        ("x", *by_film(mean, rows)),
        ("y", *by_film(total, rows)),
        ("Max", *by_film(lambda column: max(known(column)), rows)),
        ("Min", *by_film(lambda column: min(known(column)), rows)),
        ("Count", *by_film(lambda column: len(known(column)), rows)),
    ]
    found = read(file("s.csv", sheet(("Name", *FILMS), lines)))
    assert sorted(ratings_of(found)) == truth(rows)
    assert [reason for _, reason, _ in rejects_of(found)] == ["totals_row"] * 5


def test_small_sheets_have_totals_as_well(read, ratings_of, file):
    rows = [(4, 5, 3, 2, 1, 4), (2, 3, 5, 1, 4, 4), (5, 1, 2, 2, 3, 3), (1, 4, 4, 5, 2, 5)]
    lines = [(PEOPLE[k], *row, total(row)) for k, row in enumerate(rows)]
    sums = by_film(total, rows)
    lines.append(("x", *sums, total(sums)))
    assert sorted(ratings_of(read(file("s.csv", sheet(("Name", *FILMS, "y"), lines))))) == truth(
        rows
    )


def test_a_label_may_stand_beside_the_users(read, ratings_of, rejects_of, file):
    rows = grid(3)  # too few to sum up by chance
    lines = [(k + 1, PEOPLE[k], *row) for k, row in enumerate(rows)]
    found = read(file("s.csv", sheet(("No", "Name", *FILMS), [*lines, ("Total", "", *[9] * 6)])))
    assert sorted(ratings_of(found)) == truth(rows)
    assert [reason for _, reason, _ in rejects_of(found)] == ["totals_row"]


@pytest.mark.parametrize("label", ["Max", "N"])
def test_people_may_have_such_names(read, ratings_of, rejects_of, file, label):
    rows = grid()
    users = [*PEOPLE[:19], label]
    found = read(file("s.csv", sheet(("Name", *FILMS), zip_rows(users, rows))))
    assert sorted(ratings_of(found)) == truth(rows, users)
    assert rejects_of(found) == []


def zip_rows(users, rows):
    return [(user, *row) for user, row in zip(users, rows, strict=False)]


@pytest.mark.parametrize(
    "rows",
    [
        [[k % 5 + 1] * 6 for k in range(15)],
        [[5] * 6 for _ in range(15)],
        [[4, 5, 3, 2, 1, 4]] * 3 + [[2, 3, 5, 1, 4, 4]],
    ],
)
def test_people_who_agree_are_no_totals(read, ratings_of, rejects_of, file, rows):
    found = read(file("s.csv", sheet(("Name", *FILMS), zip_rows(PEOPLE, rows))))
    assert sorted(ratings_of(found)) == truth(rows)
    assert rejects_of(found) == []


def report(names):
    """Return a school report: marks of 25 children with all that schools put beside them."""
    rows = grid(25, MARKS, 0.0, (35, 99))
    sums = [total(row) for row in rows]
    lines = [
        (
            k + 1,
            PEOPLE[k],
            7 + k % 2,
            *row,
            total(row),
            round(total(row) / 4, 2),
            sum(other > total(row) for other in sums) + 1,
        )
        for k, row in enumerate(rows)
    ]
    return sheet(names, lines), truth(rows, films=MARKS)


@pytest.mark.parametrize(
    "names",
    [
        ("Roll No", "Name", "Class", *MARKS, "Total", "Percentage", "Rank"),
        ("k", "wer", "Stufe", *MARKS, "G", "P", "R"),
    ],
)
def test_school_reports(read, ratings_of, file, names):
    text, expected = report(names)
    assert sorted(ratings_of(read(file("s.csv", text)))) == expected


def test_what_is_left_out_is_named_with_the_reason():
    text, _ = report(("k", "wer", "Stufe", *MARKS, "G", "P", "R"))
    records = [line.split(",") for line in text.splitlines()]
    marks = zip(*(record[3:7] for record in records[1:]), strict=True)
    records.append(
        ["", "z", "", *(str(sum(map(int, column)) / 25) for column in marks), "", "", ""]
    )
    found = file_columns(records, IngestOptions(), "s.csv")
    assert found.description == (
        "wide, user = 'wer', 4 items, rejected as totals: line 27 (the mean of the others), "
        "ignored: 'k' (numbers the rows), 'Stufe' (few values beside many), 'G' (outside the "
        "scale 36.96 to 97.02 of the others), 'P' (the mean of the others), 'R' (the rank of the "
        "sums of the others)"
    )


def test_sums_of_groups_of_columns(read, ratings_of, file):
    rows = grid()
    lines = [
        (PEOPLE[k], *row[:3], total(row[:3]), *row[3:], total(row[3:]), total(row))
        for k, row in enumerate(rows)
    ]
    header = ("Name", *FILMS[:3], "a", *FILMS[3:], "b", "c")
    assert sorted(ratings_of(read(file("s.csv", sheet(header, lines))))) == truth(rows)


def test_films_with_such_titles_are_items(read, ratings_of, file):
    films = (
        "Total Recall",
        "The Sum of All Fears",
        "Mean Girls",
        "Average Joe",
        "Dr. No",
        "Class of 84",
    )
    rows = grid()
    assert sorted(
        ratings_of(read(file("s.csv", sheet(("Name", *films), zip_rows(PEOPLE, rows)))))
    ) == truth(rows, films=films)


@pytest.mark.parametrize(
    ("name", "sure", "maybe"),
    [
        ("TOTAL:", True, False),
        ("Average rating (all)", True, False),
        ("औसत", True, False),
        ("Max", False, True),
        ("Max Mustermann", False, False),
        ("all of the class", False, False),
        ("Sumit", False, False),
        ("", False, False),
    ],
)
def test_names_of_totals(name, sure, maybe):
    assert (says_total(name), may_say_total(name)) == (sure, maybe)


def test_a_sheet_with_a_row_an_item_is_asked_for(read, file):
    rows = [(film, *row) for film, row in zip(FILMS, grid(6, PEOPLE[:12]), strict=True)]
    for corner in ("Film", "Movie", "title"):
        with pytest.raises(InputError, match="it has one row an item; transpose it"):
            read(file("s.csv", sheet((corner, *PEOPLE[:12]), rows)))


def test_columns_without_a_name_or_a_cell_are_no_items(read, ratings_of, file):
    rows = grid()
    lines = [(PEOPLE[k], *row[:3], "", *row[3:]) for k, row in enumerate(rows)]
    path = file("s.csv", sheet(("Name", *FILMS[:3], "", *FILMS[3:]), lines))
    assert sorted(ratings_of(read(path))) == truth(rows)
    records = [line.split(",") for line in path.read_text().splitlines()]
    found = file_columns(records, IngestOptions(), "s.csv")
    assert found.description == "wide, user = 'Name', 6 items, ignored: column 5"


def test_columns_of_one_title_are_said_to_be_one_item():
    records = [["Name", "Heat", "Up", "Heat"], ["ann", "4", "", "5"], ["bob", "", "1", "3"]]
    found = file_columns(records, IngestOptions(format="wide_csv"), "s.csv")
    assert "3 items, several columns are one item: 'Heat'" in found.description
