"""Optical flow of the aligned face against the face's own baseline, without head and light motion.

A face shows an expression by its difference from its own rest, so the signal is displacement in
pixels, not gray levels: it carries over to faces that a model has never seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from realtime.kernels import kernel
from realtime.spec import FACE_SIZE, LAYOUTS, MOTION_STRIDE, ModelSpec, RegionLayout
from realtime.types import Float32Array, Float64Array, UInt8Array

GRID = FACE_SIZE // MOTION_STRIDE
"""Number of nodes of the motion grid in each direction."""

BASELINE_SLOTS: Final = 9
"""Number of slots whose median is the baseline.

Enough that an expression of half a second, which covers two or three of them, does not show in it.
"""

BASELINE_STEP_S = 0.25
"""Time between two slots of the baseline, which so reaches back about two seconds."""

NOISE_SIGMA_PX = 1.0
"""Blur of every slot before anything else: sensor noise has no place in gradients."""

LIGHT_SIGMA_PX = 8.0
"""Width above which differences are light, not motion."""

FLOW_SIGMA_PX = 2.5
"""Width of the window of the Lucas-Kanade least squares."""

REGULARISATION = 10.0
"""Number that is added to the structure tensor, gray levels squared per pixel squared.

Flow then falls to zero where there is no texture instead of growing without bound.
"""

FLOW_LIMIT_PX = 3.0
"""Largest flow; larger values are clipped, because first-order flow is not reliable beyond."""

REGISTRATION_LIMIT_PX = 3.5
"""Largest distance of a head from its baseline.

