"""Records of the pipeline, with defaults for the parts that a test does not look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from realtime.spec import ModelSpec
from realtime.types import (
    Event,
    Face,
    Float32Array,
    Frame,
    MacroScores,
    Scores,
    State,
    UInt8Array,
    Update,
)

HANG_S = 60.0
"""Longer waits are taken for hanging; a busy machine needs a tenth of it."""

GRAY = np.full((48, 64, 3), 128, np.uint8)
"""A small picture without a face."""

NO_POINTS = np.zeros((478, 2), np.float32)
AHEAD = np.eye(4, dtype=np.float32)
"""A head that looks into the camera."""

NO_TRANSFORM = np.zeros((2, 3), np.float32)


def make_spec(**changes: Any) -> ModelSpec:
    """A specification of a small model of gray regions; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "name": "test",
        "version": "1",
        "architecture": "none",
        "labels": ("none", "positive", "surprise"),
        "rate_hz": 30.0,
        "frames": 4,
        "region_layout": "triple",
        "signal": "gray",
        "normalisation": "none",
    }
    return ModelSpec(**(fields | changes))


def make_frame(frame_id: int = 0, t_s: float = 0.0, image_bgr: UInt8Array = GRAY) -> Frame:
    return Frame(frame_id, t_s, image_bgr)


def make_face(
    face_id: int = 0,
    frame_id: int = 0,
    box_xyxy: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    transform: Float32Array = NO_TRANSFORM,
) -> Face:
    return Face(frame_id, face_id, NO_POINTS, box_xyxy, transform, AHEAD)


def make_scores(
    t_s: float, *probabilities: float, face_id: int = 0, latency_s: float = 0.0
) -> Scores:
    return Scores(face_id, t_s, probabilities, latency_s)


def make_update(
    frame_id: int = 0,
    t_s: float = 0.0,
    image_bgr: UInt8Array = GRAY,
    faces: Sequence[Face | int] = (),
    scores: Sequence[Scores] = (),
    events: Sequence[Event] = (),
    state: State = "neutral",
    macro: Sequence[MacroScores] = (),
) -> Update:
    """An update of one frame. `faces`: faces, or the ids of some; all are in one `state`."""
    found = tuple(make_face(face, frame_id) if isinstance(face, int) else face for face in faces)
    return Update(
        make_frame(frame_id, t_s, image_bgr),
        found,
        tuple(scores),
        tuple(events),
        {face.face_id: state for face in found},
        macro=tuple(macro),
    )


def wait_until(
    is_true: Callable[[], object], what: str = "the condition", within_s: float = HANG_S
) -> None:
    """Wait for a condition that another thread or process makes true."""
    give_up_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < give_up_s, f"{what} did not come true"
        time.sleep(0.01)
