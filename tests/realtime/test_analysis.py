"""A session says of a moment what the source showed then, whatever the source's rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from realtime.analysis import analyze
from realtime.errors import RecordingError, SourceError
from realtime.recording.encoders import TICKS_HZ
from realtime.session.reader import Session, load_session
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from support.demo_clip import copy_beginning

SECONDS = 3.0
"""Part of the demo clip that is used: its first micro-expression, a surprise, is told by then."""

TICK_S = 1 / TICKS_HZ

ROUNDING_S = 1e-6
"""Rounding of the times in the tables."""


def resampled(path: Path, rate_hz: int) -> Path:
    """The demo clip as a camera of another rate and of half its size would have seen it."""
    with VideoFile(DEMO_PATH) as source:
        frames = [frame for frame in source if frame.t_s < SECONDS]
    pictures = [cv2.resize(f.image_bgr, (320, 240), interpolation=cv2.INTER_AREA) for f in frames]
    times_s = np.array([frame.t_s for frame in frames])
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate_hz, options={"preset": "ultrafast"})
        stream.width, stream.height = 320, 240
        stream.pix_fmt = "yuv420p"
        for number in range(int(SECONDS * rate_hz)):
            seen = pictures[int(np.searchsorted(times_s, number / rate_hz + 1e-9, "right")) - 1]
            picture = av.VideoFrame.from_ndarray(seen, format="bgr24")
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


@pytest.mark.parametrize("rate_hz", [12, 60, pytest.param(240, marks=pytest.mark.thorough)])
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


CLIPS = (
    *("asl_again.mkv", "asl_bird.mkv", "asl_eat.mkv", "asl_hungry.mkv", "asl_sorry.mkv"),
    *("asl_thanks.mkv", "face_noface.mov", "no_face.mp4", "noface_face.mov"),
)
"""Real people, in one of them nobody."""


@pytest.fixture(scope="module")
def real_sessions(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Session, list[float]]]:
    """The session of a clip and the true times of its frames; each clip is analysed once."""
    folder = tmp_path_factory.mktemp("real")

    @cache
    def session_of(name: str) -> tuple[Session, list[float]]:
        return agrees(shared_data / "clips" / name, folder / name)

    return session_of


RealSessions = Callable[[str], tuple[Session, list[float]]]


@pytest.mark.parametrize("name", ["face_noface.mov", "noface_face.mov"])
def test_clips_of_a_variable_rate(name: str, real_sessions: RealSessions) -> None:
    _, true_s = real_sessions(name)
    gaps_s = [after - before for before, after in pairwise(true_s)]
    assert max(gaps_s) > 1.02 * min(gaps_s)  # or the clip shows nothing


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_of_clips_with_real_people_has_its_row(
    name: str, real_sessions: RealSessions
) -> None:
    session, times_s = real_sessions(name)
    assert session.scores["frame"].nunique() == len(session.scores) == len(times_s)


def test_where_nobody_is_nothing_is_spotted(real_sessions: RealSessions) -> None:
    nobody, _ = real_sessions("no_face.mp4")
    assert (nobody.scores["success"] == 0).all()
    assert nobody.events.empty


@pytest.mark.parametrize(
    ("name", "is_there_first", "at_s"),
    # The face leaves, or enters, once; seen by a person in these frames.
    [("face_noface.mov", True, 2.4), ("noface_face.mov", False, 3.95)],
)
def test_a_face_that_leaves_or_enters_is_seen_to(
    name: str, is_there_first: bool, at_s: float, real_sessions: RealSessions
) -> None:
    scores = real_sessions(name)[0].scores
    found = scores["success"].to_numpy() == 1
    # In each film the letters of a title are taken for a face in one frame.
    found[1:-1] &= found[:-2] | found[2:]
    assert found[0] == is_there_first
    first_change = int(np.flatnonzero(found != is_there_first)[0])
    assert scores["timestamp"][first_change] == pytest.approx(at_s, abs=0.2)
    assert (found[first_change:-2] != is_there_first).all()


def test_a_cell_that_is_run_twice_gives_the_same_session(tmp_path: Path) -> None:
    clip, out = copy_beginning(tmp_path / "clip.mp4", 1.0), tmp_path / "out"
    first = analyze(clip, out, macro=False, video=False)
    written = (out / "session.json").read_bytes()
    again = analyze(clip.as_uri(), str(out), macro=False, video=False)
    assert again.scores.equals(first.scores)
    assert (out / "session.json").read_bytes() == written

    with pytest.raises(RecordingError, match=r"other settings \(sensitivity\).*overwrite=True"):
        analyze(clip, out, macro=False, video=False, sensitivity=0.9)
    assert (out / "session.json").read_bytes() == written
    analyze(clip, out, macro=False, video=False, sensitivity=0.9, overwrite=True)
    assert load_session(out).facts["settings"]["sensitivity"] == 0.9


def test_a_camera_is_refused_in_words() -> None:
    with pytest.raises(SourceError, match="Only video files can be analyzed, not 0"):
        analyze(0)  # type: ignore[arg-type]
