"""Live part of the server: the sockets of pages, and the files of visits."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from realtime.recording.recent_updates import BEFORE_S
from realtime.web.limits import RECORDING_S, RESUME_S
from realtime.web.live.admission import AdmissionQueue
from realtime.web.live.model_pool import ModelPool
from realtime.web.live.protocol import Hello, ProtocolError, encode, parse_frame, parse_text
from realtime.web.live.visit import Visit
from realtime.web.paths import SOCKET_PATH, VISITS_PATH

log = logging.getLogger(__name__)

MESSAGES_HZ = 120.0
"""Most messages a second that are read from one page: the rate of the fastest cameras."""

BURST = 30
"""Messages that may come at once: as many as wait while a network stands still for 0.25 s."""

HELLO_S = 10.0
"""Longest wait for `hello`; a page sends it at once."""

SEND_S = 20.0
"""Longest time to send a message; a page that takes longer does not read any more."""

CLOSE_S = 30.0
"""Longest time to close a socket; the library itself gives up after about 20 s."""

LAST_S = 5.0
"""Longest wait for unfinished recordings when the server closes."""

MAX_SOCKETS = 200
"""Most pages open at a time, running or not: each costs some memory and nothing else."""

MAX_OWN_SOCKETS = 8
"""Most pages that one visitor has open at a time."""

NORMAL, GOING_AWAY, TRY_AGAIN_LATER = 1000, 1001, 1013
"""Codes with which a socket is closed; RFC 6455, section 7.4.1, and its registry."""


class LiveService:
    """All visits of one server. Belongs to one event loop.

    `routes` go into an app whose middleware puts the visitor's name, a str, into
    `scope["state"]["visitor"]` of requests and sockets; a visit and its files are found under the
    same name alone. `start` and `close` are called from the app's lifespan, `close` before
    the sockets are closed otherwise.
    """

    def __init__(
        self,
        models: ModelPool,
        folder: Path,
        *,
        max_sessions: int,
        max_faces: int = 1,
        before_s: float = BEFORE_S,
        resume_s: float = RESUME_S,
        recording_s: float = RECORDING_S,
    ) -> None:
        """Serve visits with these models.

        `folder`: for the visits' files, which are removed with them. `max_sessions`: monitors
        that run at a time. `before_s`: seconds before the page's Record that a recording keeps
        too. `resume_s`: time that a visit outlives its socket. `recording_s`: the longest
        recording.
        """
        self.routes: list[BaseRoute] = [
            WebSocketRoute(SOCKET_PATH, self._socket),
            Route(f"{VISITS_PATH}/{{visit}}/{{kind}}/{{name}}", self._file, methods=["GET"]),
        ]
        self._models = models
        self._folder = folder
        self._max_faces = max_faces
        self._before_s = before_s
        self._resume_s = resume_s
        self._recording_s = recording_s
        self._admission = AdmissionQueue(max_sessions)
        self._visits: dict[str, Visit] = {}
        self._sockets: Counter[str] = Counter()  # by visitor
        self._expiring: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    @property
    def visit_count(self) -> int:
        """Number of visits, with or without a socket."""
        return len(self._visits)

    @property
    def running_count(self) -> int:
        """Number of monitors that run or are about to."""
        return self._admission.taken

    async def start(self) -> None:
        """Open the default model. Raises ModelError and DeviceError."""
        await asyncio.to_thread(self._models.warm_up)

    async def close(self) -> None:
        """End all visits and remove their files; the sockets are closed as "going away"."""
        self._closing.set()
        for task in self._expiring.values():
            task.cancel()
        visits = list(self._visits.values())
        self._visits.clear()
        await asyncio.gather(*(visit.end(LAST_S) for visit in visits))
        if self._ending:
            await asyncio.wait(self._ending, timeout=LAST_S)

    # The socket

    async def _socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        visitor = websocket.state.visitor
        is_full = self._sockets.total() >= MAX_SOCKETS or self._sockets[visitor] >= MAX_OWN_SOCKETS
        if is_full or self._closing.is_set():
            await _close(websocket, TRY_AGAIN_LATER, "too many pages are open; try again later")
            return
        self._sockets[visitor] += 1
        try:
            await self._serve(websocket)
        except WebSocketDisconnect:
            pass  # the page is gone, which `_serve` has handled
        except ProtocolError as error:
            await _close(websocket, error.code, str(error))
        else:
            await _close(websocket, GOING_AWAY, "the server is closed")
        finally:
            self._sockets -= Counter({visitor: 1})  # drops visitors without a socket

    async def _serve(self, websocket: WebSocket) -> None:
        """Serve one socket until the server is closed.

        Raises WebSocketDisconnect and ProtocolError.
        """
        try:
            async with asyncio.timeout(HELLO_S):
                hello = parse_text(await _receive_text(websocket))
        except TimeoutError as error:
            raise ProtocolError("the page did not send hello") from error
        if not isinstance(hello, Hello):
            raise ProtocolError("the first message was not hello")
        visit = self._visit(hello, websocket.state.visitor)
        visit.join()
        tasks = [
            asyncio.create_task(self._read(websocket, visit)),
            asyncio.create_task(self._write(websocket, visit)),
            asyncio.create_task(self._closing.wait()),
        ]
        wait_s = self._resume_s
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except WebSocketDisconnect as gone:
            if gone.code in (NORMAL, GOING_AWAY):
                visit.stop_soon()  # the tab was closed, unlike with a lost network
            raise
        except ProtocolError:
            wait_s = 0.0
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._leave(visit, wait_s)

    async def _read(self, websocket: WebSocket, visit: Visit) -> None:
        """Read the page's messages, no faster than MESSAGES_HZ.

        Further messages wait in the page's own network, and disturb nobody else.
        """
        due_s = time.monotonic()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            if (text := message.get("text")) is not None:
                await visit.handle(parse_text(text))
            else:
                visit.put_picture(parse_frame(message["bytes"]))
            now_s = time.monotonic()
            due_s = max(due_s, now_s - BURST / MESSAGES_HZ) + 1.0 / MESSAGES_HZ
            if due_s > now_s:
                await asyncio.sleep(due_s - now_s)

    async def _write(self, websocket: WebSocket, visit: Visit) -> None:
        while True:
            for message in await visit.outbox.get():
                try:
                    async with asyncio.timeout(SEND_S):
                        await websocket.send_text(encode(message))
                except TimeoutError as error:
                    raise ProtocolError("the page does not read its messages") from error

    # Visits

    def _visit(self, hello: Hello, visitor: str) -> Visit:
        """Return the visit that a page wants to continue, or a new visit if that is over."""
        visit = None if hello.visit is None else self._visits.get(hello.visit)
        if visit is None:
            visit_id = secrets.token_urlsafe(16)
            visit = Visit(
                visit_id,
                visitor,
                self._folder / visit_id,
                self._models,
                self._admission,
                max_faces=self._max_faces,
                before_s=self._before_s,
                recording_s=self._recording_s,
            )
            self._visits[visit_id] = visit
        elif visit.visitor != visitor or visit.is_connected:
            raise ProtocolError("the visit belongs to another page")
        if (expiring := self._expiring.pop(visit.id, None)) is not None:
            expiring.cancel()
        return visit

    def _leave(self, visit: Visit, wait_s: float) -> None:
        """Let a visit without a socket wait for its page for `wait_s`, then end it."""
        visit.leave()
        if visit.id in self._visits:
            if visit.is_blank:
                wait_s = 0.0
            self._expiring[visit.id] = asyncio.create_task(self._expire(visit, wait_s))

    async def _expire(self, visit: Visit, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        # From here on the visit cannot be found any more, so nobody cancels this.
        del self._visits[visit.id], self._expiring[visit.id]
        ending = asyncio.create_task(visit.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _file(self, request: Request) -> Response:
        visit = self._visits.get(request.path_params["visit"])
        path = (
            None
            if visit is None or visit.visitor != request.state.visitor
            else visit.files.find(request.path_params["kind"], request.path_params["name"])
        )
        if path is None:
            raise HTTPException(404)
        is_zip = path.suffix == ".zip"
        return FileResponse(
            path,
            filename=path.name if is_zip else None,
            headers={"Cache-Control": "private, no-store"},
        )


async def _receive_text(websocket: WebSocket) -> str:
    """Receive the next message, which has to be a text. Raises ProtocolError."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    text = message.get("text")
    if text is None:
        raise ProtocolError("the first message was not hello")
    return str(text)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close a socket, whether or not its page answers."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await websocket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect):
        log.debug("a page did not answer the end of its socket")
