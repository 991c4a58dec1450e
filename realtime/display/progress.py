"""The progress bar of `analyze`."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from realtime.types import Source, Update


class FileProgress:
    """Progress bar of a file's analysis: share done, speed and time left.

    Shown from the first frame on. Use as a context manager, from one thread at a time.
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
        """Count one more analysed frame of the file and refresh the bar."""
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
