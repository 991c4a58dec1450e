"""Glasses of simulated people, which move with the head.

A person's glasses follow from the person's number, and are the same in all clips. Lengths are
centimetres, colours sRGB 0..255 until they are painted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from realtime.types import Float32Array, Float64Array, Int32Array
from training.rendering.textures import to_linear

GLASSES = ("round", "oval", "panto", "rectangular", "square", "half-rim")
"""Shapes of spectacles; `none` for people without."""

GLASSES_SHARE = 0.25
"""Share of people with glasses in front of a screen; about that of distance glasses in adults."""

_METAL_SRGB = ((176, 176, 180), (196, 158, 100), (84, 84, 90), (30, 30, 32), (150, 112, 96))
_PLASTIC_SRGB = (
    (20, 19, 19),
    (24, 22, 24),
    (96, 56, 30),
    (34, 44, 84),
    (112, 34, 36),
    (120, 122, 126),
    (222, 212, 198),
)

# Half width, half height and roundness (2 an ellipse, more is squarer) of a lens, in cm, and how
# much narrower it is below than above. Lenses are sold 4.4 to 5.6 cm wide.
_OUTLINES = {
    "round": (2.25, 2.2, 2.0, 0.0),
    "oval": (2.5, 1.65, 2.2, 0.0),
    "panto": (2.4, 2.1, 2.3, 0.14),
    "rectangular": (2.6, 1.6, 4.2, 0.04),
    "square": (2.65, 1.95, 4.0, 0.08),
    "half-rim": (2.6, 1.6, 3.6, 0.06),
}
_RIM_POINTS = 48
_SOFT_CM = 0.055
"""Width over which the edge of a frame fades, so that a thin frame does not flicker on pixels."""
_VERTEX_DISTANCE_CM = 1.2
"""Distance from the cornea to the lens, as opticians fit them."""

_CLEARANCE_CM = 0.15
"""Least distance from the skin to the front of the glasses."""


@dataclass(frozen=True, slots=True)
class Glasses:
    """Spectacles that fit a face: translucent triangles which move with the head.

    `points`, `normals` float32 [G, 3]; `triangles` int32 [T, 3], the farthest first; `alpha`
    [G]: opacity; `albedo` [G, 3], linear; `gloss`, `hardness` [G]; `mirror` [G]: share of the main
    light's brightness that a lens throws back, 0 on the frame. `window_rad`: half width and half
    height of the window or screen that the lenses mirror, seen from them.
    """

    points: Float32Array
    normals: Float32Array
    triangles: Int32Array
    alpha: Float32Array
    albedo: Float32Array
    gloss: Float32Array
    hardness: Float32Array
    mirror: Float32Array
    window_rad: tuple[float, float]


def draw_glasses(rng: np.random.Generator) -> str:
    """Draw a shape of `GLASSES`, or `none`."""
    if rng.random() >= GLASSES_SHARE:
        return "none"
    return str(rng.choice(GLASSES, p=[0.14, 0.14, 0.18, 0.24, 0.14, 0.16]))


@dataclass(slots=True)
class _Sheets:
    """Strips of vertices that are collected to become one mesh."""

    points: list[Float32Array] = field(default_factory=list)
    normals: list[Float32Array] = field(default_factory=list)
    alpha: list[Float32Array] = field(default_factory=list)
    albedo: list[Float32Array] = field(default_factory=list)
    mirror: list[Float32Array] = field(default_factory=list)
    triangles: list[Int32Array] = field(default_factory=list)
    count: int = 0

    def add(
        self,
        points: npt.NDArray[np.floating],
        normals: npt.NDArray[np.floating],
        alpha: npt.NDArray[np.floating],
        albedo: npt.NDArray[np.floating],
        mirror: float = 0.0,
    ) -> None:
        """Add a grid [R, C, 3] of points.

        `alpha` [R, C]; `albedo` broadcasts to [R, C, 3]."""
        rows, columns = points.shape[:2]
        index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns) + self.count
        a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
        c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
        self.triangles.append(np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, c], 1)]))
        unit = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        shape = (rows, columns, 3)
        self.points.append(points.reshape(-1, 3).astype(np.float32))
        self.normals.append(np.broadcast_to(unit, shape).reshape(-1, 3).astype(np.float32))
        self.alpha.append(alpha.ravel().astype(np.float32))
        self.albedo.append(np.broadcast_to(albedo, shape).reshape(-1, 3).astype(np.float32))
        self.mirror.append(np.full(rows * columns, mirror, np.float32))
        self.count += rows * columns

    def ribbon(
        self,
        path: npt.NDArray[np.floating],
        across: npt.NDArray[np.floating],
        facing: npt.NDArray[np.floating],
        width_cm: npt.ArrayLike,
        alpha: npt.ArrayLike,
        albedo: npt.NDArray[np.floating],
    ) -> None:
        """Add a band along `path` [N, 3], `width_cm` wide towards `across`, with soft edges.

        Its normals bend from -across over `facing` to +across, as if it were round."""
        half = np.broadcast_to(np.asarray(width_cm, float) / 2, len(path))[:, None]
        offset = np.concatenate([-half - _SOFT_CM, -half, half, half + _SOFT_CM], 1)
        points = path[:, None] + offset[..., None] * across[:, None]
        bend = np.array([-0.9, -0.45, 0.45, 0.9])[:, None]
        normals = facing[:, None] + bend * across[:, None]
        profile = np.array([0.0, 1.0, 1.0, 0.0])
        opacity = np.broadcast_to(np.asarray(alpha, float), len(path))[:, None] * profile
        self.add(points, normals, opacity, albedo)


@dataclass(frozen=True, slots=True)
class _Front:
    """Front of a pair of glasses: the surface on which rims, lenses and bridge lie.

    It is bent round the head, tilted, and the same left and right of the middle. `centre_x`,
    `centre_y`: of a lens; `front_z`: of the middle of the bridge."""

    style: str
    is_metal: bool
    colour: Float32Array
    rim_cm: float
    half_w: float
    half_h: float
    centre_x: float
    centre_y: float
    tilt: float
    wrap_cm: float
    front_z: float = 0.0

    def recess(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Float64Array:
        """Return how far the front lies behind the middle of its bridge."""
        round_: Float64Array = np.square(np.asarray(x, float)) / (2 * self.wrap_cm)
        round_ -= self.tilt * (np.asarray(y, float) - self.centre_y)
        return round_

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Float64Array:
        """Return the points [..., 3] of the front at x, y."""
        points: Float64Array = np.stack(
            np.broadcast_arrays(np.asarray(x, float), y, self.front_z - self.recess(x, y)), -1
        )
        return points

    def facing(self, x: npt.NDArray[np.floating]) -> Float64Array:
        """Return the normals [..., 3] of the front at x."""
        normals: Float64Array = np.stack(
            [x / self.wrap_cm, np.full_like(x, -self.tilt), np.ones_like(x)], -1
        )
        return normals


def _draw_front(rng: np.random.Generator, style: str, eyes: Float32Array) -> _Front:
    """Draw a front before these eyes [2, 3], at no depth yet."""
    is_metal = bool(rng.random() < (0.85 if style == "half-rim" else 0.4))
    table = _METAL_SRGB if is_metal else _PLASTIC_SRGB
    colour = to_linear(table[rng.integers(len(table))]) * np.float32(rng.uniform(0.8, 1.2))
    rim_cm = rng.uniform(0.08, 0.14) if is_metal else rng.uniform(0.2, 0.5)
    half_w, half_h, _, _ = _OUTLINES[style]
    half_w, half_h = half_w * rng.uniform(0.92, 1.06), half_h * rng.uniform(0.9, 1.1)
    eye_x, eye_y, _ = (float(v) for v in np.abs(eyes).mean(0))
    centre_x = max(eye_x * rng.uniform(0.98, 1.05), half_w + rim_cm / 2 + 0.75)
    centre_y = eye_y - rng.uniform(0.1, 0.4)
    tilt, wrap_cm = rng.uniform(0.05, 0.16), rng.uniform(14, 26)
    return _Front(
        style, is_metal, colour, rim_cm, half_w, half_h, centre_x, centre_y, tilt, wrap_cm
    )


def _seated(front: _Front, skin: Float32Array, eyes: Float32Array, eye_radius_cm: float) -> _Front:
    """Move the front as close to the eyes as brows, cheeks and nose allow."""
    x, y, z = skin.T
    behind = (np.abs(x) < front.centre_x + front.half_w) & (
        np.abs(y - front.centre_y) < front.half_h
    )
    behind &= (z > 0) & ((np.abs(x) > 0.8) | (np.abs(y - front.centre_y - 0.5) < 0.4))
    touching = float((z + front.recess(x, y))[behind].max()) + _CLEARANCE_CM
    eye_x, eye_y, eye_z = (float(v) for v in np.abs(eyes).mean(0))
    usual = eye_z + eye_radius_cm + _VERTEX_DISTANCE_CM + float(front.recess(eye_x, eye_y))
    return dataclasses.replace(front, front_z=max(touching, usual))


@dataclass(frozen=True, slots=True)
class _Outline:
    """Edge of the left lens, from its own middle.

    `x`, `y` [P]; `outward` [P, 3]: unit vectors; `height` [P]: -1 at the bottom, 1 at the top."""

    x: Float64Array
    y: Float64Array
    outward: Float64Array
    height: Float64Array


def _outline(front: _Front) -> _Outline:
    """Return a superellipse that narrows downwards."""
    _, _, power, taper = _OUTLINES[front.style]
    theta = np.linspace(0, 2 * np.pi, _RIM_POINTS + 1)
    c, s = np.cos(theta), np.sin(theta)
    y = front.half_h * np.sign(s) * np.abs(s) ** (2 / power)
    x = front.half_w * np.sign(c) * np.abs(c) ** (2 / power) * (1 + taper * y / front.half_h)
    along = np.stack([np.gradient(x), np.gradient(y)], 1)
    along[0] = along[-1] = along[0] + along[-1]
    outward = np.stack([along[:, 1], -along[:, 0], np.zeros(len(theta))], 1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return _Outline(x, y, outward, s)


def _draw_shades(rng: np.random.Generator, front: _Front) -> Float64Array:
    """Draw factors [P, 1, 1] of the rim's colour: all 1, or tortoise shell."""
    theta = np.linspace(0, 2 * np.pi, _RIM_POINTS + 1)
    if front.is_metal or rng.random() >= 0.3:
        return np.ones((len(theta), 1, 1))
    waves = np.sum([np.sin(k * theta + rng.uniform(0, 6)) for k in (3, 5, 8, 13)], 0)
    shades: Float64Array = np.exp(0.4 * waves)[:, None, None]
    return shades


