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
from pathlib import Path
from typing import Any

import av
import pandas as pd
import pytest

from realtime import batch, batch_folders
from realtime.batch import analyze_batch
from realtime.batch_inputs import Input, find_inputs
from realtime.errors import KilasError, ModelError, RecordingError
from realtime.folder_lock import FolderLock
from realtime.session import analyze, load_session
from realtime.session_files import SUMMARY_FILE
from realtime.sources import DEMO_PATH, VideoFile

HERE = Path(__file__).resolve().parent
OPTIONS = {"video": False}
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
    """What this process makes of the clips, one after the other."""
    out = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "run_tasks", run_here)
        analyze_batch(find_inputs([str(clips)]), out, options=OPTIONS, report=False)
    return out


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "run_tasks", run_here)


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
        assert row["frames"] == len(session.scores) == 36
        assert row["face_share"] == 1
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
    lines = (tmp_path / "out" / SUMMARY_FILE).read_bytes().splitlines()
    assert [lines[0], *lines[:0:-1]] == (expected / SUMMARY_FILE).read_bytes().splitlines()


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
    table = run(inputs, out, options=OPTIONS | {"sensitivity": 0.7})
    assert list(table["status"]) == ["failed"] * 3
    assert "before it was changed and other settings (sensitivity)" in table["reason"][0]
    assert "another model and other settings" in table["reason"][1]
    assert "--overwrite" in table["reason"][1]
    assert "not written by Kilas" in table["reason"][2]
    assert same_tables(expected, out)
    table = run(inputs, out, options=OPTIONS | {"sensitivity": 0.7}, overwrite=True)
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
    def analyze_or_break(path: Path, folder: Path, **options: Any) -> Any:
        if path.stem == "0":
            raise ZeroDivisionError("by nought")
        return analyze(path, folder, **options)

    monkeypatch.setattr(batch, "analyze", analyze_or_break)
    table = run(find_inputs([str(clips / "0.mp4"), str(clips / "1.mp4")]), tmp_path)
    assert list(table["status"]) == ["failed", "done"]
    assert table["reason"][0].startswith("ZeroDivisionError: by nought; please report")


@pytest.mark.parametrize("what", ["full disk", "ctrl-c"])
def test_what_was_finished_before_an_end_is_in_the_summary_and_skipped_next_time(
    here: None, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def analyze_until_two(path: Path, folder: Path, **options: Any) -> Any:
        if path.stem == "2" and what == "ctrl-c":
            raise KeyboardInterrupt
        if path.stem == "2":
            raise RecordingError("stopped") from OSError(errno.ENOSPC, "No space left on device")
        return analyze(path, folder, **options)

    inputs = find_inputs([str(clips / f"{number}.mp4") for number in range(4)])
    with monkeypatch.context() as patched:
        patched.setattr(batch, "analyze", analyze_until_two)
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
        run(inputs, tmp_path / "out", options={"model": "unknown"})
    assert not (tmp_path / "out").exists()
    # On a worker with another file of this name.
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "kilas.onnx").write_bytes(b"others")
    real = batch.find_model
    monkeypatch.setattr(batch, "find_model", lambda name: weights / f"{name}.onnx")
    with pytest.raises(ModelError, match="another one"):
        run(inputs, tmp_path / "out")
    monkeypatch.setattr(batch, "find_model", real)
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
    monkeypatch.setattr(batch_folders, "QUIET_S", 0.0)
    with FolderLock(folder) as lock:
        assert lock.take()
        table = run(find_inputs([str(clips / "0.mp4")]), tmp_path)
    assert "is being written by another run" in table["reason"][0]
    assert (folder / "scores.csv").exists()


def die_at_two(task: Any, on_update: None) -> Any:
    if task.wanted.source.stem == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return REAL_DO(task, on_update)


REAL_DO = batch._do


def test_a_file_that_ends_its_process_fails_alone(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_do", die_at_two)
    table = run(find_inputs([str(clips / f"{number}.mp4") for number in (3, 2)]), tmp_path)
    assert statuses(table) == {"3": "done", "2": "failed"}
    assert "2.mp4 ended its process" in table["reason"][1]


def test_a_run_that_was_killed_is_gone_on_with(clips: Path, expected: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, pathlib\n"
        "from realtime.batch import analyze_batch\n"
        "from realtime.batch_inputs import find_inputs\n"
        "if __name__ == '__main__':\n"
        "    analyze_batch(find_inputs([sys.argv[1]]), pathlib.Path(sys.argv[2]), jobs=1,\n"
        "                  options={'video': False}, report=False)\n"
    )
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, str(script), str(clips), str(out)],
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
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
