"""Aligned faces by mesh warping: a picture of a face at rest, moved by displacement fields.

Drawing, compressing and finding the face in every frame takes ten times as long as computing its
motion. Here a person is drawn a few times: at rest, in other light, with closing lids. What each
shape of the face model, each turn of the head and each turn of the eyes does to the aligned
face is a field of displacements, and a slot is the picture at rest, moved by the sum of those that
are active. The live path's alignment runs on the true landmarks with MediaPipe's scatter. Such a
slot cannot show places that were hidden: the inside of a mouth, a hand's shadow.

Points of `SceneRenderer` count from the picture's corner, as `FaceTracker`'s do.
`extract_regions` puts whole coordinates, of the picture and of the aligned face, at the middles of
pixels. So a point p is seen at p - 0.5 of the picture, and there the transform is applied.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from realtime.faces.alignment import StableAlignment
from realtime.faces.landmarks import VIEW_68
from realtime.preprocessing.motion import GRID
from realtime.preprocessing.regions import extract_regions
from realtime.spec import FACE_SIZE, MOTION_STRIDE
from realtime.types import Float32Array, UInt8Array
from training.rendering import kernels
from training.rendering.face_model import FaceModel
from training.simulation import actions
from training.simulation.actions import Motion
from training.simulation.ground_truth import LANDMARK_VERTICES, align
from training.simulation.scenario import ClipScenario, perform
from training.simulation.scene import SceneRenderer

LANDMARK_PX = (0.1, 0.4)
"""Scatter of a landmark, in pixels of the aligned face, from person to person."""

LID_STEPS = 5
"""Number of pictures from open to shut lids; between two of them they are interpolated."""

LIDS = ("eyeBlink_L", "eyeBlink_R")

TURN_DEG = 4.0
LOOK_DEG = 10.0
LIGHT_STEP = 0.25
"""Steps of head, eyes and light at which their fields are measured."""


class _Face:
    """Pictures and displacement fields of a person, on the aligned face.

    `rest`, `key`, `turn`: float32 [128, 128], gray at rest, and its change for a main light that
    is stronger by 1 or turned by 1 radian; `lids` [2, LID_STEPS, 128, 128]: what closing the left
    and the right lid adds. Fields are float32 [GRID, GRID, 2], pixels for weight 1 or a degree:
    `shapes` [K, ...], `gazes` [2, ...] (right, up) and `turns` [2, ...] (yaw, pitch).
    """

    def __init__(
        self, scene: SceneRenderer, scenario: ClipScenario, names: tuple[str, ...]
    ) -> None:
        shapes = len(names)
        lid_rows = 2 * (LID_STEPS - 1)
        motion = actions.still(np.zeros(1 + shapes + 4 + 2 + lid_rows), names)
        motion.angles_deg[:] = scenario.pose_deg
        motion.weights[np.arange(1, 1 + shapes), np.arange(shapes)] = 1.0
        look, turn, light = 1 + shapes, 3 + shapes, 5 + shapes
        motion.gaze_deg[[look, look + 1], [0, 1]] = LOOK_DEG
        motion.angles_deg[[turn, turn + 1], [0, 1]] += TURN_DEG
        motion.key_gain[light] += LIGHT_STEP
        motion.key_turn[light + 1] += LIGHT_STEP
        first_lid = light + 2
        for side, name in enumerate(LIDS):
            rows = first_lid + side * (LID_STEPS - 1) + np.arange(LID_STEPS - 1)
            motion.weights[rows, names.index(name)] = np.linspace(0, 1, LID_STEPS)[1:]
        scene.motion = dataclasses.replace(motion, t_s=np.arange(len(motion.t_s), dtype=float))

        where = scene.placed(0, at_rest=True)
        self.aligned = align(where[list(LANDMARK_VERTICES), :2])
        self._place_grid(scene, where)
        self.shapes = np.stack([self._field(scene, 1 + k) for k in range(shapes)])
        for name in LIDS:
            self.shapes[names.index(name)] = 0.0
        self.gazes = np.stack([self._field(scene, look + k) for k in range(2)]) / LOOK_DEG
        self.turns = np.stack([self._field(scene, turn + k, True) for k in range(2)]) / TURN_DEG

        def picture(row: int) -> Float32Array:
            """Return the aligned face in a row of the scene's motion, float32 [128, 128]."""
            image = scene.frame(row)
            gray: Float32Array = extract_regions(image, self.aligned, "single")[0].astype(
                np.float32
            )
            return gray

        self.rest = picture(0)
        self.key = (picture(light) - self.rest) / LIGHT_STEP
        self.turn = (picture(light + 1) - self.rest) / LIGHT_STEP
        self.lids = np.zeros((2, LID_STEPS, FACE_SIZE, FACE_SIZE), np.float32)
        for side in range(2):
            for step in range(1, LID_STEPS):
                row = first_lid + side * (LID_STEPS - 1) + step - 1
                self.lids[side, step] = picture(row) - self.rest

    def _place_grid(self, scene: SceneRenderer, rest: Float32Array) -> None:
        """Find the point of the mesh that every node of the grid shows at rest."""
        self._rest = rest[:, :2] - 0.5
        self._turn = self.aligned[:, :2].T
        on_grid = rest.copy()
        to_node = 0.5 * (MOTION_STRIDE - 1)
        on_grid[:, :2] = (self._rest @ self._turn + self.aligned[:, 2] - to_node) / MOTION_STRIDE
        triangles = scene.actor.triangles
        _, ids = kernels.rasterise(on_grid, triangles, (GRID, GRID))
        self._shown = ids >= 0
        self._corners = triangles[ids[self._shown]]
        self._weights = kernels.barycentric(on_grid, triangles, ids)

    def _field(self, scene: SceneRenderer, row: int, aligned_anew: bool = False) -> Float32Array:
        """Return how the nodes move in a row of the scene's motion: float32 [GRID, GRID, 2].

        `aligned_anew`: as seen after the face has been aligned again."""
        placed = scene.placed(row)[:, :2]
        moved = placed - 0.5
        if aligned_anew:
            again = align(placed[list(LANDMARK_VERTICES)])
            shift = moved @ again[:, :2].T + again[:, 2]
            shift -= self._rest @ self._turn + self.aligned[:, 2]
        else:
            shift = (moved - self._rest) @ self._turn
        field = np.zeros((GRID, GRID, 2), np.float32)
        field[self._shown] = (shift[self._corners] * self._weights[..., None]).sum(axis=1)
        return field


