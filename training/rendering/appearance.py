"""Simulated people: traits, and the geometry and materials of head, eyes, hair and clothes.

Everything is procedural and follows from one seed. Marks are painted where they lie on the mean
face (centimetres) and so follow every identity, because all share one topology.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
    TEETH,
    FaceModel,
)
from training.rendering.face_texture import (
    PersonTraits,
    hairline_y,
    join_tiles,
    paint_cloth,
    paint_hair_tile,
    paint_head_tiles,
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
"""Hair from the darkest to the lightest, then gray, by eye."""

_EYE_SRGB = np.array(
    [(58, 36, 22), (84, 54, 30), (110, 84, 44), (96, 112, 76), (92, 124, 150), (120, 138, 148)],
    np.float32,
)
"""Irises from the darkest to the lightest, by eye."""

_EAR_REST_CM = np.array([7.6, 4.3, -0.6], np.float32)
"""Point of the left ear of the mean face on which the arm of a pair of glasses rests."""

_GOLDEN_RATIO = 0.618_033_988_749_895

_SHAVED = Beard("none", 0.0, 0.0, 0.0, 0.0, 1.0)
_SHADOW_ODDS = (0.4, 0.25, 0.2, 0.15)
"""Odds of the densities of stubble that shaving leaves: 0, 0.06, 0.12 and 0.2."""

_SH_CONSTANT = 0.282095
"""The first spherical harmonic, which is the same in all directions."""

_SPINE_CM = np.array([0.0, 0.0, -2.2], np.float32)
"""Point on the upright axis of neck and shoulders."""

HAIR_STYLES = ("bald", "buzz", "short", "full", "long")


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who can be posed.

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


def _draw_traits(rng: np.random.Generator, subject: int, skin: float | None) -> PersonTraits:
    """Draw the traits of a person; beard and glasses have a generator of their own."""
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
    """Return triangles and corner uv of a [rows, columns, 3] sheet."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)])
    v, u = np.mgrid[0:rows, 0:columns]
    uv = np.stack([u / (columns - 1), v / (rows - 1)], 2).reshape(-1, 2).astype(np.float32)
    return triangles, uv[triangles]


def _shirt(rng: np.random.Generator, collar_cm: float) -> Float32Array:
    """Shape a sheet [24, 64, 3] round the shoulders, from the collar down."""
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
    """Shape a sheet [20, 72, 3] behind the face, from the crown to the shoulders."""
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
    """Return the side of the face's tile for about 1 texel a rendered pixel: more would shimmer."""
    return int(np.clip(64 * np.ceil(1.75 * face_px / 64), 192, 1024))


def traits_of(subject: int, skin: float | None = None) -> PersonTraits:
    """Return the traits of a person, without the work of painting them."""
    return _draw_traits(np.random.default_rng([7_301, subject]), subject, skin)


class _Sheet(NamedTuple):
    """A sheet of cloth or hair: `points` [rows, columns, 3]; `is_lining`: seen from inside."""

    part: int
    points: Float32Array
    is_lining: bool


class _Clothes(NamedTuple):
    """Clothes: `tile` [H, W, 4]: texture; `collar_cm`: how far the collar is raised."""

    tile: Float32Array
    sheets: list[_Sheet]
    collar_cm: float


class _Mesh(NamedTuple):
    """All points of a person and the triangles on them, as in `Actor`; `vertex_part` [V]."""

    points: Float32Array
    triangles: Int32Array
    corner_uv: Float32Array
    parts: Int32Array
    vertex_part: npt.NDArray[np.int_]


class _Eyes(NamedTuple):
    """The left and the right eyeball, as in `Actor`."""

    vertices: tuple[Int32Array, Int32Array]
    centres: Float32Array
    radii: tuple[float, float]


class _Veils(NamedTuple):
    """Lashes and glasses, as in `Actor`."""

    triangles: Int32Array
    alpha: Float32Array
    albedo: Float32Array
    mirror: Float32Array


