"""Drawing of a simulated person: pose, light, picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.kernels import kernel
from realtime.types import Float32Array, Int32Array
from training.rendering.appearance import Actor
from training.rendering.face_model import FaceModel
from training.rendering.kernels import (
    FAST,
    NO_TRIANGLE,
    LightArrays,
    MaterialArrays,
    PoseArrays,
    SurfaceArrays,
    VeilArrays,
    VertexArrays,
    blend_veils,
    deform_into,
    light_veils,
    mark_seen,
    normals_into,
    place,
    rasterise_into,
    shade_pixels,
    shade_vertices,
)


class Canvas:
    """Arrays that drawing fills, made once for a clip."""

    def __init__(self, vertices: int, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        self.points = np.empty((vertices, 3), np.float32)
        self.normals = np.empty((vertices, 3), np.float32)
        self.turned = np.empty((vertices, 3), np.float32)
        self.seen = np.empty(vertices, np.bool_)
        self.veil_light = np.zeros((vertices, 3), np.float32)
        self.xyz = np.empty((vertices, 3), np.float32)
        self.shading = np.empty((vertices, 4), np.float32)
        self.depth = np.empty((height, width), np.float32)
        self.ids = np.empty((height, width), np.int32)
        self.picture = np.empty((height, width, 3), np.float32)


def pose(
    canvas: Canvas,
    actor: Actor,
    model: FaceModel,
    weights: Float32Array,
    gaze_rad: npt.NDArray[np.float64],
    motion: PoseArrays,
) -> Float32Array:
    """Return pixel x, y (down) and depth of all points, float32 [V, 3]; arguments as in `draw`.

    The result is the canvas's own and lives until the next pose."""
    deform_into(
        actor.points, model.starts, model.delta_vertices, model.deltas, weights, canvas.points
    )
    _turn_eyes(canvas.points, actor, gaze_rad)
    place(canvas.points, actor.follow, motion, canvas.xyz)
    return canvas.xyz


def draw(
    canvas: Canvas,
    actor: Actor,
    model: FaceModel,
    weights: Float32Array,
    gaze_rad: npt.NDArray[np.float64],
    motion: PoseArrays,
    lights: LightArrays,
    background: Float32Array,
    background_gain: float,
) -> Float32Array:
    """Draw a linear RGB picture, float32 [H, W, 3].

    `weights` [K]: of the model's shapes; `gaze_rad` [2]: eyes right and up; `background`
    [H, W, 3], drawn times `background_gain`. The result is the canvas's own and lives until the
    next picture."""
    pose(canvas, actor, model, weights, gaze_rad, motion)
    triangles = actor.triangles
    surface = SurfaceArrays(triangles, actor.corner_uv, actor.parts, actor.texture, actor.tiles)
    material = MaterialArrays(actor.openness, actor.transfer, actor.gloss, actor.hardness)
    veils = VeilArrays(
        actor.veils, actor.veil_alpha, actor.veil_albedo, actor.mirror, actor.window_rad
    )
    canvas.depth.fill(np.inf)
    canvas.ids.fill(NO_TRIANGLE)
    rasterise_into(canvas.xyz, triangles, canvas.depth, canvas.ids, False)
    normals_into(canvas.points, triangles, canvas.normals)
    canvas.normals[len(canvas.normals) - len(actor.worn_normals) :] = actor.worn_normals
    mark_seen(canvas.ids, triangles, veils.triangles, canvas.seen)
    vertices = VertexArrays(canvas.seen, canvas.normals, canvas.xyz, actor.follow)
    shade_vertices(vertices, motion, lights, material, canvas.turned, canvas.shading)
    picture = canvas.picture
    np.multiply(background, np.float32(background_gain), out=picture)
    shade_pixels(canvas.ids, canvas.xyz, surface, canvas.shading, picture)
    _glint(canvas, actor, motion, lights)
    light_veils(
        veils, canvas.shading, canvas.turned, canvas.xyz, motion.camera, lights, canvas.veil_light
    )
    blend_veils(canvas.xyz, veils, canvas.veil_light, canvas.depth, 0.05, picture)
    return picture


def _turn_eyes(points: Float32Array, actor: Actor, gaze_rad: npt.NDArray[np.float64]) -> None:
    """Turn both eyeballs of `points` [V, 3] in place."""
    cr, sr, cu, su = (f(angle) for angle in gaze_rad for f in (np.cos, np.sin))
    right = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    up = np.array([[1, 0, 0], [0, cu, su], [0, -su, cu]])
    turn = (right @ up).astype(np.float32)
    for vertices, centre in zip(actor.eye_vertices, actor.eye_centres, strict=True):
        _turn_about(points, vertices, centre, turn)


@kernel(fastmath=FAST)
def _turn_about(
    points: Float32Array, vertices: Int32Array, centre: Float32Array, turn: Float32Array
) -> None:
    """Turn these vertices of `points` [V, 3] in place, by `turn` [3, 3] about `centre` [3]."""
    for v in vertices:
        x, y, z = points[v, 0] - centre[0], points[v, 1] - centre[1], points[v, 2] - centre[2]
        for r in range(3):
            points[v, r] = centre[r] + turn[r, 0] * x + turn[r, 1] * y + turn[r, 2] * z


_GLINT_CM = 0.075
"""Size of the reflection of a lamp or a screen in the cornea, chosen by eye."""


def _glint(canvas: Canvas, actor: Actor, motion: PoseArrays, lights: LightArrays) -> None:
    """Mirror the main light in both eyes, where the lids leave them open."""
    head, lens = motion.head, motion.camera
    for centre, radius in zip(actor.eye_centres, actor.eye_radii, strict=True):
        middle = head[:, :3] @ centre + head[:, 3]
        view = -middle / np.linalg.norm(middle)
        half = lights.directions[0] + view
        tip = middle + half / np.linalg.norm(half) * radius
        x, y = lens[1] - lens[0] * tip[0] / tip[2], lens[2] + lens[0] * tip[1] / tip[2]
        size = _GLINT_CM * lens[0] / -tip[2]
        _add_spot(canvas.ids, actor.is_eye, x, y, size, lights.colours[0], canvas.picture)


@kernel(fastmath=FAST)
def _add_spot(
    ids: Int32Array,
    is_eye: npt.NDArray[np.bool_],
    x: float,
    y: float,
    size: float,
    colour: Float32Array,
    out: Float32Array,
) -> None:
    """Add a round, soft light at x, y where a triangle of an eye is seen."""
    height, width = ids.shape
    reach = int(3 * size) + 1
    for v in range(max(0, int(y) - reach), min(height, int(y) + reach + 1)):
        for u in range(max(0, int(x) - reach), min(width, int(x) + reach + 1)):
            if ids[v, u] >= 0 and is_eye[ids[v, u]]:
                spot = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * size * size))
                for ch in range(3):
                    out[v, u, ch] += np.float32(spot) * colour[ch]
