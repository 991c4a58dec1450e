"""The window with its keys, the terminal line and the progress of files."""

from __future__ import annotations

import ctypes.util
import io
import itertools
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from realtime.display import window as display
from realtime.display.commands import Command
from realtime.display.progress import FileProgress
from realtime.display.terminal import TerminalLine
from realtime.display.window import MonitorWindow, display_available
from realtime.errors import KilasError
from realtime.types import (
    Event,
    Frame,
    MacroScores,
    SourceInfo,
    UInt8Array,
    Update,
)
from support.paths import PYTHON_PATH
from support.real_window import SPEC, STATUS, tenth_update

MACRO_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
MACRO = MacroScores(0, 100.0, (0.02, 0.02, 0.02, 0.8, 0.02, 0.02, 0.1))
EVENT = Event(0, 112.10, 112.25, 112.41, "surprise", 0.91)


class FakeWindow:
    """Stands in for OpenCV's window: keeps what is shown, and can be closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[UInt8Array] = []
        self.keys: list[str] = []
        self.is_open = False
        monkeypatch.setattr(display, "display_available", lambda: True)
        monkeypatch.setattr(cv2, "namedWindow", self._open)
        monkeypatch.setattr(cv2, "resizeWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", lambda _, image: self.shown.append(image.copy()))
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0 if self.is_open else -1.0)
        monkeypatch.setattr(cv2, "destroyWindow", self._close)
        monkeypatch.setattr(display, "_poll_key", self.poll)

    def _open(self, *_: object) -> None:
        self.is_open = True

    def _close(self, *_: object) -> None:
        self.is_open = False

    def poll(self) -> int:
        return ord(self.keys.pop(0)) if self.keys else -1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWindow:
    return FakeWindow(monkeypatch)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("q", Command.QUIT),
        ("r", Command.RECORD),
        ("h", Command.HEAT_MAP),
        ("c", Command.RECALIBRATE),
        ("R", Command.RECORD),
    ],
)
def test_keys_of_the_run_are_handed_back(
    key: str, command: Command, fake: FakeWindow, tmp_path: Path
) -> None:
    window = MonitorWindow(SPEC, tmp_path)
    assert window.show(tenth_update(0)) == frozenset()
    fake.keys = [key]
    assert window.show(tenth_update(1)) == {command}
    assert window.show(tenth_update(2)) == frozenset()


def test_a_model_without_attention_has_no_heat_map_to_switch_on(
    fake: FakeWindow, tmp_path: Path
) -> None:
    window = MonitorWindow(SPEC, tmp_path, has_attention=False)
    plain = MonitorWindow(SPEC, tmp_path)
    window.show(tenth_update(0))
    fake.keys = ["h"]
    assert window.show(tenth_update(1)) == frozenset()
    window.show(tenth_update(2))
    plain.show(tenth_update(2))
    said, silent = fake.shown[-2:]
    assert not np.array_equal(said, silent)  # it says why


def test_where_faces_are_not_to_be_kept_there_are_no_snapshots(
    fake: FakeWindow, tmp_path: Path
) -> None:
    window = MonitorWindow(SPEC, tmp_path / "pictures", may_save=False)
    plain = MonitorWindow(SPEC, tmp_path)
    fake.keys = ["s"]
    window.show(tenth_update(1))
    window.show(tenth_update(2))
    plain.show(tenth_update(2))
    said, silent = fake.shown[-2:]
    assert not np.array_equal(said, silent)  # it says why
    assert not (tmp_path / "pictures").exists()


def test_keys_pressed_between_two_frames_all_count(fake: FakeWindow, tmp_path: Path) -> None:
    window = MonitorWindow(SPEC, tmp_path)
    fake.keys = ["r", "x", "c"]
    assert window.show(tenth_update(0)) == {Command.RECORD, Command.RECALIBRATE}


def test_space_freezes_the_picture_and_lets_go(fake: FakeWindow, tmp_path: Path) -> None:
    window = MonitorWindow(SPEC, tmp_path)
    fake.keys = [" "]
    window.show(tenth_update(10))
    assert window.frozen
    window.show(tenth_update(20))
    window.show(tenth_update(30))
    assert np.array_equal(fake.shown[1], fake.shown[2])
    assert (fake.shown[2] == 10).all(axis=2).mean() > 0.2
    fake.keys = [" "]
    window.show(tenth_update(40))
    assert not window.frozen
    window.show(tenth_update(50))
    assert (fake.shown[-1] == 50).all(axis=2).mean() > 0.2


def test_the_timeline_is_whole_after_a_freeze(fake: FakeWindow, tmp_path: Path) -> None:
    frozen, free = MonitorWindow(SPEC, tmp_path), MonitorWindow(SPEC, tmp_path)
    event = Event(0, 136.1, 136.2, 136.4, "surprise", 0.9)
    pictures = []
    for window in (frozen, free):
        for index in range(400):
            fake.keys = [" "] if window is frozen and index in (100, 380) else []
            window.show(tenth_update(index, events=(event,) if index == 371 else ()))
        pictures.append(fake.shown[-1])
    assert np.array_equal(pictures[0], pictures[1])


def test_question_mark_toggles_help(fake: FakeWindow, tmp_path: Path) -> None:
    window = MonitorWindow(SPEC, tmp_path)
    pictures = []
    for key in ("?", "?", "x"):
        fake.keys = [key]
        window.show(tenth_update(5))
        pictures.append(fake.shown[-1])
    assert np.array_equal(pictures[0], pictures[2])
    assert (pictures[0] != pictures[1]).mean() > 0.05


def test_a_snapshot_is_the_picture_shown(fake: FakeWindow, tmp_path: Path) -> None:
    folder = tmp_path / "not yet" / "there"
    window = MonitorWindow(SPEC, folder)
    fake.keys = ["s"]
    assert window.show(tenth_update(0)) == frozenset()
    (path,) = folder.glob("kilas-*.png")
    assert np.array_equal(cv2.imread(str(path)), fake.shown[0])


def test_a_snapshot_that_cannot_be_saved_is_said_and_the_run_goes_on(
    fake: FakeWindow, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    window = MonitorWindow(SPEC, blocked)
    fake.keys = ["s"]
    window.show(tenth_update(0))
    window.show(tenth_update(0))
    assert (fake.shown[0] != fake.shown[1]).any()


def test_closing_the_window_quits(fake: FakeWindow, tmp_path: Path) -> None:
    window = MonitorWindow(SPEC, tmp_path)
    window.show(tenth_update(0))
    fake.is_open = False
    assert window.show(tenth_update(1)) == {Command.QUIT}
    window.close()


def test_a_picture_larger_than_the_window_is_scaled_smoothly(
    fake: FakeWindow, tmp_path: Path
) -> None:
    update = tenth_update(0)
    large = Frame(0, 100.0, np.zeros((960, 1280, 3), np.uint8))
    window = MonitorWindow(SPEC, tmp_path)
    window.show(Update(large, update.faces, (), (), update.states))
    assert fake.shown[0].shape == (800, 1067, 3)


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [
        ((640, 480), (640, 480)),
        ((320, 240), (640, 480)),
        ((1920, 1080), (1280, 720)),
        ((480, 640), (600, 800)),
        ((1080, 1920), (450, 800)),
    ],
)
def test_the_first_size_fits_a_screen_and_keeps_the_aspect(
    size_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert display._first_size(*size_wh) == expected


def test_without_a_display_the_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(display, "display_available", lambda: False)
    with pytest.raises(KilasError, match="--no-window"):
        MonitorWindow(SPEC, tmp_path)


def test_a_build_without_windows_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(display, "display_available", lambda: True)
    monkeypatch.setattr(cv2, "namedWindow", fail)
    with pytest.raises(KilasError, match="--no-window"):
        MonitorWindow(SPEC, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is the display of Linux")
def test_a_display_that_does_not_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not display_available()
    if ctypes.util.find_library("X11") is not None:
        monkeypatch.setenv("DISPLAY", "127.0.0.1:9999")
        assert not display_available()


# A real window. It lives in a process of its own, because a window library that loses its
# display ends the process.


@pytest.fixture
def x_display() -> Iterator[str]:
    """A virtual screen."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x960x24"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


