"""Textures of a simulated person: skin, hair, eyes, lips, cloth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from realtime.types import Float32Array, Int32Array
from training.rendering import kernels
from training.rendering.beard import Beard, paint_beard
from training.rendering.face_model import EYE, FACE, GUMS, HEAD, MOUTH, TEETH, FaceModel
from training.rendering.textures import is_ear, noise, smooth, to_linear

_LOG_ROUGHNESS = (np.log(0.6), np.log(2.5))
"""Range of the logarithm of a skin's coarseness, from smooth to weathered; 0 was chosen by eye."""


@lru_cache(maxsize=24)
def position_map(model: FaceModel, part: int, size: int) -> Float32Array:
    """Return the point of the mean face under each texel of a part, float32 [size, size, 3]."""
    mine = model.parts == part
    if part == EYE:
        mine &= model.neutral[model.triangles[:, 0], 0] > 0
    corners = model.triangles[mine]
    uv = model.corner_uv[mine]
    xyz = np.zeros((len(corners) * 3, 3), np.float32)
    xyz[:, :2] = uv.reshape(-1, 2) * size - 0.5
    loose = np.arange(len(xyz), dtype=np.int32).reshape(-1, 3)
    _, ids = kernels.rasterise(xyz, loose, (size, size), two_sided=True)
    covered = ids >= 0
    weights = kernels.barycentric(xyz, loose, ids)
    points = np.zeros((size, size, 3), np.float32)
    points[covered] = (model.neutral[corners[ids[covered]]] * weights[..., None]).sum(1)
    # Texels outside every triangle take their nearest neighbour, for bilinear sampling.
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[covered]] = np.flatnonzero(covered)
    filled: Float32Array = points.reshape(-1, 3)[nearest[labels]].reshape(size, size, 3)
    return filled


def hairline_y(points: Float32Array, rise: float, recede: float) -> Float32Array:
    """Return the height in cm above which a point of the head carries hair."""
    angle = np.degrees(np.arctan2(np.abs(points[..., 0]), points[..., 2] - 1.0))
    angles = [0, 18, 38, 52, 62, 70, 84, 92, 100, 125, 180]
    heights = [10.4, 10.4, 9.9 + recede, 8.6 + recede / 2, 6.6, 5.0, 4.0, 2.5, -0.5, -3.5, -4.5]
    line: Float32Array = np.interp(angle, angles, np.array(heights) + rise).astype(np.float32)
    return line


@dataclass(frozen=True, slots=True)
class PersonTraits:
    """Traits of a person, drawn by chance; colours are sRGB 0..255, lengths cm.

    `skin`: tone, 0 lightest to 1 darkest; `rise`, `recede`: of the hairline; `brow`: lift, arch,
    half thickness and opacity."""

    skin: float
    skin_rgb: Float32Array
    hair_rgb: Float32Array
    brow_rgb: Float32Array
    lip_rgb: Float32Array
    eye_rgb: Float32Array
    hair: str
    rise: float
    recede: float
    brow: tuple[float, float, float, float]
    beard: Beard
    glasses: str
    freckles: float
    redness: float
    make_up: float


def _bump(x: Float32Array, y: Float32Array, at: tuple[float, float], size: float) -> Float32Array:
    """Return a soft spot, mirrored left and right."""
    return _spot(np.abs(x), y, at, size)


