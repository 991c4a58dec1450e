"""Variations of the samples that a network is trained on, drawn anew in each epoch.

A draw holds for all slots and regions of a sample: from slot to slot only the expression may
change.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.errors import KilasError
from realtime.kernels import kernel
from realtime.spec import FACE_SIZE, ModelSpec
from realtime.types import Float32Array, Float64Array, UInt8Array

GAIN_RANGE = (0.7, 1.4)
"""Range of the factor by which the motion of each window is scaled, for faces and expressions of
other sizes than those at hand."""


ROTATION_DEG = 15.0  # stated by the 3DCNN framework paper, as are crop and contrast
CROP = 0.1
CONTRAST = 0.3

BRIGHTNESS = 0.15
"""Largest change of brightness; the papers do not state it, and CONTRAST changes black and white
as much."""

SHARE = 0.5
"""Share of varied samples: the papers put variations beside the original samples and do not state
how many; here one for each."""

FLIP = 0.5
"""Share of mirrored samples; not in the papers: a face in the mirror shows the same emotion."""

MIDDLE_GRAY = 127.5  # what a change of contrast leaves as it is


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Amounts by which samples are varied; nothing changes where all are 0.

    `share`: probability that a sample is varied at all; `flip`: probability that it is mirrored,
    varied or not. `rotation_deg`: largest rotation to either side. `crop`: share of the face's
    area that is cut off: a square that keeps the rest, anywhere in the face, is resized to the
    face's size. `contrast`: largest gain or loss, as a share, around MIDDLE_GRAY. `brightness`:
    largest shift up or down, as a share of the 255 levels.

    Raises KilasError when an amount is out of its range.
    """

    rotation_deg: float = ROTATION_DEG
    crop: float = CROP
    contrast: float = CONTRAST
    brightness: float = BRIGHTNESS
    share: float = SHARE
    flip: float = FLIP

    def __post_init__(self) -> None:
        problems = [
            (not 0 <= self.rotation_deg <= 180, "rotation_deg must lie between 0 and 180"),
            (not 0 <= self.crop < 1, "crop must be at least 0 and below 1"),
            (not 0 <= self.contrast <= 1, "contrast must lie between 0 and 1"),
            (not 0 <= self.brightness <= 1, "brightness must lie between 0 and 1"),
            (not 0 <= self.share <= 1, "share must lie between 0 and 1"),
            (not 0 <= self.flip <= 1, "flip must lie between 0 and 1"),
        ]
        for is_wrong, message in problems:
            if is_wrong:
                raise KilasError(f"The augmentation does not fit: {message}.")


def augment(faces: UInt8Array, random: np.random.Generator, amounts: Augmentation) -> UInt8Array:
    """Vary gray faces: uint8 [B, T, 128, 128] -> the same shape and dtype.

    Rotation, crop and flip are one bilinear resampling; a place outside of the face has the value
    of the face's nearest pixel. Gray levels are rounded and clipped once, at the end. Raises
    ValueError on any other shape.
    """
    if faces.ndim != 4 or faces.shape[2:] != (FACE_SIZE, FACE_SIZE):
        raise ValueError(
            f"expected whole aligned faces, [B, T, {FACE_SIZE}, {FACE_SIZE}], got {faces.shape}"
        )
    samples, slots = faces.shape[:2]
    is_varied = random.random((samples,)) < amounts.share
    rotation_deg = is_varied * random.uniform(-1, 1, (samples,)) * amounts.rotation_deg
    scale = np.where(is_varied, np.sqrt(1 - amounts.crop), 1.0)
    place = random.uniform(-1, 1, (samples, 2))
    contrast = 1 + is_varied * random.uniform(-1, 1, (samples,)) * amounts.contrast
    brightness = is_varied * random.uniform(-1, 1, (samples,)) * amounts.brightness
    is_flipped = random.random((samples,)) < amounts.flip

    result = np.empty_like(faces)

    def vary(index: int) -> None:
        to_face = _to_face(rotation_deg[index], scale[index], place[index], is_flipped[index])
        shift = MIDDLE_GRAY * (1 - contrast[index]) + 255 * brightness[index]
        # With the slots last a pixel of all of them is found at once; OpenCV's transposition takes
        # a tenth of NumPy's time.
        face = cv2.transpose(faces[index].reshape(slots, -1))
        varied = np.empty_like(face)
        _vary(face, to_face, np.float32(contrast[index]), np.float32(shift), varied)
        cv2.transpose(varied, dst=result[index].reshape(slots, -1))

    # TensorFlow makes no batch ahead when it has to be deterministic: the network waits, and all
    # cores are free.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(vary, range(samples)))
    return result