def make_actor(model: FaceModel, subject: int, face_px: float, skin: float | None = None) -> Actor:
    """Make the person with this number, who is the same in every clip.

    `face_px`: height of the face as it will be rendered, which sets the detail of textures.
    `skin`: 0 lightest to 1 darkest; by chance if None.

    Example:
        actor = make_actor(load_face_model(Path("ict_facekit.npz")), subject=7, face_px=190.0)
    """
    rng = np.random.default_rng([7_301, subject])
    # Parts have generators of their own, so that none depends on how another is drawn.
    part_rngs = [np.random.default_rng([7_302, subject, part]) for part in range(8)]
    traits = _draw_traits(rng, subject, skin)

    bare = _draw_identity(rng, model)
    has_glasses = traits.glasses != "none"
    glasses = _fitted_glasses(model, subject, traits.glasses, bare) if has_glasses else _NO_GLASSES
    face = _with_hair(rng, model, traits, bare)

    size = _texture_size(face_px)
    clothes = _draw_clothes(part_rngs[CLOTH])
    hair_tile, hair_sheets = _draw_hair(part_rngs[HAIR], traits)
    tiles = paint_head_tiles(part_rngs, model, traits, size)
    texture, tile_rows = join_tiles(tiles | {CLOTH: clothes.tile, HAIR: hair_tile})

    face, is_shown = _tucked_into_collar(model, face, clothes.collar_cm)
    mesh = _joined(model, face, is_shown, [*clothes.sheets, *hair_sheets], glasses)
    eyes = _find_eyes(mesh)
    gloss, hardness = _materials(rng, mesh, glasses)
    openness, transfer = _light_access(model, face, mesh, glasses)
    veils = _lashes_and_glasses(model, mesh, glasses, traits.make_up)
    return Actor(
        subject=subject,
        skin=traits.skin,
        hair=traits.hair,
        points=mesh.points,
        triangles=mesh.triangles,
        corner_uv=mesh.corner_uv,
        parts=mesh.parts,
        follow=_head_share(mesh, glasses, traits.hair),
        gloss=gloss,
        hardness=hardness,
        openness=openness,
        transfer=transfer,
        texture=texture,
        tiles=tile_rows,
        eye_vertices=eyes.vertices,
        eye_centres=eyes.centres,
        eye_radii=eyes.radii,
        is_eye=mesh.parts == EYE,
        veils=veils.triangles,
        veil_alpha=veils.alpha,
        veil_albedo=veils.albedo,
        mirror=veils.mirror,
        window_rad=glasses.window_rad,
        worn_normals=glasses.normals,
    )


def _draw_identity(rng: np.random.Generator, model: FaceModel) -> Float32Array:
    """Draw a neutral face [V, 3] without hair."""
    weights = np.clip(rng.normal(0, 0.8, len(model.identity)), -2.2, 2.2).astype(np.float32)
    face: Float32Array = model.neutral + np.tensordot(weights, model.identity, 1)
    return face


def _with_hair(
    rng: np.random.Generator, model: FaceModel, traits: PersonTraits, face: Float32Array
) -> Float32Array:
    """Lift the skin [V, 3] by the volume of beard and hair."""
    on_skin = np.zeros(len(face), bool)
    on_skin[model.triangles[np.isin(model.parts, (FACE, HEAD))].ravel()] = True
    normals = kernels.vertex_normals(model.neutral, model.triangles)
    if traits.beard.length_cm:
        lift = beard_lift_cm(traits.beard, model.neutral) * on_skin
        lift *= 1 + 0.15 * np.sin(model.neutral @ np.array([2.1, 1.3, 1.7], np.float32))
        face = face + (lift * smooth(normals[:, 2] + 0.3))[:, None] * normals
    if traits.hair != "bald":
        volume = {"buzz": 0.25, "short": 1.3, "full": 2.4, "long": 1.0}[traits.hair]
        volume *= rng.uniform(0.7, 1.3)
        above = model.neutral[:, 1] - hairline_y(model.neutral, traits.rise, traits.recede)
        lift = volume * smooth(above / 3.2) * ~is_ear(model.neutral)
        # Cut short round the ears, unless it is full.
        height = model.neutral[:, 1]
        lift *= 0.12 + 0.88 * smooth((height - (0.5 if traits.hair == "full" else 3.5)) / 7)
        top = smooth((height - 7) / 6)
        lump = 1 + 0.16 * np.sin(model.neutral @ rng.normal(0, 0.7, 3) + rng.uniform(0, 6))
        raised = (on_skin * lift * lump * (0.7 + 0.5 * top))[:, None] * normals
        face = face + np.asarray(raised, np.float32)
    return face


