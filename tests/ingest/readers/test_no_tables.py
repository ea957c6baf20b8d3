"""Texts that are no tables are refused by what they are, never read as rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mfspark.errors import InputError

Read = Callable[..., list[dict[str, Any]]]

ROWS = [(user, item, 1 + (user + item) % 5) for user in range(1, 6) for item in range(10, 15)]
CSV = "".join(f"{user},{item},{rating}\n" for user, item, rating in ROWS)
TEXTS = {
    "JSON": "".join(f'{{"user": {u}, "item": {i}, "rating": {r}}}\n' for u, i, r in ROWS),
    "JSON ": "[" + ",\n".join(f"[{u}, {i}, {r}]" for u, i, r in ROWS) + "]",
    "HTML or XML": "<html><table>\n<tr><td>1</td>,<td>10</td>,<td>5</td></tr>\n",
    "HTML or XML ": f'<?xml version="1.0"?>\n<ratings a="1,2,3">\n{CSV}',
    "a dump of SQL": f"INSERT INTO ratings VALUES\n{CSV};",
    "a dump of SQL ": f"-- MySQL dump 10.13\n{CSV}",
    "an ARFF file": f"% ratings\n@RELATION r\n@attribute rating numeric\n@data\n{CSV}",
    "a Matrix Market file": f"%%MatrixMarket matrix coordinate real general\n5 14 25\n{CSV}",
    "a PDF file": f"%PDF-1.7\n{CSV}",
    "a pointer of Git LFS": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_kind_is_named(read: Read, file: Any, kind: str, mark: str) -> None:
    with pytest.raises(InputError, match=f"r.txt is {kind.strip()}, not a table of text"):
        read(file("r.txt", mark + TEXTS[kind]))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_without_its_mark_too(read: Read, file: Any, encoding: str) -> None:
    text = "user,item,rating\n" + "".join(f"Zoë {k},Film {k},4\n" for k in range(9))
    with pytest.raises(InputError, match=r"r\.csv is UTF-16 text"):
        read(file("r.csv", text.encode(encoding)))


@pytest.mark.parametrize(
    "text",
    [
        '[user],[item],[rating]\n"{a}",<b>,3\n',
        "<user>,item,rating\n1,2,3\n",
        "insert,into,user,item,rating\na,b,1,2,3\n",
    ],
)
def test_rows_that_begin_oddly_are_rows(read: Read, file: Any, text: str) -> None:
    assert [row["rating"] for row in read(file("r.csv", text))] == [3.0]
