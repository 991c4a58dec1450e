"""Looks of simulated people: theirs at any size, and spread over people as they should be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.rendering.appearance import make_actor, traits_of
from training.rendering.beard import BEARDS
from training.rendering.face_model import FaceModel
from training.rendering.glasses import GLASSES


def test_a_person_looks_the_same_at_every_size(model: FaceModel) -> None:
    small, large = make_actor(model, 7, 100.0), make_actor(model, 7, 400.0)
    np.testing.assert_array_equal(small.points, large.points)
    assert (small.hair, small.skin) == (large.hair, large.skin)
    assert not np.array_equal(small.points, make_actor(model, 8, 100.0).points)


@given(st.integers(0, 2**31))
def test_any_row_of_people_covers_all_skin_tones_evenly(first_subject: int) -> None:
    tones = sorted(traits_of(first_subject + i).skin for i in range(30))
    assert np.diff([0.0, *tones, 1.0]).max() < 0.15


def test_a_quarter_wears_glasses_and_some_have_beards() -> None:
    people = [traits_of(subject) for subject in range(1200)]
    glasses = [looks.glasses for looks in people]
    beards = [looks.beard.style for looks in people]
    assert 0.2 < np.mean([style != "none" for style in glasses]) < 0.3
    assert 0.1 < np.mean([style != "none" for style in beards]) < 0.25
    assert set(glasses) == {"none", *GLASSES}
    assert set(beards) == {"none", *BEARDS}