def _draw_clothes(rng: np.random.Generator) -> _Clothes:
    """Draw a shirt and its lining."""
    tile = paint_cloth(rng)
    collar_cm = float(rng.uniform(-1.5, 0.6))
    shirt = _shirt(rng, collar_cm)
    lining = shirt * np.float32(0.985)
    return _Clothes(tile, [_Sheet(CLOTH, shirt, False), _Sheet(CLOTH, lining, True)], collar_cm)


def _draw_hair(rng: np.random.Generator, traits: PersonTraits) -> tuple[Float32Array, list[_Sheet]]:
    """Draw the hair's texture [H, W, 4], and the sheets of hair that hangs behind the face."""
    if traits.hair != "long":
        return paint_hair_tile(rng, traits), []
    sheet = _long_hair(rng)
    lining = sheet * np.array([0.96, 1, 0.96], np.float32)
    return paint_hair_tile(rng, traits, sheet), [
        _Sheet(HAIR, sheet, False),
        _Sheet(HAIR, lining, True),
    ]


def _tucked_into_collar(
    model: FaceModel, face: Float32Array, collar_cm: float
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Draw in what the shirt covers, or it would show through the cloth.

    Returns the face [V, 3] and which triangles [T] of the model are not left out."""
    level = model.neutral[:, 1] + 0.45 * (model.neutral[:, 2] + 2.2)
    below = smooth((collar_cm - 11.9 - level) / 1.5)[:, None]
    face = face - below * (0.14 * (face - _SPINE_CM) * (1, 0, 1) + (0.0, 0.9, 0.0))
    return face, np.asarray((level > collar_cm - 16.0)[model.triangles].any(1))


def _joined(
    model: FaceModel,
    face: Float32Array,
    is_shown: npt.NDArray[np.bool_],
    sheets: list[_Sheet],
    glasses: Glasses,
) -> _Mesh:
    """Join face, sheets and glasses to one mesh; the glasses' points are the last."""
    points, triangles = [face], [model.triangles[is_shown]]
    uv, parts = [model.corner_uv[is_shown]], [model.parts[is_shown]]
    first = len(face)
    for sheet in sheets:
        corners, corner_uv = _grid_mesh(sheet.points)
        if sheet.is_lining:
            corners, corner_uv = corners[:, ::-1], corner_uv[:, ::-1]
        points.append(sheet.points.reshape(-1, 3))
        triangles.append(corners + first)
        uv.append(corner_uv)
        parts.append(np.full(len(corners), sheet.part, np.int32))
        first += len(points[-1])
    points.append(glasses.points)
    everything = np.concatenate(points).astype(np.float32)
    all_triangles = np.concatenate(triangles).astype(np.int32)
    all_parts = np.concatenate(parts).astype(np.int32)
    vertex_part = np.full(len(everything), FACE)
    vertex_part[all_triangles.ravel()] = np.repeat(all_parts, 3)
    return _Mesh(
        everything,
        all_triangles,
        np.ascontiguousarray(np.concatenate(uv), np.float32),
        all_parts,
        vertex_part,
    )


def _find_eyes(mesh: _Mesh) -> _Eyes:
    """Find the vertices, centre and radius of each eyeball."""
    is_eye = mesh.vertex_part == EYE
    left, right = (
        np.flatnonzero(is_eye & (mesh.points[:, 0] * side > 0)).astype(np.int32) for side in (1, -1)
    )
    balls = [mesh.points[vertices] for vertices in (left, right)]
    centres = np.array([(ball.max(0) + ball.min(0)) / 2 for ball in balls])
    radii = [
        float(ball[:, 2].max() - centre[2]) for ball, centre in zip(balls, centres, strict=True)
    ]
    return _Eyes((left, right), centres.astype(np.float32), (radii[0], radii[1]))


def _worn(mesh: _Mesh, glasses: Glasses) -> slice:
    """Return the points of the glasses."""
    return slice(len(mesh.points) - len(glasses.points), None)


def _materials(
    rng: np.random.Generator, mesh: _Mesh, glasses: Glasses
) -> tuple[Float32Array, Float32Array]:
    """Return strength and exponent [V] of highlights; some faces shine more than others."""
    part = mesh.vertex_part
    gloss = np.array([0.11, 0.09, 0.35, 0.4, 0.5, 1.6, 0.05, 0.2], np.float32)[part]
    gloss[part == FACE] *= np.float32(rng.uniform(0.5, 1.6))
    hardness = np.array([11, 10, 24, 30, 40, 160, 6, 14], np.float32)[part]
    worn = _worn(mesh, glasses)
    gloss[worn] = glasses.gloss
    hardness[worn] = glasses.hardness
    return gloss, hardness


def _light_access(
    model: FaceModel, face: Float32Array, mesh: _Mesh, glasses: Glasses
) -> tuple[Float32Array, Float32Array]:
    """Return `openness` [V] and `transfer` [V, 9] of all points, as in `FaceModel`.

    `face` [F, 3]: the first of the points."""
    count = len(face)
    others = len(mesh.points) - count
    openness = np.concatenate([model.openness, np.full(others, 0.85, np.float32)])
    transfer = np.zeros((len(mesh.points), 9), np.float32)
    transfer[:count] = model.transfer
    if len(glasses.points):
        shade = frame_shade(glasses, face)
        openness[:count] *= shade
        transfer[:count] *= shade[:, None]
    transfer[count:, 0] = 1 / _SH_CONSTANT
    eye = mesh.vertex_part == EYE
    openness[eye] = np.clip(openness[eye] * 1.6 + 0.12, 0, 1)
    transfer[eye] = 0
    transfer[eye, 0] = 0.8 / _SH_CONSTANT
    inner = np.isin(mesh.vertex_part, (TEETH, GUMS))
    openness[inner] = np.clip((model.neutral[:, 2][inner[:count]] - 6) / 5, 0.05, 0.8)
    transfer[inner] = 0
    transfer[inner, 0] = openness[inner] / _SH_CONSTANT
    return openness.astype(np.float32), transfer


def _head_share(mesh: _Mesh, glasses: Glasses, hair: str) -> Float32Array:
    """Return how far each point [V] moves with the head: 1, or 0 with the body."""
    level = mesh.points[:, 1] + 0.4 * mesh.points[:, 2]
    follow = smooth((level + 16) / 9)
    follow[mesh.vertex_part == CLOTH] = 0
    follow[_worn(mesh, glasses)] = 1
    if hair == "long":
        hanging = mesh.vertex_part == HAIR
        follow[hanging] = 0.35 + 0.65 * smooth((mesh.points[hanging, 1] + 16) / 14)
    return follow.astype(np.float32)


def _lashes_and_glasses(model: FaceModel, mesh: _Mesh, glasses: Glasses, make_up: float) -> _Veils:
    """Join lashes and glasses, which are drawn as translucent triangles."""
    worn = _worn(mesh, glasses)
    others = len(mesh.points) - len(model.neutral)
    alpha = np.concatenate([model.lash_alpha, np.zeros(others, np.float32)])
    alpha *= np.float32(0.3 + 0.45 * make_up)
    alpha[worn] = glasses.alpha
    albedo = np.full((len(mesh.points), 3), to_linear([30, 22, 20]))
    albedo[worn] = glasses.albedo
    mirror = np.zeros(len(mesh.points), np.float32)
    mirror[worn] = glasses.mirror
    triangles = np.concatenate([model.lashes, glasses.triangles + worn.start]).astype(np.int32)
    return _Veils(triangles, alpha, albedo, mirror)


def _fitted_glasses(model: FaceModel, subject: int, style: str, face: Float32Array) -> Glasses:
    """Fit glasses to a face, the neutral [V, 3] without hair."""
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
