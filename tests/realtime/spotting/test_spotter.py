"""The spotter, by scripts of scores: no camera, no model."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.spec import SpottingSpec
from realtime.spotting.spotter import LONGEST_MACRO_S, Spotter
from realtime.types import Event, FloatArray, Scores, State

LABELS = ("none", "negative", "positive", "surprise")
SPOTTING = SpottingSpec(enter=0.6, leave=0.4, min_s=0.08, max_s=0.5)


def bump(onset_s: float, offset_s: float, peak: float = 1.0) -> Callable[[float], float]:
    """A probability that rises and falls along half a sine."""

    def curve(t_s: float) -> float:
        share = (t_s - onset_s) / (offset_s - onset_s)
        return peak * float(np.sin(np.pi * share)) if 0 <= share <= 1 else 0.0

    return curve


def run(
    curve: Callable[[float], float],
    *,
    label: str = "surprise",
    rate_hz: float = 30.0,
    end_s: float = 3.0,
    spotter: Spotter | None = None,
) -> tuple[list[Event], list[State]]:
    spotter = spotter or Spotter(LABELS, SPOTTING)
    events, states = [], []
    for t_s in np.arange(0.0, end_s, 1 / rate_hz):
        shown = curve(float(t_s))
        rest = {label: shown, "none": 1.0 - shown}
        scores = Scores(3, float(t_s), tuple(rest.get(name, 0.0) for name in LABELS), 0.0)
        event = spotter.update(scores)
        if event is not None:
            events.append(event)
        states.append(spotter.state)
    return events, states


@pytest.mark.parametrize("label", LABELS[1:])
def test_a_short_expression_is_an_event_with_its_times(label: str) -> None:
    (event,), states = run(bump(1.0, 1.4), label=label)
    assert event.label == label
    assert event.face_id == 3
    assert event.onset_s == pytest.approx(1.0 + 0.4 * np.arcsin(0.4) / np.pi, abs=0.01)
    assert event.offset_s == pytest.approx(1.4 - 0.4 * np.arcsin(0.4) / np.pi, abs=0.01)
    assert event.apex_s == pytest.approx(1.2, abs=0.02)
    assert 0.9 < event.score <= 1.0
    assert states[0] == "neutral"
    assert "expression" in states
    assert "macro" not in states
    assert states[-1] == "neutral"


@given(rate_hz=st.floats(12, 120), onset_s=st.floats(0.3, 1.5), length_s=st.floats(0.25, 0.55))
@settings(max_examples=80, deadline=None)
def test_what_is_spotted_does_not_depend_on_the_rate(
    rate_hz: float, onset_s: float, length_s: float
) -> None:
    events, _ = run(bump(onset_s, onset_s + length_s), rate_hz=rate_hz)
    assert len(events) == 1
    assert events[0].apex_s == pytest.approx(onset_s + length_s / 2, abs=1 / rate_hz)
    assert onset_s <= events[0].onset_s < events[0].apex_s < events[0].offset_s


def test_a_long_expression_is_macro_and_no_event() -> None:
    events, states = run(lambda t_s: 1.0 if 1.0 <= t_s < 2.5 else 0.0)
    assert events == []
    assert states[int(1.2 * 30)] == "expression"
    assert states[int(2.0 * 30)] == "macro"
    assert states[-1] == "neutral"


def test_a_flash_of_one_score_is_noise() -> None:
    events, _ = run(lambda t_s: 1.0 if abs(t_s - 1.0) < 0.01 else 0.0)
    assert events == []


def test_hysteresis_joins_what_flickers_between_the_thresholds() -> None:
    flicker = {30: 0.7, 31: 0.5, 32: 0.7, 33: 0.45, 34: 0.65}
    events, _ = run(lambda t_s: flicker.get(round(t_s * 30), 0.0))
    assert len(events) == 1


def test_below_enter_there_is_nothing() -> None:
    events, states = run(bump(1.0, 1.4, peak=0.59))
    assert events == []
    assert set(states) == {"neutral"}


def test_an_expression_between_two_labels_is_found_and_named_by_the_likelier_at_its_apex() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    # Between two labels, neither of which reaches `enter` by itself but in one flash.
    pairs = [(0.0, 0.0), (0.45, 0.1), (0.61, 0.34), *[(0.4, 0.55)] * 4, (0.1, 0.1), (0.0, 0.0)]
    events = []
    for number, (negative, positive) in enumerate(pairs):
        rest = 1 - negative - positive
        event = spotter.update(Scores(0, number / 15, (rest, negative, positive, 0.0), 0.0))
        events += [event] if event else []
    (event,) = events
    assert event.label == "positive"
    assert event.score == pytest.approx((0.34 + 4 * 0.55) / 5)
    assert 0 < event.onset_s < 1 / 15


def test_an_expression_is_never_named_none() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    shares = [(1, 0, 0, 0), *[(0.38, 0.21, 0.2, 0.21)] * 4, (1, 0, 0, 0)]
    events = [
        spotter.update(Scores(0, number / 15, share, 0.0)) for number, share in enumerate(shares)
    ]
    (event,) = [event for event in events if event is not None]
    assert event.label == "negative"
    assert event.score == pytest.approx(0.21)


@pytest.mark.parametrize("enter", [0.5, 0.8, 0.98])
def test_where_an_expression_enters_does_not_move_its_apex(enter: float) -> None:
    spotter = Spotter(LABELS, dataclasses.replace(SPOTTING, enter=enter))
    (event,), _ = run(bump(1.0, 1.4), rate_hz=100.0, spotter=spotter)
    assert event.apex_s == pytest.approx(1.2, abs=0.005)


def test_expressions_that_run_into_one_another_are_one() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    shares = [(1, 0, 0, 0), *[(0.1, 0.9, 0, 0)] * 5, *[(0.1, 0, 0, 0.9)] * 5, (1, 0, 0, 0)]
    for number, share in enumerate(shares):
        assert spotter.update(Scores(0, number / 15, share, 0.0)) is None
        if number == len(shares) - 2:
            assert spotter.state == "macro"


def test_an_expression_that_was_there_from_the_first_score_on_is_no_event() -> None:
    events, states = run(lambda t_s: 1.0 if t_s < 0.3 else 0.0)
    assert events == []
    assert states[0] == "macro"


def test_a_hole_in_the_scores_ends_an_expression_without_an_event() -> None:
    spotter = Spotter(LABELS, SPOTTING, max_gap_s=0.2)
    events = []
    for t_s, shown in [(0.0, 0), (0.05, 0.9), (0.1, 0.9), (0.45, 0.9), (0.5, 0.0), (0.55, 0.0)]:
        event = spotter.update(Scores(0, t_s, (1 - shown, shown, 0, 0), 0.0))
        events += [event] if event else []
    assert events == []
    assert spotter.state == "neutral"


def test_an_event_is_told_with_the_first_score_after_its_offset() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    curve = bump(1.0, 1.4)
    for t_s in np.arange(0.0, 3.0, 1 / 30):
        event = spotter.update(Scores(0, float(t_s), (1 - curve(t_s), curve(t_s), 0, 0), 0.0))
        if event is not None:
            assert t_s - event.offset_s <= 1 / 30
            return
    pytest.fail("no event")


def test_a_model_without_none_spots_nothing() -> None:
    spotter = Spotter(LABELS[1:], SPOTTING)
    for t_s in np.arange(0.0, 1.0, 1 / 30):
        assert spotter.update(Scores(0, float(t_s), (0.2, 0.2, 0.6), 0.0)) is None
    assert spotter.state == "expression"


def test_time_must_advance() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    spotter.update(Scores(0, 1.0, (1, 0, 0, 0), 0.0))
    with pytest.raises(ValueError, match="time must advance"):
        spotter.update(Scores(0, 0.9, (1, 0, 0, 0), 0.0))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=120), st.floats(10, 100))
@settings(max_examples=200, deadline=None)
def test_any_scores_give_ordered_events_of_allowed_length(
    shown: list[float], rate_hz: float
) -> None:
    spotter = Spotter(LABELS, SPOTTING)
    last_offset_s = -np.inf
    for number, p in enumerate(shown):
        event = spotter.update(Scores(0, number / rate_hz, (1 - p, 0.9 * p, 0.1 * p, 0.0), 0.0))
        if event is not None:
            assert last_offset_s <= event.onset_s <= event.apex_s <= event.offset_s
            assert SPOTTING.min_s <= event.offset_s - event.onset_s <= SPOTTING.max_s
            last_offset_s = event.offset_s


def motion_run(kept: float, *, max_residual: float = 0.5, lids: float = 0.0) -> list[Event]:
    """Events of an expression that is scored for 0.4 s and of whose motion `kept` stays.

    `lids`: motion of the lids' node from the apex on, which is not among those that count.
    """
    spotting = SpottingSpec(0.6, 0.4, 0.08, 0.5, max_residual)
    nodes = np.array([True, True, True, False]).reshape(1, 2, 2)
    spotter = Spotter(LABELS, spotting, nodes=nodes)
    curve = bump(1.0, 1.4)
    pattern = np.array([1.0, -0.5, 0.25, 0.0], np.float32).reshape(1, 2, 2, 1).repeat(2, axis=-1)

    def motion_at(t_s: float) -> np.ndarray:
        level = kept if t_s > 1.2 and curve(t_s) < kept else curve(t_s)
        motion = 0.3 + level * pattern  # 0.3: what was there before, and stays
        motion[0, 1, 1] = lids if t_s > 1.2 else 0.0
        return motion

    events = []
    for t_s in np.arange(0.0, 2.0, 1 / 30):
        motion = np.stack([motion_at(t_s + ahead / 30) for ahead in range(4)]).astype(np.float32)
        shown = curve(float(t_s))
        scores = Scores(0, float(t_s), (1 - shown, shown, 0, 0), 0.0, motion=motion)
        event = spotter.update(scores)
        events += [event] if event else []
    return events


def test_a_face_that_comes_back_is_a_micro_expression() -> None:
    (event,) = motion_run(kept=0.0)
    assert event.label == "negative"


def test_a_face_that_stays_as_it_became_is_none() -> None:
    assert motion_run(kept=0.9) == []


@pytest.mark.parametrize(("kept", "found"), [(0.3, 1), (0.7, 0)])
def test_how_much_may_stay_is_a_threshold(kept: float, found: int) -> None:
    assert len(motion_run(kept=kept, max_residual=0.5)) == found


def test_a_blink_over_the_offset_does_not_count() -> None:
    assert len(motion_run(kept=0.0, lids=5.0)) == 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_sensitivity_never_asks_for_more(low: float, high: float) -> None:
    low, high = sorted((low, high))
    strict, lenient = SPOTTING.at(low), SPOTTING.at(high)
    assert lenient.enter <= strict.enter
    assert lenient.leave <= strict.leave
    assert 0 < lenient.leave < lenient.enter < 1


@pytest.mark.parametrize(("sensitivity", "found"), [(0.0, 0), (0.5, 0), (0.7, 1), (1.0, 1)])
def test_what_is_less_clear_takes_more_sensitivity(sensitivity: float, found: int) -> None:
    spotting = SpottingSpec(enter=0.9, leave=0.3, min_s=0.08, max_s=0.5).at(sensitivity)
    events, _ = run(bump(1.0, 1.4, peak=0.8), spotter=Spotter(LABELS, spotting))
    assert len(events) == found


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_the_usual_sensitivity_changes_nothing(leave_share: float, enter: float) -> None:
    usual = SpottingSpec(enter=enter, leave=leave_share * enter)
    same = usual.at(0.5)
    assert same.enter == pytest.approx(usual.enter)
    assert same.leave == pytest.approx(usual.leave)


def test_an_expression_that_stays_for_minutes_is_not_kept_in_memory() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    motion = np.zeros((4, 1, 2, 2, 2), np.float32)
    kept = []
    for number in range(2000):
        shown = 0.0 if number < 3 else 0.9
        scores = Scores(0, number / 30, (1 - shown, shown, 0, 0), 0.0, motion=motion.copy())
        kept.append(weakref.ref(scores.motion))
        spotter.update(scores)
    del scores
    assert sum(reference() is not None for reference in kept) < 100


# Tuned on the way


def say(curve: Callable[[float], float], *, label: str = "surprise") -> Callable[[float], Scores]:
    """Scores of a face that shows `curve` of one class, at a moment."""

    def at(t_s: float) -> Scores:
        shown = curve(t_s)
        rest = {label: shown, "none": 1.0 - shown}
        return Scores(3, t_s, tuple(rest.get(name, 0.0) for name in LABELS), 0.0)

    return at


@pytest.mark.parametrize(("factor", "found"), [(0.125, 0), (1.0, 1), (8.0, 1)])
def test_the_odds_of_a_class_are_multiplied(factor: float, found: int) -> None:
    for label, own in (("surprise", found), ("positive", 1)):
        spotter = Spotter(LABELS, SPOTTING)
        spotter.tune(SPOTTING, np.array([1.0, 1.0, 1.0, factor]))
        events, _ = run(bump(1.0, 1.4, peak=0.9), label=label, spotter=spotter)
        assert len(events) == own


@given(shown=st.floats(0.0, 0.99), share=st.floats(0, 1), factor=st.floats(0.125, 8))
def test_weighting_is_that_of_odds_and_of_the_shares_of_the_classes(
    shown: float, share: float, factor: float
) -> None:
    probabilities = np.array([1 - shown, 0.0, (1 - share) * shown, share * shown])
    factors = np.array([1.0, 1.0, 1.0, factor])
    weighted = probabilities * factors
    weighted /= weighted.sum()
    spotter = Spotter(LABELS, SPOTTING)
    spotter.tune(SPOTTING, factors)
    height = spotter._height(Scores(0, 0.0, tuple(probabilities.tolist()), 0.0))
    assert height == pytest.approx(1 - weighted[0], abs=1e-9)


def test_what_a_neutral_face_always_shows_is_not_multiplied() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    spotter.baseline = 0.3
    spotter.tune(SPOTTING, np.array([1.0, 8.0, 8.0, 8.0]))
    events, states = run(lambda t_s: 0.3, spotter=spotter)
    assert events == []
    assert set(states) == {"neutral"}


def test_the_likelier_by_the_odds_names_the_event_and_its_score_is_the_models_own() -> None:
    spotter = Spotter(LABELS, SPOTTING)
    spotter.tune(SPOTTING, np.array([1.0, 4.0, 1.0, 1.0]))
    events = []
    for number, height in enumerate([0.0, 0.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.0, 0.0]):
        probabilities = (1 - height, height / 3, 2 * height / 3, 0.0)
        event = spotter.update(Scores(0, number / 15, probabilities, 0.0))
        events += [event] if event else []
    (event,) = events
    assert event.label == "negative"
    assert event.score == pytest.approx(0.3)


def test_an_expression_in_progress_goes_on_when_thresholds_move() -> None:
    for moved in (SPOTTING.at(0.0), SPOTTING.at(1.0)):
        spotter = Spotter(LABELS, SPOTTING)
        at = say(bump(1.0, 1.4))
        events = []
        for number in range(60):
            if number == 36:  # at the apex
                spotter.tune(moved, None)
            event = spotter.update(at(number / 30))
            events += [event] if event else []
        (event,) = events
        assert event.onset_s == pytest.approx(1.0 + 0.4 * np.arcsin(0.4) / np.pi, abs=0.01)
        crossing_s = 0.4 * np.arcsin(moved.leave) / np.pi
        assert event.offset_s == pytest.approx(1.4 - crossing_s, abs=0.02)


@given(
    heights=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    leaves=st.lists(st.floats(0.05, 0.9), min_size=40, max_size=40),
)
def test_whatever_moves_when_times_are_in_order(heights: list[float], leaves: list[float]) -> None:
    spotter = Spotter(LABELS, SPOTTING)
    for number, (height, leave) in enumerate(zip(heights, leaves, strict=False)):
        spotter.tune(dataclasses.replace(SPOTTING, enter=leave + 0.05, leave=leave), None)
        event = spotter.update(say(lambda _, height=height: height)(number / 30))  # type: ignore[misc]
        if event is not None:
            assert 0 <= event.onset_s <= event.apex_s <= event.offset_s <= number / 30


def test_what_a_moved_threshold_begins_or_ends_is_no_event() -> None:
    low = dataclasses.replace(SPOTTING, enter=0.3, leave=0.2)
    for levels, moves in (
        ([0.0] * 10 + [0.35] * 20 + [0.0] * 10, {15: low}),  # begins when the face has begun long
        ([0.0] * 10 + [0.35] * 20 + [0.0] * 10, {0: low, 20: SPOTTING}),  # ends before the face
    ):
        spotter = Spotter(LABELS, SPOTTING)
        for number, level in enumerate(levels):
            if number in moves:
                spotter.tune(moves[number], None)
            assert spotter.update(say(lambda _, level=level: level)(number / 30)) is None  # type: ignore[misc]


# Macro-expressions

CALM = np.array([0.1, 0.9])
SMILE = np.array([0.95, 0.05])


class Shown:
    """A face's macro-expression: a script of scores over time, of a smile and of nothing.
    `every_s`: how often it is scored; 0: at every moment."""

    neutral: int | None = 1

    def __init__(self, curve: Callable[[float], float], every_s: float = 0.0) -> None:
        self._curve = curve
        self._every_s = every_s
        self.now_s = 0.0

    def _at(self, t_s: float) -> FloatArray:
        return CALM + self._curve(t_s) * (SMILE - CALM)

    @property
    def latest(self) -> tuple[float, FloatArray]:
        scored_s = self.now_s - (self.now_s % self._every_s if self._every_s else 0.0)
        return scored_s, self._at(scored_s)

    def mean(self, start_s: float, end_s: float) -> FloatArray | None:
        times_s = [t_s for t_s in np.arange(0.0, self.now_s, 1 / 30) if start_s <= t_s <= end_s]
        return np.mean([self._at(t_s) for t_s in times_s], axis=0) if times_s else None


def run_with(
    shown: Shown, curve: Callable[[float], float], end_s: float = 5.0, late_s: float = 0.2
) -> tuple[list[Event], list[State]]:
    """As `run`, with scores that are `late_s` behind the frames."""
    spotter = Spotter(LABELS, SPOTTING, macro=shown, lookahead_s=late_s)
    events, states = [], []
    for t_s in np.arange(0.0, end_s, 1 / 30):
        shown.now_s = t_s + late_s
        probabilities = (1.0 - curve(t_s), 0.0, curve(t_s), 0.0)
        event = spotter.update(Scores(3, float(t_s), probabilities, 0.0))
        if event is not None:
            events.append(event)
        states.append(spotter.state)
    return events, states


def at(states: list[State], t_s: float) -> State:
    return states[round(t_s * 30)]


def test_the_beginning_and_the_end_of_a_slow_smile_are_no_micro_expressions() -> None:
    def moves(t_s: float) -> float:
        return max(bump(1.0, 1.4)(t_s), bump(3.0, 3.4)(t_s))

    smile = Shown(lambda t_s: float(np.clip(min((t_s - 1.0) / 0.4, (3.4 - t_s) / 0.4), 0, 1)))
    assert len(run(moves, label="positive", end_s=5.0)[0]) == 2
    events, states = run_with(smile, moves)
    assert events == []
    assert at(states, 0.9) == "neutral"
    assert {at(states, t_s) for t_s in (1.5, 2.0, 2.9)} == {"macro"}
    assert {at(states, t_s) for t_s in (3.7, 4.5)} == {"neutral"}


def test_a_smile_that_comes_slowly_goes_on_when_its_motion_has_faded() -> None:
    """The model's baseline gets used to it; the end of it moves as long."""

    def moves(t_s: float) -> float:
        return max(bump(1.0, 1.8)(t_s), bump(3.5, 4.3)(t_s))

    smile = Shown(lambda t_s: float(np.clip(min((t_s - 1.0) / 0.8, (4.3 - t_s) / 0.8), 0, 1)))
    events, states = run_with(smile, moves, end_s=6.0)
    assert events == []
    assert {at(states, t_s) for t_s in (1.9, 2.5, 3.4)} == {"macro"}
    assert {at(states, t_s) for t_s in (4.6, 5.5)} == {"neutral"}


