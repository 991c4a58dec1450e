"""Kernels that draw triangles on the CPU: z-buffer, smooth shading and camera noise.

Numba compiles the kernels. They fill arrays that the caller keeps from picture to picture, and
take arrays that belong together as a named tuple. Functions that numba does not compile
allocate their results. Everything works in linear light until `develop` makes an 8-bit picture of
it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from realtime.kernels import kernel
from realtime.types import Float32Array, Int32Array, UInt8Array

NO_TRIANGLE = -1
"""Triangle id of a pixel that no triangle covers."""

_CURVE_STEPS = 16384

FAST = {"contract", "arcp", "nsz", "reassoc", "afn"}
"""Fast-math flags of the compiled kernels: all but those that break on infinite depths."""
_WINDOW_EDGE_RAD = 0.06
"""Softness of the image of a window in spectacle lenses, by eye."""
_WRAP_RGB = (0.38, 0.22, 0.15)
"""Reach of diffuse light round the terminator; red travels farthest in skin."""


class PoseArrays(NamedTuple):
    """Head, body and camera: `head`, `body` float32 [3, 4]: rigid motions into the camera's frame;
    `camera` float32 [3]: focal length in pixels, principal point x and y. The camera sits at the
    origin and looks along -z."""

    head: Float32Array
    body: Float32Array
    camera: Float32Array


class VertexArrays(NamedTuple):
    """Vertices of a posed person: `seen` bool [V]: those to be shaded; `normals` float32 [V, 3]
    before the pose; `xyz` float32 [V, 3]: pixel x, y (down) and depth; `follow` float32 [V]: 1
    moves with the head, 0 with the body."""

    seen: npt.NDArray[np.bool_]
    normals: Float32Array
    xyz: Float32Array
    follow: Float32Array


class LightArrays(NamedTuple):
    """Distant lights and the room: `directions` float32 [L, 3] towards the light, x right, y up,
    z to the camera; `colours` float32 [L, 3]; `basis` float32 [L, 9]: the directions in the
    head's frame as spherical harmonics; `sky`, `ground` float32 [3]: light from above and
    below."""

    directions: Float32Array
    colours: Float32Array
    basis: Float32Array
    sky: Float32Array
    ground: Float32Array


class MaterialArrays(NamedTuple):
    """Response of vertices to light: `openness` float32 [V] and `transfer` float32 [V, 9]: see
    `FaceModel`; `gloss`, `hardness` float32 [V]: strength and exponent of highlights."""

    openness: Float32Array
    transfer: Float32Array
    gloss: Float32Array
    hardness: Float32Array


class SurfaceArrays(NamedTuple):
    """Textured triangles: `triangles` int32 [T, 3]; `corner_uv` float32 [T, 3, 2]; `parts` int32
    [T]; `texture` float32 [P, 4]: linear albedo and gloss of all parts; `tiles` int32 [8, 3]:
    first texel, width and height of each part."""

    triangles: Int32Array
    corner_uv: Float32Array
    parts: Int32Array
    texture: Float32Array
    tiles: Int32Array


class VeilArrays(NamedTuple):
    """Translucent triangles: `triangles` int32 [W, 3]; `alpha` float32 [V]: opacity; `albedo`
    float32 [V, 3], linear; `mirror` float32 [V] and `window_rad`: see `Glasses`."""

    triangles: Int32Array
    alpha: Float32Array
    albedo: Float32Array
    mirror: Float32Array
    window_rad: tuple[float, float]


@kernel(fastmath=FAST)
def deform_into(
    base: Float32Array,
    starts: Int32Array,
    vertices: Int32Array,
    deltas: Float32Array,
    weights: Float32Array,
    out: Float32Array,
) -> None:
    """Add shapes of a FaceModel to the points `base` float32 [V, 3].

    `weights` float32 [K]: of the shapes; `out` has the layout of `base`."""
    out[:] = base
    for k in range(weights.shape[0]):
        w = weights[k]
        if abs(w) > 1e-5:
            for j in range(starts[k], starts[k + 1]):
                v = vertices[j]
                out[v, 0] += w * deltas[j, 0]
                out[v, 1] += w * deltas[j, 1]
                out[v, 2] += w * deltas[j, 2]


@kernel(fastmath=FAST)
def normals_into(points: Float32Array, triangles: Int32Array, out: Float32Array) -> None:
    """Compute normals as `vertex_normals` does; `out` float32 [V, 3]."""
    out[:] = 0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax = points[j, 0] - points[i, 0]
        ay = points[j, 1] - points[i, 1]
        az = points[j, 2] - points[i, 2]
        bx = points[k, 0] - points[i, 0]
        by = points[k, 1] - points[i, 1]
        bz = points[k, 2] - points[i, 2]
        nx = ay * bz - az * by
        ny = az * bx - ax * bz
        nz = ax * by - ay * bx
        for v in (i, j, k):
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(out.shape[0]):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + np.float32(1e-12)
        out[v, 0] /= length
        out[v, 1] /= length
        out[v, 2] /= length


@kernel(fastmath=FAST)
def place(
    points: Float32Array,
    follow: Float32Array,
    pose: PoseArrays,
    out_xyz: Float32Array,
) -> None:
    """Move points by a blend of the motions of head and body, and project them.

    `out_xyz`: pixel x, y (down) and depth in front of the camera.
    """
    head, body, camera = pose.head, pose.body, pose.camera
    one = np.float32(1)
    for v in range(points.shape[0]):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        hx = head[0, 0] * x + head[0, 1] * y + head[0, 2] * z + head[0, 3]
        hy = head[1, 0] * x + head[1, 1] * y + head[1, 2] * z + head[1, 3]
        hz = head[2, 0] * x + head[2, 1] * y + head[2, 2] * z + head[2, 3]
        f = follow[v]
        if f < one:
            bx = body[0, 0] * x + body[0, 1] * y + body[0, 2] * z + body[0, 3]
            by = body[1, 0] * x + body[1, 1] * y + body[1, 2] * z + body[1, 3]
            bz = body[2, 0] * x + body[2, 1] * y + body[2, 2] * z + body[2, 3]
            hx, hy, hz = bx + f * (hx - bx), by + f * (hy - by), bz + f * (hz - bz)
        depth = max(-hz, one)
        scale = camera[0] / depth
        out_xyz[v, 0] = camera[1] + scale * hx
        out_xyz[v, 1] = camera[2] - scale * hy
        out_xyz[v, 2] = depth


@kernel()
def mark_seen(
    ids: Int32Array, triangles: Int32Array, veils: Int32Array, out: npt.NDArray[np.bool_]
) -> None:
    """Mark the vertices that take part in the picture: those of veils and of triangles in `ids`."""
    out[:] = False
    last = np.int32(NO_TRIANGLE)
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            t = ids[y, x]
            if t != last and t >= 0:
                out[triangles[t, 0]] = out[triangles[t, 1]] = out[triangles[t, 2]] = True
            last = t
    for t in range(veils.shape[0]):
        out[veils[t, 0]] = out[veils[t, 1]] = out[veils[t, 2]] = True


@kernel(fastmath=FAST)
def shade_vertices(
    vertices: VertexArrays,
    pose: PoseArrays,
    lights: LightArrays,
    material: MaterialArrays,
    out_normals: Float32Array,
    out: Float32Array,
) -> None:
    """Shade the vertices that are seen.

    `out_normals`: normals as the camera sees them [V, 3]; `out`: diffuse RGB and specular gray
    [V, 4]."""
    normals, xyz, follow = vertices.normals, vertices.xyz, vertices.follow
    head, body, camera = pose.head, pose.body, pose.camera
    directions, colours, sky, ground = lights.directions, lights.colours, lights.sky, lights.ground
    openness, transfer = material.openness, material.transfer
    gloss, hardness = material.gloss, material.hardness
    for v in range(normals.shape[0]):
        if not vertices.seen[v]:
            continue
        f = follow[v]
        for r in range(3):
            out_normals[v, r] = (
                (body[r, 0] + f * (head[r, 0] - body[r, 0])) * normals[v, 0]
                + (body[r, 1] + f * (head[r, 1] - body[r, 1])) * normals[v, 1]
                + (body[r, 2] + f * (head[r, 2] - body[r, 2])) * normals[v, 2]
            )
        nx, ny, nz = out_normals[v, 0], out_normals[v, 1], out_normals[v, 2]
        vx = (camera[1] - xyz[v, 0]) / camera[0]
        vy = (xyz[v, 1] - camera[2]) / camera[0]
        vz = np.float32(1) / np.sqrt(vx * vx + vy * vy + np.float32(1))
        vx, vy = vx * vz, vy * vz
        up = np.float32(0.5) + np.float32(0.5) * ny
        ao = openness[v]
        r = ao * (ground[0] + up * (sky[0] - ground[0]))
        g = ao * (ground[1] + up * (sky[1] - ground[1]))
        b = ao * (ground[2] + up * (sky[2] - ground[2]))
        spec = np.float32(0)
        nv = max(np.float32(0), nx * vx + ny * vy + nz * vz)
        for k in range(directions.shape[0]):
            lit = np.float32(0)
            for c in range(transfer.shape[1]):
                lit += transfer[v, c] * lights.basis[k, c]
            lit = min(np.float32(1), max(np.float32(0), lit))
            dx, dy, dz = directions[k, 0], directions[k, 1], directions[k, 2]
            nl = nx * dx + ny * dy + nz * dz
            wr, wg, wb = (
                np.float32(_WRAP_RGB[0]),
                np.float32(_WRAP_RGB[1]),
                np.float32(_WRAP_RGB[2]),
            )
            one = np.float32(1)
            zero = np.float32(0)
            r += lit * colours[k, 0] * max(zero, (nl + wr) / (one + wr))
            g += lit * colours[k, 1] * max(zero, (nl + wg) / (one + wg))
            b += lit * colours[k, 2] * max(zero, (nl + wb) / (one + wb))
            if nl > 0:
                hx, hy, hz = dx + vx, dy + vy, dz + vz
                nh = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
                if nh > 0:
                    strength = colours[k, 1] * lit * nl * gloss[v]
                    spec += strength * np.exp(hardness[v] * np.log(nh))
        rim = (np.float32(1) - nv) ** 2
        sheen = np.float32(0.083) * (sky[0] + sky[1] + sky[2])
        spec += sheen * gloss[v] * ao * rim * rim
        out[v, 0] = r
        out[v, 1] = g
        out[v, 2] = b
        out[v, 3] = spec


@kernel(fastmath=FAST)
def rasterise_into(
    xyz: Float32Array, triangles: Int32Array, depth: Float32Array, ids: Int32Array, two_sided: bool
) -> None:
    """Rasterise as `rasterise` does, into `depth` float32 and `ids` int32 [H, W].

    They hold infinity and NO_TRIANGLE before. Pixel centres lie at whole coordinates."""
    height, width = depth.shape
    zero, one = np.float32(0), np.float32(1)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    # Unsigned indices spare the check for negative ones.
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax, ay = xyz[i, 0], xyz[i, 1]
        bx, by = xyz[j, 0], xyz[j, 1]
        cx, cy = xyz[k, 0], xyz[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # y points down on the picture, so a triangle that faces the camera runs clockwise.
        if area == zero or (area > zero and not two_sided):
            continue
        x0, x1 = np.ceil(max(min(ax, bx, cx), zero)), min(max(ax, bx, cx), right)
        y0, y1 = np.ceil(max(min(ay, by, cy), zero)), min(max(ay, by, cy), bottom)
        if x0 > x1 or y0 > y1:
            continue
        scale = one / area
        za = xyz[i, 2]
        zb, zc = xyz[j, 2] - za, xyz[k, 2] - za
        ub_dx = (cy - ay) * scale
        ub_dy = -(cx - ax) * scale
        uc_dx = -(by - ay) * scale
        uc_dy = (bx - ax) * scale
        px = x0 - ax
        for y in range(np.uint32(y0), np.uint32(y1) + np.uint32(1)):
            py = np.float32(y) - ay
            ub = px * ub_dx + py * ub_dy
            uc = px * uc_dx + py * uc_dy
            for x in range(np.uint32(x0), np.uint32(x1) + np.uint32(1)):
                if ub >= zero and uc >= zero and ub + uc <= one:
                    z = za + ub * zb + uc * zc
                    if z < depth[y, x]:
                        depth[y, x] = z
                        ids[y, x] = t
                ub += ub_dx
                uc += uc_dx


@kernel(fastmath=FAST)
def shade_pixels(
    ids: Int32Array,
    xyz: Float32Array,
    surface: SurfaceArrays,
    shading: Float32Array,
    out: Float32Array,
) -> None:
    """Write albedo times diffuse plus specular to every covered pixel; others stay as they are."""
    triangles, corner_uv, parts = surface.triangles, surface.corner_uv, surface.parts
    texture, tiles = surface.texture, surface.tiles
    height, width = ids.shape
    zero, half, one, edge = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1.001)
    last = np.int32(NO_TRIANGLE)
    i = j = k = np.uint32(0)
    part = offset = tw = th = np.int32(0)
    ax = ay = e1x = e1y = e2x = e2y = ua = ub = uc = va = vb = vc = zero
    width_t = height_t = zero
    for y in range(height):
        for x in range(width):
            t = ids[y, x]
            if t < 0:
                continue
            if t != last:  # neighbours mostly lie on one triangle
                last = t
                i = np.uint32(triangles[t, 0])
                j = np.uint32(triangles[t, 1])
                k = np.uint32(triangles[t, 2])
                ax, ay = xyz[i, 0], xyz[i, 1]
                e1x, e1y = xyz[j, 0] - ax, xyz[j, 1] - ay
                e2x, e2y = xyz[k, 0] - ax, xyz[k, 1] - ay
                scale = one / (e1x * e2y - e1y * e2x)
                e1x, e1y, e2x, e2y = e1x * scale, e1y * scale, e2x * scale, e2y * scale
                part = parts[t]
                offset, tw, th = tiles[part, 0], tiles[part, 1], tiles[part, 2]
                width_t, height_t = np.float32(tw), np.float32(th)
                ua, va = corner_uv[t, 0, 0] * width_t - half, corner_uv[t, 0, 1] * height_t - half
                ub, vb = corner_uv[t, 1, 0] * width_t - half, corner_uv[t, 1, 1] * height_t - half
                uc, vc = corner_uv[t, 2, 0] * width_t - half, corner_uv[t, 2, 1] * height_t - half
            px, py = np.float32(x) - ax, np.float32(y) - ay
            b = px * e2y - py * e2x
            c = py * e1x - px * e1y
            a = one - b - c
            fu = min(max(a * ua + b * ub + c * uc, zero), width_t - edge)
            fv = min(max(a * va + b * vb + c * vc, zero), height_t - edge)
            iu, iv = np.int32(fu), np.int32(fv)
            fu -= np.float32(iu)
            fv -= np.float32(iv)
            p = np.uint32(offset + iv * tw + iu)
            q = np.uint32(p + np.uint32(tw))
            w11 = fu * fv
            w01 = fu - w11
            w10 = fv - w11
            w00 = one - fu - w10
            spec = a * shading[i, 3] + b * shading[j, 3] + c * shading[k, 3]
            spec *= (
                w00 * texture[p, 3]
                + w01 * texture[p + 1, 3]
                + w10 * texture[q, 3]
                + w11 * texture[q + 1, 3]
            )
            for ch in range(3):
                albedo = (
                    w00 * texture[p, ch]
                    + w01 * texture[p + 1, ch]
                    + w10 * texture[q, ch]
                    + w11 * texture[q + 1, ch]
                )
                light = a * shading[i, ch] + b * shading[j, ch] + c * shading[k, ch]
                out[y, x, ch] = albedo * light + spec


@kernel(fastmath=FAST)
def light_veils(
    veils: VeilArrays,
    shading: Float32Array,
    normals: Float32Array,
    xyz: Float32Array,
    camera: Float32Array,
    lights: LightArrays,
    out: Float32Array,
) -> None:
    """Compute the light from the vertices of veils to the camera, times their alpha: RGB [V, 3].

    A mirror adds the image of a bright rectangle, `window_rad` half wide and half high, in the
    direction of the main light, the first of `lights`."""
    alpha, albedo, mirror, window_rad = veils.alpha, veils.albedo, veils.mirror, veils.window_rad
    lamp, colour = lights.directions[0], lights.colours[0]
    one, half, zero = np.float32(1), np.float32(0.5), np.float32(0)
    soft = np.float32(_WINDOW_EDGE_RAD)
    level = max(np.sqrt(lamp[0] * lamp[0] + lamp[2] * lamp[2]), np.float32(1e-6))
    rx, rz = lamp[2] / level, -lamp[0] / level
    ux, uy, uz = lamp[1] * rz, lamp[2] * rx - lamp[0] * rz, -lamp[1] * rx
    if uy < zero:
        ux, uy, uz = -ux, -uy, -uz
    for v in range(alpha.shape[0]):
        if alpha[v] == zero:
            continue
        for ch in range(3):
            out[v, ch] = alpha[v] * (albedo[v, ch] * shading[v, ch] + shading[v, 3])
        if mirror[v] == zero:
            continue
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        vx = (camera[1] - xyz[v, 0]) / camera[0]
        vy = (xyz[v, 1] - camera[2]) / camera[0]
        vz = one / np.sqrt(vx * vx + vy * vy + one)
        vx, vy = vx * vz, vy * vz
        twice = np.float32(2) * (nx * vx + ny * vy + nz * vz)
        mx, my, mz = twice * nx - vx, twice * ny - vy, twice * nz - vz
        if mx * lamp[0] + my * lamp[1] + mz * lamp[2] <= zero:
            continue
        wide = (np.float32(window_rad[0]) - abs(mx * rx + mz * rz)) / soft + half
        high = (np.float32(window_rad[1]) - abs(mx * ux + my * uy + mz * uz)) / soft + half
        image = mirror[v] * min(one, max(zero, wide)) * min(one, max(zero, high))
        for ch in range(3):
            out[v, ch] += image * colour[ch]


@kernel(fastmath=FAST)
def blend_veils(
    xyz: Float32Array,
    veils: VeilArrays,
    light: Float32Array,
    depth: Float32Array,
    tolerance: float,
    out: Float32Array,
) -> None:
    """Draw translucent triangles (lashes, glasses) over what is farther away.

    Alpha and light (RGB times alpha) are interpolated between vertices, depth is tested but not
    written."""
    triangles, alpha = veils.triangles, veils.alpha
    height, width = depth.shape
    zero, one = np.float32(0), np.float32(1)
    margin = np.float32(tolerance)
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax, ay = xyz[i, 0], xyz[i, 1]
        e1x, e1y = xyz[j, 0] - ax, xyz[j, 1] - ay
        e2x, e2y = xyz[k, 0] - ax, xyz[k, 1] - ay
        area = e1x * e2y - e1y * e2x
        if area == zero:
            continue
        x0 = max(0, int(np.ceil(min(ax, xyz[j, 0], xyz[k, 0]))))
        x1 = min(width - 1, int(np.floor(max(ax, xyz[j, 0], xyz[k, 0]))))
        y0 = max(0, int(np.ceil(min(ay, xyz[j, 1], xyz[k, 1]))))
        y1 = min(height - 1, int(np.floor(max(ay, xyz[j, 1], xyz[k, 1]))))
        scale = one / area
        for y in range(y0, y1 + 1):
            py = np.float32(y) - ay
            for x in range(x0, x1 + 1):
                px = np.float32(x) - ax
                b = (px * e2y - py * e2x) * scale
                c = (py * e1x - px * e1y) * scale
                a = one - b - c
                if b < zero or c < zero or a < zero:
                    continue
                z = xyz[i, 2] + b * (xyz[j, 2] - xyz[i, 2]) + c * (xyz[k, 2] - xyz[i, 2])
                if z > depth[y, x] + margin:
                    continue
                clear = one - (a * alpha[i] + b * alpha[j] + c * alpha[k])
                for ch in range(3):
                    added = a * light[i, ch] + b * light[j, ch] + c * light[k, ch]
                    out[y, x, ch] = clear * out[y, x, ch] + added


@kernel(fastmath=FAST)
def _develop(
    linear: Float32Array,
    gain: Float32Array,
    curve: UInt8Array,
    falloff: Float32Array,
    grain: Float32Array,
    grain_at: tuple[int, int],
    read_noise: float,
    shot_noise: float,
    out: UInt8Array,
) -> None:
    """Convert linear RGB [H, W, 3] to 8-bit BGR with vignetting, grain and a tone curve."""
    height, width = linear.shape[0], linear.shape[1]
    gh, gw = grain.shape[0], grain.shape[1]
    read, shot = np.float32(read_noise), np.float32(shot_noise)
    top = curve.shape[0] - 1
    for y in range(height):
        gy = (y + grain_at[0]) % gh
        gx = grain_at[1] % gw
        for x in range(width):
            for ch in range(3):
                value = max(np.float32(0), linear[y, x, ch] * gain[ch] * falloff[y, x])
                noise = grain[gy, gx, ch]
                value += noise * (read + shot * np.sqrt(value))
                step = np.int32(min(max(value, np.float32(0)), np.float32(1)) * np.float32(top))
                out[y, x, 2 - ch] = curve[step]
            gx += 1
            if gx == gw:
                gx = 0


def tone_curve(gamma: float, contrast: float) -> UInt8Array:
    """Return the table uint8 [16384] from linear light 0..1 to a display value.

    It has a soft shoulder. `gamma`: 2.2 is usual; `contrast`: 0 none, .2 a strong S."""
    light = np.linspace(0.0, 1.0, _CURVE_STEPS)
    value = light ** (1.0 / gamma)
    value = value + contrast * np.sin(2 * np.pi * (value - 0.5)) / (2 * np.pi)
    curve: UInt8Array = np.clip(value * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return curve


def vertex_normals(points: Float32Array, triangles: Int32Array) -> Float32Array:
    """Return area-weighted unit normals, float32 [V, 3].

    Triangles run counter-clockwise seen from outside."""
    normals = np.empty_like(points)
    normals_into(points, triangles, normals)
    return normals


def rasterise(
    xyz: Float32Array, triangles: Int32Array, size_wh: tuple[int, int], two_sided: bool = False
) -> tuple[Float32Array, Int32Array]:
    """Return depth float32 [H, W] (infinite where nothing is) and triangle ids int32 [H, W].

    `xyz`: pixel x, y (down) and depth."""
    width, height = size_wh
    depth = np.full((height, width), np.inf, np.float32)
    ids = np.full((height, width), NO_TRIANGLE, np.int32)
    rasterise_into(xyz, triangles, depth, ids, two_sided)
    return depth, ids


def barycentric(xyz: Float32Array, triangles: Int32Array, ids: Int32Array) -> Float32Array:
    """Return the weights [P, 3] of the corners of the triangles that cover pixels, row by row.

    `ids` int32 [H, W] as from `rasterise`; P: the pixels that a triangle covers."""
    rows, columns = np.nonzero(ids >= 0)
    a, b, c = (xyz[triangles[ids[rows, columns], k], :2] for k in range(3))
    e1, e2, p = b - a, c - a, np.stack([columns, rows], 1) - a
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    wb = (p[:, 0] * e2[:, 1] - p[:, 1] * e2[:, 0]) / area
    wc = (e1[:, 0] * p[:, 1] - e1[:, 1] * p[:, 0]) / area
    weights: Float32Array = np.stack([1 - wb - wc, wb, wc], 1).astype(np.float32)
    return weights


def develop(
    linear: Float32Array,
    gain: Float32Array,
    curve: UInt8Array,
    falloff: Float32Array,
    grain: Float32Array,
    grain_at: tuple[int, int],
    read_noise: float,
    shot_noise: float,
) -> UInt8Array:
    """Develop a linear RGB picture to 8-bit BGR [H, W, 3].

    `gain` [3]; `curve`: see `tone_curve`; `falloff` [H, W]: vignetting; `grain` [h, w, 3]: unit
    noise, laid over the picture from `grain_at` on; `read_noise`, `shot_noise`: its size in
    linear light, alone and times the square root of the light."""
    picture = np.empty(linear.shape, np.uint8)
    _develop(linear, gain, curve, falloff, grain, grain_at, read_noise, shot_noise, picture)
    return picture
