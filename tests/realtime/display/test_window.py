"""The window with its keys."""

from __future__ import annotations

import ctypes.util
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.display import window as display
from realtime.display.commands import Command
from realtime.display.window import MonitorWindow, display_available
from realtime.errors import KilasError
from realtime.types import (
    Event,
    Frame,
    MacroScores,
    UInt8Array,
    Update,
)
from support.paths import PYTHON_PATH
from support.real_window import SPEC, tenth_update

MACRO_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
MACRO = MacroScores(0, 100.0, (0.02, 0.02, 0.02, 0.8, 0.02, 0.02, 0.1))


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
