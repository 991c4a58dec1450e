"""Glasses and beards: where they sit, and what they leave free."""

from __future__ import annotations

import numpy as np

from training.rendering.appearance import make_actor, traits_of
from training.rendering.beard import beard_cover
from training.rendering.face_model import EYE, FaceModel


def wearer(model: FaceModel) -> int:
    """Somebody with glasses."""
    return next(subject for subject in range(100) if traits_of(subject).glasses != "none")


def test_glasses_sit_before_the_eyes_and_move_with_the_head_alone(model: FaceModel) -> None:
    actor = make_actor(model, wearer(model), 150.0)
    lens = actor.points[actor.mirror > 0]
    eyes = actor.points[np.unique(model.triangles[model.parts == EYE])]
    assert 0.5 < np.median(lens[:, 2]) - eyes[:, 2].max() < 3.0
    assert lens[:, 1].min() < eyes[:, 1].mean() < lens[:, 1].max()
    worn = len(actor.points) - len(actor.worn_normals)
    assert (actor.follow[worn:] == 1).all()
    assert worn > model.delta_vertices.max()
    np.testing.assert_allclose(np.linalg.norm(actor.worn_normals, axis=1), 1, atol=1e-5)


def test_full_beards_close_in_on_the_mouth_and_leave_the_cheeks_free() -> None:
    beard = next(
        traits_of(subject).beard
        for subject in range(200)
        if traits_of(subject).beard.style == "full" and traits_of(subject).beard.corners > 0.5
    )
    chin, corner, lip, cheek = (
        (0.0, -7.5, 10.5),
        (2.75, -3.6, 9.6),
        (0.0, -4.0, 11.3),
        (4.0, 1.0, 9),
    )
    cover = beard_cover(beard, np.array([chin, corner, lip, cheek], np.float32))
    assert (cover[:2] > 0.5).all()
    assert (cover[2:] < 0.1).all()