Further away it has other shadows and another shape.
"""

# Nodes that expressions move least, for fitting the head's own motion: the bridge of the nose
# and the strips outside the outer eye corners, as (left, top, right, bottom) in pixels of the
# aligned face, whose eyes lie at y = 38 and whose outer eye corners at x = 24 and 104.
RIGID_BOXES = ((54, 30, 74, 62), (10, 30, 24, 52), (104, 30, 118, 52))

# The eyes between their lids, (left, top, right, bottom) likewise: what moves here is mostly a
# blink or a look.
LID_BOXES = ((22, 29, 52, 47), (76, 29, 106, 47))

# Compare-and-swap pairs after which the middle of nine values is the median (Devillard, 1998).
MEDIAN_OF_9 = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


def _median_of_slots(slots: UInt8Array, out: Float32Array) -> None:
    """Write the median over the first axis of uint8 [N, H, W] into `out`, float32 [H, W].

    Nine slots, the usual case, go through a network of whole-image minima and maxima: 0.04 ms for a
    face, where `np.median` takes 1.6 ms.
    """
    if len(slots) != 9:
        out[:] = np.median(slots, axis=0)
        return
    values = list(slots)
    for low, high in MEDIAN_OF_9:
        values[low], values[high] = (
            np.minimum(values[low], values[high]),
            np.maximum(values[low], values[high]),
        )
    out[:] = values[4]


@kernel()
def _flow_products(
    baseline: Float32Array, now: Float32Array, light: Float32Array, out: Float32Array
) -> None:
    """Compute the products of the least squares, averaged over each node's stride x stride pixels.

    baseline, now, light: float32 [H, W]; out: float32 [H / stride, W / stride, 5] with xx, xy, yy
    of the gradients and xt, yt with the difference. Gradients are those of the mean of both images,
    which makes the first-order flow exact to second order.
    """
    height, width = baseline.shape
    out[:] = 0.0
    share = np.float32(1.0 / (MOTION_STRIDE * MOTION_STRIDE))
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            gx = np.float32(0.25) * (
                baseline[row, column + 1]
                - baseline[row, column - 1]
                + now[row, column + 1]
                - now[row, column - 1]
            )
            gy = np.float32(0.25) * (
                baseline[row + 1, column]
                - baseline[row - 1, column]
                + now[row + 1, column]
                - now[row - 1, column]
            )
            gt = now[row, column] - baseline[row, column] - light[row, column]
            node = out[row // MOTION_STRIDE, column // MOTION_STRIDE]
            node[0] += share * gx * gx
            node[1] += share * gx * gy
            node[2] += share * gy * gy
            node[3] += share * gx * gt
            node[4] += share * gy * gt


@kernel()
def _rigid_equations(
    products: Float32Array, rigid: Float32Array, normal: Float64Array, right: Float64Array
) -> None:
    """Set up the least squares of the flow equation over the rigid nodes, for `_fit_rigid`.

    products: float32 [G, G, 5]; rigid: float32 [G, G]; normal: float64 [4, 4]; right: float64 [4].
    """
    size = products.shape[0]
    middle = 0.5 * (size - 1)
    normal[:] = 0.0
    right[:] = 0.0
    basis_u = np.zeros(4)
    basis_v = np.zeros(4)
    basis_u[0] = 1.0
    basis_v[1] = 1.0
    for row in range(size):
        for column in range(size):
            w = rigid[row, column]
            if w == 0.0:
                continue
            x = (column - middle) / size
            y = (row - middle) / size
            basis_u[2], basis_v[2] = x, y
            basis_u[3], basis_v[3] = -y, x
            xx, xy, yy, xt, yt = products[row, column]
            for i in range(4):
                along_x = xx * basis_u[i] + xy * basis_v[i]
                along_y = xy * basis_u[i] + yy * basis_v[i]
                right[i] -= w * (xt * basis_u[i] + yt * basis_v[i])
                for j in range(4):
                    normal[i, j] += w * (along_x * basis_u[j] + along_y * basis_v[j])
    for i in range(4):
        # Without texture at the rigid nodes their motion is unknown: then none is found.
        normal[i, i] += REGULARISATION


def _fit_rigid(products: Float32Array, rigid: Float32Array) -> Float64Array:
    """Fit the similarity that explains the rigid nodes' difference best.

    It solves the flow equation itself. products: float32 [G, G, 5]; rigid: float32 [G, G]. Returns
    float64 [4], (tx, ty, s, r) of u = tx + s x - r y, v = ty + r x + s y with x, y in grid sides
    from the middle.
    """
    normal, right = np.empty((4, 4)), np.empty(4)
    _rigid_equations(products, rigid, normal, right)
    return np.asarray(np.linalg.solve(normal, right), np.float64)


@kernel()
def _subtract_rigid(products: Float32Array, motion: Float64Array) -> None:
    """Subtract `motion` from the time products of all nodes, so that the rest is left.

    products: float32 [G, G, 5]; motion: float64 [4] as `_fit_rigid` returns it.
    """
    size = products.shape[0]
    middle = 0.5 * (size - 1)
    tx, ty, s, r = motion
    for row in range(size):
        for column in range(size):
            x = (column - middle) / size
            y = (row - middle) / size
            u = tx + s * x - r * y
            v = ty + r * x + s * y
            p = products[row, column]
            p[3] += p[0] * u + p[1] * v
            p[4] += p[1] * u + p[2] * v


@kernel()
def _solve_flow(products: Float32Array, flow: Float32Array) -> None:
    """Solve the regularised least squares at each node and clip the flow.

    products: float32 [G, G, 5]; flow: float32 [G, G, 2] (u, v), written.
    """
    limit = np.float32(FLOW_LIMIT_PX)
    for row in range(products.shape[0]):
        for column in range(products.shape[1]):
            p = products[row, column]
            a = p[0] + REGULARISATION
            b = p[1]
            c = p[2] + REGULARISATION
            determinant = a * c - b * b
            u = -(c * p[3] - b * p[4]) / determinant
            v = -(a * p[4] - b * p[3]) / determinant
            flow[row, column, 0] = min(max(u, -limit), limit)
            flow[row, column, 1] = min(max(v, -limit), limit)


def _nodes_in(boxes: Iterable[tuple[int, int, int, int]]) -> npt.NDArray[np.bool_]:
    """Return the nodes inside of boxes (left, top, right, bottom) in pixels, bool [G, G]."""
    nodes = np.zeros((GRID, GRID), np.bool_)
    for left, top, right, bottom in boxes:
        stride = MOTION_STRIDE
        nodes[top // stride : bottom // stride, left // stride : right // stride] = True
    return nodes


def _cut(grid: npt.NDArray[Any], layout: RegionLayout) -> npt.NDArray[Any]:
    """Cut the regions, [R, H, W, ...], out of a grid over the whole face, [G, G, ...]."""
    stride = MOTION_STRIDE
    return np.stack(
        [
            grid[top // stride : bottom // stride, left // stride : right // stride]
            for left, top, right, bottom in LAYOUTS[layout]
        ]
    )


def expression_nodes(layout: RegionLayout) -> npt.NDArray[np.bool_]:
    """Return the nodes whose motion shows an expression, bool [R, H, W]: all but the lids'."""
    return _cut(~_nodes_in(LID_BOXES), layout)


