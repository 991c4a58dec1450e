"""`stream.py web` as a process, and a visitor of it in a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, expect

from support.paths import ROOT

COMMAND_LINE = ROOT / "stream.py"

START_S = 90
"""Generous, as all times here: they only keep a test from waiting for ever."""

SOON_MS = 30_000
"""For what the page or the server does at once."""

LATE_MS = 90_000
"""For what takes the server seconds: a model, a recording's report, an analysis."""

WIDE, PHONE = (1280, 800), (390, 844)

CUT_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER: the connection ends without a goodbye, as when a network goes away."""


@contextlib.contextmanager
def web_server(folder: Path, *options: str) -> Iterator[str]:
    """Its address. `folder`: where it puts what it needs for a while, and what it complains of;
    a traceback there fails whoever used it."""
    complaints = folder / "complaints.txt"
    command = [sys.executable, str(COMMAND_LINE), "web", "--port", "0", "--device", "cpu", *options]
    with (
        complaints.open("w") as stderr,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        ) as process,
    ):
        assert process.stdout is not None
        watch = threading.Timer(START_S, process.kill)
        watch.start()
        try:
            said = process.stdout.readline()
            watch.cancel()
            ready = re.fullmatch(r"Kilas is at (http://\S+); Ctrl-C ends it\.\n", said)
            assert ready, said + complaints.read_text()
            yield ready[1]
            process.terminate()
            assert process.wait(START_S) == 0
        finally:
            watch.cancel()
            process.kill()
    assert "Traceback" not in complaints.read_text(), complaints.read_text()


class Visitor:
    """One person's page, with what it asked for and complained of."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        size_wh: tuple[int, int] = WIDE,
        may_use_camera: bool = True,
        **options: Any,
    ) -> None:
        """`options`: of the browser's context, which shares nothing with others."""
        width, height = size_wh
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            permissions=["camera"] if may_use_camera else [],
            **options,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(SOON_MS)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("console", self._note)
        self.page.goto(url)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    @property
    def other_hosts(self) -> set[str]:
        """That the page asked for anything."""
        own = urlsplit(self.url).netloc
        asked = map(urlsplit, self.requests)
        return {one.netloc for one in asked if one.scheme not in ("data", "blob")} - {own}

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Locator:
        return self.page.get_by_role("tab", name=name, exact=True)

    def start(self) -> None:
        """Start the camera, and wait until the server looks at its pictures."""
        self.button("Start camera").click()
        self.gets_updates()

    def has_scores(self) -> None:
        """Wait until the page shows scores of what the camera sees now."""
        scores = self.page.get_by_role("group", name="Scores now")
        expect(scores).to_contain_text(re.compile(r"[01]\.\d\d"), timeout=LATE_MS)

    @property
    def macro_scores(self) -> Locator:
        """A row for each macro-expression, where the page has them."""
        group = self.page.get_by_role("group", name="Macro scores, smoothed")
        return group.locator(".kilas-row")

    def gets_updates(self) -> None:
        """Wait until the server has answered pictures that are sent from now on. Another model
        begins to count anew."""
        self.page.wait_for_function(
            "before => { const { updates } = window.kilas.figures();"
            " return updates > before + 10 || (updates < before && updates > 10); }",
            arg=self.page.evaluate("window.kilas.figures().updates"),
            timeout=LATE_MS,
        )

    def reads(self, words: str | re.Pattern[str], within_ms: float = SOON_MS) -> None:
        """Wait for words that stand on the page for everybody to see."""
        shown = self.page.get_by_text(words).locator("visible=true").first
        expect(shown).to_be_visible(timeout=within_ms)

    def download(self, link: Locator, path: Path) -> Path:
        with self.page.expect_download(timeout=LATE_MS) as coming:
            link.click()
        coming.value.save_as(path)
        return path

    def upload(self, video: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(video)

    def leave(self) -> None:
        self.context.close()


@contextlib.contextmanager
def visitors(browser: Browser, url: str) -> Iterator[Callable[..., Visitor]]:
    """A function that brings visitors to `url`; all leave at the end."""
    with contextlib.ExitStack() as leaving:

        def come(**options: Any) -> Visitor:
            visitor = Visitor(browser, options.pop("url", url), **options)
            leaving.callback(visitor.leave)
            return visitor

        yield come


class Network:
    """A connection of a browser and the server that can fail. `url`: of the server behind it."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._is_up = True
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards both
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._let_in, daemon=True).start()

    def fail(self) -> None:
        """Cut every connection, and let none be made."""
        with self._lock:
            self._is_up = False
            for end in self._ends:
                _cut(end)
            self._ends.clear()

    def come_back(self) -> None:
        with self._lock:
            self._is_up = True

    def close(self) -> None:
        self.fail()
        self._door.close()

    def _let_in(self) -> None:
        while True:
            try:
                browser, _ = self._door.accept()
            except OSError:
                return  # closed
            with self._lock:
                if not self._is_up:
                    _cut(browser)
                    continue
                server = socket.create_connection((self._server.hostname, self._server.port))
                self._ends |= {browser, server}
            for ends in ((browser, server), (server, browser)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CUT_OFF)
        end.shutdown(socket.SHUT_RD)
        end.close()
