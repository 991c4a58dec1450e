"""Sensitivity of the spotting: the meaning of settings, and what a session states of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from realtime.spec import ModelSpec, SpottingSpec
from realtime.spotting.sensitivity import (
    CHANGES_S,
    MAX_CHANGES,
    Change,
    Sensitivity,
    add_change,
    changes_to_json,
)

SPEC = ModelSpec(
    name="test",
    version="1",
    architecture="none",
    labels=("none", "negative", "positive"),
    rate_hz=30.0,
    frames=4,
    region_layout="triple",
    signal="gray",
    normalisation="none",
    spotting=SpottingSpec(enter=0.98, leave=0.3),
)


def test_a_class_counts_from_an_eighth_to_eight_times_its_odds() -> None:
    chosen = Sensitivity.of(SPEC, 0.5, {"negative": 0.0, "positive": 1.0})
    assert chosen.factors(SPEC.labels) == pytest.approx(np.array([1, 1 / 8, 8]))
    chosen = Sensitivity.of(SPEC, 0.5, {"positive": 0.75})
    assert chosen.factors(SPEC.labels) == pytest.approx(np.array([1, 1, 8**0.5]))
    assert chosen.as_settings()["classes"] == {"negative": 0.5, "positive": 0.75}


def test_what_is_as_the_model_says_changes_and_states_nothing() -> None:
    for classes in ({}, {"negative": 0.5}, {"negative": 0.5, "positive": 0.5}):
        chosen = Sensitivity.of(SPEC, 0.5, classes)
        assert chosen == Sensitivity()
        assert chosen.factors(SPEC.labels) is None
        assert chosen.as_settings() == {"sensitivity": 0.5}
        assert chosen.thresholds(SPEC).enter == pytest.approx(0.98)


@pytest.mark.parametrize(
    ("overall", "classes"),
    [
        *((overall, {}) for overall in (-0.1, 1.1, float("nan"))),
        *((0.5, {"positive": share}) for share in (-0.1, 1.1, float("nan"))),
        *((0.5, {label: 0.7}) for label in ("none", "anger", "")),
    ],
)
def test_other_numbers_and_labels_are_refused(overall: float, classes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"0 to 1|no class"):
        Sensitivity.of(SPEC, overall, classes)


def changed(*moves: tuple[float, float]) -> tuple[Change, ...]:
    """Changes at given times to given sensitivities."""
    changes: tuple[Change, ...] = ()
    for t_s, overall in moves:
        chosen = Sensitivity.of(SPEC, overall, {})
        changes = add_change(changes, t_s, chosen, chosen.thresholds(SPEC))
    return changes


def test_each_change_since_the_beginning_is_stated() -> None:
    first, second = changes_to_json(changed((1.0, 0.9), (13.0, 0.6), (15.5, 0.7)), 10.0)
    assert (first["from_s"], first["sensitivity"]) == (3.0, 0.6)
    assert (second["from_s"], second["sensitivity"]) == (5.5, 0.7)
    assert first["spotting"]["enter"] == pytest.approx(SPEC.spotting.at(0.6).enter)
    assert "classes" not in first


def test_of_a_slider_that_is_moved_the_last_in_each_second_is_stated() -> None:
    moves = [(10 + number / 30, number / 100) for number in range(90)]
    stated = changes_to_json(changed(*moves), 10.0)
    assert [one["sensitivity"] for one in stated] == [0.29, 0.59, 0.89]
    for one, later in pairwise(stated):
        assert later["from_s"] - one["from_s"] == pytest.approx(CHANGES_S, abs=1e-5)
    # Also if the recording began while it was moved.
    assert [one["sensitivity"] for one in changes_to_json(changed(*moves), 10.9)] == [
        0.29,
        0.59,
        0.89,
    ]


def test_a_slider_that_is_moved_without_end_fills_no_memory() -> None:
    count = MAX_CHANGES + 50
    changes = changed(*((CHANGES_S * k, k % 2) for k in range(count)))
    assert len(changes) == MAX_CHANGES
    assert changes[-1].from_s == CHANGES_S * (count - 1)
