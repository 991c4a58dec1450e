"""Random augmentation of still pictures of faces, new in each epoch.

Each picture is flipped or not, turned, scaled and moved in one warp, gets another gamma, and may
lose a rectangle (Zhong et al., 2020, "Random erasing data augmentation").
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from realtime.macro.model import FACE_PX
from realtime.types import UInt8Array
from training.recipe import check

LARGEST = {"turn_deg": 180.0, "zoom": 2.0, "move_px": FACE_PX, "gamma": 2.0, "erase": 1.0}
"""Largest value allowed for each amount; with more, nothing is left of a face."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Amounts of random changes to pictures, each drawn evenly up to the number stated.

    `turn_deg`, `move_px`: in both directions. `zoom`: log of the factor, in both directions.
    `gamma`: log of the exponent, in both directions. `erase`: share of the pictures that lose a
    rectangle, whose sides are `erase_px` at most. `flip`: half of the pictures are mirrored.

    Raises KilasError when an amount is out of its range.
    """

    flip: bool = True
    turn_deg: float = 12.0
    zoom: float = 0.15
    move_px: float = 4.0
    gamma: float = 0.4
    erase: float = 0.5
    erase_px: int = 20

    def __post_init__(self) -> None:
        check(
            "[augmentation]",
            [
                (type(self.flip) is not bool, "flip must be true or false"),
                *(
                    (
                        type(value) not in (int, float) or not 0 <= value <= most,
                        f"{name} must be a number from 0 to {most:g}",
                    )
                    for name, most in LARGEST.items()
                    for value in [getattr(self, name)]
                ),
                (
                    type(self.erase_px) is not int or not 0 <= self.erase_px <= FACE_PX,
                    f"erase_px must be a whole number from 0 to {FACE_PX}",
                ),
            ],
        )

    def __call__(self, images: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        """Return a changed copy of each gray face. images: uint8 [N, H, W]."""
        count, height, width = images.shape
        turns = np.radians(rng.uniform(-self.turn_deg, self.turn_deg, count))
        zooms = np.exp(rng.uniform(-self.zoom, self.zoom, count))
        moves = rng.uniform(-self.move_px, self.move_px, (count, 2))
        signs = np.where(rng.random(count) < 0.5 * self.flip, -1.0, 1.0)
        gammas = np.exp(rng.uniform(-self.gamma, self.gamma, count))
        is_erased = rng.random((count,)) < self.erase
        levels = np.linspace(0.0, 1.0, 256)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        out = np.empty_like(images)
        for i, image in enumerate(images):
            cos, sin = zooms[i] * np.cos(turns[i]), zooms[i] * np.sin(turns[i])
            turn = np.array([[signs[i] * cos, -sin], [signs[i] * sin, cos]])
            transform = np.column_stack([turn, centre + moves[i] - turn @ centre])
            cv2.warpAffine(
                image, transform, (width, height), out[i], borderMode=cv2.BORDER_REPLICATE
            )
            curve = np.rint(255.0 * levels ** gammas[i]).astype(np.uint8)
            cv2.LUT(out[i], curve, out[i])
            if is_erased[i]:
                self._erase(out[i], rng)
        return out

    def _erase(self, image: UInt8Array, rng: np.random.Generator) -> None:
        height, width = image.shape
        h, w = rng.integers(self.erase_px // 3, self.erase_px + 1, 2)
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        image[top : top + h, left : left + w] = rng.integers(0, 256)
