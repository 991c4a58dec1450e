"""CAS(ME)³ part A: numbers as text, the sheet `label`, recordings or folders of expressions."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from realtime.errors import KilasError
from support.dataset_layouts import CASME3_COLUMNS, Cells, write_casme3, write_xlsx
from training.datasets import read_dataset

FILE = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"


def test_rows_are_read_as_published(tmp_path: Path) -> None:
    write_casme3(tmp_path)
    sheet = openpyxl.load_workbook(tmp_path / FILE)["label"]
    assert {type(sheet.cell(2, column).value) for column in (3, 4, 5)} == {str}
    found = read_dataset("casme3", tmp_path)
    row = found.table.iloc[0]
    assert (row["subject"], row["clip"], row["emotion"]) == ("spNO.1", "spNO.1/a", "fear")
    assert (row["onset"], row["apex"], row["offset"]) == (174, 178, 182)
    assert row["frames"].paths[5] == tmp_path / "part_A" / "spNO.1" / "a" / "color" / "175.jpg"
    assert row["onset_s"] == pytest.approx(4 / 30)
    assert found.skipped == ()
    assert found.notes == ()


def test_depth_pictures_are_not_read(tmp_path: Path) -> None:
    write_casme3(tmp_path)
    write_casme3(tmp_path / "cut out", cut_out=True)
    for root in (tmp_path, tmp_path / "cut out"):
        clips = read_dataset("casme3", root).clips
        assert clips
        assert all(path.suffix == ".jpg" for one in clips for path in one.frames.paths)


def test_one_folder_for_each_expression(tmp_path: Path) -> None:
    write_casme3(tmp_path, cut_out=True)
    found = read_dataset("casme3", tmp_path)
    assert found.table["clip"].tolist()[:2] == ["spNO.1/a/174", "spNO.1/b/174"]
    assert found.table["onset_s"].tolist() == [0.0] * 4
    assert found.clips[0].frames.paths[0].parent.name == "spNO.1_a_174"
    assert not any(one.is_long for one in found.clips)
    assert found.skipped == ()


def test_an_onset_at_the_apex_is_allowed(tmp_path: Path) -> None:
    write_casme3(tmp_path, edit=lambda rows: rows[0].update({"Apex": rows[0]["Onset"]}))
    found = read_dataset("casme3", tmp_path)
    assert found.skipped == ()
    assert found.table["apex"].iloc[0] == found.table["onset"].iloc[0]


def test_emotions_are_spelled_alike(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        for row, emotion in zip(rows, ("Others", "others", "Other", " Disgust "), strict=True):
            row["emotion"] = emotion

    write_casme3(tmp_path, edit=edit)
    found = read_dataset("casme3", tmp_path)
    assert found.table["emotion"].tolist() == ["others", "others", "others", "disgust"]


def test_several_expressions_in_a_recording(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        rows.insert(1, {**rows[0], "Onset": rows[0]["Offset"], "Apex": "183", "Offset": "185"})

    write_casme3(tmp_path, edit=edit)
    found = read_dataset("casme3", tmp_path)
    assert found.table["clip"].tolist()[:2] == ["spNO.1/a", "spNO.1/a"]
    assert len(found.clips) == 4


@pytest.mark.parametrize(("subject", "letter"), [("spNo.1", "A"), ("SPNO.1", "a"), ("spno1", "A")])
def test_case_varies(subject: str, letter: str, tmp_path: Path) -> None:
    write_casme3(
        tmp_path, edit=lambda rows: rows[0].update({"Subject": subject, "Filename": letter})
    )
    found = read_dataset("casme3", tmp_path)
    assert found.skipped == ()
    assert found.table["subject"].iloc[0] == "spNO.1"


def test_the_sheet_called_label_goes_before_others(tmp_path: Path) -> None:
    write_casme3(tmp_path)
    book = openpyxl.load_workbook(tmp_path / FILE)
    rows = [list(row) for row in book["label"].values]
    old = [CASME3_COLUMNS, ["spNO.9", "z", "1", "2", "3", "4", "4", "fear"]]
    write_xlsx(tmp_path / FILE, {"old": old, "label": rows})
    assert len(read_dataset("casme3", tmp_path).table) == 4


def test_a_sheet_of_another_name_is_read_where_it_fits(tmp_path: Path) -> None:
    write_casme3(tmp_path, sheet="Sheet1")
    assert len(read_dataset("casme3", tmp_path).table) == 4


def test_a_workbook_without_a_fitting_sheet_is_refused(tmp_path: Path) -> None:
    write_casme3(tmp_path)
    write_xlsx(tmp_path / FILE, {"readme": [["nothing here"]], "label": [["Subject", "Onset"]]})
    with pytest.raises(KilasError) as caught:
        read_dataset("casme3", tmp_path)
    assert (
        "lacks the columns Apex, Filename, Offset, emotion in the first 30 rows of "
        "the sheets readme, label; there must be Subject, Filename, Onset, Apex, Offset, emotion."
    ) in str(caught.value)


def test_the_sheet_of_macro_expressions_is_not_taken_for_it(tmp_path: Path) -> None:
    write_casme3(tmp_path)
    write_casme3(
        tmp_path,
        label_file="cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx",
        edit=lambda rows: rows.clear(),
    )
    found = read_dataset("casme3", tmp_path)
    assert len(found.table) == 4
    assert found.notes == ()


def test_a_subject_that_is_none_is_skipped(tmp_path: Path) -> None:
    write_casme3(tmp_path, edit=lambda rows: rows[0].update({"Subject": "somebody"}))
    (skip,) = read_dataset("casme3", tmp_path).skipped
    assert skip.where == f"{FILE}, row 2"
    assert skip.why == "Subject is 'somebody', which is no name like spNO.1; correct the cell"
