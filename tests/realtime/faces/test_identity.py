"""Identities that last from frame to frame."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.identity import FORGET_S, IdentityTracker, _assign
from support.meshes import RATES_HZ


def box(x: float, y: float = 200.0, size: float = 100.0) -> tuple[float, float, float, float]:
    return (x - size / 2, y - size / 2, x + size / 2, y + size / 2)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_two_faces_that_cross_keep_their_identity(rate_hz: float) -> None:
    tracker = IdentityTracker()
    rng = np.random.default_rng(0)
    start = tracker(0.0, [box(100), box(500)])
    for i in range(1, int(2 * rate_hz)):
        t_s = i / rate_hz
        places = [100 + 200 * t_s, 500 - 200 * t_s]
        # In the middle one covers the other, and only one of them is found.
        visible = [0] if abs(places[0] - places[1]) < 60 else [0, 1]
        order = rng.permutation(visible)
        ids = tracker(t_s, [box(places[k] + rng.normal(0, 1)) for k in order])
        assert ids == tuple(start[k] for k in order)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_face_survives_a_short_loss_on_the_move(rate_hz: float) -> None:
    tracker = IdentityTracker()
    for i in range(int(rate_hz)):
        (face_id,) = tracker(i / rate_hz, [box(100 + 150 * i / rate_hz)])
    for i in range(int(rate_hz), int(1.8 * rate_hz)):
        assert tracker(i / rate_hz, []) == ()
    assert tracker.known_ids == {face_id}
    assert tracker(1.8, [box(100 + 150 * 1.8)]) == (face_id,)


def test_a_face_away_for_longer_is_a_new_one() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [box(100)]) == (0,)
    assert tracker(FORGET_S, [box(100)]) == (0,)
    assert tracker(2 * FORGET_S + 0.01, [box(100)]) == (1,)
    assert tracker.known_ids == {1}


def test_an_implausible_jump_or_size_is_a_new_face() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [box(100)]) == (0,)
    assert tracker(1 / 30, [box(140)]) == (0,)
    assert tracker(2 / 30, [box(440)]) == (1,)
    assert tracker(3 / 30, [box(440, size=200)]) == (2,)
    assert tracker(4 / 30, [box(440, size=210)]) == (2,)


def test_time_that_runs_backwards_makes_all_faces_new() -> None:
    tracker = IdentityTracker()
    assert tracker(5.0, [box(100), box(400)]) == (0, 1)
    assert tracker(5.0, [box(400), box(100)]) == (1, 0)
    assert tracker(0.0, [box(100), box(400)]) == (2, 3)


def test_boxes_without_area_are_tracked() -> None:
    tracker = IdentityTracker()
    assert tracker(0.0, [(5.0, 5.0, 5.0, 5.0)]) == (0,)
    assert tracker(0.1, [(5.0, 5.0, 5.0, 5.0)]) == (0,)


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0, math.inf]), min_size=3, max_size=3),
        max_size=4,
    )
)
def test_the_assignment_is_the_best_there_is(costs: list[list[float]]) -> None:
    def value(columns: tuple[int | None, ...]) -> tuple[int, float]:
        pairs = [(row, column) for row, column in zip(costs, columns, strict=True)]
        return columns.count(None), sum(row[c] for row, c in pairs if c is not None)

    ways = (
        columns
        for columns in itertools.product((None, 0, 1, 2), repeat=len(costs))
        if len({c for c in columns if c is not None}) == len(columns) - columns.count(None)
        and all(c is None or row[c] < math.inf for row, c in zip(costs, columns, strict=True))
    )
    chosen = tuple(_assign(costs))
    assert value(chosen) == min(value(columns) for columns in ways)
    taken = [c for c in chosen if c is not None]
    assert len(set(taken)) == len(taken)
