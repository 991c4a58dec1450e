"""People: who sits in front of the simulated camera, in what clothes and before what wall.

Everything is procedural and follows from one seed. Marks are painted where they lie on the mean
face (centimetres) and so follow every identity, because all share one topology.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, Int32Array
from training import occluders, render
from training.face_model import CLOTH, EYE, FACE, GUMS, HAIR, HEAD, MOUTH, TEETH, FaceModel
from training.occluders import Beard, Glasses
from training.paint import is_ear, noise, ramp, smooth, to_linear

_SKIN_SRGB = np.array(
    [
        (233, 198, 178),
        (224, 182, 156),
        (210, 162, 132),
        (190, 140, 108),
        (156, 108, 78),
        (116, 76, 54),
        (80, 52, 40),
    ],
    np.float32,
)
"""Skin from the lightest to the darkest, by eye, after the ten swatches of the Monk scale."""

_HAIR_SRGB = np.array(
    [(22, 18, 16), (38, 27, 22), (66, 44, 32), (104, 72, 46), (160, 122, 78), (150, 146, 142)],
    np.float32,
)
_EYE_SRGB = np.array(
    [(58, 36, 22), (84, 54, 30), (110, 84, 44), (96, 112, 76), (92, 124, 150), (120, 138, 148)],
    np.float32,
)
_EAR_REST_CM = np.array([7.6, 4.3, -0.6], np.float32)
"""Where the arm of a pair of glasses rests on the left ear of the mean face."""

_GOLDEN_RATIO = 0.618_033_988_749_895

_SHAVED = Beard("none", 0.0, 0.0, 0.0, 0.0, 1.0)
_SHADOW_ODDS = (0.4, 0.25, 0.2, 0.15)

_LOG_ROUGHNESS = (np.log(0.6), np.log(2.5))
"""How coarse a skin is, from smooth to weathered, around what was chosen by eye."""

HAIR_STYLES = ("bald", "buzz", "short", "full", "long")


@dataclass(frozen=True, slots=True)
class Actor:
    """One person, ready to be posed.

    `points` float32 [V, 3]: the neutral face with hair and clothes; the first vertices are the
    face model's. `follow` float32 [V]: 1 moves with the head, 0 with the body. `texture`
    float32 [P, 4]: linear albedo and gloss of all parts; `tiles` int32 [8, 3]: first texel,
    width and height of each. `eye_vertices`: those of the left and of the right eyeball, with
    `eye_centres` [2, 3] and `eye_radii` in cm; `is_eye` [T]: triangles of either.

    `veils` int32 [W, 3]: translucent triangles, of lashes and glasses; `veil_alpha` [V],
    `veil_albedo` [V, 3] linear; `mirror` [V] and `window_rad`: see `Glasses`; `worn_normals`
    [G, 3]: of the last G points, the glasses, which no expression moves.
    """

    subject: int
    skin: float
    hair: str
    points: Float32Array
    triangles: Int32Array
    corner_uv: Float32Array
    parts: Int32Array
    follow: Float32Array
    gloss: Float32Array
    hardness: Float32Array
    openness: Float32Array
    transfer: Float32Array
    texture: Float32Array
    tiles: Int32Array
    eye_vertices: tuple[Int32Array, Int32Array]
    eye_centres: Float32Array
    eye_radii: tuple[float, float]
    is_eye: npt.NDArray[np.bool_]
    veils: Int32Array
    veil_alpha: Float32Array
    veil_albedo: Float32Array
    mirror: Float32Array
    window_rad: tuple[float, float]
    worn_normals: Float32Array


@lru_cache(maxsize=24)
def _position_map(model: FaceModel, part: int, size: int) -> Float32Array:
    """float32 [size, size, 3]: the point of the mean face under each texel of a part."""
    mine = model.parts == part
    if part == EYE:
        mine &= model.neutral[model.triangles[:, 0], 0] > 0
    corners = model.triangles[mine]
    uv = model.corner_uv[mine]
    xyz = np.zeros((len(corners) * 3, 3), np.float32)
    xyz[:, :2] = uv.reshape(-1, 2) * size - 0.5
    loose = np.arange(len(xyz), dtype=np.int32).reshape(-1, 3)
    _, ids = render.rasterise(xyz, loose, (size, size), two_sided=True)
    covered = ids >= 0
    weights = render.barycentric(xyz, loose, ids)
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


def _hairline_y(points: Float32Array, rise: float, recede: float) -> Float32Array:
    """Height in cm above which a point of the head carries hair."""
    angle = np.degrees(np.arctan2(np.abs(points[..., 0]), points[..., 2] - 1.0))
    angles = [0, 18, 38, 52, 62, 70, 84, 92, 100, 125, 180]
    heights = [10.4, 10.4, 9.9 + recede, 8.6 + recede / 2, 6.6, 5.0, 4.0, 2.5, -0.5, -3.5, -4.5]
    line: Float32Array = np.interp(angle, angles, np.array(heights) + rise).astype(np.float32)
    return line


@dataclass(frozen=True, slots=True)
class Looks:
    """What chance decided about a person; colours are sRGB 0..255, lengths cm."""

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


_NO_GLASSES = Glasses(
    *(np.zeros((0, 3), np.float32),) * 2,
    np.zeros((0, 3), np.int32),
    np.zeros(0, np.float32),
    np.zeros((0, 3), np.float32),
    *(np.zeros(0, np.float32),) * 3,
    (0.0, 0.0),
)


def _looks(rng: np.random.Generator, subject: int, skin: float | None) -> Looks:
    worn = np.random.default_rng([7_303, subject])
    # Multiples of the golden ratio: any run of people covers the whole range evenly.
    even = float((subject * _GOLDEN_RATIO + 0.05 * rng.uniform()) % 1)
    tone = even if skin is None else skin
    rgb = ramp(_SKIN_SRGB, tone) * rng.normal(1, 0.012, 3).astype(np.float32)
    style = str(rng.choice(HAIR_STYLES, p=[0.05, 0.12, 0.33, 0.25, 0.25]))
    # Dark skin goes with dark hair and eyes; light skin with any.
    shade = float(rng.beta(1.2, 2.2)) * (1 - 0.85 * tone)
    hair = ramp(_HAIR_SRGB[:5], shade)
    if rng.random() < 0.1:
        hair = _HAIR_SRGB[5] * rng.uniform(0.6, 1.0)
    feminine = bool(rng.random() < (0.85 if style == "long" else 0.35))
    make_up = float(rng.uniform(0.2, 1)) if feminine and rng.random() < 0.6 else 0.0
    lip = rgb * np.array([0.86, 0.62, 0.62], np.float32)
    painted = np.array([170, 50, 62], np.float32) * rng.uniform(0.7, 1.1)
    lip = lip + (painted - lip) * 0.6 * make_up
    return Looks(
        skin=tone,
        skin_rgb=rgb,
        hair_rgb=hair,
        brow_rgb=np.minimum(hair * 0.9, 90),
        lip_rgb=lip,
        eye_rgb=ramp(_EYE_SRGB, float(rng.beta(1, 1.6)) * (1 - 0.9 * tone)),
        hair=style,
        rise=float(rng.normal(0, 0.5)),
        recede=0.0 if feminine else float(max(0, rng.normal(0.2, 0.7))),
        brow=(
            float(rng.normal(0, 0.15)),
            float(rng.normal(0, 0.15)),
            float(rng.uniform(0.26, 0.5) * (0.75 if feminine else 1.0)),
            float(rng.uniform(0.55, 0.95)),
        ),
        beard=_SHAVED
        if feminine
        else occluders.draw_beard(worn, float(rng.choice([0, 0.06, 0.12, 0.2], p=_SHADOW_ODDS))),
        glasses=occluders.draw_glasses(worn),
        freckles=float(max(0, rng.normal(0.0, 0.5))) * (1 - tone),
        redness=float(rng.uniform(0.3, 1.0)),
        make_up=make_up,
    )


def _bump(x: Float32Array, y: Float32Array, at: tuple[float, float], size: float) -> Float32Array:
    """A soft spot, mirrored left and right."""
    return _spot(np.abs(x), y, at, size)


def _paint_hair(rng: np.random.Generator, points: Float32Array, looks: Looks) -> Float32Array:
    """Linear albedo of hair at points [H, W, 3]: strands run down from the crown."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2] + 1.0
    around = np.arctan2(x, z)
    down = np.arctan2(np.hypot(x, z), y - 3.0)
    locks = rng.standard_normal((24, 512)).astype(np.float32)
    sheet = cv2.resize(locks, (1024, 512), interpolation=cv2.INTER_CUBIC)
    wave = 6 * np.sin(down * rng.uniform(3, 9) + rng.uniform(0, 6))
    columns = ((around / (2 * np.pi) + 0.5) * 1023 + wave).astype(np.float32) % 1023
    rows = np.clip(down / np.pi * 511, 0, 511).astype(np.float32)
    strands = cv2.remap(sheet, columns, rows, cv2.INTER_LINEAR)
    shade = np.exp(0.38 * strands + 0.12 * rng.standard_normal(strands.shape).astype(np.float32))
    hair: Float32Array = to_linear(looks.hair_rgb) * shade[..., None]
    return hair