def _lid(pictures: Float32Array, weight: float) -> Float32Array:
    """Interpolate pictures [LID_STEPS, 128, 128] at a weight in 0..1: float32 [128, 128]."""
    at = min(max(weight, 0.0), 1.0) * (LID_STEPS - 1)
    step = min(int(at), LID_STEPS - 2)
    part = np.float32(at - step)
    between: Float32Array = pictures[step] + part * (pictures[step + 1] - pictures[step])
    return between


def _as_square(transform: Float32Array) -> npt.NDArray[np.float64]:
    """Extend an affine transform [2, 3] to [3, 3], which can be multiplied and inverted."""
    return np.vstack([transform, [0.0, 0.0, 1.0]])


def warped_faces(scenario: ClipScenario, model: FaceModel, rate_hz: float) -> UInt8Array:
    """Make the aligned face of a scenario in every slot of a clock: uint8 [S, 128, 128].

    Noise and JPEG are the scenario's. There is no H.264, because its frames count for slots, and
    no hands, because the face is only moved."""
    rng = np.random.default_rng([*scenario.seed, 5])
    t_s = np.arange(0.0, scenario.t_s[-1], 1.0 / rate_hz)
    clean = dataclasses.replace(
        scenario.without("hand"), noise=0.0, jpeg=0, exposure_s=0.0, t_s=tuple(t_s)
    )
    scene = SceneRenderer(clean, model)
    face = _Face(scene, clean, model.names)
    motion = perform(clean, model.names)
    scene.motion = motion
    held = _held(scene, motion, face.aligned, rng)

    # A face of 165 pixels is as large as the aligned face; larger faces are averaged.
    noise = scenario.noise * min(1.0, 165.0 / scenario.face_px)
    grain = rng.standard_normal((2 * FACE_SIZE, 2 * FACE_SIZE)).astype(np.float32)
    grain = _float(cv2.GaussianBlur(grain, (0, 0), 0.4 + 0.3 * 165.0 / scenario.face_px))
    grain *= np.float32(noise / grain.std())
    turns_deg = motion.angles_deg[:, :2] - scenario.pose_deg[:2]
    lids = [model.names.index(name) for name in LIDS]
    rows, columns = np.mgrid[0:FACE_SIZE, 0:FACE_SIZE].astype(np.float32)
    faces = np.empty((len(t_s), FACE_SIZE, FACE_SIZE), np.uint8)
    for slot in range(len(t_s)):
        weights = motion.weights[slot].astype(np.float32)
        active = np.flatnonzero(weights > 1e-4)
        field = np.einsum("k,kyxc->yxc", weights[active], face.shapes[active])
        field += np.einsum("k,kyxc->yxc", motion.gaze_deg[slot].astype(np.float32), face.gazes)
        field += np.einsum("k,kyxc->yxc", turns_deg[slot].astype(np.float32), face.turns)
        field = cv2.resize(_backward(field), (FACE_SIZE, FACE_SIZE))
        picture = face.rest + np.float32(motion.key_gain[slot] - 1.0) * face.key
        picture += np.float32(motion.key_turn[slot]) * face.turn
        for side, lid in enumerate(lids):
            if weights[lid] > 1e-3:
                picture += _lid(face.lids[side], float(weights[lid]))
        back = np.linalg.inv(held[slot]).astype(np.float32)
        x = back[0, 0] * columns + back[0, 1] * rows + back[0, 2]
        y = back[1, 0] * columns + back[1, 1] * rows + back[1, 2]
        x -= field[..., 0]
        y -= field[..., 1]
        picture = _float(cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
        # Display values go with light to the power of 1 / gamma.
        picture *= np.float32(motion.gain[slot] ** (1.0 / scenario.gamma))
        row, column = rng.integers(0, FACE_SIZE, 2)
        picture += grain[row : row + FACE_SIZE, column : column + FACE_SIZE]
        faces[slot] = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        if scenario.jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, scenario.jpeg]
            data = cv2.imencode(".jpg", faces[slot], quality)[1]
            faces[slot] = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return faces


