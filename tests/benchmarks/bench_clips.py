"""Cost of clips to the recorder's thread, and time of one clip: `python bench_clips.py`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from realtime.monitor import Monitor
from realtime.recording.clip_maker import ClipMaker
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import Event, Update

EVENT = Event(0, 2.04, 2.22, 2.39, "surprise", 1.0)
"""An event of the demo clip."""

END_S = 3.0


def seen() -> tuple[list[Update], tuple[str, ...]]:
    """The first seconds of the demo clip, and the model's labels."""
    updates = []
    with Monitor(live=False) as monitor, VideoFile(DEMO_PATH) as source:
        for update in monitor.updates(source):
            updates.append(update)
            if update.frame.t_s > END_S:
                break
        return updates, monitor.spec.labels


def main() -> None:
    cv2.setNumThreads(1)
    updates, labels = seen()
    with tempfile.TemporaryDirectory() as folder:
        maker = ClipMaker(Path(folder), labels, wait=True)
        costs_s = []
        for update in updates:
            start_s = time.perf_counter()
            maker.add(update)
            costs_s.append(time.perf_counter() - start_s)
        width, height = updates[0].frame.image_bgr.shape[1::-1]
        low, middle = (1e3 * float(v) for v in np.percentile(costs_s, (5, 50)))
        print(f"a face of {width}x{height}: least {low:.2f} ms, median {middle:.2f} ms a frame")
        maker.event(1, EVENT)
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        maker.close()
        wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
        for path in sorted((Path(folder) / "clips").iterdir()):
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
            if path.suffix == ".mp4":
                with av.open(str(path)) as container:
                    frames = container.streams.video[0].frames
        print(f"{frames} pictures: {wall_s:.2f} s, of the processor {cpu_s:.2f} s")


if __name__ == "__main__":
    main()
