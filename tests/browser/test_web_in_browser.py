"""The page that every visitor of `stream.py web` meets, camera or not, and the File tab."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import av
import pytest
from playwright.sync_api import Browser, Locator, expect

from realtime.sources.opening import DEMO_PATH
from support.web_server import LATE_MS, PHONE, WIDE, Visitor, visitors, web_server

Come = Callable[..., Visitor]
Scheme = Literal["light", "dark"]

LEAST_CONTRAST = 4.5
"""Contrast of text to its ground, by WCAG 2.2, level AA."""

CONTRAST = """element => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const painted = [];
    for (let one = element; one; one = one.parentElement) {
        painted.unshift(getComputedStyle(one).backgroundColor);
    }
    const luminance = (colours) => {
        context.fillStyle = "white";
        context.fillRect(0, 0, 1, 1);
        for (const colour of colours) {
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
        }
        const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) =>
            value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const ground = luminance(painted);
    const text = luminance([...painted, getComputedStyle(element).color]);
    return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
}"""
"""WCAG's contrast of an element's text to what is painted below it."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with web_server(folder, "--max-sessions", "1", "--max-upload", "1") as address:
        yield address


@pytest.fixture
def come(browser: Browser, url: str) -> Iterator[Come]:
    """Visitors without a camera."""
    with visitors(browser, url) as bring:
        yield bring


@pytest.fixture
def come_with_camera(camera_browser: Browser, url: str) -> Iterator[Come]:
    with visitors(camera_browser, url) as bring:
        yield bring


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `short.mp4`, a second of the demo, and `long.mp4`, its eight first."""
    folder = tmp_path_factory.mktemp("clips")
    for name, frames in (("short.mp4", 30), ("long.mp4", 240)):
        with av.open(str(DEMO_PATH)) as demo, av.open(str(folder / name), "w") as cut:
            stream = cut.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.bit_rate = 800_000
            for frame, _ in zip(demo.decode(video=0), range(frames), strict=False):
                planes = frame.reformat(320, 240, "yuv420p").to_ndarray()
                cut.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
            cut.mux(stream.encode())
    return folder


# --- The camera --------------------------------------------------------------------------------


def test_a_camera_that_may_not_be_used_is_told_with_a_remedy(come_with_camera: Come) -> None:
    ann = come_with_camera(may_use_camera=False)
    ann.button("Start camera").click()
    ann.reads("The browser was not allowed to use the camera.")
    ann.reads(re.compile("allow the camera there, and press Start camera again"))
    expect(ann.button("Start camera")).to_be_enabled()
    assert ann.complaints == []


def test_no_camera_at_all_is_told_with_a_remedy(come: Come) -> None:
    ann = come()
    ann.button("Start camera").click()
    ann.reads("No camera was found.")
    ann.reads(re.compile("Connect one or switch it on, and press Start camera"))
    expect(ann.button("Start camera")).to_be_enabled()
    assert ann.complaints == []


def test_who_finds_no_place_waits_and_starts_by_themselves(come_with_camera: Come) -> None:
    ann, bob = come_with_camera(), come_with_camera()
    ann.start()
    bob.button("Start camera").click()
    bob.reads("You are the next")
    bob.reads("It starts by itself.")
    expect(bob.button("Record")).to_be_disabled()
    ann.gets_updates()
    ann.button("Stop camera").click()
    bob.gets_updates()
    expect(bob.button("Record")).to_be_enabled()
    assert ann.complaints + bob.complaints == []


# --- Files -------------------------------------------------------------------------------------


def test_a_video_becomes_a_report_and_a_zip(come: Come, clips: Path, tmp_path: Path) -> None:
    ann = come()
    ann.tab("File").click()
    ann.upload(clips / "short.mp4")
    ann.reads(re.compile("short.*micro-expressions? found"), LATE_MS)
    report = ann.page.frame_locator("iframe[title='Report of short']")
    expect(report.get_by_role("heading", level=1)).to_have_text("short.mp4")
    expect(report.locator("html[data-timeline=drawn]")).to_have_count(1, timeout=LATE_MS)
    zipped = ann.download(ann.page.get_by_role("link", name="Everything (zip)"), tmp_path / "s.zip")
    with zipfile.ZipFile(zipped) as archive:
        assert archive.testzip() is None
        assert {"short/session.json", "short/report.html"} <= {*archive.namelist()}
    assert ann.other_hosts == set()
    assert ann.complaints == []


def test_what_cannot_be_analysed_is_told_and_the_next_can_be(
    come: Come, clips: Path, tmp_path: Path
) -> None:
    broken, large = tmp_path / "broken.mp4", tmp_path / "large.mp4"
    broken.write_bytes((clips / "short.mp4").read_bytes()[:2000])
    large.write_bytes(bytes(2**20 + 2**17))
    ann = come()
    ann.tab("File").click()
    ann.upload(broken)
    expect(ann.page.get_by_role("alert")).to_contain_text("broken.mp4", timeout=LATE_MS)
    ann.upload(large)
    ann.reads(re.compile("(larger|exceeds|size)"), LATE_MS)
    ann.upload(clips / "short.mp4")
    ann.reads(re.compile("short.*micro-expressions? found"), LATE_MS)


def test_who_cancels_makes_room_and_can_upload_another(come: Come, clips: Path) -> None:
    ann, bob = come(), come()
    ann.tab("File").click()
    ann.upload(clips / "long.mp4")
    ann.reads(re.compile("frames"), LATE_MS)
    bob.tab("File").click()
    for _ in range(2):
        bob.upload(clips / "long.mp4")
        bob.reads("long.mp4 is here and waits for its turn.")
        bob.button("Cancel").click()
        bob.reads("Cancelled; the video was removed.")
    bob.upload(clips / "short.mp4")
    bob.reads("short.mp4 is here and waits for its turn.")
    ann.button("Cancel").click()
    ann.reads("Cancelled; the video was removed.")
    ann.upload(clips / "short.mp4")
    for visitor in (bob, ann):
        visitor.reads(re.compile("short.*micro-expressions? found"), LATE_MS)
        expect(visitor.page.get_by_title("Report of short")).to_be_visible()
        assert visitor.complaints == []


# --- The page ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size_wh", "scheme"), [(WIDE, "dark"), (PHONE, "light")])
def test_a_whole_visit_asks_nobody_else_fits_and_can_be_read(
    come_with_camera: Come, size_wh: tuple[int, int], scheme: Scheme
) -> None:
    ann = come_with_camera(size_wh=size_wh, color_scheme=scheme)
    expect(ann.button("Start camera")).to_be_visible()
    fits_and_can_be_read(ann)
    ann.start()
    fits_and_can_be_read(ann)
    for button in (
        ann.page.get_by_role("group", name="Camera and recording").locator("button").all()
    ):
        button.hover()
        can_be_read(button)
    ann.tab("File").click()
    expect(ann.button("Click to upload or drop files")).to_be_visible()
    fits_and_can_be_read(ann)
    ann.tab("About").click()
    ann.reads("Not for decisions about people.")
    ann.page.get_by_text("The model card of kilas", exact=True).click()
    expect(ann.page.get_by_text("The devices are being checked")).to_be_hidden(timeout=LATE_MS)
    fits_and_can_be_read(ann)
    assert ann.other_hosts == set()
    assert ann.complaints == []


@pytest.fixture(scope="module")
def closed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for a login, and scores no macro-expressions."""
    folder = tmp_path_factory.mktemp("closed")
    with web_server(folder, "--auth", "lab:s3cret", "--macro", "off") as address:
        yield address


