"""The window of a live run, and its keys.

The window only reads updates; commands of keys are returned to the caller, which runs them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from realtime.display.commands import FREEZE_KEY, HELP_KEY, SNAPSHOT_KEY, Command
from realtime.display.overlay import Overlay
from realtime.errors import KilasError
from realtime.run_status import RunStatus
from realtime.spec import ModelSpec
from realtime.types import UInt8Array, Update

WINDOW_NAME = "Kilas"

_FIRST_SIZE_WH = (1280, 800)  # the window starts no larger, so that it fits a laptop's screen
_SMALLEST_FIRST_WIDTH = 640  # small cameras are shown enlarged
_NOTICE_S = 3.0  # long enough to read a file name
_MISSED = 2400  # updates kept while frozen: the timeline's 10 s at 240 frames a second
_KEYS_PER_FRAME = 4  # as many as can be typed between two frames; the rest wait for the next


def display_available() -> bool:
    """Return True if a window can be opened on this machine.

    On Linux a window library that finds no display ends the whole process, so the display server is
    tried first.
    """
    if not sys.platform.startswith("linux"):
        return True
    if os.environ.get("DISPLAY"):
        return _x_server_answers(os.environ["DISPLAY"])
    # OpenCV's own Linux build reaches Wayland only through an X server; a system's build may have
    # the plugin.
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if plugins.is_dir() and not any(plugins.glob("*wayland*")):
        return False
    return bool(os.environ.get("WAYLAND_DISPLAY"))


@lru_cache(maxsize=1)
def _x_server_answers(display: str) -> bool:
    """Return True if the X server answers, or if the X library is missing and it cannot be tried.

    The connection stays open: a virtual screen restarts when its last client leaves, and would
    refuse the window that comes next.
    """
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    return bool(x11.XOpenDisplay(display.encode()))


class MonitorWindow:
    """The live picture in a window, and its keys.

    All methods belong to the thread that makes it (on macOS the main thread). Every update is
    painted when it comes and none is kept back, so a caller that is late has to skip updates.
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
        """Open the window.

        `snapshot_dir`: folder to which the key `s` saves pictures, made when it is needed.
        `macro_labels`: the labels of the macro-expression model; empty without it.
        `has_attention`: True if the model has a heat map to show. `may_save`: True if pictures,
        which show faces, may be kept. `poll_key`: returns the code of a key that was pressed, or
        -1.

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
        """True while the picture stands still and the run goes on."""
        return self._held is not None

    def show(
        self, update: Update, status: RunStatus | None = None, *, recording: bool = False
    ) -> frozenset[Command]:
        """Show an update and return the commands of the keys pressed since the last call.

        While frozen the first picture stays, and updates wait for the timeline without their
        pictures. `recording`: show that the run is being recorded.
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
        """Show that no picture comes, and return the commands of keys pressed meanwhile."""
        self.show_notice("waiting for the camera")
        return frozenset() if self._last is None else self.show(self._last)

    def show_notice(self, notice: str) -> None:
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
            show_help=self._help,
            recording=recording,
            frozen=self.frozen,
            notice=self._notice if time.monotonic() < self._notice_until_s else "",
        )

    def _press(self, key: str, shown: Update, picture: UInt8Array, commands: set[Command]) -> None:
        if key == FREEZE_KEY:
            self._held = None if self.frozen else shown
            while self._missed:
                self._overlay.add(self._missed.popleft())
        elif key == HELP_KEY:
            self._help = not self._help
        elif key == SNAPSHOT_KEY and not self._may_save:
            self.show_notice("no snapshots with --blur-faces or --no-video")
        elif key == SNAPSHOT_KEY:
            self._save(picture)
        elif key == Command.HEAT_MAP.value and not self._has_attention:
            self.show_notice("this model has no attention to show")
        elif key in (command.value for command in Command):
            commands.add(Command(key))
            if key == Command.HEAT_MAP.value:
                self._heat_map = not self._heat_map

    def _save(self, picture: UInt8Array) -> None:
        """Save a snapshot and show its name, or the error: the run goes on either way."""
        name = datetime.now().strftime("kilas-%Y%m%d-%H%M%S-%f")[:-3] + ".png"
        try:
            self._snapshot_dir.mkdir(parents=True, exist_ok=True)
            # Not imwrite: on Windows it cannot write to every path and gives no reason.
            (self._snapshot_dir / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            self.show_notice(f"saved {name}")
        except OSError as error:
            self.show_notice(f"snapshot not saved: {error.strerror}")


def _poll_key() -> int:
    return cv2.waitKey(1)


def _first_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the window for the first frame; the user may change them."""
    scale = max(1.0, _SMALLEST_FIRST_WIDTH / width)
    scale = min(scale, _FIRST_SIZE_WH[0] / width, _FIRST_SIZE_WH[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fitted(picture: UInt8Array) -> UInt8Array:
    """Scale a picture down to the window's first size where it is larger.

    The window libraries would leave out rows and columns, and thin lines with them.
    """
    height, width = picture.shape[:2]
    size = _first_size(width, height)
    if size[0] >= width:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
