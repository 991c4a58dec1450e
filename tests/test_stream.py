"""The command line, as a user runs it: a process of its own, its output and its status."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

import stream
from realtime.analysis import analyze
from realtime.interrupts import INTERRUPTED
from realtime.macro.model import DEFAULT_MACRO, find_macro
from realtime.session.reader import load_session
from realtime.sources.opening import DEMO_PATH
from support.builders import wait_until
from support.demo_clip import copy_beginning
from support.paths import ROOT
from support.sources import steady, write_clip, write_lossy_clip

WITHOUT_DISPLAY = {
    name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
}


def kilas(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "stream.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=WITHOUT_DISPLAY | {"COLUMNS": "200"},
        timeout=150,
    )


Kilas = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kilas_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kilas:
    """The command line in this process, without the seconds that a process takes to start."""
    monkeypatch.setattr(os, "environ", {**WITHOUT_DISPLAY, "COLUMNS": "200"})

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["stream.py", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            stream.main()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out, err)

    return run


def errors_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines on stderr that are ours; MediaPipe's own log has its own form."""
    own_log = re.compile(r"^(WARNING: All log messages|[IWE]\d{4} |INFO: |\d{4}-\d\d-\d\d )")
    return [line for line in done.stderr.splitlines() if line and not own_log.match(line)]


def last_row_s(folder: Path) -> float:
    """Time of the last whole row of a recording that goes on."""
    _, *whole, _ = (folder / "scores.csv").read_text().split("\n")
    return float(whole[-1].split(",")[1]) if whole else 0.0


def video_times_s(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="this machine has a camera")
def test_without_camera_and_display_the_demo_plays_once_and_shows_events(tmp_path: Path) -> None:
    done = kilas(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "demo clip" in done.stdout
    assert "CPU" in done.stdout or "CUDA" in done.stdout
    events = re.findall(r"(negative|positive|surprise)\s+onset", done.stdout)
    assert len(events) >= 1
    assert errors_of(done) == []


def test_a_live_run_records_what_it_shows(tmp_path: Path) -> None:
    done = kilas("--source", "demo", "--record", tmp_path, "--duration", "3", "--no-window")
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert re.fullmatch(r".* Model kilas on .*, kilas-macro for macro-expressions\.", first)
    (folder,) = tmp_path.iterdir()
    session = load_session(folder)
    assert session.facts["status"] == "complete"
    assert session.facts["source"]["live"] is True
    assert 2.9 < session.scores["timestamp"].max() < 3.2
    assert session.scores["timestamp"].min() == 0
    assert session.facts["video_frames"] == len(video_times_s(folder / "video.mp4"))


def test_a_killed_recording_plays_to_the_last_second(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "stream.py"), "--source", "demo", "--record", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=WITHOUT_DISPLAY,
        text=True,
    )
    assert process.stdout is not None
    while "Recording to" not in process.stdout.readline():
        assert process.poll() is None
    (folder,) = tmp_path.iterdir()
    try:
        wait_until(lambda: last_row_s(folder) > 3.5, "the recording's fourth second")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    scores = pd.read_csv(folder / "scores.csv")
    recorded_s = video_times_s(folder / "video.mp4")[-1]
    # The clip begins a little after the recording is announced.
    assert recorded_s > 3.0
    assert scores["timestamp"].max() > recorded_s - 1.5
    assert load_session(folder).facts["status"] == "recording"


def test_analyze_writes_a_folder_a_file_and_goes_on_after_a_bad_one(
    kilas_here: Kilas, tmp_path: Path
) -> None:
    bad, good = tmp_path / "bad.mp4", copy_beginning(tmp_path / "good.mp4", 5.0)
    bad.write_bytes(b"this is no video")
    out = tmp_path / "out"
    done = kilas("analyze", bad, good, "--out", out)
    assert done.returncode == 1
    assert {path.name for path in out.iterdir()} == {"good", "summary.csv", "report.html"}
    assert "bad.mp4 is not a video" in done.stdout
    events = len(load_session(out / "good").events)
    assert events > 0
    assert f"1 done, 1 failed; {events} event" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    source_s, ours_s = video_times_s(good), video_times_s(out / "good" / "video.mp4")
    np.testing.assert_allclose(ours_s, source_s, atol=0.001)

    again = kilas_here("analyze", good, "--out", out, "--format", "vtt,jsonl")
    assert "1 skipped" in again.stdout
    assert (out / "good" / "events.vtt").read_text().startswith("WEBVTT")
    missing = kilas_here("analyze", good, tmp_path / "missing.mp4", "--out", out)
    assert missing.returncode == 1
    assert "missing.mp4; check the path" in missing.stderr


