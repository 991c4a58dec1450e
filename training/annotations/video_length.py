"""Lengths of videos, to find times that lie beyond them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from realtime.errors import SourceError
from realtime.sources.video_file import VideoFile

TOLERANCE_S = 0.5
"""Most time by which an annotation may lie beyond the end that a video's header states."""


class VideoSpan(NamedTuple):
    """Times of a video on its own clock, seconds. `end_s`: infinite where it is not known."""

    start_s: float
    end_s: float


def video_span(path: Path) -> VideoSpan:
    """Return when a video begins and ends, by its header.

    A video that cannot be read has no end; whoever reads it says why.
    """
    try:
        with VideoFile(path) as source:
            start_s = next(iter(source)).t_s
            duration_s = source.info.duration_s
    except SourceError:
        return VideoSpan(0.0, math.inf)
    return VideoSpan(start_s, math.inf if duration_s is None else start_s + duration_s)
