from __future__ import annotations

import pytest

from mfspark.config.config import IngestOptions
from mfspark.ingest.readers.shapes.header import find_header


@pytest.mark.parametrize(
    ("lines", "names", "skip"),
    [
        (["userId,rating,movieId", "1,4,7"], "userId,rating,movieId", 1),
        (["Ratings export,,", "rating,movieId,userId", "3,111,1"], "rating,movieId,userId", 2),
        (["Ratings export", "rating,movieId,userId", "3,111,1"], "rating,movieId,userId", 2),
        (["Ratings,,", "rating,movieId,userId", "3,111,1"], "rating,movieId,userId", 2),
        (["By Bob, on Monday, all,x", "", "user,item,rating", "a,b,3"], "user,item,rating", 3),
        (["2023 survey,,,", "by Bob,,,", "name,A,B,C", "x,1,2,3"], "name,A,B,C", 3),
        (["Survey,,,", "who,A,B,C", "x,1,2,3"], "who,A,B,C", 2),  # no name is known
        (["Ratings export,,", "1,111,3", "1,112,4"], "", 1),  # a title, and no header
        (["196,242,3", "user,item,rating"], "", 0),  # what stands below data is no header
        (["ann,4,,,,", "ben,,5,,,"], "", 0),  # half empty, but data
        (["name,,,", "ann,4,5,1"], "name,,,", 1),  # a header with blank titles
        (["%,sym,weighted", "%,120,12,10", "1,101,5,16", "2,101,4,16"], "", 2),  # KONECT
        (["# a, b and c", "# 9", "1,101,5,16", "2,101,4,16"], "", 2),
        (["# from, by us", "user,item,rating", "1,101,5"], "user,item,rating", 2),
        (["#user,item,rating", "1,101,5"], "#user,item,rating", 1),
        (["#,A,B", "1,4,5", "2,3,1"], "#,A,B", 1),  # a column of row numbers
        (["#1,4", "#2,4,5", "#3,3,1", "#4,5,5"], "", 0),  # names of users
    ],
)
def test_header_below_titles(lines, names, skip):
    records = [line.split(",") for line in lines]
    found = find_header(records, IngestOptions())
    assert (",".join(found[0]), found[1]) == (names, skip)


def test_configured_header_is_the_first_line():
    records = [["Title", "", ""], ["user", "item", "rating"], ["a", "b", "3"]]
    assert find_header(records, IngestOptions(header=True)) == (records[0], 1)
    assert find_header(records, IngestOptions(header=False)) == ([], 0)


IDS = ["101,102,107,110,300", "3,,4,5,1", "2,1,,4,4", "5,5,3,,2", "1,2,2,3,"]


@pytest.mark.parametrize("corner", ["", "wer"])
@pytest.mark.parametrize("titles", ["101,102,107,110,300", "1,2,3,4,5", "300,1917,21,2012,42"])
def test_numbers_are_titles_beside_a_corner_that_is_none(corner, titles):
    records = [[corner, *titles.split(",")]]
    records += [[str(7 + n), *row.split(",")] for n, row in enumerate(IDS[1:])]
    assert find_header(records, IngestOptions()) == (records[0], 1)


def test_rows_are_no_titles():
    records = [[f"u{n}", *row.split(",")] for n, row in enumerate([*IDS[1:], "1,2,3,3,5"])]
    assert find_header(records, IngestOptions()) == ([], 0)
    long = [["ann", "242", "3", "881250949"], *(["bob", str(240 + n), "4", "8"] for n in range(9))]
    assert find_header(long, IngestOptions()) == ([], 0)


def test_titles_of_groups_stand_above_the_header():
    lines = ["Genre,Drama,Drama,Comedy", "Name,Heat,Up,Big", "ann,4,5,3", "bob,1,2,4"]
    assert find_header([line.split(",") for line in lines], IngestOptions())[1] == 2
    units = ["Name,Heat,Up,Big", ",(1-5),(1-5),(1-5)", "ann,4,5,3", "bob,1,2,4"]
    assert find_header([line.split(",") for line in units], IngestOptions())[1] == 1


def test_merged_cells_name_the_columns_below_them():
    lines = ["Name,Class,Films,,,", ",,Heat,Up,Big,Ran", "ann,7,4,5,3,1", "bob,8,1,2,4,1"]
    names, skip = find_header([line.split(",") for line in lines], IngestOptions())
    assert (names, skip) == (["Name", "Class", "Heat", "Up", "Big", "Ran"], 2)
