"""Variations of samples: how far they go, what they leave alone, and that slots stay together."""

from __future__ import annotations

import dataclasses
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import KilasError
from realtime.spec import FACE_SIZE, ModelSpec, RegionLayout
from realtime.types import Float32Array, UInt8Array
from training.batches.augmentation import (
    GAIN_RANGE,
    MIDDLE_GRAY,
    Augmentation,
    _to_face,
    _vary,
    augment,
    augment_motion,
    mirror,
)
from training.batches.sample_batches import cut

NOTHING = Augmentation(rotation_deg=0, crop=0, contrast=0, brightness=0, share=0, flip=0)
ALWAYS = dataclasses.replace(NOTHING, share=1)
SEEDS = st.integers(0, 2**32 - 1)


def spec(layout: RegionLayout, signal: str = "gray") -> ModelSpec:
    return ModelSpec(
        name="test",
        version="1",
        architecture="any",
        labels=("negative", "positive"),
        rate_hz=30.0,
        frames=3,
        region_layout=layout,
        signal=signal,
        normalisation="any",
    )


def noise(samples: int = 2, slots: int = 3, seed: int = 0) -> UInt8Array:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (samples, slots, FACE_SIZE, FACE_SIZE), np.uint8)


def ramps() -> UInt8Array:
    """uint8 [1, 2, 128, 128]: the gray level is twice the column in the first slot and twice the
    row in the second, so that a variation tells where each of its pixels comes from."""
    level = 2 * np.arange(FACE_SIZE, dtype=np.uint8)
    columns = np.broadcast_to(level, (FACE_SIZE, FACE_SIZE))
    return np.stack([columns, columns.T])[np.newaxis]


def middle_map(faces: UInt8Array) -> np.ndarray:
    """float64 [2, 3]: where (column, row, 1) of a variation of `ramps`, with the middle of the
    face as the origin, comes from: fitted around the middle, which no edge reaches."""
    inner = slice(24, 104)
    at = np.arange(FACE_SIZE)[inner] - 63.5
    rows, columns = np.meshgrid(at, at, indexing="ij")
    where = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)], axis=1)
    come_from = faces[0, :, inner, inner].reshape(2, -1).astype(float) / 2 - 63.5
    return np.linalg.lstsq(where, come_from.T, rcond=None)[0].T


def test_no_amount_changes_nothing() -> None:
    faces = noise()
    for amounts in (NOTHING, ALWAYS, dataclasses.replace(Augmentation(), share=0, flip=0)):
        assert (augment(faces, np.random.default_rng(0), amounts) == faces).all()


def test_the_samples_that_are_given_stay_as_they_are() -> None:
    faces = noise()
    before = faces.copy()
    varied = augment(faces, np.random.default_rng(0), Augmentation(share=1))
    assert (faces == before).all()
    assert (varied != before).any()
    assert (varied.dtype, varied.shape) == (np.uint8, faces.shape)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_all_slots_of_a_sample_are_varied_alike_and_samples_differ(seed: int) -> None:
    faces = np.repeat(noise(1, 1), 4, axis=1).repeat(2, axis=0)
    varied = augment(faces, np.random.default_rng(seed), Augmentation(share=1))
    assert (varied == varied[:, :1]).all()
    assert (varied[0] != varied[1]).any()


