"""The live part of the server, as pages meet it: a real server and real sockets."""

from __future__ import annotations

import errno
import io
import json
import logging
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from realtime.monitor import Monitor
from realtime.recording import recovery
from realtime.recording.video_writer import VideoWriter
from realtime.web.live import run, visit
from realtime.web.live.browser_camera import BrowserCamera
from realtime.web.live.visit_files import VisitFiles
from support.live_server import HANG_S, LiveServer, Page, demo_frames, frame, jpeg_of, until

Serve = Callable[..., LiveServer]

FIRST_EVENT = 120
"""Frames of the built-in clip in which its first expression is over and its clip complete."""


def smaller(frames: Any) -> list[tuple[float, bytes]]:
    """The same frames in half the size."""
    made = []
    for t_ms, jpeg in frames:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        half = cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA)
        made.append((t_ms, jpeg_of(np.asarray(half, np.uint8))))
    return made


@pytest.fixture
def _no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording's report takes seconds, and says nothing here."""
    quick = tmp_path / "quick.py"
    quick.touch()
    monkeypatch.setattr(recovery, "COMMAND_LINE", quick)


without_report = pytest.mark.usefixtures("_no_report")


def back(server: LiveServer, visit_id: str) -> Page:
    """The page again, whose socket was lost. Until the server has noticed, it is refused."""
    give_up_s = time.monotonic() + HANG_S
    while time.monotonic() < give_up_s:
        page = Page(server)
        with suppress(ConnectionClosed):
            assert page.hello(visit_id)["visit"] == visit_id
            return page
        time.sleep(0.01)
    raise AssertionError("the server does not notice the loss of the socket")


def test_from_hello_to_the_recording_in_a_zip(serve: Serve) -> None:
    server = serve()
    with Page(server) as page:
        assert page.hello()["running"] is False
        started = page.start(heat_map=True, classes={"surprise": 0.6})
        assert started["labels"] == list(started["colours"]) == list(started["marks"])
        assert started["colours"]["positive"] == "#f0e442"
        assert started["none"] == "none"
        assert len(started["macro"]["labels"]) == 7
        page.say("record", on=True)
        page.play(demo_frames()[:FIRST_EVENT])
        page.say("record", on=False)
        page.say("recalibrate")
        page.play(demo_frames()[FIRST_EVENT : FIRST_EVENT + 10], FIRST_EVENT)

        updates = page.all("update")
        assert [one["seq"] for one in updates] == list(range(FIRST_EVENT + 10))
        assert updates[3]["t_ms"] == pytest.approx(1000 + demo_frames()[3][0], abs=1e-3)
        face = updates[-1]["faces"][0]
        left, top, right, bottom = face["box"]
        points = np.concatenate([np.reshape(line, (-1, 2)) for line in face["lines"]])
        assert np.all(points >= (left, top))
        assert np.all(points <= (right, bottom))
        assert np.shape(face["regions"]) == (3, 8)
        heat = np.array(face["heat"])
        assert heat.ndim == 3
        assert heat.min() == 0
        assert heat.max() in (254, 255)  # one is rounding
        scores = [one for update in updates for one in update["scores"]]
        times_ms = np.array([one["t_ms"] for one in scores])
        assert np.all(np.diff(times_ms) > 0)
        assert all(sum(one["p"]) == pytest.approx(1, abs=1e-3) for one in scores)
        macro = [one for update in updates for one in update["macro"]]
        every_ms = np.diff([one["t_ms"] for one in macro])
        assert len(macro) == pytest.approx(len(updates) / 15, abs=2)  # of 30 pictures a second
        assert np.all(every_ms > 450)
        assert all(sum(one["p"]) == pytest.approx(1, abs=1e-3) for one in macro)
        status = updates[-1]["status"]
        assert status["fps_in"] == pytest.approx(30, abs=1)

        event = page.all("event")[0]
        assert event["label"] == "surprise"
        assert 1000 + 2000 < event["onset_ms"] < event["apex_ms"] < event["offset_ms"] < 4500
        assert event["duration_ms"] == pytest.approx(event["offset_ms"] - event["onset_ms"], abs=1)
        clip = page.know("clip")
        assert clip["id"] == event["id"]
        assert page.all("notice")[-1]["words"] == "keep a neutral face for 2 s"
        page.know("recording", state="ready")
        states = [one["state"] for one in page.all("recording")]
        assert states == ["on", "finishing", "ready"]
        ready = page.all("recording")[-1]

        # The files, to the visitor to whom they belong and to nobody else.
        status_code, video = server.get(clip["video"], "ann")
        assert status_code == 200
        assert video[4:8] == b"ftyp"
        assert server.get(clip["video"], "ann", range="bytes=4-7") == (206, b"ftyp")
        assert server.get(clip["still"], "ann")[1][:4] == b"\x89PNG"
        _, packed = server.get(ready["url"], "ann")
        for path in (clip["video"], clip["still"], ready["url"]):
            assert server.get(path, "bob")[0] == 404
        root = clip["video"].rpartition("/")[0]
        for name in ("event-0099.mp4", "../sessions", "..%2f..%2f", "%2e%2e", "event-0001.mp4/x"):
            assert server.get(f"{root}/{name}", "ann")[0] == 404

        page.say("stop")
        assert page.wait_for("stopped")["why"] is None
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        facts = json.loads(archive.read(f"{ready['name']}/session.json"))
        header = archive.read(f"{ready['name']}/scores.csv").decode().partition("\n")[0]
    assert {"report.html", "video.mp4", "scores.csv", "events.csv"} <= names
    assert "clips/event-0001.mp4" in names
    assert facts["status"] == "complete"
    assert [f"macro_{label}" for label in started["macro"]["labels"]] == [
        column for column in header.split(",") if column.startswith("macro_")
    ]
    assert facts["settings"]["classes"]["surprise"] == 0.6
    assert facts["frames"] == pytest.approx(FIRST_EVENT, abs=3)


