"""Conditions under which a face is seen: head pose, size and light, and the hints about them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces import conditions
from realtime.faces.conditions import head_pose, measure, warnings
from realtime.types import Conditions, Face, Frame

GOOD = Conditions(0.0, 0.0, 0.0, 150.0, 120.0, 0.05)


def mesh(
    yaw_deg: float, pitch_deg: float, roll_deg: float, distance_cm: float = 60.0
) -> npt.NDArray[np.float32]:
    """A mean head before a camera, as a pinhole sees it: to the right, up, clockwise."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, -pitch_deg, -roll_deg))
    about_z = [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    about_x = [
        [1, 0, 0],
        [0, math.cos(pitch), -math.sin(pitch)],
        [0, math.sin(pitch), math.cos(pitch)],
    ]
    about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    head = conditions._HEAD @ (np.array(about_y) @ about_x @ about_z).T
    points_xy = np.full((468, 2), np.nan, np.float32)
    scale = 600 / (distance_cm - head[:, 2])
    points_xy[conditions._POINTS] = np.stack(
        [320 + scale * head[:, 0], 240 - scale * head[:, 1]], axis=1
    )
    return points_xy


@given(st.floats(-40, 40), st.floats(-30, 30), st.floats(-40, 40))
def test_the_pose_of_a_head_is_found(yaw_deg: float, pitch_deg: float, roll_deg: float) -> None:
    found = head_pose(mesh(yaw_deg, pitch_deg, roll_deg))
    # At 60 cm a camera's perspective is what scaled orthography leaves out.
    assert found == pytest.approx((yaw_deg, pitch_deg, roll_deg), abs=7)


def test_signs_are_those_of_the_picture() -> None:
    yaw_deg, pitch_deg, roll_deg = head_pose(mesh(0, 0, 0, 1e6))
    assert (yaw_deg, pitch_deg, roll_deg) == pytest.approx((0, 0, 0), abs=0.1)
    points_xy = mesh(0, 0, 0, 1e6)
    points_xy[4, 0] += 0.002  # the tip of the nose, to the right of the picture
    assert head_pose(points_xy)[0] > 1
    points_xy = mesh(0, 0, 0, 1e6)
    points_xy[4, 1] -= 0.002  # and up
    assert head_pose(points_xy)[1] > 1
    points_xy = mesh(0, 0, 0, 1e6)
    points_xy[263, 1] += 0.002  # the eye on the right, down
    assert head_pose(points_xy)[2] > 1


def face_in(image_bgr: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> Conditions:
    face = Face(0, 0, mesh(0, 0, 0), box, np.zeros((2, 3), np.float32))
    return measure(Frame(0, 0.0, image_bgr), face)


def test_light_is_measured_inside_of_the_face() -> None:
    image_bgr = np.full((200, 200, 3), 255, np.uint8)
    image_bgr[50:150, 50:100] = 60
    image_bgr[50:150, 100:150] = 120
    seen = face_in(image_bgr, (50.0, 50.0, 150.0, 150.0))
    assert seen.brightness == pytest.approx(90, abs=3)
    assert seen.unevenness == pytest.approx(60 / 180, abs=0.01)
    assert seen.face_px == 100


@pytest.mark.parametrize(
    "box", [(-80.0, -80.0, 40.0, 40.0), (150.0, 20.0, 260.0, 90.0), (300.0, 300.0, 400.0, 400.0)]
)
def test_a_face_at_the_edge_has_finite_conditions(box: tuple[float, float, float, float]) -> None:
    seen = face_in(np.full((200, 200, 3), 100, np.uint8), box)
    assert seen.brightness in (0.0, 100.0)
    assert seen.unevenness == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"yaw_deg": -30.0}, "turned"),
        ({"pitch_deg": 26.0}, "turned"),
        ({"face_px": 40.0}, "nearer"),
        ({"brightness": 30.0}, "more light"),
        ({"brightness": 240.0}, "less light"),
        ({"unevenness": 0.5}, "one side"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, float], said: str) -> None:
    assert warnings(GOOD) == ()
    (word,) = warnings(dataclasses.replace(GOOD, **change))
    assert said in word