def _backward(field: Float32Array) -> Float32Array:
    """Turn a field of where each node goes to into where it comes from: float32 [G, G, 2]."""
    rows, columns = np.mgrid[0:GRID, 0:GRID].astype(np.float32)
    step = np.float32(MOTION_STRIDE)
    columns -= field[..., 0] / step
    rows -= field[..., 1] / step
    return _float(cv2.remap(field, columns, rows, cv2.INTER_LINEAR))


def _float(picture: npt.NDArray[Any]) -> Float32Array:
    """Give a picture that OpenCV returned its type again."""
    return np.asarray(picture, np.float32)


def _held(
    scene: SceneRenderer, motion: Motion, aligned: Float32Array, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return the motion of the head that live alignment leaves: float64 [S, 3, 3].

    It leads from the face as it should lie to the face as it lies, in pixels of the aligned
    face."""
    scatter_px = rng.uniform(*LANDMARK_PX) / np.hypot(*aligned[:, 0])
    live = StableAlignment()
    held = np.empty((len(motion.t_s), 3, 3))
    mesh_xy = np.zeros((468, 2), np.float32)
    drift = np.zeros((68, 2))
    for slot, t_s in enumerate(motion.t_s):
        points_xy = scene.placed(slot, at_rest=True)[list(LANDMARK_VERTICES), :2]
        drift = 0.6 * drift + 0.8 * rng.normal(0.0, scatter_px, (68, 2))
        mesh_xy[list(VIEW_68)] = points_xy + drift
        mesh_xy[6] = (mesh_xy[168] + mesh_xy[197]) / 2
        held[slot] = _as_square(live(float(t_s), mesh_xy)) @ np.linalg.inv(
            _as_square(align(points_xy))
        )
    return held
