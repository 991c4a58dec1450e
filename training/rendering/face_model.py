"""Face model: a mesh that identities and expressions deform.

Reads USC-ICT's FaceKit (Li et al., "Learning Formation of Physically-Based Face Attributes",
CVPR 2020) as one `.npz`: `neutral` [V, 3] in centimetres, `faces` (quads, -1 pads a triangle),
`uv`, `uv_faces`, `identity` [100, V, 3], `expr` [K, V, 3], `expr_names` [K].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime.errors import SourceError
from realtime.types import Float32Array, Int32Array
from training.rendering import kernels

# Vertex ranges of FaceKit's topology, from its documentation.
_SKIN = (0, 9409)
_HEAD = (9409, 11248)
_MOUTH = (11248, 13294)
_GUMS = (14062, 17039)
_TEETH = (17039, 21451)
_EYES = ((21451, 23021), (23021, 24591))
_CORNEA = 770
"""Vertices of the outer, smooth layer of an eyeball; the inner layer is never seen."""
_LASHES = (25351, 26719)

FACE, HEAD, MOUTH, GUMS, TEETH, EYE, CLOTH, HAIR = range(8)
"""Parts of the picture; each has a texture of its own."""

FACE_HEIGHT_CM = 18.0
"""Height of the part of a face that MediaPipe's mesh covers, forehead to chin, on the mean face."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceModel:
    """A face mesh, its identities and its expression shapes.

    `neutral` float32 [V, 3]; `identity` float32 [100, V, 3]; shape k, called `names[k]`, moves the
    vertices `delta_vertices[starts[k]:starts[k + 1]]` by `deltas` of the same rows.

    `triangles` int32 [T, 3], `corner_uv` float32 [T, 3, 2] with v down, `parts` int32 [T].
    `lashes` int32 [L, 3], `lash_alpha` float32 [V]: opacity, 1 at the lid, 0 at the tip.
    `openness` float32 [V]: share of the sky that a point sees; `transfer` float32 [V, 9]: the
    directions it sees, as spherical harmonics.
    """

    neutral: Float32Array
    identity: Float32Array
    names: tuple[str, ...]
    starts: Int32Array
    delta_vertices: Int32Array
    deltas: Float32Array
    triangles: Int32Array
    corner_uv: Float32Array
    parts: Int32Array
    lashes: Int32Array
    lash_alpha: Float32Array
    openness: Float32Array
    transfer: Float32Array


def spherical_harmonics(directions: Float32Array) -> Float32Array:
    """Return the first nine real spherical harmonics [N, 9] of float32 [N, 3] unit vectors."""
    x, y, z = directions[:, 0], directions[:, 1], directions[:, 2]
    basis: Float32Array = np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=1,
    ).astype(np.float32)
    return basis


