"""Datasets to streams: which pictures are read, at which times, and what is said of the others."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import KilasError
from realtime.faces.landmarks import view_68
from realtime.faces.tracker import FaceTracker
from realtime.parallel.process_pool import map_ordered
from realtime.preprocessing.regions import extract_regions
from realtime.preprocessing.windowing import UniformClock
from realtime.spec import LAYOUTS, ModelSpec, RegionLayout
from realtime.types import Frame
from support.dataset_layouts import (
    SMIC_SHORT,
    Cells,
    Image,
    Picture,
    Shot,
    emotion_of,
    write_casme2,
    write_casme_squared,
    write_fer2013,
    write_folder,
    write_samm,
    write_samm_lv,
    write_smic,
)
from training.datasets import read_dataset
from training.datasets.records import LONGEST_LIST, Clip, FrameFiles, Skipped
from training.preparation import prepare as preparing
from training.preparation.prepare import ALL, Pictures, Summary, format_summary, prepare
from training.preparation.sequence_file import SequenceFile, full_table, open_sequence_file
from training.recipe import load_recipe

FACE_PX = 160

MASKED = load_recipe("dp-3dnet").spec
SPEC = dataclasses.replace(MASKED, mask="none")

WALL = np.full((FACE_PX, FACE_PX, 3), 90, np.uint8)
"""A picture without a face."""

SMIC_CLIPS = [f"s1_{SMIC_SHORT[emotion_of('smic', 1, clip)]}_{clip:02d}" for clip in range(1, 5)]
"""As `write_smic` names the clips of its first subject."""


@pytest.fixture(scope="module")
def face(astronaut_bgr: Image) -> Image:
    return cv2.resize(astronaut_bgr[20:300, 90:370], (FACE_PX, FACE_PX))


@pytest.fixture(scope="module")
def picture(face: Image) -> Callable[[Shot], Image]:
    """A face that moves a little where an expression is shown."""
    return lambda shot: np.roll(face, round(3 * shot.strength), axis=0)


def open_prepared(
    dataset: str, root: Path, spec: ModelSpec = SPEC, jobs: int = 1
) -> tuple[Summary, SequenceFile]:
    out = root.with_name(f"{root.name}.npz")
    return prepare(dataset, root, out, spec, jobs), open_sequence_file(out)


def pictures_of(root: Path, pattern: str) -> dict[int, Path]:
    """The pictures below a root, by their place in the order of their names."""
    return dict(enumerate(sorted(root.rglob(pattern))))


def show_face_of_clips(picture: Callable[[Shot], Image], *clips: int) -> Picture:
    return lambda shot: picture(shot) if shot.clip in clips else WALL


# Which pictures, and when.


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.sets(st.integers(0, 10**6), min_size=1, max_size=8),
    fps=st.sampled_from([25.0, 29.97, 30.0, 100.0, 200.0]),
)
def test_times_follow_from_the_numbers_of_the_frames(numbers: set[int], fps: float) -> None:
    ordered = sorted(numbers)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"img{number}.png") for number in ordered]
        for path in paths:
            assert cv2.imwrite(str(path), WALL[:4, :4])
        frames = FrameFiles(tuple(paths), tuple(ordered))
        pictures = Pictures(Clip("ann", "a", fps, frames, is_long=True), ALL)
        read = list(pictures)
    assert [frame.id for frame in read] == [number - ordered[0] for number in ordered]
    assert [frame.t_s for frame in read] == [(number - ordered[0]) / fps for number in ordered]
    assert not pictures.fault


@pytest.mark.parametrize(
    ("fps", "times_s"),
    [
        (30.0, [(0, 19 / 30)]),  # three lacking frames are 0.13 s from one to the next
        (15.0, [(0, 7 / 15), (11 / 15, 19 / 15)]),  # and here 0.27 s
    ],
)
def test_a_gap_in_the_numbers_is_a_gap_in_time(
    picture: Picture, tmp_path: Path, fps: float, times_s: list[tuple[float, float]]
) -> None:
    assert 4 / 30 < SPEC.max_gap_s < 4 / 15
    root = tmp_path / "own"
    write_folder(root, subjects=1, clips=1, frames=20, fps=fps, picture=picture)
    for lacking in (8, 9, 10):
        (root / "p1_1" / f"{lacking:04d}.png").unlink()
    summary, file = open_prepared("folder", root)
    found = [(one.t_s[0], one.t_s[-1]) for one in file.streams]
    # To a slot: the one that was being filled when a gap began may be lost.
    assert np.allclose(found, times_s, atol=1.01 / SPEC.rate_hz)
    for one in file.streams:
        assert np.allclose(np.diff(one.t_s), 1 / SPEC.rate_hz)
    assert summary.streams == len(file.streams)
    assert summary.slots == sum(len(one.t_s) for one in file.streams)


def test_another_face_begins_another_stream(face: Image, tmp_path: Path) -> None:
    def draw(shot: Shot) -> Image:
        scene = np.tile(WALL, (2, 2, 1))
        corner = slice(0, FACE_PX) if shot.frame < 10 else slice(FACE_PX, 2 * FACE_PX)
        scene[corner, corner] = face  # nobody moves so far within a frame
        return scene

    write_folder(tmp_path / "own", subjects=1, clips=1, frames=20, picture=draw)
    before, after = open_prepared("folder", tmp_path / "own")[1].streams
    assert (before.t_s[0], len(before.t_s)) == (0.0, 10)
    assert after.t_s[-1] == pytest.approx(19 / 30)
    assert after.t_s[0] - before.t_s[-1] <= SPEC.max_gap_s  # it is no gap that divides them


def test_frames_at_200_hz_are_averaged_to_the_clock(picture: Picture, tmp_path: Path) -> None:
    root = tmp_path / "CASME2"
    write_casme2(root, subjects=1, clips=1, frames=40, picture=picture)
    _, file = open_prepared("casme2", root)
    (stream,) = file.streams
    slots: dict[int, list[Image]] = {}
    for frame, regions in live(root, "img*.jpg", 200.0, SPEC, "single"):
        slots.setdefault(round(frame.t_s * SPEC.rate_hz), []).append(regions[0])
    assert [len(own) for own in slots.values()] == [4, 6, 7, 7, 7, 6, 3]
    means = [np.floor(np.mean(own, axis=0) + 0.5) for own in slots.values()]
    assert np.array_equal(stream.faces, means)
    assert np.allclose(stream.t_s, np.array([*slots]) / SPEC.rate_hz)


def live(
    root: Path, pattern: str, fps: float, spec: ModelSpec, layout: RegionLayout
) -> Iterator[tuple[Frame, npt.NDArray[np.uint8]]]:
    """Frames and regions, as the monitor makes them of a camera's pictures."""
    numbered = sorted(
        (int("".join(filter(str.isdigit, path.stem))), path) for path in root.rglob(pattern)
    )
    with FaceTracker() as track_faces:
        for number, path in numbered:
            frame = Frame(number, (number - numbered[0][0]) / fps, cv2.imread(str(path)))
            for face in track_faces(frame):
                points = None if spec.mask == "none" else view_68(face.points_xy)
                yield (
                    frame,
                    extract_regions(frame.image_bgr, face.transform, layout, spec.mask, points),
                )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_networks_are_trained_on_what_the_live_path_will_show_them(
    picture: Picture, tmp_path: Path, layout: RegionLayout
) -> None:
    root = tmp_path / "SMIC"
    write_smic(root, subjects=1, clips=1, frames=40, picture=picture)
    _, file = open_prepared("smic", root, MASKED)
    (stream,) = file.streams
    clock = UniformClock(MASKED.rate_hz, MASKED.max_gap_s)
    slots = []
    for frame, regions in live(root, "image*.jpg", 100.0, MASKED, layout):
        slots += clock.push(frame.t_s, regions)
    slots += clock.flush()
    assert len(slots) == len(stream.faces) == 13
    for slot, t_s, face in zip(slots, stream.t_s, stream.faces, strict=True):
        boxes = LAYOUTS[layout]
        cut = [face[top:bottom, left:right] for left, top, right, bottom in boxes]
        assert np.array_equal(slot.regions, cut)
        assert slot.t_s == t_s