def test_lost_frames_are_told_with_their_causes(kilas_here: Kilas, tmp_path: Path) -> None:
    lossy = write_lossy_clip(tmp_path / "lossy.mkv")
    whole = write_clip(tmp_path / "whole.mp4", steady(30, 6))
    out = tmp_path / "out"
    micro = kilas_here("analyze", lossy, whole, "--out", out, "--no-video", "--macro", "off")
    assert "lossy.mkv: frames lost: 2 time not increasing" in micro.stdout
    assert "2 done; 0 events in all; 2 frames lost in 1 of 2 files" in micro.stdout
    summary = pd.read_csv(out / "summary.csv").set_index("folder")
    assert list(summary.loc["lossy", ["frames", "lost_frames", "lost_causes"]]) == [
        *(4, 2),
        "2 time not increasing",
    ]
    assert summary.loc["whole", "lost_frames"] == 0
    assert "2 of 6 frames lost (2 time not increasing)" in (out / "lossy/report.html").read_text()
    assert "2 time not increasing" in (out / "report.html").read_text()
    macro = kilas_here("analyze", lossy, "--task", "macro", "--out", tmp_path / "macro")
    assert "lossy.mkv: 2 of 6 frames lost (2 time not increasing)" in macro.stdout


def test_a_session_that_was_cut_off_is_mended_and_reported(
    kilas_here: Kilas, tmp_path: Path
) -> None:
    folder = tmp_path / "session"
    analyze(copy_beginning(tmp_path / "clip.mp4", 1.0), folder)
    facts = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps(facts | {"status": "recording"}))
    with (folder / "scores.csv").open("a") as table:
        table.write("420,14.0")
    long_ago_s = time.time() - 60
    for path in folder.iterdir():
        os.utime(path, (long_ago_s, long_ago_s))
    done = kilas_here("report", folder, "--format", "eaf")
    assert done.returncode == 0, done.stderr
    assert "was cut off" in done.stdout
    assert load_session(folder).facts["status"] == "recovered"
    assert (folder / "report.html").exists()
    assert (folder / "events.eaf").exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--source", "no/such/file.mp4"], 1),
        (["--source", "demo", "--model", "no-such-model"], 1),
        (["analyze", "--model", "no-such-model", "x.mp4"], 1),
        (["--source", "no/such/file.mp4", "--macro", "no-such-model"], 1),
        (["analyze", "--macro", "no-such-model", str(DEMO_PATH)], 1),
        (["web", "--macro", "no-such-model"], 1),
        (["--device", "abacus"], 2),
        (["analyze"], 2),
        (["analyze", str(DEMO_PATH), "--format", "pdf"], 2),
        (["analyze", str(DEMO_PATH), "--keep-clean", "--blur-faces"], 2),
        (["--keep-clean", "--no-video"], 2),
        (["--profile", "no/such/session"], 1),
        (["report", "no/such/session"], 1),
        (["dance"], 2),
        (["--max-faces", "0"], 2),
    ],
)
def test_wrong_use_is_a_plain_message_and_a_status(
    arguments: list[str], status: int, kilas_here: Kilas
) -> None:
    done = kilas_here(*arguments)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert errors_of(done) != []
    if status == 1:
        assert len(errors_of(done)) == 1
    if "--macro" in arguments:
        assert "no model of macro-expressions 'no-such-model'" in done.stderr


def test_wrong_use_is_the_status_of_the_process_too() -> None:
    done = kilas("dance")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert errors_of(done) != []