def _paint_skin(
    rng: np.random.Generator, points: Float32Array, looks: Looks, is_face: bool
) -> Float32Array:
    """Albedo and gloss [H, W, 4] of the skin, with brows, lips, beard and scalp hair."""
    # Draws that depend on the texture's size come from a generator of their own, so that a person
    # has the same moles and lids at every size.
    rng, grainy, strands, lines = rng.spawn(4)
    roughness, age = float(np.exp(lines.uniform(*_LOG_ROUGHNESS))), float(lines.beta(1.1, 2.2))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    size = (points.shape[1], points.shape[0])
    texel_cm = 36.0 / points.shape[0]
    base = to_linear(looks.skin_rgb)
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
            * looks.redness
            * (
                0.22 * _bump(x, y, (4.2, 0.6), 1.6)
                + 0.20 * _bump(x, y, (0.0, 0.2), 1.1)
                + 0.08 * _bump(x, y, (0.0, -6.5), 1.3)
                + 0.06 * _bump(x, y, (0.0, 8.0), 2.5)
            )
        )
        red += 0.2 * looks.redness * is_ear(points)
    albedo *= np.exp(red[..., None] * np.array([0.15, -0.75, -0.6], np.float32))
    if is_face:
        wrinkles = age * _wrinkles(lines, x, y) * front
        albedo *= np.exp(-wrinkles[..., None] * np.array([0.8, 1.0, 1.0], np.float32))
        tired = _bump(x, y, (3.1, 2.5), 0.55) * rng.uniform(0.05, 0.28)
        lids = np.exp(-(((np.abs(x) - 3.3) / 1.5) ** 2 + ((y - 4.25) / 0.4) ** 2))
        tired = tired + lids * (0.08 + 0.5 * looks.make_up * rng.uniform(0.2, 0.8))
        albedo *= np.exp(-tired[..., None] * np.array([0.9, 1.0, 0.8], np.float32))
        # The rim of the lids, where the lashes grow.
        edge = np.exp(-((_lid_distance(x, y) / (0.09 + 0.05 * looks.make_up)) ** 2))
        edge *= (0.45 + 0.35 * looks.make_up) * (z > 6)
        albedo *= np.exp(-edge[..., None] * np.array([1.0, 1.2, 1.2], np.float32))
        if looks.freckles > 0.1:
            spots = noise(grainy, size, max(1.2, 0.2 / texel_cm)) - 1.7
            where = _bump(x, y, (2.6, 1.4), 2.8) * front
            spots = np.clip(spots * 2, 0, 1) * where * min(looks.freckles, 1.0)
            albedo *= np.exp(-spots[..., None] * np.array([0.45, 0.75, 0.95], np.float32))
        for _ in range(int(rng.poisson(3))):
            mole = _spot(x, y, (rng.uniform(-6, 6), rng.uniform(-7, 9)), rng.uniform(0.05, 0.13))
            mole = mole * front * rng.uniform(0.4, 1.1)
            albedo *= np.exp(-mole[..., None] * np.array([0.8, 1.1, 1.2], np.float32))
        gloss += 0.6 * _bump(x, y, (0, 0.5), 1.0) + 0.35 * _bump(x, y, (0, 8), 3.0)
        _paint_lips(grainy, albedo, gloss, points, looks)
        occluders.paint_beard(grainy, albedo, gloss, points, looks.beard, looks.hair_rgb, texel_cm)
        _paint_brows(grainy, albedo, gloss, points, looks, texel_cm)
    if looks.hair != "bald":
        line = _hairline_y(points, looks.rise, looks.recede)
        ragged = line + 0.2 * noise(grainy, size, 1.2 / texel_cm) + 0.12 * pores
        soft = 0.8 if looks.hair != "buzz" else 1.4
        cover = smooth((y - ragged) / soft + 0.5) * ~is_ear(points)
        if looks.hair == "buzz":
            cover *= 0.75
        hair = _paint_hair(strands, points, looks)
        albedo += cover[..., None] * (hair - albedo)
        gloss *= 1 - 0.7 * cover
    return np.concatenate([albedo, gloss[..., None]], 2)


