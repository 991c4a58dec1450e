"""Actions of simulated people: strengths that are seen, units that move what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.annotations import expression
from training.annotations.expression import ACTION_UNITS, AnnotatedExpression, intensity_at
from training.rendering.face_model import FaceModel
from training.simulation import actions
from training.simulation.actions import (
    DISTRACTIONS,
    MACRO_MM,
    MICRO_MM,
    MIXES,
    REACH_MM,
    draw_event,
    reach_mm,
    unit_weights,
)


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_the_reach_of_a_unit_is_that_of_the_face_model(unit: str, model: FaceModel) -> None:
    moved_cm = np.zeros_like(model.neutral)
    for name, weight in unit_weights(unit, 0.0).items():
        shape = model.names.index(name)
        rows = slice(model.starts[shape], model.starts[shape + 1])
        moved_cm[model.delta_vertices[rows]] += weight * model.deltas[rows]
    skin = np.arange(len(moved_cm)) < 9409  # FaceKit's face, without eyes and teeth
    seen = np.hypot(*moved_cm[skin & (model.neutral[:, 2] > 2.0), :2].T)
    assert REACH_MM[unit] == pytest.approx(10 * np.sort(seen)[-300:].mean(), abs=0.06)


@given(st.integers(0, 2**31), st.sampled_from(["micro", "macro"]))
def test_every_expression_is_strong_enough_to_be_seen(seed: int, kind: str) -> None:
    event = draw_event(np.random.default_rng(seed), kind, 4.0)
    weakest, strongest = MICRO_MM if kind == "micro" else MACRO_MM
    shown_mm = event.intensity * reach_mm(event.units)
    assert shown_mm <= strongest + 1e-9
    assert shown_mm >= weakest - 1e-9 or event.intensity == 1.0
    assert 0.0 < event.intensity <= 1.0


def test_every_mix_is_made_of_known_units() -> None:
    for label, mixes in MIXES.items():
        assert label in actions.LABELS
        for units, odds in mixes:
            assert odds > 0
            assert unit_weights(units, 0.0)


def test_a_share_weakens_its_unit_alone() -> None:
    full, shared = unit_weights("4+12", 0.0), unit_weights("4*0.5+12", 0.0)
    assert shared["browDown_L"] == pytest.approx(0.5 * full["browDown_L"])
    assert shared["mouthSmile_L"] == full["mouthSmile_L"]
    assert reach_mm("4*0.5+7") == pytest.approx(2.5)


def test_a_side_moves_alone() -> None:
    assert {name[-1] for name in unit_weights("12L", 0.0)} == {"L"}


@pytest.mark.parametrize("kind", DISTRACTIONS)
def test_every_distraction_goes_on_in_a_long_clip(kind: str, model: FaceModel) -> None:
    t_s = np.arange(0.0, 60.0, 1 / 30)
    motion = actions.still(t_s, model.names)
    DISTRACTIONS[kind](np.random.default_rng(3), motion)
    rest = actions.still(t_s, model.names)
    fields = ("weights", "gaze_deg", "angles_deg", "offset_cm", "hand")
    moved = np.zeros(len(t_s), bool)
    for field in fields:
        moved |= (np.abs(getattr(motion, field) - getattr(rest, field)) > 1e-6).any(axis=1)
    for field in ("key_gain", "key_turn", "gain"):
        moved |= np.abs(getattr(motion, field) - getattr(rest, field)) > 1e-6
    for third in np.array_split(moved, 3):
        assert third.any()


def brow_raise(intensity: float = 0.6) -> AnnotatedExpression:
    return AnnotatedExpression(0.2, 0.4, 0.5, 0.7, "surprise", "micro", intensity, "1+2")


@given(st.integers(0, 2**31), st.sampled_from(expression.KINDS))
def test_intensity_rises_holds_and_falls(seed: int, kind: str) -> None:
    event = draw_event(np.random.default_rng(seed), kind, 4.0)
    assert event.onset_s < event.apex_s <= event.release_s < event.offset_s
    rise = intensity_at(event, np.linspace(event.onset_s, event.apex_s, 50))
    fall = intensity_at(event, np.linspace(event.release_s, event.offset_s, 50))
    assert (np.diff(rise) >= 0).all()
    assert (np.diff(fall) <= 0).all()
    hold = intensity_at(event, [event.apex_s, (event.apex_s + event.release_s) / 2])
    np.testing.assert_allclose(hold, event.intensity)
    outside = intensity_at(event, [event.onset_s - 1, event.onset_s, event.offset_s, 9.0])
    np.testing.assert_array_equal(outside, 0.0)


def test_intensity_is_half_in_the_middle_of_the_onset() -> None:
    assert intensity_at(brow_raise(0.6), 0.3) == pytest.approx(0.3)


@given(st.integers(0, 2**31))
def test_expressions_last_as_long_as_their_kind_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    micro, macro = (draw_event(rng, kind, 4.0) for kind in ("micro", "macro"))
    assert 0.15 <= micro.offset_s <= 0.5
    assert 0.8 <= macro.offset_s <= 4.0
    assert 0 < micro.intensity <= 1.0


def test_one_sided_units_move_one_side() -> None:
    assert set(unit_weights("14L", 0.0)) == {"mouthDimple_L", "mouthPress_L"}
    both = unit_weights("12", 0.2)
    assert both["mouthSmile_L"] > both["mouthSmile_R"] > 0


def test_all_units_are_shapes_of_the_face_model(model: FaceModel) -> None:
    for label in actions.LABELS:
        for units, _ in MIXES[label]:
            assert set(unit_weights(units, 0.0)) <= set(model.names)
