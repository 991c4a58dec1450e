"""The stages together: files with their tables, live streams, and faults of every stage."""

from __future__ import annotations

import dataclasses
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest

from realtime.analysis import AnalysisOptions, analyze
from realtime.display.overlay import Overlay
from realtime.errors import ModelError, ProfileError, RecordingError, SourceError
from realtime.faces.tracker import FaceTracker
from realtime.inference.model import Model
from realtime.inference.worker import InferenceWorker
from realtime.macro.model import MacroModel
from realtime.monitor import Monitor
from realtime.recording.recorder import RecordingContents, SessionRecorder
from realtime.session.reader import load_session
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.spotting import sensitivity
from realtime.types import Event, Float32Array, Frame, SourceInfo, UInt8Array, Update
from support.demo_clip import copy_beginning
from support.stand_in_trackers import KnownFaces


class Script:
    """A source whose frames are written down: each picture with its time."""

    def __init__(self, frames: Iterator[Frame], *, live: bool = False) -> None:
        self.live = live
        self.drops: Counter[str] = Counter()
        self.on_idle: Callable[[], None] | None = None
        self._frames = frames
        self._stopped = False

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("script", (512, 512))

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if self._stopped:
                return
            yield frame

    def stop(self) -> None:
        self._stopped = True

    def age_s(self, frame: Frame) -> float | None:
        return None


def still(image_bgr: UInt8Array, count: int, rate_hz: float = 30.0) -> Iterator[Frame]:
    return (Frame(number, number / rate_hz, image_bgr) for number in range(count))


@pytest.fixture
def known_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Monitors whose frames are those of the demo clip, without the time that tracking takes."""
    monkeypatch.setattr("realtime.monitor.FaceTracker", KnownFaces)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session folder of the demo clip."""
    folder = tmp_path_factory.mktemp("sessions") / "demo"
    analyze(DEMO_PATH, folder)
    return folder


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo clip's beginning, with its first event, for tests that need no more."""
    return copy_beginning(tmp_path_factory.mktemp("clips") / "beginning.mp4", 3.5)


def test_every_frame_of_a_file_has_a_row_with_its_time(demo: Path) -> None:
    scores = load_session(demo).scores
    with VideoFile(DEMO_PATH) as source:
        times_s = [frame.t_s for frame in source]
    assert len(scores) == len(times_s)
    np.testing.assert_allclose(scores["timestamp"], times_s, atol=0.001)
    assert (scores["success"] == 1).all()


def test_scores_are_probabilities_from_the_first_full_window_on(demo: Path) -> None:
    scores = load_session(demo).scores
    columns = ["none", "negative", "positive", "surprise"]
    scored = scores.dropna(subset=columns)
    np.testing.assert_allclose(scored[columns].sum(axis=1), 1.0, atol=2e-3)
    assert scored["timestamp"].min() < 1.0
    # All but the warm-up and the last look-ahead.
    assert len(scored) > len(scores) - 30
    assert (scores["state"][:10] == "warming up").all()


def test_the_demo_shows_its_labelled_events(demo: Path) -> None:
    truth = pd.read_csv(DEMO_PATH.parent / "events.csv")
    spotted = load_session(demo).events
    micro = truth[truth["kind"] == "micro"]
    assert len(micro) >= 3
    hits = 0
    for event in micro.itertuples():
        overlap = np.minimum(spotted["offset_s"], event.offset_s) - np.maximum(
            spotted["onset_s"], event.onset_s
        )
        hits += bool(((overlap > 0.05) & (spotted["label"] == event.label)).any())
    assert hits >= len(micro) - 1
    macro = truth[truth["kind"] == "macro"]
    for event in macro.itertuples():
        inside = (spotted["onset_s"] > event.onset_s) & (spotted["offset_s"] < event.offset_s)
        assert not inside.any()


def test_the_long_smile_of_the_demo_is_a_macro_expression(demo: Path) -> None:
    truth = pd.read_csv(DEMO_PATH.parent / "events.csv")
    macro = truth[truth["kind"] == "macro"].iloc[0]
    scores = load_session(demo).scores
    during = scores[scores["timestamp"].between(macro["onset_s"], macro["offset_s"])]
    assert (during["state"] == "macro").any()