def paint_hair(
    rng: np.random.Generator, points: Float32Array, traits: PersonTraits
) -> Float32Array:
    """Paint hair at points [H, W, 3]: strands run down from the crown.

    Returns linear albedo, without gloss."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2] + 1.0
    around = np.arctan2(x, z)
    down = np.arctan2(np.hypot(x, z), y - 3.0)
    locks = rng.standard_normal((24, 512)).astype(np.float32)
    sheet = cv2.resize(locks, (1024, 512), interpolation=cv2.INTER_CUBIC)
    wave = 6 * np.sin(down * rng.uniform(3, 9) + rng.uniform(0, 6))
    turned = (around / (2 * np.pi) + 0.5) * 1023 + wave
    columns = np.asarray(turned, np.float32) % 1023
    rows = np.clip(down / np.pi * 511, 0, 511).astype(np.float32)
    strands = cv2.remap(sheet, columns, rows, cv2.INTER_LINEAR)
    scatter = np.asarray(rng.standard_normal(strands.shape), np.float32)
    shade = np.exp(0.38 * strands + 0.12 * scatter)
    hair: Float32Array = to_linear(traits.hair_rgb) * shade[..., None]
    return hair


def paint_skin(
    rng: np.random.Generator, points: Float32Array, traits: PersonTraits, is_face: bool
) -> Float32Array:
    """Paint albedo and gloss [H, W, 4] of the skin, with brows, lips, beard and scalp hair."""
    # Draws that depend on the texture's size come from a generator of their own, so that a person
    # has the same moles and lids at every size.
    rng, grainy, strands, lines = rng.spawn(4)
    roughness, age = float(np.exp(lines.uniform(*_LOG_ROUGHNESS))), float(lines.beta(1.1, 2.2))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    size = (points.shape[1], points.shape[0])
    texel_cm = 36.0 / points.shape[0]
    base = to_linear(traits.skin_rgb)
    albedo = np.broadcast_to(base, (*x.shape, 3)).copy()
    gloss = np.full(x.shape, 1.0, np.float32)

    # Blood and pigment: large soft patches, mottling, pores.
    patches = noise(grainy, size, 2.6 / texel_cm)
    mottle = noise(grainy, size, 0.7 / texel_cm)
    grain = noise(grainy, size, max(1.0, 0.22 / texel_cm))
    pores = noise(grainy, size, max(1.0, 0.08 / texel_cm))
    # The texture is stretched on the neck, where fine marks would turn into streaks.
    fine = 0.25 + 0.75 * smooth((y + 0.35 * z + 8.5) / 3)
    rough = fine * (0.03 * mottle + roughness * (0.025 * grain + 0.03 * pores))
    albedo *= np.exp(0.035 * patches + rough)[..., None]
    red = 0.04 * fine * noise(grainy, size, 1.4 / texel_cm)
    if is_face:
        front = smooth((z - 1) / 5)
        red += (
            front
            * traits.redness
            * (
                0.22 * _bump(x, y, (4.2, 0.6), 1.6)
                + 0.20 * _bump(x, y, (0.0, 0.2), 1.1)
                + 0.08 * _bump(x, y, (0.0, -6.5), 1.3)
                + 0.06 * _bump(x, y, (0.0, 8.0), 2.5)
            )
        )
        red += 0.2 * traits.redness * is_ear(points)
    albedo *= np.exp(red[..., None] * np.array([0.15, -0.75, -0.6], np.float32))
    if is_face:
        wrinkles = age * _wrinkles(lines, x, y) * front
        albedo *= np.exp(-wrinkles[..., None] * np.array([0.8, 1.0, 1.0], np.float32))
        tired = _bump(x, y, (3.1, 2.5), 0.55) * rng.uniform(0.05, 0.28)
        lids = np.exp(-(((np.abs(x) - 3.3) / 1.5) ** 2 + ((y - 4.25) / 0.4) ** 2))
        tired = tired + lids * (0.08 + 0.5 * traits.make_up * rng.uniform(0.2, 0.8))
        albedo *= np.exp(-tired[..., None] * np.array([0.9, 1.0, 0.8], np.float32))
        # The rim of the lids, where the lashes grow.
        edge = np.exp(-((_lid_distance(x, y) / (0.09 + 0.05 * traits.make_up)) ** 2))
        edge *= (0.45 + 0.35 * traits.make_up) * (z > 6)
        albedo *= np.exp(-edge[..., None] * np.array([1.0, 1.2, 1.2], np.float32))
        if traits.freckles > 0.1:
            spots = noise(grainy, size, max(1.2, 0.2 / texel_cm)) - 1.7
            where = _bump(x, y, (2.6, 1.4), 2.8) * front
            spots = np.clip(spots * 2, 0, 1) * where * min(traits.freckles, 1.0)
            albedo *= np.exp(-spots[..., None] * np.array([0.45, 0.75, 0.95], np.float32))
        for _ in range(int(rng.poisson(3))):
            mole = _spot(x, y, (rng.uniform(-6, 6), rng.uniform(-7, 9)), rng.uniform(0.05, 0.13))
            mole = mole * front * rng.uniform(0.4, 1.1)
            albedo *= np.exp(-mole[..., None] * np.array([0.8, 1.1, 1.2], np.float32))
        gloss += 0.6 * _bump(x, y, (0, 0.5), 1.0) + 0.35 * _bump(x, y, (0, 8), 3.0)
        _paint_lips(grainy, albedo, gloss, points, traits)
        paint_beard(grainy, albedo, gloss, points, traits.beard, traits.hair_rgb, texel_cm)
        _paint_brows(grainy, albedo, gloss, points, traits, texel_cm)
    if traits.hair != "bald":
        line = hairline_y(points, traits.rise, traits.recede)
        ragged = line + 0.2 * noise(grainy, size, 1.2 / texel_cm) + 0.12 * pores
        soft = 0.8 if traits.hair != "buzz" else 1.4
        cover = smooth((y - ragged) / soft + 0.5) * ~is_ear(points)
        if traits.hair == "buzz":
            cover *= 0.75
        hair = paint_hair(strands, points, traits)
        albedo += cover[..., None] * (hair - albedo)
        gloss *= 1 - 0.7 * cover
    return np.concatenate([albedo, gloss[..., None]], 2)


def _wrinkles(rng: np.random.Generator, x: Float32Array, y: Float32Array) -> Float32Array:
    """Draw the lines of an old face: darkness from 0 to about 0.6 at x, y in cm on the mean face.

    They run across the forehead, beside the eyes and from the nose to the corners of the mouth."""
    dark = np.zeros_like(x)
    for level in np.arange(6.6, 9.6, 0.75) + rng.normal(0, 0.12, 4):
        wave = 0.14 * np.sin(x * rng.uniform(0.5, 1.0) + rng.uniform(0, 6))
        across = np.exp(-((x / rng.uniform(2.5, 4.5)) ** 4))
        dark += rng.uniform(0.2, 0.5) * across * np.exp(-(((y - level - wave) / 0.1) ** 2))
    side = np.abs(x)
    for slope in rng.uniform(-0.5, 0.5, 4):
        ray = y - 3.2 - slope * (side - 4.6)
        along = smooth((side - 4.7) / 0.3) * smooth((6.2 - side) / 0.5)
        dark += rng.uniform(0.15, 0.4) * along * np.exp(-((ray / 0.08) ** 2))
    fold = side - np.interp(y, [-5.0, -3.6, -1.6, 0.0], [3.5, 3.3, 2.5, 1.9])
    along = smooth((y + 5.0) / 0.8) * smooth((0.2 - y) / 0.8)
    dark += rng.uniform(0.2, 0.6) * along * np.exp(-((fold / 0.14) ** 2))
    lines: Float32Array = dark.astype(np.float32)
    return lines


def _spot(x: Float32Array, y: Float32Array, at: tuple[float, float], size: float) -> Float32Array:
    """Return a soft, round spot with 1 in its middle."""
    spot: Float32Array = np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * size * size)))
    return spot


def _lid_distance(x: Float32Array, y: Float32Array) -> Float32Array:
    """Return the distance in cm from the rim of the lids on the mean face, measured upright."""
    s = np.clip((np.abs(x) - 3.2) / 1.45, -1, 1)
    upper = 3.35 + 0.66 * (1 - s * s)
    lower = 3.35 - 0.38 * (1 - s * s)
    beyond = np.clip(np.abs(np.abs(x) - 3.2) - 1.5, 0, None)
    away = np.minimum(np.abs(y - upper), np.abs(y - lower)) + 3 * beyond
    return np.asarray(away, np.float32)


def _paint_lips(
    rng: np.random.Generator,
    albedo: Float32Array,
    gloss: Float32Array,
    points: Float32Array,
    traits: PersonTraits,
) -> None:
    """Paint the lips over `albedo` [H, W, 3] and `gloss` [H, W], of skin at `points`."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    xs = [0.0, 0.35, 0.7, 1.4, 2.0, 2.5, 3.0]
    upper = np.interp(x, xs, [-2.78, -2.68, -2.66, -2.92, -3.22, -3.47, -3.6])
    lower = np.interp(x, xs, [-4.38, -4.37, -4.32, -4.1, -3.8, -3.52, -3.4])
    inside = np.minimum(upper - y, y - lower)
    wobble = 0.03 * noise(rng, (x.shape[1], x.shape[0]), 6)
    cover = smooth((inside + wobble) / 0.16 + 0.5) * (z > 7) * (x < 2.75)
    creases = 1 + 0.06 * np.sin(points[..., 0] * 38 + 3 * wobble * 20)
    lip = to_linear(traits.lip_rgb) * creases[..., None]
    albedo += 0.85 * cover[..., None] * (lip - albedo)
    gloss += cover * (0.5 + 1.2 * traits.make_up)


