"""The motion signal: against plain NumPy twins, and on a real face moved in known ways."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.preprocessing import motion
from realtime.preprocessing.motion import BASELINE_SLOTS, FLOW_LIMIT_PX, GRID, MotionSignal
from realtime.spec import FACE_SIZE, LAYOUTS, ModelSpec
from realtime.types import Float32Array, UInt8Array

SPEC = ModelSpec(
    name="test",
    version="1",
    architecture="test",
    labels=("none", "some"),
    rate_hz=30.0,
    frames=16,
    region_layout="triple",
    signal="motion",
    normalisation="",
)


@pytest.fixture(scope="module")
def face(astronaut_bgr: UInt8Array) -> UInt8Array:
    """uint8 [128, 128]: a real face, its outer eye corners about 80 px apart."""
    gray = cv2.cvtColor(astronaut_bgr, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(gray[60:200, 150:290], (FACE_SIZE, FACE_SIZE)), np.uint8)


def moved(face: UInt8Array, u: npt.ArrayLike, v: npt.ArrayLike) -> UInt8Array:
    """The face with each pixel displaced by (u, v) pixels, right and down."""
    y, x = np.mgrid[:FACE_SIZE, :FACE_SIZE].astype(np.float32)
    from_x, from_y = x - np.float32(u), y - np.float32(v)
    return np.asarray(
        cv2.remap(face, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )


def bump(x: float, y: float, sigma: float = 9.0) -> Float32Array:
    rows, columns = np.mgrid[:FACE_SIZE, :FACE_SIZE]
    square = (columns - x) ** 2 + (rows - y) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(np.float32)


def flow_of(before: UInt8Array, after: UInt8Array) -> Float32Array:
    signal = MotionSignal(SPEC)
    signal(before[np.newaxis])
    flow = signal(after[np.newaxis])
    assert flow is not None
    return flow


def test_a_still_face_has_no_motion(face: UInt8Array) -> None:
    flow = flow_of(face, face)
    assert flow.shape == SPEC.window_shape[1:]
    assert flow.dtype == np.float32
    assert not flow.any()


@pytest.mark.parametrize("pixels", [0.3, 1.0, 2.0])
def test_a_mouth_that_moves_is_seen_where_it_is_and_nowhere_else(
    face: UInt8Array, pixels: float
) -> None:
    flow = flow_of(face, moved(face, 0, pixels * bump(64, 96)))
    lower = flow[2, ..., 1]
    row, column = np.unravel_index(lower.argmax(), lower.shape)
    left, top, _, _ = LAYOUTS["triple"][2]
    assert abs(left + 2 * column - 64) <= 16
    assert abs(top + 2 * row - 96) <= 16
    assert 0.3 * pixels < lower.max() < 1.2 * pixels
    assert np.abs(flow[:2, :20]).max() < 0.1 * lower.max()


def test_more_motion_gives_more_flow(face: UInt8Array) -> None:
    peaks = [flow_of(face, moved(face, 0, p * bump(64, 96)))[2].max() for p in (0.2, 0.5, 1.0, 2.0)]
    assert peaks == sorted(peaks)


@pytest.mark.parametrize(("u", "v"), [(1.0, 0.0), (0.0, 1.5), (-1.0, 1.0)])
def test_motion_of_the_whole_head_is_taken_out(face: UInt8Array, u: float, v: float) -> None:
    head = np.abs(flow_of(face, moved(face, u, v)))
    assert head.mean() < 0.12 * np.hypot(u, v)


def test_an_expression_is_seen_while_the_head_moves(face: UInt8Array) -> None:
    still = flow_of(face, moved(face, 0, 1.5 * bump(64, 96)))
    moving = flow_of(face, moved(face, 0.8, 1.5 * bump(64, 96) + 0.5))
    assert np.abs(moving - still).mean() < 0.25 * np.abs(still).max()


def test_light_is_not_motion(face: UInt8Array) -> None:
    ramp = np.linspace(-12, 12, FACE_SIZE)[np.newaxis] + 10
    brighter = np.clip(face + ramp, 0, 255).astype(np.uint8)
    light = np.abs(flow_of(face, brighter)).mean()
    shift = np.abs(flow_of(face, moved(face, 0, bump(64, 96)))).mean()
    assert light < 0.5 * shift


def test_a_head_that_went_far_away_gives_up(face: UInt8Array) -> None:
    signal = MotionSignal(SPEC)
    signal(face[np.newaxis])
    blurred = cv2.GaussianBlur(face, (0, 0), 6)
    signal.restart()
    assert signal(blurred[np.newaxis]) is not None
    assert signal(moved(blurred, 8, 0)[np.newaxis]) is None


def test_the_baseline_follows_a_face_that_stays_changed(face: UInt8Array) -> None:
    changed = moved(face, 0, 1.5 * bump(64, 96))
    signal = MotionSignal(SPEC)
    for _ in range(75):
        signal(face[np.newaxis])
    peaks = []
    for _ in range(90):
        flow = signal(changed[np.newaxis])
        assert flow is not None
        peaks.append(float(np.abs(flow).max()))
    # Half a second in it is fully there; once most of the baseline's slots show it, it is gone.
    assert peaks[15] == pytest.approx(peaks[0], rel=0.05)
    assert peaks[-1] < 0.05 * peaks[0]


def test_restart_forgets_the_baseline(face: UInt8Array) -> None:
    signal = MotionSignal(SPEC)
    signal(face[np.newaxis])
    signal.restart()
    flow = signal(moved(face, 0, 2 * bump(64, 96))[np.newaxis])
    assert flow is not None
    assert not flow.any()


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 128, 128\), got \(3, 64, 64\)"):
        MotionSignal(SPEC)(np.zeros((3, 64, 64), np.uint8))


@given(count=st.integers(1, BASELINE_SLOTS), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_median_equals_numpy(count: int, seed: int) -> None:
    slots = np.random.default_rng(seed).integers(0, 256, (BASELINE_SLOTS, 8, 8), np.uint8)
    out = np.empty((8, 8), np.float32)
    motion._median_of_slots(slots[:count], out)
    np.testing.assert_array_equal(out, np.median(slots[:count], axis=0))


def twin_products(before: Float32Array, now: Float32Array, light: Float32Array) -> Float32Array:
    mean = (before + now) / 2
    gy, gx = np.gradient(mean)
    gt = now - before - light
    products = np.stack([gx * gx, gx * gy, gy * gy, gx * gt, gy * gt], axis=-1)
    products[[0, -1]] = products[:, [0, -1]] = 0
    return products.reshape(GRID, 2, GRID, 2, 5).mean(axis=(1, 3)).astype(np.float32)


def test_products_equal_the_twin() -> None:
    random = np.random.default_rng(0)
    before, now, light = random.normal(100, 30, (3, FACE_SIZE, FACE_SIZE)).astype(np.float32)
    out = np.empty((GRID, GRID, 5), np.float32)
    motion._flow_products(before, now, light, out)
    np.testing.assert_allclose(out, twin_products(before, now, light), rtol=1e-4, atol=0.05)


def test_flow_equals_the_twin() -> None:
    random = np.random.default_rng(1)
    g = random.normal(0, 5, (GRID, GRID, 3, 2))
    t = random.normal(0, 5, (GRID, GRID, 3))
    tensor = np.einsum("ijka,ijkb->ijab", g, g)
    right = np.einsum("ijka,ijk->ija", g, t)
    products = np.stack(
        [tensor[..., 0, 0], tensor[..., 0, 1], tensor[..., 1, 1], right[..., 0], right[..., 1]], -1
    ).astype(np.float32)
    flow = np.empty((GRID, GRID, 2), np.float32)
    motion._solve_flow(products, flow)
    regular = tensor + motion.REGULARISATION * np.eye(2)
    twin = -np.linalg.solve(regular, right[..., np.newaxis])[..., 0]
    np.testing.assert_allclose(flow, twin.clip(-FLOW_LIMIT_PX, FLOW_LIMIT_PX), rtol=1e-3, atol=1e-4)


def test_the_rigid_fit_finds_a_similarity_exactly() -> None:
    random = np.random.default_rng(2)
    gradient = random.normal(0, 5, (GRID, GRID, 2))
    y, x = (np.mgrid[:GRID, :GRID] - (GRID - 1) / 2) / GRID
    tx, ty, s, r = 0.7, -0.4, 1.1, -0.8
    u, v = tx + s * x - r * y, ty + r * x + s * y
    gx, gy = gradient[..., 0], gradient[..., 1]
    gt = -(gx * u + gy * v)
    products = np.stack([gx * gx, gx * gy, gy * gy, gx * gt, gy * gt], -1).astype(np.float32)
    found = motion._fit_rigid(products, np.ones((GRID, GRID), np.float32))
    np.testing.assert_allclose(found, (tx, ty, s, r), atol=0.01)
    motion._subtract_rigid(products, found)
    flow = np.empty((GRID, GRID, 2), np.float32)
    motion._solve_flow(products, flow)
    assert np.abs(flow).max() < 0.02
