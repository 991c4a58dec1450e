"""The part of a live recording that outlives a kill: `python bench_kill_recording.py [KILLS]`.

Kills `stream.py` at random moments while it records the demo clip as if it were live, with both
videos, and prints how many seconds before the kill each file ends, and whether `recover_session`
finishes the session. The kill is counted from the recording's stated start, so the figures are too
large by what passes until the first frame; `first` is how long that takes until it is in the video,
which is a little longer. Goal: less than 1 s, each time.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

VIDEOS = ("video.mp4", "clean.mp4")

KILL_S = (1.0, 9.0)
"""Seconds of recording after which the kill comes: the demo clip lasts longer."""

GOAL_S = 1.0


def killed_session(base: Path, after_s: float) -> tuple[Path, datetime, datetime]:
    """The folder of a recording that was killed, when its video began, and when the kill was."""
    command = [sys.executable, str(ROOT / "stream.py"), "--no-window", "--source", "demo"]
    command += ["--record", str(base), "--keep-clean"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not (videos := list(base.glob("*/video.mp4"))):
            assert process.poll() is None, "stream.py ended before it recorded"
            time.sleep(0.01)
        shown = now()
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        killed = now()
        assert process.wait() == -signal.SIGKILL, "the clip ended before the kill"
    return videos[0].parent, shown, killed


def now() -> datetime:
    return datetime.now().astimezone()


def video_end_s(path: Path) -> float:
    """Time of the last picture that can be decoded, in seconds from the first."""
    with closing(av.open(str(path))) as container:
        return max(frame.time or 0.0 for frame in container.decode(video=0))


def main(kills: int) -> None:
    from realtime.recording.recovery import recover_session
    from realtime.session.reader import load_session

    moments = random.Random(0)
    worst_s = worst_from_first_s = 0.0
    columns = ("kill", "first", *VIDEOS, "scores.csv", "mended")
    print("".join(f"{column:>12}" for column in columns))
    for _ in range(kills):
        with tempfile.TemporaryDirectory() as base:
            folder, shown, killed = killed_session(Path(base), moments.uniform(*KILL_S))
            facts = json.loads((folder / "session.json").read_text(encoding="utf-8"))
            started = datetime.fromisoformat(facts["started"])
            kill_s, first_s = ((t - started).total_seconds() for t in (killed, shown))
            ends_s = [video_end_s(folder / name) for name in VIDEOS]
            is_mended = recover_session(folder)
            session = load_session(folder)
            is_whole = ends_s == [video_end_s(folder / name) for name in VIDEOS]
            last_row_s = session.scores["timestamp"].iloc[-1]
            ends_s.append(last_row_s - session.facts["first_frame_s"])
            lost_s = [kill_s - end_s for end_s in ends_s]
            worst_s = max(worst_s, *lost_s)
            worst_from_first_s = max(worst_from_first_s, max(lost_s) - first_s)
            cells = [f"{value:.2f} s" for value in (kill_s, first_s, *lost_s)]
            cells.append("yes" if is_mended and is_whole else "NO")
            print("".join(f"{cell:>12}" for cell in cells), flush=True)
    print(f"most: {worst_s:.2f} s, {worst_from_first_s:.2f} s if counted from the first picture")
    print(f"goal: less than {GOAL_S:.0f} s")


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]] or [20])
