"""A user's own clips: videos or folders of frames with two tables of seconds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from realtime.errors import KilasError
from support.dataset_layouts import Cells, write_folder
from support.sources import steady, write_clip
from training.annotations.tables import read_truth
from training.datasets import read_dataset
from training.datasets.records import FrameFiles, VideoRange

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
        ({"clip": None}, "it names no clip; give the file name of its video"),
        ({"apex_s": "soon"}, "it has no onset, apex and offset in that order; give seconds"),
        ({"apex_s": 9}, "it has no onset, apex and offset in that order; give seconds"),
        ({"onset_s": 0.25}, "it has no onset, apex and offset in that order; give seconds"),
        ({"onset_s": None}, "it has no onset, apex and offset in that order; give seconds"),
        ({"release_s": 0}, "it has no release between apex and offset; give seconds"),
        ({"release_s": "soon"}, "it has no release between apex and offset; give seconds"),
        ({"intensity": 0}, "it has no intensity above 0; give 1 for the full range"),
        ({"skew": "left"}, "it has a skew that is no number; give one"),
        ({"units": "6+3"}, "it has unknown units; write them as 1+2L+5*0.6"),
        ({"kind": "tiny"}, "it has the kind 'tiny'; an expression is micro or macro"),
    ],
)
def test_a_row_whose_course_cannot_be_is_skipped(change: Cells, said: str, tmp_path: Path) -> None:
    whole = {"kind": "micro", "release_s": 0.25, "intensity": 0.5, "skew": 0.1, "units": "6+12"}

    def edit(rows: list[Cells]) -> None:
        for row in rows:
            row.update(whole)
        rows[1].update(change)

    write_folder(tmp_path, edit=edit, columns=(*COURSE, "skew", "units"))
    found = read_dataset("folder", tmp_path)
    (skip,) = found.skipped
    assert skip.where == "events.csv, row 3"
    assert skip.why.startswith(said)
    assert found.table["clip"].tolist() == ["p1_1", "p2_1", "p2_2"]
    # A word in one cell leaves the numbers in the others what they are.
    for name in ("release_s", "intensity", "skew"):
        assert found.table[name].tolist() == [whole[name]] * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": None}, "label is empty; name the expression"),
        ({"label": "NONE"}, "the label none is reserved for the absence of an expression; take"),
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
            "p1_1 is a folder of frames without an fps; give its frames a second",
        ),
        ("clips.csv, row 3", "the folder p1_2 has no pictures with a number; add them"),
        ("events.csv, row 2", "clips.csv has no usable clip p1_1; add it there"),
        ("events.csv, row 3", "clips.csv has no usable clip p1_2; add it there"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subject": None}, "there is no subject for p1_2; name the person that it shows"),
        ({"clip": "lost"}, "it names lost, which is not beside it; add the video"),
        ({"clip": None}, "it names no clip; give the file name of its video"),
        ({"clip": "p1_1"}, "it names p1_1 a second time; give each clip one row"),
    ],
)
def test_a_clip_that_cannot_be_is_skipped_with_its_expressions(
    change: Cells, said: str, tmp_path: Path
) -> None:
    write_folder(tmp_path, edit_clips=lambda rows: rows[1].update(change))
    found = read_dataset("folder", tmp_path)
    assert [(one.where, one.why) for one in found.skipped] == [
        ("clips.csv, row 3", said),
        ("events.csv, row 3", "clips.csv has no usable clip p1_2; add it there"),
    ]
    assert [one.clip for one in found.clips] == ["p1_1", "p2_1", "p2_2"]
    assert found.table["clip"].tolist() == ["p1_1", "p2_1", "p2_2"]


def test_clips_of_nobody_at_all_are_refused_with_the_first_reason(tmp_path: Path) -> None:
    write_folder(tmp_path, edit_clips=lambda rows: [row.update(subject=None) for row in rows])
    with pytest.raises(
        KilasError, match=r"No row of .*events\.csv is left, 8 .*: clips\.csv, row 2: there is no"
    ):
        read_dataset("folder", tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("clips.csv", None, r"clips\.csv cannot be read"),
        ("events.csv", None, r"events\.csv cannot be read"),
        ("clips.csv", "clip,fps\np1_1,30\n", r"clips\.csv lacks the columns subject; add"),
        ("events.csv", "clip,onset_s,label\np1_1,1,x\n", "lacks the columns offset_s; add"),
    ],
)
def test_a_whole_table_that_cannot_be_is_refused(
    file: str, content: str | None, said: str, tmp_path: Path
) -> None:
    write_folder(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(KilasError, match=said):
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


def test_times_beyond_the_end_of_a_video_are_skipped(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", steady(30, 60))
    (tmp_path / "clips.csv").write_text("clip,subject\na.mp4,01\n")
    (tmp_path / "events.csv").write_text(
        "clip,onset_s,apex_s,offset_s,label\na.mp4,1,1.2,1.5,wink\na.mp4,600,700,900,wink\n"
    )
    found = read_dataset("folder", tmp_path)
    assert found.table["onset_s"].tolist() == [1.0]
    (skipped,) = found.skipped
    assert "600 s to 900 s lies outside of a.mp4, which ends at 2 s" in skipped.why
