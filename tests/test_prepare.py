"""Files of streams: written, read again, and refused when they are something else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from realtime.errors import KilasError
from realtime.sources import DEMO_PATH
from training.expressions import ScriptedEvent
from training.prepare import STORED, Stream, load_streams, prepare, write_streams
from training.recipe import load_recipe

SPEC = load_recipe("kilas").spec
EVENT = ScriptedEvent(0.1, 0.2, 0.3, 0.4, "positive", "micro", 0.5, "12")


def stream(slots: int, clip: str = "a.mp4") -> Stream:
    faces = np.random.default_rng(slots).integers(0, 255, (slots, 128, 128), np.uint8)
    return Stream(clip, "ann", faces, np.arange(slots) / SPEC.rate_hz, (EVENT,))


def test_streams_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = [stream(3), stream(5, "b.mp4")]
    write_streams(written, SPEC, tmp_path / "new" / "streams.npz")
    read = list(load_streams([tmp_path / "new"], SPEC))
    assert [one.clip for one in read] == ["a.mp4", "b.mp4"]
    for one, other in zip(read, written, strict=True):
        assert (one.subject, one.events) == (other.subject, other.events)
        assert np.array_equal(one.faces, other.faces)
        assert np.array_equal(one.t_s, other.t_s)


def test_a_file_may_hold_no_stream(tmp_path: Path) -> None:
    write_streams([], SPEC, tmp_path / "streams.npz")
    assert list(load_streams([tmp_path], SPEC)) == []


def test_unfinished_files_are_left_out(tmp_path: Path) -> None:
    write_streams([stream(3)], SPEC, tmp_path / "streams.npz")
    (tmp_path / ".drawn_0_00000.npz").write_bytes(b"PK half of it")
    assert len(list(load_streams([tmp_path], SPEC))) == 1


def arrays(**changes: Any) -> dict[str, Any]:
    held = {
        "faces": np.zeros((3, 128, 128), np.uint8),
        "t_s": np.zeros(3),
        "stream": np.zeros(3, np.int32),
        "clip": np.array(["a.mp4"]),
        "subject": np.array(["ann"]),
        "events": np.array(["[]"]),
        "rate_hz": np.array(SPEC.rate_hz),
        "mask": np.array(SPEC.mask),
    }
    assert tuple(held) == STORED
    return held | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"faces": np.zeros((3, 64, 64), np.uint8)},
        {"faces": np.zeros((3, 128, 128), np.float32)},
        {"t_s": np.zeros(2)},
        {"stream": np.zeros((3, 1), np.int32)},
        {"subject": np.array(["ann", "ben"])},
        {"events": np.array(["{"])},
        {"events": np.array(['[{"onset": 1}]'])},
        {"rate_hz": np.array("fast")},
        {"clip": np.array([None], object)},
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez(tmp_path / "good.npz", **arrays())
    assert len(list(load_streams([tmp_path / "good.npz"], SPEC))) == 1
    np.savez(tmp_path / "odd.npz", **arrays(**changes))
    with pytest.raises(KilasError, match=r"odd\.npz holds no streams"):
        list(load_streams([tmp_path], SPEC))


@pytest.mark.parametrize("name", STORED)
def test_a_file_that_lacks_something_is_named(tmp_path: Path, name: str) -> None:
    held = arrays()
    del held[name]
    np.savez(tmp_path / "odd.npz", **held)
    with pytest.raises(KilasError, match=rf"odd\.npz holds no streams.*{name}"):
        list(load_streams([tmp_path], SPEC))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut off"])
def test_junk_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk.npz").write_bytes(content)
    with pytest.raises(KilasError, match=r"junk\.npz holds no streams"):
        list(load_streams([tmp_path], SPEC))


def test_a_lone_array_is_no_file_of_streams(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros(3))
    with pytest.raises(KilasError, match=r"faces\.npy holds no streams"):
        list(load_streams([tmp_path / "faces.npy"], SPEC))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match=r"There is no .*gone\.npz"):
        list(load_streams([tmp_path / "gone.npz"], SPEC))


def test_another_clock_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "slow.npz", **arrays(rate_hz=np.array(SPEC.rate_hz / 2)))
    with pytest.raises(KilasError, match=r"slow\.npz was prepared for"):
        list(load_streams([tmp_path], SPEC))


def labelled(folder: Path, **changes: str) -> Path:
    """A folder with one labelled video that shows a wall."""
    folder.mkdir()
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    video = cv2.VideoWriter(str(folder / "a.mp4"), codec, 30.0, (128, 128))
    for _ in range(6):
        video.write(np.full((128, 128, 3), 90, np.uint8))
    video.release()
    pd.DataFrame({"clip": ["a.mp4"], "subject": ["ann"]}).to_csv(folder / "clips.csv", index=False)
    event = {
        "clip": "a.mp4",
        "onset_s": 0.1,
        "apex_s": 0.2,
        "release_s": 0.3,
        "offset_s": 0.4,
        "label": "positive",
        "kind": "micro",
        "intensity": 0.5,
        "units": "12",
    }
    pd.DataFrame([event | changes]).to_csv(folder / "events.csv", index=False)
    return folder


def test_videos_without_a_face_are_said(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "videos")
    with pytest.raises(KilasError, match="shows a face"):
        prepare(folder, tmp_path / "new" / "streams.npz", SPEC, 1)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_label_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match="label joy"):
        prepare(labelled(tmp_path / "videos", label="joy"), tmp_path / "x.npz", SPEC, 1)


def test_a_missing_video_is_said_before_any_is_read(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "videos")
    shutil.copy(DEMO_PATH, folder / "b.mp4")
    (folder / "a.mp4").unlink()
    with pytest.raises(KilasError, match=r"a\.mp4, which is not beside it"):
        prepare(folder, tmp_path / "x.npz", SPEC, 1)
