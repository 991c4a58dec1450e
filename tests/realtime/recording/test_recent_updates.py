"""The last seconds of a run."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.recording.recent_updates import RecentUpdates
from realtime.types import Frame, Update


def update(number: int, t_s: float) -> Update:
    return Update(Frame(number, t_s, np.zeros((4, 4, 3), np.uint8)), (), (), (), {})


@given(gaps_s=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=40), seconds=st.floats(0.0, 5.0))
def test_it_holds_the_last_seconds_and_nothing_else(gaps_s: list[float], seconds: float) -> None:
    recent = RecentUpdates(seconds)
    times_s = [float(t_s) for t_s in np.cumsum(gaps_s)]
    for number, t_s in enumerate(times_s):
        recent.add(update(number, t_s), {"late": number})
    held, drops = recent.take({"late": 99})
    expected = [number for number, t_s in enumerate(times_s) if times_s[-1] - t_s < seconds]
    assert [one.frame.id for one in held] == expected
    assert drops == Counter({"late": expected[0] if expected else 99})
    assert recent.take({}) == ([], Counter())


@pytest.mark.parametrize("count", [1, 3, 10])
def test_it_takes_no_more_memory_than_it_may(count: int) -> None:
    recent = RecentUpdates(60.0, most_bytes=count * 48)
    for number in range(20):
        recent.add(update(number, number / 30), {})
    assert len(recent.take({})[0]) == count
