"""Spreadsheets as they are found: a header anywhere, numbers as text, columns that lack."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import KilasError
from support.dataset_layouts import write_xls, write_xlsx
from training.datasets.frames import scan
from training.datasets.spreadsheets import (
    HEADER_ROWS,
    Row,
    SkipRow,
    find_spreadsheet,
    number_or_none,
    read_sheet,
    read_workbook,
    whole_number,
)

COLUMNS = {"Filename": ("filename",), "Onset": ("onset", "onsetframe"), "AU": ("au",)}


def row_of(**cells: str) -> Row:
    return Row("a.xlsx, row 2", tuple(cells.values()), {name: at for at, name in enumerate(cells)})


@settings(max_examples=25, deadline=None)
@given(
    above=st.lists(
        st.lists(st.sampled_from(["SAMM", None, 7, "Onset"]), max_size=4),
        max_size=HEADER_ROWS - 1,
    ),
    blanks=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    order=st.permutations(["File name", "Onset Frame ", "AU"]),
    onset=st.integers(0, 10**6),
    kind=st.sampled_from([int, float, str, lambda number: f" {number}.0 "]),
)
def test_the_header_may_be_anywhere_with_blank_columns_between(
    above: list[list[Any]], blanks: list[int], order: list[str], onset: int, kind: Any
) -> None:
    values = {"File name": "EP01", "Onset Frame ": kind(onset), "AU": "4+7"}
    header: list[Any] = []
    cells: list[Any] = []
    for name, blank in zip(order, blanks, strict=True):
        header += [None] * blank + [name]
        cells += [None] * blank + [values[name]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.xlsx"
        write_xlsx(path, {"one": [*above, header, [], cells]})
        (row,) = read_sheet(path, COLUMNS).rows
    assert row.where == f"labels.xlsx, row {len(above) + 3}"
    assert row.number("Onset") == onset
    assert (row.text("Filename"), row.get("AU")) == ("EP01", "4+7")


def test_an_old_spreadsheet_reads_like_a_new_one(tmp_path: Path) -> None:
    rows = [[], ["Filename", None, "Onset", "AU"], ["EP01_01f", None, 46.0, "4+7"], ["b", "", 1.5]]
    write_xls(tmp_path / "a.xls", rows)
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": rows})
    (old,), (new,) = (read_workbook(tmp_path / name).values() for name in ("a.xls", "a.xlsx"))
    assert old == new
    assert old[2] == ("EP01_01f", "", "46", "4+7")


def test_columns_that_lack_are_named(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"one": [["Filename", "On set", "Offset"], ["x", 1, 2]]})
    assert read_sheet(tmp_path / "a.xlsx", COLUMNS, optional=("AU",)).header[1] == "onset"
    write_xlsx(tmp_path / "a.xlsx", {"one": [["Filename", "Begin", "Offset"], ["x", 1, 2]]})
    with pytest.raises(KilasError) as caught:
        read_sheet(tmp_path / "a.xlsx", COLUMNS, optional=("AU",))
    assert str(caught.value) == (
        f"{tmp_path / 'a.xlsx'} lacks the columns Onset in the first 30 rows of its sheet; there "
        "must be Filename, Onset."
    )


def test_a_header_too_far_down_is_not_found(tmp_path: Path) -> None:
    rows = [*([["remark"]] * HEADER_ROWS), ["Filename", "Onset", "AU"], ["x", 1, "4"]]
    write_xlsx(tmp_path / "a.xlsx", {"one": rows})
    with pytest.raises(KilasError, match="lacks the columns"):
        read_sheet(tmp_path / "a.xlsx", COLUMNS)


@pytest.mark.parametrize(
    "content", [b"", b"Subject,Filename\n1,a\n", b"PK\x03\x04 cut off", b"\xd0\xcf\x11\xe0" * 9]
)
@pytest.mark.parametrize("name", ["a.xlsx", "a.xls"])
def test_a_file_that_is_no_spreadsheet_is_refused(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(KilasError, match=rf"spreadsheet .*{name} cannot be read .*; copy it again"):
        read_workbook(tmp_path / name)


def test_a_workbook_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"one": [["Filename", "Onset", "AU"]]})
    whole = (tmp_path / "a.xlsx").read_bytes()
    for share in (0.3, 0.6, 0.95):
        (tmp_path / "a.xlsx").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(KilasError, match="cannot be read"):
            read_workbook(tmp_path / "a.xlsx")


def test_only_rows_at_the_end_are_remarks(tmp_path: Path) -> None:
    header = ["Onset", "Filename", "AU"]
    rows = [header, [1, "x", "4"], ["Notes:"], [2, None, "4"], [], ["Notes:"], [None, "more"]]
    write_xlsx(tmp_path / "a.xlsx", {"one": rows})
    sheet = read_sheet(tmp_path / "a.xlsx", COLUMNS)
    assert [row.where for row in sheet.rows] == [f"a.xlsx, row {number}" for number in (2, 3, 4)]
    with pytest.raises(SkipRow, match="Filename is empty; fill it in"):
        sheet.rows[2].text("Filename")
    assert sheet.notes == (
        "What stands below the table, from a.xlsx, row 6 on, was taken for remarks.",
    )


@given(
    st.integers(-(10**9), 10**9) | st.just(10**400),
    st.sampled_from(["{}", "{}.", "{}.0", "{}.000"]),
)
def test_whole_numbers_are_read_from_text(number: int, form: str) -> None:
    assert whole_number(form.format(number), "Onset") == number


@pytest.mark.parametrize(("text", "number"), [("606.4000000000001", 606), ("687.6", 688)])
def test_a_frame_with_decimals_is_rounded(text: str, number: int) -> None:
    assert whole_number(text, "Onset") == number


@given(st.from_regex(r"[0-9a-zA-Z.,/+ -]*[a-zA-Z,/][0-9a-zA-Z.,/+ -]*", fullmatch=True))
def test_other_text_is_no_whole_number(text: str) -> None:
    with pytest.raises(SkipRow, match=r"Onset is .*, which is no number; correct the cell"):
        whole_number(text, "Onset")


@pytest.mark.parametrize("text", ["", "/", "-", "--", "?", "NA", "n/a", "NaN", "none"])
def test_text_that_says_there_is_no_number(text: str) -> None:
    assert number_or_none(text, "Apex") is None


@pytest.mark.parametrize("text", ["soon", "-1-", "1/2"])
def test_text_that_says_nothing_is_no_missing_number(text: str) -> None:
    with pytest.raises(SkipRow, match="Apex is"):
        number_or_none(text, "Apex")


def test_a_column_that_the_sheet_lacks_is_empty() -> None:
    row = row_of(Onset="4")
    assert (row.get("AU"), row.number("Onset"), row.number_or_none("Apex")) == ("", 4, None)


def test_a_cell_that_is_merged_over_rows_counts_for_each(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Filename", "Onset", "AU"], ["EP01", 5, "4"], [None, 9, "12"], ["EP02", 1, "6"]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "labels.xlsx")
    rows = read_sheet(tmp_path / "labels.xlsx", COLUMNS).rows
    assert [row.text("Filename") for row in rows] == ["EP01", "EP01", "EP02"]
    assert [row.number("Onset") for row in rows] == [5, 9, 1]


def test_a_formula_without_a_stored_value_is_said(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"one": [["Filename", "Onset", "AU"], ["EP01", "=3+4", "4"]]})
    (row,) = read_sheet(tmp_path / "a.xlsx", COLUMNS).rows
    with pytest.raises(SkipRow, match=r"Onset is a formula \(=3\+4\) whose value is not stored"):
        row.number_or_none("Onset")


def test_a_copy_as_csv_reads_like_the_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("SAMM;;\nFilename;Onset Frame;AU\n007;5;4+7\n;;\n")
    (row,) = read_sheet(tmp_path / "labels.csv", COLUMNS).rows
    assert row.where == "labels.csv, row 3"
    assert (row.text("Filename"), row.number("Onset"), row.get("AU")) == ("007", 5, "4+7")


def test_a_copy_as_csv_is_taken_where_there_is_no_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "Labels.csv").touch()
    assert find_spreadsheet(scan(tmp_path), ["labels"], "x")[0].name == "Labels.csv"
    (tmp_path / "labels.xlsx").touch()
    assert find_spreadsheet(scan(tmp_path), ["labels"], "x") == (tmp_path / "labels.xlsx", ())
