from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mfspark.config.config import IngestOptions, InputColumns
from mfspark.errors import InputError
from mfspark.ingest.readers.columns import file_columns
from mfspark.ingest.readers.shapes.long import LongColumns
from mfspark.ingest.readers.shapes.wide import WideColumns


def layout(*lines: str, **options):
    return file_columns([line.split(",") for line in lines], IngestOptions(**options), "f.csv")


@pytest.mark.parametrize(
    ("lines", "columns", "skip"),
    [
        (["userId,movieId,rating,timestamp", "1,1,4.0,964982703"], LongColumns(0, 1, 2, 3), 1),
        (["timestamp,rating,item,user", "964982703,4,7,9"], LongColumns(3, 2, 1, 0), 1),
        (["User ID,Movie ID,Stars", "a,b,4"], LongColumns(0, 1, 2), 1),
        (["user,x,rating", "1,9,4"], LongColumns(0, 1, 2), 1),  # the one column left over
        (
            ["who,what,how much", "1,9,4", "1,8,3"],
            LongColumns(0, 1, 2),
            1,
        ),  # unknown names: usual order
        (["196,242,3,881250949"], LongColumns(0, 1, 2, 3), 0),
        (["196,242,3,12"], LongColumns(0, 1, 2), 0),  # the fourth column is no time
        (["", ",,", "196,242,3"], LongColumns(0, 1, 2), 2),
        (["ann,dangal,4"], LongColumns(0, 1, 2), 0),
    ],
)
def test_long_tables(lines, columns, skip):
    found = layout(*lines)
    assert (found.columns, found.skip) == (columns, skip)


def test_columns_by_name_and_by_position():
    assert layout(
        "a,b,c,d", "1,2,3,4", columns=InputColumns(user="4", item="b", rating="A")
    ).columns == LongColumns(3, 1, 0)
    assert layout(
        "1,2,3", columns=InputColumns(user="3", item="2", rating="1")
    ).columns == LongColumns(2, 1, 0)
    assert (
        layout(
            "user,item,rating,date", "1,2,3,soon", columns=InputColumns(timestamp="-")
        ).columns.timestamp
        == -1
    )


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            ["user,b,rating,d,e,f", "x,x,4,x,x,x"],
            {},
            r"which column is the item .*user, b, rating.*\n.*ingest.columns.item",
        ),
        (["1,2"], {}, "cannot tell which column is the user or the item or the rating"),
        (
            ["user,item,rating", "1,2,3"],
            {"columns": InputColumns(user="who")},
            r'no column "who".*\n.*ingest.columns.user',
        ),
        (["1,2,3"], {"columns": InputColumns(user="4")}, 'no column "4" .found: positions 1 to 3'),
        (["", " "], {}, "holds no rows"),
        (["name,comment", "a,b"], {"format": "wide_csv"}, "no column looks like an item"),
    ],
)
def test_what_cannot_be_told_apart_is_asked_for(lines, options, message):
    with pytest.raises(InputError, match=message):
        layout(*lines, **options)


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        (["user,Sholay,Dangal", "a,4,", "b,,5"], WideColumns(0, ((1, "Sholay"), (2, "Dangal")))),
        (
            [
                "Timestamp,Your name,Sholay,Dangal,Any comments",
                "2023-04-11 10:00:00,a,4,5,x",
                "2023-04-12 10:00:00,b,4,,y",
            ],
            WideColumns(1, ((2, "Sholay"), (3, "Dangal")), 0),
        ),
        (
            ["Email Address,Sholay,Dangal", "a@b,4,5", "c@d,5,"],
            WideColumns(0, ((1, "Sholay"), (2, "Dangal"))),
        ),
        (
            ["Timestamp,name,Sholay,Dangal", "soon,a,4,5", "later,b,4,"],
            WideColumns(1, ((2, "Sholay"), (3, "Dangal"))),
        ),
        (
            [",name,Sholay,Dangal", "0,a,4,5", "1,b,4,"],
            WideColumns(1, ((2, "Sholay"), (3, "Dangal"))),
        ),
        (["City,Name,A,B", "x,a,4,5", "y,b,3,"], WideColumns(1, ((2, "A"), (3, "B")))),
        (["City,E-mail,A,B", "x,a,4,5", "y,b,3,"], WideColumns(1, ((2, "A"), (3, "B")))),
        (["user,1,2,3", "1,4,5,", "2,,5,3"], WideColumns(0, ((1, "1"), (2, "2"), (3, "3")))),
        (
            ["user,Sholay,Dangal", "a,4,x", "b,3,5"],
            WideColumns(0, ((1, "Sholay"), (2, "Dangal"))),
        ),  # one bad cell
        (
            ["user,Sholay,Dangal", "a,4,=A1", "b,3,#N/A"],
            WideColumns(0, ((1, "Sholay"), (2, "Dangal"))),
        ),
    ],
)
def test_wide_tables(lines, columns):
    found = layout(*lines)
    assert (found.columns, found.skip) == (columns, 1)


