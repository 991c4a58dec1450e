"""Places for running monitors: first come first served, and none is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from realtime.web.live.admission import AdmissionQueue


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Visitor:
    """Wants a place, and holds it until told to go."""

    def __init__(self, places: AdmissionQueue) -> None:
        self.told: list[int] = []
        self.has_place = False
        self._may_go = asyncio.Event()
        self.task = asyncio.create_task(self._visit(places))

    async def _visit(self, places: AdmissionQueue) -> None:
        async with places.admit(self.told.append):
            self.has_place = True
            try:
                await self._may_go.wait()
            finally:
                self.has_place = False

    def go(self) -> None:
        self._may_go.set()


def test_first_come_first_served_with_announced_places() -> None:
    async def scenario() -> None:
        places = AdmissionQueue(2)
        visitors = [Visitor(places) for _ in range(5)]
        await settle()
        assert [one.has_place for one in visitors] == [True, True, False, False, False]
        assert [one.told for one in visitors] == [[], [], [1], [2], [3]]
        visitors[1].go()
        await settle()
        assert [one.has_place for one in visitors] == [True, False, True, False, False]
        assert [one.told for one in visitors] == [[], [], [1], [2, 1], [3, 2]]
        visitors[3].task.cancel()  # its page is gone
        await settle()
        assert visitors[4].told == [3, 2, 1]
        visitors[0].go()
        await settle()
        assert visitors[4].has_place
        assert places.taken == 2
        for one in visitors:
            one.go()
        await settle()
        assert places.taken == 0

    run(scenario)


def test_one_who_is_gone_when_its_turn_comes_hands_the_place_on() -> None:
    async def scenario() -> None:
        places = AdmissionQueue(1)
        holder, first, second = (Visitor(places) for _ in range(3))
        await settle()
        holder.go()
        await asyncio.sleep(0)  # the place is handed over, and nobody has woken yet
        first.task.cancel()
        await settle()
        assert second.has_place
        second.go()
        await settle()
        assert places.taken == 0

    run(scenario)


def test_one_who_left_before_is_not_given_the_place() -> None:
    async def scenario() -> None:
        places = AdmissionQueue(1)
        holder, first, second = (Visitor(places) for _ in range(3))
        await settle()
        first.task.cancel()
        holder.go()
        await settle()
        assert second.has_place
        assert places.taken == 1

    run(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_no_place_is_lost_whoever_comes_and_goes(seed: int) -> None:
    async def scenario() -> None:
        rng = random.Random(seed)
        places = AdmissionQueue(3)
        visitors: list[Visitor] = []
        for _ in range(300):
            step = rng.random()
            if step < 0.4:
                visitors.append(Visitor(places))
            elif visitors and step < 0.7:
                rng.choice(visitors).go()
            elif visitors:
                rng.choice(visitors).task.cancel()
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            assert sum(one.has_place for one in visitors) <= 3
        for one in visitors:
            one.go()
        await asyncio.gather(*(one.task for one in visitors), return_exceptions=True)
        assert places.taken == 0

    run(scenario)


def test_there_is_a_place() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AdmissionQueue(0)
