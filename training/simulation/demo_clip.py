"""Demo clip, for use without a camera: a simulated person with four micro-expressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.annotations import expression
from training.annotations.expression import AnnotatedExpression
from training.rendering.face_model import load_face_model
from training.simulation import actions
from training.simulation.actions import Motion
from training.simulation.scenario import TIME_BASE, ClipScenario
from training.simulation.scene import SceneRenderer
from training.simulation.videos import EVENT_FIELDS, event_rows, write_table, write_video

SECONDS = 14.0
FPS = 30.0

EVENTS = (
    AnnotatedExpression(2.0, 2.16, 2.24, 2.44, "surprise", "micro", 0.75, "1+2", 0.06),
    AnnotatedExpression(4.1, 4.27, 4.35, 4.56, "positive", "micro", 0.6, "6+12", -0.05),
    AnnotatedExpression(6.3, 6.46, 6.56, 6.76, "negative", "micro", 0.85, "4+7", 0.04),
    AnnotatedExpression(8.2, 8.75, 9.9, 10.6, "positive", "macro", 0.85, "6+12", 0.05),
    AnnotatedExpression(12.2, 12.37, 12.45, 12.66, "negative", "micro", 0.8, "15+17", 0.05),
)
"""Expressions of the clip: strong enough to be seen in slow motion, short enough to be missed at
full speed."""

_SUBJECT = 20_006  # far from the people that `simulate` numbers, so nobody trains on this face
_SKIN = 0.8596  # the tone of the clip that ships
_SEED = (10,)


def _motion(scenario: ClipScenario, names: tuple[str, ...]) -> Motion:
    """Move as someone who sits, blinks and sways a little, and speaks briefly at both ends."""
    rng = np.random.default_rng(_SEED)
    t = np.array(scenario.t_s)
    motion = actions.still(t, names)
    actions.sway(rng, motion, 0.6)
    for at in (1.1, 3.3, 5.4, 7.5, 11.3, 13.3):
        actions.blink(rng, motion, at)
    talk = actions.still(t, names)
    actions.speech(np.random.default_rng(8), talk)
    talks = expression.minimum_jerk((0.9 - t) / 0.3) + expression.minimum_jerk((t - 13.1) / 0.3)
    motion.weights[:] += 0.7 * talk.weights * talks[:, None]
    motion.angles_deg[:] += 0.7 * talk.angles_deg * talks[:, None] + scenario.pose_deg
    # The last second leads back to the first frame, because the clip is shown in a loop.
    back = expression.minimum_jerk((t - SECONDS + 1.0) / 1.0)[:, None]
    for course in (motion.angles_deg, motion.offset_cm, motion.gaze_deg, motion.weights):
        course += back * (course[0] - course)
    for event in scenario.events:
        actions.play_event(motion, event)
    np.clip(motion.weights, 0, 1, out=motion.weights)
    return motion


def write_demo(out: Path, face_model: Path) -> None:
    """Write `demo.mp4` (640 x 480, 30 frames a second, 14 s) and `events.csv` into `out`.

    Raises SourceError when `face_model` cannot be read."""
    ticks = np.round(np.arange(round(SECONDS * FPS)) / FPS / float(TIME_BASE)).astype(int)
    scenario = ClipScenario(
        name="demo.mp4",
        seed=_SEED,
        subject=_SUBJECT,
        t_s=tuple(float(tick * TIME_BASE) for tick in ticks),
        events=EVENTS,
        size_wh=(640, 480),
        fps=FPS,
        face_px=270.0,
        place=(0.5, 0.5),
        pose_deg=(-4.0, 1.0, 1.0),
        distance_cm=62.0,
        noise=0.5,
        blur_px=0.5,
        crf=17,
        gamma=2.4,
        skin=_SKIN,
    )
    model = load_face_model(face_model)
    out.mkdir(parents=True, exist_ok=True)
    scene = SceneRenderer(scenario, model, _motion(scenario, model.names), scale=2)
    write_video(out / scenario.name, scenario, scene, "slow")
    write_table(out / "events.csv", EVENT_FIELDS, event_rows(scenario))