def test_wide_extra_columns_replace_the_guess():
    found = layout(
        "user,age,Sholay,Dangal,hm", "a,31,4,,1", "b,20,,5,2", wide_extra_columns=("age", "5")
    )
    assert [title for _, title in found.columns.items] == ["Sholay", "Dangal"]
    assert found.description == "wide, user = 'user', 2 items, ignored: 'age', 'hm'"


def test_same_three_names_can_be_long_or_wide():
    same = ["who,A,B", "1,9,4", "1,8,3"]
    assert layout(*same).columns == LongColumns(0, 1, 2)
    assert layout(*same, format="wide_csv").columns == WideColumns(0, ((1, "A"), (2, "B")))
    assert layout("who,A,B", "1,9,", "1,,3").columns == LongColumns(
        0, 1, 2
    )  # a blank makes no wide table
    assert layout("who,A,B", "1,4,4", "2,5,3").columns == WideColumns(0, ((1, "A"), (2, "B")))
    assert layout("who,A,B", "1,4,4", "2,5,3", format="csv").columns == LongColumns(0, 1, 2)


def test_header_can_be_set():
    assert layout("user,item,rating", "a,b,3", header=False).skip == 0
    assert layout("1,2,3", "4,5,3", header=True).skip == 1


@pytest.mark.parametrize(
    ("lines", "options", "columns"),
    [
        (["user_id,item_id", "1,2"], {}, LongColumns(0, 1, -1)),
        (["ts,song,listener_id,user", "964982703,2,3,1"], {}, None),  # another column: asked for
        (["timestamp,item,user", "964982703,2,1"], {}, LongColumns(2, 1, -1, 0)),
        (["user,item", "1,2"], {"feedback": "explicit"}, None),
        (["1,2"], {}, None),
        (["1,2", "3,4"], {"feedback": "implicit"}, LongColumns(0, 1, -1)),
        (["user,item,page", "1,2,x"], {"feedback": "implicit"}, LongColumns(0, 1, -1)),
        (["user,item,rating", "1,2,3"], {"feedback": "implicit"}, LongColumns(0, 1, 2)),
    ],
)
def test_choices_without_ratings(lines, options, columns):
    if columns:
        assert layout(*lines, **options).columns == columns
    else:
        with pytest.raises(InputError, match=r"(?s)cannot tell which column is .*ingest.feedback"):
            layout(*lines, **options)


def test_choices_are_ones(read, ratings_of, file, tmp_path):
    assert (
        ratings_of(read(file("e.csv", "user,item,date\n1,2,2020-01-01\n1,2,2020-01-02\n")))
        == [("1", "2", 1.0)] * 2
    )
    pq.write_table(pa.table({"user": [5], "item": [6]}), tmp_path / "p.parquet")
    assert ratings_of(read(tmp_path / "p.parquet")) == [("5", "6", 1.0)]
