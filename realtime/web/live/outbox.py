"""Messages that wait to be sent to one page."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from realtime.web.live.protocol import Json, ProtocolError

MAX_SCORES = 600
"""Most scores that wait for a slow page: the newest 10 s of a face at 60 a second."""

MAX_WAITING = 1000
"""Most messages that wait: a page that reads at all never has more than a few besides updates."""

REPEATED = 20
"""Messages that are sent again after a socket was lost: more than come before the loss is
noticed."""

_LASTING = ("event", "clip", "recording")
_PASSING = ("welcome", "queued", "started", "update")


class Outbox:
    """Messages on their way from a visit to its page, across sockets that come and go.

    `put` and `fail` may be called by any thread and never wait. `get` and `greet` belong to
    the event loop, `get` to one task at a time. Updates that follow one another while nobody
    takes them become one: with the newest faces and status, the scores of all of them as far as
    `MAX_SCORES` go, and the newest macro-expression of each face. Nothing else is merged or left
    out.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_something_there = asyncio.Event()
        self._lasting: deque[Json] = deque(maxlen=REPEATED)
        self._lock = threading.Lock()  # guards all that follows
        self._waiting: deque[Json] = deque()
        self._error: ProtocolError | None = None
        self._is_closed = False

    def put(self, message: Json) -> None:
        """Add a message behind those that wait."""
        with self._lock:
            if message["type"] == "update" and self._waiting:
                before = self._waiting[-1]
                if before["type"] == "update":
                    message["scores"] = (before["scores"] + message["scores"])[-MAX_SCORES:]
                    newest = {row["face"]: row for row in before["macro"] + message["macro"]}
                    message["macro"] = list(newest.values())
                    self._waiting.pop()
            self._waiting.append(message)
            if len(self._waiting) > MAX_WAITING:
                self._error = ProtocolError("the page does not read its messages")
                self._waiting.clear()
            self._wake()

    def fail(self, error: ProtocolError) -> None:
        """Cut the page off: `get` raises the error once all waiting messages were taken."""
        with self._lock:
            self._error = error
            self._wake()

    def close(self) -> None:
        """Drop messages from now on. Called before the loop ends."""
        with self._lock:
            self._is_closed = True

    def greet(self, welcome: Json) -> None:
        """Queue the messages for a new socket, `welcome` first.

        Then come the last events, clips and recordings again, which may have been lost with the
        last socket, and then the messages that wait, without those that only the last socket had a
        use for.
        """
        with self._lock:
            waiting = [message for message in self._waiting if message["type"] not in _PASSING]
            self._waiting = deque([welcome, *self._lasting, *waiting])
            self._lasting.clear()
            self._wake()

    async def get(self) -> list[Json]:
        """Wait for messages and take them all, in their order. Raises the error of `fail`."""
        await self._is_something_there.wait()
        with self._lock:
            messages = list(self._waiting)
            self._waiting.clear()
            if not messages and self._error is not None:
                error, self._error = self._error, None
                self._is_something_there.clear()
                raise error
            if self._error is None:
                self._is_something_there.clear()
        self._lasting.extend(message for message in messages if message["type"] in _LASTING)
        return messages

    def _wake(self) -> None:
        if not self._is_closed:
            self._loop.call_soon_threadsafe(self._is_something_there.set)