def test_a_model_of_macro_expressions_of_ones_own_is_used(
    kilas_here: Kilas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(find_macro(DEFAULT_MACRO), tmp_path / "mine.onnx")
    copy_beginning(tmp_path / "clip.mp4", 1.0)
    done = kilas_here("analyze", "clip.mp4", "--macro", "mine.onnx", "--no-video")
    assert done.returncode == 0, done.stdout + done.stderr
    session = load_session(tmp_path / "sessions" / "clip")
    assert session.facts["macro"]["file"] == "mine.onnx"
    assert session.scores["macro_happy"].notna().any()


def test_a_model_file_that_is_not_ours_is_one_sentence(kilas_here: Kilas, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    done = kilas_here("--model", path, "--source", "demo")
    assert done.returncode == 1
    assert len(errors_of(done)) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_an_output_cannot_take_are_printed_as_escapes(
    tmp_path: Path, encoding: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "stream.py"), "analyze", str(tmp_path / "测试.mp4")],
        capture_output=True,
        env=WITHOUT_DISPLAY | {"PYTHONIOENCODING": encoding},
        timeout=150,
    )
    assert done.returncode == 1
    assert rb"\u6d4b\u8bd5.mp4; check the path" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("last_words", [b"Model", b"warming up"])
def test_a_recording_whose_output_nobody_reads_any_more_is_whole(
    tmp_path: Path, last_words: bytes
) -> None:
    clip = copy_beginning(tmp_path / "clip.mp4", 6.0)
    options = ["--source", clip, "--no-window", "--record", tmp_path / "out", "--macro", "off"]
    watching = subprocess.Popen(
        [sys.executable, str(ROOT / "stream.py"), *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=WITHOUT_DISPLAY,
    )
    assert watching.stdout is not None
    while last_words not in watching.stdout.readline():
        pass
    watching.stdout.close()
    assert watching.stderr is not None
    said = watching.stderr.read()
    assert watching.wait(60) == 0, said
    assert b"Traceback" not in said
    (folder,) = (tmp_path / "out").iterdir()
    session = load_session(folder)
    assert session.facts["status"] == "complete"
    assert 0 < len(session.scores) < 170  # it has ended before the clip
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("command", [["stream.py"], ["-m", "training", "--help"]])
def test_ctrl_c_while_modules_load_ends_in_silence(tmp_path: Path, command: list[str]) -> None:
    # A package that both import, and that takes its time.
    (tmp_path / "typer.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('loading').touch()\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=WITHOUT_DISPLAY | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until((tmp_path / "loading").exists)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == INTERRUPTED


def test_debug_shows_the_traceback() -> None:
    done = kilas("--debug", "--source", "no/such/file.mp4")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_device_that_cannot_be_used_says_why(kilas_here: Kilas) -> None:
    done = kilas_here("--source", "demo", "--device", "cuda", "--duration", "1")
    if done.returncode == 0:
        pytest.skip("this machine has a usable CUDA device")
    assert done.returncode == 1
    (sentence,) = errors_of(done)
    assert re.search("driver|provider|librar", sentence)


def test_info_names_versions_cameras_models_and_devices(kilas_here: Kilas) -> None:
    done = kilas_here("info")
    assert done.returncode == 0
    for word in (
        "kilas 0",
        f"mediapipe {metadata.version('mediapipe')}",
        "Cameras",
        "kilas (default)",
        "kilas-macro (default)",
        "cpu: usable",
        "cuda",
        "tensorrt",
    ):
        assert word in done.stdout


def test_bench_tells_every_stage_and_the_ratio(kilas_here: Kilas, tmp_path: Path) -> None:
    done = kilas_here("bench", copy_beginning(tmp_path / "beginning.mp4", 2.0))
    assert done.returncode == 0, done.stderr
    stages = ("decode", "landmarks", "regions", "signal", "network", "overlay", "encoder")
    for stage in (*stages, "macro-expression"):
        assert re.search(rf"{stage}.*\d+\.\d\d", done.stdout), stage
    share = float(re.search(r"macro-expressions add ([\d.]+) %", done.stdout)[1])  # type: ignore[index]
    assert 0 < share < 100
    bare, whole = (
        float(re.search(rf"{words}: (\d+) frames", done.stdout)[1])  # type: ignore[index]
        for words in ("landmarks alone", "video and tables")
    )
    ratio = float(re.search(r"ratio: ([\d.]+)", done.stdout)[1])  # type: ignore[index]
    assert ratio == pytest.approx(whole / bare, abs=0.02)


def test_help_names_every_command() -> None:
    done = kilas("--help")
    assert done.returncode == 0
    for command in ("watch", "analyze", "report", "bench", "info"):
        assert command in done.stdout