@dataclass(frozen=True, slots=True)
class _Glass:
    """Material of both lenses.

    `tint`: opacity; `albedo` [3], linear; `mirror`: see `Glasses`; `base_cm`: radius of the sphere
    that the lenses are slices of."""

    tint: float
    albedo: Float32Array
    mirror: float
    base_cm: float


def _draw_glass(rng: np.random.Generator) -> _Glass:
    """Draw the material of the lenses: few are tinted."""
    return _Glass(
        tint=rng.uniform(0.25, 0.45) if rng.random() < 0.05 else rng.uniform(0.02, 0.09),
        albedo=to_linear(rng.uniform((70, 72, 62), (110, 105, 108))),
        mirror=float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))),
        base_cm=rng.uniform(8.0, 16.0),
    )


def _add_arm(
    sheets: _Sheets,
    front: _Front,
    side: float,
    ear: Float32Array,
    skin: Float32Array,
    hinge_y: float,
    arm_cm: float,
) -> None:
    """Add an arm that bends from the hinge round the temple to the ear."""
    x, y, z = skin.T
    outer = front.centre_x + front.half_w
    start = front.at(side * outer, hinge_y)
    hinge = front.at(side * (outer + 0.35), hinge_y) - (0.0, 0.0, 0.2)
    rest = np.array([side * (abs(ear[0]) + 0.1), ear[1], ear[2]])
    arm = hinge + np.linspace(0, 1, 12)[:, None] * (rest - hinge)
    for point in arm[1:-1]:
        beside = (np.abs(y - point[1]) < 0.6) & (np.abs(z - point[2]) < 0.7)
        beside &= z > ear[2] + 1.5
        width = (side * x[beside]).max(initial=0.0) + 0.06
        point[0] = side * max(side * point[0], width)
    path = np.concatenate([start[None], arm])
    aside = np.full((len(path), 3), (side, 0.0, 0.05))
    aside[:2] = (0.3 * side, 0.0, 1.0), (0.8 * side, 0.0, 0.6)
    up = np.tile([0.0, 1.0, 0.0], (len(path), 1))
    sheets.ribbon(path, up, aside, np.linspace(1, 0.7, len(path)) * arm_cm, 1.0, front.colour)


