"""Many files: the same bytes however it is done, what fails alone, and going on after an end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pandas as pd
import pytest

from realtime import earlier_sessions
from realtime.analysis import AnalysisOptions, analyze_file
from realtime.batch import runner
from realtime.batch.inputs import Input, find_inputs
from realtime.batch.runner import analyze_batch
from realtime.earlier_sessions import Wanted, make_room
from realtime.errors import KilasError, ModelError, RecordingError
from realtime.recording.recorder import RecordingContents
from realtime.session.layout import SUMMARY_FILE
from realtime.session.reader import load_session
from realtime.session.statistics import per_minute, presence
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.storage.folder_lock import FolderLock
from support.paths import ROOT

OPTIONS = AnalysisOptions(contents=RecordingContents(video=False))
TABLES = ("scores.csv", "events.csv")

pytestmark = pytest.mark.timeout(150)


def run_here(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    on_result: Callable[[Any, Any], None],
    **_: object,
) -> None:
    """Without other processes, which take seconds to start."""
    for task in tasks:
        on_result(task, work(task))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of a second, and a file that is no video. The second shows an expression."""
    folder = tmp_path_factory.mktemp("clips")
    with VideoFile(DEMO_PATH) as source:
        pictures = [frame.image_bgr for frame, _ in zip(source, range(120), strict=False)]
    for number, first in enumerate((0, 46, 60, 75)):
        with av.open(str(folder / f"{number}.mp4"), "w") as output:
            stream = output.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
            for picture in pictures[first : first + 36]:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            output.mux(stream.encode(None))
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def expected(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Analyse the clips in this process, one after the other."""
    out = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "run_tasks", run_here)
        analyze_batch(find_inputs([str(clips)]), out, options=OPTIONS, report=False)
    return out


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run_tasks", run_here)


def run(inputs: Sequence[Input], out: Path, **more: Any) -> pd.DataFrame:
    arguments: dict[str, Any] = {"jobs": 1, "options": OPTIONS, "report": False}
    return analyze_batch(inputs, out, **(arguments | more))


def statuses(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["folder"], table["status"], strict=True))


def same_tables(one: Path, other: Path, numbers: Sequence[int] = range(4)) -> bool:
    return all(
        (one / str(number) / name).read_bytes() == (other / str(number) / name).read_bytes()
        for number in numbers
        for name in TABLES
    )


def test_the_summary_says_what_was_found_and_what_failed(clips: Path, expected: Path) -> None:
    table = pd.read_csv(expected / SUMMARY_FILE).set_index("folder")
    assert list(table.index) == ["0", "1", "2", "3", "bad"]
    assert list(table["status"]) == ["done"] * 4 + ["failed"]
    assert "is not a video" in table.loc["bad", "reason"]
    assert table.loc["bad", "frames":].isna().all()
    assert table.loc["1", "file"] == (clips / "1.mp4").as_posix()
    for folder in "0123":
        session = load_session(expected / folder)
        row = table.loc[folder]
        seen = presence(session.scores)
        assert row["duration_s"] == pytest.approx(seen.total_s)
        assert row["frames"] == len(session.scores) == 36
        assert row["face_share"] == 1
        assert row["lost_frames"] == 0
        assert (
            row["events"]
            == len(session.events)
            == row.filter(like="events_").sum() - (row["events_per_minute"])
        )
        assert row["events_per_minute"] == pytest.approx(60 * row["events"] / row["duration_s"])
    assert table.loc["1", "events_surprise"] == 1
    assert not (expected / "bad").exists()


def test_two_jobs_give_the_same_bytes_in_any_order(
    clips: Path, expected: Path, tmp_path: Path
) -> None:
    inputs = find_inputs([str(clips)])
    run(inputs[::-1], tmp_path / "out", jobs=2)
    assert same_tables(expected, tmp_path / "out")
    assert (tmp_path / "out" / SUMMARY_FILE).read_bytes() == (expected / SUMMARY_FILE).read_bytes()


def test_what_is_complete_is_skipped(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected, tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/*/*")}
    table = run(find_inputs([str(clips)]), tmp_path / "out")
    assert list(table["status"]) == ["skipped"] * 4 + ["failed"]
    first = pd.read_csv(expected / SUMMARY_FILE)
    again = pd.read_csv(tmp_path / "out" / SUMMARY_FILE)
    pd.testing.assert_frame_equal(first.drop(columns="status"), again.drop(columns="status"))
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/*/*")} == before


def test_a_session_of_something_else_is_left_alone(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    out, mine = tmp_path / "out", tmp_path / "clips"
    shutil.copytree(expected, out)
    shutil.copytree(clips, mine)
    inputs = find_inputs([str(mine / f"{number}.mp4") for number in range(3)])
    os.utime(mine / "0.mp4", (0, 0))
    facts = json.loads((out / "1" / "session.json").read_text())
    facts["model"]["sha256"] = "0" * 64
    (out / "1" / "session.json").write_text(json.dumps(facts))
    (out / "2" / "session.json").write_text('{"not": "Kilas"}')
    table = run(inputs, out, options=replace(OPTIONS, sensitivity=0.7))
    assert list(table["status"]) == ["failed"] * 3
    assert "before it was changed and other settings (sensitivity)" in table["reason"][0]
    assert "another model and other settings" in table["reason"][1]
    assert "--overwrite" in table["reason"][1]
    assert "not written by Kilas" in table["reason"][2]
    assert same_tables(expected, out)
    wanted = Wanted(mine / "1.mp4", "0" * 64, facts["settings"] | {"macro": "1" * 64})
    del facts["settings"]["macro"]  # as before there were such scores
    (out / "1" / "session.json").write_text(json.dumps(facts))
    with pytest.raises(RecordingError, match=r"\(macro: it has none, as with --macro off\)"):
        make_room(out / "1", wanted, overwrite=False)
    table = run(inputs, out, options=replace(OPTIONS, sensitivity=0.7), overwrite=True)
    assert list(table["status"]) == ["done", "done", "failed"]
    assert load_session(out / "1").facts["settings"]["sensitivity"] == 0.7


@pytest.mark.parametrize("status", ["recording", "failed", "recovered"])
def test_what_was_not_completed_is_done_again_and_other_files_stay(
    here: None, clips: Path, expected: Path, tmp_path: Path, status: str
) -> None:
    folder = tmp_path / "0"
    shutil.copytree(expected / "0", folder)
    facts = json.loads((folder / "session.json").read_text()) | {"status": status}
    (folder / "session.json").write_text(json.dumps(facts))
    (folder / "scores.csv").write_text("frame,timestamp\n0,0.1\n")
    for name in ("notes.txt", "recording.lock", "clips/event-0001.png", "clips/mine.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    table = run(find_inputs([str(clips / "0.mp4")]), tmp_path)
    assert statuses(table) == {"0": "done"}
    for name in TABLES:
        assert (folder / name).read_bytes() == (expected / "0" / name).read_bytes()
    assert (folder / "notes.txt").exists()
    assert (folder / "clips" / "mine.png").exists()
    assert not (folder / "clips" / "event-0001.png").exists()


def test_files_that_kilas_did_not_write_are_never_removed(
    here: None, clips: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "video.mp4").write_bytes(b"somebody's own")
    table = run(find_inputs([str(clips / "0.mp4")]), tmp_path)
    assert list(table["status"]) == ["failed"]
    assert "already holds a recording" in table["reason"][0]
    assert (folder / "video.mp4").read_bytes() == b"somebody's own"
    # Nor is a session that would have to give way to its own source.
    shutil.copy(clips / "0.mp4", folder / "video.mp4")
    facts = {"status": "failed", "model": {}, "source": {"name": "video.mp4"}}
    (folder / "session.json").write_text(json.dumps(facts))
    table = run([Input(folder / "video.mp4", "0")], tmp_path)
    assert "lies in" in table["reason"][0]
    assert (folder / "video.mp4").exists()


def test_a_defect_fails_alone_and_asks_for_a_report(
    here: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def analyze_or_break(path: Path, folder: Path, *options: Any) -> Any:
        if path.stem == "0":
            raise ZeroDivisionError("by nought")
        return analyze_file(path, folder, *options)

    monkeypatch.setattr(runner, "analyze_file", analyze_or_break)
    table = run(find_inputs([str(clips / "0.mp4"), str(clips / "1.mp4")]), tmp_path)
    assert list(table["status"]) == ["failed", "done"]
    assert table["reason"][0].startswith("ZeroDivisionError: by nought; please report")


@pytest.mark.parametrize("what", ["full disk", "ctrl-c"])
def test_what_was_finished_before_an_end_is_in_the_summary_and_skipped_next_time(
    here: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def analyze_until_two(path: Path, folder: Path, *options: Any) -> Any:
        if path.stem == "2" and what == "ctrl-c":
            raise KeyboardInterrupt
        if path.stem == "2":
            raise RecordingError("stopped") from OSError(errno.ENOSPC, "No space left on device")
        return analyze_file(path, folder, *options)

    inputs = find_inputs([str(clips / f"{number}.mp4") for number in range(4)])
    with monkeypatch.context() as patched:
        patched.setattr(runner, "analyze_file", analyze_until_two)
        ends = KeyboardInterrupt if what == "ctrl-c" else KilasError
        with pytest.raises(ends, match=None if what == "ctrl-c" else "no space left"):
            run(inputs, tmp_path)
    assert list(pd.read_csv(tmp_path / SUMMARY_FILE)["status"]) == ["done"] * 2
    assert list(run(inputs, tmp_path)["status"]) == ["skipped"] * 2 + ["done"] * 2


def test_a_model_that_cannot_be_used_ends_everything_before_the_first_file(
    here: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = find_inputs([str(clips)])
    with pytest.raises(ModelError, match="no model 'unknown'"):
        run(inputs, tmp_path / "out", model="unknown")
    assert not (tmp_path / "out").exists()
    # On a worker with another file of this name.
    weights = tmp_path / "weights"
    weights.mkdir()
    for finder, model in (("find_model", "kilas"), ("find_macro", "kilas-macro")):
        (weights / f"{model}.onnx").write_bytes(b"others")
        with monkeypatch.context() as patched:
            patched.setattr(runner, finder, lambda name: weights / f"{name}.onnx")
            with pytest.raises(ModelError, match=rf"{model}\.onnx is not the file"):
                run(inputs, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [SUMMARY_FILE]


def test_a_folder_that_cannot_be_written_is_said_at_once(
    here: None, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="choose another --out"):
        run(find_inputs([str(clips)]), tmp_path / "file")


def test_pages_and_formats_are_made_also_of_sessions_that_are_complete(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected, tmp_path / "out")
    out, inputs = tmp_path / "out", find_inputs([str(clips)])
    table = run(inputs, out, formats=["jsonl"], report=True)
    assert list(table["status"]) == ["skipped"] * 4 + ["failed"]
    for number in range(4):
        assert (out / str(number) / "report.html").exists()
        assert (out / str(number) / "events.jsonl").exists()
    assert (out / "report.html").exists()
    assert same_tables(expected, out)


def test_half_a_session_file_is_what_a_kill_left(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected / "0", tmp_path / "0")
    (tmp_path / "0" / "session.json").write_text('{"status": "rec')
    (tmp_path / "0" / "scores.csv").write_text("frame,time")
    (tmp_path / "0" / "recording.lock").touch()
    assert statuses(run(find_inputs([str(clips / "0.mp4")]), tmp_path)) == {"0": "done"}


@pytest.mark.parametrize("lost", [False, True])
def test_a_recording_that_cannot_be_made_again_is_never_removed(
    here: None, clips: Path, expected: Path, tmp_path: Path, lost: bool
) -> None:
    folder, inputs = tmp_path / "0", find_inputs([str(clips / "0.mp4")])
    shutil.copytree(expected / "0", folder)
    facts = json.loads((folder / "session.json").read_text()) | {"status": "failed"}
    facts["source"]["live"] = True
    (folder / "session.json").write_text("" if lost else json.dumps(facts))
    reason = run(inputs, tmp_path)["reason"][0]
    assert ("session.json was lost" if lost else "live recording") in reason
    if not lost:
        assert "live recording" in run(inputs, tmp_path, overwrite=True)["reason"][0]
    assert same_tables(expected, tmp_path, numbers=[0])


def test_a_session_that_is_being_written_is_left_alone(
    here: None, clips: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "0"
    shutil.copytree(expected / "0", folder)
    facts = json.loads((folder / "session.json").read_text()) | {"status": "recording"}
    (folder / "session.json").write_text(json.dumps(facts))
    monkeypatch.setattr(earlier_sessions, "QUIET_S", 0.0)
    with FolderLock(folder) as lock:
        assert lock.take()
        table = run(find_inputs([str(clips / "0.mp4")]), tmp_path)
    assert "is being written by another run" in table["reason"][0]
    assert (folder / "scores.csv").exists()


def test_the_share_with_a_face_is_that_of_the_time_as_in_the_report(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "0"
    shutil.copytree(expected / "0", folder)
    rows = pd.read_csv(folder / "scores.csv", dtype="object", keep_default_na=False)
    rows = rows.astype({"timestamp": float})
    rows.loc[10:, "timestamp"] += 0.1  # the tenth frame is shown for longer, the face is away
    rows.loc[9, ["success", "face_id", "state"]] = ["0", "", "no face"]
    rows.to_csv(folder / "scores.csv", index=False)
    row = run(find_inputs([str(clips / "0.mp4")]), tmp_path).iloc[0]
    seen = presence(load_session(folder).scores)
    assert row["status"] == "skipped"
    assert row["face_share"] == pytest.approx(seen.with_face_s / seen.total_s, abs=1e-6)
    assert row["face_share"] < 35 / 36 - 0.05
    assert row["events_per_minute"] == pytest.approx(
        per_minute(int(row["events"]), seen.total_s), abs=1e-5
    )


def test_a_resumed_batch_makes_what_is_missing_and_nothing_else(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected / "0", tmp_path / "0")
    inputs = find_inputs([str(clips / "0.mp4")])
    wanted: dict[str, Any] = {"formats": ["eaf", "vtt", "jsonl"], "report": True}
    run(inputs, tmp_path, **wanted)
    (tmp_path / "0" / "events.eaf").write_bytes(b"days of work")
    (tmp_path / "0" / "events.vtt").write_bytes(b"also changed")
    (tmp_path / "0" / "report.html").write_bytes(b"and this")
    (tmp_path / "0" / "events.jsonl").unlink()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "0").iterdir()}
    assert statuses(run(inputs, tmp_path, **wanted)) == {"0": "skipped"}
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / "0").iterdir()}
    changed = {file.name for file in after if after[file] != before.get(file)}
    assert changed == {"events.jsonl", "scores.jsonl"}


def test_annotations_outlive_the_session_that_they_were_made_in(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    folder, inputs = tmp_path / "0", find_inputs([str(clips / "0.mp4")])
    shutil.copytree(expected / "0", folder)
    run(inputs, tmp_path, formats=["eaf"])
    untouched = (folder / "events.eaf").read_bytes()
    anew: dict[str, Any] = {"options": replace(OPTIONS, sensitivity=0.6), "overwrite": True}
    # What can be made again is.
    assert statuses(run(inputs, tmp_path, formats=["eaf"], **anew)) == {"0": "done"}
    assert (folder / "events.eaf").read_bytes() != untouched
    (folder / "events.eaf").write_bytes(b"days of work")
    anew["options"] = OPTIONS
    table = run(inputs, tmp_path, formats=["eaf"], **anew)
    assert "changed by somebody" in table["reason"][0]
    assert load_session(folder).facts["settings"]["sensitivity"] == 0.6  # said before the work
    assert statuses(run(inputs, tmp_path, **anew)) == {"0": "done"}
    assert (folder / "events.eaf").read_bytes() == b"days of work"


def test_the_summary_and_the_page_are_about_all_that_is_there(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(expected, out)
    shutil.rmtree(out / "3")
    (out / SUMMARY_FILE).unlink()

    def add(*names: str, **more: Any) -> list[str]:
        run(find_inputs([str(clips / f"{name}.mp4") for name in names]), out, **more)
        return list(pd.read_csv(out / SUMMARY_FILE, dtype={"folder": str})["folder"])

    assert add("2", "bad") == ["2", "bad"]
    assert add("0") == ["0", "2"]  # nothing is left of what failed
    assert add("1", "2", report=True) == ["0", "1", "2"]
    page = (out / "report.html").read_text()
    assert all(f"{number}.mp4" in page for number in range(3))
    one_by_one = (out / SUMMARY_FILE).read_bytes()
    assert add("0", "1", "2") == ["0", "1", "2"]
    assert (out / SUMMARY_FILE).read_bytes() == one_by_one
    shutil.rmtree(out / "0")
    assert add("2") == ["1", "2"]


def test_rows_of_another_model_keep_their_labels(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected, tmp_path / "out")
    summary = tmp_path / "out" / SUMMARY_FILE
    table = pd.read_csv(summary).rename(columns={"events_surprise": "events_wonder"})
    table.to_csv(summary, index=False)
    run(find_inputs([str(clips / "0.mp4")]), tmp_path / "out", report=True)
    table = pd.read_csv(summary).set_index("folder")
    assert table.loc[1, "events_wonder"] == 1
    assert pd.isna(table.loc[1, "events_surprise"])
    assert table.loc[0, "events_surprise"] == 0
    assert pd.isna(table.loc[0, "events_wonder"])


def test_the_summary_is_never_cut_before_there_is_a_new_one(
    here: None, clips: Path, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(expected, tmp_path / "out")
    summary = tmp_path / "out" / SUMMARY_FILE
    before = summary.read_bytes()
    found = []

    def stop(*_: Any) -> Any:
        found.append(summary.read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "analyze_file", stop)
    with pytest.raises(KeyboardInterrupt):
        run(find_inputs([str(clips / "bad.mp4"), str(clips / "1.mp4")]), tmp_path / "out")
    assert found == [before]
    table = pd.read_csv(summary)
    assert list(table["folder"]) == [0, 1, 2, 3]
    assert list(table["status"]) == ["done", "skipped", "done", "done"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"subject;group\n1;a\n",
        b"\xff\xfe\x00",
        b'"never closed\n',
        "file,folder,status,reason,frames,duration_s,face_share,events,events_per_minute,mine\n",
        "file,folder,status,reason,frames,duration_s,face_share,events,events_per_minute\n"
        "a.mp4,a,done,,many,1,1,0,0\n",
        "file,folder,status,reason,frames,duration_s,face_share,events,events_per_minute\n"
        "a.mp4,a,well,,1,1,1,0,0\n",
        "file,folder,status,reason,frames,duration_s,face_share,events,events_per_minute\n"
        "a.mp4,a,done,,1.5,1,1,0,0\n",
        "file,folder,status,reason,frames,duration_s,face_share,events,events_per_minute\n"
        "a.mp4,a,done,,1,1,1,0,0,0,0\n",
    ],
    ids=[
        *("empty", "other columns", "no text", "never closed", "one column more"),
        *("a word for a number", "another status", "half a frame", "more cells than columns"),
    ],
)
def test_a_summary_that_somebody_else_wrote_is_said_before_any_file_is_begun(
    here: None, clips: Path, tmp_path: Path, content: bytes | str
) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / SUMMARY_FILE).write_bytes(data)
    with pytest.raises(RecordingError, match=r"summary\.csv is not as Kilas wrote it.*rename it"):
        run(find_inputs([str(clips / "0.mp4")]), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [SUMMARY_FILE]
    assert (tmp_path / SUMMARY_FILE).read_bytes() == data


def test_a_summary_of_an_earlier_version_is_gone_on_with(
    here: None, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(find_inputs([str(clips / "0.mp4")]), out)
    summary = pd.read_csv(out / SUMMARY_FILE)
    summary.drop(columns=["lost_frames", "lost_causes"]).to_csv(out / SUMMARY_FILE, index=False)
    run(find_inputs([str(clips / "1.mp4")]), out)
    table = pd.read_csv(out / SUMMARY_FILE)
    assert list(table["frames"]) == [36, 36]
    assert table["lost_frames"].isna().tolist() == [True, False]


def test_files_that_are_added_do_not_move_what_is_done(
    here: None, clips: Path, tmp_path: Path
) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    shutil.copy(clips / "0.mp4", study / "a.mkv")
    assert statuses(run(find_inputs([str(study)], out), out)) == {"a": "done"}
    shutil.copy(clips / "bad.mp4", study / "a.mp4")
    table = run(find_inputs([str(study)], out), out)
    assert statuses(table) == {"a": "skipped", "a.mp4": "failed"}


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "complete", "model": {}, "source": {"bytes": 1, "modified": 5}}',
        '{"status": "complete", "model": {}, "source": {"bytes": [], "modified": "yesterday"}}',
        '{"status": "complete", "model": {}, "source": {"modified": "0001-01-01T00:00:00"}}',
        '{"status": [], "model": {"sha256": {}}, "source": {}, "settings": 5}',
        "[" * 100_000,
        "[]",
    ],
    ids=["a number", "words", "too early", "other types", "brackets", "a list"],
)
def test_a_session_file_that_is_none_fails_alone(
    here: None, clips: Path, expected: Path, tmp_path: Path, text: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(expected, out)
    (out / "0" / "session.json").write_text(text)
    inputs = find_inputs([str(clips / "0.mp4"), str(clips / "1.mp4")], out)
    table = run(inputs, out)
    assert statuses(table) == {"0": "failed", "1": "skipped"}
    assert "choose another --out" in table["reason"][0]


def test_two_runs_do_not_write_into_one_folder(
    here: None, clips: Path, expected: Path, tmp_path: Path
) -> None:
    shutil.copytree(expected, tmp_path / "out")
    before = (tmp_path / "out" / SUMMARY_FILE).read_bytes()
    inputs = find_inputs([str(clips / "0.mp4")])
    with FolderLock(tmp_path / "out") as lock:
        assert lock.take()
        with pytest.raises(RecordingError, match="Another run is writing into"):
            run(inputs, tmp_path / "out")
        assert (tmp_path / "out" / SUMMARY_FILE).read_bytes() == before
    assert statuses(run(inputs, tmp_path / "out")) == {"0": "skipped"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_takes_nothing_more_ends_all(
    here: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fill(*_: Any, **__: Any) -> Any:
        raise RecordingError("stopped") from OSError(number, "full")

    monkeypatch.setattr(runner, "analyze_file", fill)
    with pytest.raises(KilasError, match="no space left"):
        run(find_inputs([str(clips)]), tmp_path)


def die_at_two(task: Any, on_update: None) -> Any:
    if task.wanted.source.stem == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return REAL_DO(task, on_update)


REAL_DO = runner._run_task


def test_a_file_that_ends_its_process_fails_alone(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_run_task", die_at_two)
    table = run(find_inputs([str(clips / f"{number}.mp4") for number in (3, 2)]), tmp_path)
    assert statuses(table) == {"3": "done", "2": "failed"}
    assert "2.mp4 ended its process" in table["reason"][1]


def test_a_run_that_was_killed_is_gone_on_with(clips: Path, expected: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, pathlib\n"
        "from realtime.analysis import AnalysisOptions\n"
        "from realtime.batch.runner import analyze_batch\n"
        "from realtime.recording.recorder import RecordingContents\n"
        "from realtime.batch.inputs import find_inputs\n"
        "if __name__ == '__main__':\n"
        "    analyze_batch(find_inputs([sys.argv[1]]), pathlib.Path(sys.argv[2]), jobs=1,\n"
        "                  options=AnalysisOptions(contents=RecordingContents(video=False)),\n"
        "                  report=False)\n"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, str(script), str(clips), str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        while not list(out.glob("*/session.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=30)  # until its processes are gone, too
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    table = run(find_inputs([str(clips)]), out)
    assert set(table["status"][:4]) <= {"done", "skipped"}
    assert "done" in set(table["status"])
    assert same_tables(expected, out)


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(tmp_path / "workers"),
    ) as local:
        yield local


@pytest.mark.thorough
def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(
    two_workers: Any, clips: Path, expected: Path, tmp_path: Path
) -> None:
    from distributed import Client

    out = tmp_path / "out"
    with Client(two_workers) as client:
        worker = next(iter(client.run(os.getpid).values()))

    def kill() -> None:
        while not list(out.glob("*/scores.csv")):
            time.sleep(0.01)
        os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    run(find_inputs([str(clips)]), out, scheduler=two_workers.scheduler_address)
    killer.join()
    assert same_tables(expected, out)
    assert (out / SUMMARY_FILE).read_bytes() == (expected / SUMMARY_FILE).read_bytes()
