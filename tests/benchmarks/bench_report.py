"""Time that a report takes to make and to open: `python bench_report.py [MINUTES] [ROUNDS]`.

A made-up session with ten events a minute, each with a clip, opened in headless Chromium; the
time runs from the start of the navigation until the scores are drawn. Goal: ten minutes of
recording open in under 2 s.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

EVENTS_A_MINUTE = 10

CLIP_BYTES = 50_000
"""About what a clip has; those made here are smaller, and padded."""


def main(minutes: float, rounds: int) -> None:
    from realtime.reports.session_report import write_report
    from support.sessions import write_session

    with tempfile.TemporaryDirectory() as scratch:
        folder = write_session(
            Path(scratch) / "session",
            seconds=60 * minutes,
            events=round(EVENTS_A_MINUTE * minutes),
            away_s=(20.0, 25.0),
        )
        for clip in folder.glob("clips/*.mp4"):
            with clip.open("ab") as file:
                file.write(bytes(max(0, CLIP_BYTES - clip.stat().st_size)))
        begin_s = time.perf_counter()
        page = write_report(folder)
        made_s = time.perf_counter() - begin_s
        opened_s = [_open(page) for _ in range(rounds)]
        print(f"{minutes:g} minutes: {page.stat().st_size / 1e6:.1f} MB, made in {made_s:.1f} s")
        print(f"opened in {statistics.median(opened_s):.2f} s, of {rounds}: {sorted(opened_s)}")


def _open(path: Path) -> float:
    """Seconds until the scores are drawn, in a browser that has just been started."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(
            "new MutationObserver(() => {"
            "  if (document.documentElement.dataset.timeline) performance.mark('drawn');"
            "}).observe(document, { attributes: true, subtree: true,"
            " attributeFilter: ['data-timeline'] });"
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-timeline=drawn]", state="attached")
        opened_ms = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
        browser.close()
    return round(opened_ms / 1000, 2)


if __name__ == "__main__":
    arguments = [float(word) for word in sys.argv[1:]]
    main(*arguments[:1] or [10.0], *map(int, arguments[1:2] or [5]))
