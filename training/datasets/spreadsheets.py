"""Reading of spreadsheets of annotations as they are published.

The header may be in any of the first rows, numbers may be text, text may be in the place of
numbers, and remarks may follow below.
"""

from __future__ import annotations

import csv
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas as pd
from xlrd import XLRDError  # type: ignore[import-untyped]
from xlrd.compdoc import CompDocError  # type: ignore[import-untyped]

from realtime.errors import KilasError
from training.annotations.csv_text import read_csv_rows
from training.datasets.frames import Found, in_order

HEADER_ROWS = 30
"""Number of rows in which a header is looked for; SAMM has it on row 14, SAMM-LV about row 10."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_NO_NUMBER = re.compile(r"\W*|n/?a|nan|none", re.IGNORECASE)
"""Pattern of a cell without a number: nothing, `/`, `-`, `?`, `NA`."""

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    zipfile.BadZipFile,
    XLRDError,
    CompDocError,
    csv.Error,
)


class SkipRow(Exception):
    """Reason why a row cannot be used, with a remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """Row of a spreadsheet as text.

    `where`: file and row; `columns`: index of the cell of each column that a loader asked for.
    """

    where: str
    texts: tuple[str, ...]
    columns: Mapping[str, int]

    def get(self, column: str) -> str:
        """Return the cell's text, empty where there is none or the sheet lacks the column."""
        position = self.columns.get(column)
        return "" if position is None else self.texts[position]

    def text(self, column: str) -> str:
        """Return the cell's text. Raises SkipRow when the cell is empty."""
        text = self.get(column)
        if not text:
            raise SkipRow(f"{column} is empty; fill it in, or take the row out")
        return text

    def number(self, column: str) -> int:
        """Return the cell's number, rounded. Raises SkipRow when the cell holds no number."""
        return whole_number(self.text(column), column)

    def number_or_none(self, column: str) -> int | None:
        """Return the cell's number, or None where it is marked as missing, as by `/`.

        Raises SkipRow when the cell holds anything else that is no number.
        """
        return number_or_none(self.get(column), column)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows below a header. `file`: the file's name; `header`: names of all columns, `plain`."""

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def plain(name: str) -> str:
    """Reduce a name to letters and digits in lower case: `Onset Frame` -> `onsetframe`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def whole_number(text: str, what: str) -> int:
    """Return the number in the text, rounded: published sheets hold frames such as 606.4.

    Raises SkipRow when the text is no number.
    """
    if text.startswith("="):
        raise SkipRow(
            f"{what} is a formula ({text}) whose value is not stored; open the sheet in a "
            "spreadsheet program and save it"
        )
    if not _NUMBER.fullmatch(text):
        raise SkipRow(f"{what} is {text!r}, which is no number; correct the cell")
    return round(Decimal(text))


def number_or_none(text: str, what: str) -> int | None:
    """Return the number in the text, or None where the text marks it as missing.

    Raises SkipRow when the text is neither.
    """
    return None if _NO_NUMBER.fullmatch(text) else whole_number(text, what)


def find_spreadsheet(found: Found, names: Sequence[str], like: str) -> tuple[Path, tuple[str, ...]]:
    """Find the spreadsheet whose name, `plain`, contains one of `names`; the first is preferred.

    Returns it with a note where several fit: the last by name is taken, which is the newest where
    names end in a date or a version. `like`: its published name, for the message. Raises KilasError
    when there is none.
    """
    for name in names:
        fitting = [path for path in found.spreadsheets if name in plain(path.stem)]
        # A copy as text has lost the merged cells and the other sheets.
        fitting = [path for path in fitting if not _is_text(path)] or fitting
        if fitting:
            chosen, *others = sorted(
                fitting, key=lambda path: (in_order(path.stem), -len(path.parts)), reverse=True
            )
            if not others:
                return chosen, ()
            listed = ", ".join(str(path) for path in others)
            return chosen, (f"Several spreadsheets fit; {chosen} was read, not {listed}.",)
    there = ", ".join(path.name for path in found.spreadsheets) or "none at all"
    raise KilasError(
        f"There is no spreadsheet like {like} in {found.root}, there is {there}; give the folder "
        "that holds both the spreadsheet and the frames, or rename the spreadsheet."
    )


def read_workbook(path: Path) -> dict[str, list[tuple[str, ...]]]:
    """Read the text of all cells of all sheets, by the sheets' names in order.

    Every row is as long as the longest. A cell that is merged over several rows counts for each of
    them. A formula whose value is not stored is read as the formula. CSV copies have one sheet
    without a name. Raises KilasError when the file is no spreadsheet.
    """
    try:
        if _is_text(path):
            return {"": read_csv_rows(path)}
        sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=object)
        completed = {} if path.suffix.lower() == ".xls" else _completed_cells(path)
    except _UNREADABLE as error:
        raise KilasError(
            f"The spreadsheet {path} cannot be read ({error}); copy it again."
        ) from error
    workbook = {}
    for name, cells in sheets.items():
        rows = [list(map(_text, row)) for row in cells.itertuples(index=False, name=None)]
        for (row, column), text in completed.get(str(name), {}).items():
            if row < len(rows) and column < len(rows[row]) and not rows[row][column]:
                rows[row][column] = text
        workbook[str(name)] = [tuple(row) for row in rows]
    return workbook


def _completed_cells(path: Path) -> dict[str, dict[tuple[int, int], str]]:
    """Return, by sheet, the texts that a workbook does not store in the cells where they count.

    Places are row and column from 0.
    """
    completed: dict[str, dict[tuple[int, int], str]] = {}
    values = openpyxl.load_workbook(path, data_only=True)
    formulas = openpyxl.load_workbook(path)
    for sheet in formulas.worksheets:
        stored = values[sheet.title]
        texts = {
            (cell.row - 1, cell.column - 1): str(cell.value)
            for row in sheet.iter_rows()
            for cell in row
            if cell.data_type == "f" and stored.cell(cell.row, cell.column).value is None
        }
        for area in sheet.merged_cells.ranges:
            text = _text(stored.cell(area.min_row, area.min_col).value)
            for row in range(area.min_row + 1, area.max_row + 1):
                texts[row - 1, area.min_col - 1] = text
        completed[sheet.title] = texts
    return completed


def _is_text(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv")


def read_sheet(
    path: Path,
    columns: Mapping[str, Sequence[str]],
    *,
    optional: Sequence[str] = (),
    sheet: str = "",
    notes: tuple[str, ...] = (),
) -> Sheet:
    """Read the first sheet with a header that has all columns, and the rows below the header.

    `columns`: possible names of each, `plain`; `optional`: columns that may be missing; `sheet`:
    name of the sheet to look at first. Rows at the end with text in one column at most are remarks,
    which are left out with a note. Raises KilasError when no sheet has all columns.
    """
    workbook = read_workbook(path)
    ordered = sorted(workbook, key=lambda name: plain(name) != sheet)
    fewest: set[str] = set(columns) - set(optional)
    for title in ordered:
        rows = workbook[title]
        for at, texts in enumerate(rows[:HEADER_ROWS]):
            header = tuple(map(plain, texts))
            found = {
                column: min(map(header.index, fitting))
                for column, spellings in columns.items()
                if (fitting := [name for name in spellings if name in header])
            }
            lacking = set(columns) - set(optional) - set(found)
            if not lacking:
                return _below(path, header, found, rows, at + 1, notes)
            fewest = min(fewest, lacking, key=len)
    where = f"the sheets {', '.join(workbook)}" if len(workbook) > 1 else "its sheet"
    raise KilasError(
        f"{path} lacks the columns {', '.join(sorted(fewest))} in the first {HEADER_ROWS} rows of "
        f"{where}; there must be {', '.join(name for name in columns if name not in optional)}."
    )


def numbered_rows(
    file: str, rows: Sequence[tuple[str, ...]], first: int, columns: Mapping[str, int]
) -> list[Row]:
    """Return all rows from index `first` that are not empty, with the numbers that Excel shows."""
    return [
        Row(f"{file}, row {at + 1}", rows[at], columns)
        for at in range(first, len(rows))
        if any(rows[at])
    ]


def _below(
    path: Path,
    header: tuple[str, ...],
    columns: Mapping[str, int],
    rows: Sequence[tuple[str, ...]],
    first: int,
    notes: tuple[str, ...],
) -> Sheet:
    kept = numbered_rows(path.name, rows, first, columns)
    remarks: list[Row] = []
    while kept and sum(bool(kept[-1].get(column)) for column in columns) <= 1:
        remarks.insert(0, kept.pop())
    if remarks:
        notes = (
            *notes,
            f"What stands below the table, from {remarks[0].where} on, was taken for remarks.",
        )
    return Sheet(path.name, header, tuple(kept), notes)


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
