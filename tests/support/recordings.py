"""Recordings of noise: updates to record, and a process that records until it is killed.

`python -m support.recordings FOLDER` prints the time of each frame that it has recorded.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from realtime.recording.recorder import RecordingContents, SessionRecorder
from realtime.types import Event, Update
from support.builders import make_scores, make_spec, make_update

SPEC = make_spec(
    labels=("none", "happiness", "surprise"), rate_hz=60.0, frames=12, hop=2, lookahead=6
)


def noisy_updates(count: int) -> list[Update]:
    """Updates at 30 Hz, without a face."""
    rng = np.random.default_rng(2)
    return [
        make_update(i, i / 30, rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
        for i in range(count)
    ]


def uneven_updates(count: int) -> list[Update]:
    """Updates at uneven times, noisy enough for fragments of many pages, with some events."""
    rng = np.random.default_rng(5)
    times_s = 7.0 + np.cumsum(rng.uniform(0.02, 0.05, count))
    return [
        make_update(
            i,
            float(t_s),
            rng.integers(0, 255, (64, 64, 3)).astype(np.uint8),
            faces=[0],
            scores=[make_scores(float(t_s) - 0.1, 0.5, 0.25, 0.25)],
            events=[Event(0, t_s - 0.5, t_s - 0.4, t_s - 0.3, "surprise", 0.8)] * (i % 20 == 19),
        )
        for i, t_s in enumerate(times_s)
    ]


def rows(folder: Path, name: str = "scores.csv") -> list[dict[str, str]]:
    """The rows of a session's table, as text."""
    with open(folder / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def session_json(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    return values


def record_endlessly(folder: Path) -> None:
    """Record one face as if it were live, with both videos, and print each frame's time."""
    contents = RecordingContents(keep_clean=True)
    session = SessionRecorder(folder, SPEC, {}, None, False, contents=contents)
    images = [item.frame.image_bgr for item in noisy_updates(30)]
    for i in range(100_000):
        t_s = time.monotonic()
        late = [make_scores(t_s - 0.2, 0.5, 0.25, 0.25)]
        session.write(make_update(i, t_s, images[i % 30], faces=[0], scores=late))
        print(t_s, flush=True)
        time.sleep(1 / 60)


if __name__ == "__main__":
    record_endlessly(Path(sys.argv[1]))
