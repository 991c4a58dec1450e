"""Messages that wait to be sent to a page."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from realtime.web.live.outbox import MAX_SCORES, MAX_WAITING, REPEATED, Outbox
from realtime.web.live.protocol import Json, ProtocolError


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 20))


def update(seq: int, *macro: Json) -> Json:
    return {"type": "update", "seq": seq, "scores": [seq], "macro": list(macro)}


def event(number: int) -> Json:
    return {"type": "event", "id": number}


def test_updates_merge_and_events_do_not() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        for message in (update(0), update(1), event(1), update(2), event(2), update(3), update(4)):
            outbox.put(message)
        assert await outbox.get() == [
            {"type": "update", "seq": 1, "scores": [0, 1], "macro": []},
            event(1),
            update(2),
            event(2),
            {"type": "update", "seq": 4, "scores": [3, 4], "macro": []},
        ]

    run(scenario)


def test_of_macro_expressions_the_newest_of_each_face_is_told() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        first, other, second = (
            {"face": face, "p": [p]} for face, p in ((0, 0.1), (1, 0.2), (0, 0.3))
        )
        for message in (update(0, first, other), update(1), update(2, second), update(3)):
            outbox.put(message)
        (message,) = await outbox.get()
        assert sorted(message["macro"], key=lambda one: one["face"]) == [second, other]

    run(scenario)


def test_scores_of_a_page_that_is_very_slow_are_bounded() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        for seq in range(3 * MAX_SCORES):
            outbox.put(update(seq))
        (message,) = await outbox.get()
        assert message["scores"] == list(range(2 * MAX_SCORES, 3 * MAX_SCORES))

    run(scenario)


def test_a_thread_wakes_who_waits() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        taking = asyncio.create_task(outbox.get())
        await asyncio.sleep(0)
        thread = threading.Thread(target=outbox.put, args=(event(7),))
        thread.start()
        assert await taking == [event(7)]
        thread.join()

    run(scenario)


def test_nothing_is_lost_or_changes_its_order_with_many_threads() -> None:
    async def scenario() -> None:
        outbox = Outbox()

        def say_many(first: int) -> None:
            for number in range(first, first + 200):
                outbox.put(event(number))

        threads = [threading.Thread(target=say_many, args=(first,)) for first in (0, 200)]
        for thread in threads:
            thread.start()
        taken: list[int] = []
        while len(taken) < 400:
            taken += [message["id"] for message in await outbox.get()]
        for first in (0, 200):
            own = [number for number in taken if first <= number < first + 200]
            assert own == list(range(first, first + 200))

    run(scenario)


def test_what_may_have_been_lost_with_a_socket_is_said_again() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        welcome = {"type": "welcome"}
        for number in range(REPEATED + 5):
            outbox.put(event(number))
        outbox.put({"type": "notice"})
        await outbox.get()
        for message in (update(9), {"type": "queued"}, {"type": "stopped"}):
            outbox.put(message)
        outbox.greet(welcome)
        lasting = [event(number) for number in range(5, REPEATED + 5)]
        assert await outbox.get() == [welcome, *lasting, {"type": "stopped"}]

    run(scenario)


def test_a_page_that_reads_nothing_is_cut_off() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        for number in range(2 * MAX_WAITING):
            outbox.put(event(number))
        with pytest.raises(ProtocolError, match="does not read"):
            while True:
                assert len(await outbox.get()) <= MAX_WAITING

    run(scenario)


def test_an_error_comes_after_what_was_said_before() -> None:
    async def scenario() -> None:
        outbox = Outbox()
        outbox.put(event(1))
        outbox.fail(ProtocolError("so it is"))
        assert await outbox.get() == [event(1)]
        with pytest.raises(ProtocolError, match="so it is"):
            await outbox.get()

    run(scenario)


def test_what_is_said_after_the_end_harms_nobody() -> None:
    boxes: list[Outbox] = []

    async def scenario() -> None:
        boxes.append(Outbox())
        boxes[0].close()

    run(scenario)
    boxes[0].put(event(1))  # its loop is closed