def _paint_brows(
    rng: np.random.Generator,
    albedo: Float32Array,
    gloss: Float32Array,
    points: Float32Array,
    traits: PersonTraits,
    texel_cm: float,
) -> None:
    """Paint the brows over `albedo` [H, W, 3] and `gloss` [H, W], of skin at `points`."""
    lift, arch, thick, dark = traits.brow
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    middle = np.interp(x, [1.0, 2.4, 3.8, 4.8, 5.7], [5.0, 5.35, 5.75 + arch, 5.6 + arch, 5.1])
    half = thick * np.interp(x, [0.8, 1.3, 2.0, 3.8, 5.0, 5.8], [0.5, 0.9, 1, 0.85, 0.5, 0.0])
    across = (y - middle - lift) / np.maximum(half, 1e-3)
    size = (x.shape[1], x.shape[0])
    strokes = noise(rng, size, max(1.0, 0.08 / texel_cm))
    cover = smooth((1.25 - np.abs(across) + 0.08 * strokes) / 0.9)
    cover *= smooth((x - 0.95 + 0.1 * strokes) / 0.5) * smooth((5.8 - x) / 0.5) * (z > 4)
    cover = cover * dark * (0.93 + 0.07 * strokes)
    cover = np.clip(cover, 0, 1)
    albedo += cover[..., None] * (to_linear(traits.brow_rgb) - albedo)
    gloss *= 1 - 0.5 * cover


