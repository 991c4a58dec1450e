"""A session says of a moment what the source showed then, whatever the source's rate."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.analysis import analyze
from realtime.session.reader import Session
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile

SECONDS = 3.0
"""Part of the demo clip that is used: its first micro-expression, a surprise, is told by then."""

TICK_S = 1 / 90_000

ROUNDING_S = 1e-6
"""Rounding of the times in the tables."""


def resampled(path: Path, rate_hz: int) -> Path:
    """The demo clip as a camera of another rate would have seen it."""
    with VideoFile(DEMO_PATH) as source:
        frames = [frame for frame in source if frame.t_s < SECONDS]
    times_s = np.array([frame.t_s for frame in frames])
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate_hz, options={"preset": "ultrafast"})
        stream.height, stream.width = frames[0].image_bgr.shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(int(SECONDS * rate_hz)):
            seen = frames[int(np.searchsorted(times_s, number / rate_hz + 1e-9, "right")) - 1]
            picture = av.VideoFrame.from_ndarray(seen.image_bgr, format="bgr24")
            picture.pts = number
            picture.time_base = Fraction(1, rate_hz)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def times_of(path: Path) -> list[float]:
    with VideoFile(path) as source:
        return [frame.t_s for frame in source]


def agrees(path: Path, folder: Path) -> tuple[Session, list[float]]:
    """Analyse a file, and check that videos and tables have its own times."""
    session = analyze(path, folder, keep_clean=True)
    true_s = times_of(path)
    rows_s = session.scores["timestamp"].tolist()
    assert rows_s == pytest.approx(true_s, abs=ROUNDING_S)
    for name in ("video.mp4", "clean.mp4"):
        shown_s = [t_s + session.facts["first_frame_s"] for t_s in times_of(folder / name)]
        assert shown_s == pytest.approx(true_s, abs=TICK_S)
    return session, true_s


@pytest.mark.parametrize("rate_hz", [12, 30, 60, 240])
def test_cameras_of_any_rate(rate_hz: int, tmp_path: Path) -> None:
    session, _ = agrees(resampled(tmp_path / "clip.mp4", rate_hz), tmp_path / "session")
    assert session.facts["frame_rate"]["median_hz"] == pytest.approx(rate_hz, rel=0.01)
    (event,) = session.events.itertuples()
    # The truth (realtime/demo/events.csv) is from 2.0 s, with the apex from 2.16 to 2.24.
    frame_s = 1 / min(rate_hz, 30)
    assert event.label == "surprise"
    assert event.onset_s == pytest.approx(2.04, abs=frame_s)
    assert event.apex_s == pytest.approx(2.22, abs=frame_s)
    # Scores are given to the frames that they speak of.
    seen = session.scores.dropna(subset=["surprise"])
    seen = seen[seen["timestamp"] > event.onset_s - 0.5]
    is_inside = seen["timestamp"].between(event.onset_s, event.offset_s)
    is_high = seen["none"] < 1 - session.facts["spotting"]["leave"]
    assert (is_inside == is_high).mean() > 0.98


@pytest.mark.parametrize("name", ["face_noface.mov", "noface_face.mov"])
def test_clips_of_a_variable_rate(name: str, shared_data: Path, tmp_path: Path) -> None:
    _, true_s = agrees(shared_data / "clips" / name, tmp_path / "session")
    gaps_s = [after - before for before, after in pairwise(true_s)]
    assert max(gaps_s) > 1.02 * min(gaps_s)  # or the clip shows nothing
