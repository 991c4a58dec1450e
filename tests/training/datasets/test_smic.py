"""SMIC-HS: numbers of a whole session, several expressions in a clip, remarks below the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realtime.errors import KilasError
from support.dataset_layouts import Cells, write_smic
from training.datasets import read_dataset

FILE = "SMIC-HS-E_annotation.xlsx"


def test_rows_are_read_as_published(tmp_path: Path) -> None:
    write_smic(tmp_path, first=308866)
    found = read_dataset("smic", tmp_path)
    row = found.table.iloc[0]
    assert (row["subject"], row["clip"], row["emotion"]) == ("s01", "s1_sur_01", "surprise")
    assert row["frames"].numbers[0] == 312866
    assert (row["onset"], row["offset"]) == (312869, 312875)
    assert (row["onset_s"], row["offset_s"]) == (0.03, 0.09)
    assert found.skipped == ()


def test_there_is_no_apex(tmp_path: Path) -> None:
    write_smic(tmp_path)
    table = read_dataset("smic", tmp_path).table
    assert table["apex_estimated"].all()
    assert ((table["onset"] + table["offset"]) // 2 == table["apex"]).all()


def test_remarks_below_the_table_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_smic(tmp_path)
    found = read_dataset("smic", tmp_path)
    assert found.notes == (
        f"What stands below the table, from {FILE}, row 9 on, was taken for remarks.",
    )


def test_a_clip_may_have_three_expressions(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        first = rows[0]["FirstF"]
        rows[0].update({"OnsetF": first + 1, "OffsetF": first + 3})
        rows[0].update({"Onset2F": first + 4, "Offset2F": first + 6})
        rows[0].update({"Onset3F": first + 6, "Offset3F": first + 9})

    write_smic(tmp_path, edit=edit)
    found = read_dataset("smic", tmp_path)
    own = found.table[found.table["clip"] == "s1_sur_01"]
    assert own["onset_s"].tolist() == [0.01, 0.04, 0.06]
    assert own["offset_s"].tolist() == [0.03, 0.06, 0.09]
    assert len(found.clips) == 6
    assert found.skipped == ()


def test_an_expression_that_stands_twice_is_named_by_its_number(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        rows[1].update({"Onset2F": rows[1]["OnsetF"], "Offset2F": rows[1]["OffsetF"]})

    write_smic(tmp_path, edit=edit)
    (skip,) = read_dataset("smic", tmp_path).skipped
    assert skip.where == f"{FILE}, row 3, event 2"
    assert f"is what {FILE}, row 3 has" in skip.why


def test_the_other_cameras_have_clips_of_the_same_names(tmp_path: Path) -> None:
    write_smic(tmp_path)
    for camera in ("SMIC-VIS-E", "SMIC_all_raw/NIR", "VIS_long/SMIC-VIS-E/VIS"):
        shutil.copytree(tmp_path / "SMIC-HS-E", tmp_path / camera)
    found = read_dataset("smic", tmp_path)
    assert all("SMIC-HS-E" in one.frames.paths[0].parts for one in found.clips)
    assert len(found.notes) == 1


def test_cropped_frames_lie_in_folders_of_emotions(tmp_path: Path) -> None:
    write_smic(tmp_path, cropped=True)
    found = read_dataset("smic", tmp_path)
    path = found.table["frames"].iloc[0].paths[0]
    assert path.relative_to(tmp_path).as_posix() == (
        "SMIC_all_cropped/HS/s01/micro/surprise/s1_sur_01/reg_image312866.bmp"
    )
    assert len(found.table) == 6


def test_the_version_of_2019_goes_before_the_first(tmp_path: Path) -> None:
    write_smic(tmp_path, label_file="SMIC-HS-E_annotation_2019.xlsx")
    write_smic(tmp_path, edit=lambda rows: rows.clear())
    found = read_dataset("smic", tmp_path)
    assert len(found.table) == 6
    assert found.notes[0].startswith("Several spreadsheets fit; ")


def test_a_clip_of_somebody_else_is_skipped(tmp_path: Path) -> None:
    write_smic(tmp_path, edit=lambda rows: rows[0].update({"Subject": 2}))
    (skip,) = read_dataset("smic", tmp_path).skipped
    assert skip.where == f"{FILE}, row 2"
    assert skip.why == "Subject is 2, but s1_sur_01 is another's; correct the cell"


def test_onsets_without_offsets_are_refused(tmp_path: Path) -> None:
    write_smic(tmp_path, columns=("Subject", "Filename", "Emotion", "OnsetF", "OffsetF", "Onset2F"))
    with pytest.raises(KilasError, match="has 2 columns of onsets and 1 of offsets"):
        read_dataset("smic", tmp_path)