def paint_eye(rng: np.random.Generator, model: FaceModel, traits: PersonTraits) -> Float32Array:
    """Paint albedo and gloss of an eyeball, [128, 128, 4]; left and right share it."""
    points = position_map(model, EYE, 128)
    eye = model.neutral[model.triangles[model.parts == EYE].ravel()]
    left = eye[eye[:, 0] > 0]
    tip = left[left[:, 2].argmax()]
    dx, dy = points[..., 0] - tip[0], points[..., 1] - tip[1]
    behind = points[..., 2] < left[:, 2].max() - 1.3
    radius = np.hypot(dx, dy) + 5.0 * behind
    angle = np.arctan2(dy, dx)
    iris = rng.uniform(0.56, 0.62)
    pupil = rng.uniform(0.17, 0.27)
    white = to_linear(np.array([226, 218, 212], np.float32) - 14 * rng.random())
    veins = noise(rng, (128, 128), 6)
    albedo = white * np.exp(
        -0.05
        * (veins[..., None] + 1.2 * smooth(radius - 0.7)[..., None])
        * np.array([0.3, 1.5, 1.5], np.float32)
    )
    spokes = np.sin(angle * 23 + 2 * np.sin(angle * 7)) * 0.12 + 0.1 * np.sin(angle * 41)
    colour = (
        to_linear(traits.eye_rgb) * np.exp(spokes + 0.5 * smooth((0.42 - radius) / 0.2))[..., None]
    )
    ring = smooth((radius - iris + 0.12) / 0.12)
    colour = colour * (1 - 0.65 * ring[..., None])
    inside = smooth((iris + 0.02 - radius) / 0.05)
    albedo += inside[..., None] * (colour - albedo)
    albedo += smooth((pupil + 0.02 - radius) / 0.04)[..., None] * (0.004 - albedo)
    gloss = np.full(radius.shape, 1.0, np.float32)
    tile: Float32Array = np.concatenate([albedo, gloss[..., None]], 2).astype(np.float32)
    return tile