def test_what_moves_long_and_changes_nothing_leaves_a_neutral_face() -> None:
    _, states = run_with(Shown(lambda t_s: 0.0), bump(1.0, 1.8))
    assert at(states, 1.65) == "macro"
    assert at(states, 2.0) == "neutral"


@pytest.mark.parametrize("every_s", [0.3, 0.5, 0.7])
def test_scores_from_before_a_smile_do_not_say_that_it_is_over(every_s: float) -> None:
    for onset_s in np.arange(1.0, 1.7, 0.05).tolist():
        smile = Shown(lambda t_s, onset_s=onset_s: float(t_s >= onset_s + 0.05), every_s)  # type: ignore[misc]
        events, states = run_with(smile, bump(onset_s, onset_s + 0.15))
        assert events == []
        assert {at(states, onset_s + after_s) for after_s in (0.3, 1.0, 2.0)} == {"macro"}


def test_a_micro_expression_comes_back_also_where_the_whole_face_shows_it() -> None:
    (event,), states = run_with(Shown(bump(1.0, 1.4)), bump(1.0, 1.4))
    assert event.label == "positive"
    assert "macro" not in states


def test_a_micro_expression_on_a_face_that_smiles_all_the_while_is_one() -> None:
    (_event,), states = run_with(Shown(lambda t_s: 1.0), bump(1.0, 1.4))
    assert "macro" not in states


