"""The session folder: what is in it, and what is left of it when something goes wrong."""

from __future__ import annotations

import errno
import io
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import RecordingError
from realtime.recording import recorder
from realtime.recording.encoders import TICKS_HZ
from realtime.recording.recorder import (
    RecordingContents,
    SessionRecorder,
    new_session_folder,
    session_folder_name,
)
from realtime.session.reader import load_session
from realtime.storage import durable_file
from realtime.types import Event, MacroScores, Scores, UInt8Array, Update
from support.builders import make_scores, make_update
from support.paths import PYTHON_PATH, ROOT
from support.recordings import SPEC, noisy_updates, rows, session_json

TICK_S = 1 / TICKS_HZ


def write_all(
    session: SessionRecorder, updates: Iterable[Update], then_close: bool = False
) -> None:
    for item in updates:
        session.write(item)
    if then_close:
        session.close()


def record(folder: Path, updates: Sequence[Update], **options: Any) -> Path:
    options = {"meta": {}, "paint": None, "wait": True, "origin_s": 0.0} | options
    session = SessionRecorder(folder, SPEC, **options)
    write_all(session, updates, then_close=True)
    return folder


def video_times(path: Path) -> list[float]:
    """Presentation time of each picture that can be decoded, in seconds."""
    with closing(av.open(str(path))) as container:
        return [float((f.pts or 0) * (f.time_base or 0)) for f in container.decode(video=0)]


def pictures(path: Path) -> list[UInt8Array]:
    with closing(av.open(str(path))) as container:
        return [
            np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in container.decode(video=0)
        ]


# Times


@pytest.mark.parametrize("rate_hz", [12, 30, 60, 240])
@pytest.mark.parametrize("is_jittered", [False, True])
def test_video_keeps_count_times_and_duration(
    tmp_path: Path, rate_hz: int, is_jittered: bool
) -> None:
    times_s = np.arange(2 * rate_hz) / rate_hz
    if is_jittered:
        times_s[1:] += np.random.default_rng(0).uniform(-0.3, 0.3, len(times_s) - 1) / rate_hz
    folder = record(tmp_path / "a", [make_update(i, float(t)) for i, t in enumerate(times_s)])
    read_s = video_times(folder / "video.mp4")
    assert len(read_s) == len(times_s)
    np.testing.assert_allclose(read_s, times_s, rtol=0, atol=TICK_S)
    with av.open(str(folder / "video.mp4")) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(2.0, abs=1 / rate_hz)
    np.testing.assert_allclose(
        [float(row["timestamp"]) for row in rows(folder)], times_s, rtol=0, atol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(gaps_s=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=30), start_s=st.floats(0.0, 1e6))
def test_any_frame_times_survive(gaps_s: list[float], start_s: float) -> None:
    times_s = start_s + np.cumsum([0.0, *gaps_s])
    with tempfile.TemporaryDirectory() as base:
        folder = record(
            Path(base) / "a",
            [make_update(i, float(t)) for i, t in enumerate(times_s)],
            origin_s=None,
        )
        np.testing.assert_allclose(
            video_times(folder / "video.mp4"), times_s - times_s[0], rtol=0, atol=TICK_S
        )
        assert float(rows(folder)[0]["timestamp"]) == 0.0


@pytest.mark.parametrize("hole_s", [25_200.0, 86_000.0])
def test_video_has_the_holes_of_its_recording(tmp_path: Path, hole_s: float) -> None:
    times_s = [0.0, 0.1, hole_s, hole_s + 0.1]
    folder = record(tmp_path / "a", [make_update(i, t) for i, t in enumerate(times_s)])
    assert video_times(folder / "video.mp4") == pytest.approx(times_s, abs=TICK_S)


