"""People: who sits in front of the simulated camera, in what clothes and before what wall.

Everything is procedural and follows from one seed. Marks are painted where they lie on the mean
face (centimetres) and so follow every identity, because all share one topology.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, Int32Array
from training.rendering import kernels
from training.rendering.beard import Beard, beard_lift_cm, draw_beard
from training.rendering.face_model import (
    CLOTH,
    EYE,
    FACE,
    GUMS,
    HAIR,
    HEAD,
    MOUTH,
    TEETH,
    FaceModel,
)
from training.rendering.face_texture import (
    PersonTraits,
    hairline_y,
    paint_cloth,
    paint_eye,
    paint_hair,
    paint_skin,
    plain,
    position_map,
)
from training.rendering.glasses import Glasses, draw_glasses, fit_glasses, frame_shade
from training.rendering.textures import is_ear, ramp, smooth, to_linear

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


_NO_GLASSES = Glasses(
    *(np.zeros((0, 3), np.float32),) * 2,
    np.zeros((0, 3), np.int32),
    np.zeros(0, np.float32),
    np.zeros((0, 3), np.float32),
    *(np.zeros(0, np.float32),) * 3,
    (0.0, 0.0),
)


def _looks(rng: np.random.Generator, subject: int, skin: float | None) -> PersonTraits:
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
    return PersonTraits(
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
        else draw_beard(worn, float(rng.choice([0, 0.06, 0.12, 0.2], p=_SHADOW_ODDS))),
        glasses=draw_glasses(worn),
        freckles=float(max(0, rng.normal(0.0, 0.5))) * (1 - tone),
        redness=float(rng.uniform(0.3, 1.0)),
        make_up=make_up,
    )


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


def traits_of(subject: int, skin: float | None = None) -> PersonTraits:
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
    normals = kernels.vertex_normals(model.neutral, model.triangles)

    if looks.beard.length_cm:
        lift = beard_lift_cm(looks.beard, model.neutral) * on_skin
        lift *= 1 + 0.15 * np.sin(model.neutral @ np.array([2.1, 1.3, 1.7], np.float32))
        face = face + (lift * smooth(normals[:, 2] + 0.3))[:, None] * normals
    if looks.hair != "bald":
        volume = {"buzz": 0.25, "short": 1.3, "full": 2.4, "long": 1.0}[looks.hair]
        volume *= rng.uniform(0.7, 1.3)
        above = model.neutral[:, 1] - hairline_y(model.neutral, looks.rise, looks.recede)
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
        FACE: paint_skin(brushes[FACE], position_map(model, FACE, size), looks, True),
        HEAD: paint_skin(
            brushes[HEAD], position_map(model, HEAD, max(192, size * 3 // 4)), looks, False
        ),
        MOUTH: plain(to_linear([120, 55, 52]), 0.6, brushes[MOUTH]),
        GUMS: plain(gums, 1.0, brushes[GUMS]),
        TEETH: plain(to_linear([238, 228, 206]), 1.0, brushes[TEETH]),
        EYE: paint_eye(brushes[EYE], model, looks),
        CLOTH: paint_cloth(brushes[CLOTH]),
    }
    collar_cm = float(brushes[CLOTH].uniform(-1.5, 0.6))
    shirt = _shirt(brushes[CLOTH], collar_cm)
    sheets = [(CLOTH, shirt, False), (CLOTH, shirt * np.float32(0.985), True)]
    if looks.hair == "long":
        sheet = _long_hair(brushes[HAIR])
        tall = cv2.resize(sheet, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        hair = paint_hair(brushes[HAIR], tall, looks)
        tiles[HAIR] = np.concatenate([hair, np.full((256, 256, 1), 0.3, np.float32)], 2)
        sheets += [
            (HAIR, sheet, False),
            (HAIR, sheet * np.array([0.96, 1, 0.96], np.float32), True),
        ]
    else:
        tiles[HAIR] = plain(to_linear(looks.hair_rgb), 0.3, brushes[HAIR])

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
        shade = frame_shade(glasses, face)
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
    return fit_glasses(rng, style, face[skin], np.array(eyes), radius, np.array(ears))