def _add_lens(
    sheets: _Sheets, front: _Front, outline: _Outline, glass: _Glass, side: float
) -> None:
    """Add a lens: a slice of a sphere, which decides what the lens mirrors."""
    rings = np.linspace(0, 1, 8)[:, None]
    x, y = rings * outline.x, rings * outline.y
    normals = np.stack(
        [
            side * (x / glass.base_cm + front.centre_x / front.wrap_cm),
            y / glass.base_cm - front.tilt,
            np.ones_like(x),
        ],
        -1,
    )
    lens = front.at(side * (front.centre_x + x), front.centre_y + y)
    sheets.add(lens, normals, np.full(x.shape, glass.tint), glass.albedo, glass.mirror)


def _add_rim(
    sheets: _Sheets, front: _Front, outline: _Outline, shades: Float64Array, side: float
) -> None:
    """Add the rim of a lens."""
    x = side * (front.centre_x + outline.x)
    path = front.at(x, front.centre_y + outline.y)
    across = outline.outward * (side, 1.0, 1.0)
    # Below, a half rim is a nylon thread.
    thread = (outline.height < -0.1) & (front.style == "half-rim")
    alpha, width = np.where(thread, 0.2, 1.0), np.where(thread, 0.04, front.rim_cm)
    if not front.is_metal:  # the rim's depth, seen from aside
        back = path - (0, 0, 0.3)
        sheets.ribbon(back, across, front.facing(x), width, alpha, 0.6 * front.colour * shades)
    sheets.ribbon(path, across, front.facing(x), width, alpha, front.colour * shades)


