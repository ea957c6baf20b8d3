from __future__ import annotations

import time
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from mfspark.config.config import IngestOptions
from mfspark.errors import InputError
from mfspark.ingest.readers import excel, excel_archive
from mfspark.ingest.readers.excel import read_sheet

SURVEY = Path(__file__).parents[3] / "mfspark" / "samples" / "data" / "survey.xlsx"


def cells(path, sheet="", max_cells=1000, n_columns=0):
    return [
        (line, row)
        for part in read_sheet(str(path), sheet, max_cells, n_columns)
        for line, row in zip(
            part.lines.tolist(),
            zip(*(c.to_pylist() for c in part.columns), strict=True),
            strict=True,
        )
    ]


def edited(path, old, new):
    """Replace text in the XML of the first sheet (openpyxl cannot store results of formulas)."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    xml = parts["xl/worksheets/sheet1.xml"].replace(b"<v></v>", b"<v />")  # as lxml writes it
    assert old in xml
    parts["xl/worksheets/sheet1.xml"] = xml.replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def test_texts_of_cells(workbook):
    path = workbook(
        [
            ["n", 4.0, 2.5, True, datetime(2020, 1, 2, 3, 4, 5), date(2020, 1, 2), None],
            [],
            [" x ", 1e20],
        ]
    )
    assert cells(path) == [
        (1, ("n", "4", "2.5", "True", "2020-01-02T03:04:05", "2020-01-02")),
        (3, (" x ", "1e+20", "", "", "", "")),
    ]


def test_table_that_begins_in_the_middle(tmp_path):
    book = openpyxl.Workbook()
    book.active["C3"], book.active["D4"] = "x", 2
    book.save(tmp_path / "a.xlsx")
    assert cells(tmp_path / "a.xlsx") == [(3, ("", "", "x", "")), (4, ("", "", "", "2"))]


def test_formulas_and_errors_that_calamine_shows_blank(workbook):
    path = workbook(
        [
            ["user", "A", "B", "C"],
            ["u", "=1+2", "#N/A", 3],
            ["v", "=1+3", None, None],
            ["w", None, None, "=1/2"],
        ]
    )
    edited(path, b"<f>1+3</f><v />", b"<f>1+3</f><v>4</v>")  # a stored result
    assert cells(path) == [
        (1, ("user", "A", "B", "C")),
        (2, ("u", "=1+2", "#N/A", "3")),
        (3, ("v", "4", "", "")),
        (4, ("w", "", "", "=1/2")),
    ]


def test_formula_whose_stored_result_is_empty_text_is_blank(workbook):
    path = workbook([["u", "A"], ["x", '=""']])
    edited(path, b'<c r="B2"><f>""</f><v />', b'<c r="B2" t="str"><f>""</f><v></v>')
    assert cells(path) == [(1, ("u", "A")), (2, ("x", ""))]


def test_formulas_beyond_the_last_value(workbook):
    path = workbook([["u", "A"], ["x", 1, "=A1"], [None, None, "=A2"]])
    assert cells(path) == [(1, ("u", "A", "")), (2, ("x", "1", "=A1")), (3, ("", "", "=A2"))]


def test_sheets_by_name(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["first"])
    book.create_sheet("Rätsel & co").append(["=1+1", "second"])
    book.save(tmp_path / "a.xlsx")
    assert cells(tmp_path / "a.xlsx") == [(1, ("first",))]
    assert cells(tmp_path / "a.xlsx", "Rätsel & co") == [(1, ("=1+1", "second"))]
    with pytest.raises(InputError, match=r'no sheet "Other" .found: Sheet, Rätsel & co'):
        cells(tmp_path / "a.xlsx", "Other")


def test_hidden_sheets_are_not_read_and_others_are_named(read, ratings_of, tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "notes"
    book.active.sheet_state = "hidden"
    for name, user in (("notes", "old"), ("Jan", "ann"), ("Feb", "cat")):
        sheet = book.active if name == "notes" else book.create_sheet(name)
        sheet.append(["user", "item", "rating"])
        sheet.append([user, "Heat", 5])
    book.save(tmp_path / "a.xlsx")
    assert ratings_of(read(tmp_path / "a.xlsx")) == [("ann", "Heat", 5.0)]
    assert ratings_of(read(tmp_path / "a.xlsx", sheet="notes")) == [("old", "Heat", 5.0)]
    _, description = excel.EXCEL.source(str(tmp_path / "a.xlsx"), IngestOptions())
    assert "sheet 'Jan', sheets left out: 'notes' (hidden), 'Feb'" in description


def test_another_sheet_is_proposed_where_the_first_is_no_table(read, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["About"])
    book.create_sheet("ratings").append(["user", "item", "rating"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match=r"--set ingest\.sheet=.NAME. .'ratings'"):
        read(tmp_path / "a.xlsx")


def test_stray_cell_in_the_far_corner_is_refused_before_it_is_opened(workbook):
    path = workbook([["u", "A"], ["x", 1]])
    edited(path, b'<c r="B2"', b'<c r="XFD1048576"')
    with pytest.raises(
        InputError, match=r"1,048,576 x 16,384 cells, more than 1,000\n.*stray cells"
    ):
        cells(path)


def test_extent_of_an_old_binary_workbook_is_checked_too(workbook, monkeypatch):
    monkeypatch.setattr(excel, "bounded_cells", lambda *_: {})  # there is no XML to look through
    with pytest.raises(InputError, match="spans 3 x 2 cells, more than 5"):
        cells(workbook([["u", "A"], ["x", 1], ["y", 2]]), max_cells=5)


def test_file_and_archive_limits(workbook, monkeypatch):
    path = workbook([["u", "A"], ["x", 1]])
    monkeypatch.setattr(excel_archive, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more than"):
        cells(path)
    monkeypatch.setattr(excel, "MAX_FILE_BYTES", 1000)
    with pytest.raises(InputError, match="larger than"):
        cells(path)


def test_archive_that_understates_its_size_is_refused(workbook):
    path = workbook([["u", "A"], ["x", 1]])
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("xl/worksheets/sheet1.xml")
    size = info.file_size.to_bytes(4, "little")
    at = data.rindex(size, 0, data.rindex(b"xl/worksheets/sheet1.xml"))  # in the central directory
    path.write_bytes(data[:at] + (100).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(InputError, match="not a readable Excel workbook"):
        cells(path)


def test_hundred_thousand_empty_rows_are_harmless(read, ratings_of, workbook):
    path = workbook([["user", "A", "B"], ["u", 1, 2], *[[]] * 3, ["v", 3, None]])
    rows = b"".join(b'<row r="%d" ht="15"></row>' % n for n in range(7, 100_007))
    edited(
        path, b"</sheetData>", rows + b'<row r="100007"><c r="A100007" s="0"/></row></sheetData>'
    )
    start = time.perf_counter()
    found = read(path)
    assert ratings_of(found) == [("u", "A", 1.0), ("u", "B", 2.0), ("v", "A", 3.0)]
    assert [row["line"] for row in found] == [2, 2, 6]
    assert time.perf_counter() - start < 5


def test_wide_sheet_with_every_trap(read, ratings_of, rejects_of, workbook):
    path = workbook(
        [
            ["Timestamp", "Your name", "Sholay", None, "Dangal", "Sholay"],
            [datetime(2023, 4, 11, 10), " Ann ", 4, 3, "=1+1", 5],
            [datetime(2023, 4, 12, 10), "Ben", date(2020, 1, 2), None, "#N/A", None],
            [datetime(2023, 4, 13, 10), "Cat", 3, None, 2, None],
        ]
    )
    rows = read(path)
    assert ratings_of(rows) == [
        ("Ann", "Sholay", 4.0),
        ("Ann", "Sholay", 5.0),
        ("Cat", "Sholay", 3.0),
        ("Cat", "Dangal", 2.0),
    ]
    assert rejects_of(rows) == [
        (2, "blank_item_header", " Ann ,,3,2023-04-11T10:00:00"),
        (2, "formula_without_value", " Ann ,Dangal,=1+1,2023-04-11T10:00:00"),
        (3, "rating_not_a_number", "Ben,Dangal,#N/A,2023-04-12T10:00:00"),
        (3, "rating_not_a_number", "Ben,Sholay,2020-01-02,2023-04-12T10:00:00"),
    ]


def test_long_sheet(read, ratings_of, workbook):
    path = workbook([["userId", "movieId", "rating"], [1, 10, 4], [2.0, 20, 3.5]])
    assert ratings_of(read(path)) == [("1", "10", 4.0), ("2", "20", 3.5)]


def test_empty_sheet_is_explained(read, workbook):
    with pytest.raises(InputError, match="holds no rows"):
        read(workbook([]))


def test_survey_and_its_long_form_hold_the_same_ratings(read, ratings_of):
    wide = ratings_of(read(SURVEY))
    assert len(wide) == 376
    assert sorted(wide) == sorted(ratings_of(read(SURVEY.with_name("survey_long.csv"))))
