"""Face reenactment: a photographed face that moves as the face model does.

`training.simulation.face_fitting.fit_face` finds the model's shape, pose and expression on a
photo. What the model cannot explain is a smooth displacement in the picture. `FaceReenactor` then
moves the model and looks up where every pixel was on the photo: on the face through the mesh, so
that lids slide over eyes; around it through a smooth field that follows the head and fades away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from realtime.kernels import kernel
from realtime.types import Float32Array, Float64Array, Int32Array, UInt8Array
from training.rendering import kernels
from training.rendering.face_model import EYE, FACE, MOUTH, FaceModel
from training.simulation.face_fitting import FaceFit
from training.simulation.scene import NECK_CM, rotation

_NODES = 32
"""Number of nodes of smooth fields in the height of a face."""
_TURN_LIMIT_DEG = np.array([8.0, 6.0, 14.0])
"""Largest yaw, pitch and roll: a photo that is turned more looks like a photo."""
_SHIFT_LIMIT_CM = 3.0
"""Largest shift of the head."""
_GAZE_LIMIT_DEG = 9.0
"""Largest turn of the eyes: a photo does not show the white of the eye behind the lids."""
_JAW_LIMIT, _LIP_LIMIT = 0.3, 0.5
"""Largest weights of jawOpen and mouthUpperUp, which uncover what a photo does not show."""
_MOUTH_DARKNESS = 0.12
"""Light in a mouth that was shut on the photo, as a share of that on the lips."""
_EYE_REACH, _GUM_REACH = 0.012, 0.03
"""Width by which eyeballs and gums are continued under lids and lips, in face heights."""
_GUM_DARKNESS = 0.6
"""Light on what a lip uncovers in a mouth that was open, as a share of that beside it."""
_WRAP = 0.3
"""Reach of light round the terminator of skin."""
_STILL_REACH, _MOVED_REACH = 1.5, 0.72
"""Distances from the middle of the head, in face heights: within the second all moves with the
head, and nothing does beyond the first."""


@kernel()
def _place(
    points: Float32Array,
    rest_pose: Float32Array,
    move: Float32Array,
    follow: Float32Array,
    rest: Float32Array,
    step: float,
    out: Float32Array,
) -> None:
    """Move model points [V, 3] to pixels and depth [V, 3].

    `rest_pose` [3, 4]: into the picture (x right, y down, z away, all in pixels) as it was on the
    photo; `move` [3, 4]: from there to where the head is now, which a point does by its share
    `follow` [V]; `rest` [h, w, 2]: displacements at nodes `step` pixels apart."""
    last_x, last_y = np.float32(rest.shape[1] - 1.001), np.float32(rest.shape[0] - 1.001)
    zero, one = np.float32(0), np.float32(1)
    for v in range(points.shape[0]):
        p, q, r = points[v, 0], points[v, 1], points[v, 2]
        x = rest_pose[0, 0] * p + rest_pose[0, 1] * q + rest_pose[0, 2] * r + rest_pose[0, 3]
        y = rest_pose[1, 0] * p + rest_pose[1, 1] * q + rest_pose[1, 2] * r + rest_pose[1, 3]
        z = rest_pose[2, 0] * p + rest_pose[2, 1] * q + rest_pose[2, 2] * r + rest_pose[2, 3]
        f = follow[v]
        out[v, 0] = x + f * ((move[0, 0] - one) * x + move[0, 1] * y + move[0, 2] * z + move[0, 3])
        out[v, 1] = y + f * (move[1, 0] * x + (move[1, 1] - one) * y + move[1, 2] * z + move[1, 3])
        out[v, 2] = z + f * (move[2, 0] * x + move[2, 1] * y + (move[2, 2] - one) * z + move[2, 3])
        u = min(max(x / np.float32(step), zero), last_x)
        w = min(max(y / np.float32(step), zero), last_y)
        i, j = int(w), int(u)
        u -= np.float32(j)
        w -= np.float32(i)
        for c in range(2):
            out[v, c] += (one - w) * ((one - u) * rest[i, j, c] + u * rest[i, j + 1, c]) + w * (
                (one - u) * rest[i + 1, j, c] + u * rest[i + 1, j + 1, c]
            )


@kernel()
def _shade(
    normals: Float32Array,
    openness: Float32Array,
    directions: Float32Array,
    up: Float32Array,
    colours: Float32Array,
    sky: float,
    ground: float,
    out: Float32Array,
) -> None:
    """Compute the gray light [V] on matt skin.

    `normals` [V, 3], `directions` [L, 3] and `up` [3] are in the model's frame; the rest as in
    `kernels.LightArrays`, without colour."""
    wrap = np.float32(_WRAP)
    one, zero = np.float32(1), np.float32(0)
    for v in range(normals.shape[0]):
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        above = np.float32(0.5) + np.float32(0.5) * (nx * up[0] + ny * up[1] + nz * up[2])
        light = openness[v] * (np.float32(ground) + above * np.float32(sky - ground))
        for k in range(directions.shape[0]):
            nl = nx * directions[k, 0] + ny * directions[k, 1] + nz * directions[k, 2]
            light += openness[v] * colours[k] * max(zero, (nl + wrap) / (one + wrap))
        out[v] = light


@kernel()
def _trace(
    ids: Int32Array,
    xyz: Float32Array,
    triangles: Int32Array,
    parts: Int32Array,
    origin: Float32Array,
    source: Float32Array,
    light: Float32Array,
    holes: UInt8Array,
) -> None:
    """Mix where every pixel that the mesh covers comes from into `source`.

    `origin` [V, 4]: x, y on the photo, belief in the vertex (0..1), and its light. Changed in
    place: `source` [H, W, 2], which holds where pixels come from by the smooth field, and `light`
    [H, W]. Written: `holes` [H, W], the part of the face model where it is EYE or MOUTH, 0
    elsewhere."""
    height, width = ids.shape
    one = np.float32(1)
    holes[:] = 0
    for y in range(height):
        for x in range(width):
            t = ids[y, x]
            if t < 0:
                continue
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            ax, ay = xyz[i, 0], xyz[i, 1]
            e1x, e1y = xyz[j, 0] - ax, xyz[j, 1] - ay
            e2x, e2y = xyz[k, 0] - ax, xyz[k, 1] - ay
            scale = one / (e1x * e2y - e1y * e2x)
            px, py = np.float32(x) - ax, np.float32(y) - ay
            b = (px * e2y - py * e2x) * scale
            c = (py * e1x - px * e1y) * scale
            a = one - b - c
            u = a * origin[i, 0] + b * origin[j, 0] + c * origin[k, 0]
            v = a * origin[i, 1] + b * origin[j, 1] + c * origin[k, 1]
            belief = a * origin[i, 2] + b * origin[j, 2] + c * origin[k, 2]
            shine = a * origin[i, 3] + b * origin[j, 3] + c * origin[k, 3]
            source[y, x, 0] += belief * (u - source[y, x, 0])
            source[y, x, 1] += belief * (v - source[y, x, 1])
            light[y, x] += belief * (shine - light[y, x])
            if parts[t] != FACE:
                holes[y, x] = parts[t]


@kernel()
def _lighten(picture: Float32Array, light: Float32Array) -> None:
    """Multiply [H, W, 3] by [H, W] in place; what interpolation left below black is black."""
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for c in range(3):
                picture[y, x, c] = max(np.float32(0), picture[y, x, c] * light[y, x])


@dataclass(frozen=True, slots=True, eq=False)
class _Mesh:
    """Part of the face model that a photo is put on, numbered anew.

    `of` int32 [v]: its vertices in the model; `belief` float32 [v]: share of a vertex's movement
    that is the mesh's and not the smooth field's; `eyes`: vertices of the left and the right
    eyeball; the rest as in FaceModel."""

    of: Int32Array
    triangles: Int32Array
    parts: Int32Array
    starts: Int32Array
    delta_vertices: Int32Array
    deltas: Float32Array
    belief: Float32Array
    eyes: tuple[Int32Array, Int32Array]


@lru_cache(maxsize=2)
def _mesh(model: FaceModel) -> _Mesh:
    """Cut the part that a photo is put on out of the face model."""
    x, y, z = model.neutral.T.astype(np.float64)
    # Less and less towards hair, ears and collar, where the model ends or the photo differs.
    edge = _smooth((12.0 - y) / 2.5) * _smooth((y + 12.0) / 4.0)
    edge *= _smooth((z + 1.0) / 4.0) * _smooth((8.4 - np.abs(x)) / 1.5)
    # A chin slides over the neck, and does not take it along.
    edge *= 1 - _smooth((-3.0 - y) / 3.0) * _smooth((6.0 - z) / 3.0)
    eye_z = np.median(z[model.triangles[model.parts == EYE]])
    some = (
        ((model.parts == FACE) & (edge[model.triangles] > 0).any(1))
        | (model.parts == MOUTH)
        | ((model.parts == EYE) & (z[model.triangles] > eye_z).any(1))
    )
    triangles, parts = model.triangles[some], model.parts[some]
    of, numbered = np.unique(triangles, return_inverse=True)
    new = np.full(len(y), -1, np.int32)
    new[of] = np.arange(len(of))
    kept = new[model.delta_vertices] >= 0
    skin = np.unique(model.triangles[model.parts == FACE])
    eyeballs = np.unique(model.triangles[model.parts == EYE])
    # The inside of a mouth keeps its place in the head: the model's is far deeper than teeth.
    belief = np.where(np.isin(of, skin), edge[of], np.isin(of, eyeballs))
    eye = new[np.unique(triangles[parts == EYE])]
    left = model.neutral[of[eye], 0] > 0
    return _Mesh(
        of=of.astype(np.int32),
        triangles=np.ascontiguousarray(numbered.reshape(-1, 3).astype(np.int32)),
        parts=np.ascontiguousarray(parts),
        starts=np.concatenate([[0], np.cumsum(kept)])[model.starts].astype(np.int32),
        delta_vertices=new[model.delta_vertices[kept]],
        deltas=np.ascontiguousarray(model.deltas[kept]),
        belief=belief.astype(np.float32),
        eyes=(eye[left], eye[~left]),
    )


@dataclass(frozen=True, slots=True)
class RoomLight:
    """Light that a photo is assumed to be taken in; only its changes show.

    `directions` float64 [L, 3] towards the lamps, x right, y up, z to the camera, the main lamp
    first; `colours` float64 [L], `sky` and `ground`: gray strengths."""

    directions: Float64Array
    colours: Float64Array
    sky: float
    ground: float


class FaceReenactor:
    """Reenactor of the face on a photo. Not for several threads.

    `photo`: linear RGB float32 [H + 2 M, W + 2 M, 3], the picture and a `margin` M around it;
    `fit`: the face, in pixels of the picture."""

    def __init__(
        self, model: FaceModel, fit: FaceFit, photo: Float32Array, margin: int, room: RoomLight
    ) -> None:
        self._fit, self._room, self._margin = fit, room, margin
        self._mesh = mesh = _mesh(model)
        self._most = np.array([_limit(name) for name in model.names])
        self._lids = [
            [model.names.index(f"{shape}_{side}") for shape in ("eyeBlink", "eyeWide", "eyeSquint")]
            for side in "LR"
        ]
        # Inside of folds it is dark, but never so dark that nothing is left to change.
        self._openness = np.maximum(model.openness[mesh.of], np.float32(0.1))
        height, width = photo.shape[0] - 2 * margin, photo.shape[1] - 2 * margin
        turn = fit.scale_px * _DOWN @ fit.rotation
        self._rest_pose = np.concatenate([turn, [[fit.origin_xy[0]], [fit.origin_xy[1]], [0]]], 1)
        self._eye_centres = [
            (fit.points[mesh.of[eye]].max(0) + fit.points[mesh.of[eye]].min(0)) / 2
            for eye in mesh.eyes
        ]

        count = len(mesh.of)
        self._points = np.empty((count, 3), np.float32)
        self._normals = np.empty((count, 3), np.float32)
        self._xyz = np.empty((count, 3), np.float32)
        self._shine = np.empty(count, np.float32)
        self._origin = np.empty((count, 4), np.float32)
        self._ids = np.empty((height, width), np.int32)
        self._depth = np.empty((height, width), np.float32)
        self._light = np.empty((height, width), np.float32)
        self._holes = np.empty((height, width), np.uint8)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        self._own_place = np.stack([columns, rows], 2) + np.float32(margin)

        self._step = max(2.0, fit.face_px / _NODES)
        rows, columns = np.mgrid[: int(height / self._step) + 2, : int(width / self._step) + 2]
        self._nodes = np.stack([columns, rows], 2).astype(np.float32)
        rest = fit.rest_at(self._step * self._nodes.reshape(-1, 2).astype(np.float64))
        self._rest = rest.reshape(self._nodes.shape).astype(np.float32)

        # Everything from here on is measured on the unmoved photo.
        self._base = np.empty_like(self._points)
        self._add_shapes(fit.points[mesh.of], fit.weights, self._base)
        self._follow = np.ones(count, np.float32)
        self._pose(np.zeros(len(model.names)), np.zeros(2), np.eye(3, 4))
        self._node_xyz, self._node_follow = self._surroundings(model)
        self._follow = _sampled(self._node_follow, self._xyz[None, :, :2] / self._step)[0]
        self._origin[:, :2] = self._xyz[:, :2] + margin
        self._shine_on(np.eye(3), 1.0, 0.0)
        self._base_shine = self._shine.copy()
        # The outline of the mesh is not quite that of the photo, so it fades into the field.
        sideways = np.abs(self._normals @ fit.rotation[0])
        outer = _smooth((np.abs(self._base[:, 0]) - 4.0) / 2.5)
        outline = 1 - outer * (1 - _smooth((0.9 - sideways) / 0.5))
        self._origin[:, 2] = mesh.belief * outline
        self._rasterise()
        self._photo = _doubled(photo)
        self._insides = (
            (EYE, _doubled(self._continued(photo, EYE, _EYE_REACH, 1.0, 1.0))),
            (
                MOUTH,
                _doubled(self._continued(photo, MOUTH, _GUM_REACH, _GUM_DARKNESS, _MOUTH_DARKNESS)),
            ),
        )

    def render(
        self,
        weights: Float64Array,
        gaze_deg: Float64Array,
        angles_deg: Float64Array,
        offset_cm: Float64Array,
        zoom: float,
        key_gain: float,
        key_turn: float,
    ) -> Float32Array:
        """Render the moved face as linear RGB float32 [H, W, 3].

        `weights` [K]: shapes of the face model, added to those on the photo; `gaze_deg` [2]:
        right, up; `angles_deg` [3]: yaw, pitch and roll from the pose on the photo;
        `offset_cm` [2]: right, up; `zoom`: 1 as on the photo; `key_gain`, `key_turn` (radians):
        of the main light. Turns of eyes and head and shifts are softly limited to what a photo
        bears."""
        turned = rotation(*_soft_limit(angles_deg, _TURN_LIMIT_DEG))
        shift_cm = _soft_limit(offset_cm, _SHIFT_LIMIT_CM)
        neck = self._rest_pose @ [*NECK_CM, 1.0]
        moved = zoom * _DOWN @ turned @ _DOWN
        shift = neck - moved @ neck + self._fit.scale_px * np.array([shift_cm[0], -shift_cm[1], 0])
        move = np.concatenate([moved, shift[:, None]], 1)

        self._pose(weights, _soft_limit(gaze_deg, _GAZE_LIMIT_DEG), move)
        self._shine_on(turned, key_gain, key_turn)
        self._origin[:, 3] = np.clip(self._shine / self._base_shine, *_LIGHT_RANGE)
        self._rasterise()
        source = self._field(move)
        source += self._own_place
        self._light.fill(0.5 + 0.5 * key_gain)
        mesh = self._mesh
        _trace(
            self._ids,
            self._xyz,
            mesh.triangles,
            mesh.parts,
            self._origin,
            source,
            self._light,
            self._holes,
        )
        source *= 2
        picture = _sampled(self._photo, source)
        for part, inside in self._insides:
            mask = (self._holes == part).view(np.uint8)
            left, top, width, height = cv2.boundingRect(mask)
            if width:
                box = slice(top, top + height), slice(left, left + width)
                seen = _sampled(inside, np.ascontiguousarray(source[box]))
                np.copyto(picture[box], seen, where=mask[box].view(bool)[..., None])
        blur_px = _LIGHT_BLUR * self._fit.face_px
        _lighten(picture, cv2.GaussianBlur(self._light, (0, 0), blur_px).astype(np.float32))
        return picture

    def _add_shapes(self, base: Float32Array, weights: Float64Array, out: Float32Array) -> None:
        """Add shapes to the points `base` [v, 3] of the mesh."""
        mesh = self._mesh
        kernels.deform_into(
            base,
            mesh.starts,
            mesh.delta_vertices,
            mesh.deltas,
            weights.astype(np.float32),
            out,
        )

    def _pose(self, weights: Float64Array, gaze_deg: Float64Array, move: Float64Array) -> None:
        """Move the points, and compute where they are in the picture."""
        on_photo, points = self._fit.weights, self._points
        added = np.minimum(weights, np.maximum(self._most - on_photo, 0))
        for blink, *others in self._lids:  # shut eyes are neither wide nor narrow
            added[others] -= min(weights[blink], 1.0) * on_photo[others]
        self._add_shapes(self._base, added, points)
        turn = rotation(float(gaze_deg[0]), float(gaze_deg[1]), 0).astype(np.float32)
        for eye, centre in zip(self._mesh.eyes, self._eye_centres, strict=True):
            points[eye] = (points[eye] - centre) @ turn.T + centre
        _place(
            points,
            self._rest_pose.astype(np.float32),
            move.astype(np.float32),
            self._follow,
            self._rest,
            self._step,
            self._xyz,
        )

    def _rasterise(self) -> None:
        """Find the triangle that each pixel shows."""
        self._depth.fill(np.inf)
        self._ids.fill(kernels.NO_TRIANGLE)
        kernels.rasterise_into(self._xyz, self._mesh.triangles, self._depth, self._ids, False)

    def _shine_on(self, turned: Float64Array, key_gain: float, key_turn: float) -> None:
        """Compute the light on the vertices of a head that is turned [3, 3]."""
        room = self._room
        c, s = np.cos(key_turn), np.sin(key_turn)
        directions = room.directions.copy()
        x, z = directions[0, 0], directions[0, 2]
        directions[0, 0], directions[0, 2] = c * x + s * z, c * z - s * x
        colours = room.colours.copy()
        colours[0] *= key_gain
        head = turned @ self._fit.rotation
        kernels.normals_into(self._points, self._mesh.triangles, self._normals)
        _shade(
            self._normals,
            self._openness,
            (directions @ head).astype(np.float32),
            head[1].astype(np.float32),
            colours.astype(np.float32),
            room.sky,
            room.ground,
            self._shine,
        )

    def _surroundings(self, model: FaceModel) -> tuple[Float64Array, Float32Array]:
        """Return the nodes as points that move: [h, w, 3] x, y, depth in pixels, and how far they
        follow the head [h, w]."""
        pose, fit = self._rest_pose, self._fit
        height, width = self._ids.shape
        head = (fit.points @ pose[:, :3].T + pose[:, 3]).astype(np.float32)
        depth, ids = kernels.rasterise(head, model.triangles, (width, height))
        at = self._nodes * np.float32(self._step)
        known = _sampled((ids >= 0).astype(np.float32), at)
        depth = _sampled(np.where(ids >= 0, depth, np.float32(0)), at)
        # Beyond the head everything is as deep as the neck; it hardly moves anyway.
        neck_z = float(pose[2] @ [*NECK_CM, 1.0])
        weight = cv2.GaussianBlur(known, (0, 0), 0.1 * _NODES) + 1e-3
        smooth = (cv2.GaussianBlur(depth, (0, 0), 0.1 * _NODES) + 1e-3 * neck_z) / weight
        xyz = np.concatenate([at, smooth[..., None]], 2).astype(np.float64)
        in_model = (xyz - pose[:, 3]) @ np.linalg.inv(pose[:, :3]).T
        # Necks bend as those of simulated people.
        neck = _smooth((in_model[..., 1] + 0.4 * in_model[..., 2] + 16) / 9)
        far = np.hypot(*np.moveaxis(xyz[..., :2] - fit.centre_xy, 2, 0)) / fit.face_px
        reach = _smooth((_STILL_REACH - far) / (_STILL_REACH - _MOVED_REACH))
        return xyz, (neck * reach).astype(np.float32)

    def _field(self, move: Float64Array) -> Float32Array:
        """Return the displacement of every pixel to where it was on the photo, [H, W, 2].

        It is that of the smooth field, as if there were no mesh."""
        moved = self._node_xyz @ move[:2, :3].T + move[:2, 3] - self._node_xyz[..., :2]
        forward = (moved * (self._node_follow[..., None] / self._step)).astype(np.float32)
        backward = -forward
        for _ in range(3):  # fixed point of b(x) = -f(x + b(x))
            backward = -_sampled(forward, self._nodes + backward)
        height, width = self._ids.shape
        spread = np.array([[1 / self._step, 0, 0], [0, 1 / self._step, 0]])
        field: Float32Array = np.empty((height, width, 2), np.float32)
        cv2.warpAffine(
            backward * np.float32(self._step),
            spread,
            (width, height),
            dst=field,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return field

    def _continued(
        self, photo: Float32Array, part: int, reach: float, beside: float, beyond: float
    ) -> Float32Array:
        """Continue what the photo shows of a part under the skin around it.

        The colour is about `reach` face heights wide `beside` times that of the part, and further
        away `beyond` times that of the skin."""
        seen = ((self._ids >= 0) & (self._mesh.parts[self._ids] == part)).astype(np.float32)
        margin = self._margin
        seen = np.pad(seen, margin)
        # The outermost pixels are half skin, and the mesh may be a pixel off.
        core = cv2.erode(seen, np.ones((3, 3)))[..., None]
        sigma = reach * self._fit.face_px
        weight = cv2.GaussianBlur(core, (0, 0), sigma)[..., None]
        beside_it = cv2.GaussianBlur(photo * core, (0, 0), sigma) / (weight + np.float32(1e-6))
        share = np.clip(20 * weight, 0, 1)
        hidden = share * beside * beside_it + (1 - share) * beyond * photo
        own = cv2.dilate(seen, np.ones((3, 3)))[..., None]
        plate: Float32Array = np.where(own > 0, photo, hidden).astype(np.float32)
        return plate


_DOWN = np.diag([1.0, -1.0, -1.0])
"""Change from x right, y up, z to the camera to x right, y down, z away, and back."""

_LIGHT_RANGE = (0.4, 2.5)
"""Least and largest factor of light: a photo's shadows hold nothing that more light could show."""
_LIGHT_BLUR = 0.012
"""Least softness of changes of light, in face heights: the mesh's edges are not the photo's."""