@given(SEEDS, st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_the_number_of_slots_does_not_matter(seed: int, slots: int) -> None:
    faces = noise(1, 20)
    amounts = Augmentation(share=1)
    whole = augment(faces, np.random.default_rng(seed), amounts)
    part = augment(faces[:, :slots], np.random.default_rng(seed), amounts)
    assert (part == whole[:, :slots]).all()


def test_the_same_numbers_give_the_same_variations() -> None:
    first, second, other = (
        augment(noise(), np.random.default_rng(seed), Augmentation(share=1)) for seed in (1, 1, 2)
    )
    assert (first == second).all()
    assert (first != other).any()


@given(SEEDS, st.floats(0, 30))
@settings(max_examples=50, deadline=None)
def test_faces_turn_at_most_so_far(seed: int, rotation_deg: float) -> None:
    amounts = dataclasses.replace(ALWAYS, rotation_deg=rotation_deg)
    varied = augment(ramps(), np.random.default_rng(seed), amounts)
    found = middle_map(varied)
    angle = np.rad2deg(np.arctan2(found[1, 0], found[0, 0]))
    assert abs(angle) <= rotation_deg + 0.2
    assert np.hypot(*found[:, 0]) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(found[:, 2], 0, atol=0.1)


@given(SEEDS, st.floats(0, 0.5))
@settings(max_examples=50, deadline=None)
def test_a_crop_keeps_its_share_of_the_area_and_lies_inside_the_face(
    seed: int, crop: float
) -> None:
    varied = augment(ramps(), np.random.default_rng(seed), dataclasses.replace(ALWAYS, crop=crop))
    found = middle_map(varied)
    assert np.linalg.det(found[:, :2]) == pytest.approx(1 - crop, abs=0.01)
    half_side = FACE_SIZE / 2 * np.sqrt(1 - crop)
    assert (np.abs(found[:, 2]) + half_side <= FACE_SIZE / 2 + 0.1).all()


def test_crops_lie_everywhere_and_faces_turn_both_ways() -> None:
    random = np.random.default_rng(0)
    amounts = dataclasses.replace(ALWAYS, rotation_deg=15, crop=0.1)
    found = np.stack([middle_map(augment(ramps(), random, amounts)) for _ in range(60)])
    angle = np.rad2deg(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    assert angle.min() < -10
    assert angle.max() > 10
    most = FACE_SIZE / 2 * (1 - np.sqrt(0.9))
    assert (found[:, :, 2].min(axis=0) < -0.7 * most).all()
    assert (found[:, :, 2].max(axis=0) > 0.7 * most).all()


@given(SEEDS, st.floats(0, 1), st.floats(0, 1), st.integers(0, 255))
@settings(max_examples=50, deadline=None)
def test_light_changes_at_most_so_much_and_keeps_the_range(
    seed: int, contrast: float, brightness: float, level: int
) -> None:
    faces = np.full((1, 1, FACE_SIZE, FACE_SIZE), level, np.uint8)
    amounts = dataclasses.replace(ALWAYS, contrast=contrast, brightness=brightness)
    varied = augment(faces, np.random.default_rng(seed), amounts)
    assert (varied == varied[0, 0, 0, 0]).all()
    most = contrast * abs(level - MIDDLE_GRAY) + 255 * brightness
    assert abs(int(varied[0, 0, 0, 0]) - level) <= most + 0.51


def test_contrast_is_taken_around_the_middle_gray_and_is_clipped_not_wrapped() -> None:
    faces = np.broadcast_to(np.arange(128, dtype=np.uint8) * 2, (1, 1, 128, 128)).copy()
    amounts = dataclasses.replace(ALWAYS, contrast=1, brightness=0.5)
    random = np.random.default_rng(3)
    for _ in range(20):
        varied = augment(faces, random, amounts)[0, 0, 0].astype(int)
        # Brighter stays brighter; a level that had wrapped around would fall.
        assert (np.diff(varied) >= 0).all()
    dark = np.zeros((1, 1, 128, 128), np.uint8)
    shown = [
        int(augment(dark, random, dataclasses.replace(ALWAYS, contrast=0.3))[0, 0, 0, 0])
        for _ in range(100)
    ]
    assert min(shown) == 0  # more contrast: black cannot get blacker
    assert 30 < max(shown) <= 38  # less: up to 30 % of the way to the middle gray


def test_as_many_are_varied_and_mirrored_as_the_amounts_say() -> None:
    faces = noise(400, 1)
    random = np.random.default_rng(0)
    varied = augment(faces, random, dataclasses.replace(ALWAYS, share=0.25, rotation_deg=15))
    assert 0.18 < (varied != faces).any(axis=(1, 2, 3)).mean() < 0.32
    mirrored = augment(faces, random, dataclasses.replace(NOTHING, flip=0.25))
    is_mirrored = (mirrored == faces[..., ::-1]).all(axis=(1, 2, 3))
    assert 0.18 < is_mirrored.mean() < 0.32
    assert (mirrored[~is_mirrored] == faces[~is_mirrored]).all()


@pytest.mark.parametrize("layout", get_args(RegionLayout))
def test_mirroring_the_face_mirrors_and_swaps_its_regions(layout: RegionLayout) -> None:
    faces = noise()
    mirrored = augment(faces, np.random.default_rng(0), dataclasses.replace(NOTHING, flip=1))
    expected = mirror(cut(faces, layout), spec(layout))
    assert (cut(mirrored, layout) == expected).all()
    assert (cut(faces, layout) != expected).any()


@given(
    SEEDS,
    st.floats(-180, 180),
    st.floats(0.5, 1),
    st.booleans(),
    st.floats(0.2, 2),
    st.floats(-200, 200),
)
@settings(max_examples=30, deadline=None)
def test_the_kernel_equals_its_twin(
    seed: int, rotation_deg: float, scale: float, is_flipped: bool, gain: float, shift: float
) -> None:
    random = np.random.default_rng(seed)
    faces = noise(1, 3, seed)[0]
    to_face = _to_face(rotation_deg, scale, random.uniform(-1, 1, 2), is_flipped)

    rows, columns = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    x, y = np.einsum("ij,jrc->irc", to_face, np.stack([columns, rows, np.ones_like(rows)]))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    twin = np.zeros(faces.shape)
    for across in (0, 1):
        for down in (0, 1):
            weight = np.abs(1 - across - (x - left)) * np.abs(1 - down - (y - top))
            pixels = (np.clip(top + down, 0, 127), np.clip(left + across, 0, 127))
            twin += weight * faces[:, pixels[0], pixels[1]]
    twin = np.clip(gain * twin + shift, 0, 255)

    varied = np.empty((128 * 128, 3), np.uint8)
    slots_last = np.ascontiguousarray(faces.reshape(3, -1).T)
    _vary(slots_last, to_face, np.float32(gain), np.float32(shift), varied)
    # Half a level is the rounding.
    assert np.abs(varied.T.reshape(faces.shape) - twin).max() <= 0.51


def test_turning_equals_opencv_up_to_its_own_rounding_of_places() -> None:
    """OpenCV rounds coordinates to 1/32 pixel; on a smooth picture that is nothing."""
    smooth = cv2.GaussianBlur(noise(1, 1)[0, 0], (0, 0), 6)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    to_face = _to_face(11.0, 0.9, np.array([0.4, -0.7]), True)
    varied = np.empty((128 * 128, 1), np.uint8)
    _vary(smooth.reshape(-1, 1), to_face, np.float32(1), np.float32(0), varied)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    twin = cv2.warpAffine(smooth, to_face, (128, 128), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(varied.reshape(128, 128).astype(int) - twin).max() <= 1


def motion(layout: RegionLayout, samples: int = 50) -> Float32Array:
    shape = (samples, *spec(layout, "motion").window_shape)
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("layout", get_args(RegionLayout))
def test_motion_is_mirrored_with_the_sign_of_u_and_scaled(layout: RegionLayout) -> None:
    signal = motion(layout)
    own = spec(layout, "motion")
    random = np.random.default_rng(0)
    for flip, expected in ((0, signal), (1, mirror(signal, own))):
        varied = augment_motion(signal, random, own, dataclasses.replace(NOTHING, flip=flip))
        assert varied.dtype == np.float32
        gains = varied / expected
        own_gain = gains[:, :1, :1, :1, :1, :1]
        np.testing.assert_allclose(gains, np.broadcast_to(own_gain, gains.shape), rtol=1e-5)
        low, high = GAIN_RANGE
        assert low <= own_gain.min() < low + 0.1
        assert high - 0.1 < own_gain.max() <= high


def test_some_motion_is_mirrored_and_some_is_not() -> None:
    signal = motion("triple")
    before = signal.copy()
    amounts = Augmentation()
    varied = augment_motion(signal, np.random.default_rng(0), spec("triple", "motion"), amounts)
    is_same_way = (np.sign(varied) == np.sign(signal)).all(axis=(1, 2, 3, 4, 5))
    assert 0.3 < is_same_way.mean() < 0.7
    assert (signal == before).all()


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 3, 64, 64), (1, 3, 128, 128, 1)])
def test_other_shapes_than_whole_faces_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="128"):
        augment(np.zeros(shape, np.uint8), np.random.default_rng(0), Augmentation())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation_deg", -1),
        ("rotation_deg", 181),
        ("crop", 1),
        ("contrast", 1.1),
        ("brightness", -0.1),
        ("share", 2),
        ("flip", float("nan")),
    ],
)
def test_an_amount_out_of_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(KilasError, match=name):
        Augmentation(**{name: value})
