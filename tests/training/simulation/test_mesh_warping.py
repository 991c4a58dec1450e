"""Streams straight from the mesh: the motion in them is that of the drawn face."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from realtime.preprocessing.motion import GRID, MotionSignal
from realtime.preprocessing.regions import extract_regions
from realtime.spec import MOTION_STRIDE
from realtime.types import Float32Array, Frame, UInt8Array
from training.annotations.expression import AnnotatedExpression
from training.preparation.prepare import read_sequences
from training.preparation.sequence_file import load_all_sequences
from training.recipe import load_recipe
from training.rendering.face_model import FaceModel
from training.simulation import mesh_warping
from training.simulation.mesh_warping import warped_faces
from training.simulation.scenario import ClipScenario, Episode
from training.simulation.scene import SceneRenderer
from training.simulation.sequences import sequence_scenario, simulate_sequences

SPEC = load_recipe("kilas").spec
RATE_HZ = SPEC.rate_hz


def script(units: str, label: str) -> ClipScenario:
    """A calm person who shows one expression, at 0.4 to 0.9 s."""
    event = AnnotatedExpression(0.4, 0.6, 0.7, 0.9, label, "micro", 0.5, units)
    return ClipScenario(
        name="clip.mp4",
        seed=(5,),
        subject=4,
        t_s=tuple(np.arange(0.0, 1.0, 1 / RATE_HZ)),
        events=(event,),
        idle=0.0,
        noise=0.5,
        face_px=165.0,
        size_wh=(240, 240),
    )


def apex_motion(faces: UInt8Array) -> Float32Array:
    """float32 [R, H, W, 2] at 0.65 s, when the expression is at its height."""
    stage = MotionSignal(SPEC)
    shown = [stage(face[np.newaxis]) for face in faces]
    apex = shown[round(0.65 * RATE_HZ)]
    assert apex is not None
    return apex


@pytest.mark.parametrize(
    ("units", "label"), [("1+2", "surprise"), ("4", "negative"), ("6+12", "positive")]
)
def test_it_moves_as_the_drawn_face_does(units: str, label: str, model: FaceModel) -> None:
    one = script(units, label)
    warped = apex_motion(warped_faces(one, model, RATE_HZ))
    stage = SceneRenderer(one, model)
    frames = (Frame(index, t_s, stage.frame(index)) for index, t_s in enumerate(one.t_s))
    (drawn_stream,) = read_sequences(frames, one.name, "4", SPEC)
    drawn = apex_motion(drawn_stream.faces)
    assert np.corrcoef(warped.ravel(), drawn.ravel())[0, 1] > 0.7
    size = (drawn**2).sum(axis=-1)
    moved = size >= np.quantile(size, 0.85)
    share = (warped[moved] * drawn[moved]).sum() / size[moved].sum()
    assert 0.5 < share < 2.0


def test_a_face_that_does_nothing_stands_still(model: FaceModel) -> None:
    still = dataclasses.replace(script("4", "negative"), events=(), noise=0.0)
    faces = warped_faces(still, model, RATE_HZ).astype(np.int16)
    # The landmarks scatter, but the alignment holds still: a jump would show at every edge.
    assert np.abs(np.diff(faces, axis=0)).mean() < 0.5


def test_no_hand_passes_before_a_face_that_is_only_moved(model: FaceModel) -> None:
    calm = dataclasses.replace(script("4", "negative"), t_s=(0.0, 0.3), events=())
    activities = {"distractions": ("hand",), "episodes": (Episode(0.0, 0.3, "hand"),)}
    with_hands = dataclasses.replace(calm, **activities)
    assert np.array_equal(
        warped_faces(with_hands, model, RATE_HZ), warped_faces(calm, model, RATE_HZ)
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_nodes_lie_where_the_regions_are_cut(axis: int, model: FaceModel) -> None:
    one = script("4", "negative")
    stage = SceneRenderer(one, model)
    face = mesh_warping._Face(stage, one, model.names)
    # A picture whose gray says where it is: the number of its column or row.
    ramp = np.indices(one.size_wh[::-1])[1 - axis].astype(np.uint8)
    cut = extract_regions(np.repeat(ramp[..., None], 3, 2), face.aligned, "single")[0]
    seen = cut.reshape(GRID, MOTION_STRIDE, GRID, MOTION_STRIDE).mean((1, 3))[face._shown]
    placed = stage.placed(0, at_rest=True)[face._corners, axis]
    # The stage counts from the picture's corner.
    away = (placed * face._weights).sum(1) - 0.5 - seen
    assert abs(away.mean()) < 0.1


def test_the_same_seed_makes_the_same_streams(face_model: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        simulate_sequences(
            tmp_path / folder, face_model, SPEC, clips=1, seed=2, seconds=3.0, warped=True
        )
    (first, *_), (again, *_) = (load_all_sequences([tmp_path / name], SPEC) for name in "ab")
    assert np.array_equal(first.faces, again.faces)
    assert first.events == sequence_scenario(2, 0, 3.0, 0).events
    assert first.subject == "simulated-0"
