"""Fit of the face model to the landmarks of a photograph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from realtime.faces.tracker import FaceTracker
from realtime.types import Float32Array, Float64Array, Frame, Int32Array
from training.rendering import kernels
from training.rendering.face_model import FACE, FACE_HEIGHT_CM, FaceModel
from training.simulation import actions
from training.simulation.scenario import ClipScenario
from training.simulation.scene import CENTRE_CM, SceneRenderer

_MESH_POINTS = 468
_ANCHOR_PEOPLE = range(9_000, 9_008)
"""Numbers of the simulated people on whose faces the mesh points are looked up; no clip shows
them."""

_LANDMARK_CM = 0.15
"""Scatter of a mesh point, by which the fit weighs points against the prior."""
_EXPRESSION_SPREAD = 0.25
"""Standard deviation of an expression's weight on a portrait; that of an identity's weight is 1."""
_FITTED_SHAPES = ("mouth", "jaw", "eyeBlink", "eyeWide", "eyeSquint")
"""Shapes that are fitted, by the beginning of their names: those that open mouth and eyes. The
height of brows and cheeks is left to identity."""
_REST_REACH = 0.11
"""Reach of a mesh point's own displacement, in face heights: about an eye's width."""
_REST_NOISE = 0.15
"""Variance of a point's displacement that is scatter, as a share of the whole."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Places of MediaPipe's mesh points on the face model.

    Point i is the sum of `shares[i]` float32 [S] times the vertices `vertices[i]` int32 [S];
    `seen` bool [468] is false where the model's skin does not reach."""

    vertices: Int32Array
    shares: Float32Array
    seen: npt.NDArray[np.bool_]

    def of(self, values: Float32Array) -> Float32Array:
        """Interpolate values [..., V, 3] of vertices at the points that are seen, [..., P, 3]."""
        taken = values[..., self.vertices[self.seen], :]
        found: Float32Array = np.einsum("...psc,ps->...pc", taken, self.shares[self.seen])
        return found


@lru_cache(maxsize=2)
def mesh_anchors(model: FaceModel) -> Anchors:
    """Find the mesh points on the face model, averaged over a few rendered people.

    The live landmarks find them on the rendered faces, as on a photo. Takes two seconds."""
    skin = model.triangles[model.parts == FACE]
    size = 480
    vertices = np.zeros((_MESH_POINTS, len(_ANCHOR_PEOPLE), 3), np.int32)
    shares = np.zeros((_MESH_POINTS, len(_ANCHOR_PEOPLE), 3), np.float32)
    for number, subject in enumerate(_ANCHOR_PEOPLE):
        scenario = ClipScenario(
            "", (7_303, subject), subject, (0.0,), size_wh=(size, size), face_px=330.0, noise=0.0
        )
        scene = SceneRenderer(scenario, model, actions.still(np.zeros(1), model.names))
        with FaceTracker(max_faces=1) as track:
            found = track(Frame(0, 0.0, scene.frame(0)))
        if not found:
            continue
        xyz = scene.placed(0)  # counted from the picture's corner, as the tracker does
        _, ids = kernels.rasterise(xyz, skin, (size, size))
        points_xy = found[0].points_xy[:_MESH_POINTS]
        column, row = np.clip(np.rint(points_xy).astype(int), 0, size - 1).T
        on_skin = np.flatnonzero(ids[row, column] >= 0)
        corners = skin[ids[row[on_skin], column[on_skin]]]
        vertices[on_skin, number] = corners
        shares[on_skin, number] = _barycentric(points_xy[on_skin], xyz[corners, :2])
    total = shares.sum((1, 2))
    shares /= np.maximum(total, 1)[:, None, None]
    return Anchors(
        vertices.reshape(_MESH_POINTS, -1), shares.reshape(_MESH_POINTS, -1), total > 1.5
    )


def _barycentric(xy: Float32Array, corners: Float32Array) -> Float32Array:
    """Return the shares [P, 3] of the corners [P, 3, 2] in the points [P, 2], float32."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    e1, e2, p = b - a, c - a, xy - a
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    ub = (p[:, 0] * e2[:, 1] - p[:, 1] * e2[:, 0]) / area
    uc = (e1[:, 0] * p[:, 1] - e1[:, 1] * p[:, 0]) / area
    # A landmark may lie up to half a pixel outside of the triangle of its pixel.
    shares = np.clip(np.stack([1 - ub - uc, ub, uc], 1), 0, 1)
    normed: Float32Array = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    return normed


@dataclass(frozen=True, slots=True, eq=False)
class FaceFit:
    """Face model that is fitted to a photo.

    `points` float32 [V, 3]: the person without expression, cm; `weights` float64 [K]: the
    expression on the photo. A point p lies at
    `scale_px * (rotation @ p)[:2] * (1, -1) + origin_xy` px, and is then displaced by the smooth
    field with coefficients `rest_xy` [P, 2] at `anchors_xy` [P, 2] (see `rest_at`)."""

    points: Float32Array
    weights: Float64Array
    rotation: Float64Array
    scale_px: float
    origin_xy: Float64Array
    anchors_xy: Float64Array
    rest_xy: Float64Array

    @property
    def face_px(self) -> float:
        """Height of the face as in a ClipScenario."""
        return FACE_HEIGHT_CM * self.scale_px

    @property
    def pose_deg(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll, with the signs of a ClipScenario."""
        r = self.rotation
        yaw, pitch = np.arctan2(-r[2, 0], r[2, 2]), -np.arcsin(np.clip(r[2, 1], -1, 1))
        roll = np.arctan2(-r[0, 1], r[1, 1])
        return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))

    @property
    def centre_xy(self) -> Float64Array:
        """Middle of the face."""
        middle = self.rotation @ CENTRE_CM
        centre: Float64Array = self.origin_xy + self.scale_px * middle[:2] * (1, -1)
        return centre

    def rest_at(self, xy: Float64Array) -> Float64Array:
        """Return the displacements [N, 2] that the model leaves unexplained.

        `xy` [N, 2]: points of the photo."""
        moved: Float64Array = _kernel(xy, self.anchors_xy, _REST_REACH * self.face_px)
        return moved @ self.rest_xy

    def placed(self, scale: float, shift_xy: npt.ArrayLike) -> FaceFit:
        """Return the fit on the photo resized by `scale` and then moved by `shift_xy`."""
        shift = np.asarray(shift_xy, np.float64)
        return FaceFit(
            self.points,
            self.weights,
            self.rotation,
            scale * self.scale_px,
            scale * self.origin_xy + shift,
            scale * self.anchors_xy + shift,
            scale * self.rest_xy,
        )


