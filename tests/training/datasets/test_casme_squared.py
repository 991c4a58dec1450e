"""CAS(ME)²: no header, names on two more sheets, what a video was chosen to make people feel."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from realtime.errors import KilasError
from support.dataset_layouts import Cells, write_casme_squared, write_xlsx
from training.datasets import read_dataset
from training.datasets.classes import with_labels

FILE = "CAS(ME)^2code_final.xlsx"


def test_rows_are_read_as_published(tmp_path: Path) -> None:
    write_casme_squared(tmp_path)
    found = read_dataset("casme-squared", tmp_path)
    table = found.table
    assert table["subject"].tolist() == ["s15"] * 3 + ["s16"] * 3
    assert table["clip"].tolist()[:3] == ["s15/0101", "s15/0401", "s15/0502"]
    assert table["kind"].tolist()[:3] == ["micro", "macro", "micro"]
    assert table["emotion"].tolist()[:3] == [
        *("surprise/disgust", "others/anger", "negative/happiness"),
    ]
    assert (table["onset"].iloc[0], table["onset_s"].iloc[0]) == (7, 0.2)
    folder = found.clips[0].frames.paths[0].parent
    assert folder == tmp_path / "rawpic" / "s15" / "15_0101disgustingteeth"
    assert found.skipped == ()
    assert found.notes == ()


def test_recordings_without_an_expression_are_clips_too(tmp_path: Path) -> None:
    write_casme_squared(tmp_path)
    found = read_dataset("casme-squared", tmp_path)
    unused = {one.clip for one in found.clips} - set(found.table["clip"])
    assert unused == {"s15/0102", "s16/0102"}


def test_both_what_is_shown_and_what_was_elicited_can_be_the_class(tmp_path: Path) -> None:
    write_casme_squared(tmp_path)
    table = read_dataset("casme-squared", tmp_path).table.head(3)
    assert with_labels(table, "three")["label"].tolist() == ["surprise", None, "negative"]
    assert with_labels(table, "full")["label"].tolist() == ["surprise", "others", "negative"]
    squared = with_labels(table, "casme-squared")["label"]
    assert squared.tolist() == ["disgust", "angry", "happy"]


@pytest.mark.parametrize("name", ["CAS(ME)^2code_final(Updated).xlsx", "code_final.xlsx"])
def test_other_names_of_the_spreadsheet(name: str, tmp_path: Path) -> None:
    write_casme_squared(tmp_path, label_file=name)
    assert len(read_dataset("casme-squared", tmp_path).table) == 6


def test_the_updated_spreadsheet_goes_before_the_first(tmp_path: Path) -> None:
    write_casme_squared(tmp_path, edit=lambda rows: rows[0].clear())
    write_casme_squared(tmp_path, label_file="CAS(ME)^2code_final(Updated).xlsx")
    found = read_dataset("casme-squared", tmp_path)
    assert len(found.table) == 6
    assert f"(Updated).xlsx was read, not {tmp_path / FILE}" in found.notes[0]


def test_an_offset_of_0_means_the_apex(tmp_path: Path) -> None:
    write_casme_squared(tmp_path, edit=lambda rows: rows[0].update({"offset": 0}))
    row = read_dataset("casme-squared", tmp_path).table.iloc[0]
    assert (row["apex"], row["offset"]) == (13, 13)


@pytest.mark.parametrize("sheets", [1, 2])
def test_a_missing_sheet_is_refused(sheets: int, tmp_path: Path) -> None:
    write_casme_squared(tmp_path, sheets=sheets)
    with pytest.raises(KilasError, match=r"must have three sheets: expressions \(subject, video"):
        read_dataset("casme-squared", tmp_path)


@pytest.mark.parametrize(
    ("sheet", "rows", "said"),
    [
        ("naming rule1", [["x", "y"]], "second sheet .* names no subject's folder like s15"),
        ("naming rule2", [["x", "y"]], "third sheet .* gives no video a code"),
    ],
)
def test_a_sheet_of_something_else_is_refused(
    sheet: str, rows: list[list[str]], said: str, tmp_path: Path
) -> None:
    write_casme_squared(tmp_path)
    book = openpyxl.load_workbook(tmp_path / FILE)
    pages = {one.title: [list(row) for row in one.values] for one in book}
    write_xlsx(tmp_path / FILE, pages | {sheet: rows})
    with pytest.raises(KilasError, match=said):
        read_dataset("casme-squared", tmp_path)


def test_codes_of_videos_may_be_numbers_that_lost_their_zero(tmp_path: Path) -> None:
    write_casme_squared(tmp_path)
    book = openpyxl.load_workbook(tmp_path / FILE)
    pages = {one.title: [list(row) for row in one.values] for one in book}
    for row in pages["naming rule2"]:
        row[0] = int(row[0])
    write_xlsx(tmp_path / FILE, pages)
    assert len(read_dataset("casme-squared", tmp_path).table) == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subject": 9}, "the subject 9 is not on the second sheet; add it there"),
        ({"video": "sad1_1"}, "the video sad1 of sad1_1 is not on the third sheet; add it there"),
        ({"type": "micro"}, "type is 'micro', which is neither micro-expression nor macro-"),
        ({"subject": "Subject"}, "subject is 'Subject', which is no number"),
    ],
)
def test_rows_that_name_nothing_are_skipped(change: Cells, said: str, tmp_path: Path) -> None:
    write_casme_squared(tmp_path, edit=lambda rows: rows[0].update(change))
    (skip,) = read_dataset("casme-squared", tmp_path).skipped
    assert skip.where == f"{FILE}, row 1"
    assert skip.why.startswith(said)


def test_a_folder_named_after_another_subject_is_left_out_with_a_note(tmp_path: Path) -> None:
    write_casme_squared(tmp_path)
    folder = tmp_path / "rawpic" / "s15"
    (folder / "15_0502funnyerrors").rename(folder / "23_0502funnyerrors")
    found = read_dataset("casme-squared", tmp_path)
    (note,) = found.notes
    assert note.startswith(
        f"{folder / '23_0502funnyerrors'} is named after subject 23 but lies in s15"
    )
    (skip,) = found.skipped
    assert "there is no folder of frames of s15/0502" in skip.why
