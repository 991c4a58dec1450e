"""The progress of files."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from realtime.display.progress import FileProgress
from realtime.types import (
    SourceInfo,
)
from support.real_window import tenth_update


def terminal(*, live: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=live, width=width), written


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
