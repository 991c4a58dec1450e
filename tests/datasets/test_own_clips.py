"""A user's own clips: videos or folders of frames with two tables of seconds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from published_layouts import Cells, write_folder

from realtime.errors import KilasError
from training.datasets import FrameFiles, VideoRange, read_dataset
from training.tables import read_truth

COURSE = ("clip", "onset_s", "apex_s", "release_s", "offset_s", "label", "kind", "intensity")


def test_folders_of_frames(tmp_path: Path) -> None:
    write_folder(tmp_path, frames=12, fps=30.0)
    found = read_dataset("folder", tmp_path)
    row = found.table.iloc[0]
    assert (row["subject"], row["clip"], row["kind"], row["emotion"]) == (
        *("p1", "p1_1", "micro", "surprise"),
    )
    assert (row["onset_s"], row["apex_s"], row["offset_s"]) == (0.1, 0.2, 0.3)
    assert math.isnan(found.table["onset"].astype(float).iloc[0])
    assert isinstance(row["frames"], FrameFiles)
    assert row["frames"].numbers == tuple(range(12))
    assert all(one.is_long for one in found.clips)
    assert found.skipped == ()
    assert found.notes == ()


def test_videos_go_by_their_own_times(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "clips.csv").write_text("clip,subject\na.mp4,01\nb.mp4,02\n")
    (tmp_path / "events.csv").write_text(
        "clip,onset_s,apex_s,offset_s,label,kind,units,release_s,intensity,skew\n"
        "a.mp4,1,1.2,1.5,Positive,macro,6+12,1.3,0.5,0.1\n"
        "a.mp4,2,2.2,2.5,wink,micro,,,,\n"
    )
    found = read_dataset("folder", tmp_path)
    assert [one.subject for one in found.clips] == ["01", "02"]
    assert found.clips[0].frames == VideoRange(tmp_path / "a.mp4")
    assert math.isnan(found.clips[0].fps)
    assert found.table["emotion"].tolist() == ["positive", "wink"]
    assert found.table["kind"].tolist() == ["macro", "micro"]
    assert found.table["au"].tolist() == ["6+12", ""]
    assert found.table["release_s"].tolist()[0] == 1.3
    assert found.table["intensity"].isna().tolist() == [False, True]
    assert found.table["skew"].tolist()[0] == 0.1


@pytest.mark.parametrize("apex", [None, "/"])
def test_an_apex_may_be_missing(apex: str | None, tmp_path: Path) -> None:
    write_folder(tmp_path, edit=lambda rows: rows[0].update({"apex_s": apex}))
    found = read_dataset("folder", tmp_path)
    assert found.table["apex_s"].iloc[0] == pytest.approx(0.2)
    assert found.table["apex_estimated"].tolist() == [True, False, False, False]


def test_no_apex_at_all(tmp_path: Path) -> None:
    write_folder(tmp_path, columns=("clip", "onset_s", "offset_s", "label"))
    found = read_dataset("folder", tmp_path)
    assert found.table["apex_estimated"].all()
    with pytest.raises(KilasError, match="lacks the columns apex_s"):
        read_truth(tmp_path / "events.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"apex_s": "soon"},
            r"Line 2 of .*events\.csv has no onset, apex and offset in that order",
        ),
        ({"apex_s": 9}, r"Line 2 of .*events\.csv has no onset, apex and offset in that order"),
        ({"onset_s": None}, r"Line 2 of .*events\.csv has no onset, apex and offset"),
        ({"release_s": 0}, r"Line 2 of .*events\.csv has no release between apex and offset"),
        ({"release_s": "soon"}, r"Line 2 of .*events\.csv has no release between apex and offset"),
        ({"intensity": 0}, r"Line 2 of .*events\.csv has no intensity above 0"),
        ({"kind": "tiny"}, r"events\.csv has the kind tiny"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_line(
    change: Cells, said: str, tmp_path: Path
) -> None:
    def edit(rows: list[Cells]) -> None:
        for row in rows:
            row["kind"] = "micro"
        rows[0].update(change)

    write_folder(tmp_path, edit=edit, columns=COURSE)
    with pytest.raises(KilasError, match=said):
        read_dataset("folder", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": None}, "label is empty; say what is expressed"),
        ({"clip": "p9_9"}, "clips.csv has no usable clip p9_9; add it there"),
        (
            {"onset_s": 100, "apex_s": 200, "offset_s": 300},  # milliseconds
            "100 s to 300 s lies outside of p1_1, which ends at 0.4 s; times are seconds",
        ),
        ({"onset_s": -1}, "-1 s to 0.3 s lies outside of p1_1"),
        ({"apex_s": None, "offset_s": "inf"}, "0.1 s to inf s lies outside of p1_1"),
    ],
)
def test_a_row_that_cannot_be_is_skipped(change: Cells, said: str, tmp_path: Path) -> None:
    write_folder(tmp_path, edit=lambda rows: rows[0].update(change))
    found = read_dataset("folder", tmp_path)
    (skip,) = found.skipped
    assert skip.where == "events.csv, row 2"
    assert skip.why.startswith(said)
    assert len(found.table) == 3


def test_two_rows_for_one_stretch_are_told(tmp_path: Path) -> None:
    write_folder(tmp_path, edit=lambda rows: rows.insert(1, dict(rows[0])))
    (skip,) = read_dataset("folder", tmp_path).skipped
    assert skip.where == "events.csv, row 3"
    assert "0.1 to 0.3 of p1_1 is what events.csv, row 2 has; keep one of them" in skip.why


def test_folders_of_frames_need_a_rate_and_frames(tmp_path: Path) -> None:
    write_folder(tmp_path, edit_clips=lambda rows: rows[0].update({"fps": None}))
    (tmp_path / "p1_2" / "kept.txt").touch()
    for path in (tmp_path / "p1_2").glob("*.png"):
        path.unlink()
    found = read_dataset("folder", tmp_path)
    assert [(one.where, one.why) for one in found.skipped] == [
        (
            "clips.csv, row 2",
            "p1_1 is a folder of frames without an fps; say how many a second",
        ),
        ("clips.csv, row 3", "the folder p1_2 has no pictures with a number; add them"),
        ("events.csv, row 2", "clips.csv has no usable clip p1_1; add it there"),
        ("events.csv, row 3", "clips.csv has no usable clip p1_2; add it there"),
    ]


def test_a_clip_of_nobody_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, edit_clips=lambda rows: rows[1].update({"subject": None}))
    with pytest.raises(KilasError, match=r"clips\.csv has no subject for p1_2; say who it shows"):
        read_dataset("folder", tmp_path)


def test_a_clip_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, edit_clips=lambda rows: rows[1].update({"clip": "lost"}))
    with pytest.raises(KilasError, match="names lost, which is not beside it"):
        read_dataset("folder", tmp_path)


def test_subjects_that_look_alike_are_noted(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        for row, subject in zip(rows, ("1", "01", "ann", "Ann"), strict=True):
            row["subject"] = subject

    write_folder(tmp_path, edit_clips=edit)
    found = read_dataset("folder", tmp_path)
    assert [note.partition(";")[0] for note in found.notes] == [
        "clips.csv has the subjects 01 and 1",
        "clips.csv has the subjects Ann and ann",
    ]


def test_no_event_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, edit=lambda rows: rows.clear())
    with pytest.raises(KilasError, match=r"No row of .*events\.csv is left"):
        read_dataset("folder", tmp_path)
