"""A real window in a process of its own: a window library that loses its display ends the process.

`python -m support.real_window FOLDER` shows updates, prints the commands of the keys that are
pressed, and ends with the window. FOLDER is where its snapshots go.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from realtime.display.commands import Command
from realtime.display.window import MonitorWindow, display_available
from realtime.run_status import RunStatus
from realtime.types import Event, State, Update
from support.builders import make_face, make_scores, make_spec, make_update

LABELS = ("negative", "positive", "surprise", "none")
SPEC = make_spec(labels=LABELS, frames=18, signal="motion")
STATUS = RunStatus(30.0, 29.0, 41.0, {"camera": 3}, "CPU", "camera 12 fps, model wants 30")


def tenth_update(
    index: int, *, events: tuple[Event, ...] = (), state: State | None = "neutral"
) -> Update:
    """The update of the tenth of a second of this number; state None: nobody is there."""
    t_s = 100 + index / 10
    transform = np.array([[1, 0, -100], [0, 1, -60]], np.float32)
    face = make_face(0, index, (100.0, 60.0, 220.0, 180.0), transform)
    return make_update(
        index,
        t_s,
        np.full((240, 320, 3), index % 200, np.uint8),
        faces=[face] if state else [],
        scores=[make_scores(t_s - 0.3, 0.05, 0.1, 0.6, 0.25, latency_s=0.03)] if state else [],
        events=events,
        state=state or "neutral",
    )


def main(folder: Path) -> None:
    assert display_available()
    window = MonitorWindow(SPEC, folder)
    end_s = time.monotonic() + 60
    index = 0
    while time.monotonic() < end_s:
        index += 1
        commands = window.show(tenth_update(index), STATUS)
        if index == 5:
            print("SHOWN", flush=True)
        for command in commands:
            print(command.name, flush=True)
        if Command.QUIT in commands:
            break
        time.sleep(0.02)
    window.close()
    print("CLOSED", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