def test_the_mask_of_the_recipe_is_painted(picture: Picture, tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_folder(root, subjects=1, clips=1, fps=SPEC.rate_hz, picture=picture)
    (bare,) = open_prepared("folder", root, SPEC)[1].streams
    _, file = open_prepared("folder", root, MASKED)
    (masked,) = file.streams
    is_painted = bare.faces != masked.faces
    assert file.mask == MASKED.mask
    assert not masked.faces[is_painted].any()
    for half in np.split(is_painted, 2, axis=1):  # eyes and mouth
        assert 0.01 < half.mean() < 0.3


def keep_each(root: Path, pattern: str, step: int) -> None:
    """Leave out frames, so that a clip of many seconds has few."""
    for place, path in pictures_of(root, pattern).items():
        if place % step:
            path.unlink()


def test_of_a_short_clip_what_surrounds_its_expressions_is_read(
    picture: Picture, tmp_path: Path
) -> None:
    def two_expressions(rows: list[Cells]) -> None:
        (row,) = rows
        first = row["FirstF"]
        row.update({"OnsetF": first + 300, "OffsetF": first + 320})
        row.update({"Onset2F": first + 350, "Offset2F": first + 400})

    root = tmp_path / "SMIC"
    write_smic(root, subjects=1, clips=1, frames=500, picture=picture, edit=two_expressions)
    keep_each(root, "image*.jpg", 10)
    summary, file = open_prepared("smic", root)
    (stream,) = file.streams
    # From 2 s before the first expression to 0.6 s after the second; the clip goes from 0 to 4.9 s.
    assert stream.t_s[0] == 1.0
    assert stream.t_s[-1] == pytest.approx(4.6, abs=0.5 / SPEC.rate_hz)
    assert len(stream.events) == 2
    assert not summary.skipped


def test_long_recordings_are_read_whole_also_without_an_expression(
    picture: Picture, tmp_path: Path
) -> None:
    def late(rows: list[Cells]) -> None:
        rows[0].update({"onset": 100, "apex": 104, "offset": 108})

    root = tmp_path / "CASME2"
    write_casme_squared(root, subjects=1, clips=1, frames=151, picture=picture, edit=late)
    for recording in (root / "rawpic" / "s15").iterdir():
        keep_each(recording, "*.jpg", 5)
    summary, file = open_prepared("casme-squared", root)
    assert [(one.t_s[0], one.t_s[-1]) for one in file.streams] == [(0.0, 5.0)] * 2
    assert [len(one.events) for one in file.streams] == [1, 0]
    assert not summary.skipped


# What cannot be used is told.


def damage(path: Path, how: str) -> None:
    """As interrupted copies and broken disks do it."""
    whole = path.read_bytes()
    bitmap = cv2.imencode(".bmp", WALL)[1].tobytes()
    damaged = {
        "empty": b"",
        "junk": b"not a picture",
        "half a JPEG": whole[: len(whole) // 2],
        "JPEG without its last byte": whole[:-1],
        "absurd size": bitmap[:18] + b"\xff\xff\xff\x7f" + bitmap[22:],
    }
    path.write_bytes(damaged[how])


def test_a_damaged_picture_leaves_a_hole_and_is_counted(picture: Picture, tmp_path: Path) -> None:
    for name in ("damaged", "lacking"):
        write_smic(tmp_path / name, subjects=1, clips=1, frames=30, picture=picture)
    kinds = ("empty", "junk", "half a JPEG", "JPEG without its last byte", "absurd size")
    places = (5, 6, 13, 20, 25)
    for how, place in zip(kinds, places, strict=True):
        damage(pictures_of(tmp_path / "damaged", "*.jpg")[place], how)
    lacking = pictures_of(tmp_path / "lacking", "*.jpg")
    for place in places:
        lacking[place].unlink()
    summary, file = open_prepared("smic", tmp_path / "damaged")
    assert f"{SMIC_CLIPS[0]}: 5 of 30 pictures cannot be read (5 damaged)." in summary.notes
    assert not summary.skipped
    (stream,) = file.streams
    (without,) = open_prepared("smic", tmp_path / "lacking")[1].streams
    assert np.array_equal(stream.faces, without.faces)
    assert np.array_equal(stream.t_s, without.t_s)


def test_a_damaged_picture_may_be_the_first(picture: Picture, tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_folder(root, subjects=1, clips=1, frames=12, picture=picture)
    damage(root / "p1_1" / "0000.png", "junk")
    (stream,) = open_prepared("folder", root)[1].streams
    assert stream.t_s[0] == pytest.approx(1 / 30)  # the clip's time goes by the numbers


def test_what_shows_no_face_is_skipped_and_says_why(
    picture: Callable[[Shot], Image], tmp_path: Path
) -> None:
    def draw(shot: Shot) -> Image:
        is_seen = shot.clip == 4 or (shot.clip == 3 and shot.frame < 3)
        return picture(shot) if is_seen else WALL

    root = tmp_path / "SMIC"
    write_smic(root, subjects=1, clips=4, frames=24, picture=draw)
    for path in pictures_of(root / "SMIC-HS-E" / "s01" / SMIC_CLIPS[0], "*.jpg").values():
        damage(path, "junk")
    damage(pictures_of(root, f"{SMIC_CLIPS[1]}/*.jpg")[0], "junk")
    damage(pictures_of(root, f"{SMIC_CLIPS[2]}/*.jpg")[5], "junk")
    summary, file = open_prepared("smic", root)
    skipped = {one.where: one.why for one in summary.skipped}
    assert skipped == {
        SMIC_CLIPS[0]: "24 of 24 pictures cannot be read (24 damaged)",
        SMIC_CLIPS[1]: "no face was found in any of its pictures (23); "
        "1 of 24 pictures cannot be read (1 damaged)",
        SMIC_CLIPS[2]: "no face is seen at its apex at 0.12 s "
        "(1 of 24 pictures cannot be read (1 damaged))",
    }
    assert len(summary.skipped) == 3
    assert [one.clip for one in file.streams] == list(SMIC_CLIPS[2:])
    assert summary.clips == 2
    assert len(file.table) == 4  # whoever uses it sees what is missing

    told = format_summary(summary, tmp_path / "SMIC.npz")
    beside = tmp_path / "SMIC.skipped.csv"
    assert f"Skipped, 3 in all (see {beside})" in told
    written = pd.read_csv(beside)
    assert list(zip(written["where"], written["why"], strict=True)) == list(skipped.items())
    for where, why in skipped.items():
        assert f"{where}: {why}" in told


def test_a_long_list_is_told_in_short_and_goes_away_with_its_cause(
    picture: Callable[[Shot], Image], tmp_path: Path
) -> None:
    def without_emotion(rows: list[Cells]) -> None:
        for row in rows[1:]:
            row["Emotion"] = "bored"

    root, out = tmp_path / "SMIC", tmp_path / "SMIC.npz"
    count = LONGEST_LIST + 3
    sizes = {"subjects": 1, "clips": count, "frames": 8, "picture": picture}
    write_smic(root, **sizes, edit=without_emotion)
    summary, _ = open_prepared("smic", root)
    told = format_summary(summary, out)
    assert told.count("'bored'") == LONGEST_LIST
    assert f"and {count - 1 - LONGEST_LIST} more" in told
    beside = tmp_path / "SMIC.skipped.csv"
    assert len(pd.read_csv(beside)) == count - 1
    format_summary(dataclasses.replace(summary, skipped=()), out)
    assert not beside.exists()


def test_recordings_that_show_no_face_are_skipped_once(
    picture: Callable[[Shot], Image], tmp_path: Path
) -> None:
    root = tmp_path / "SAMM-LV"
    seen = show_face_of_clips(picture, 2)
    write_samm_lv(root, subjects=1, clips=2, frames=24, picture=seen)
    summary, _ = open_prepared("samm-lv", root)
    assert summary.skipped == (
        Skipped(
            "006_1",
            "no face was found in any of its pictures (24); its 2 expressions are lost with it",
        ),
        Skipped("006_3", "no face was found in any of its pictures (24)"),  # it has no expression
    )


def test_a_hole_around_a_short_clips_expression_is_told(
    picture: Callable[[Shot], Image], tmp_path: Path
) -> None:
    def early(rows: list[Cells]) -> None:
        first = rows[0]["FirstF"]
        rows[0].update({"OnsetF": first + 250, "OffsetF": first + 260})

    root = tmp_path / "SMIC"
    write_smic(root, subjects=1, clips=2, frames=400, picture=picture, edit=early)
    for place, path in pictures_of(root, f"{SMIC_CLIPS[0]}/*.jpg").items():
        if 0 < place < 399:
            path.unlink()
    keep_each(root / "SMIC-HS-E" / "s01" / SMIC_CLIPS[1], "*.jpg", 10)
    summary, _ = open_prepared("smic", root)
    (skip,) = summary.skipped
    assert skip.where == SMIC_CLIPS[0]
    assert "no picture around its expressions" in skip.why


def test_no_face_anywhere_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    write_smic(tmp_path / "SMIC", subjects=1, clips=2, frames=4, picture=WALL)
    with pytest.raises(KilasError, match=r"No face .*SMIC \(s1_\w+: no face .* \(4\)\)"):
        prepare("smic", tmp_path / "SMIC", tmp_path / "new" / "smic.npz", SPEC, 1)
    assert list((tmp_path / "new").iterdir()) == []


# Videos of one's own.


def own_videos(root: Path, *clips: str) -> Path:
    """The tables for videos of one person each, with an expression from 0.1 s to 0.3 s."""
    root.mkdir()
    people = [{"clip": clip, "subject": Path(clip).stem} for clip in clips]
    pd.DataFrame(people).to_csv(root / "clips.csv", index=False)
    course = {"onset_s": 0.1, "apex_s": 0.2, "offset_s": 0.3, "label": "positive"}
    events = [{"clip": clip, **course} for clip in clips]
    pd.DataFrame(events).to_csv(root / "events.csv", index=False)
    return root


def write_video(path: Path, image: Image, *, frames: int, begin_s: int = 0) -> None:
    """MJPEG at 30 frames a second, whose first frame is at `begin_s`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = 30 * begin_s + number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_damaged_videos_are_told_and_what_can_be_read_of_them_is_used(
    face: Image, tmp_path: Path
) -> None:
    root = own_videos(tmp_path / "own", "whole.avi", "cut.avi", "short.avi", "junk.avi")
    write_video(root / "whole.avi", face, frames=60)
    data = (root / "whole.avi").read_bytes()
    (root / "cut.avi").write_bytes(data[: len(data) // 2])
    (root / "short.avi").write_bytes(data[: len(data) // 10])
    (root / "junk.avi").write_bytes(b"not a video")
    summary, file = open_prepared("folder", root)
    slots = {one.clip: len(one.t_s) for one in file.streams}
    assert list(slots) == ["whole.avi", "cut.avi", "short.avi"]
    assert slots["whole.avi"] == 60
    assert 20 < slots["cut.avi"] < 31
    assert slots["short.avi"] < 6
    lost, unseen = summary.skipped
    assert lost.where == "junk.avi"
    assert "junk.avi is not a video" in lost.why
    assert unseen.where == "short.avi"
    assert f"apex at 0.20 s ({root / 'short.avi'} is damaged" in unseen.why
    noted = [note for note in summary.notes if note.startswith("cut.avi")]
    assert len(noted) == 1
    # The last picture is cut off as well, and may show too little of the face.
    frames = slots["cut.avi"]
    assert re.search(rf"it ends after ({frames}|{frames + 1}) frames", noted[0])


def test_times_of_a_video_begin_with_its_first_frame(face: Image, tmp_path: Path) -> None:
    root = own_videos(tmp_path / "own", "late.mkv")
    write_video(root / "late.mkv", face, frames=15, begin_s=5)
    summary, file = open_prepared("folder", root)
    (stream,) = file.streams
    assert np.allclose(stream.t_s, np.arange(15) / 30, atol=1e-3)  # Matroska counts milliseconds
    assert not summary.skipped


# Interrupted, and by several processes.


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when so many clips are done."""
    map_ordered = preparing.map_ordered

    def interrupted(*arguments: Any) -> Iterator[Any]:
        for number, result in enumerate(map_ordered(*arguments)):
            if number == count:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(preparing, "map_ordered", interrupted)


def test_an_interrupted_call_goes_on_and_reads_nothing_twice(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "SMIC", tmp_path / "new" / "smic.npz"
    write_smic(root, subjects=1, clips=4, frames=12, picture=picture)
    first, second, *_ = sorted(SMIC_CLIPS)  # as clips are read
    for path in pictures_of(root, f"{first}/*.jpg").values():
        damage(path, "junk")  # what is said of a clip is kept, too
    whole = tmp_path / "whole.npz"
    uninterrupted = prepare("smic", root, whole, SPEC, 1)
    with monkeypatch.context() as context:
        interrupt_after(2, context)
        with pytest.raises(KeyboardInterrupt):
            prepare("smic", root, out, SPEC, 1)
    assert not out.exists()
    read: list[str] = []

    def watched(work: Any, tasks: Any, *arguments: Any) -> Any:
        read.extend(task[0].clip for task in tasks)
        return map_ordered(work, tasks, *arguments)

    monkeypatch.setattr(preparing, "map_ordered", watched)
    summary = prepare("smic", root, out, SPEC, 1)
    assert not {first, second} & set(read)
    assert len(read) == 2
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["smic.npz"]
    assert summary.skipped == uninterrupted.skipped
    assert len(summary.skipped) == 1
    assert (summary.clips, summary.slots) == (uninterrupted.clips, uninterrupted.slots)


@pytest.mark.parametrize("change", ["annotations", "mask", "pictures"])
def test_what_was_read_for_something_else_is_not_gone_on_with(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    root, out, expected = tmp_path / "own", tmp_path / "own.npz", tmp_path / "expected.npz"
    sizes = {"subjects": 1, "clips": 2, "frames": 12, "picture": picture}
    write_folder(root, **sizes, fps=30.0)
    with monkeypatch.context() as context:
        interrupt_after(1, context)
        with pytest.raises(KeyboardInterrupt):
            prepare("folder", root, out, SPEC, 1)
    if change == "annotations":
        write_folder(root, **sizes, fps=25.0)
    if change == "pictures":
        for path in root.rglob("*_1/0003.png"):
            path.write_bytes(path.with_name("0008.png").read_bytes())
    spec = MASKED if change == "mask" else SPEC
    prepare("folder", root, out, spec, 1)
    prepare("folder", root, expected, spec, 1)
    assert out.read_bytes() == expected.read_bytes()


def test_two_processes_write_the_same_file_as_one(
    picture: Callable[[Shot], Image], tmp_path: Path
) -> None:
    root = tmp_path / "SMIC"
    seen = show_face_of_clips(picture, 1, 3, 4)
    write_smic(root, subjects=1, clips=4, frames=12, picture=seen)
    summaries = [prepare("smic", root, tmp_path / f"{jobs}.npz", SPEC, jobs) for jobs in (1, 2)]
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    assert summaries[0].skipped == summaries[1].skipped
    assert len(summaries[0].skipped) == 1


# What comes with the pictures.


def test_the_table_arrives_whole(picture: Picture, tmp_path: Path) -> None:
    root = tmp_path / "SAMM"
    write_samm_lv(root, subjects=1, clips=2, frames=16, picture=picture)
    write_samm(root, subjects=1, clips=2, with_frames=False)
    summary, file = open_prepared("samm-lv", root)
    expected = full_table(read_dataset("samm-lv", root).table)
    assert len(expected) == 4
    assert set(expected["kind"]) == {"micro", "macro"}
    pd.testing.assert_frame_equal(file.table, expected)
    pd.testing.assert_frame_equal(summary.table, expected)
    assert (file.dataset, file.rate_hz, file.mask) == ("samm-lv", SPEC.rate_hz, SPEC.mask)
    assert {one.subject for one in file.streams} == {"006"}
    told = format_summary(summary, tmp_path / "SAMM.npz")
    assert "3 clips of 1 subjects" in told
    assert "no emotion 2" in told


def test_words_and_courses_of_ones_own_arrive(picture: Picture, tmp_path: Path) -> None:
    said = {
        **{"label": "my word", "kind": "macro", "units": "1+2", "release_s": 0.25},
        **{"intensity": 0.5, "skew": -0.2},
    }
    columns = ("clip", "onset_s", "apex_s", "offset_s", *said)

    def edit(rows: list[Cells]) -> None:
        rows[0].update(said)

    root = tmp_path / "own"
    write_folder(root, subjects=1, clips=1, picture=picture, edit=edit, columns=columns)
    (row,) = open_prepared("folder", root)[1].table.to_dict("records")
    assert row == {
        **{"dataset": "folder", "subject": "p1", "clip": "p1_1", "fps": 30.0, "usage": ""},
        **{"onset_s": 0.1, "apex_s": 0.2, "offset_s": 0.3, "apex_estimated": False},
        "is_copy": False,
        **{"emotion": "my word", "au": "1+2", "kind": "macro"},
        **{"release_s": 0.25, "intensity": 0.5, "skew": -0.2},
    }


def test_stills_are_clips_of_one_slot(face: Image, tmp_path: Path) -> None:
    small = cv2.cvtColor(cv2.resize(face, (48, 48)), cv2.COLOR_BGR2GRAY)
    root = tmp_path / "FER2013"
    write_fer2013(root, stills=16, picture=lambda n: WALL[:48, :48, 0] if n == 3 else small)
    summary, file = open_prepared("fer2013", root)
    assert [one.t_s.tolist() for one in file.streams] == [[0.0]] * 15
    (skip,) = summary.skipped
    assert skip == Skipped("00005", "no face was found in any of its pictures (1)")  # the 4th row
    assert set(file.table["usage"]) == {"Training", "PublicTest", "PrivateTest"}
    # All of these pictures are the same.
    assert file.table["is_copy"].tolist() == (file.table["usage"] != "Training").tolist()
    assert "15 clips of unnamed subjects" in format_summary(summary, tmp_path / "FER2013.npz")
    # The face fills the picture, as it fills the still.
    assert np.ptp(file.streams[0].faces[0, 32:96, 32:96]) > 100
