"""Pages that do what they may not: each is cut off or slowed, and another visitor goes on."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from realtime.web.live import service
from realtime.web.live.model_pool import ModelPool
from realtime.web.live.protocol import MAX_PICTURE_BYTES
from support.live_server import LiveServer, Page, demo_frames, frame, until

JPEG = demo_frames()[0][1]


@pytest.fixture(scope="module")
def server(models: ModelPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("visits")
    with LiveServer(models, folder, max_sessions=3, resume_s=2.0) as server:
        yield server


class GoodPage:
    """A visitor who plays the built-in clip from beginning to end, again and again."""

    def __init__(self, server: LiveServer) -> None:
        self.count = 0
        self._page = Page(server, "good")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._page.hello()
        self._page.start()
        self._thread.start()

    def _play(self) -> None:
        frames = demo_frames()
        while not self._is_over.is_set():
            t_ms, jpeg = frames[self.count % len(frames)]
            lap_ms = self.count // len(frames) * (frames[-1][0] + 33.0)
            self._page.play([(lap_ms + t_ms, jpeg)], self.count)
            self.count += 1

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(60)
        self._page.__exit__()


@pytest.fixture(scope="module")
def good(server: LiveServer) -> Iterator[GoodPage]:
    good = GoodPage(server)
    yield good
    good.close()


@pytest.fixture(autouse=True)
def _the_good_page_goes_on(good: GoodPage) -> Iterator[None]:
    yield
    before = good.count
    until(lambda: good.count > before + 20, "the other visitor's next updates")


@pytest.fixture
def bad(server: LiveServer, good: GoodPage) -> Iterator[Page]:
    with Page(server, "bad") as page:
        yield page


def hello(visit: str | None = None) -> str:
    return json.dumps({"type": "hello", "protocol": 1, "visit": visit})


def start(**parts: Any) -> str:
    return json.dumps({"type": "start", "model": "kilas", **parts})


SAID: dict[str, list[str | bytes]] = {
    "garbage": ["}{"],
    "bytes before hello": [b"\x00\x01"],
    "a frame before hello": [frame(0, 0.0, JPEG)],
    "start before hello": [start()],
    "hello twice": [hello(), hello()],
    "hello of another version": [json.dumps({"type": "hello", "protocol": 2, "visit": None})],
    "a type that there is not": [hello(), '{"type": "shutdown"}'],
    "garbage for a frame": [hello(), start(), b"\xff" * 500],
    "a frame before start": [hello(), frame(0, 0.0, JPEG)],
    "record before start": [hello(), '{"type": "record", "on": true}'],
    "start twice": [hello(), start(), start()],
    "a model that there is not": [hello(), start(model="../../etc/passwd")],
    "a class that there is not": [hello(), start(classes={"joy": 0.5})],
    "text that is too long": [hello(), " " * 5000],
    "a picture that is too large": [hello(), frame(0, 0.0, bytes(MAX_PICTURE_BYTES + 1))],
    "a message that is far too large": [hello(), bytes(MAX_PICTURE_BYTES + 1000)],
}


@pytest.mark.parametrize("case", SAID)
def test_what_may_not_be_said_is_cut_off(case: str, bad: Page) -> None:
    with suppress(ConnectionClosed):  # before all of it was said
        for message in SAID[case]:
            bad.send(message)
    code, reason = bad.cut_off()
    assert code == (1009 if "too la" in case or "too long" in case or "far too" in case else 1008)
    if "far too" not in case:  # that one is refused before it is here
        assert reason
        assert "{" not in reason


@pytest.mark.parametrize(
    "second",
    [frame(5, 200.0, JPEG), frame(4, 200.0, JPEG), frame(6, 100.0, JPEG), frame(6, 50.0, JPEG)],
    ids=["same number", "number before", "same time", "time before"],
)
def test_frames_in_the_wrong_order_are_cut_off(second: bytes, bad: Page) -> None:
    bad.hello()
    bad.start()
    bad.send(frame(5, 100.0, JPEG))
    bad.wait_for("update")
    bad.send(second)
    assert bad.cut_off()[0] == 1008


def test_frames_after_stop_are_cut_off(bad: Page) -> None:
    bad.hello()
    bad.start()
    bad.say("stop")
    bad.send(frame(0, 0.0, JPEG))
    assert bad.cut_off()[0] == 1008


def test_nobody_takes_over_the_visit_of_another(server: LiveServer, bad: Page) -> None:
    with Page(server, "ann") as ann, Page(server, "ann") as second:
        visit = ann.hello()["visit"]
        bad.say("hello", protocol=1, visit=visit)
        assert bad.cut_off()[0] == 1008
        second.say("hello", protocol=1, visit=visit)  # it has a socket
        assert second.cut_off()[0] == 1008
        ann.start()
        ann.play(demo_frames()[:3])
        ann.__exit__()
        until(lambda: server.service.running_count == 1, "the end of her run")
        with Page(server, "bad") as again:
            again.say("hello", protocol=1, visit=visit)
            assert again.cut_off()[0] == 1008


def test_damaged_pictures_without_end_are_cut_off(bad: Page) -> None:
    bad.hello()
    bad.start()
    bad.play(demo_frames()[:2])
    with pytest.raises(ConnectionClosed) as closed:
        for seq in range(2, 5000):
            bad.send(frame(seq, 1000.0 + 50.0 * seq, JPEG[:-2]))
            time.sleep(0.002)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "damaged" in closed.value.rcvd.reason) == (1008, True)


def test_a_page_that_says_nothing_is_cut_off(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HELLO_S", 0.2)
    with Page(server, "bad") as page:
        assert page.cut_off() == (1008, "the page did not send hello")


def test_a_thousand_frames_a_second_are_slowed(bad: Page, good: GoodPage) -> None:
    bad.hello()
    bad.start()
    before = good.count
    count = 500
    began_s = time.monotonic()
    for seq in range(count):
        bad.send(frame(seq, 1000.0 + seq, JPEG))
    while bad.wait_for("update")["seq"] < count - 1:
        pass
    assert time.monotonic() - began_s > (count - service.BURST) / service.MESSAGES_HZ * 0.9
    assert good.count > before + 10


def test_a_flood_of_words_is_slowed(bad: Page, good: GoodPage) -> None:
    bad.hello()
    bad.start()
    before = good.count
    began_s = time.monotonic()
    for number in range(150):
        bad.say("set", sensitivity=number % 100 / 100)
        bad.say("record", on=number % 2 == 0)
    bad.say("stop")
    bad.wait_for("stopped")
    assert time.monotonic() - began_s > (300 - service.BURST) / service.MESSAGES_HZ * 0.9
    assert good.count > before + 10


def test_starting_and_leaving_without_end_takes_no_place_for_long(
    server: LiveServer, bad: Page
) -> None:
    visits = server.service.visit_count
    bad.hello()
    for _ in range(5):
        bad.say("start", model="kilas")
        bad.say("stop")
        with Page(server, "bad") as page:
            page.hello()
            page.say("start", model="kilas")
            page.drop()  # before it was started
        with Page(server, "bad") as page:
            page.hello()
            page.start()
            page.say("stop")
            page.drop()
    for _ in range(5):
        bad.wait_for("stopped")
    until(lambda: server.service.running_count == 1, "the place of the good page alone")
    until(lambda: server.service.visit_count <= visits + 1, "the end of the other visits")
    bad.start()


def test_a_page_that_does_not_read_is_cut_off(
    models: ModelPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SEND_S", 0.5)
    with LiveServer(models, tmp_path, max_sessions=1) as server:
        server.use_small_buffers()
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours.connect(("127.0.0.1", server.port))
        with Page(server, "bad", sock=ours, max_queue=1) as page:
            page.hello()
            page.start()
            sender = threading.Thread(target=send_without_end, args=(page,), daemon=True)
            sender.start()
            until(lambda: server.service.visit_count == 0, "the cut")
            page.drop()
            sender.join(60)


def send_without_end(page: Page) -> None:
    with suppress(ConnectionClosed, OSError):
        for seq in range(100_000):
            page.send(frame(seq, 1000.0 + 33.0 * seq, JPEG))
            time.sleep(0.01)


def test_more_sockets_than_the_server_bears_are_sent_away(
    models: ModelPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_SOCKETS", 2)
    with LiveServer(models, tmp_path, max_sessions=1) as server:
        with Page(server) as first, Page(server) as second, Page(server) as third:
            first.hello()
            second.hello()
            assert third.cut_off()[0] == 1013

        def comes_in() -> bool:
            with Page(server) as page:
                page.say("hello", protocol=1, visit=None)
                try:
                    return bool(page.hear()["type"] == "welcome")
                except ConnectionClosed:
                    return False

        until(comes_in, "a free socket")