class MotionSignal:
    """Motion of one face, slot after slot, float32 [R, H, W, 2] in pixels.

    The baseline is the median of slots spread over the last two seconds. Each slot is first
    registered to it: a similarity is fitted to the parts that expressions do not move, and this is
    the head motion that the alignment left over. Lucas and Kanade's flow (1981) is then solved on a
    grid of every second pixel, after differences wider than a face's features, which are light,
    have been taken out. u points right and v down, in pixels of the aligned face. It is
    regularised, so small: about half of the true displacement.

    Each face has its own; used by one thread.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._step = max(1, round(BASELINE_STEP_S * spec.rate_hz))
        self._layout = spec.region_layout
        self._history = np.zeros((BASELINE_SLOTS, FACE_SIZE, FACE_SIZE), np.uint8)
        self._median = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
        self._baseline = np.zeros((FACE_SIZE, FACE_SIZE), np.float32)
        self._products = np.zeros((GRID, GRID, 5), np.float32)
        self._flow = np.zeros((GRID, GRID, 2), np.float32)
        self._motion = np.zeros(4)
        self._rigid = _nodes_in(RIGID_BOXES).astype(np.float32)
        self.restart()

    def restart(self) -> None:
        """Forget the baseline; the next slot starts a new baseline."""
        self._seen = 0

    def __call__(self, regions: UInt8Array) -> Float32Array | None:
        """Return the motion of one slot: uint8 [1, 128, 128] to float32 [R, H, W, 2].

        None: the head has moved so far from its baseline that the two cannot be compared. Raises
        ValueError on any other shape.
        """
        if regions.shape != (1, FACE_SIZE, FACE_SIZE):
            raise ValueError(
                f"expected the whole aligned face, {(1, FACE_SIZE, FACE_SIZE)}, got {regions.shape}"
            )
        face = regions[0]
        if self._seen % self._step == 0:
            sample = self._seen // self._step
            self._history[sample % BASELINE_SLOTS] = face
            _median_of_slots(self._history[: sample + 1], self._median)
            cv2.GaussianBlur(self._median, (0, 0), NOISE_SIGMA_PX, dst=self._baseline)
        self._seen += 1

        now = np.empty((FACE_SIZE, FACE_SIZE), np.float32)
        cv2.GaussianBlur(face.astype(np.float32), (0, 0), NOISE_SIGMA_PX, dst=now)
        self._compare(now)
        if np.hypot(self._motion[0], self._motion[1]) > REGISTRATION_LIMIT_PX:
            return None
        self._compare(_moved_back(now, self._motion))
        _subtract_rigid(self._products, self._motion)
        smooth = cv2.GaussianBlur(self._products, (0, 0), FLOW_SIGMA_PX / MOTION_STRIDE)
        _solve_flow(np.asarray(smooth, np.float32), self._flow)
        return _cut(self._flow, self._layout)

    def _compare(self, now: Float32Array) -> None:
        """Update the products of `now`, float32 [128, 128], and the baseline; fit the motion."""
        _flow_products(self._baseline, now, _light(now - self._baseline), self._products)
        self._motion = _fit_rigid(self._products, self._rigid)


def _light(difference: Float32Array) -> Float32Array:
    """Return the wide part of a difference, float32 [128, 128].

    It is blurred at a quarter of the size, where a blur costs a sixteenth.
    """
    quarter = (FACE_SIZE // 4, FACE_SIZE // 4)
    small = cv2.resize(difference, quarter, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), LIGHT_SIGMA_PX / 4)
    light: Float32Array = np.empty_like(difference)
    cv2.resize(small, difference.shape, dst=light, interpolation=cv2.INTER_LINEAR)
    return light


def _moved_back(now: Float32Array, motion: Float64Array) -> Float32Array:
    """Return `now`, float32 [128, 128], resampled so that `motion` is undone."""
    tx, ty, s, r = motion[0], motion[1], motion[2] / FACE_SIZE, motion[3] / FACE_SIZE
    middle = 0.5 * (FACE_SIZE - 1)
    to_now = np.array(
        [
            [1.0 + s, -r, tx - middle * (s - r)],
            [r, 1.0 + s, ty - middle * (s + r)],
        ]
    )
    moved: Float32Array = np.empty_like(now)
    cv2.warpAffine(
        now,
        to_now,
        now.shape,
        dst=moved,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved


def warm_up(spec: ModelSpec) -> None:
    """Compile the kernels, or load them from disk, before time matters."""
    MotionSignal(spec)(np.zeros((1, FACE_SIZE, FACE_SIZE), np.uint8))