def _add_bridge(sheets: _Sheets, front: _Front, arch_cm: float) -> None:
    """Add the bridge, which rises by `arch_cm` in its middle."""
    inner = front.centre_x - front.half_w
    x = np.linspace(-inner, inner, 9)
    arch = arch_cm * (1 - (x / inner) ** 2)
    path = front.at(x, front.centre_y + 0.3 * front.half_h + arch)
    up = np.tile([0.0, 1.0, 0.0], (len(path), 1))
    sheets.ribbon(path, up, front.facing(x), max(front.rim_cm, 0.1), 1.0, front.colour)


def fit_glasses(
    rng: np.random.Generator,
    style: str,
    skin: Float32Array,
    eyes: Float32Array,
    eye_radius_cm: float,
    ears: Float32Array,
) -> Glasses:
    """Fit glasses of one of the styles to the nose and ears of a face.

    `skin` float32 [S, 3]: points of the neutral face and head, without hair; `eyes` [2, 3]: middle
    of each eyeball, with `eye_radius_cm` to the cornea; `ears` [2, 3]: where the arms rest; the
    left (positive x) comes first."""
    front = _seated(_draw_front(rng, style, eyes), skin, eyes, eye_radius_cm)
    outline = _outline(front)
    shades = _draw_shades(rng, front)
    glass = _draw_glass(rng)
    hinge_y = front.centre_y + front.half_h * rng.uniform(0.3, 0.7)
    arm_cm = rng.uniform(0.16, 0.24) if front.is_metal else rng.uniform(0.3, 0.55)
    window_rad = (float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.2, 0.5)))
    arch_cm = rng.uniform(0.1, 0.35)

    sheets = _Sheets()
    sides = (1.0, -1.0)
    for side, ear in zip(sides, ears, strict=True):
        _add_arm(sheets, front, side, ear, skin, hinge_y, arm_cm)
    for side in sides:
        _add_lens(sheets, front, outline, glass, side)
    for side in sides:
        _add_rim(sheets, front, outline, shades, side)
    _add_bridge(sheets, front, arch_cm)

    is_lens = np.concatenate(sheets.mirror) > 0
    return Glasses(
        points=np.concatenate(sheets.points),
        normals=np.concatenate(sheets.normals),
        triangles=np.concatenate(sheets.triangles),
        alpha=np.concatenate(sheets.alpha),
        albedo=np.concatenate(sheets.albedo),
        gloss=np.where(is_lens, 0.0, 1.2 if front.is_metal else 0.35).astype(np.float32),
        hardness=np.where(is_lens, 1.0, 30.0 if front.is_metal else 22.0).astype(np.float32),
        mirror=np.concatenate(sheets.mirror),
        window_rad=window_rad,
    )


def frame_shade(glasses: Glasses, skin: Float32Array) -> Float32Array:
    """Return the share of light that the frame leaves to points [S, 3] of the skin behind it."""
    solid = glasses.points[(glasses.mirror == 0) & (glasses.alpha > 0.9)]
    solid = solid[solid[:, 2] > solid[:, 2].max() - 3.0]
    near = (np.abs(skin[:, :2] - solid[:, :2].mean(0)) < (8.0, 4.0)).all(1) & (skin[:, 2] > 4.0)
    shade = np.ones(len(skin), np.float32)
    # Light comes from above more often than not, so the shadow lies a little below.
    below = skin[near, None, :2] + np.array([0.0, 0.35], np.float32) - solid[None, :, :2]
    squared = (below * below).sum(2).min(1)
    shade[near] -= 0.3 * np.exp(-squared / (2 * 0.4**2))
    return shade