def _limit(name: str) -> float:
    """Return the largest weight of a shape on a photo."""
    if name == "jawOpen":
        return _JAW_LIMIT
    if name.startswith("mouthUpperUp"):
        return _LIP_LIMIT
    return 1.0 if name.startswith("eyeBlink") else 1.3


def _soft_limit(value: Float64Array, limit: float | Float64Array) -> Float64Array:
    """Bend a value smoothly so that it stays within the limit on both sides of 0."""
    limited: Float64Array = limit * np.tanh(value / limit)
    return limited


def _smooth(x: Float64Array) -> Float64Array:
    """Return a soft step from 0 at x = 0 to 1 at x = 1."""
    t = np.clip(x, 0, 1)
    return t * t * (3 - 2 * t)


def _sampled(values: Float32Array, at: Float32Array, way: int = cv2.INTER_LINEAR) -> Float32Array:
    """Sample values [h, w, ...] at pixel coordinates [H, W, 2]."""
    found = np.empty((*at.shape[:2], *values.shape[2:]), np.float32)
    nothing = np.empty(0, np.float32)
    cv2.remap(values, at, nothing, way, dst=found, borderMode=cv2.BORDER_REPLICATE)
    return found


def _doubled(photo: Float32Array) -> Float32Array:
    """Double the size, so that pixel (x, y) becomes (2 x, 2 y).

    Linear sampling of the result is as sharp as cubic sampling of the photo, and faster."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[: 2 * height - 1, : 2 * width - 1].astype(np.float32) / 2
    return _sampled(photo, np.stack([columns, rows], 2), cv2.INTER_CUBIC)
