"""Pictures of simulated people: they show what the script says, as a camera would."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from realtime.faces.conditions import head_pose
from realtime.faces.detector import FaceDetector
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame
from training.annotations.expression import AnnotatedExpression, intensity_at
from training.rendering.face_model import FaceModel
from training.simulation import actions
from training.simulation.scenario import ClipScenario, plan_clip
from training.simulation.scene import SceneRenderer, rotation


def brow_raise(intensity: float = 0.6) -> AnnotatedExpression:
    return AnnotatedExpression(0.2, 0.4, 0.5, 0.7, "surprise", "micro", intensity, "1+2")


def quiet_script(**changes: object) -> ClipScenario:
    """A person who does nothing, before a camera without grain."""
    script = ClipScenario(
        name="clip.mp4",
        seed=(5,),
        subject=3,
        t_s=tuple(np.arange(10) / 10.0),
        idle=0.0,
        noise=0.0,
        face_px=160.0,
        size_wh=(256, 256),
    )
    return dataclasses.replace(script, **changes)  # type: ignore[arg-type]


def turning(model: FaceModel, deg_per_s: float, exposure_s: float) -> npt.NDArray[np.uint8]:
    """The middle one of three frames of a head that turns evenly through the front view."""
    t_s = np.array([0.0, 0.1, 0.2])
    motion = actions.still(t_s, model.names)
    motion.angles_deg[:, 0] = deg_per_s * (t_s - 0.1)
    script = quiet_script(t_s=tuple(t_s), exposure_s=exposure_s)
    return SceneRenderer(script, model, motion).frame(1)


def test_a_fast_turn_is_blurred_about_its_middle_and_a_still_face_is_not(model: FaceModel) -> None:
    np.testing.assert_array_equal(turning(model, 1.0, 0.0), turning(model, 1.0, 0.03))
    sharp, blurred = (turning(model, 120.0, exposure_s) for exposure_s in (0.0, 0.03))
    edges = [
        np.abs(np.diff(p[64:192, 64:192].astype(float), axis=1)).mean() for p in (sharp, blurred)
    ]
    assert edges[1] < 0.85 * edges[0]
    late = turning(model, 120.0, 0.0).astype(float)
    away = [
        np.abs(np.roll(late, by, 1)[64:192, 64:192] - blurred[64:192, 64:192]).mean()
        for by in (-3, 0, 3)
    ]
    assert away[1] < min(away[0], away[2])


def picture_change(frames: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """Mean gray levels by which each frame differs from the first."""
    still = frames[0].astype(float)
    return np.array([np.abs(frame - still).mean() for frame in frames])


def test_the_picture_moves_exactly_while_the_event_lasts(model: FaceModel) -> None:
    event = brow_raise()
    script = quiet_script(t_s=tuple(np.arange(20) / 20.0), events=(event,))
    stage = SceneRenderer(script, model)
    change = picture_change([stage.frame(i) for i in range(len(script.t_s))])
    truth = intensity_at(event, script.t_s)
    np.testing.assert_array_equal(change[truth == 0], 0.0)
    assert (change[truth > 0.02] > 0).all()
    assert np.corrcoef(change, truth)[0, 1] > 0.97


def test_brows_rise_by_as_much_as_the_intensity_says(model: FaceModel) -> None:
    lifts = []
    for intensity in (0.0, 0.4, 0.8):
        script = quiet_script(
            t_s=(0.45,), events=(brow_raise(intensity),), face_px=220.0, subject=9
        )
        with FaceTracker(max_faces=1) as track:
            (face,) = track(Frame(0, 0.0, SceneRenderer(script, model).frame(0)))
        brows, eyes = face.points_xy[[105, 334], 1], face.points_xy[[33, 263], 1]
        lifts.append(float(np.mean(eyes - brows)))
    assert lifts[0] + 1.0 < lifts[1] < lifts[2] - 1.0


def test_speech_and_blinks_move_the_picture_without_an_event(model: FaceModel) -> None:
    script = quiet_script(distractions=("speech", "blinks"), idle=1.0)
    stage = SceneRenderer(script, model)
    assert picture_change([stage.frame(i) for i in range(4)])[1:].min() > 0


def test_the_live_tracker_finds_every_face(model: FaceModel) -> None:
    lost = []
    for index in range(8):
        script = plan_clip(77, index, 6.0, 0, 100)
        stage = SceneRenderer(script, model)
        with FaceTracker(max_faces=1) as track:
            for number in range(0, len(script.t_s), len(script.t_s) // 4):
                if not track(Frame(number, script.t_s[number], stage.frame(number))):
                    lost.append((index, number))
    assert lost == []


def test_head_poses_are_those_of_the_simulated_heads(model: FaceModel) -> None:
    random = np.random.default_rng(3)
    true_deg, found_deg = [], []
    with FaceDetector() as find_faces:
        for subject in range(30):
            pose_deg = random.uniform([-30, -22, -22], [30, 22, 22])
            motion = actions.still(np.zeros(1), model.names)
            motion.angles_deg[:] = pose_deg
            script = quiet_script(t_s=(0.0,), subject=20_000 + subject, size_wh=(320, 320))
            image_bgr = SceneRenderer(script, model, motion).frame(0)
            (face,) = find_faces(image_bgr)
            head = np.eye(4, dtype=np.float32)
            head[:3, :3] = rotation(*pose_deg)
            true_deg.append(head_pose(head))
            found_deg.append(head_pose(face.head))
    errors_deg = np.abs(np.subtract(found_deg, true_deg))
    assert (np.median(errors_deg, axis=0) < 3).all()
    for axis in range(3):
        true, found = np.array(true_deg)[:, axis], np.array(found_deg)[:, axis]
        assert np.corrcoef(true, found)[0, 1] > 0.97