def test_a_micro_expression_within_a_smile_is_told_and_the_smile_goes_on() -> None:
    def moves(t_s: float) -> float:
        return max(bump(1.0, 1.4)(t_s), bump(2.5, 2.8)(t_s))

    (event,), states = run_with(Shown(lambda t_s: float(t_s >= 1.2)), moves)
    assert event.onset_s > 2.5
    assert at(states, 2.65) == "expression"
    assert {at(states, t_s) for t_s in (2.0, 3.0, 4.5)} == {"macro"}


@pytest.mark.parametrize(("share", "found"), [(0.3, 1), (0.9, 0)])
def test_a_face_has_to_show_something_quite_different_to_have_turned(
    share: float, found: int
) -> None:
    events, _ = run_with(Shown(lambda t_s: share * (t_s >= 1.2)), bump(1.0, 1.4))
    assert len(events) == found


def test_where_the_whole_face_was_not_seen_before_nothing_is_refused() -> None:
    class Unseen(Shown):
        def mean(self, start_s: float, end_s: float) -> FloatArray | None:
            return super().mean(start_s, end_s) if start_s > 1.2 else None

    events, _ = run_with(Unseen(lambda t_s: float(t_s >= 1.2)), bump(1.0, 1.4))
    assert len(events) == 1


def short_runs(*onsets_s: float) -> Callable[[float], float]:
    return lambda t_s: max(bump(onset_s, onset_s + 0.4)(t_s) for onset_s in onsets_s)


