"""CASME II: its spreadsheets, raw and cropped frames, apexes that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import KilasError
from support.dataset_layouts import Cells, write_casme2
from training.datasets import read_dataset


def test_rows_are_read_as_published(tmp_path: Path) -> None:
    write_casme2(tmp_path, subjects=2, clips=2, frames=12)
    found = read_dataset("casme2", tmp_path)
    row = found.table.iloc[0]
    assert (row["subject"], row["clip"], row["kind"]) == ("sub01", "sub01/EP01_01f", "micro")
    assert (row["onset"], row["apex"], row["offset"]) == (4, 7, 10)
    assert (row["onset_s"], row["fps"]) == (0.015, 200.0)
    assert (row["emotion"], row["au"], row["apex_estimated"]) == ("happiness", "4+7", False)
    assert [one.clip for one in found.clips] == [
        *("sub01/EP01_01f", "sub01/EP02_01f", "sub02/EP01_01f", "sub02/EP02_01f"),
    ]
    assert found.clips[0].frames.numbers == tuple(range(1, 13))
    assert found.clips[0].frames.paths[9].name == "img10.jpg"
    assert found.notes == ()


@pytest.mark.parametrize("said", ["/", None, " ", "-", "NA", "n/a"])
def test_a_missing_apex_is_the_middle_and_says_so(said: str | None, tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        rows[1].update({"OnsetFrame": 4, "ApexFrame": said, "OffsetFrame": 11})

    write_casme2(tmp_path, edit=edit)
    found = read_dataset("casme2", tmp_path)
    assert found.skipped == ()
    assert found.table["apex"].tolist()[:2] == [7, 7]
    assert found.table["apex_estimated"].tolist() == [False, True, False, False]


def test_the_known_row_with_its_offset_before_its_onset_is_skipped(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        rows[2].update({"OnsetFrame": 9, "ApexFrame": "/", "OffsetFrame": 5})

    write_casme2(tmp_path, edit=edit)
    found = read_dataset("casme2", tmp_path)
    (skip,) = found.skipped
    assert skip.where == "CASME2-coding-20140508.xlsx, row 4"
    assert skip.why == ("the onset 9 comes after the offset 5; correct the numbers")
    assert len(found.clips) == 3


def test_subjects_may_be_numbers_or_padded_text(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        for row, subject in zip(rows, (1, "1", "02", 2.0), strict=True):
            row["Subject"] = subject

    write_casme2(tmp_path, edit=edit)
    found = read_dataset("casme2", tmp_path)
    assert found.table["subject"].tolist() == ["sub01", "sub01", "sub02", "sub02"]


def test_cropped_frames_are_read_where_there_are_no_others(tmp_path: Path) -> None:
    write_casme2(tmp_path, cropped=True)
    found = read_dataset("casme2", tmp_path)
    assert found.clips[0].frames.paths[0].name == "reg_img4.jpg"
    assert found.clips[0].frames.numbers == tuple(range(4, 11))
    assert found.table["onset_s"].tolist() == [0.0] * 4
    assert found.notes == ()


def test_raw_frames_go_before_cropped_ones_with_a_note(tmp_path: Path) -> None:
    write_casme2(tmp_path)
    write_casme2(tmp_path, cropped=True)
    found = read_dataset("casme2", tmp_path)
    assert all("CASME2_RAW_selected" in one.frames.paths[0].parts for one in found.clips)
    (note,) = found.notes
    assert note.startswith("Whole pictures go before cropped ones, then more frames before fewer")
    assert note.endswith("and so for 3 more.")
    assert str(tmp_path / "Cropped" / "sub01" / "EP01_01f") in note


def test_the_spreadsheet_may_be_the_old_format(tmp_path: Path) -> None:
    write_casme2(tmp_path, label_file="CASME2_label_Ver_2.xls")
    found = read_dataset("casme2", tmp_path)
    assert len(found.table) == 4
    assert found.table["apex"].tolist() == [7] * 4


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("CASME2-coding-20140508.xlsx", "CASME2-coding-20190701.xlsx"),
        ("CASME2-coding-20190701.xlsx", "CASME2-coding-updated.xlsx"),
        ("CASME2_label_Ver_2.xls", "CASME2-coding-20140508.xlsx"),
    ],
)
def test_of_two_spreadsheets_the_newer_is_read(older: str, newer: str, tmp_path: Path) -> None:
    write_casme2(tmp_path, label_file=newer)
    write_casme2(tmp_path, label_file=older, edit=lambda rows: rows.clear())
    found = read_dataset("casme2", tmp_path)
    assert len(found.table) == 4
    if "label" not in older:
        (note,) = found.notes
        assert note == (
            f"Several spreadsheets fit; {tmp_path / newer} was read, not {tmp_path / older}."
        )


def test_a_spreadsheet_of_another_name_is_named_in_the_message(tmp_path: Path) -> None:
    write_casme2(tmp_path, label_file="my labels.xlsx")
    with pytest.raises(KilasError, match=r"there is my labels\.xlsx; .* rename the spreadsheet"):
        read_dataset("casme2", tmp_path)


def test_pictures_without_a_number_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_casme2(tmp_path)
    folder = tmp_path / "CASME2_RAW_selected" / "sub01" / "EP01_01f"
    for name in ("cover.jpg", "img5 (1).jpg", "img05.jpg"):
        (folder / name).write_bytes((folder / "img5.jpg").read_bytes())
    found = read_dataset("casme2", tmp_path)
    assert found.clips[0].frames.numbers == tuple(range(1, 13))
    (note,) = found.notes
    assert note == (
        f"Pictures of {folder} without a number of their own are left out: cover.jpg, "
        "img5 (1).jpg, img5.jpg."
    )


def test_links_are_followed_even_in_circles(tmp_path: Path) -> None:
    write_casme2(tmp_path / "elsewhere")
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere" / "CASME2-coding-20140508.xlsx").rename(
        root / "CASME2-coding-20140508.xlsx"
    )
    (root / "frames").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "frames" / "back").symlink_to(root, target_is_directory=True)
    assert len(read_dataset("casme2", root).clips) == 4