def fit_face(model: FaceModel, points_xy: Float32Array) -> FaceFit:
    """Fit the face model to MediaPipe's mesh, float32 [478, 2] in pixels of the photo.

    As 3D morphable models are fitted to landmarks (Blanz & Vetter, "A Morphable Model for the
    Synthesis of 3D Faces", 1999): scaled orthographic projection, least squares with a prior."""
    anchors = mesh_anchors(model)
    target = points_xy[:_MESH_POINTS][anchors.seen].astype(np.float64)
    fitted = [k for k, name in enumerate(model.names) if name.startswith(_FITTED_SHAPES)]
    bases = np.concatenate([model.identity, _dense_shapes(model, fitted)])
    basis = anchors.of(bases).astype(np.float64)
    mean = anchors.of(model.neutral).astype(np.float64)
    people = len(model.identity)
    spread = np.concatenate([np.ones(people), np.full(len(fitted), _EXPRESSION_SPREAD)])
    weights = np.zeros(len(basis))
    for _ in range(6):
        shape = mean + np.tensordot(weights, basis, 1)
        rotation, scale, origin = _orthographic_pose(shape, target)
        project = scale * rotation[:2] * np.array([[1.0], [-1.0]])
        seen = basis @ project.T
        wanted = target - origin - mean @ project.T
        noise_px = _LANDMARK_CM * scale
        matrix = seen.reshape(len(basis), -1).T / noise_px
        normal = matrix.T @ matrix + np.diag(1 / spread**2)
        weights = np.linalg.solve(normal, matrix.T @ wanted.ravel() / noise_px)
        weights[people:] = np.clip(weights[people:], 0, 1)
    expression = np.zeros(len(model.names))
    expression[fitted] = weights[people:]
    at = (mean + np.tensordot(weights, basis, 1)) @ project.T + origin
    person = model.neutral + np.tensordot(weights[:people].astype(np.float32), model.identity, 1)
    return FaceFit(
        points=person.astype(np.float32),
        weights=expression,
        rotation=rotation,
        scale_px=scale,
        origin_xy=origin,
        anchors_xy=at,
        rest_xy=_solved(at, target - at, _REST_REACH * FACE_HEIGHT_CM * scale),
    )


def _dense_shapes(model: FaceModel, which: list[int]) -> Float32Array:
    """Return displacements [S, V, 3] of all vertices by these shapes of the model."""
    shapes = np.zeros((len(which), *model.neutral.shape), np.float32)
    for row, k in enumerate(which):
        part = slice(model.starts[k], model.starts[k + 1])
        shapes[row, model.delta_vertices[part]] = model.deltas[part]
    return shapes


def _orthographic_pose(
    points: Float64Array, xy: Float64Array
) -> tuple[Float64Array, float, Float64Array]:
    """Return rotation [3, 3], scale and origin of a scaled orthographic camera.

    It is the camera that sees points [P, 3] (y up) nearest to xy [P, 2] (y down)."""
    middle, centre = points.mean(0), xy.mean(0)
    affine = np.linalg.lstsq(points - middle, (xy - centre) * (1, -1), rcond=None)[0].T
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.concatenate([rows, np.cross(rows[0], rows[1])[None]])
    scale = float(s.mean())
    return rotation, scale, centre - scale * (rows @ middle) * (1, -1)


def _kernel(a_xy: Float64Array, b_xy: Float64Array, reach: float) -> Float64Array:
    """Return the Matern covariance of order 3/2 between points [A, 2] and [B, 2]: [A, B]."""
    square = (a_xy**2).sum(1)[:, None] + (b_xy**2).sum(1) - 2 * a_xy @ b_xy.T
    distance = np.sqrt(3 * np.maximum(square, 0)) / reach
    covariance: Float64Array = (1 + distance) * np.exp(-distance)
    return covariance


def _solved(at_xy: Float64Array, values: Float64Array, reach: float) -> Float64Array:
    """Solve for coefficients [P, 2] of the smooth field with about these values at these points."""
    covariance = _kernel(at_xy, at_xy, reach) + _REST_NOISE * np.eye(len(at_xy))
    return np.asarray(np.linalg.solve(covariance, values), np.float64)
