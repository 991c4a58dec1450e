"""Text of CSV tables as spreadsheet programs of all countries write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
"""Marks at the beginning of a text, with its encoding."""

SEPARATORS = ",;\t"
"""Separators of cells; of those that a header holds equally often, the first."""

STATED = "sep="
"""Beginning of the first line by which Excel states the separator."""


def read_csv_text(path: Path) -> tuple[str, str, int]:
    """Return a table's text from its header on, its separator, and the number of the header's line.

    The text may be UTF-8, UTF-16, or else the Windows code page of western Europe; lines end as on
    any system. Raises OSError.
    """
    data = path.read_bytes()
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.partition("\n")
    if first.strip('"').lower().startswith(STATED):
        return rest, first.strip('"')[len(STATED) :] or "\t", 2
    cells = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in SEPARATORS}
    return text, max(SEPARATORS, key=lambda mark: cells[mark]), 1


def read_csv_rows(path: Path) -> list[tuple[str, ...]]:
    """Return the cells of a table, without space around them, all rows as long as the longest.

    Raises OSError and csv.Error.
    """
    text, separator, _ = read_csv_text(path)
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    ]
    width = max(map(len, rows), default=0)
    return [(*row, *[""] * (width - len(row))) for row in rows]


def _decoded(data: bytes) -> str:
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
