"""What a run shows while it goes on: a window with keys, a line in the terminal, or progress.

All three only look at updates; what a key asks of the run is handed back to whoever runs it.
"""

from __future__ import annotations

import ctypes
import enum
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from realtime.drawing.palette import class_colours, class_marks
from realtime.errors import KilasError
from realtime.overlay import MACRO_WORD, Overlay
from realtime.run_status import RunStatus
from realtime.spec import ModelSpec
from realtime.types import Event, MacroScores, Scores, Source, UInt8Array, Update

WINDOW_NAME = "Kilas"

_FIRST_SIZE_WH = (1280, 800)  # the window starts no larger, so that it fits a laptop's screen
_SMALLEST_FIRST_WIDTH = 640  # small cameras are shown enlarged
_NOTICE_S = 3.0  # long enough to read a file name
_MISSED = 2400  # updates kept while frozen: the timeline's 10 s at 240 frames a second
_KEYS_PER_FRAME = 4  # what can be typed between two frames; the rest waits for the next
_LINE_REFRESH_S = 0.1  # as often as the eye can follow numbers
_PLAIN_LINE_S = 1.0  # a log does not want more
_BAR_CELLS = 8
_BETWEEN_BARS = "   "
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Command(enum.Enum):
    """What a key asks of the run."""

    QUIT = "q"
    RECORD = "r"
    HEAT_MAP = "h"
    RECALIBRATE = "c"


def display_available() -> bool:
    """Whether a window can be opened on this machine.

    On Linux a window library that finds no display ends the whole process, so the display is
    asked first.
    """
    if not sys.platform.startswith("linux"):
        return True
    if os.environ.get("DISPLAY"):
        return _x_server_answers(os.environ["DISPLAY"])
    # OpenCV's own Linux build speaks to Wayland only through an X server; a system's build may
    # bring the plugin.
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if plugins.is_dir() and not any(plugins.glob("*wayland*")):
        return False
    return bool(os.environ.get("WAYLAND_DISPLAY"))


@lru_cache(maxsize=1)
def _x_server_answers(display: str) -> bool:
    """True as well where the X library is missing and the server cannot be asked.

    The connection stays open: a virtual screen starts afresh when its last client leaves, and
    would turn away the window that comes next.
    """
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    return bool(x11.XOpenDisplay(display.encode()))