@pytest.mark.parametrize("start_s", [-0.5, 0.5, 36_000.0])
def test_video_starts_with_its_first_frame_and_rows_keep_their_times(
    tmp_path: Path, start_s: float
) -> None:
    folder = record(tmp_path / "a", [make_update(i, start_s + i / 10) for i in range(4)])
    assert video_times(folder / "video.mp4") == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=TICK_S)
    times_s = [start_s + i / 10 for i in range(4)]
    assert [float(row["timestamp"]) for row in rows(folder)] == pytest.approx(times_s)


def test_times_that_stand_still_or_run_back_do_not_stop_the_video(tmp_path: Path) -> None:
    times_s = [0.0, 0.1, 0.1, 0.05, 0.2]
    folder = record(tmp_path / "a", [make_update(i, t) for i, t in enumerate(times_s)])
    read_s = video_times(folder / "video.mp4")
    assert len(read_s) == 5
    assert all(b > a for a, b in itertools.pairwise(read_s))
    assert [float(row["timestamp"]) for row in rows(folder)] == times_s


def test_one_frame_makes_a_video(tmp_path: Path) -> None:
    folder = record(tmp_path / "a", [make_update(0, 0.0)])
    assert len(pictures(folder / "video.mp4")) == 1
    assert session_json(folder)["frame_rate"] is None


def test_session_without_frames_has_tables_and_no_video(tmp_path: Path) -> None:
    folder = record(tmp_path / "a", [])
    assert rows(folder) == []
    assert not (folder / "video.mp4").exists()
    assert session_json(folder)["status"] == "complete"


# Pictures


