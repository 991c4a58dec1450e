"""Conditions under which a face is seen: head pose, size and light, and the hints about them."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.conditions import head_pose, measure, warnings
from realtime.faces.detector import FaceDetector
from realtime.types import Conditions, Face, Float32Array, Frame
from support.builders import AHEAD, NO_POINTS, NO_TRANSFORM

GOOD = Conditions(0.0, 0.0, 0.0, 150.0, 120.0, 0.05)


def head(yaw_deg: float, pitch_deg: float, roll_deg: float, scale: float) -> Float32Array:
    """The pose of a head that is turned to the right, up and clockwise of the picture."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, -pitch_deg, -roll_deg))
    about_z = [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    about_x = [
        [1, 0, 0],
        [0, math.cos(pitch), -math.sin(pitch)],
        [0, math.sin(pitch), math.cos(pitch)],
    ]
    about_y = [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = scale * np.array(about_y) @ about_x @ about_z
    return pose


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-80, 80), st.floats(0.5, 2.0))
def test_angles_of_a_pose_are_those_that_made_it(
    yaw_deg: float, pitch_deg: float, roll_deg: float, scale: float
) -> None:
    found = head_pose(head(yaw_deg, pitch_deg, roll_deg, scale))
    assert found == pytest.approx((yaw_deg, pitch_deg, roll_deg), abs=0.01)


def test_signs_are_those_of_the_picture(astronaut_bgr: npt.NDArray[np.uint8]) -> None:
    def pose(image_bgr: npt.NDArray[np.uint8]) -> tuple[float, float, float]:
        with FaceDetector() as find_faces:
            (face,) = find_faces(np.ascontiguousarray(image_bgr))
        return head_pose(face.head)

    def leaning(angle_deg: float) -> npt.NDArray[np.uint8]:
        turn = cv2.getRotationMatrix2D((225.0, 125.0), angle_deg, 1.0)
        return np.asarray(cv2.warpAffine(astronaut_bgr, turn, (512, 512)), np.uint8)

    yaw_deg, pitch_deg, roll_deg = pose(astronaut_bgr)
    mirrored = pose(astronaut_bgr[:, ::-1])
    assert mirrored == pytest.approx((-yaw_deg, pitch_deg, -roll_deg), abs=4)
    assert pose(leaning(-15))[2] == pytest.approx(roll_deg + 15, abs=3)  # clockwise


def face_in(image_bgr: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> Conditions:
    face = Face(0, 0, NO_POINTS, box, NO_TRANSFORM, AHEAD)
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
