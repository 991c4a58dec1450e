"""The page of a session and the page of many: what they say, and what they never let run."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lxml.html
import numpy as np
import pandas as pd
import pytest

from realtime.errors import RecordingError
from realtime.inference.model_card import MAX_CHARS, card_excerpt
from realtime.reports.batch_report import MAX_SHOWN, write_collection_report
from realtime.reports.formatting import clock, lines_of
from realtime.reports.html import markdown
from realtime.reports.session_report import MAX_CHARTED_FACES, write_report
from realtime.session.statistics import face_statistics, frame_times, presence
from support.paths import PYTHON_PATH, ROOT
from support.sessions import LABELS, MACRO_LABELS, write_session

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"

Element = Any


def report(folder: Path) -> Element:
    return lxml.html.parse(str(write_report(folder))).getroot()


def words(element: Element) -> str:
    """Return the text that a reader sees."""
    texts = element.xpath("//body//text()[not(ancestor::script) and not(ancestor::style)]")
    return " ".join(" ".join(texts).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Element:
    folder = tmp_path_factory.mktemp("report") / "session"
    return report(write_session(folder, events=4, away_s=(5.0, 8.0)))


def test_it_says_what_the_session_is_and_how_long_a_face_was_there(page: Element) -> None:
    assert page.find(".//h1").text == "talk.mp4"
    text = words(page)
    assert "1 March 2026" in text
    assert "75 %" in text  # 9 of 12 s
    assert "0:05.0 0:08.0 3 s" in text
    assert "3 late" in text
    assert "face 0, from_s 0.3" in text


def test_a_sensitivity_that_was_changed_on_the_way_is_told(tmp_path: Path) -> None:
    change = {"from_s": 4.5, "sensitivity": 0.8, "spotting": {"enter": 0.9}}
    facts = {"sensitivity_changes": [change, {}]}
    text = words(report(write_session(tmp_path / "session", clips=False, facts=facts)))
    assert "from 4.50 s, sensitivity 0.8" in text
    assert "from 4.50 s, spotting, enter 0.9" in text


def test_every_event_has_its_row_with_a_clip_and_stills(page: Element) -> None:
    rows = page.xpath("//table[@class='events']/tbody/tr")
    assert [row.find("td").text for row in rows] == ["1", "2", "3", "4"]
    for row in rows:
        (video,) = row.xpath(".//video")
        assert page.get_element_by_id(video.get("data-clip")).text
        (image,) = row.xpath(".//img")
        assert image.get("alt")
        assert image.get("src").startswith("data:image/webp;base64,")


@pytest.fixture(scope="module")
def macro_page(tmp_path_factory: pytest.TempPathFactory) -> Element:
    folder = tmp_path_factory.mktemp("macro") / "session"
    return report(write_session(folder, macro=MACRO_LABELS, away_s=(4.0, 8.0), clips=False))


def test_what_a_face_shows_on_purpose_has_a_timeline_of_its_own(macro_page: Element) -> None:
    assert macro_page.get_element_by_id("macro-0").get("class") == "chart"
    charts = json.loads(macro_page.get_element_by_id("charts").text)
    assert "macro-0" in charts["items"][0]["roots"].values()
    micro, macro = charts["tracks"]
    assert (micro["source"], micro["lanes"]) == ("scores-0", len(LABELS))
    assert (macro["source"], macro["lanes"]) == ("macro-0", len(MACRO_LABELS))
    values = np.frombuffer(base64.b64decode(macro["scores"]), "<f4").reshape(7, -1)
    assert values.shape[1] == 240  # of the frames with a face
    assert values[3, 0] == values[6, -1] == pytest.approx(0.7)
    assert macro["events"] == micro["events"]


def test_how_long_a_face_showed_what_on_purpose_is_told(macro_page: Element) -> None:
    (table,) = macro_page.xpath("//table[caption='What the face showed on purpose']")
    rows = [[cell.text_content()[-6:].strip() for cell in row] for row in table.xpath("tbody/tr")]
    assert rows[3] == ["happy", "50.0 %", "0.38"]
    assert rows[0] == ["angry", "0.0 %", "0.05"]
    assert rows[6][1] == "50.0 %"


def test_an_event_has_what_the_face_showed_on_purpose_at_its_apex(macro_page: Element) -> None:
    rows = macro_page.xpath("//table[@class='events']/tbody/tr")
    shown = [row.xpath("td[@data-name='shown']")[0].text_content().strip() for row in rows]
    assert shown == ["■ happy0.70", "-", "▬ neutral0.70"]  # nobody was there at the second


def test_the_model_of_macro_expressions_is_named_with_its_card(macro_page: Element) -> None:
    text = words(macro_page)
    assert "come from kilas-macro 0.1" in text
    assert "smoothed over half a second" in text
    assert "posed" not in text  # which is known of our own model only
    assert "not what a person feels" in text
    assert "It looks at still pictures." in text


def test_without_macro_expressions_nothing_is_said_of_them(page: Element, tmp_path: Path) -> None:
    assert not re.search("on purpose|macro-expression", words(page))
    assert not page.xpath("//*[@id='macro-0'] | //h4[contains(., 'slip')]")
    nobody = write_session(tmp_path / "nobody", events=0, faces=(), macro=MACRO_LABELS)
    assert not report(nobody).xpath("//*[@id='macro-0']")


def test_rates_count_the_time_with_a_face(page: Element) -> None:
    (table,) = page.xpath("//table[caption='Events by label']")
    rows = [[cell.text_content() for cell in row] for row in table.xpath("tbody/tr")]
    assert [(row[0][2:], row[1]) for row in rows[:3]] == [
        ("negative", "2"),
        ("positive", "1"),
        ("surprise", "1"),
    ]
    assert rows[3][:4] == ["all", "4", "26.67", "20.00"]


def test_a_head_that_is_turned_is_told(page: Element) -> None:
    assert re.search(r"head turned in 2\d % of its frames", words(page))


def test_a_camera_slower_than_the_model_is_told(tmp_path: Path) -> None:
    rate = {
        "median_hz": 12.0,
        "gap_p5_s": 0.08,
        "gap_median_s": 0.083,
        "gap_p95_s": 0.2,
        "gap_max_s": 0.5,
    }
    text = words(report(write_session(tmp_path / "slow", facts={"frame_rate": rate})))
    assert "12.0 frames a second, the model wants 30" in text
    assert "did not come steadily" in text


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("recording", "still being recorded"),
        ("failed", "ended with an error"),
        ("recovered", "cut off and has been recovered"),
    ],
)
def test_a_session_that_did_not_end_in_order_says_so(
    tmp_path: Path, status: str, expected: str
) -> None:
    facts = {"status": status, "error": "no space left"}
    text = words(report(write_session(tmp_path / "session", clips=False, facts=facts)))
    assert expected in text
    assert "no space left" in text
    assert "cut off before it was made" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"video": False}, "without pictures"), ({"blur_faces": True}, "faces are hidden")],
)
def test_events_without_a_clip_say_why(
    tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    folder = write_session(tmp_path / "session", clips=False, facts={"settings": settings})
    assert expected in words(report(folder))


def test_one_missing_or_broken_picture_is_told_in_its_row(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "session")
    (folder / "clips/event-0002.mp4").unlink()
    (folder / "clips/event-0003.png").write_bytes(b"no picture")
    rows = report(folder).xpath("//table[@class='events']/tbody/tr")
    assert [bool(row.xpath(".//video")) for row in rows] == [True, False, True]
    assert [bool(row.xpath(".//img")) for row in rows] == [True, True, False]
    assert "None was made" in rows[1].text_content()


def test_clips_beyond_what_a_page_can_hold_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_session(tmp_path / "session")
    whole = report(folder)
    clip = whole.xpath("//script[@type='text/plain']")[0].text
    stills = whole.xpath("//img/@src")[0]
    room = 2 * (len(clip) + len(stills)) + len(clip) - 1
    monkeypatch.setattr("realtime.reports.session_media.MAX_MEDIA_BYTES", room)
    page = report(folder)
    assert len(page.xpath("//video")) == 2
    surest = set(pd.read_csv(folder / "events.csv").nlargest(2, "score")["event_id"])
    assert {int(v.get("data-clip").split("-")[1]) for v in page.xpath("//video")} == surest
    assert "see clips/event-" in words(page)


def test_stills_beyond_what_a_page_can_hold_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_session(tmp_path / "session")
    order = pd.read_csv(folder / "events.csv").sort_values("score", ascending=False)["event_id"]
    for limit in ("MAX_STILLS", "MAX_MEDIA_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(f"realtime.reports.session_media.{limit}", 1)
            page = report(folder)
        count = 1 if limit == "MAX_STILLS" else 0
        assert len(page.xpath("//img")) == count
        for event_id in order[count:]:
            (row,) = page.xpath(f"//tr[@id='event-{event_id}']")
            assert f"see clips/event-{event_id:04d}.png" in row.text_content()


def test_an_empty_picture_is_no_picture(tmp_path: Path) -> None:
    """As a loss of power leaves it."""
    folder = write_session(tmp_path / "session")
    (folder / "clips/event-0002.png").write_bytes(b"")
    assert len(report(folder).xpath("//img")) == 2


def test_conditions_far_outside_of_the_session_are_not_drawn(tmp_path: Path) -> None:
    """A mean for each fifth of a second up to there would fill the memory."""
    folder = write_session(tmp_path / "session", clips=False)
    last = (folder / "conditions.csv").read_text().splitlines()[-1].split(",")
    with (folder / "conditions.csv").open("a") as file:
        file.write(",".join([last[0], "100000000.0", *last[2:]]) + "\n")
    page = report(folder)
    assert len(page.get_element_by_id("charts").text) < 200_000


def test_a_session_all_of_whose_conditions_lie_outside_has_a_page(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "session", clips=False)
    table = pd.read_csv(folder / "conditions.csv")
    table.assign(timestamp=table["timestamp"] + 1e6).to_csv(folder / "conditions.csv", index=False)
    assert report(folder).get_element_by_id("conditions-0-head") is not None


def test_statistics_that_are_not_all_there_are_left_out(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "session", clips=False, facts={"frame_rate": {"gap_p5_s": 1}})
    assert "1,000.0 ms" in words(report(folder))


def test_a_name_that_is_no_text_is_shown_as_its_escape(tmp_path: Path) -> None:
    """File systems allow such names."""
    name = b"bad\xff.mp4".decode(errors="surrogateescape")
    folder = write_session(tmp_path / "session", clips=False, facts={"source": {"name": name}})
    assert report(folder).find(".//h1").text == r"bad\udcff.mp4"
    table = collection(2)
    table.loc[0, ["file", "folder"]] = [name, name]
    page = lxml.html.parse(str(write_collection_report(tmp_path, table))).getroot()
    assert r"bad\udcff.mp4" in words(page)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are text there")
def test_a_report_in_a_folder_whose_name_is_no_text_is_linked(tmp_path: Path) -> None:
    name = b"bad\xff".decode(errors="surrogateescape")
    write_report(write_session(tmp_path / name, clips=False))
    table = collection(1)
    table.loc[0, "folder"] = name
    page = lxml.html.parse(str(write_collection_report(tmp_path, table))).getroot()
    assert page.xpath("//table[@id='sessions']//a/@href") == ["./bad%FF/report.html"]


def test_sessions_of_older_versions_have_a_report(tmp_path: Path) -> None:
    newer = ("settings", "calibration", "video", "first_frame_s", "model", "spotting", "versions")
    folder = write_session(
        tmp_path / "session", conditions=False, clips=False, facts=dict.fromkeys(newer)
    )
    text = words(report(folder))
    assert "no measurements of head and light" in text
    assert "holds no card" in text


@pytest.mark.parametrize("seconds", [0.0, 0.04, 3.0])
def test_a_session_without_a_face_says_so(tmp_path: Path, seconds: float) -> None:
    folder = write_session(tmp_path / "session", seconds=seconds, events=0, faces=())
    page = report(folder)
    text = words(page)
    expected = "No face was found" if seconds else "has no frames"
    assert expected in text
    assert "No micro-expression was spotted" in text
    assert not page.xpath("//div[@id='scores-0']")


def test_a_model_without_rest_is_not_said_to_have_spotted_nothing(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "session", events=0, labels=("positive", "negative"))
    assert "gives scores and no events" in words(report(folder))


def test_each_face_has_its_timeline_and_many_are_counted(tmp_path: Path) -> None:
    two = report(write_session(tmp_path / "two", faces=(0, 7)))
    assert [h.text for h in two.xpath("//h3")[:2]] == ["Face 0", "Face 7"]
    assert len(two.xpath("//div[starts-with(@id, 'scores-')]")) == 2
    many = report(write_session(tmp_path / "many", faces=range(6), events=1, clips=False))
    assert len(many.xpath("//div[starts-with(@id, 'scores-')]")) == MAX_CHARTED_FACES
    assert "2 more faces were seen" in words(many)


def test_what_a_folder_says_is_text_and_never_a_part_of_the_page(tmp_path: Path) -> None:
    labels, macro = ("none", HOSTILE, "positive"), ("a", "b", "c", HOSTILE)
    facts = {
        "macro": {"name": HOSTILE, "labels": macro, "card": f"# {HOSTILE}", HOSTILE: HOSTILE},
        "error": HOSTILE,
        "status": "failed",
        "device": HOSTILE,
        "started": HOSTILE,
        "source": {"name": HOSTILE, HOSTILE: HOSTILE},
        "settings": {HOSTILE: HOSTILE},
        "versions": {HOSTILE: HOSTILE},
        "drops": {HOSTILE: 3},
        "calibration": {HOSTILE: {HOSTILE: 1}},
        "model": {
            "name": HOSTILE,
            "card": f"# {HOSTILE}\n\n{HOSTILE} [x](javascript:alert(1)) ![x](http://a/b.png)\n\n"
            f"<script>alert(3)</script>\n\n[r]: javascript:alert(1)\n\n[r] <http://a.b>",
        },
    }
    path = write_report(
        write_session(tmp_path / "session", labels=labels, macro=macro, facts=facts)
    )
    page = lxml.html.parse(str(path)).getroot()
    assert page.find(".//h1").text == HOSTILE
    kinds = [script.get("type") for script in page.xpath("//script")]
    assert kinds.count(None) == 4  # the library and three of the project's own
    assert set(kinds) == {None, "application/json", "text/plain"}
    assert not page.xpath("//*[@onerror] | //a[not(starts-with(@href, '#'))] | //iframe | //link")
    assert all(i.get("src").startswith("data:") for i in page.xpath("//img"))
    assert "49" not in page.find(".//h1").text
    charts = json.loads(page.get_element_by_id("charts").text)
    assert any(HOSTILE in event["text"] for event in charts["tracks"][0]["events"])


def test_the_policy_forbids_requests_and_scripts_of_others(page: Element) -> None:
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"('sha256-\S+' ?){4}", rules["script-src"])
    assert "http" not in policy
    assert "connect-src" not in rules


def test_a_folder_that_is_no_session_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read as a session"):
        write_report(tmp_path)


def test_a_page_that_cannot_be_written_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_session(tmp_path / "session", clips=False)
    before = write_report(folder).read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RecordingError, match="No space left"):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before
    assert not list(folder.glob("*.partial"))


def test_a_stall_is_neither_time_with_a_face_nor_without() -> None:
    times_s = [0.0, 0.1, 0.2, 5.2, 5.3, 5.4]
    scores = pd.DataFrame({"frame": range(6), "timestamp": times_s, "success": [1, 1, 1, 1, 0, 0]})
    seen = presence(scores)
    assert seen.with_face_s == pytest.approx(0.4)
    assert seen.without_face_s == pytest.approx(0.2)
    assert seen.unseen_s == pytest.approx(4.9)
    assert [one.start_s for one in seen.absences] == [5.3]
    assert len(frame_times(scores)) == 6


def test_a_face_is_away_while_others_are_there() -> None:
    times_s = np.arange(40) / 10
    rows = [(frame, t_s, 0) for frame, t_s in enumerate(times_s)]
    rows += [(frame, t_s, 1) for frame, t_s in enumerate(times_s) if t_s < 1.0 or t_s >= 3.0]
    scores = pd.DataFrame(rows, columns=["frame", "timestamp", "face_id"])
    scores = scores.assign(success=1, state="neutral")
    events = pd.DataFrame({"face_id": [1, 1]})
    always, sometimes = face_statistics(scores, events)
    assert (always.face_id, always.events, always.stretches) == (0, 0, ())
    assert (sometimes.face_id, sometimes.events) == (1, 2)
    (away,) = sometimes.stretches
    assert (away.state, away.start_s, away.end_s) == ("no face", pytest.approx(1.0), 3.0)


def collection(rows: int = 3) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "file": [f"clip-{i}.mp4" for i in range(rows)],
            "folder": [f"clip {i}" for i in range(rows)],
            "status": "done",
            "reason": "",
            "frames": 300,
            "lost_frames": 0,
            "lost_causes": "",
            "duration_s": 10.0,
            "face_share": 0.5,
            "events": 2,
            "events_per_minute": 12.0,
            **{f"events_{label}": 1 for label in LABELS[1:]},
        }
    ).astype({"file": object, "folder": object})
    broken = {"file": HOSTILE, "folder": None, "status": "failed", "reason": f"broken {HOSTILE}"}
    whole = pd.concat([table, pd.DataFrame([broken])], ignore_index=True)
    counts = ["frames", "lost_frames", "events", *(f"events_{label}" for label in LABELS[1:])]
    return whole.astype(dict.fromkeys(counts, "Int64"))


def test_a_collection_tells_failures_first_and_links_reports_that_are_there(tmp_path: Path) -> None:
    write_report(write_session(tmp_path / "clip 1", clips=False))
    path = write_collection_report(tmp_path, collection())
    page = lxml.html.parse(str(path)).getroot()
    assert "1 file failed" in words(page)
    rows = page.xpath("//table[@id='sessions']/tbody/tr")
    assert rows[0].find("td").text_content() == HOSTILE
    assert page.xpath("//table[@id='sessions']//a/@href") == ["./clip%201/report.html"]
    assert not page.xpath("//*[@onerror]")
    assert "3 sessions" not in page.find(".//h1").text
    assert "6" in page.xpath("//dl")[0].text_content()  # events of all


@pytest.mark.parametrize(("rows", "expected"), [(1, "1 file failed"), (0, "0 sessions in")])
def test_a_collection_without_figures_has_a_page(tmp_path: Path, rows: int, expected: str) -> None:
    table = collection().tail(rows)
    text = words(lxml.html.parse(str(write_collection_report(tmp_path, table))).getroot())
    assert expected in text


def test_a_large_collection_shows_a_part_and_holds_all(tmp_path: Path) -> None:
    path = write_collection_report(tmp_path, collection(MAX_SHOWN + 100))
    rows = lxml.html.parse(str(path)).getroot().xpath("//table[@id='sessions']/tbody/tr")
    assert len(rows) == MAX_SHOWN + 101
    assert [row.get("hidden") is None for row in rows].count(True) == MAX_SHOWN


def test_the_excerpt_of_a_card_has_what_tells_how_far_to_trust_the_model(tmp_path: Path) -> None:
    card = tmp_path / "mine.md"
    card.write_text(
        "# mine.onnx\n\nWhat it is.\n\n| figure | 1 |\n\n## Data and recipe\n\nTen people.\n\n"
        "## Speed\n\nFast.\n\n## Measured\n\nHalf.\n\n## Known weaknesses\n\nBeards.\n\n"
        "## Not tested\n\nThe dark.\n\n## Not for\n\nPolice.\n",
        encoding="utf-8",
    )
    excerpt = card_excerpt(tmp_path / "mine.onnx")
    assert excerpt is not None
    for told in ("What it is.", "Ten people.", "Half.", "Beards.", "The dark.", "Police."):
        assert told in excerpt
    assert "figure" not in excerpt
    assert "Fast" not in excerpt
    assert card_excerpt(tmp_path / "other.onnx") is None


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("kilas.onnx", ["Simulated faces only", "spotting, IoU", "photographs of real people"]),
        (
            "macro/kilas-macro.onnx",
            [
                "Who is in FER2013 is unknown",
                "no licence of its own",
                "| accuracy |",
                "Known weaknesses",
            ],
        ),
    ],
)
def test_a_shipped_card_has_an_excerpt_that_fits(model: str, told: list[str]) -> None:
    excerpt = card_excerpt(ROOT / "weights" / model)
    assert excerpt is not None
    assert len(excerpt) <= MAX_CHARS
    for words in (*told, "Not tested", "Do not use them to judge"):
        assert words in excerpt


def test_a_long_card_ends_with_a_whole_paragraph(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("# long\n\n" + "word word.\n\n" * 900, encoding="utf-8")
    excerpt = card_excerpt(tmp_path / "long.onnx")
    assert excerpt is not None
    assert len(excerpt) < 3000
    assert excerpt.endswith("word word.\n\n(The card says more.)")


@pytest.mark.parametrize(
    ("show", "value", "expected"),
    [
        (clock, 5.0, "0:05.000"),
        (clock, 59.9996, "1:00.000"),
        (clock, 3723.5, "1:02:03.500"),
        (clock, None, "-"),
        (lines_of, {}, []),
        (lines_of, {"a": {"b": [1, True]}, "c": None}, [("a, b", "1, true"), ("c", "none")]),
        (markdown, "**a** <b>", "<p><strong>a</strong> &lt;b&gt;</p>\n"),
    ],
)
def test_figures_are_written_as_people_read_them(
    show: Callable[[Any], object], value: object, expected: object
) -> None:
    assert show(value) == expected


@pytest.mark.skipif(os.name != "posix", reason="elsewhere users always have a home folder")
def test_reports_are_made_for_a_user_without_a_home_folder() -> None:
    unknown = (
        "import os, pwd\n"
        "def getpwuid(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = getpwuid\n"
        "os.environ.pop('HOME', None)\n"
        "import realtime.reports.session_report, realtime.reports.batch_report"
    )
    done = subprocess.run(
        [sys.executable, "-c", unknown],
        env=os.environ | PYTHON_PATH,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
