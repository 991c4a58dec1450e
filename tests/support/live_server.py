"""A real server with the live part of the page, and pages that talk to it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from realtime.types import UInt8Array
from realtime.web.live.model_pool import ModelPool
from realtime.web.live.protocol import MAX_PICTURE_BYTES
from realtime.web.live.service import LiveService
from realtime.web.paths import SOCKET_PATH

HANG_S = 60.0
"""Longer waits are taken for hanging; a busy machine needs a tenth of it."""

HEADER = "x-visitor"

Json = dict[str, Any]


def until(is_true: Callable[[], object], what: str = "the condition") -> None:
    """Wait for a condition of another thread."""
    give_up_s = time.monotonic() + HANG_S
    while not is_true():
        assert time.monotonic() < give_up_s, f"{what} did not come true"
        time.sleep(0.01)


def jpeg_of(image_bgr: UInt8Array, quality: int = 90) -> bytes:
    done, data = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


@lru_cache(maxsize=2)
def demo_frames(mirrored: bool = False) -> tuple[tuple[float, bytes], ...]:
    """The built-in clip as a page would send it: times in ms, JPEGs."""
    with VideoFile(DEMO_PATH) as source:
        return tuple(
            (1e3 * f.t_s, jpeg_of(f.image_bgr[:, ::-1] if mirrored else f.image_bgr))
            for f in source
        )


def frame(seq: int, t_ms: float, jpeg: bytes, missed: int = 0, replaced: int = 0) -> bytes:
    return struct.pack("<IdII", seq, t_ms, missed, replaced) + jpeg


class VisitorFromHeader:
    """Stands for the middleware that knows the visitors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            scope.setdefault("state", {})["visitor"] = headers[HEADER.encode()].decode()
        await self._app(scope, receive, send)


class LiveServer:
    """uvicorn in a thread, with nothing but the live part."""

    def __init__(self, models: ModelPool, folder: Path, **options: Any) -> None:
        self.folder = folder

        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            # Made here, as it belongs to the server's loop.
            self.loop = asyncio.get_running_loop()
            self.service = LiveService(models, folder, **options)
            await self.service.start()
            app.router.routes += self.service.routes
            yield
            await self.service.close()

        config = uvicorn.Config(
            VisitorFromHeader(Starlette(lifespan=lifespan)),
            port=0,
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=MAX_PICTURE_BYTES + 64,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=10,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive(), "the server's start")
        assert self._server.started
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(HANG_S)
        assert not self._thread.is_alive()

    def close_service(self) -> None:
        """Close the service, as an app does before its sockets are closed."""
        asyncio.run_coroutine_threadsafe(self.service.close(), self.loop).result(HANG_S)

    def use_small_buffers(self) -> None:
        """Have the system keep little for clients that do not read, from the next one on."""
        for listener in self._server.servers[0].sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def get(self, path: str, visitor: str, **headers: str) -> tuple[int, bytes]:
        """Status and content of a request of a visitor."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={HEADER: visitor, **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=HANG_S) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def folders(self) -> list[str]:
        """Visits that have files."""
        return sorted(path.name for path in self.folder.iterdir())


class Page:
    """A page that talks to the server: says what a test says, and keeps what it hears."""

    def __init__(self, server: LiveServer, visitor: str = "ann", **options: Any) -> None:
        self.visitor = visitor
        self.heard: list[Json] = []
        self._socket = connect(
            f"ws://127.0.0.1:{server.port}{SOCKET_PATH}",
            additional_headers={HEADER: visitor},
            compression=None,
            proxy=None,
            close_timeout=1,
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def drop(self) -> None:
        """Lose the connection without a word."""
        self._socket.socket.shutdown(socket.SHUT_RDWR)

    def say(self, kind: str, **parts: Any) -> None:
        self._socket.send(json.dumps({"type": kind, **parts}))

    def send(self, message: str | bytes) -> None:
        self._socket.send(message)

    def hear(self) -> Json:
        """The next message."""
        message: Json = json.loads(self._socket.recv(HANG_S))
        self.heard.append(message)
        return message

    def wait_for(self, kind: str, **parts: Any) -> Json:
        """The next message of a kind, with these parts."""
        give_up_s = time.monotonic() + HANG_S
        while time.monotonic() < give_up_s:
            message = self.hear()
            if message["type"] == kind and parts.items() <= message.items():
                return message
        raise AssertionError(f"no message {kind} {parts} came")

    def know(self, kind: str, **parts: Any) -> Json:
        """The first message of a kind, with these parts, that was heard already or comes."""
        known = (one for one in self.all(kind) if parts.items() <= one.items())
        return next(known, None) or self.wait_for(kind, **parts)

    def hello(self, visit: str | None = None) -> Json:
        self.say("hello", protocol=1, visit=visit)
        return self.wait_for("welcome")

    def start(self, **parts: Any) -> Json:
        settings = {"model": "kilas", "sensitivity": 0.5, "classes": {}, "heat_map": False}
        self.say("start", **{**settings, **parts})
        return self.wait_for("started")

    def play(
        self, frames: Iterable[tuple[float, bytes]], first: int = 0, start_ms: float = 1000.0
    ) -> None:
        """Send frames, each once the one before has gone through the monitor."""
        for seq, (t_ms, jpeg) in enumerate(frames, first):
            self.send(frame(seq, start_ms + t_ms, jpeg))
            while self.wait_for("update")["seq"] < seq:
                pass
            time.sleep(0.005)  # for the network, which runs beside and drops what it cannot do

    def cut_off(self) -> tuple[int, str]:
        """Code and reason with which the server closes the socket."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.hear()
        assert closed.value.rcvd is not None, "the socket broke"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    def all(self, kind: str) -> list[Json]:
        """Return the messages of one kind that were received."""
        return [message for message in self.heard if message["type"] == kind]
