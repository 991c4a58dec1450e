"""The browser demo from camera to drawn scores: `python bench_web.py [SECONDS] [VIDEO]`.

A real Chromium, without a window, whose camera plays the clip again and again, against
`stream.py web` on the same machine. Frame rate and gaps are those of the recording, which is made
of what reached the pipeline; the latency is the page's own, from capture to drawn.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import av
import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

from realtime.analysis import analyze
from realtime.sources.opening import DEMO_PATH

SAME_S = 0.15
"""Onsets that are so near are those of one event: five frames."""

WARM_UP_S = 4.0
"""Left out at the start: before the first window and the baseline nothing is spotted."""

PROJECT = Path(__file__).resolve().parents[2]


def camera_file(video: Path, path: Path) -> float:
    """The video as raw pictures, which Chromium's fake camera plays; returns its length, s."""
    with av.open(str(video)) as container, path.open("wb") as raw:
        stream = container.streams.video[0]
        rate = stream.average_rate
        raw.write(
            f"YUV4MPEG2 W{stream.width} H{stream.height} "
            f"F{rate.numerator}:{rate.denominator} Ip A1:1 C420jpeg\n".encode()
        )
        count = 0
        for frame in container.decode(stream):
            raw.write(b"FRAME\n" + frame.reformat(format="yuv420p").to_ndarray().tobytes())
            count += 1
    return count / float(rate)


def server() -> tuple[subprocess.Popen[str], str]:
    """`stream.py web` on a free port, and its address."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "stream.py"), "web", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        address = re.search(r"https?://[\w.:]+", line)
        if address:
            return process, address.group().rstrip(".;")
    raise SystemExit("the server ended before it was ready")


def visit(address: str, camera: Path, seconds: float) -> tuple[bytes, dict]:
    """A recording of so many seconds as it is downloaded, and the page's figures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.get_by_role("button", name="Start camera").click()
        page.wait_for_function("window.kilas?.figures().updates > 60", timeout=60_000)
        page.get_by_role("button", name="Record").click()
        page.wait_for_timeout(1e3 * seconds)
        figures = page.evaluate("window.kilas.figures()")
        page.get_by_role("button", name="Stop recording").click()
        link = page.locator("a[href$='.zip']").first
        link.wait_for(timeout=120_000)
        content = page.request.get(address + link.get_attribute("href")).body()
        browser.close()
    return content, figures


def caught(expected_s: pd.DataFrame, found: pd.DataFrame, lap_s: float, end_s: float) -> str:
    """Count the clip's events that were caught, in all laps that the recording holds whole."""
    best = (0, 0, 0)
    for shift_s in np.arange(-lap_s, 0.0, 0.02):
        due = [
            (shift_s + lap * lap_s + event.onset_s, event.label)
            for lap in range(int(end_s / lap_s) + 2)
            for event in expected_s.itertuples()
        ]
        due = [(t_s, label) for t_s, label in due if WARM_UP_S < t_s < end_s - 1.0]
        hits = sum(
            any(
                event.label == label and abs(event.onset_s - t_s) < SAME_S
                for event in found.itertuples()
            )
            for t_s, label in due
        )
        best = max(best, (hits, -len(due), len(found) - hits))
    return f"{best[0]} of {-best[1]} events caught, {best[2]} others"


def main(seconds: float, video: Path) -> None:
    expected = analyze(video).events
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder) / "camera.y4m"
        lap_s = camera_file(video, camera)
        process, address = server()
        try:
            before_s = time.monotonic()
            content, figures = visit(address, camera, seconds)
            print(f"visit of {time.monotonic() - before_s:.0f} s at {address}")
        finally:
            process.send_signal(signal.SIGINT)
            print(f"server ended with status {process.wait(30)}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {os.path.basename(name): name for name in archive.namelist()}
        facts = json.loads(archive.read(names["session.json"]))
        events = pd.read_csv(archive.open(names["events.csv"]))
        scores = pd.read_csv(archive.open(names["scores.csv"]))
    times_s = np.unique(scores["timestamp"].to_numpy())
    gaps_ms = 1e3 * np.diff(times_s)
    print(f"{len(times_s)} frames in {times_s[-1] - times_s[0]:.1f} s")
    print(f"{(len(times_s) - 1) / (times_s[-1] - times_s[0]):.2f} frames a second")
    print(f"gap: median {np.median(gaps_ms):.1f} ms, 95 % {np.quantile(gaps_ms, 0.95):.1f} ms")
    print(f"drops: {facts['drops']}")
    print(f"capture to drawn, median: {figures['latency_median_ms']:.0f} ms")
    print(caught(expected, events, lap_s, float(times_s[-1])))


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 32.0,
        Path(sys.argv[2]) if len(sys.argv) > 2 else DEMO_PATH,
    )
