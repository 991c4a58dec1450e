"""The truth beside a simulated clip: it agrees with the picture, the script and the tracker."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.faces.landmarks import view_68
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame
from training.annotations.expression import AnnotatedExpression, intensity_at
from training.rendering.face_model import FaceModel
from training.simulation import actions, ground_truth, videos
from training.simulation.scenario import ClipScenario, plan_clip
from training.simulation.scene import SceneRenderer

BARE_SUBJECT = 9
"""Somebody without glasses and beard."""


def event(units: str, intensity: float = 0.6, skew: float = 0.0) -> AnnotatedExpression:
    return AnnotatedExpression(0.2, 0.4, 0.5, 0.7, "surprise", "micro", intensity, units, skew)


def quiet_script(*events: AnnotatedExpression, **changes: object) -> ClipScenario:
    """Someone at rest at 0 s and at the apex of the events at 0.45 s, without grain."""
    script = ClipScenario(
        name="clip.mp4",
        seed=(5,),
        subject=BARE_SUBJECT,
        t_s=(0.0, 0.45),
        events=events,
        idle=0.0,
        noise=0.0,
        face_px=220.0,
        size_wh=(320, 320),
    )
    return dataclasses.replace(script, **changes)  # type: ignore[arg-type]


def test_landmarks_lie_where_the_live_tracker_finds_them(model: FaceModel) -> None:
    stage = SceneRenderer(quiet_script(pose_deg=(6.0, 2.0, 4.0)), model)
    with FaceTracker(max_faces=1) as track:
        (face,) = track(Frame(0, 0.0, stage.frame(0)))
    found = view_68(face.points_xy)
    true = ground_truth.frame_truth(stage, 0).landmarks_xy
    away = np.linalg.norm(found - true, axis=1) / 220.0
    assert away[17:].max() < 0.06
    assert np.abs((found - true)[17:].mean(0)).max() < 0.015 * 220.0


def test_a_face_at_rest_has_no_flow_whatever_its_pose(model: FaceModel) -> None:
    stage = SceneRenderer(quiet_script(event("1+2"), pose_deg=(15.0, -5.0, 8.0)), model)
    np.testing.assert_array_equal(ground_truth.frame_truth(stage, 0).flow_xy, 0.0)
    assert np.abs(ground_truth.frame_truth(stage, 1).flow_xy).max() > 1.0


def test_raised_brows_flow_up_and_the_mouth_stays(model: FaceModel) -> None:
    flow_xy = ground_truth.frame_truth(SceneRenderer(quiet_script(event("1+2")), model), 1).flow_xy
    brows, mouth = flow_xy[3:7, 6:26, 1], flow_xy[23:, 8:24]
    assert brows.mean() < -1.0
    assert np.abs(mouth).max() < 0.3


@pytest.mark.parametrize("units", ["1+2", "12", "15+17"])
def test_flow_undoes_what_the_expression_did_to_the_picture(model: FaceModel, units: str) -> None:
    stage = SceneRenderer(quiet_script(event(units, 0.5), distance_cm=90.0), model)
    rest, moved = (stage.frame(i) for i in (0, 1))
    frame = ground_truth.frame_truth(stage, 1)

    def aligned(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        # Truth counts pixels from their corner, OpenCV from their centre.
        shift = frame.aligned.copy()
        shift[:, 2] += shift[:, :2].sum(1) * 0.5 - 0.5
        face = cv2.warpAffine(image, shift, (128, 128), flags=cv2.INTER_AREA)
        return cv2.cvtColor(face, cv2.COLOR_BGR2GRAY).astype(np.float32)

    grid = cv2.resize(frame.flow_xy, (128, 128), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    back = cv2.remap(aligned(moved), x + grid[..., 0], y + grid[..., 1], cv2.INTER_LINEAR)
    inside = (np.abs(y + grid[..., 1] - 64) < 62) & (np.abs(x + grid[..., 0] - 64) < 62)
    much = inside & (np.hypot(*np.moveaxis(grid, 2, 0)) > 0.5)
    before = np.abs(aligned(moved) - aligned(rest))[much].mean()
    after = np.abs(back - aligned(rest))[much].mean()
    assert after < 0.6 * before


@given(st.floats(0.1, 1.0), st.floats(-0.3, 0.3))
def test_intensities_are_those_of_the_script(intensity: float, skew: float) -> None:
    t_s = np.linspace(0, 1, 30)
    one = event("4+12L+26*0.5", intensity, skew)
    found = dict(zip(ground_truth.UNITS, ground_truth.unit_intensities([one], t_s).T, strict=True))
    course = intensity_at(one, t_s)
    np.testing.assert_allclose(found["4L"], np.clip(course * (1 + skew), 0, 1), atol=1e-6)
    np.testing.assert_allclose(found["4R"], np.clip(course * (1 - skew), 0, 1), atol=1e-6)
    np.testing.assert_allclose(found["26L"], 0.5 * course * (1 + skew), atol=1e-6)
    assert found["12L"].max() > 0
    assert found["12R"].max() == 0
    assert found["1L"].max() == 0


def test_units_of_all_expressions_have_a_column() -> None:
    for label in actions.LABELS:
        for units, _ in actions.MIXES[label]:
            assert ground_truth.unit_intensities([event(units)], [0.45]).max() > 0


def test_truth_is_written_beside_the_clip_and_made_up_for(face_model: Path, tmp_path: Path) -> None:
    options = {"clips": 1, "seed": 41, "seconds": 3.0, "subjects": 2}
    videos.simulate(tmp_path, face_model, **options)  # type: ignore[arg-type]
    video = (tmp_path / "clip_00000.mp4").read_bytes()
    assert not (tmp_path / "clip_00000.npz").exists()
    videos.simulate(tmp_path, face_model, truth=True, **options)  # type: ignore[arg-type]
    assert (tmp_path / "clip_00000.mp4").read_bytes() == video
    script = plan_clip(41, 0, 3.0, 0, 2)
    n = len(script.t_s)
    with np.load(tmp_path / "clip_00000.npz", allow_pickle=False) as data:
        shapes = {name: data[name].shape for name in data.files}
        np.testing.assert_array_equal(data["t_s"], script.t_s)
        assert data["flow_xy"].dtype == np.float16
        inside = (data["landmarks_xy"] > 0) & (data["landmarks_xy"] < script.size_wh)
        assert inside[:, 17:].mean() > 0.95
        names = len(data["shapes"])
    assert shapes == {
        "t_s": (n,),
        "shapes": (names,),
        "weights": (n, names),
        "units": (len(ground_truth.UNITS),),
        "unit_intensity": (n, len(ground_truth.UNITS)),
        "head_deg": (n, 3),
        "landmarks_xy": (n, 68, 2),
        "aligned": (n, 2, 3),
        "flow_xy": (n, 32, 32, 2),
    }
