"""Where simulated people are filmed: the light, the camera, and the pictures that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, UInt8Array
from training import render
from training.appearance import Actor, make_actor, make_background
from training.expressions import Motion
from training.face_model import FACE, FACE_HEIGHT_CM, FaceModel, spherical_harmonics
from training.script import ClipScript, perform

BLUR_FROM_PX = 0.5
BLUR_STEP_PX = 1.5
MOST_EXPOSURES = 5
"""A frame in which the face moves by `BLUR_FROM_PX` or more is the mean of pictures that lie
about `BLUR_STEP_PX` apart, which the blur of the lens makes one."""

_GRAY_STEP = 0.0038
"""Linear light of one 8-bit step at mid gray: 2.2 * .5 ** 1.2 / 255."""

CENTRE_CM = np.array([0.0, 2.6, 7.0])
"""Middle of the face in the model's frame."""
_FRONT_CM = 3.0
_SPARSE = 23
"""Points that stand for the face in `_Carriage`: every so many of those in front."""
NECK_CM = np.array([0.0, -6.0, -1.5])
"""The point that the head turns about."""


class Scene(Protocol):
    """What can be filmed."""

    def frame(self, index: int) -> UInt8Array:
        """uint8 BGR [H, W, 3] of frame `index`."""


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """Rotation float64 [3, 3]. Positive yaw turns the face to the picture's right, positive pitch
    looks up."""
    y, p, r = np.radians([yaw_deg, -pitch_deg, roll_deg])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    turned: npt.NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


def moment(motion: Motion, t_s: float) -> Motion:
    """One row of a motion, at any time: between frames it goes on evenly."""
    after = int(np.clip(np.searchsorted(motion.t_s, t_s), 1, max(len(motion.t_s) - 1, 1)))
    before = after - 1
    after = min(after, len(motion.t_s) - 1)
    span = motion.t_s[after] - motion.t_s[before]
    part = float(np.clip((t_s - motion.t_s[before]) / span, 0, 1)) if span else 0.0

    def at(course: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
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


@dataclass(frozen=True, slots=True)
class Lighting:
    """`directions` float64 [2, 3]: towards the main light and a weaker one, x right, y up, z to
    the camera; `colours` float32 [2, 3], and of the room's light from above and below, `sky` and
    `ground` float32 [3]: linear RGB."""

    directions: npt.NDArray[np.float64]
    colours: Float32Array
    sky: Float32Array
    ground: Float32Array


def lighting(rng: np.random.Generator) -> Lighting:
    """A main light, a weaker one, and a room that reflects both."""
    side = rng.normal(0, 0.75)
    height = rng.uniform(0.05, 1.0)
    key = np.array([np.sin(side), np.tan(height) * 0.7, np.cos(side)])
    fill = np.array(
        [-np.sign(side) * rng.uniform(0.4, 1.4), rng.uniform(-0.2, 0.6), rng.uniform(0.1, 1)]
    )
    warmth = rng.normal(0, 0.07, 3)[:, None] * np.array([1.0, 0.05, -1.0])
    tint = np.exp(warmth)
    ambient = rng.uniform(0.25, 0.55)
    strength = rng.uniform(0.2, 0.8)
    total = rng.uniform(0.85, 1.2)
    lamp = (1 - ambient) * total
    colours = np.stack([lamp * tint[0], 0.6 * lamp * (1 - strength) * tint[1]])
    room = ambient * total * tint[2]
    return Lighting(
        directions=np.stack([v / np.linalg.norm(v) for v in (key, fill)]),
        colours=colours.astype(np.float32),
        sky=(room * rng.uniform(1.1, 1.4)).astype(np.float32),
        ground=(room * rng.uniform(0.45, 0.8)).astype(np.float32),
    )


class Camera:
    """Turns linear pictures into what a webcam delivers. One for each clip."""

    def __init__(self, script: ClipScript, rng: np.random.Generator) -> None:
        width, height = script.size_wh
        self._script = script
        self._rng = rng
        self._curve = render.tone_curve(script.gamma, script.contrast)
        v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
        self._falloff = (1 - rng.uniform(0, 0.18) * (u * u + v * v) / 2).astype(np.float32)
        # Grain of sensors is soft after demosaicing, and stronger in colour.
        grain = rng.standard_normal((300, 380, 3), np.float32)
        grain = 0.6 * grain + 0.8 * grain.mean(2, keepdims=True)
        soft = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.3, 0.7)))
        self._grain = (soft / soft.std()).astype(np.float32)
        self._noise = script.noise * _GRAY_STEP
        self._white = np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)

    def expose(self, linear: Float32Array, gain: float) -> UInt8Array:
        """uint8 BGR [H, W, 3] of a linear RGB picture, which may be larger by a whole or half
        factor."""
        width, height = self._script.size_wh
        if linear.shape[1] != width:
            # Both average two pixels each way, at factors of 2 and of 4/3.
            half = linear.shape[1] == 2 * width
            way = cv2.INTER_AREA if half else cv2.INTER_LINEAR
            linear = cv2.resize(linear, (width, height), interpolation=way).astype(
                np.float32, copy=False
            )
        blurred = cv2.GaussianBlur(linear, (5, 5), self._script.blur_px).astype(
            np.float32, copy=False
        )
        at = (int(self._rng.integers(300)), int(self._rng.integers(380)))
        picture = render.develop(
            blurred,
            self._white * np.float32(gain),
            self._curve,
            self._falloff,
            self._grain,
            at,
            0.3 * self._noise,
            1.5 * self._noise,
        )
        if self._script.jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self._script.jpeg]
            data = cv2.imencode(".jpg", picture, quality)[1]
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8, copy=False)
        return picture


