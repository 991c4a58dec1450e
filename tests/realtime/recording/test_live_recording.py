"""The recording of a live run: started, stopped and finished without holding the run up."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from realtime.errors import RecordingError
from realtime.monitor import Monitor
from realtime.recording import recovery
from realtime.recording.live_recording import Recording, RecordingOutcome
from realtime.recording.recorder import RecordingContents
from realtime.recording.recovery import finish_in_subprocess
from realtime.session.reader import load_session
from realtime.spec import ModelSpec
from realtime.types import Event, Face, Frame, Scores, SourceInfo, Update
from support.builders import AHEAD

SPEC = ModelSpec(
    name="test",
    version="1",
    architecture="none",
    labels=("none", "positive"),
    rate_hz=30.0,
    frames=4,
    region_layout="triple",
    signal="gray",
    normalisation="none",
)


def make_recording(base: Path, said: list[str], **options: Any) -> Recording:
    monitor: Any = SimpleNamespace(
        spec=SPEC,
        macro=None,
        macro_labels=(),
        drops=Counter[str](),
        describe=lambda source: {"settings": {"max_faces": 1}},
        session_metadata=lambda origin_s: {
            "calibration": {"0": {"height": 0.1, "from_s": -origin_s}}
        },
    )
    source: Any = SimpleNamespace(drops=Counter[str]())
    return Recording(monitor, source, base, said.append, **options)


def update(number: int, with_face: bool = True) -> Update:
    random = np.random.default_rng(number)
    frame = Frame(number, 100 + number / 30, random.integers(0, 255, (120, 160, 3), np.uint8))
    box = (40.0, 30.0, 80.0, 80.0)
    face = Face(
        number, 0, np.full((478, 2), 50, np.float32), box, np.eye(2, 3, dtype=np.float32), AHEAD
    )
    return Update(
        frame=frame,
        faces=(face,) if with_face else (),
        scores=(Scores(0, frame.t_s, (0.9, 0.1), 0.0),) if with_face else (),
        events=(),
        states={0: "neutral"} if with_face else {},
    )


def write(recording: Recording, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        recording.write(update(number))
        time.sleep(0.001)  # lets the recorder's thread at its queue


def test_each_recording_has_a_folder_a_report_and_its_exports(tmp_path: Path) -> None:
    said: list[str] = []
    with make_recording(tmp_path, said, formats=("vtt", "parquet")) as recording:
        recording.toggle()
        assert recording.is_on
        write(recording, 20)
        recording.toggle()
        assert not recording.is_on
        write(recording, 5, 20)  # of no recording
        recording.start()
        write(recording, 10, 25)
    assert recording.failure is None
    assert len(recording.folders) == 2
    for folder, count in zip(recording.folders, (20, 10), strict=True):
        session = load_session(folder)
        assert session.facts["status"] == "complete"
        assert len(session.scores) == count
        assert session.facts["calibration"]["0"]["height"] == 0.1
        for name in ("report.html", "events.vtt", "scores.parquet"):
            assert (folder / name).stat().st_size > 0
    assert [words.split()[0] for words in said] == ["Recording", "Finishing"] * 2


def test_a_recording_begins_with_the_seconds_before_it_was_asked_for(tmp_path: Path) -> None:
    said: list[str] = []
    with make_recording(tmp_path, said, before_s=1.0, report=False) as recording:
        write(recording, 20)
        recording._source.drops["late"] += 5  # before the second that is kept
        write(recording, 40, 20)
        recording._source.drops["late"] += 2
        write(recording, 10, 60)
        recording.toggle()
        write(recording, 10, 70)
        recording.toggle()
        recording.toggle()  # at once: nothing is recorded twice
        write(recording, 5, 80)
    first, second = recording.folders
    session = load_session(first)
    assert list(session.scores["frame"]) == list(range(40, 80))
    assert session.facts["before_s"] == pytest.approx(29 / 30, abs=1e-3)
    assert session.facts["drops"] == {"late": 2}
    assert session.facts["video_frames"] == 40
    assert session.scores["timestamp"].iloc[0] == 0
    assert "with the last 1.0 s" in said[0]
    assert list(load_session(second).scores["frame"]) == list(range(80, 85))
    assert load_session(second).facts["before_s"] == 0


def test_the_run_goes_on_while_a_recording_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(recovery, "COMMAND_LINE", slow)
    began = []
    run = recovery.subprocess.run
    monkeypatch.setattr(
        recovery.subprocess, "run", lambda *a, **k: began.append(a) or run(*a, timeout=2, **k)
    )
    recording = make_recording(tmp_path / "out", [])
    recording.start()
    write(recording, 5)
    recording.stop()
    deadline_s = time.monotonic() + 10
    while not began and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert began
    assert recording.folders == []  # the report is still being made
    recording.start()
    write(recording, 5, 5)
    assert recording.is_on
    with pytest.raises(recovery.subprocess.TimeoutExpired):
        recording.__exit__(None, None, None)


def test_a_report_that_fails_is_said_and_the_recording_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nsys.exit('No paper left.')\n")
    monkeypatch.setattr(recovery, "COMMAND_LINE", broken)
    said: list[str] = []
    with make_recording(tmp_path / "out", said) as recording:
        recording.start()
        write(recording, 5)
    assert isinstance(recording.failure, RecordingError)
    assert "No paper left." in said[-1]
    assert "stream.py report" in said[-1]
    (folder,) = recording.folders
    assert load_session(folder).facts["status"] == "complete"


def test_scores_only(tmp_path: Path) -> None:
    with make_recording(
        tmp_path, [], contents=RecordingContents(video=False), report=False
    ) as recording:
        recording.start()
        write(recording, 5)
    (folder,) = recording.folders
    assert {path.suffix for path in folder.iterdir()} == {".csv", ".json"}
    facts = json.loads((folder / "session.json").read_text())
    assert facts["video"] is None
    assert facts["settings"] == {
        **{"max_faces": 1, "video": False, "keep_clean": False},
        **{"blur_faces": False, "clips": True, "blendshapes": False},
    }


def test_a_folder_that_cannot_be_written_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    with make_recording(tmp_path / "file" / "out", said) as recording:
        recording.start()
        write(recording, 3)
        assert not recording.is_on
    assert "choose another folder" in said[0]
    assert recording.folders == []


@pytest.mark.parametrize(
    "options", [{"keep_clean": True, "blur_faces": True}, {"keep_clean": True, "video": False}]
)
def test_what_cannot_be_had_together_is_wrong_use(options: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="leave out"):
        RecordingContents(**options)


def test_who_asked_is_told_of_each_recording_when_it_is_finished(tmp_path: Path) -> None:
    told: list[RecordingOutcome] = []
    is_told = threading.Event()

    def on_finished(finished: RecordingOutcome) -> None:
        told.append(finished)
        is_told.set()

    options: dict[str, Any] = {"report": False, "on_finished": on_finished}
    with make_recording(tmp_path / "out", [], **options) as recording:
        recording.start()
        write(recording, 5)
        recording.stop()
        assert is_told.wait(20)  # though nobody asks the recording for anything
        assert told[0].folder is not None
        assert load_session(told[0].folder).facts["status"] == "complete"
        recording.start()
        write(recording, 5, 5)
    assert told == [RecordingOutcome(folder, True, None) for folder in recording.folders]
    assert len(told) == 2


def test_who_asked_is_told_of_a_recording_that_fails(tmp_path: Path) -> None:
    told: list[RecordingOutcome] = []
    (tmp_path / "file").touch()
    with make_recording(tmp_path / "file" / "out", [], on_finished=told.append) as recording:
        recording.start()
    assert told == [RecordingOutcome(None, False, recording.failure)]

    def full(update: object) -> None:
        raise RecordingError("The disk is full; free some.")

    with make_recording(tmp_path / "out", [], on_finished=told.append) as recording:
        recording.start()
        assert recording._recorder is not None
        recorder, recording._recorder.write = recording._recorder, full  # type: ignore[method-assign]
        write(recording, 2)
        assert not recording.is_on
    recorder.close()
    (folder,) = (tmp_path / "out").iterdir()
    assert told[1:] == [RecordingOutcome(folder, False, recording.failure)]
    assert recording.folders == []


def test_what_was_cut_off_can_be_completed(tmp_path: Path) -> None:
    told: list[RecordingOutcome] = []

    def break_down(*_: object) -> None:
        raise ValueError("inside")

    with make_recording(tmp_path, [], on_finished=told.append) as recording:
        recording.start()
        assert recording._recorder is not None
        write(recording, 10)
        recording._recorder._write_picture = break_down  # type: ignore[assignment, method-assign]
        for k in range(10, 400):
            write(recording, 1, k)
            time.sleep(0.01)
            if not recording.is_on:
                break
        assert not recording.is_on
    ((folder, is_whole),) = ((one.folder, one.is_whole) for one in told)
    assert not is_whole
    assert folder is not None
    assert finish_in_subprocess(folder) is None
    assert (folder / "report.html").exists()
    assert len(load_session(folder).scores) >= 10
    assert finish_in_subprocess(tmp_path / "nowhere") is not None


def test_who_asked_is_told_of_each_clip(tmp_path: Path) -> None:
    told: list[tuple[Path, int, bool]] = []
    options: dict[str, Any] = {"report": False, "on_clip": lambda *clip: told.append(clip)}
    with make_recording(tmp_path, [], **options) as recording:
        recording.start()
        write(recording, 20)
        seen, away = (Event(face_id, 100.3, 100.4, 100.5, "positive", 0.9) for face_id in (0, 7))
        recording.write(replace(update(20), events=(seen, away)))
    deadline_s = time.monotonic() + 20  # a clip that is under way is not waited for
    while len(told) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    (folder,) = recording.folders
    assert sorted(told) == [(folder, 1, True), (folder, 2, False)]
    assert (folder / "clips" / "event-0001.mp4").exists()


def test_a_recording_outlives_its_monitor(tmp_path: Path) -> None:
    source: Any = SimpleNamespace(
        drops=Counter({"late": 1}), live=True, info=SourceInfo("script", (160, 120))
    )
    with ExitStack() as opened:
        monitor = opened.enter_context(Monitor(device="cpu"))
        recording = Recording(monitor, source, tmp_path, lambda words: None, report=False)
        recording.start()
        for number in range(10):
            recording.write(monitor.process(update(number, with_face=False).frame))
            if number == 5:
                monitor.set_sensitivity(0.75, {"surprise": 1.0})
        source.drops["late"] += 2
        opened.close()
    with recording:
        assert recording.is_on
    (folder,) = recording.folders
    facts = load_session(folder).facts
    assert facts["status"] == "complete"
    assert facts["frames"] == 10
    assert facts["drops"] == {"late": 2}
    assert facts["calibration"] == {}
    assert facts["settings"]["sensitivity"] == 0.5
    assert "classes" not in facts["settings"]
    (change,) = facts["sensitivity_changes"]
    assert change["from_s"] == pytest.approx(6 / 30)
    assert change["sensitivity"] == 0.75
    assert change["classes"] == {"negative": 0.5, "positive": 0.5, "surprise": 1.0}
    assert change["spotting"]["enter"] < facts["spotting"]["enter"]
