"""The Live tab as a visitor with a camera uses it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from realtime.inference.model import DEFAULT_MODEL, find_model
from realtime.macro.model import MacroModel
from support.web_server import LATE_MS, Network, Visitor, visitors, web_server

Come = Callable[..., Visitor]

SECOND_MODEL = "second"

MACRO_LABELS = MacroModel.load().spec.labels

PAINTED = """() => {
    const lines = document.querySelector("#kilas-live .kilas-picture canvas");
    const { data } = lines.getContext("2d").getImageData(0, 0, lines.width, lines.height);
    return data.filter((value, i) => i % 4 === 3 && value > 0).length / (data.length / 4);
}"""
"""The share of what lies over the picture that is not clear: lines are thin, heat is not."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    second = shutil.copyfile(find_model(DEFAULT_MODEL), folder / f"{SECOND_MODEL}.onnx")
    with web_server(folder, "--model", str(second)) as address:
        yield address


@pytest.fixture
def come(camera_browser: Browser, url: str) -> Iterator[Come]:
    with visitors(camera_browser, url) as bring:
        yield bring


@pytest.fixture
def ann(come: Come) -> Visitor:
    return come()


def recording_of(visitor: Visitor, folder: Path) -> tuple[dict[str, Any], set[str]]:
    """Download the newest recording: what its session says, and the names of its files."""
    links = visitor.page.get_by_role("list", name="Recordings").get_by_role("link")
    expect(links).to_have_count(1, timeout=LATE_MS)
    packed = visitor.download(links.first, folder / "recording.zip")
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        names = {name.partition("/")[2] for name in archive.namelist()}
        (session,) = (name for name in archive.namelist() if name.endswith("/session.json"))
        return json.loads(archive.read(session)), names


def until_more_is_painted(visitor: Visitor, than_share: float) -> None:
    """Wait until so large a share of what lies over the picture is not clear."""
    visitor.page.wait_for_function(f"least => ({PAINTED})() > least", arg=than_share)


def test_a_recording_tells_what_the_visitor_set(ann: Visitor, tmp_path: Path) -> None:
    page = ann.page
    ann.start()
    ann.button("Record").click()
    expect(ann.button("Stop recording")).to_be_enabled()
    ann.reads(re.compile(r"\bREC\b"))

    page.get_by_role("button", name="Classes").click()
    surprise = page.get_by_role("slider", name=re.compile("range slider for .*surprise"))
    for value in ("0.45", "0.4"):  # one after the other: a busy page takes two quick ones for one
        surprise.press("ArrowLeft")
        expect(surprise).to_have_value(value)
    page.get_by_role("slider", name="range slider for Sensitivity").press("ArrowRight")
    ann.gets_updates()
    ann.button("New baseline").click()
    ann.reads("keep a neutral face for 2 s")

    ann.button("Stop recording").click()
    session, names = recording_of(ann, tmp_path)
    assert session["status"] == "complete"
    assert {"session.json", "scores.csv", "events.csv", "video.mp4", "report.html"} <= names
    last = session["sensitivity_changes"][-1]
    assert last["sensitivity"] == pytest.approx(0.55)
    assert last["classes"]["surprise"] == pytest.approx(0.4)

    ann.button("Stop camera").click()
    ann.reads("See what crosses your face in a flash")
    expect(ann.button("Record")).to_be_disabled()
    assert ann.complaints == []


def test_what_the_face_shows_stands_beside_what_it_lets_slip(ann: Visitor) -> None:
    ann.start()
    ann.has_scores()
    rows = ann.macro_scores
    expect(rows).to_contain_text([re.compile(rf"{label}\s*[01]\.\d\d") for label in MACRO_LABELS])
    shares = [float(text[-4:]) for text in rows.all_inner_texts()]
    assert sum(shares) == pytest.approx(1, abs=0.05)  # all are rounded
    expect(ann.page.locator(".kilas-macro [data-top=yes]")).to_have_count(1)
    ann.button("Stop camera").click()
    expect(rows).to_have_count(0)
    assert ann.complaints == []