def log_in(visitor: Visitor) -> None:
    visitor.page.get_by_label("Name").fill("lab")
    visitor.page.get_by_label("Password").fill("s3cret")
    visitor.button("Log in").click()
    expect(visitor.button("Start camera")).to_be_visible()


def test_the_login_asks_nobody_else_and_can_be_read(browser: Browser, closed_url: str) -> None:
    with visitors(browser, closed_url) as come:
        for scheme in ("light", "dark"):
            ann = come(size_wh=PHONE, color_scheme=scheme)
            fits_and_can_be_read(ann)
            log_in(ann)
            assert ann.other_hosts == set()
            assert ann.complaints == []


def test_a_server_without_macro_expressions_shows_nothing_of_them(
    camera_browser: Browser, closed_url: str
) -> None:
    with visitors(camera_browser, closed_url) as come:
        ann = come()
        log_in(ann)
        ann.start()
        ann.has_scores()
        expect(ann.macro_scores).to_have_count(0)
        expect(ann.page.get_by_text("lets slip")).to_have_count(0)
        assert ann.complaints == []


def fits_and_can_be_read(visitor: Visitor) -> None:
    page = visitor.page
    size = page.viewport_size
    assert size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for control in page.locator(":is(button, [role=tab]):visible:enabled").all():
        can_be_read(control)


def can_be_read(control: Locator) -> None:
    contrast = control.evaluate(CONTRAST)
    assert contrast >= LEAST_CONTRAST, f"{control.inner_text()}: {contrast:.2f}"