def test_a_real_window_shows_and_hears_keys(x_display: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DISPLAY": x_display}
    run = subprocess.Popen(
        [sys.executable, "-m", "support.real_window", str(tmp_path)],
        env=environment | PYTHON_PATH,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    stdout = run.stdout

    def read() -> None:
        for text in stdout:
            lines.put(text.strip())

    reader = threading.Thread(target=read)
    reader.start()

    def press(key: str, done: Callable[[], bool]) -> None:
        """Press until it is heard: a window may still be waiting for the keyboard's focus."""
        for _ in range(10):
            subprocess.run(["xdotool", "key", key], env=environment, check=True, timeout=20)
            end_s = time.monotonic() + 2
            while time.monotonic() < end_s:
                if done():
                    return
                time.sleep(0.02)
        pytest.fail(f"{key!r} was not heard")

    def heard(word: str) -> bool:
        return not lines.empty() and lines.get() == word

    try:
        assert lines.get(timeout=60) == "SHOWN"
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", display.WINDOW_NAME]
        found = subprocess.run(
            search, env=environment, check=True, timeout=20, capture_output=True, text=True
        )
        window_id = found.stdout.split()[-1]
        subprocess.run(["xdotool", "windowfocus", window_id], env=environment, check=True)
        for key, word in (("r", "RECORD"), ("h", "HEAT_MAP"), ("c", "RECALIBRATE")):
            press(key, partial(heard, word))
        press("s", lambda: any(tmp_path.glob("kilas-*.png")))
        press("q", partial(heard, "QUIT"))
        assert lines.get(timeout=20) == "CLOSED"
        assert run.wait(20) == 0
    finally:
        run.kill()
        run.wait(10)
        reader.join(10)
    snapshot = min(tmp_path.glob("kilas-*.png"))
    assert cv2.imread(str(snapshot)).shape == (240, 320, 3)


# The terminal


def terminal(*, live: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=live, width=width), written


def test_a_pipe_gets_lines_every_second_and_every_event() -> None:
    console, written = terminal(live=False)
    line = TerminalLine(SPEC, console=console, clock=iter(np.arange(0, 9, 0.1)).__next__)
    for index in range(35):
        line.show(tenth_update(index), STATUS)
    line.show(tenth_update(130, events=(EVENT,)), STATUS)
    line.close()
    lines = written.getvalue().splitlines()
    assert len([text for text in lines if "neutral" in text]) == 4
    assert "surprise 0.60" in lines[0]
    for words in ("30.0 fps in", "41 ms", "3 dropped (camera 3)", "CPU", "12 fps"):
        assert words in lines[1]
    assert lines[-1] == (
        "[ 13.00 s] surprise  onset 12.10 s  apex 12.25 s  offset 12.41 s"
        "  310 ms  score 0.91  face 0"
    )
    assert "\x1b" not in written.getvalue()


def test_no_face_is_a_word_in_the_terminal() -> None:
    console, written = terminal(live=False)
    line = TerminalLine(SPEC, console=console, clock=lambda: 0.0)
    assert line.show(tenth_update(0, state=None), recording=True) == frozenset()
    assert written.getvalue() == "[  0.00 s] no face\n           REC\n"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_bars_that_fit(width: int) -> None:
    console, written = terminal(live=True, width=width)
    line = TerminalLine(SPEC, console=console, clock=lambda: 0.0)
    line.show(tenth_update(0, events=(EVENT,)), STATUS)
    line.show(tenth_update(1), STATUS)  # too soon for another refresh
    assert written.getvalue().count("0.60") == 1
    assert "onset" in written.getvalue()
    line.close()
    plain = Console(file=io.StringIO(), width=width, record=True)
    plain.print(line._block(tenth_update(2), STATUS, False))
    rows = plain.export_text().splitlines()
    assert max(map(len, rows)) <= width
    text = "\n".join(rows)
    for words in ("neutral", "negative", "surprise", "0.60", "30.0 fps in"):
        assert words in text


def test_a_pipe_is_told_all_that_a_face_shows_on_purpose_until_it_is_gone() -> None:
    console, written = terminal(live=False, width=80)
    clock = itertools.count(0.0, 2.0).__next__
    line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=clock)
    line.show(replace(tenth_update(0, state="warming up"), macro=(MACRO,)), STATUS)
    line.show(tenth_update(1), STATUS)
    line.show(tenth_update(2, state=None), STATUS)
    line.show(tenth_update(3), STATUS)
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shows = [
        "           shows  angry 0.02  disgust 0.02  fear 0.02  happy 0.80  sad 0.02",
        "                  surprise 0.02  neutral 0.10",
    ]
    begin = "           30.0 fps in"
    assert lines[0] == "[  0.00 s] warming up"
    assert lines[1:3] == shows
    assert lines[3].startswith(begin)
    at = lines.index("[  0.10 s] neutral  negative 0.05  positive 0.10  surprise 0.60  none 0.25")
    assert lines[at + 1 : at + 3] == shows
    assert lines[at + 3].startswith(begin)
    gone = "\n".join(lines[lines.index("[  0.20 s] no face") :])
    assert "[  0.30 s] neutral" in gone
    assert "shows" not in gone


def block(line: TerminalLine, update: Update, width: int, height: int = 25) -> list[str]:
    """The lines that a terminal of that size is to hold."""
    line.show(update, STATUS)
    line.close()
    plain = Console(file=io.StringIO(), width=width, height=height, record=True)
    plain.print(line._block(update, STATUS, False))
    return [row.rstrip() for row in plain.export_text().splitlines()]


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_gets_a_bar_for_all_that_a_face_shows_on_purpose(width: int) -> None:
    console, _ = terminal(live=True, width=width)
    line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=lambda: 0.0)
    rows = block(line, replace(tenth_update(0, state="expression"), macro=(MACRO,)), width)
    assert max(map(len, rows)) <= width
    at = rows.index("macro: shows")
    assert rows.index("expression") < at
    bars = " ".join(rows[at:])
    for label, share in zip(MACRO_LABELS, MACRO.probabilities, strict=True):
        assert re.search(rf"{label} [^0-9]*{share:.2f}", bars), label
    if width == 80:
        assert rows[at + 2] == (
            "■ happy    ██████▍  0.80   ✚ sad      ▏        0.02   ▲ surprise ▏        0.02"
        )