def _wrinkles(rng: np.random.Generator, x: Float32Array, y: Float32Array) -> Float32Array:
    """How dark the lines of an old face are, 0 to about 0.6: across the forehead, beside the eyes
    and from the nose to the corners of the mouth. Centimetres on the mean face."""
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
    spot: Float32Array = np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * size * size)))
    return spot


def _lid_distance(x: Float32Array, y: Float32Array) -> Float32Array:
    """Distance in cm from the opening of the eyes on the mean face, measured upright."""
    s = np.clip((np.abs(x) - 3.2) / 1.45, -1, 1)
    upper = 3.35 + 0.66 * (1 - s * s)
    lower = 3.35 - 0.38 * (1 - s * s)
    beyond = np.clip(np.abs(np.abs(x) - 3.2) - 1.5, 0, None)
    away: Float32Array = np.minimum(np.abs(y - upper), np.abs(y - lower)) + 3 * beyond
    return away


def _paint_lips(
    rng: np.random.Generator,
    albedo: Float32Array,
    gloss: Float32Array,
    points: Float32Array,
    looks: Looks,
) -> None:
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    xs = [0.0, 0.35, 0.7, 1.4, 2.0, 2.5, 3.0]
    upper = np.interp(x, xs, [-2.78, -2.68, -2.66, -2.92, -3.22, -3.47, -3.6])
    lower = np.interp(x, xs, [-4.38, -4.37, -4.32, -4.1, -3.8, -3.52, -3.4])
    inside = np.minimum(upper - y, y - lower)
    wobble = 0.03 * noise(rng, (x.shape[1], x.shape[0]), 6)
    cover = smooth((inside + wobble) / 0.16 + 0.5) * (z > 7) * (x < 2.75)
    creases = 1 + 0.06 * np.sin(points[..., 0] * 38 + 3 * wobble * 20)
    lip = to_linear(looks.lip_rgb) * creases[..., None]
    albedo += 0.85 * cover[..., None] * (lip - albedo)
    gloss += cover * (0.5 + 1.2 * looks.make_up)