def test_an_expression_becomes_a_card_whose_clip_plays(ann: Visitor) -> None:
    ann.start()
    cards = ann.page.get_by_role("list", name="Caught micro-expressions, newest first")
    card = cards.get_by_role("listitem").last
    caught = re.compile(r"(positive|negative|surprise)\s*\d+ ms")
    expect(card).to_contain_text(caught, timeout=LATE_MS)
    clip = card.get_by_label("The clip, in slow motion")
    clip.wait_for(timeout=LATE_MS)
    clip.evaluate("video => video.play()")  # by itself only the newest does
    clip.evaluate(
        """video => new Promise((done) => {
            const look = () => video.currentTime > 0.1 ? done() : setTimeout(look, 50);
            look();
        })"""
    )
    assert ann.complaints == []


def test_the_heat_map_and_another_model_are_a_choice_while_it_runs(ann: Visitor) -> None:
    page = ann.page
    model = page.get_by_role("combobox", name="Model")
    expect(model).to_have_value(SECOND_MODEL)
    ann.start()
    lines = page.evaluate(PAINTED)
    page.get_by_role("checkbox", name="Heat map").check()
    ann.reads(re.compile("attention"))
    until_more_is_painted(ann, 2 * lines)

    model.click()
    page.get_by_role("option", name=DEFAULT_MODEL).click()
    expect(model).to_have_value(DEFAULT_MODEL)
    ann.gets_updates()
    until_more_is_painted(ann, 2 * lines)
    page.get_by_role("checkbox", name="Heat map").uncheck()
    expect(page.get_by_text("attention")).to_be_hidden()
    assert ann.complaints == []


def test_everything_can_be_done_by_keyboard(ann: Visitor) -> None:
    page = ann.page
    expect(ann.button("Start camera")).to_be_visible()

    def go_to(target: Locator) -> None:
        for _ in range(60):  # once around all that is there
            if target.evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"the Tab key does not reach {target}")

    for name in ("File", "About", "Live"):
        go_to(ann.tab(name))
        page.keyboard.press("Enter")
        expect(ann.tab(name)).to_have_attribute("aria-selected", "true")

    go_to(ann.button("Start camera"))
    page.keyboard.press("Enter")
    ann.gets_updates()
    go_to(ann.button("Record"))
    page.keyboard.press("Space")
    expect(ann.button("Stop recording")).to_be_focused()
    go_to(ann.button("New baseline"))
    page.keyboard.press("Enter")
    ann.reads("keep a neutral face for 2 s")
    go_to(page.get_by_role("slider", name="range slider for Sensitivity"))
    page.keyboard.press("ArrowRight")
    go_to(page.get_by_role("checkbox", name="Heat map"))
    page.keyboard.press("Space")
    ann.reads(re.compile("attention"))
    go_to(ann.button("Stop recording"))
    page.keyboard.press("Space")
    go_to(ann.button("Stop camera"))
    page.keyboard.press("Enter")
    ann.reads("See what crosses your face in a flash")


def test_two_visitors_get_their_own_and_nothing_of_each_other(come: Come, tmp_path: Path) -> None:
    ann, bob = come(), come()
    ann.start()
    ann.button("Record").click()
    clip = ann.page.get_by_label("The clip, in slow motion").last
    clip.wait_for(timeout=LATE_MS)
    bob.start()
    bob.has_scores()
    ann.gets_updates()
    ann.button("Stop recording").click()
    recording_of(ann, tmp_path)
    expect(bob.page.get_by_role("list", name="Recordings").get_by_role("link")).to_have_count(0)

    paths = [clip.get_attribute("src"), clip.get_attribute("poster")]
    paths.append(ann.page.get_by_role("link", name="Download recording").get_attribute("href"))
    for path in map(str, paths):
        assert ann.context.request.get(ann.url + path).status == 200
        assert bob.context.request.get(bob.url + path).status == 404
    assert ann.complaints + bob.complaints == []


def test_a_lost_connection_comes_back_and_its_recording_goes_on(
    come: Come, url: str, tmp_path: Path
) -> None:
    with contextlib.closing(Network(url)) as network:
        ann = come(url=network.url)
        ann.start()
        ann.button("Record").click()
        expect(ann.button("Stop recording")).to_be_visible()
        network.fail()
        ann.reads("The connection is lost. Trying again …")
        expect(ann.button("Stop recording")).to_be_disabled()
        network.come_back()
        expect(ann.button("Stop recording")).to_be_enabled(timeout=LATE_MS)
        expect(ann.page.get_by_text("The connection is lost.")).to_be_hidden()
        ann.gets_updates()
        ann.button("Stop recording").click()
        session, _ = recording_of(ann, tmp_path)
        assert session["status"] == "complete"