def test_two_visitors_at_once_never_hear_of_each_other(serve: Serve) -> None:
    server = serve()
    with Page(server, "ann") as ann, Page(server, "bob") as bob:
        visits = {ann.hello()["visit"], bob.hello()["visit"]}
        assert len(visits) == 2
        ann.start()
        bob.start()
        frames = demo_frames()[:FIRST_EVENT]
        pairs = zip(frames, smaller(frames), strict=True)
        for seq, (large, small) in enumerate(pairs):
            ann.play([large], seq, start_ms=1000.0)
            bob.play([small], seq, start_ms=900_000.0)
        for page, low_ms, width in ((ann, 1000.0, 640), (bob, 900_000.0, 320)):
            updates = page.all("update")
            assert [one["seq"] for one in updates] == list(range(FIRST_EVENT))
            times_ms = [one["t_ms"] for one in updates]
            times_ms += [row["t_ms"] for one in updates for row in one["scores"]]
            times_ms += [one["onset_ms"] for one in page.all("event")]
            assert all(low_ms <= t_ms < low_ms + 5000 for t_ms in times_ms)
            box = updates[-1]["faces"][0]["box"]
            assert 0.6 * width < box[2] < 0.7 * width
            assert [one["label"] for one in page.all("event")] == ["surprise"]


def test_who_finds_no_place_waits_for_the_next(serve: Serve) -> None:
    server = serve(max_sessions=1)
    with Page(server, "ann") as ann, Page(server, "bob") as bob, Page(server, "cat") as cat:
        ann.hello()
        ann.start()
        for place, page in enumerate((bob, cat), 1):
            page.hello()
            page.say("start", model="kilas")
            told = page.wait_for("queued")
            assert (told["place"], told["ahead"], told["limit"]) == (place, place - 1, 1)
        cat.say("set", sensitivity=0.9)
        bob.__exit__()  # the page is closed
        assert cat.wait_for("queued")["place"] == 1
        ann.play(demo_frames()[:3])
        ann.say("stop")
        cat.wait_for("started")
        ann.wait_for("stopped")
        cat.play(demo_frames()[:3])
        ann.say("start", model="kilas")
        assert ann.wait_for("queued")["place"] == 1
        ann.say("stop")  # leaves the queue
        assert ann.wait_for("stopped")["why"] is None
        cat.say("stop")
        cat.wait_for("stopped")
        ann.start()  # and seq begins anew
        ann.play(demo_frames()[:3])


