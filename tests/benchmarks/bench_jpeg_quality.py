"""Scores after JPEG compression, by quality: `python bench_jpeg_quality.py [VIDEO...]`.

Each frame is encoded and decoded as the browser demo does it, and what the monitor says is
compared with what it says of the frames as they are. A yardstick stands in the last row: the
frames with white noise of one gray level, less than any camera has of its own.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realtime.monitor import Monitor
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import Event, UInt8Array

QUALITIES = (50, 70, 80, 90, 95, 98)

SAME_S = 0.1
"""Onsets that are so near are those of one event."""

Change = Callable[[UInt8Array], tuple[UInt8Array, int]]
"""A picture to what arrives of it, and the bytes that it took."""


def jpeg(quality: int) -> Change:
    """As browsers encode: colours at half the resolution."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]

    def change(image_bgr: UInt8Array) -> tuple[UInt8Array, int]:
        _, packed = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8), packed.size

    return change


def noise(image_bgr: UInt8Array) -> tuple[UInt8Array, int]:
    level = np.random.default_rng(image_bgr[::16, ::16].sum()).normal(0, 1, image_bgr.shape)
    noisy = np.clip(np.rint(image_bgr + level), 0, 255).astype(np.uint8)
    return noisy, noisy.size


def listen(
    path: Path, change: Change
) -> tuple[dict[float, npt.NDArray[np.float64]], list[Event], float]:
    """Scores by moment, events, and the mean bytes of a frame."""
    scores, events, sizes = {}, [], []
    with Monitor(live=False) as monitor, VideoFile(path) as source:

        def frames():
            for frame in source:
                image_bgr, size = change(frame.image_bgr)
                sizes.append(size)
                yield dataclasses.replace(frame, image_bgr=image_bgr)

        changed = frames()
        source_like = type("Changed", (), {"__iter__": lambda self: changed})()
        for update in monitor.updates(source_like):
            for one in update.scores:
                scores[round(one.t_s, 4)] = np.array(one.probabilities)
            events += update.events
    return scores, events, float(np.mean(sizes))


def main(paths: list[Path]) -> None:
    changes: dict[str, Change] = {f"JPEG {quality}": jpeg(quality) for quality in QUALITIES}
    changes["noise 1"] = noise
    print("| frames | kB a frame | mean change | 99 % | events found again | new ones |")
    print("|---|---|---|---|---|---|")
    plain = {path: listen(path, lambda image: (image, image.size)) for path in paths}
    for name, change in changes.items():
        differences, sizes = [], []
        found = new = total = 0
        for path in paths:
            before, events_before, _ = plain[path]
            after, events, size = listen(path, change)
            sizes.append(size)
            for t_s in before.keys() & after.keys():
                differences.append(np.abs(after[t_s] - before[t_s]).max())
            again = [
                any(
                    one.label == event.label and abs(one.onset_s - event.onset_s) < SAME_S
                    for one in events
                )
                for event in events_before
            ]
            found, total = found + sum(again), total + len(again)
            new += len(events) - sum(again)
        print(
            f"| {name} | {np.mean(sizes) / 1e3:.0f} | {np.mean(differences):.4f} "
            f"| {np.quantile(differences, 0.99):.3f} | {found} of {total} | {new} |",
            flush=True,
        )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main([Path(name) for name in sys.argv[1:]] or [DEMO_PATH])