def _split_quads(faces: Int32Array, uv_faces: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Split quads into two triangles each; return the corners' vertices and uv, [T, 3] each."""
    quads = faces[:, 3] >= 0
    triangles = np.concatenate([faces[:, :3], faces[quads][:, [0, 2, 3]]])
    uv_triangles = np.concatenate([uv_faces[:, :3], uv_faces[quads][:, [0, 2, 3]]])
    return triangles, uv_triangles


def _visibility(neutral: Float32Array, triangles: Int32Array) -> tuple[Float32Array, Float32Array]:
    """Compute openness [V] and transfer [V, 9] of the mean face from depth maps over the sphere."""
    count, size = 160, 224
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(count)
    y = 1 - 2 * (k + 0.5) / count
    radius = np.sqrt(1 - y * y)
    directions = np.stack([radius * np.cos(k * golden), y, radius * np.sin(k * golden)], 1)
    directions = directions.astype(np.float32)
    normals = kernels.vertex_normals(neutral, triangles)
    centre = (neutral.max(0) + neutral.min(0)) / 2
    extent = float(np.abs(neutral - centre).max()) * 1.5
    seen = np.zeros((count, len(neutral)), np.float32)
    for index, d in enumerate(directions):
        right = np.cross([0.0, 1.0, 0.0], d)
        right /= np.linalg.norm(right)
        up = np.cross(d, right)
        local = (neutral - centre + 0.12 * normals) @ np.stack([right, -up, -d], 1)
        xyz = local.astype(np.float32)
        xyz[:, :2] = (xyz[:, :2] / extent + 1) * (size / 2)
        surface = xyz.copy()
        depth, _ = kernels.rasterise(surface, triangles, (size, size), two_sided=True)
        column = np.clip(np.rint(xyz[:, 0]).astype(int), 0, size - 1)
        row = np.clip(np.rint(xyz[:, 1]).astype(int), 0, size - 1)
        seen[index] = xyz[:, 2] < depth[row, column] + 0.25
    facing = np.clip(directions @ normals.T, 0, None)
    openness = (seen * facing).sum(0) / np.maximum(facing.sum(0), 1e-6)
    basis = spherical_harmonics(directions)
    transfer = (4 * np.pi / count) * np.einsum("nv,nc->vc", seen, basis)
    return openness.astype(np.float32), transfer.astype(np.float32)


def _lash_alpha(
    uv: npt.NDArray[np.floating], size: int, corners: Int32Array, uv_corners: Int32Array
) -> Float32Array:
    """Return the opacity [size] of the lash cards: strands run from the lid to the tip."""
    alpha = np.zeros(size, np.float32)
    across = uv[uv_corners.ravel(), 1] % 1.0
    alpha[corners.ravel()] = across.astype(np.float32)
    return alpha


@lru_cache(maxsize=2)
def load_face_model(path: Path) -> FaceModel:
    """Read the model and prepare it for drawing; cached, because it takes about a second.

    Raises SourceError when the file is not a face model.

    Example:
        model = load_face_model(Path("ict_facekit.npz"))
        left_smile = model.names.index("mouthSmile_L")
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            neutral = archive["neutral"].astype(np.float32)
            faces = archive["faces"].astype(np.int32)
            uv = archive["uv"].astype(np.float32)
            uv_faces = archive["uv_faces"].astype(np.int32)
            identity = archive["identity"].astype(np.float32)
            expressions = archive["expr"].astype(np.float32)
            names = tuple(str(name) for name in archive["expr_names"])
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(
            f"{path} is not a face model ({error}); give the FaceKit .npz with --face-model."
        ) from error

    triangles, uv_triangles = _split_quads(faces, uv_faces)
    first = triangles[:, 0]
    parts = np.full(len(triangles), -1, np.int32)
    lowest = triangles.min(1)
    tile = np.floor(uv[uv_triangles].min(1)[:, 0] + 1e-4).astype(int)
    for part, (start, end) in {GUMS: _GUMS, TEETH: _TEETH, MOUTH: _MOUTH}.items():
        parts[(first >= start) & (first < end)] = part
    skin = triangles.max(1) < _HEAD[1]
    parts[skin & (tile == 0)] = FACE
    parts[skin & (tile == 1)] = HEAD
    parts[(parts == -1) & (lowest < _SKIN[1]) & (triangles.max(1) < _MOUTH[1])] = MOUTH
    for start, _ in _EYES:
        parts[(first >= start) & (first < start + _CORNEA)] = EYE

    # Teeth and gums that cannot be seen from in front are left out.
    middle = neutral[triangles].mean(1)
    deep = np.isin(parts, (GUMS, TEETH)) & (middle[:, 2] < 6.5)
    parts[deep] = -1
    keep = parts >= 0
    kept = triangles[keep]
    corner_uv = uv[uv_triangles[keep]]
    corner_uv = corner_uv - np.floor(corner_uv.min(1, keepdims=True) + 1e-4)
    corner_uv[..., 1] = 1 - corner_uv[..., 1]
    kept_parts = parts[keep]

    is_lash = (first >= _LASHES[0]) & (first < _LASHES[1])
    lash_alpha = _lash_alpha(uv, len(neutral), triangles[is_lash], uv_triangles[is_lash])

    shadowing = kept[np.isin(kept_parts, (FACE, HEAD, MOUTH, EYE))]
    openness, transfer = _visibility(neutral, shadowing)

    used = np.zeros(len(neutral), bool)
    used[kept.ravel()] = True
    used[triangles[is_lash].ravel()] = True
    renumber = np.cumsum(used).astype(np.int32) - 1
    moved = np.abs(expressions[:, used]).max(2) > 1e-4
    counts = moved.sum(1)
    rows, columns = np.nonzero(moved)
    return FaceModel(
        neutral=neutral[used],
        identity=np.ascontiguousarray(identity[:, used]),
        names=names,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        delta_vertices=columns.astype(np.int32),
        deltas=np.ascontiguousarray(expressions[:, used][rows, columns]),
        triangles=renumber[kept].astype(np.int32),
        corner_uv=np.ascontiguousarray(corner_uv.astype(np.float32)),
        parts=kept_parts,
        lashes=renumber[triangles[is_lash]].astype(np.int32),
        lash_alpha=lash_alpha[used],
        openness=openness[used],
        transfer=transfer[used],
    )