@without_report
def test_a_socket_that_drops_and_returns_finds_its_run_and_its_recording(serve: Serve) -> None:
    server = serve()
    with Page(server) as page:
        visit_id = page.hello()["visit"]
        page.start()
        page.play(demo_frames()[:100])
        page.say("record", on=True)
        page.play(demo_frames()[100:130], 100)
        page.know("clip")
        page.drop()
    with back(server, visit_id) as page:
        welcome = page.all("welcome")[0]
        assert (welcome["running"], welcome["recording"]) == (True, True)
        page.play(demo_frames()[130:150], 130)
        assert not page.all("started")  # the page knows it already
        for kind in ("event", "clip"):  # may have been lost with the socket
            assert [one["id"] for one in page.all(kind)].count(1) == 1
        page.say("record", on=False)
        page.play(demo_frames()[150:152], 150)
        ready = page.know("recording", state="ready")
        _, packed = server.get(ready["url"], "ann")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        facts = json.loads(archive.read(f"{ready['name']}/session.json"))
    assert facts["status"] == "complete"
    assert facts["frames"] == pytest.approx(150, abs=3)  # with the seconds before Record
    assert facts["before_s"] == pytest.approx(3.3, abs=0.2)


def test_closing_the_tab_gives_the_place_back_at_once(serve: Serve) -> None:
    server = serve(max_sessions=1)
    with Page(server, "ann") as ann, Page(server, "bob") as bob:
        ann.hello()
        ann.start()
        ann.play(demo_frames()[:3])
        bob.hello()
        bob.say("start", model="kilas")
        bob.wait_for("queued")
        ann.__exit__()
        bob.wait_for("started")


def test_a_page_that_dropped_before_it_heard_started_hears_it_again(serve: Serve) -> None:
    server = serve()
    with Page(server) as page:
        visit_id = page.hello()["visit"]
        page.start()
        page.drop()
    with back(server, visit_id) as page:
        assert page.all("welcome")[0]["running"]
        page.wait_for("started")
        page.play(demo_frames()[:3])


@without_report
def test_files_go_some_time_after_the_page(serve: Serve) -> None:
    server = serve(resume_s=0.3)
    with Page(server) as page:
        visit_id = page.hello()["visit"]
        page.start()
        page.say("record", on=True)
        page.play(demo_frames()[:20])
        until(server.folders, "the recording's folder")
    until(lambda: not server.folders(), "the end of the visit's files")
    until(lambda: server.service.running_count == 0, "the end of the run")
    until(lambda: server.service.visit_count == 0, "the end of the visit")
    with Page(server) as page:
        assert page.hello(visit_id)["visit"] != visit_id  # it is over


@without_report
def test_the_server_closes_while_visitors_are_there(serve: Serve) -> None:
    server = serve(max_sessions=1)
    with Page(server, "ann") as ann, Page(server, "bob") as bob, Page(server, "cat") as cat:
        ann.hello()
        ann.start()
        ann.say("record", on=True)
        ann.play(demo_frames()[:20])
        bob.hello()
        bob.say("start", model="kilas")
        bob.wait_for("queued")
        cat.hello()
        server.close_service()
        assert [page.cut_off()[0] for page in (ann, bob, cat)] == [1001] * 3
        assert server.folders() == []
        with Page(server, "dan") as dan:
            assert dan.cut_off()[0] == 1013