def _paint_brows(
    rng: np.random.Generator,
    albedo: Float32Array,
    gloss: Float32Array,
    points: Float32Array,
    looks: Looks,
    texel_cm: float,
) -> None:
    lift, arch, thick, dark = looks.brow
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
    albedo += cover[..., None] * (to_linear(looks.brow_rgb) - albedo)
    gloss *= 1 - 0.5 * cover


def _paint_eye(rng: np.random.Generator, model: FaceModel, looks: Looks) -> Float32Array:
    """Albedo and gloss of an eyeball, [128, 128, 4]; left and right share it."""
    points = _position_map(model, EYE, 128)
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
        to_linear(looks.eye_rgb) * np.exp(spokes + 0.5 * smooth((0.42 - radius) / 0.2))[..., None]
    )
    ring = smooth((radius - iris + 0.12) / 0.12)
    colour = colour * (1 - 0.65 * ring[..., None])
    inside = smooth((iris + 0.02 - radius) / 0.05)
    albedo += inside[..., None] * (colour - albedo)
    albedo += smooth((pupil + 0.02 - radius) / 0.04)[..., None] * (0.004 - albedo)
    gloss = np.full(radius.shape, 1.0, np.float32)
    tile: Float32Array = np.concatenate([albedo, gloss[..., None]], 2).astype(np.float32)
    return tile


def _plain(rgb: Float32Array, gloss: float, rng: np.random.Generator) -> Float32Array:
    tile = np.empty((16, 16, 4), np.float32)
    tile[..., :3] = rgb * (1 + 0.06 * noise(rng, (16, 16), 3)[..., None])
    tile[..., 3] = gloss
    return tile