def test_of_more_faces_than_a_terminal_has_room_for_the_highest_macro_score_is_told() -> None:
    update = tenth_update(0)
    several = replace(
        update,
        scores=tuple(replace(update.scores[0], face_id=face_id) for face_id in range(3)),
        states=dict.fromkeys(range(3), "neutral"),
        macro=tuple(replace(MACRO, face_id=face_id) for face_id in range(3)),
    )
    for height, told in ((40, "macro: shows"), (20, "neutral   shows ■ happy 0.80")):
        console = Console(file=io.StringIO(), force_terminal=True, width=80, height=height)
        line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=lambda: 0.0)
        rows = block(line, several, 80, height)
        assert len([row for row in rows if row.endswith(told)]) == 3
        assert len(rows) <= height


def test_the_window_shows_macro_scores_of_the_labels_it_was_given(
    fake: FakeWindow, tmp_path: Path
) -> None:
    update = replace(tenth_update(0), macro=(MACRO,))
    for window in (
        MonitorWindow(SPEC, tmp_path),
        MonitorWindow(SPEC, tmp_path, macro_labels=MACRO_LABELS),
    ):
        window.show(update)
    without, with_macro = fake.shown
    assert not np.array_equal(without, with_macro)


def test_bars_grow_with_the_score() -> None:
    line = TerminalLine(SPEC, console=terminal(live=True)[0])
    filled = [len(line._bar(share).rstrip()) for share in np.linspace(0, 1, 65)]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (0, 8)
    assert {len(line._bar(share)) for share in np.linspace(0, 1, 65)} == {8}


@pytest.mark.parametrize(
    ("frame_count", "duration_s", "expected"),
    [(30, 1.0, "3 of 30 frames"), (None, 150.0, "100.2 of 150.0 s"), (None, None, "3 frames")],
)
def test_progress_shows_how_far(
    frame_count: int | None, duration_s: float | None, expected: str
) -> None:
    console, written = terminal(live=True, width=120)
    source: Any = SimpleNamespace(
        info=SourceInfo("clip.mp4", (320, 240), 30.0, duration_s, frame_count)
    )
    with FileProgress(console=console) as progress:
        for index in range(3):
            progress.advance(source, tenth_update(index))
    assert expected in written.getvalue()
    assert "clip.mp4" in written.getvalue()