def plain(rgb: Float32Array, gloss: float, rng: np.random.Generator) -> Float32Array:
    """Paint a tile [16, 16, 4] of one colour, linear, with a little noise."""
    tile = np.empty((16, 16, 4), np.float32)
    tile[..., :3] = rgb * (1 + 0.06 * noise(rng, (16, 16), 3)[..., None])
    tile[..., 3] = gloss
    return tile


def paint_cloth(rng: np.random.Generator) -> Float32Array:
    """Paint albedo and gloss of cloth, [192, 256, 4]; u runs round the body, v downwards."""
    hue = np.array([[[rng.integers(0, 180), rng.integers(10, 170), rng.integers(40, 230)]]])
    colour = cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    size = (256, 192)
    folds = noise(rng, size, 22) * 0.10 + noise(rng, size, 7) * 0.05 + noise(rng, size, 1) * 0.05
    albedo = to_linear(colour) * np.exp(folds)[..., None]
    if rng.random() < 0.3:
        v, u = np.mgrid[0:192, 0:256]
        period = rng.integers(6, 16)
        stripes = ((v if rng.random() < 0.5 else u) % period) < period / 2
        other = to_linear(np.clip(colour * rng.uniform(0.4, 1.6), 10, 240))
        albedo[stripes] = 0.5 * albedo[stripes] + 0.5 * other
    gloss = np.full((192, 256, 1), 0.15, np.float32)
    tile: Float32Array = np.concatenate([albedo, gloss], 2).astype(np.float32)
    return tile


def paint_hair_tile(
    rng: np.random.Generator, traits: PersonTraits, sheet: Float32Array | None = None
) -> Float32Array:
    """Paint albedo and gloss of hair that hangs as a sheet [rows, columns, 3], [256, 256, 4].

    Without a sheet, nothing shows the tile, and it is plain."""
    if sheet is None:
        return plain(to_linear(traits.hair_rgb), 0.3, rng)
    points = cv2.resize(sheet, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    hair = paint_hair(rng, points, traits)
    return np.concatenate([hair, np.full((256, 256, 1), 0.3, np.float32)], 2)


def paint_head_tiles(
    part_rngs: Sequence[np.random.Generator], model: FaceModel, traits: PersonTraits, size: int
) -> dict[int, Float32Array]:
    """Paint albedo and gloss [H, W, 4] of each part of the head but hair that hangs.

    `part_rngs`: a generator for each part; `size`: side of the face's tile in texels."""
    head_size = max(192, size * 3 // 4)
    face, head = position_map(model, FACE, size), position_map(model, HEAD, head_size)
    return {
        FACE: paint_skin(part_rngs[FACE], face, traits, True),
        HEAD: paint_skin(part_rngs[HEAD], head, traits, False),
        MOUTH: plain(to_linear([120, 55, 52]), 0.6, part_rngs[MOUTH]),
        GUMS: plain(to_linear([168, 92, 92]), 1.0, part_rngs[GUMS]),
        TEETH: plain(to_linear([238, 228, 206]), 1.0, part_rngs[TEETH]),
        EYE: paint_eye(part_rngs[EYE], model, traits),
    }


def join_tiles(tiles: Mapping[int, Float32Array]) -> tuple[Float32Array, Int32Array]:
    """Join the tiles [H, W, 4] of parts 0, 1, 2 ... to one texture.

    Returns float32 [P, 4] and, as int32 [parts, 3], first texel, width and height of each."""
    buffers, rows, start = [], [], 0
    for part in range(len(tiles)):
        tile = tiles[part].astype(np.float32)
        rows.append((start, tile.shape[1], tile.shape[0]))
        buffers.append(tile.reshape(-1, 4))
        start += len(buffers[-1])
    texture = np.ascontiguousarray(np.clip(np.concatenate(buffers), 0, 4))
    return texture, np.array(rows, np.int32)
