"""Many short clips by one job, by two, and by a cluster that loses a worker on the way:
`python bench_thousand_clips.py [CLIPS]`.

Says how long each takes, and whether scores.csv, events.csv and summary.csv are the same bytes.
The clips are cut from the demo clip, each with a place, size, light and compression of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from distributed import Client, LocalCluster

from realtime.analysis import AnalysisOptions
from realtime.batch.inputs import Input, find_inputs
from realtime.batch.runner import analyze_batch
from realtime.recording.recorder import RecordingContents
from realtime.session.layout import EVENTS_FILE, SCORES_FILE, SUMMARY_FILE
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import Frame, UInt8Array

RATE_HZ = 30
FRAMES = (30, 45)
WIDTHS = (256, 320, 384)
KILLED_AFTER = 1 / 3
"""Share of the clips that have begun when a worker is killed."""


def variant(
    image_bgr: UInt8Array, random: np.random.Generator
) -> Callable[[UInt8Array], UInt8Array]:
    """A view of the pictures that are as large as this one: where, how large, how bright."""
    height, width = image_bgr.shape[:2]
    share = random.uniform(0.75, 1.0)
    left, top = (random.uniform(0, 1 - share, 2) * (width, height)).astype(int)
    right, bottom = left + round(share * width), top + round(share * height)
    out_width = int(random.choice(WIDTHS))
    size_wh = (out_width, out_width * height // width // 2 * 2)
    gain, is_mirrored = random.uniform(0.8, 1.2), random.random() < 0.5

    def view(image_bgr: UInt8Array) -> UInt8Array:
        part = cv2.resize(image_bgr[top:bottom, left:right], size_wh, interpolation=cv2.INTER_AREA)
        part = cv2.convertScaleAbs(part, alpha=gain)
        return np.ascontiguousarray(part[:, ::-1] if is_mirrored else part, np.uint8)

    return view


def write_clip(path: Path, frames: list[Frame], random: np.random.Generator) -> None:
    view = variant(frames[0].image_bgr, random)
    count = int(random.integers(*FRAMES, endpoint=True))
    first = int(random.integers(len(frames) - count))
    with av.open(str(path), "w") as output:
        crf = str(random.integers(16, 28))
        stream = output.add_stream(
            "libx264", rate=RATE_HZ, options={"preset": "ultrafast", "crf": crf}
        )
        stream.height, stream.width = view(frames[0].image_bgr).shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames[first : first + count]:
            picture = av.VideoFrame.from_ndarray(view(frame.image_bgr), format="bgr24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def timed(inputs: list[Input], out: Path, jobs: int, scheduler: str | None) -> float:
    began_s = time.perf_counter()
    options = AnalysisOptions(contents=RecordingContents(video=False))
    table = analyze_batch(
        inputs, out, jobs=jobs, scheduler=scheduler, options=options, report=False
    )
    taken_s = time.perf_counter() - began_s
    print(
        f"{out.name}: {taken_s:.1f} s, {1000 * taken_s / len(inputs):.0f} ms a clip; "
        f"{dict(table['status'].value_counts())}, {table['frames'].sum()} frames, "
        f"{table['events'].sum()} events, face in {table['face_share'].mean():.1%}",
        flush=True,
    )
    return taken_s


def on_cluster(inputs: list[Input], out: Path) -> None:
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        processes = client.run(os.getpid)
        killed = next(iter(processes.values()))

        def kill() -> None:
            while not out.exists() or len(os.listdir(out)) < KILLED_AFTER * len(inputs):
                time.sleep(0.05)
            os.kill(killed, signal.SIGKILL)
            print(f"killed worker {killed} after {len(os.listdir(out))} clips", flush=True)

        killer = threading.Thread(target=kill)
        killer.start()
        timed(inputs, out, 1, cluster.scheduler_address)
        killer.join()


def differing(inputs: list[Input], one: Path, other: Path) -> list[str]:
    files = [SUMMARY_FILE]
    files += [f"{clip.folder}/{name}" for clip in inputs for name in (SCORES_FILE, EVENTS_FILE)]
    return [file for file in files if (one / file).read_bytes() != (other / file).read_bytes()]


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kilas-") as scratch:
        base, clips = Path(scratch), Path(scratch) / "clips"
        clips.mkdir()
        random = np.random.default_rng(0)
        with VideoFile(DEMO_PATH) as source:
            frames = list(source)
        for number in range(count):
            write_clip(clips / f"clip-{number:04d}.mp4", frames, random)
        del frames
        inputs = find_inputs([str(clips)])
        timed(inputs, base / "one job", 1, None)
        timed(inputs, base / "two jobs", 2, None)
        on_cluster(inputs, base / "cluster")
        for name in ("two jobs", "cluster"):
            others = differing(inputs, base / "one job", base / name)
            compared = 2 * len(inputs) + 1
            print(f"{name} against one job: {len(others)} of {compared} files differ {others[:5]}")
        print("again:", end=" ")
        timed(inputs, base / "one job", 1, None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
