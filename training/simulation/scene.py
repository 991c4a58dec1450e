"""Scene of a simulated clip: the person, the light, and the camera that takes the pictures."""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, UInt8Array
from training.rendering import draw
from training.rendering.appearance import Actor, make_actor
from training.rendering.background import make_background
from training.rendering.face_model import FACE, FACE_HEIGHT_CM, FaceModel, spherical_harmonics
from training.rendering.kernels import LightArrays, PoseArrays
from training.simulation.actions import Motion
from training.simulation.camera import VirtualCamera, lighting, supersampling
from training.simulation.scenario import ClipScenario, perform

BLUR_FROM_PX = 0.5
BLUR_STEP_PX = 1.5
MOST_EXPOSURES = 5
"""Motion blur: a frame in which the face moves by `BLUR_FROM_PX` or more is the mean of at most
`MOST_EXPOSURES` pictures. They lie about `BLUR_STEP_PX` apart, so that the blur of the lens joins
them."""

CENTRE_CM = np.array([0.0, 2.6, 7.0])
"""Middle of the face in the model's frame."""
_FRONT_CM = 3.0
"""Least z of points of the front of the face, on the mean face."""
_SPARSE = 23
"""Step between the front points of the face that `_Carriage` follows: every 23rd."""
NECK_CM = np.array([0.0, -6.0, -1.5])
"""Point that the head turns about, in the model's frame."""


class Scene(Protocol):
    """Source of a clip's frames."""

    def frame(self, index: int) -> UInt8Array:
        """Return uint8 BGR [H, W, 3] of frame `index`."""


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """Return the rotation float64 [3, 3] of a head.

    Positive yaw turns the face to the picture's right, positive pitch looks up."""
    y, p, r = np.radians([yaw_deg, -pitch_deg, roll_deg])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    turned: npt.NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


