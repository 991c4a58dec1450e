"""Admission queue: a limited number of monitors run, and other visitors wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Waiter:
    has_place: asyncio.Future[None]
    on_position: Callable[[int], None]


class AdmissionQueue:
    """Queue for at most `limit` monitors at a time, first come, first served.

    Belongs to one event loop.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"there must be at least one place, not {limit}")
        self.limit = limit
        self._free = limit
        self._queue: deque[_Waiter] = deque()

    @property
    def taken(self) -> int:
        """Number of places in use."""
        return self.limit - self._free

    @asynccontextmanager
    async def admit(self, on_position: Callable[[int], None]) -> AsyncIterator[None]:
        """Hold a place within the block; wait for it first.

        During the wait, `on_position` is called with the position in the queue, 1 for the next, at
        once and whenever it changes. It must not raise. Cancelling leaves the queue.
        """
        await self._take(on_position)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, on_position: Callable[[int], None]) -> None:
        if self._free:  # then nobody waits: a place that is given back goes to the first
            self._free -= 1
            return
        waiter = _Waiter(asyncio.get_running_loop().create_future(), on_position)
        self._queue.append(waiter)
        on_position(len(self._queue))
        try:
            await waiter.has_place
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._leave(waiter)
            elif not waiter.has_place.cancelled():
                self._give_back()  # it got the place in the same moment
            raise

    def _give_back(self) -> None:
        while self._queue:
            first = self._queue[0]
            self._leave(first)
            if not first.has_place.cancelled():
                first.has_place.set_result(None)
                return
        self._free += 1

    def _leave(self, waiter: _Waiter) -> None:
        behind = self._queue.index(waiter)
        del self._queue[behind]
        for place, moved in enumerate(list(self._queue)[behind:], behind + 1):
            moved.on_position(place)
