"""SAMM and SAMM Long Videos: the header far down, emotions from the other's spreadsheet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from support.dataset_layouts import Cells, write_samm, write_samm_lv
from training.datasets import read_dataset

FILE = "SAMM_LongVideos_V1_Release.xlsx"


def test_rows_of_samm_are_read_as_published(tmp_path: Path) -> None:
    write_samm(tmp_path)
    found = read_dataset("samm", tmp_path)
    row = found.table.iloc[1]
    assert (row["subject"], row["clip"], row["emotion"]) == ("006", "006_2_2", "anger")
    assert (row["onset"], row["apex"], row["offset"]) == (5765, 5768, 5771)
    assert row["frames"].paths[0].name == "006_05762.jpg"
    assert (row["onset_s"], row["au"]) == (0.015, "AU4 or AU7")
    assert found.skipped == ()
    assert found.notes == ()


@pytest.mark.parametrize("above", [0, 1, 13])
def test_the_header_of_samm_may_be_on_another_row(above: int, tmp_path: Path) -> None:
    write_samm(tmp_path, preamble=[["SAMM"]] * above, edit=lambda rows: rows[0].clear())
    found = read_dataset("samm", tmp_path)
    assert len(found.table) == 3
    write_samm(
        tmp_path,
        preamble=[["SAMM"]] * above,
        edit=lambda rows: rows[0].update({"Onset Frame": "soon"}),
    )
    (skip,) = read_dataset("samm", tmp_path).skipped
    assert skip.where == f"SAMM_Micro_FACS_Codes_v2.xlsx, row {above + 2}"


def test_the_spreadsheet_of_samm_may_have_a_date_in_its_name(tmp_path: Path) -> None:
    write_samm(tmp_path, label_file="SAMM_20181215_Micro_FACS_Codes_v2.xlsx")
    assert len(read_dataset("samm", tmp_path).table) == 4


def test_subjects_of_samm_may_be_numbers(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        for row in rows:
            row["Subject"] = int(row["Subject"])

    write_samm(tmp_path, edit=edit)
    assert set(read_dataset("samm", tmp_path).table["subject"]) == {"006", "007"}


def test_a_subject_that_contradicts_the_file_name_is_skipped(tmp_path: Path) -> None:
    write_samm(tmp_path, edit=lambda rows: rows[0].update({"Subject": "011"}))
    (skip,) = read_dataset("samm", tmp_path).skipped
    assert skip.why == "Subject is 011, but 006_1_2 is another's; correct the cell"


def test_a_name_that_is_none_is_skipped(tmp_path: Path) -> None:
    write_samm(tmp_path, edit=lambda rows: rows[0].update({"Filename": "006-1-2"}))
    (skip,) = read_dataset("samm", tmp_path).skipped
    assert skip.why == "Filename is '006-1-2', which is no name like 006_1_2; correct the cell"


def test_rows_of_long_videos_are_read_as_published(tmp_path: Path) -> None:
    write_samm_lv(tmp_path)
    write_samm(tmp_path, with_frames=False)
    found = read_dataset("samm-lv", tmp_path)
    table = found.table
    assert table["clip"].tolist()[:4] == ["006_1", "006_1", "006_2", "006_2"]
    assert table["kind"].tolist()[:2] == ["micro", "macro"]
    assert table["onset"].tolist()[:2] == [4, 16]
    emotions = table["emotion"].tolist()[:4]
    assert [None if pd.isna(one) else one for one in emotions] == ["other", None, "anger", None]
    assert [one.clip for one in found.clips] == [
        *("006_1", "006_2", "006_3", "007_1", "007_2", "007_3"),
    ]
    assert found.clips[0].frames.paths[0].name == "006_1_0001.jpg"
    assert all(one.is_long for one in found.clips)
    assert found.skipped == ()
    assert found.notes == ()


@pytest.mark.parametrize("place", [".", "SAMM", "samm short"])
def test_emotions_are_looked_for_beside_the_root_too(place: str, tmp_path: Path) -> None:
    write_samm_lv(tmp_path / "SAMM_LV")
    write_samm(tmp_path / place)
    found = read_dataset("samm-lv", tmp_path / "SAMM_LV")
    micro = found.table[found.table["kind"] == "micro"]
    assert micro["emotion"].notna().all()


def test_frames_of_samm_below_the_same_root_are_no_long_videos(tmp_path: Path) -> None:
    write_samm_lv(tmp_path)
    write_samm(tmp_path)
    assert len(read_dataset("samm-lv", tmp_path).clips) == 6
    assert len(read_dataset("samm", tmp_path).clips) == 4


def test_without_the_other_spreadsheet_expressions_have_no_emotion(tmp_path: Path) -> None:
    write_samm_lv(tmp_path / "root")
    found = read_dataset("samm-lv", tmp_path / "root")
    assert len(found.table) == 8
    assert found.table["emotion"].isna().all()
    (note,) = found.notes
    assert note.startswith("There is no SAMM_Micro_FACS_Codes_v2.xlsx below or beside ")


def test_expressions_that_the_other_spreadsheet_lacks_are_counted(tmp_path: Path) -> None:
    write_samm_lv(tmp_path)
    write_samm(tmp_path, subjects=1, with_frames=False)
    found = read_dataset("samm-lv", tmp_path)
    assert found.notes == (
        "Micro-expressions that have no emotion, because no row of "
        "SAMM_Micro_FACS_Codes_v2.xlsx names them: 2.",
    )


def test_a_typo_in_the_other_spreadsheet_is_told(tmp_path: Path) -> None:
    write_samm_lv(tmp_path)
    write_samm(
        tmp_path,
        with_frames=False,
        edit=lambda rows: rows[0].update({"Estimated Emotion": "Supprise"}),
    )
    found = read_dataset("samm-lv", tmp_path)
    assert found.table["emotion"].isna().tolist()[:4] == [True, True, False, True]
    assert found.notes[0] == (
        "SAMM_Micro_FACS_Codes_v2.xlsx, row 15: the emotion 'Supprise' is none of anger, contempt, "
        "disgust, fear, happiness, sadness, surprise, other; correct the word."
    )


def test_a_macro_expression_from_before_the_video_is_cut_to_it(tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows[1].update({"Onset": 0}))
    found = read_dataset("samm-lv", tmp_path)
    assert found.skipped == ()
    row = found.table.iloc[1]
    assert (row["kind"], row["onset"], row["onset_s"]) == ("macro", 1, 0.0)


def test_an_offset_of_0_means_the_apex(tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows[1].update({"Offset": 0}))
    row = read_dataset("samm-lv", tmp_path).table.iloc[1]
    assert (row["onset"], row["apex"], row["offset"]) == (16, 19, 19)
    assert not row["apex_estimated"]


def test_neither_apex_nor_offset_is_skipped(tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows[1].update({"Apex": 0, "Offset": 0}))
    (skip,) = read_dataset("samm-lv", tmp_path).skipped
    assert skip.why == "there is neither an apex nor an offset; fill one in"


@pytest.mark.parametrize(("said", "kind"), [("Micro 1/2", "micro"), ("MACRO", "macro")])
def test_types_are_told_by_how_they_begin(said: str, kind: str, tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows[0].update({"Type": said}))
    assert read_dataset("samm-lv", tmp_path).table["kind"].iloc[0] == kind


def test_an_unknown_type_is_skipped(tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows[0].update({"Type": "Mirco"}))
    (skip,) = read_dataset("samm-lv", tmp_path).skipped
    assert skip.why == "Type is 'Mirco', which is neither Macro nor Micro; correct the cell"


def test_the_last_version_of_the_long_videos_is_read(tmp_path: Path) -> None:
    write_samm_lv(tmp_path, edit=lambda rows: rows.clear())
    write_samm_lv(tmp_path, label_file="SAMM_LongVideos_V3_Release.xlsx")
    write_samm_lv(tmp_path, label_file="SAMM_LongVideos_V2_Release.xlsx", edit=lambda r: r.clear())
    found = read_dataset("samm-lv", tmp_path)
    assert len(found.table) == 8
    assert found.notes[0].startswith("Several spreadsheets fit; ")