def moment(motion: Motion, t_s: float) -> Motion:
    """Return a row of a motion at any time; between frames it is interpolated."""
    after = int(np.clip(np.searchsorted(motion.t_s, t_s), 1, max(len(motion.t_s) - 1, 1)))
    before = after - 1
    after = min(after, len(motion.t_s) - 1)
    span = motion.t_s[after] - motion.t_s[before]
    part = float(np.clip((t_s - motion.t_s[before]) / span, 0, 1)) if span else 0.0

    def at(course: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Interpolate a course [N, ...] at the time: [1, ...]."""
        row: npt.NDArray[np.float64] = course[before] + part * (course[after] - course[before])
        return row[None]

    return Motion(
        t_s=np.array([t_s]),
        names=motion.names,
        weights=at(motion.weights),
        gaze_deg=at(motion.gaze_deg),
        angles_deg=at(motion.angles_deg),
        offset_cm=at(motion.offset_cm),
        key_gain=at(motion.key_gain),
        key_turn=at(motion.key_turn),
        gain=at(motion.gain),
        hand=at(motion.hand),
    )


class _Carriage:
    """Some points of a face, followed at a fraction of the cost of drawing it."""

    def __init__(self, actor: Actor, model: FaceModel) -> None:
        skin = np.unique(model.triangles[model.parts == FACE])
        chosen = skin[model.neutral[skin, 2] > _FRONT_CM][::_SPARSE]
        row = np.full(len(model.neutral), -1)
        row[chosen] = np.arange(len(chosen))
        shape = np.repeat(np.arange(len(model.names)), np.diff(model.starts))
        mine = row[model.delta_vertices] >= 0
        self._base = actor.points[chosen].astype(np.float64)
        self._deltas = np.zeros((len(model.names), len(chosen), 3))
        self._deltas[shape[mine], row[model.delta_vertices[mine]]] = model.deltas[mine]

    def points_xy(
        self,
        weights: npt.NDArray[np.float64],
        head: npt.NDArray[np.float64],
        lens: Float32Array,
    ) -> npt.NDArray[np.float64]:
        """Return the points in the picture, float64 [S, 2].

        `weights` [K]; `head` [3, 4] and `lens`: as in `PoseArrays`."""
        # Not tensordot: it wakes BLAS's threads, for a product that takes a few microseconds.
        points = self._base + np.einsum("k,kpc->pc", weights, self._deltas)
        seen = points @ head[:, :3].T + head[:, 3]
        points_xy: npt.NDArray[np.float64] = lens[1:] + lens[0] * seen[:, :2] / -seen[:, 2:] * (
            1,
            -1,
        )
        return points_xy


class SceneRenderer:
    """Renderer of a clip: the person, the light and the camera. Not for several threads.

    `motion`: movements of the person, by default those of the scenario; `scale`: rendered pixels
    for each pixel of the picture, 1, 4/3 or 2, by default what suits the size of the face.

    Example:
        scene = SceneRenderer(plan_clip(0, 3, 6.0, 0, 10), load_face_model(Path("face.npz")))
        image_bgr = scene.frame(0)
    """

    def __init__(
        self,
        scenario: ClipScenario,
        model: FaceModel,
        motion: Motion | None = None,
        scale: float | None = None,
    ) -> None:
        rng = np.random.default_rng([*scenario.seed, 3])
        scale = scale or supersampling(scenario.face_px)
        self._size_wh = (round(scenario.size_wh[0] * scale), round(scenario.size_wh[1] * scale))
        self._model = model
        self.actor = make_actor(model, scenario.subject, scenario.face_px * scale, scenario.skin)
        self._background = make_background(rng, self._size_wh)
        self._light = lighting(rng)
        self.motion = motion or perform(scenario, model.names)
        self._camera = VirtualCamera(scenario, rng)
        focal = scenario.face_px * scale * scenario.distance_cm / FACE_HEIGHT_CM
        self._lens = np.array(
            [focal, scenario.place[0] * self._size_wh[0], scenario.place[1] * self._size_wh[1]],
            np.float32,
        )
        self._distance_cm = scenario.distance_cm
        self._body_turn = rotation(0.4 * scenario.pose_deg[0], 0, 0.3 * scenario.pose_deg[2])
        self._canvas = draw.Canvas(len(self.actor.points), self._size_wh)
        self._exposure_s = scenario.exposure_s
        self._scale = scale
        self._carriage = _Carriage(self.actor, model)

    def frame(self, index: int) -> UInt8Array:
        """Return uint8 BGR [H, W, 3] of frame `index`."""
        motion = self.motion
        blur_px = self._blur_px(index) if self._exposure_s else 0.0
        if blur_px < BLUR_FROM_PX:
            linear = self._linear(moment(motion, motion.t_s[index]))
        else:
            count = min(MOST_EXPOSURES, 1 + math.ceil(blur_px / BLUR_STEP_PX))
            linear = np.zeros_like(self._background)
            for part in (np.arange(count) + 0.5) / count - 0.5:
                at_s = motion.t_s[index] + part * self._exposure_s
                linear += self._linear(moment(motion, at_s))
            linear /= count
        return self._camera.expose(linear, float(motion.gain[index]))

    def placed(self, index: int, at_rest: bool = False) -> Float32Array:
        """Return where all points of the person are in frame `index`, float32 [V, 3].

        x, y are in pixels of the picture, from its upper left corner, and depth in cm. `at_rest`:
        with the same pose of the head, without any expression, speech, blink or gaze."""
        now = moment(self.motion, self.motion.t_s[index])
        head, body = self._poses(now)
        xyz = draw.pose(
            self._canvas,
            self.actor,
            self._model,
            (now.weights[0] * (not at_rest)).astype(np.float32),
            np.radians(now.gaze_deg[0]) * (not at_rest),
            PoseArrays(head.astype(np.float32), body.astype(np.float32), self._lens),
        ).copy()
        xyz[:, :2] = (xyz[:, :2] + 0.5) / self._scale
        return xyz

    def _blur_px(self, index: int) -> float:
        """Return the pixels by which the face moves most while the frame is exposed."""
        ends = []
        for part in (-0.5, 0.5):
            now = moment(self.motion, self.motion.t_s[index] + part * self._exposure_s)
            head, _ = self._poses(now)
            ends.append(self._carriage.points_xy(now.weights[0], head, self._lens))
        return float(np.hypot(*(ends[1] - ends[0]).T).max()) / self._scale

    def _poses(self, now: Motion) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the rigid motions [3, 4] of head and body at a moment."""
        turn = rotation(*now.angles_deg[0])
        where = now.offset_cm[0] + np.array([0.0, 0.0, -self._distance_cm])
        # The middle of an upright face is where the camera looks; the neck is the joint.
        joint = NECK_CM - CENTRE_CM + where
        head = np.concatenate([turn, (joint - turn @ NECK_CM)[:, None]], 1)
        body = np.concatenate([self._body_turn, (joint - self._body_turn @ NECK_CM)[:, None]], 1)
        return head, body

    def _linear(self, now: Motion) -> Float32Array:
        """Draw the linear picture of a moment; it lives until the next picture."""
        head, body = self._poses(now)
        directions = self._light.directions.copy()
        c, s = np.cos(now.key_turn[0]), np.sin(now.key_turn[0])
        x, z = directions[0, 0], directions[0, 2]
        directions[0, 0], directions[0, 2] = c * x + s * z, c * z - s * x
        colours = self._light.colours.copy()
        colours[0] *= now.key_gain[0]
        basis = spherical_harmonics((directions @ head[:, :3]).astype(np.float32))
        linear = draw.draw(
            self._canvas,
            self.actor,
            self._model,
            now.weights[0].astype(np.float32),
            np.radians(now.gaze_deg[0]),
            PoseArrays(head.astype(np.float32), body.astype(np.float32), self._lens),
            LightArrays(
                directions.astype(np.float32), colours, basis, self._light.sky, self._light.ground
            ),
            self._background,
            0.5 + 0.5 * float(now.key_gain[0]),
        )
        if now.hand[0, 3] == 1:
            self._draw_hand(linear, now.hand[0])
        return linear

    def _draw_hand(self, linear: Float32Array, hand: npt.NDArray[np.float64]) -> None:
        """Draw a palm with four fingers, in the colour of the skin, in front of everything."""
        unit = float(self._lens[0]) * FACE_HEIGHT_CM / self._distance_cm
        centre = self._lens[1:] + hand[:2] * unit
        c, s = np.cos(hand[2]), np.sin(hand[2])

        mask = np.zeros(linear.shape[:2], np.uint8)

        def stroke(
            start: tuple[float, float], end: tuple[float, float], width: float, gray: int
        ) -> None:
            """Draw a thick line between two points of the hand, right and up in face heights."""
            ends = []
            for right, up in (start, end):
                x = centre[0] + unit * (c * right + s * up)
                y = centre[1] + unit * (s * right - c * up)
                ends.append((round(float(x) * 16), round(float(y) * 16)))
            thick = max(2, round(width * unit))
            cv2.line(mask, ends[0], ends[1], (gray,), thick, cv2.LINE_AA, 4)

        for x, length, gray in ((-0.13, 0.33, 190), (-0.045, 0.4, 210), (0.045, 0.38, 190)):
            stroke((x, 0.0), (1.25 * x, length), 0.085, gray)
        stroke((0.13, 0.0), (0.16, 0.3), 0.085, 210)
        stroke((0.17, -0.3), (0.3, 0.05), 0.085, 200)
        stroke((0.0, -0.08), (0.0, -0.9), 0.3, 225)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.012 * unit + 0.5)
        shade = soft.astype(np.float32)[..., None] / 255
        skin = self.actor.texture[: self.actor.tiles[0, 1] ** 2, :3].mean(0)
        cover = np.clip(shade * 2.2, 0, 1)
        linear += cover * (skin * shade * 0.75 - linear)