def test_video_is_what_browsers_play(tmp_path: Path) -> None:
    folder = record(tmp_path / "a", [make_update(i, i / 30) for i in range(40)])
    with av.open(str(folder / "video.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.codec_tag, codec.pix_fmt) == ("avc1", "yuv420p")
    assert b"moof" in (folder / "video.mp4").read_bytes()


def test_picture_can_be_reached_once_a_second(tmp_path: Path) -> None:
    folder = record(tmp_path / "a", [make_update(i, i / 30) for i in range(90)])
    with av.open(str(folder / "video.mp4")) as container:
        keys_s = [
            float((p.pts or 0) * p.time_base) for p in container.demux(video=0) if p.is_keyframe
        ]
    assert keys_s == pytest.approx([0.0, 1.0, 2.0])


@pytest.mark.parametrize("size_wh", [(641, 479), (640, 479), (641, 480), (33, 17)])
def test_odd_sizes_are_padded_by_one_line(
    tmp_path: Path, astronaut_bgr: UInt8Array, size_wh: tuple[int, int]
) -> None:
    width, height = size_wh
    image = np.asarray(cv2.resize(astronaut_bgr, size_wh), np.uint8)
    folder = record(tmp_path / "a", [make_update(i, i / 30, image) for i in range(3)])
    shown = pictures(folder / "video.mp4")[0]
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(shown[:height, :width].astype(int) - image).mean() < 10


@pytest.mark.parametrize(
    "colour_bgr", [(255, 255, 255), (0, 0, 0), (200, 40, 40), (40, 200, 40), (40, 40, 200)]
)
def test_colours_survive(tmp_path: Path, colour_bgr: tuple[int, int, int]) -> None:
    image = np.full((720, 1280, 3), colour_bgr, np.uint8)
    folder = record(tmp_path / "a", [make_update(0, 0.0, image)])
    shown = pictures(folder / "video.mp4")[0].reshape(-1, 3)
    np.testing.assert_allclose(shown.mean(axis=0), colour_bgr, atol=4)


def test_new_frame_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    small, wide = np.full((48, 64, 3), 255, np.uint8), np.full((40, 160, 3), 255, np.uint8)
    folder = record(tmp_path / "a", [make_update(0, 0.0, small), make_update(1, 0.1, wide)])
    first, second = pictures(folder / "video.mp4")
    assert first.shape == second.shape == (48, 64, 3)
    assert second[24].min() > 230  # the picture keeps its proportions between black bars
    assert second[:12].max() < 30
    assert second[-12:].max() < 30


def test_painted_and_clean_pictures(tmp_path: Path) -> None:
    def paint(item: Update) -> UInt8Array:
        assert threading.current_thread() is not threading.main_thread()
        return np.full_like(item.frame.image_bgr, 255)

    updates = [make_update(i, i / 30) for i in range(5)]
    folder = record(
        tmp_path / "a", updates, paint=paint, contents=RecordingContents(keep_clean=True)
    )
    assert pictures(folder / "video.mp4")[2].mean() > 250
    assert abs(pictures(folder / "clean.mp4")[2].mean() - 128) < 3
    assert not (record(tmp_path / "b", updates) / "clean.mp4").exists()


# Tables


def test_header_and_frame_without_face(tmp_path: Path) -> None:
    folder = record(tmp_path / "a", [make_update(7, 0.25)])
    assert (folder / "scores.csv").read_text() == (
        "frame,timestamp,face_id,success,confidence,none,happiness,surprise,state\n"
        "7,0.250000,,0,,,,,no face\n"
    )
    assert (folder / "events.csv").read_text() == (
        "event_id,face_id,onset_s,apex_s,offset_s,duration_s,label,score\n"
    )


def test_scores_that_come_later_land_on_the_frame_that_they_speak_of(tmp_path: Path) -> None:
    """Each frame's own score comes five frames after it, over the first four there is none."""

    def of(i: int) -> Scores:
        return make_scores(i / 30, 1 - i / 100, i / 100, 0.0)

    updates = [
        make_update(i, i / 30, faces=[0], scores=[of(i - 5)] if i >= 9 else []) for i in range(30)
    ]
    table = rows(record(tmp_path / "a", updates))
    assert [row["frame"] for row in table] == [str(i) for i in range(30)]
    assert {row["success"] for row in table} == {"1"}
    # Scores reach as far as the model's hop, which is one frame here: 3 and 25 take a neighbour's.
    assert [row["happiness"] for row in table] == [
        "" if not 3 <= i <= 25 else f"{min(max(i, 4), 24) / 100:.6f}" for i in range(30)
    ]
    assert table[10]["confidence"] == table[10]["none"] == "0.900000"
    assert table[0]["confidence"] == ""


def test_fast_camera_rows_take_the_nearest_score(tmp_path: Path) -> None:
    scores = [make_scores(k / 30, 1 - k / 10, k / 10, 0.0) for k in range(4)]
    updates = [make_update(i, i / 240, faces=[0]) for i in range(24)]
    updates.append(make_update(24, 24 / 240, faces=[0], scores=scores))
    table = rows(record(tmp_path / "a", updates))
    nearest = [round(float(row["happiness"]) * 10) for row in table]
    assert nearest == sorted(nearest)
    assert [nearest[i] for i in (0, 3, 5, 8, 11, 13, 16, 24)] == [0, 0, 1, 1, 1, 2, 2, 3]


def test_rows_wait_no_longer_than_they_have_to(tmp_path: Path) -> None:
    """A score that never comes holds rows back for `score_wait_s` of the frames' clock."""
    session = SessionRecorder(tmp_path / "a", SPEC, {}, None, True, score_wait_s=0.5, origin_s=0.0)
    for i in range(31):
        session.write(make_update(i, i / 30, faces=[0]))
    deadline = time.monotonic() + 20
    while len(rows(tmp_path / "a")) < 15 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(rows(tmp_path / "a")) == 15
    session.write(make_update(31, 31 / 30, faces=[0], scores=[make_scores(31 / 30, 1.0, 0.0, 0.0)]))
    session.close()
    table = rows(tmp_path / "a")
    assert len(table) == 32
    assert [i for i, row in enumerate(table) if row["none"]] == [30, 31]


def test_each_face_has_its_row_and_its_scores(tmp_path: Path) -> None:
    updates = [
        make_update(0, 0.0, faces=[3, 1], scores=[make_scores(0.0, 0.2, 0.8, 0.0, face_id=3)]),
        make_update(1, 0.5, faces=[1], state="expression"),
        make_update(2, 1.0, scores=[make_scores(0.5, 0.6, 0.1, 0.3, face_id=1)]),
        make_update(3, 1.5, faces=[4], state="warming up"),
    ]
    table = rows(record(tmp_path / "a", updates))
    cells = [(r["frame"], r["face_id"], r["success"], r["surprise"], r["state"]) for r in table]
    assert cells == [
        ("0", "1", "1", "", "neutral"),
        ("0", "3", "1", "0.000000", "neutral"),
        ("1", "1", "1", "0.300000", "expression"),
        ("2", "", "0", "", "no face"),
        ("3", "4", "1", "", "warming up"),
    ]


def test_each_face_keeps_its_macro_scores_until_it_has_new_ones(tmp_path: Path) -> None:
    def shows(id_: int, faces: list[int], *macro: MacroScores) -> Update:
        return replace(make_update(id_, id_ / 4, faces=faces), macro=macro)

    updates = [
        shows(0, [0, 1], MacroScores(0, 0.0, (0.9, 0.1))),
        shows(1, [0, 1], MacroScores(1, 0.25, (0.2, 0.8))),
        shows(2, []),
        shows(3, [0, 1], MacroScores(0, 0.75, (0.4, 0.6))),
    ]
    meta = {"macro": {"labels": ["happy", "neutral"]}}
    folder = record(tmp_path / "a", updates, meta=meta)
    table = rows(folder)
    assert list(table[0])[-3:] == ["macro_happy", "macro_neutral", "state"]
    assert [(r["frame"], r["face_id"], r["macro_happy"], r["macro_neutral"]) for r in table] == [
        ("0", "0", "0.900000", "0.100000"),
        ("0", "1", "", ""),
        ("1", "0", "0.900000", "0.100000"),
        ("1", "1", "0.200000", "0.800000"),
        ("2", "", "", ""),
        ("3", "0", "0.400000", "0.600000"),
        ("3", "1", "0.200000", "0.800000"),
    ]
    scores = load_session(folder).scores
    assert scores["macro_happy"].dtype == np.float64
    assert scores["macro_happy"].isna().sum() == 2


def test_events_are_counted_from_the_origin(tmp_path: Path) -> None:
    event = Event(2, onset_s=101.0, apex_s=101.1, offset_s=101.25, label="surprise", score=0.875)
    updates = [make_update(0, 100.0), make_update(1, 101.5, events=[event, event])]
    table = rows(record(tmp_path / "a", updates, origin_s=None), "events.csv")
    assert [row["event_id"] for row in table] == ["1", "2"]
    assert list(table[0].values())[1:] == [
        *("2", "1.000000", "1.100000", "1.250000", "0.250000", "surprise", "0.875000")
    ]
    assert session_json(tmp_path / "a")["events"] == 2


def test_same_updates_same_files(tmp_path: Path) -> None:
    """Also when the recorder is slow in another way."""
    rng = np.random.default_rng(1)
    updates = []
    for i in range(60):
        late = [make_scores(i / 50 - lag, 0.5, 0.25, 0.25) for lag in rng.uniform(0, 0.4, i % 3)]
        updates.append(make_update(i, i / 50, faces=[0] if i % 11 else [], scores=late))

    def paint(item: Update) -> UInt8Array:
        time.sleep(0.002 * (item.frame.id % 3))
        return item.frame.image_bgr

    first = record(tmp_path / "a", updates)
    second = record(tmp_path / "b", updates, paint=paint)
    for name in ("scores.csv", "events.csv", "video.mp4"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


# session.json


def test_session_states_what_it_was_made_with(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.08, 0.12, 0.52]
    upstream = Counter({"decoder": 2})  # before the recording began

    def paint(item: Update) -> UInt8Array:
        upstream["decoder"] = 5
        return item.frame.image_bgr

    folder = record(
        tmp_path / "a",
        [make_update(i, t) for i, t in enumerate(times_s)],
        meta={"device": "cpu", "source": "clip.mp4", "model": {"sha256": "ab"}},
        upstream_drops=upstream,
        paint=paint,
    )
    session = session_json(folder)
    assert session["status"] == "complete"
    assert session["error"] is None
    model = {"name": "test", "version": "1", "rate_hz": SPEC.rate_hz, "sha256": "ab"}
    assert session["model"] == model
    assert (session["device"], session["source"]) == ("cpu", "clip.mp4")
    assert {"python", "numpy", "mediapipe", "opencv-python"} <= set(session["versions"])
    assert datetime.fromisoformat(session["started"]).tzinfo is not None
    assert (session["frames"], session["video_frames"], session["drops"]) == (5, 5, {"decoder": 3})
    # A single pause does not make a 25 Hz camera an 8 Hz one.
    assert session["frame_rate"]["median_hz"] == 25.0
    assert session["frame_rate"]["gap_max_s"] == 0.4
    assert session["duration_s"] == 0.52


def test_session_that_failed_says_why(tmp_path: Path) -> None:
    session = SessionRecorder(tmp_path / "a", SPEC, {}, None, True)
    assert session_json(tmp_path / "a")["status"] == "recording"
    session.write(make_update(0, 0.0))
    session.close(error=OSError("the camera was unplugged"))
    assert session_json(tmp_path / "a")["status"] == "failed"
    assert session_json(tmp_path / "a")["error"] == "the camera was unplugged"
    assert len(pictures(tmp_path / "a" / "video.mp4")) == 1


def test_session_is_kept_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "SESSION_EVERY_S", 0.01)
    session = SessionRecorder(tmp_path / "a", SPEC, {}, None, True)
    session.write(make_update(0, 0.0))
    deadline = time.monotonic() + 20
    while session_json(tmp_path / "a")["frames"] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session_json(tmp_path / "a")["frames"] == 1
    session.close()


# Folders


def test_folder_names(tmp_path: Path) -> None:
    assert session_folder_name(datetime(2025, 3, 1, 14, 5, 9)) == "2025-03-01_14-05-09"
    for expected in ("clip", "clip-2", "clip-3"):
        folder = new_session_folder(tmp_path / "deep", "clip")
        assert folder == tmp_path / "deep" / expected
        record(folder, [make_update(0, 0.0)])


def test_recording_is_never_overwritten(tmp_path: Path) -> None:
    record(tmp_path / "a", [make_update(0, 0.0)])
    before = (tmp_path / "a" / "scores.csv").read_bytes()
    with pytest.raises(RecordingError, match="already holds a recording"):
        SessionRecorder(tmp_path / "a", SPEC, {}, None, True)
    assert (tmp_path / "a" / "scores.csv").read_bytes() == before


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="choose another folder"):
        SessionRecorder(tmp_path / "file" / "a", SPEC, {}, None, True)


# What goes wrong


class Gate:
    """A painter that stands still until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, item: Update) -> UInt8Array:
        self.opened.wait(60)
        return item.frame.image_bgr


def test_slow_painter_costs_pictures_but_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE_BYTES", 0)
    gate = Gate()
    session = SessionRecorder(tmp_path / "a", SPEC, {}, gate, False)
    for i in range(50):
        session.write(
            make_update(i, i / 30, faces=[0], scores=[make_scores(i / 30, 1.0, 0.0, 0.0)])
        )
    gate.opened.set()
    session.close()
    values = session_json(tmp_path / "a")
    read_s = video_times(tmp_path / "a" / "video.mp4")
    dropped = session.drops[recorder.RECORDER_BUSY]
    # One picture may be in the painter's hands besides those that wait.
    assert 50 - dropped in (recorder.MIN_QUEUE_FRAMES, recorder.MIN_QUEUE_FRAMES + 1)
    assert values["drops"] == {recorder.RECORDER_BUSY: dropped}
    assert len(read_s) == values["video_frames"] == 50 - dropped
    # The first ones wait; whichever comes when the painter takes one of them waits, too.
    waited_s = [i / 30 for i in range(recorder.MIN_QUEUE_FRAMES)]
    assert read_s[: recorder.MIN_QUEUE_FRAMES] == pytest.approx(waited_s, abs=TICK_S)
    table = rows(tmp_path / "a")
    assert [row["frame"] for row in table] == [str(i) for i in range(50)]
    assert {row["none"] for row in table} == {"1.000000"}
    assert values["frames"] == 50


def test_file_waits_for_a_slow_painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE_BYTES", 0)

    def paint(item: Update) -> UInt8Array:
        time.sleep(0.005)
        return item.frame.image_bgr

    folder = record(tmp_path / "a", [make_update(i, i / 30) for i in range(40)], paint=paint)
    assert len(pictures(folder / "video.mp4")) == 40
    assert session_json(folder)["drops"] == {}


def test_live_recording_ends_although_the_queue_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LIVE_DRAIN_S", 0.05)

    def paint(item: Update) -> UInt8Array:
        time.sleep(0.02)
        return item.frame.image_bgr

    session = SessionRecorder(tmp_path / "a", SPEC, {}, paint, False)
    for i in range(300):
        session.write(make_update(i, i / 30))
    session.close()
    count = len(pictures(tmp_path / "a" / "video.mp4"))
    assert 0 < count < 300
    assert count + session.drops[recorder.RECORDER_BUSY] == 300
    assert len(rows(tmp_path / "a")) == 300


def test_painter_that_never_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "STALL_S", 0.2)
    monkeypatch.setattr(recorder, "LIVE_JOIN_S", 0.2)
    monkeypatch.setattr(recorder, "QUEUE_BYTES", 0)
    live_gate, file_gate = Gate(), Gate()
    live = SessionRecorder(tmp_path / "live", SPEC, {}, live_gate, False)
    live.write(make_update(0, 0.0))
    with pytest.raises(RecordingError, match="makes no progress"):
        live.close()
    file = SessionRecorder(tmp_path / "file", SPEC, {}, file_gate, True)
    with pytest.raises(RecordingError, match="makes no progress"):
        write_all(file, [make_update(i, i / 30) for i in range(20)])
    with pytest.raises(RecordingError, match="makes no progress"):
        file.close()
    live_gate.opened.set()
    file_gate.opened.set()


def test_painter_that_raises(tmp_path: Path) -> None:
    def paint(item: Update) -> UInt8Array:
        if item.frame.id == 10:
            raise ValueError("no colour for this label")
        return item.frame.image_bgr

    session = SessionRecorder(tmp_path / "a", SPEC, {}, paint, True)
    with pytest.raises(RecordingError, match="no colour for this label") as caught:
        write_all(session, (make_update(i, i / 30) for i in itertools.count()))
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(RecordingError):
        session.write(make_update(0, 0.0))
    session.close()  # it has been said
    assert len(pictures(tmp_path / "a" / "video.mp4")) == 10
    assert len(rows(tmp_path / "a")) >= 11
    assert session_json(tmp_path / "a")["status"] == "failed"
    assert "no colour" in session_json(tmp_path / "a")["error"]


@pytest.mark.parametrize(
    "picture",
    [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3)), np.zeros((0, 0, 3), np.uint8), None],
)
@pytest.mark.parametrize("at_frame", [0, 3])
def test_painter_that_returns_no_picture(tmp_path: Path, picture: Any, at_frame: int) -> None:
    def paint(item: Update) -> UInt8Array:
        return item.frame.image_bgr if item.frame.id < at_frame else picture

    session = SessionRecorder(tmp_path / "a", SPEC, {}, paint, True)
    with pytest.raises(RecordingError, match="defect"):
        write_all(session, [make_update(i, i / 30) for i in range(5)], then_close=True)
    session.close()
    assert session_json(tmp_path / "a")["status"] == "failed"
    assert session_json(tmp_path / "a")["video_frames"] == at_frame
    if at_frame:
        assert len(pictures(tmp_path / "a" / "video.mp4")) == at_frame


def test_failure_that_no_write_has_told_is_told_by_close(tmp_path: Path) -> None:
    def paint(item: Update) -> UInt8Array:
        raise ValueError("broken")

    session = SessionRecorder(tmp_path / "a", SPEC, {}, paint, True)
    session.write(make_update(0, 0.0))
    with pytest.raises(RecordingError, match="broken"):
        session.close()
    session.close()
    assert len(rows(tmp_path / "a")) == 1


class SmallDisk:
    """Opens files that together hold so many bytes, as a disk that runs full does."""

    def __init__(self, free: int) -> None:
        self.free = free

    def open(self, path: Path, mode: str, buffering: int) -> io.FileIO:
        disk = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:
                growth = max(0, self.tell() + len(data) - os.fstat(self.fileno()).st_size)
                if growth and not disk.free:
                    raise OSError(errno.ENOSPC, "No space left on device")
                fits = len(data) - growth + min(growth, disk.free)
                disk.free -= min(growth, disk.free)
                return super().write(data[:fits])

        return File(path, mode.replace("b", ""))


@pytest.mark.parametrize("missing_bytes", [1, 600, 1200, 2000, 20_000, 100_000, 200_000])
def test_full_disk_leaves_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing_bytes: int
) -> None:
    """Wherever the space ends: in a fragment, in a row, in the last bytes that finish the file."""
    updates = noisy_updates(90)
    whole = record(tmp_path / "whole", updates)
    needed = sum((whole / name).stat().st_size for name in ("video.mp4", "scores.csv"))
    needed += (whole / "events.csv").stat().st_size
    disk = SmallDisk(needed - missing_bytes)
    monkeypatch.setattr(durable_file, "open", disk.open, raising=False)
    session = SessionRecorder(tmp_path / "a", SPEC, {}, None, True, origin_s=0.0)
    with pytest.raises(RecordingError, match="no space left") as caught:
        write_all(session, updates, then_close=True)
    assert isinstance(caught.value.__cause__, OSError)
    session.close()
    read_s = video_times(tmp_path / "a" / "video.mp4")
    # What is lost: what did not fit, and the quarter of a second that it tore apart.
    lost_share = missing_bytes / needed
    assert len(read_s) >= 90 * (1 - lost_share) - 20
    assert read_s == pytest.approx([i / 30 for i in range(len(read_s))], abs=TICK_S)
    assert (tmp_path / "a" / "scores.csv").read_bytes().endswith(b"no face\n")
    assert session_json(tmp_path / "a")["status"] == "failed"


def test_full_disk_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_file, "open", SmallDisk(10).open, raising=False)
    with pytest.raises(RecordingError, match="choose another folder"):
        SessionRecorder(tmp_path / "a", SPEC, {}, None, True)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("after_frames", [70, 101, 137])
def test_kill_loses_no_more_than_a_second(tmp_path: Path, after_frames: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.recordings", str(tmp_path / "a")],
        cwd=ROOT,
        env=os.environ | PYTHON_PATH,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = list(itertools.islice(process.stdout, after_frames))
        process.send_signal(signal.SIGKILL)
        told_s = [float(line) for line in lines + process.stdout.read().split()]
        last_s = told_s[-1] - told_s[0]
    assert process.returncode == -signal.SIGKILL
    text = (tmp_path / "a" / "scores.csv").read_text()
    assert text.endswith("neutral\n")
    table = rows(tmp_path / "a")
    assert float(table[-1]["timestamp"]) > last_s - 1
    assert table[-1]["none"] == "0.500000"
    read_s = video_times(tmp_path / "a" / "video.mp4")
    assert read_s[-1] > last_s - 1
    times_s: npt.NDArray[np.float64] = np.array([float(row["timestamp"]) for row in table])
    shared = min(len(read_s), len(times_s))
    np.testing.assert_allclose(read_s[:shared], times_s[:shared], rtol=0, atol=TICK_S)
    assert session_json(tmp_path / "a")["status"] == "recording"