def augment_motion(
    signal: Float32Array, random: np.random.Generator, spec: ModelSpec, amounts: Augmentation
) -> Float32Array:
    """Vary motion: float32 [B, T, R, H, W, 2] -> the same shape and dtype.

    It is mirrored with the probability `amounts.flip`, and scaled by a factor from GAIN_RANGE.

    No other amount applies: motion is measured on the aligned face, where light and the head's
    own rotation have been taken out.
    """
    is_flipped = random.random(len(signal)) < amounts.flip
    gain = random.uniform(*GAIN_RANGE, (len(signal), 1, 1, 1, 1, 1))
    result = signal * gain.astype(np.float32)
    result[is_flipped] = mirror(result[is_flipped], spec)
    return result


def _to_face(
    rotation_deg: float, scale: float, place: Float64Array, is_flipped: bool
) -> Float64Array:
    """Return the transform from pixels (x, y) of a variation to the face, float64 [2, 3].

    `place`: float64 [2], the position of the crop: (-1, -1) left above, (1, 1) right below.
    """
    angle = np.deg2rad(rotation_deg)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    if is_flipped:
        turn[:, 0] *= -1
    middle = np.full(2, 0.5 * (FACE_SIZE - 1))
    offset = place * (1 - scale) * FACE_SIZE / 2
    return np.column_stack([turn, middle + offset - turn @ middle])


@kernel()
def _vary(
    face: UInt8Array, to_face: Float64Array, gain: np.float32, shift: np.float32, out: UInt8Array
) -> None:
    """Resample all slots of a face, then multiply by `gain` and add `shift`.

    `face`, `out`: uint8 [128 * 128, T]; `to_face`: float64 [2, 3], see `_to_face`.
    """
    size = FACE_SIZE
    slots = face.shape[1]
    one, black, white = np.float32(1.0), np.float32(0.0), np.float32(255.0)
    shift += np.float32(0.5)  # rounds, since the conversion to uint8 below cuts off
    for row in range(size):
        for column in range(size):
            x = to_face[0, 0] * column + to_face[0, 1] * row + to_face[0, 2]
            y = to_face[1, 0] * column + to_face[1, 1] * row + to_face[1, 2]
            left, top = int(np.floor(x)), int(np.floor(y))
            right_weight, below_weight = np.float32(x - left), np.float32(y - top)
            x_0, x_1 = min(max(left, 0), size - 1), min(max(left + 1, 0), size - 1)
            y_0, y_1 = min(max(top, 0), size - 1), min(max(top + 1, 0), size - 1)
            w_00 = gain * (one - right_weight) * (one - below_weight)
            w_01 = gain * right_weight * (one - below_weight)
            w_10 = gain * (one - right_weight) * below_weight
            w_11 = gain * right_weight * below_weight
            p_00, p_01 = face[y_0 * size + x_0], face[y_0 * size + x_1]
            p_10, p_11 = face[y_1 * size + x_0], face[y_1 * size + x_1]
            varied = out[row * size + column]
            for slot in range(slots):
                gray = (
                    p_00[slot] * w_00
                    + p_01[slot] * w_01
                    + p_10[slot] * w_10
                    + p_11[slot] * w_11
                    + shift
                )
                varied[slot] = np.uint8(min(max(gray, black), white))


def mirror(signal: Float32Array, spec: ModelSpec) -> Float32Array:
    """Mirror windows of the signal, [B, T, R, H, W, C], as if the face were seen in a mirror.

    Left and right regions change places, and motion to the right becomes motion to the left.
    """
    mirrored = signal[:, :, :, :, ::-1, :].copy()
    if spec.region_layout == "triple":
        mirrored = mirrored[:, :, [1, 0, 2]]
    if spec.signal == "motion":
        mirrored[..., 0] *= -1.0
    return mirrored
