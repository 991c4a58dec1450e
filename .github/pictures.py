"""Make the README's pictures from the demo clip: `uv run python .github/pictures.py`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from realtime.display.overlay import Overlay
from realtime.monitor import Monitor
from realtime.run_status import RunMeter
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import UInt8Array

FOLDER = Path(__file__).parent
FLASHES_S = 0.5  # after an event was told, its flash is fully there
TILE_WH = (280, 280)


def main() -> None:
    frames: list[tuple[float, UInt8Array]] = []
    strips: list[UInt8Array] = []
    shown_until_s = None
    with Monitor(live=False) as monitor, VideoFile(DEMO_PATH) as source:
        overlay = Overlay(monitor.spec, monitor.macro_labels)
        meter = RunMeter(source, monitor.spec.rate_hz, monitor.model.device, lambda: monitor.drops)
        for update in monitor.updates(source):
            picture = overlay.paint(update, meter.measure(update))
            now_s = update.frame.t_s
            frames.append((now_s, update.frame.image_bgr))
            for event in update.events:
                moments_s = (event.onset_s, event.apex_s, event.offset_s)
                strips.append(_strip(frames, moments_s, update.faces[0].box_xyxy))
                shown_until_s = now_s + FLASHES_S if len(strips) == 2 else shown_until_s
            if shown_until_s is not None and now_s >= shown_until_s:
                cv2.imwrite(str(FOLDER / "window.png"), picture)
                shown_until_s = None
    cv2.imwrite(str(FOLDER / "events.png"), np.vstack(strips[:3]))


def _strip(
    frames: list[tuple[float, UInt8Array]],
    moments_s: tuple[float, ...],
    box_xyxy: tuple[float, float, float, float],
) -> UInt8Array:
    """The face at some moments, side by side."""
    left, top, right, bottom = (round(side) for side in box_xyxy)
    tiles = []
    for moment_s in moments_s:
        _, image = min(frames, key=lambda frame: abs(frame[0] - moment_s))
        tiles.append(cv2.resize(image[top:bottom, left:right], TILE_WH))
    return np.hstack(tiles)


if __name__ == "__main__":
    main()