def between(start_s: float, end_s: float) -> Callable[[float], float]:
    return lambda t_s: float(start_s <= t_s < end_s)


@pytest.mark.parametrize("begins_s", [0.0, 1.1])
def test_the_end_of_a_smile_whose_beginning_was_not_told_begins_nothing(begins_s: float) -> None:
    """It was there when the face was first seen, or came so slowly that no event was due."""
    events, states = run_with(Shown(between(begins_s, 3.2)), short_runs(3.0))
    assert events == []
    assert at(states, 4.0) == "neutral"


def test_a_second_micro_expression_soon_after_the_first_is_told() -> None:
    runs = short_runs(1.0, 1.6)
    events, states = run_with(Shown(lambda t_s: min(1.0, 2 * runs(t_s))), runs)
    assert len(events) == 2
    assert at(states, 3.0) == "neutral"


@pytest.mark.parametrize("late_s", [-0.1, 0.1])
def test_what_the_whole_face_shows_may_come_a_little_earlier_or_later(late_s: float) -> None:
    shown = Shown(lambda t_s: float(1.05 + late_s <= t_s < 1.35 + late_s))
    assert len(run_with(shown, bump(1.0, 1.4))[0]) == 1


@pytest.mark.parametrize("neutral", [None, 1])
def test_a_look_that_stays_is_a_macro_expression_for_a_while(neutral: int | None) -> None:
    shown = Shown(lambda t_s: float(t_s >= 1.2))
    shown.neutral = neutral
    events, states = run_with(shown, bump(1.0, 1.4), end_s=8.0)
    assert events == []
    assert at(states, 4.5) == "macro"
    assert at(states, 1.1 + LONGEST_MACRO_S + 0.3) == "neutral"


def test_a_smile_is_forgotten_with_the_face() -> None:
    shown = Shown(lambda t_s: float(t_s >= 1.2))
    spotter = Spotter(LABELS, SPOTTING, macro=shown, lookahead_s=0.2)
    curve = bump(1.0, 1.4)
    for t_s in np.arange(0.0, 2.0, 1 / 30):
        shown.now_s = t_s + 0.2
        spotter.update(Scores(3, float(t_s), (1.0 - curve(t_s), 0.0, curve(t_s), 0.0), 0.0))
    assert spotter.state == "macro"
    spotter.restart()
    spotter.update(Scores(3, 2.1, (1.0, 0.0, 0.0, 0.0), 0.0))
    assert spotter.state == "neutral"