class Window:
    """The live picture in a window, and its keys.

    The thread that makes it calls everything else (on macOS that has to be the main thread).
    Every update is painted when it comes and nothing is kept back: whoever is late skips.
    """

    def __init__(
        self,
        spec: ModelSpec,
        snapshot_dir: Path,
        *,
        macro_labels: Sequence[str] = (),
        has_attention: bool = True,
        may_save: bool = True,
        poll_key: Callable[[], int] | None = None,
    ) -> None:
        """Open the window. `snapshot_dir`: where `s` saves to, made when it is needed.
        `macro_labels`: those of the model of macro-expressions; empty where none are scored.
        `has_attention`: whether the model has a heat map to show. `may_save`: whether pictures
        may be kept, which show faces.
        `poll_key`: code of a key that was pressed, or -1.

        Raises KilasError where no window can be opened.
        """
        self._overlay = Overlay(spec, macro_labels)
        self._snapshot_dir = snapshot_dir
        self._has_attention = has_attention
        self._may_save = may_save
        self._poll_key = poll_key or _poll_key
        self._last: Update | None = None
        self._held: Update | None = None
        self._missed: deque[Update] = deque(maxlen=_MISSED)
        self._help = False
        self._heat_map = False
        self._notice = ""
        self._notice_until_s = 0.0
        self._sized = False
        remedy = "use --no-window for the scores in the terminal"
        if not display_available():
            raise KilasError(f"There is no display to open a window on; {remedy}.")
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(WINDOW_NAME, flags)
        except cv2.error as error:
            raise KilasError(
                f"OpenCV could not open a window ({error.err or error.code}); {remedy}."
            ) from error

    @property
    def frozen(self) -> bool:
        """Whether the picture stands still while the run goes on."""
        return self._held is not None

    def show(
        self, update: Update, status: RunStatus | None = None, *, recording: bool = False
    ) -> frozenset[Command]:
        """Show an update and return what the keys pressed since the last one ask of the run.

        While frozen the first picture stays, and updates wait for the timeline without their
        pictures. `recording`: show that it is being recorded.
        """
        if self._held is not None:
            no_picture = np.empty((0, 0, 3), np.uint8)
            self._missed.append(replace(update, frame=replace(update.frame, image_bgr=no_picture)))
        self._last = update
        shown = self._held or update
        picture = self._paint(shown, status, recording)
        if not self._sized:
            cv2.resizeWindow(WINDOW_NAME, *_first_size(picture.shape[1], picture.shape[0]))
            self._sized = True
        cv2.imshow(WINDOW_NAME, _fitted(picture))
        commands: set[Command] = set()
        for _ in range(_KEYS_PER_FRAME):
            key = self._poll_key()
            if key < 0:
                break
            self._press(chr(key & 0xFF).lower(), shown, picture, commands)
        if cv2.getWindowProperty(WINDOW_NAME, cv2.WND_PROP_VISIBLE) < 1:
            commands.add(Command.QUIT)
        return frozenset(commands)

    def wait(self) -> frozenset[Command]:
        """Say that no picture comes, and return what keys ask of the run meanwhile."""
        self.say("waiting for the camera")
        return frozenset() if self._last is None else self.show(self._last)

    def say(self, notice: str) -> None:
        """Show a short sentence for a while."""
        self._notice = notice
        self._notice_until_s = time.monotonic() + _NOTICE_S

    def close(self) -> None:
        """Close the window, if the user has not."""
        if cv2.getWindowProperty(WINDOW_NAME, cv2.WND_PROP_VISIBLE) >= 1:
            cv2.destroyWindow(WINDOW_NAME)
        _poll_key()  # the window goes when its events are handled

    def _paint(self, update: Update, status: RunStatus | None, recording: bool) -> UInt8Array:
        return self._overlay.paint(
            update,
            status,
            heat_map=self._heat_map,
            help=self._help,
            recording=recording,
            frozen=self.frozen,
            notice=self._notice if time.monotonic() < self._notice_until_s else "",
        )

    def _press(self, key: str, shown: Update, picture: UInt8Array, commands: set[Command]) -> None:
        if key == " ":
            self._held = None if self.frozen else shown
            while self._missed:
                self._overlay.add(self._missed.popleft())
        elif key == "?":
            self._help = not self._help
        elif key == "s" and not self._may_save:
            self.say("no snapshots with --blur-faces or --no-video")
        elif key == "s":
            self._save(picture)
        elif key == Command.HEAT_MAP.value and not self._has_attention:
            self.say("this model has no attention to show")
        elif key in (command.value for command in Command):
            commands.add(Command(key))
            if key == Command.HEAT_MAP.value:
                self._heat_map = not self._heat_map

    def _save(self, picture: UInt8Array) -> None:
        """Save a snapshot and say where it went, or why not: the run goes on either way."""
        name = datetime.now().strftime("kilas-%Y%m%d-%H%M%S-%f")[:-3] + ".png"
        try:
            self._snapshot_dir.mkdir(parents=True, exist_ok=True)
            # Not imwrite: on Windows it cannot write to every path and does not say why.
            (self._snapshot_dir / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            self.say(f"saved {name}")
        except OSError as error:
            self.say(f"snapshot not saved: {error.strerror}")


def _poll_key() -> int:
    return cv2.waitKey(1)


def _first_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the window for the first frame; the user may change it."""
    scale = max(1.0, _SMALLEST_FIRST_WIDTH / width)
    scale = min(scale, _FIRST_SIZE_WH[0] / width, _FIRST_SIZE_WH[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fitted(picture: UInt8Array) -> UInt8Array:
    """The picture, scaled down to the window's first size where it is larger: the window
    libraries would leave out rows and columns, and thin lines with them."""
    height, width = picture.shape[:2]
    size = _first_size(width, height)
    if size[0] >= width:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


class _Classes:
    """A model's labels, and what they look like in a terminal."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.marks = class_marks(labels)
        self._colours = class_colours(labels)

    def style(self, label: str) -> str:
        red, green, blue = self._colours[label]
        return f"rgb({red},{green},{blue})"

    def words(self, probabilities: tuple[float, ...]) -> list[str]:
        pairs = zip(self.labels, probabilities, strict=True)
        return [f"{label} {share:.2f}" for label, share in pairs]


class TerminalLine:
    """The run without a window: live scores that stay in place, each event on its own line.

    Where the output is not a terminal, plain lines about once a second take their place.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        macro_labels: Sequence[str] = (),
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        origin_s: float | None = None,
    ) -> None:
        """`macro_labels`: those of the model of macro-expressions, if any are scored. `clock`:
        seconds, for how often to refresh. `origin_s`: the moment that is called zero; by default
        that of the first frame."""
        self._classes = _Classes(spec.labels)
        self._macro_classes = _Classes(tuple(macro_labels))
        self._console = console or Console()
        self._clock = clock
        self._origin_s = origin_s
        self._scores: dict[int, Scores] = {}
        self._macro: dict[int, MacroScores] = {}
        self._next_s = float("-inf")
        self._is_waiting = False
        self._live: Live | None = None
        self._rich_bars = (self._console.encoding or "").lower().startswith("utf")

    def show(
        self, update: Update, status: RunStatus | None = None, *, recording: bool = False
    ) -> frozenset[Command]:
        """Print the events of an update and refresh the scores when it is time.

        Called as `Window.show` is; a terminal has no keys, so that nothing is asked of the run.
        """
        self._is_waiting = False
        if self._origin_s is None:
            self._origin_s = update.frame.t_s
        self._scores.update((scores.face_id, scores) for scores in update.scores)
        self._scores = {i: s for i, s in self._scores.items() if i in update.states}
        self._macro.update((scores.face_id, scores) for scores in update.macro)
        self._macro = {i: s for i, s in self._macro.items() if i in update.states}
        for event in update.events:
            self._console.print(self._event(event, update.frame.t_s), soft_wrap=True)
        now_s = self._clock()
        if now_s >= self._next_s and self._console.is_terminal:
            self._next_s = now_s + _LINE_REFRESH_S
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(self._block(update, status, recording), refresh=True)
        elif now_s >= self._next_s:
            self._next_s = now_s + _PLAIN_LINE_S
            self._console.print(self._plain(update, status, recording), soft_wrap=True)
        return frozenset()

    def wait(self) -> frozenset[Command]:
        """Say, once, that no picture comes."""
        if not self._is_waiting:
            self._is_waiting = True
            self.say("waiting for the camera")
        return frozenset()

    def say(self, notice: str) -> None:
        """Print a short sentence on a line of its own."""
        self._console.print(notice, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the live lines away; the events stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _since_start(self, t_s: float) -> float:
        return t_s - (self._origin_s or 0.0)

    def _event(self, event: Event, now_s: float) -> Text:
        onset_s, apex_s, offset_s = map(
            self._since_start, (event.onset_s, event.apex_s, event.offset_s)
        )
        line = Text(f"[{self._since_start(now_s):6.2f} s] ")
        line.append(event.label, style=f"bold {self._classes.style(event.label)}")
        line.append(
            f"  onset {onset_s:.2f} s  apex {apex_s:.2f} s  offset {offset_s:.2f} s"
            f"  {1000 * (offset_s - onset_s):.0f} ms  score {event.score:.2f}"
            f"  face {event.face_id}"
        )
        return line

    def _plain(self, update: Update, status: RunStatus | None, recording: bool) -> Text:
        """What each face lets slip, what it shows on purpose, and how the run is doing: each begins
        a line, and goes on in the next one where the output is too narrow."""
        groups = []
        for face_id, state in update.states.items():
            groups.append([f"face {face_id} {state}" if len(update.states) > 1 else state])
            scores = self._scores.get(face_id)
            if scores is not None and state != "warming up":
                groups[-1] += self._classes.words(scores.probabilities)
            if face_id in self._macro:
                words = self._macro_classes.words(self._macro[face_id].probabilities)
                groups.append([MACRO_WORD, *words])
        groups = groups or [["no face"]]
        run = [] if status is None else status.words()
        if status is not None and status.warning:
            run.append(status.warning)
        groups.append(run + ["REC"] * recording)
        moment = f"[{self._since_start(update.frame.t_s):6.2f} s] "
        room = self._console.width - len(moment)
        lines = [line for group in groups if group for line in _wrapped(group, room)]
        return Text(moment + ("\n" + " " * len(moment)).join(lines))

    def _block(self, update: Update, status: RunStatus | None, recording: bool) -> Group:
        """A line for the run and, for each face, its state and a bar for each class. Where the
        terminal is too low for the bars of all faces' macro-expressions, the highest is told."""
        moment = f"[{self._since_start(update.frame.t_s):6.2f} s] "
        head = Text(moment, no_wrap=True, overflow="ellipsis")
        if status is not None:
            words = "   ".join(status.words())
            if len(moment) + len(words) + 6 * recording > self._console.width:
                words = "   ".join(status.words(causes=False))
            head.append(words, style="dim")
        if recording:
            head.append("   REC", style="bold red")
        lines = [head]
        if status is not None and status.warning:
            lines.append(Text(f"! {status.warning}", style="yellow"))
        if not update.states:
            lines.append(Text("no face"))
        faces = self._faces(update, all_macro=True)
        if len(lines) + len(faces) > self._console.height:
            faces = self._faces(update, all_macro=False)
        return Group(*lines, *faces)

    def _faces(self, update: Update, *, all_macro: bool) -> list[Text]:
        lines: list[Text] = []
        for face_id, state in update.states.items():
            name = f"face {face_id}  " if len(update.states) > 1 else ""
            lines.append(Text())
            lines[-1].append(f"{name}{state}", style="bold" if state == "expression" else "")
            macro = self._macro.get(face_id)
            if macro is not None and not all_macro:
                lines[-1].append_text(self._shown(macro))
            scores = self._scores.get(face_id)
            if scores is not None and state != "warming up":
                lines += self._bars(self._classes, scores.probabilities)
            if macro is not None and all_macro:
                lines.append(Text(f"macro: {MACRO_WORD}", style="dim"))
                lines += self._bars(self._macro_classes, macro.probabilities)
        return lines

    def _shown(self, macro: MacroScores) -> Text:
        """What the face shows on purpose most."""
        label = self._macro_classes.labels[macro.highest]
        text = Text("   ").append(f"{MACRO_WORD} ", style="dim")
        text.append(f"{self._mark(self._macro_classes, label)} ", self._macro_classes.style(label))
        return text.append(f"{label} {max(macro.probabilities):.2f}")

    def _mark(self, classes: _Classes, label: str) -> str:
        return classes.marks[label] if self._rich_bars else "*"

    def _bars(self, classes: _Classes, probabilities: tuple[float, ...]) -> list[Text]:
        """The bars, as many side by side as the terminal is wide."""
        word = max(len(label) for label in classes.labels)
        cell = 2 + word + 1 + _BAR_CELLS + 1 + 4 + len(_BETWEEN_BARS)
        columns = max(1, (self._console.width + len(_BETWEEN_BARS)) // cell)
        lines: list[Text] = []
        for index, (label, share) in enumerate(zip(classes.labels, probabilities, strict=True)):
            if index % columns == 0:
                lines.append(Text(no_wrap=True, overflow="crop"))
            else:
                lines[-1].append(_BETWEEN_BARS)
            style = classes.style(label)
            lines[-1].append(f"{self._mark(classes, label)} ", style=style)
            lines[-1].append(f"{label:<{word}} ")
            lines[-1].append(self._bar(share), style=style)
            lines[-1].append(f" {share:.2f}")
        return lines

    def _bar(self, share: float) -> str:
        if not self._rich_bars:
            full = round(share * _BAR_CELLS)
            return "#" * full + "-" * (_BAR_CELLS - full)
        eighths = round(share * _BAR_CELLS * 8)
        bar = "█" * (eighths // 8)
        if eighths % 8:
            bar += _EIGHTHS[eighths % 8]
        return bar.ljust(_BAR_CELLS)


def _wrapped(words: Sequence[str], room: int) -> list[str]:
    """The words with two spaces between; what does not fit goes on below the second word."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 2 + len(word) > room:
            lines.append(" " * len(words[0]))
        lines[-1] += f"  {word}"
    return lines


class FileProgress:
    """Progress of a file that is analysed: how far, how fast, how long still; shown from the first
    frame on.

    Use as a context manager. One thread at a time.
    """

    def __init__(self, *, console: Console | None = None) -> None:
        self._console = console or Console()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            disable=not self._console.is_terminal,
            expand=True,
        )
        self._task: TaskID | None = None
        self._frames = 0
        self._started_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, source: Source, update: Update) -> None:
        """One more frame of the file went through."""
        info = source.info
        if self._task is None:
            self._progress.start()
            total = info.frame_count or info.duration_s
            self._task = self._progress.add_task(info.name, total=total, done="")
            self._started_s = time.monotonic()
        self._frames += 1
        frames, t_s = self._frames, update.frame.t_s
        if info.frame_count:
            completed, done = float(frames), f"{frames} of {info.frame_count} frames"
        elif info.duration_s:
            completed, done = t_s, f"{t_s:.1f} of {info.duration_s:.1f} s"
        else:
            completed, done = float(frames), f"{frames} frames"
        fps = frames / max(time.monotonic() - self._started_s, 1e-3)
        self._progress.update(self._task, completed=completed, done=f"{done}  {fps:.0f} fps")