def test_the_same_file_gives_the_same_tables_every_time(demo: Path, tmp_path: Path) -> None:
    analyze(DEMO_PATH, tmp_path / "again", video=False)
    for name in ("scores.csv", "events.csv"):
        assert (demo / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_more_sensitive_monitor_enters_sooner_and_says_so(
    known_faces: None, beginning: Path, tmp_path: Path
) -> None:
    strict = analyze(beginning, tmp_path / "strict", sensitivity=0.0, video=False)
    lenient = analyze(beginning, tmp_path / "lenient", sensitivity=1.0, video=False)
    assert strict.facts["spotting"]["enter"] > lenient.facts["spotting"]["enter"]
    assert len(strict.events) == len(lenient.events) == 1  # as clear as an event can be


def test_without_a_folder_the_tables_come_back_alone(known_faces: None, beginning: Path) -> None:
    session = analyze(beginning)
    assert len(session.scores) > 100
    assert session.facts["status"] == "complete"
    assert session.facts["model"]["name"] == "kilas"


def test_a_stream_without_a_face_goes_on_with_empty_rows(tmp_path: Path) -> None:
    blank = np.full((480, 640, 3), 90, np.uint8)
    with Monitor(live=False) as monitor:
        source = Script(still(blank, 40))
        with SessionRecorder(
            tmp_path, monitor.spec, monitor.describe(source), None, wait=True, origin_s=0.0
        ) as recorder:
            for update in monitor.updates(source):
                assert update.faces == ()
                recorder.write(update)
    scores = load_session(tmp_path).scores
    assert len(scores) == 40
    assert (scores["success"] == 0).all()
    assert scores["none"].isna().all()
    assert (scores["state"] == "no face").all()


def test_a_still_face_shows_no_expression(astronaut_bgr: UInt8Array) -> None:
    with Monitor(live=False) as monitor:
        updates = list(monitor.updates(Script(still(astronaut_bgr, 120))))
    assert not any(update.events for update in updates)
    scores = [one for update in updates for one in update.scores]
    assert len(scores) == (120 - 1 - monitor.spec.frames) // monitor.spec.hop + 1
    none = monitor.spec.labels.index("none")
    assert np.mean([one.probabilities[none] for one in scores]) > 0.8
    assert updates[-1].states == {0: "neutral"}


def test_scores_speak_of_moments_before_their_frame(astronaut_bgr: UInt8Array) -> None:
    with Monitor(live=False) as monitor:
        spec = monitor.spec
        for update in monitor.updates(Script(still(astronaut_bgr, 60))):
            for scores in update.scores:
                behind_s = update.frame.t_s - scores.t_s
                assert spec.lookahead / spec.rate_hz <= behind_s + 1e-6
                # The clock gives a slot out with the next sample; a file's scores one frame on.
                assert behind_s <= (spec.lookahead + 3) / spec.rate_hz


def test_an_event_is_told_at_most_0_27_s_after_its_offset(known_faces: None) -> None:
    late_s = []
    with Monitor(live=False) as monitor, VideoFile(DEMO_PATH) as source:
        for update in monitor.updates(source):
            late_s += [update.frame.t_s - event.offset_s for event in update.events]
    assert late_s
    a_frame_s = 1 / 30  # with a file, scores are fetched one frame later than live
    assert max(late_s) <= 0.27 + a_frame_s


def test_recalibration_starts_the_window_over(astronaut_bgr: UInt8Array) -> None:
    with Monitor(live=False) as monitor:
        states = []
        for update in monitor.updates(Script(still(astronaut_bgr, 90))):
            states.append(update.states[0])
            if update.frame.id == 50:
                monitor.recalibrate()
    assert states[45] == "neutral"
    assert states[53] == "warming up"
    assert states[-1] == "neutral"


def test_nothing_is_compared_across_a_cut(astronaut_bgr: UInt8Array) -> None:
    frames = [
        dataclasses.replace(frame, after_cut=frame.id == 50) for frame in still(astronaut_bgr, 90)
    ]
    with Monitor(live=False) as monitor:
        states = [update.states[0] for update in monitor.updates(Script(frames))]
    assert states[49] == "neutral"
    assert states[53] == "warming up"
    assert states[-1] == "neutral"


def events_of(video: Path, monitor: Monitor) -> list[Event]:
    with VideoFile(video) as source:
        return [event for update in monitor.updates(source) for event in update.events]


def test_monitors_share_a_network_and_leave_it_open(
    known_faces: None, demo: Path, beginning: Path
) -> None:
    """Two streams at once come to the very events that each would have alone."""
    found: dict[int, list[Event]] = {}

    def watch(number: int, worker: InferenceWorker[Model]) -> None:
        with Monitor(worker, live=False) as monitor:
            assert monitor.model is worker.network
            found[number] = events_of(beginning, monitor)

    with InferenceWorker(Model.load(device="cpu")) as worker:
        threads = [threading.Thread(target=watch, args=(number, worker)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        expected = load_session(demo).events[:1]
        for number in range(2):
            assert [event.label for event in found[number]] == expected["label"].tolist()
            onsets_s = [event.onset_s for event in found[number]]
            assert onsets_s == pytest.approx(expected["onset_s"].tolist(), abs=1e-4)
        with Monitor(worker, live=False) as monitor:
            blank = np.full((480, 640, 3), 90, np.uint8)
            assert len(list(monitor.updates(Script(still(blank, 3))))) == 3


def test_a_network_that_breaks_ends_every_stream_that_shares_it(
    astronaut_bgr: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model.load(device="cpu")

    def fail(*_: object) -> Any:
        raise Broken("network")

    monkeypatch.setattr(model, "run", fail)
    with InferenceWorker(model) as worker, Monitor(worker, live=False) as idle:
        with pytest.raises(Broken), Monitor(worker, live=False) as monitor:
            run_with(monitor, Script(still(astronaut_bgr, 60)))
        with pytest.raises(Broken):
            run_with(idle, Script(still(astronaut_bgr, 3)))


def test_a_class_that_is_hardly_taken_is_not_spotted_and_its_scores_stay(
    known_faces: None, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitivity, "CLASS_FACTOR", 1e30)  # events of the demo are very clear
    with Monitor(live=False) as monitor:
        monitor.set_sensitivity(0.4, {"surprise": 0.0})
        with VideoFile(DEMO_PATH) as source:
            facts = monitor.describe(source)
            updates = list(monitor.updates(source))
    seen = load_session(demo)
    surprise = monitor.spec.labels.index("surprise")
    peak = max(one.probabilities[surprise] for update in updates for one in update.scores)
    assert peak == pytest.approx(seen.scores["surprise"].max(), abs=1e-5)
    others = seen.events.query("label != 'surprise'")
    spotted = [(e.label, round(e.apex_s, 6)) for update in updates for e in update.events]
    assert 0 < len(others) < len(seen.events)
    assert "surprise" not in dict(spotted)
    assert set(zip(others["label"], others["apex_s"], strict=True)) <= set(spotted)
    assert facts["settings"]["sensitivity"] == 0.4
    assert facts["settings"]["classes"] == {"negative": 0.5, "positive": 0.5, "surprise": 0.0}
    assert facts["spotting"]["enter"] > seen.facts["spotting"]["enter"]


def test_a_sensitivity_that_is_none_changes_nothing() -> None:
    with Monitor(live=False) as monitor:
        before = monitor.describe(Script(iter(())))
        for overall, classes in ((2.0, {}), (0.5, {"none": 0.2}), (0.5, {"anger": 0.2})):
            with pytest.raises(ValueError, match=r"0 to 1|no class"):
                monitor.set_sensitivity(overall, classes)
        assert monitor.describe(Script(iter(()))) == before


# Faults. Each is raised in the main loop with its own cause, within seconds.


class Broken(RuntimeError):
    """Raised by the injected faults."""


def run_with(monitor: Monitor, source: Script) -> None:
    for _ in monitor.updates(source):
        pass


@pytest.mark.parametrize("live", [False, True])
def test_a_source_that_raises_ends_the_run_with_its_cause(
    live: bool, astronaut_bgr: UInt8Array
) -> None:
    def frames() -> Iterator[Frame]:
        yield from still(astronaut_bgr, 5)
        raise SourceError("The camera was unplugged.")

    with Monitor(live=live) as monitor, pytest.raises(SourceError, match="unplugged"):
        run_with(monitor, Script(frames(), live=live))


def test_landmarks_that_raise_end_the_run_with_their_cause(
    astronaut_bgr: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Monitor(live=True) as monitor:

        def fail(frame: Frame) -> Any:
            raise Broken("landmarks")

        fail.close = lambda: None  # type: ignore[attr-defined]
        monkeypatch.setattr(monitor, "_tracker", fail)
        with pytest.raises(Broken, match="landmarks"):
            run_with(monitor, Script(still(astronaut_bgr, 5)))


@pytest.mark.parametrize("live", [False, True])
def test_a_model_that_raises_ends_the_run_with_its_own_traceback(
    live: bool, astronaut_bgr: UInt8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Monitor(live=live) as monitor:

        def fail_in_the_network(*_: object) -> Any:
            raise Broken("network")

        monkeypatch.setattr(monitor.model, "run", fail_in_the_network)

        def frames() -> Iterator[Frame]:
            for frame in still(astronaut_bgr, 400):
                time.sleep(0.002)
                yield frame

        start_s = time.monotonic()
        with pytest.raises(Broken, match="network") as caught:
            run_with(monitor, Script(frames(), live=live))
        assert "fail_in_the_network" in [entry.name for entry in caught.traceback]
        assert time.monotonic() - start_s < 20


def test_a_sink_that_raises_ends_the_recording_with_its_cause(
    astronaut_bgr: UInt8Array, tmp_path: Path
) -> None:
    def paint(update: object) -> UInt8Array:
        raise Broken("painter")

    with Monitor(live=False) as monitor:
        source = Script(still(astronaut_bgr, 300))
        recorder = SessionRecorder(
            tmp_path, monitor.spec, monitor.describe(source), paint, wait=True
        )
        with pytest.raises(RecordingError) as caught, recorder:
            for update in monitor.updates(source):
                recorder.write(update)
        assert isinstance(caught.value.__cause__, Broken)
    assert (tmp_path / "scores.csv").is_file()


def test_stopping_while_everything_is_full_takes_no_more_than_seconds(
    astronaut_bgr: UInt8Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    try:
        monitor = Monitor(live=True)
        real_run = monitor.model.run

        def hang(*arguments: Any, **options: Any) -> Any:
            release.wait(20)
            return real_run(*arguments, **options)

        def slow_paint(update: Any) -> UInt8Array:
            release.wait(0.5)
            return Overlay(monitor.spec).paint(update)

        monkeypatch.setattr(monitor.model, "run", hang)
        source = Script(still(astronaut_bgr, 200), live=True)
        recorder = SessionRecorder(
            tmp_path, monitor.spec, monitor.describe(source), slow_paint, wait=False
        )
        for update in monitor.updates(source):
            recorder.write(update)
        assert monitor.drops["model busy"] > 10
        assert recorder.drops["recorder busy"] > 10
        start_s = time.monotonic()
        recorder.close()
        monitor.close()
        assert time.monotonic() - start_s < 8
    finally:
        release.set()
    assert len(load_session(tmp_path).scores) == 200


def test_a_model_file_that_is_not_ours_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError):
        Monitor(path)


def test_a_file_cut_in_half_keeps_what_was_read(known_faces: None, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    with av.open(str(DEMO_PATH)) as demo, av.open(str(whole), "w") as copy:
        stream = copy.add_stream_from_template(demo.streams.video[0])
        for packet in demo.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with VideoFile(cut) as source:
        readable = 0
        with pytest.raises(SourceError):
            for _ in source:
                readable += 1
    with pytest.raises(SourceError) as caught:
        analyze(cut, tmp_path / "session")
    assert "\n" not in str(caught.value)
    session = load_session(tmp_path / "session")
    assert len(session.scores) == readable > 50
    assert session.facts["status"] == "failed"
    with av.open(str(tmp_path / "session" / "video.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == readable


@pytest.mark.parametrize("fails", [False, True])
def test_no_frame_and_no_score_is_lost_at_the_end(fails: bool, astronaut_bgr: UInt8Array) -> None:
    def frames() -> Iterator[Frame]:
        yield from still(astronaut_bgr, 41)
        if fails:
            raise SourceError("The file is damaged.")

    updates: list[Update] = []
    with Monitor(live=False) as monitor:
        spec = monitor.spec
        with pytest.raises(SourceError) if fails else nullcontext():
            for update in monitor.updates(Script(frames())):
                updates.append(update)
    assert [update.frame.id for update in updates] == list(range(41))
    windows = (41 - 1 - spec.frames) // spec.hop + 1
    assert sum(len(update.scores) for update in updates) == windows


def test_memory_does_not_grow_with_the_length_of_a_stream(astronaut_bgr: UInt8Array) -> None:
    small = np.ascontiguousarray(astronaut_bgr[::2, ::2])
    with Monitor(live=False) as monitor:
        source = Script(still(small, 600))
        sizes = []
        tracemalloc.start()
        try:
            for update in monitor.updates(source):
                if update.frame.id in (300, 580):
                    sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert sizes[1] < sizes[0] * 1.05 + 200_000


def test_a_session_with_blurred_faces_shows_none(known_faces: None, tmp_path: Path) -> None:
    session = analyze(DEMO_PATH, tmp_path / "session", blur_faces=True)
    assert len(session.events) == 4
    assert not (tmp_path / "session" / "clips").exists()
    with VideoFile(tmp_path / "session" / "video.mp4") as video, FaceTracker(1) as track:
        found = [len(track(frame)) for frame in video]
    assert len(found) == len(session.scores)
    # A few squares under the marks of an overlay look like some face now and then.
    assert sum(found) < 0.05 * len(found)


def test_each_event_of_a_session_has_its_clip(demo: Path) -> None:
    events = load_session(demo).events
    names = {f"event-{number:04d}" for number in events["event_id"]}
    for suffix in (".mp4", ".png"):
        assert {path.stem for path in (demo / "clips").glob(f"*{suffix}")} == names


def test_how_each_face_was_seen_is_kept(demo: Path) -> None:
    seen = pd.read_csv(demo / "conditions.csv")
    scores = load_session(demo).scores
    assert seen["timestamp"].tolist() == scores.loc[scores["success"], "timestamp"].tolist()
    assert seen["yaw_deg"].abs().max() < 15
    assert seen["face_px"].between(150, 260).all()
    assert seen["brightness"].between(40, 120).all()


def test_the_neutral_baseline_of_a_session_is_a_profile(
    known_faces: None, demo: Path, tmp_path: Path
) -> None:
    facts = load_session(demo).facts
    (baseline,) = facts["calibration"].values()
    assert 0 <= baseline["height"] < facts["spotting"]["leave"]
    assert baseline["to_s"] - baseline["from_s"] == pytest.approx(2.0, abs=0.05)
    again = analyze(DEMO_PATH, tmp_path / "again", profile=demo, video=False)
    assert again.facts["settings"]["baseline"] == baseline["height"]
    assert again.facts["calibration"]["0"] == {**baseline, "from_s": None, "to_s": None}
    with pytest.raises(ProfileError, match="one person"):
        analyze(DEMO_PATH, profile=demo, max_faces=2)


def test_what_a_face_shows_on_purpose_is_scored_beside_what_it_lets_slip(demo: Path) -> None:
    session = load_session(demo)
    columns = [f"macro_{label}" for label in session.facts["macro"]["labels"]]
    assert len(columns) == 7
    shown = session.scores[columns]
    np.testing.assert_allclose(shown.sum(axis=1), 1.0, atol=1e-4)
    # New ones about twice a second, from the first frame on.
    changes = (shown.diff().abs().sum(axis=1) > 0).sum()
    seconds = session.facts["duration_s"]
    assert 1.5 * seconds < changes <= 2 * seconds + 1


def test_without_macro_expressions_there_is_nothing_of_them(
    known_faces: None, demo: Path, beginning: Path
) -> None:
    session = analyze(beginning, macro=False)
    assert session.facts["macro"] is None
    assert not [name for name in session.scores if name.startswith("macro")]
    assert session.events.equals(load_session(demo).events[:1])  # here it comes back
    sha256 = session.facts["model"]["sha256"]
    assert AnalysisOptions(macro=False).settings(sha256) != AnalysisOptions().settings(sha256)


def one_event(shown_from_s: float, monkeypatch: pytest.MonkeyPatch) -> list[Update]:
    """The demo's beginning, up to its first event, with a model of macro-expressions that takes
    the face for happy from a moment on."""

    def happy(faces: UInt8Array) -> Float32Array:
        shares = faces[:, 0, 0] / 255.0
        scores = np.zeros((len(faces), len(macro.spec.labels)), np.float32)
        scores[:, macro.spec.labels.index("happy")] = shares
        scores[:, macro.spec.labels.index("neutral")] = 1 - shares
        return scores

    def cut(image_bgr: UInt8Array, *_: object) -> UInt8Array:
        return np.full((48, 48), image_bgr[0, 0, 0], np.uint8)

    def marked(frame: Frame) -> Frame:
        image_bgr = frame.image_bgr.copy()
        image_bgr[0, 0] = 255 * (frame.t_s >= shown_from_s)
        return Frame(frame.id, frame.t_s, image_bgr)

    macro = MacroModel.load()
    monkeypatch.setattr(macro, "run", happy)
    monkeypatch.setattr("realtime.macro.tracker.cut_face", cut)
    truth = pd.read_csv(DEMO_PATH.parent / "events.csv")
    end_s = truth["offset_s"].min() + 1.0
    with VideoFile(DEMO_PATH) as video, Monitor(live=False, macro=macro) as monitor:
        frames = takewhile(lambda frame: frame.t_s < end_s, video)
        return list(monitor.updates(Script(map(marked, frames))))


def test_what_a_face_shows_on_purpose_decides_what_is_a_micro_expression(
    known_faces: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    updates = one_event(np.inf, monkeypatch)
    ((event,),) = [update.events for update in updates if update.events]
    assert updates[-1].states[0] == "neutral"
    updates = one_event((event.onset_s + event.apex_s) / 2, monkeypatch)
    assert not [update.events for update in updates if update.events]
    assert updates[-1].states[0] == "macro"


def test_monitors_share_a_model_of_macro_expressions(astronaut_bgr: UInt8Array) -> None:
    macro = MacroModel.load()
    told = []
    for _ in range(2):
        with Monitor(live=False, macro=macro) as monitor:
            assert monitor.macro is macro
            for frame in still(astronaut_bgr, 20):
                told += monitor.process(frame).macro
    assert [scores.t_s for scores in told] == pytest.approx([0.0, 0.5] * 2)
    assert told[:2] == told[2:]


def test_settings_are_those_that_a_session_states(demo: Path) -> None:
    facts = load_session(demo).facts
    sha256 = facts["model"]["sha256"]
    assert facts["settings"] == AnalysisOptions().settings(sha256)
    assert AnalysisOptions(profile=demo).settings(sha256)["baseline"] is not None
    assert AnalysisOptions(contents=RecordingContents(video=False)).settings(
        sha256
    ) != AnalysisOptions().settings(sha256)


def test_words_in_tables_stay_words(tmp_path: Path, demo: Path) -> None:
    for path in demo.glob("*.*"):
        if path.suffix in (".csv", ".json"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    events = (tmp_path / "events.csv").read_text().replace(",surprise,", ",NA,")
    (tmp_path / "events.csv").write_text(events)
    session = load_session(tmp_path)
    assert "NA" in session.events["label"].tolist()
    assert session.scores["success"].dtype == bool
    assert str(session.scores["face_id"].dtype) == "Int64"