@without_report
def test_a_recording_ends_by_itself_after_its_time(serve: Serve) -> None:
    server = serve(recording_s=0.2)
    with Page(server) as page:
        page.hello()
        page.start()
        page.say("record", on=True)
        page.play(demo_frames()[:30])
        ended = [one for one in page.all("recording") if one["state"] == "finishing"]
        assert "start another" in ended[0]["words"]
        page.say("record", on=True)
        page.play(demo_frames()[30:33], 30)
        if not any(one["state"] == "ready" for one in page.all("recording")):
            assert "still being finished" in page.all("notice")[0]["words"]
            page.wait_for("recording", state="ready")


def test_a_recording_that_is_cut_off_can_be_downloaded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = count(1)

    def break_down(self: VideoWriter, *frame: Any) -> None:
        if next(written) > 20:
            raise ZeroDivisionError("inside")
        write(self, *frame)

    write = VideoWriter.write
    monkeypatch.setattr(VideoWriter, "write", break_down)
    server = serve()
    with Page(server) as page:
        page.hello()
        page.start()
        page.say("record", on=True)
        page.play(demo_frames()[:30])
        words = page.know("recording", state="finishing")["words"]
        assert (
            words == "The recording was cut off, because of a defect, which the server has noted."
        )
        page.play(demo_frames()[30:33], 30)  # the stream goes on
        ready = page.know("recording", state="ready")
        assert ready["words"].startswith("It was cut off, because of a defect")
        _, packed = server.get(ready["url"], "ann")
        assert "ZeroDivisionError: inside" in caplog.text
        page.say("record", on=True)
        page.play(demo_frames()[33:35], 33)
        assert len(page.all("recording")) == 4
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        facts = json.loads(archive.read(f"{ready['name']}/session.json"))
    assert {"report.html", "video.mp4", "scores.csv", "events.csv"} <= names
    assert facts["status"] in ("failed", "recovered")
    assert facts["frames"] >= 20


@without_report
def test_a_full_disk_is_told_and_the_stream_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(VisitFiles, "add_session", is_full)
    server = serve()
    with Page(server) as page:
        page.hello()
        page.start()
        page.say("record", on=True)
        page.play(demo_frames()[:10])
        page.say("record", on=False)
        page.play(demo_frames()[10:12], 10)
        failed = page.know("recording", state="failed")
        assert "the server's disk is full" in failed["words"]
        assert str(server.folder) not in failed["words"]
        page.play(demo_frames()[12:14], 12)


def test_a_defect_is_noted_by_the_server_and_told_in_plain_words(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("inside")

    server = serve(max_sessions=1)
    with Page(server) as page:
        page.hello()
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            page.start()
            patch.setattr(Monitor, "process", break_down)
            page.send(frame_of(0))
            why = page.wait_for("stopped")["why"]
        assert why == visit.DEFECT
        assert "ZeroDivisionError: inside" in caplog.text
        page.send(frame_of(1))  # was on its way
        page.say("record", on=True)
        page.start()
        page.play(demo_frames()[:3])


def test_a_camera_that_falls_silent_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BrowserCamera", partial(BrowserCamera, silence_s=0.3))
    server = serve()
    with Page(server) as page:
        page.hello()
        page.start()
        page.play(demo_frames()[:5])
        assert "No picture has come" in page.wait_for("stopped")["why"]
        page.say("stop")
        page.wait_for("stopped")
        page.start()
        assert "No picture has come" in page.wait_for("stopped")["why"]


def test_the_heat_map_can_be_turned_on_and_off(serve: Serve) -> None:
    server = serve()
    with Page(server) as page:
        page.hello()
        page.start()
        frames = demo_frames()
        heats = []
        for wanted, part in ((False, slice(40)), (True, slice(40, 80)), (False, slice(80, 100))):
            page.say("set", heat_map=wanted, sensitivity=0.3)
            page.play(frames[part], part.start or 0)
            heats.append(page.all("update")[-1]["faces"][0]["heat"] is not None)
        assert heats == [False, True, False]


def frame_of(seq: int) -> bytes:
    t_ms, jpeg = demo_frames()[seq]
    return frame(seq, 1000 + t_ms, jpeg)
