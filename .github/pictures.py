"""Make the pictures of the documents from the demo clip.

`uv run --all-extras --group dev python .github/pictures.py`; it needs Chromium for the report and
for the page, whose camera plays the demo clip.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]

from realtime.analysis import analyze  # noqa: E402
from realtime.display.overlay import Overlay  # noqa: E402
from realtime.monitor import Monitor  # noqa: E402
from realtime.reports.session_report import write_report  # noqa: E402
from realtime.run_status import RunMeter  # noqa: E402
from realtime.sources.opening import DEMO_PATH  # noqa: E402
from realtime.sources.video_file import VideoFile  # noqa: E402
from realtime.types import UInt8Array  # noqa: E402
from support.web_server import Visitor, web_server  # noqa: E402
from tests.benchmarks.bench_web import camera_file  # noqa: E402

FOLDER = Path(__file__).parent
FLASHES_S = 0.5  # after an event was spotted, its flash is fully there
TILE_WH = (280, 280)
REPORT_WH = (960, 910)
PAGE_WH = (1280, 860)
CARDS = 3  # events that the page shows before its picture is taken


def main() -> None:
    """Write window.png, events.png, report.png and web.png."""
    picture_window()
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        camera_file(DEMO_PATH, folder / "camera.y4m")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={folder / 'camera.y4m'}",
                "--no-sandbox",
            ],
        )
        picture_report(browser, folder)
        picture_page(browser, folder)
        browser.close()


def picture_report(browser: Browser, folder: Path) -> None:
    """Write report.png: the upper part of the report of a session with the demo clip."""
    analyze(DEMO_PATH, folder / "session")
    report = write_report(folder / "session")
    page = browser.new_page(viewport={"width": REPORT_WH[0], "height": REPORT_WH[1]})
    page.goto(report.as_uri())
    page.wait_for_selector(".bk-Figure, .bk-root, canvas")
    page.wait_for_timeout(1000)  # charts are drawn
    page.screenshot(path=FOLDER / "report.png")
    page.close()


def picture_page(browser: Browser, folder: Path) -> None:
    """Write web.png: the page in the browser after some events."""
    with web_server(folder) as url:
        visitor = Visitor(browser, url, size_wh=PAGE_WH)
        visitor.start()
        visitor.has_scores()
        visitor.page.wait_for_function(
            "count => document.querySelectorAll('.kilas-card').length >= count",
            arg=CARDS,
            timeout=120_000,
        )
        visitor.page.screenshot(path=FOLDER / "web.png")
        visitor.context.close()


def picture_window() -> None:
    """Write window.png, the window shortly after an event, and events.png, three events."""
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
    """Put the face at some moments side by side."""
    left, top, right, bottom = (round(side) for side in box_xyxy)
    tiles = []
    for moment_s in moments_s:
        _, image = min(frames, key=lambda frame: abs(frame[0] - moment_s))
        tiles.append(cv2.resize(image[top:bottom, left:right], TILE_WH))
    return np.hstack(tiles)


if __name__ == "__main__":
    main()