def supersampling(face_px: float) -> float:
    """Rendered pixels for each pixel of the picture: small faces need more to be smooth."""
    return 2.0 if face_px < 120 else 4 / 3 if face_px < 240 else 1.0


class _Carriage:
    """Where the points of a face are in the picture, at a fraction of the cost of drawing it."""

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
        """float64 [S, 2]: for shapes [K], rigid motion [3, 4] and lens as in `render.draw`."""
        # Not tensordot: it wakes BLAS's threads, for a product that takes a few microseconds.
        points = self._base + np.einsum("k,kpc->pc", weights, self._deltas)
        seen = points @ head[:, :3].T + head[:, 3]
        points_xy: npt.NDArray[np.float64] = lens[1:] + lens[0] * seen[:, :2] / -seen[:, 2:] * (
            1,
            -1,
        )
        return points_xy


class Stage:
    """Draws one clip: the person, the light and the camera. Not for several threads.

    `motion`: what the person does, by default what the script says; `scale`: rendered pixels
    for each pixel of the picture, 1, 4/3 or 2, by default what suits the size of the face."""

    def __init__(
        self,
        script: ClipScript,
        model: FaceModel,
        motion: Motion | None = None,
        scale: float | None = None,
    ) -> None:
        rng = np.random.default_rng([*script.seed, 3])
        scale = scale or supersampling(script.face_px)
        self._size_wh = (round(script.size_wh[0] * scale), round(script.size_wh[1] * scale))
        self._model = model
        self.actor = make_actor(model, script.subject, script.face_px * scale, script.skin)
        self._background = make_background(rng, self._size_wh)
        self._light = lighting(rng)
        self.motion = motion or perform(script, model.names)
        self._camera = Camera(script, rng)
        focal = script.face_px * scale * script.distance_cm / FACE_HEIGHT_CM
        self._lens = np.array(
            [focal, script.place[0] * self._size_wh[0], script.place[1] * self._size_wh[1]],
            np.float32,
        )
        self._distance_cm = script.distance_cm
        self._body_turn = rotation(0.4 * script.pose_deg[0], 0, 0.3 * script.pose_deg[2])
        self._canvas = render.Canvas(len(self.actor.points), self._size_wh)
        self._exposure_s = script.exposure_s
        self._scale = scale
        self._carriage = _Carriage(self.actor, model)

    def frame(self, index: int) -> UInt8Array:
        """uint8 BGR [H, W, 3] of frame `index`."""
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
        """Where all points of the person are in frame `index`: x, y in pixels of the picture, from
        its upper left corner, and depth in cm, float32 [V, 3]. `at_rest`: with the same pose of
        the head, without any expression, speech, blink or gaze."""
        now = moment(self.motion, self.motion.t_s[index])
        head, body = self._poses(now)
        xyz = render.pose(
            self._canvas,
            self.actor,
            self._model,
            (now.weights[0] * (not at_rest)).astype(np.float32),
            np.radians(now.gaze_deg[0]) * (not at_rest),
            head.astype(np.float32),
            body.astype(np.float32),
            self._lens,
        ).copy()
        xyz[:, :2] = (xyz[:, :2] + 0.5) / self._scale
        return xyz

    def _blur_px(self, index: int) -> float:
        """How far the point of the face that moves most goes while the frame is exposed."""
        ends = []
        for part in (-0.5, 0.5):
            now = moment(self.motion, self.motion.t_s[index] + part * self._exposure_s)
            head, _ = self._poses(now)
            ends.append(self._carriage.points_xy(now.weights[0], head, self._lens))
        return float(np.hypot(*(ends[1] - ends[0]).T).max()) / self._scale

    def _poses(self, now: Motion) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Rigid motions [3, 4] of head and body, of a moment."""
        turn = rotation(*now.angles_deg[0])
        where = now.offset_cm[0] + np.array([0.0, 0.0, -self._distance_cm])
        # The middle of an upright face is where the camera looks; the neck is the joint.
        joint = NECK_CM - CENTRE_CM + where
        head = np.concatenate([turn, (joint - turn @ NECK_CM)[:, None]], 1)
        body = np.concatenate([self._body_turn, (joint - self._body_turn @ NECK_CM)[:, None]], 1)
        return head, body

    def _linear(self, now: Motion) -> Float32Array:
        """The linear picture of a moment; it lives until the next one."""
        head, body = self._poses(now)
        directions = self._light.directions.copy()
        c, s = np.cos(now.key_turn[0]), np.sin(now.key_turn[0])
        x, z = directions[0, 0], directions[0, 2]
        directions[0, 0], directions[0, 2] = c * x + s * z, c * z - s * x
        colours = self._light.colours.copy()
        colours[0] *= now.key_gain[0]
        basis = spherical_harmonics((directions @ head[:, :3]).astype(np.float32))
        linear = render.draw(
            self._canvas,
            self.actor,
            self._model,
            now.weights[0].astype(np.float32),
            np.radians(now.gaze_deg[0]),
            head.astype(np.float32),
            body.astype(np.float32),
            self._lens,
            render.Lights(
                directions.astype(np.float32), colours, basis, self._light.sky, self._light.ground
            ),
            self._background,
            0.5 + 0.5 * float(now.key_gain[0]),
        )
        if now.hand[0, 3] == 1:
            self._draw_hand(linear, now.hand[0])
        return linear

    def _draw_hand(self, linear: Float32Array, hand: npt.NDArray[np.float64]) -> None:
        """A palm with four fingers, in the colour of the skin, in front of everything."""
        unit = float(self._lens[0]) * FACE_HEIGHT_CM / self._distance_cm
        centre = self._lens[1:] + hand[:2] * unit
        c, s = np.cos(hand[2]), np.sin(hand[2])

        mask = np.zeros(linear.shape[:2], np.uint8)

        def stroke(
            start: tuple[float, float], end: tuple[float, float], width: float, gray: int
        ) -> None:
            """A thick line between two points of the hand, right and up in face heights."""
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