def _paint_cloth(rng: np.random.Generator) -> Float32Array:
    """Albedo and gloss [192, 256, 4]; u runs round the body, v downwards."""
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


def _grid_mesh(points: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Triangles and corner uv of a [rows, columns, 3] sheet."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)])
    v, u = np.mgrid[0:rows, 0:columns]
    uv = np.stack([u / (columns - 1), v / (rows - 1)], 2).reshape(-1, 2).astype(np.float32)
    return triangles, uv[triangles]


def _shirt(rng: np.random.Generator, collar_cm: float) -> Float32Array:
    """A sheet [24, 64, 3] round the shoulders, from the collar down."""
    heights = np.array([-11.3, -11.9, -12.8, -14.4, -17.0, -21.0, -30.0, -45.0, -60.0])
    widths = np.array([7.0, 8.6, 11.6, 15.6, 18.6, 20.4, 21.0, 21.5, 22.0]) * rng.uniform(
        0.92, 1.08
    )
    widths[0] = 7.0
    depths = np.array([6.6, 7.2, 8.2, 9.4, 10.6, 11.6, 12.6, 13.0, 13.0])
    t = np.linspace(0, 8, 24)
    k = np.arange(9)
    y, a, b = (np.interp(t, k, table) for table in (heights, widths, depths))
    a[0] -= 0.5  # turns the collar's edge inwards
    angle = np.linspace(-np.pi, np.pi, 64)
    sx = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.8
    sz = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8
    sheet = np.empty((24, 64, 3), np.float32)
    sheet[..., 0] = a[:, None] * sx
    sheet[..., 2] = -2.2 + b[:, None] * sz
    slope = np.interp(t, [0, 3, 5, 8], [0.45, 0.4, 0.15, 0])
    sheet[..., 1] = (
        y[:, None] - slope[:, None] * (sheet[..., 2] + 2.2) + collar_cm * (t < 3)[:, None]
    )
    return sheet


def _long_hair(rng: np.random.Generator) -> Float32Array:
    """A sheet [20, 72, 3] behind the face, from the crown to the shoulders."""
    length = rng.uniform(-16, -7)
    spread = rng.uniform(9.2, 10.4)
    t = np.linspace(0, 1, 20)
    y = 14.9 + (length - 14.9) * t**1.25
    angle = np.linspace(-1, 1, 72)
    front = rng.uniform(1.95, 2.25)
    opening = np.interp(y, [length, 2.0, 7.0, 10.5, 15.0], [front, front, front, 2.6, 3.14])
    radius = np.interp(
        y,
        [-16, -8, 0, 6, 10, 13, 14.6, 14.9],
        [spread + 1.0, spread + 0.6, spread, 9.3, 8.5, 5.4, 2.0, 0.1],
    )
    phi = np.pi + angle[None] * opening[:, None]
    lumps = 1 + 0.03 * np.sin(angle * 37 + rng.uniform(0, 6))[None] * t[:, None]
    lumps = lumps + 0.02 * np.sin(angle * 61 + rng.uniform(0, 6))[None] * t[:, None]
    sheet = np.empty((20, 72, 3), np.float32)
    sheet[..., 0] = radius[:, None] * np.sin(phi) * lumps
    sheet[..., 2] = -0.8 + radius[:, None] * np.cos(phi) * lumps
    sheet[..., 1] = y[:, None] + 0.25 * np.sin(angle * 29)[None] * t[:, None]
    return sheet


def _texture_size(face_px: float) -> int:
    """Texels of the face's tile for about one texel a rendered pixel: more would shimmer."""
    return int(np.clip(64 * np.ceil(1.75 * face_px / 64), 192, 1024))


def looks_of(subject: int, skin: float | None = None) -> Looks:
    """What a person is like, without the work of painting them."""
    return _looks(np.random.default_rng([7_301, subject]), subject, skin)


def make_actor(model: FaceModel, subject: int, face_px: float, skin: float | None = None) -> Actor:
    """The person with this number; the same number is the same person in every clip.

    `face_px`: height of the face as it will be rendered, which sets the detail of textures.
    `skin`: 0 lightest to 1 darkest; by chance if None."""
    rng = np.random.default_rng([7_301, subject])
    looks = _looks(rng, subject, skin)
    weights = np.clip(rng.normal(0, 0.8, len(model.identity)), -2.2, 2.2).astype(np.float32)
    face = model.neutral + np.tensordot(weights, model.identity, 1)
    glasses = None
    if looks.glasses != "none":
        glasses = _fitted_glasses(model, subject, looks.glasses, face)
    on_skin = np.zeros(len(face), bool)
    on_skin[model.triangles[np.isin(model.parts, (FACE, HEAD))].ravel()] = True
    normals = render.vertex_normals(model.neutral, model.triangles)

    if looks.beard.length_cm:
        lift = occluders.beard_lift_cm(looks.beard, model.neutral) * on_skin
        lift *= 1 + 0.15 * np.sin(model.neutral @ np.array([2.1, 1.3, 1.7], np.float32))
        face = face + (lift * smooth(normals[:, 2] + 0.3))[:, None] * normals
    if looks.hair != "bald":
        volume = {"buzz": 0.25, "short": 1.3, "full": 2.4, "long": 1.0}[looks.hair]
        volume *= rng.uniform(0.7, 1.3)
        above = model.neutral[:, 1] - _hairline_y(model.neutral, looks.rise, looks.recede)
        lift = volume * smooth(above / 3.2) * ~is_ear(model.neutral)
        # Cut short round the ears, unless it is full.
        height = model.neutral[:, 1]
        lift *= 0.12 + 0.88 * smooth((height - (0.5 if looks.hair == "full" else 3.5)) / 7)
        top = smooth((height - 7) / 6)
        lump = 1 + 0.16 * np.sin(model.neutral @ rng.normal(0, 0.7, 3) + rng.uniform(0, 6))
        face = face + (on_skin * lift * lump * (0.7 + 0.5 * top))[:, None] * normals

    size = _texture_size(face_px)
    brushes = [np.random.default_rng([7_302, subject, part]) for part in range(8)]
    gums = to_linear([168, 92, 92])
    tiles = {
        FACE: _paint_skin(brushes[FACE], _position_map(model, FACE, size), looks, True),
        HEAD: _paint_skin(
            brushes[HEAD], _position_map(model, HEAD, max(192, size * 3 // 4)), looks, False
        ),
        MOUTH: _plain(to_linear([120, 55, 52]), 0.6, brushes[MOUTH]),
        GUMS: _plain(gums, 1.0, brushes[GUMS]),
        TEETH: _plain(to_linear([238, 228, 206]), 1.0, brushes[TEETH]),
        EYE: _paint_eye(brushes[EYE], model, looks),
        CLOTH: _paint_cloth(brushes[CLOTH]),
    }
    collar_cm = float(brushes[CLOTH].uniform(-1.5, 0.6))
    shirt = _shirt(brushes[CLOTH], collar_cm)
    sheets = [(CLOTH, shirt, False), (CLOTH, shirt * np.float32(0.985), True)]
    if looks.hair == "long":
        sheet = _long_hair(brushes[HAIR])
        tall = cv2.resize(sheet, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        hair = _paint_hair(brushes[HAIR], tall, looks)
        tiles[HAIR] = np.concatenate([hair, np.full((256, 256, 1), 0.3, np.float32)], 2)
        sheets += [
            (HAIR, sheet, False),
            (HAIR, sheet * np.array([0.96, 1, 0.96], np.float32), True),
        ]
    else:
        tiles[HAIR] = _plain(to_linear(looks.hair_rgb), 0.3, brushes[HAIR])

    # What the shirt covers is drawn in, and left out below, or it would show through the cloth.
    level = model.neutral[:, 1] + 0.45 * (model.neutral[:, 2] + 2.2)
    below = smooth((collar_cm - 11.9 - level) / 1.5)[:, None]
    axis = np.array([0.0, 0.0, -2.2], np.float32)
    face = face - below * (0.14 * (face - axis) * (1, 0, 1) + (0.0, 0.9, 0.0))
    bare = (level > collar_cm - 16.0)[model.triangles].any(1)
    points, triangles = [face], [model.triangles[bare]]
    uv, parts = [model.corner_uv[bare]], [model.parts[bare]]
    first = len(face)
    for part, sheet, is_lining in sheets:
        corners, corner_uv = _grid_mesh(sheet)
        if is_lining:
            corners, corner_uv = corners[:, ::-1], corner_uv[:, ::-1]
        points.append(sheet.reshape(-1, 3))
        triangles.append(corners + first)
        uv.append(corner_uv)
        parts.append(np.full(len(corners), part, np.int32))
        first += sheet.shape[0] * sheet.shape[1]
    worn = _NO_GLASSES if glasses is None else glasses
    points.append(worn.points)
    everything = np.concatenate(points).astype(np.float32)
    extra = len(everything) - len(face)
    on_frame = slice(len(everything) - len(worn.points), None)

    vertex_part = np.full(len(everything), FACE)
    all_triangles = np.concatenate(triangles).astype(np.int32)
    all_parts = np.concatenate(parts)
    vertex_part[all_triangles.ravel()] = np.repeat(all_parts, 3)
    gloss = np.array([0.11, 0.09, 0.35, 0.4, 0.5, 1.6, 0.05, 0.2], np.float32)[vertex_part]
    gloss[vertex_part == FACE] *= np.float32(rng.uniform(0.5, 1.6))
    hardness = np.array([11, 10, 24, 30, 40, 160, 6, 14], np.float32)[vertex_part]

    gloss[on_frame] = worn.gloss
    hardness[on_frame] = worn.hardness

    openness = np.concatenate([model.openness, np.full(extra, 0.85, np.float32)])
    transfer = np.zeros((len(everything), 9), np.float32)
    transfer[: len(face)] = model.transfer
    if glasses is not None:
        shade = occluders.frame_shade(glasses, face)
        openness[: len(face)] *= shade
        transfer[: len(face)] *= shade[:, None]
    transfer[len(face) :, 0] = 1 / 0.282095
    eye = vertex_part == EYE
    eyes = [
        np.flatnonzero(eye & (everything[:, 0] * side > 0)).astype(np.int32) for side in (1, -1)
    ]
    centres = np.array([(everything[v].max(0) + everything[v].min(0)) / 2 for v in eyes])
    radii = [float(everything[v, 2].max() - c[2]) for v, c in zip(eyes, centres, strict=True)]
    openness[eye] = np.clip(openness[eye] * 1.6 + 0.12, 0, 1)
    transfer[eye] = 0
    transfer[eye, 0] = 0.8 / 0.282095
    inner = np.isin(vertex_part, (TEETH, GUMS))
    openness[inner] = np.clip((model.neutral[:, 2][inner[: len(face)]] - 6) / 5, 0.05, 0.8)
    transfer[inner] = 0
    transfer[inner, 0] = openness[inner] / 0.282095

    level = everything[:, 1] + 0.4 * everything[:, 2]
    follow = smooth((level + 16) / 9)
    follow[vertex_part == CLOTH] = 0
    follow[on_frame] = 1
    if looks.hair == "long":
        hanging = vertex_part == HAIR
        follow[hanging] = 0.35 + 0.65 * smooth((everything[hanging, 1] + 16) / 14)

    alpha = np.concatenate([model.lash_alpha, np.zeros(extra, np.float32)])
    alpha *= np.float32(0.3 + 0.45 * looks.make_up)
    alpha[on_frame] = worn.alpha
    albedo = np.full((len(everything), 3), to_linear([30, 22, 20]))
    albedo[on_frame] = worn.albedo
    mirror = np.zeros(len(everything), np.float32)
    mirror[on_frame] = worn.mirror

    buffers, rows, start = [], [], 0
    for part in range(8):
        tile = tiles[part].astype(np.float32)
        rows.append((start, tile.shape[1], tile.shape[0]))
        buffers.append(tile.reshape(-1, 4))
        start += len(buffers[-1])
    return Actor(
        subject=subject,
        skin=looks.skin,
        hair=looks.hair,
        points=everything,
        triangles=all_triangles,
        corner_uv=np.ascontiguousarray(np.concatenate(uv), np.float32),
        parts=all_parts.astype(np.int32),
        follow=follow.astype(np.float32),
        gloss=gloss.astype(np.float32),
        hardness=hardness,
        openness=openness.astype(np.float32),
        transfer=transfer,
        texture=np.ascontiguousarray(np.clip(np.concatenate(buffers), 0, 4)),
        tiles=np.array(rows, np.int32),
        eye_vertices=(eyes[0], eyes[1]),
        eye_centres=centres.astype(np.float32),
        eye_radii=(radii[0], radii[1]),
        is_eye=all_parts == EYE,
        veils=np.concatenate([model.lashes, worn.triangles + on_frame.start]).astype(np.int32),
        veil_alpha=alpha,
        veil_albedo=albedo,
        mirror=mirror,
        window_rad=worn.window_rad,
        worn_normals=worn.normals,
    )


def _fitted_glasses(model: FaceModel, subject: int, style: str, face: Float32Array) -> Glasses:
    """Glasses for one face, the neutral [V, 3] without hair."""
    skin = np.unique(model.triangles[np.isin(model.parts, (FACE, HEAD))])
    eye = np.unique(model.triangles[model.parts == EYE])
    eyes, ears = [], []
    for side in (1, -1):
        ball = face[eye[model.neutral[eye, 0] * side > 0]]
        eyes.append((ball.max(0) + ball.min(0)) / 2)
        rest = np.linalg.norm(model.neutral[skin] - _EAR_REST_CM * (side, 1, 1), axis=1)
        ears.append(face[skin[rest.argmin()]])
    radius = float(face[eye, 2].max() - eyes[0][2])
    rng = np.random.default_rng([7_304, subject])
    return occluders.fit_glasses(rng, style, face[skin], np.array(eyes), radius, np.array(ears))


def _muted(rng: np.random.Generator, light: tuple[int, int]) -> tuple[float, float, float]:
    """A colour as rooms have it, sRGB."""
    hue = np.array([[[rng.integers(0, 180), rng.beta(1.2, 3) * 170, rng.integers(*light)]]])
    r, g, b = cv2.cvtColor(hue.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def _box(
    picture: Float32Array,
    x: float,
    y: float,
    w: float,
    h: float,
    colour: tuple[float, float, float],
) -> None:
    """Fills a rectangle given in shares of the picture."""
    height, width = picture.shape[:2]
    first = (int(x * width), int(y * height))
    last = (int((x + w) * width), int((y + h) * height))
    cv2.rectangle(picture, first, last, colour, -1)


def make_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> Float32Array:
    """A wall with out-of-focus furniture, linear float32 [H, W, 3]."""
    width, height = size_wh
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = _muted(rng, (90, 235))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.1, 0.9), rng.uniform(-0.1, 0.5)
        match rng.integers(4):
            case 0:  # a picture on the wall
                w, h = rng.uniform(0.12, 0.35, 2)
                _box(picture, x, y, w, h, _muted(rng, (20, 250)))
                _box(picture, x + 0.015, y + 0.02, w - 0.03, h - 0.04, _muted(rng, (120, 255)))
                _box(picture, x + w * 0.3, y + h * 0.3, w * 0.4, h * 0.4, _muted(rng, (30, 220)))
            case 1:  # a shelf of books
                board = _muted(rng, (40, 160))
                for row in range(int(rng.integers(1, 4))):
                    top, at = y + 0.22 * row, x
                    while at < x + 0.35:
                        w, h = rng.uniform(0.012, 0.035), rng.uniform(0.1, 0.17)
                        _box(picture, at, top + 0.18 - h, w, h, _muted(rng, (30, 230)))
                        at += w + 0.004
                    _box(picture, x - 0.01, top + 0.18, 0.38, 0.02, board)
            case 2:  # a window or a lamp's light
                w, h = rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.7)
                _box(picture, x, y, w, h, _muted(rng, (215, 255)))
                _box(picture, x + w / 2 - 0.01, y, 0.02, h, _muted(rng, (90, 200)))
            case _:  # a door, a curtain, a cupboard
                _box(picture, x, y, rng.uniform(0.15, 0.45), 1.5, _muted(rng, (50, 230)))
    blur_px = float(np.exp(rng.uniform(0, 2.2)) * width / 400)
    soft = cv2.GaussianBlur(picture, (0, 0), blur_px)
    gx, gy = rng.normal(0, 0.35, 2)
    v, u = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)
    shade = np.exp(gx * u + gy * v)
    texture = 1 + 0.012 * noise(rng, size_wh, 2) + 0.01 * noise(rng, size_wh, 24)
    lit = rng.uniform(0.4, 1.0)
    wall: Float32Array = to_linear(soft) * (shade * texture * lit)[..., None].astype(np.float32)
    return wall
