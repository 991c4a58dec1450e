"""The report in a real browser: it asks for nothing, runs nothing strange, and shows what it
should."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from realtime.inference.model import DEFAULT_MODEL, find_model
from realtime.inference.model_card import card_excerpt
from realtime.macro.model import DEFAULT_MACRO, find_macro
from realtime.reports.batch_report import write_collection_report
from realtime.reports.session_report import write_report
from support.sessions import write_session

DRAWN = "html[data-timeline=drawn]"

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
)


class Visit:
    """A page that is open, with what it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )

    def open(self, path: Path) -> Page:
        self.page.goto(path.as_uri())
        return self.page

    def has_asked_for(self) -> set[str]:
        """Addresses besides those of data inside the page."""
        return {url for url in self.requests if not url.startswith(("data:", "blob:"))}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield Visit(page)
    page.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "session"
    return write_report(write_session(folder, seconds=60, events=8, away_s=(20.0, 25.0)))


def shown_ms(page: Page) -> tuple[float, float]:
    """The time that the charts show."""
    start, end = page.evaluate(
        "() => { const time = Bokeh.documents[0].get_model_by_name('time');"
        " return [time.start, time.end]; }"
    )
    return start, end


def test_it_asks_for_nothing_and_draws_every_chart(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    page.wait_for_selector(DRAWN, state="attached", timeout=8000)
    page.wait_for_timeout(300)
    for chart in page.locator(".chart").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["height"] > 50
    # What the scores' chart was given to draw: something high, and nothing while nobody was there.
    high, away = page.evaluate(
        """() => {
            const { t, high3 } = Bokeh.documents[0].get_model_by_name("scores-0").data;
            const away = [...t].map((at, i) => [at, high3[i]]).filter(
                ([at]) => at > 20100 && at < 24900);
            return [Math.max(...high3) + 3, away.length];
        }"""
    )
    assert high > 0.7
    assert away == 0
    assert visit.has_asked_for() == {report.as_uri()}
    assert visit.complaints == []


def test_every_event_is_there_and_its_clip_plays(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    events = pd.read_csv(report.with_name("events.csv"))
    rows = page.locator("table.events tbody tr")
    expect(rows).to_have_count(len(events))
    for i, event in enumerate(events.itertuples()):
        expect(rows.nth(i)).to_contain_text(str(event.label))
        expect(rows.nth(i)).to_contain_text(f"{event.duration_s:.3f}")
    last = page.locator("video").last
    assert last.get_attribute("src") is None  # nothing is decoded before it is seen
    last.scroll_into_view_if_needed()
    expect(last).to_have_attribute("src", re.compile("^blob:"))
    last.evaluate("video => video.play()")
    last.evaluate(
        """video => new Promise((done) => {
            const look = () => video.currentTime > 0.1 ? done() : setTimeout(look, 20);
            look();
        })"""
    )
    assert visit.complaints == []


def test_buttons_move_the_time_and_events_can_be_looked_up(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    page.wait_for_selector(DRAWN, state="attached", timeout=8000)
    start, end = shown_ms(page)
    page.get_by_role("button", name="Closer").press("Enter")  # by the keyboard
    closer_start, closer_end = shown_ms(page)
    assert closer_end - closer_start == pytest.approx((end - start) / 2)
    page.get_by_role("button", name="Show event 3 in the timeline").click()
    onset_s = pd.read_csv(report.with_name("events.csv"))["onset_s"][2]
    shown_start, shown_end = shown_ms(page)
    assert shown_start < 1000 * onset_s < shown_end
    assert shown_end - shown_start < 5000
    page.get_by_role("button", name="Whole session").click()
    assert shown_ms(page) == (start, end)


def test_hovering_tells_exact_scores_and_the_event(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    page.wait_for_selector(DRAWN, state="attached", timeout=8000)
    page.get_by_role("button", name="Show event 1 in the timeline").click()
    page.wait_for_timeout(1000)  # the page scrolls there
    box = page.locator("#scores-0").bounding_box()
    assert box is not None
    # The event is in the middle of what is shown, to the right of the names.
    page.mouse.move(box["x"] + 104 + (box["width"] - 104) / 2, box["y"] + 80)
    tooltip = page.locator(".bk-Tooltip").first
    expect(tooltip).to_contain_text("#1")
    expect(tooltip).to_contain_text("0.9")


@pytest.mark.parametrize("size_wh", [(1280, 900), (390, 844)])
def test_no_part_is_wider_than_the_screen(
    visit: Visit, report: Path, size_wh: tuple[int, int]
) -> None:
    width, height = size_wh
    visit.page.set_viewport_size({"width": width, "height": height})
    page = visit.open(report)
    page.wait_for_selector(DRAWN, state="attached", timeout=8000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_tables_of_the_cards_that_ship_can_be_read_whole(visit: Visit, tmp_path: Path) -> None:
    """Some have sentences in their cells, and paper cannot be scrolled."""
    models = {
        "model": {"file": "kilas.onnx", "card": card_excerpt(find_model(DEFAULT_MODEL))},
        "macro": {"labels": [], "card": card_excerpt(find_macro(DEFAULT_MACRO))},
    }
    page = visit.open(write_report(write_session(tmp_path / "session", facts=models)))
    beyond_px = page.evaluate(
        "[...document.querySelectorAll('.card')].map(card => card.scrollWidth - card.clientWidth)"
    )
    assert beyond_px == [0, 0]
    assert page.locator(".card td").count() > 20


def test_paper_has_pictures_of_charts_and_no_videos(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    page.wait_for_selector(DRAWN, state="attached", timeout=8000)
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    charts = page.locator(".chart").count()
    expect(page.locator("canvas.printed")).to_have_count(charts)
    expect(page.locator("video").first).to_be_hidden()
    expect(page.locator("table.events img").first).to_be_visible()


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: write_session(folder, seconds=0, events=0, faces=()),
        lambda folder: write_session(folder, seconds=3, events=0, faces=()),
        lambda folder: write_session(folder, faces=(0, 1), events=1),
        lambda folder: write_session(
            folder,
            labels=("none", HOSTILE, "positive"),
            facts={"source": {"name": HOSTILE}, "error": HOSTILE, "status": "failed"},
        ),
    ],
    ids=["no frames", "no face", "two faces", "hostile"],
)
def test_unusual_sessions_open_without_complaint(
    visit: Visit, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    page = visit.open(write_report(make(tmp_path / "session")))
    page.wait_for_timeout(1000)
    assert visit.complaints == []
    assert page.title() != "owned"
    assert len(visit.has_asked_for()) == 1


def test_a_collection_is_sorted_searched_and_leads_to_its_sessions(
    visit: Visit, tmp_path: Path
) -> None:
    write_report(write_session(tmp_path / "b", events=1, clips=False))
    table = pd.DataFrame(
        {
            "file": ["a.mp4", "b.mp4", HOSTILE],
            "folder": ["a", "b", None],
            "status": ["done", "done", "failed"],
            "reason": ["", "", "broken"],
            "frames": [300, 3000, None],
            "lost_frames": [0, 7, None],
            "lost_causes": ["", "7 damaged", ""],
            "duration_s": [10.0, 100.0, None],
            "face_share": [1.0, 0.5, None],
            "events": [9, 10, None],
            "events_per_minute": [54.0, 6.0, None],
            "events_positive": [9, 10, None],
        }
    )
    page = visit.open(write_collection_report(tmp_path, table))
    names = page.locator("#sessions tbody tr:visible td:first-child")
    page.get_by_role("button", name="Events").click()
    assert names.all_inner_texts()[:2] == ["a.mp4", "b.mp4"]
    page.get_by_role("button", name="Events").click()
    assert names.all_inner_texts()[0] == "b.mp4"
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Show only").fill("a.mp4")
    assert names.all_inner_texts() == ["a.mp4"]
    page.get_by_label("Show only").fill("")
    page.wait_for_selector("html[data-charts=drawn]", state="attached")
    assert visit.complaints == []
    assert page.title() != "owned"
    page.get_by_role("link", name="b.mp4").click()
    expect(page.locator("h1")).to_have_text("talk.mp4")
