"""Real browsers for the tests of pages: one without a camera, and one whose camera shows a face."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Error, Playwright, expect, sync_playwright

from realtime.sources.opening import DEMO_PATH

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

CAMERA_S = 8.0
"""Start of the demo clip, shown over and over: micro-expressions of all three classes."""

CAMERA_WH = (320, 240)
"""Its face is still large enough for the monitor, and the machine has less to do."""

CAMERA_FPS = 15
"""Half of the demo clip's rate, for the same reason."""

expect.set_options(timeout=30_000)  # five seconds are little on a machine that does other things


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Not kept for other modules: while Playwright is there no test can run an event loop."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The machine's Chromium, without a window and without a camera. A machine without one skips,
    but where it has to hold (CI is "true") that is a failure."""
    with _chromium(playwright) as started:
        yield started


@pytest.fixture(scope="module")
def camera_browser(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """The same with a camera that shows the face of the demo."""
    video = _camera_video(tmp_path_factory.mktemp("camera") / "face.y4m")
    with _chromium(
        playwright,
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ) as started:
        yield started


@contextmanager
def _chromium(playwright: Playwright, *options: str) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing = "no Chromium is installed; apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    try:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *options])
    except Error as error:
        raise RuntimeError(f"{path} does not start") from error
    yield browser
    browser.close()


def _camera_video(path: Path) -> Path:
    """The beginning of the demo in the only format that Chromium's made-up camera plays."""
    width, height = CAMERA_WH
    with av.open(str(DEMO_PATH)) as demo, path.open("wb") as video:
        video.write(f"YUV4MPEG2 W{width} H{height} F{CAMERA_FPS}:1 Ip A1:1 C420jpeg\n".encode())
        step = round(demo.streams.video[0].average_rate / CAMERA_FPS)
        for frame in islice(demo.decode(video=0), 0, None, step):
            if frame.time >= CAMERA_S:
                break
            planes = frame.reformat(width, height, "yuv420p").to_ndarray()
            video.write(b"FRAME\n" + planes.tobytes())
    return path
