"""Speed of `extract_regions` against the same steps in plain OpenCV: `python bench_regions.py`."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from realtime.preprocessing.regions import extract_regions, warm_up
from realtime.spec import FACE_SIZE, LAYOUTS, RegionLayout

REPEATS = 300
BATCHES = 7


def microseconds(call: Callable[[], object]) -> float:
    """Time one call: the best batch, because whatever disturbs a batch only adds to it."""
    best = float("inf")
    for _ in range(BATCHES):
        start = time.perf_counter()
        for _ in range(REPEATS):
            call()
        best = min(best, time.perf_counter() - start)
    return best / REPEATS * 1e6


def opencv_twin(
    image_bgr: npt.NDArray[np.uint8], transform: npt.NDArray[np.float32], layout: RegionLayout
) -> npt.NDArray[np.uint8]:
    aligned = cv2.warpAffine(
        cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY),
        transform,
        (FACE_SIZE, FACE_SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.stack(
        [aligned[top:bottom, left:right] for left, top, right, bottom in LAYOUTS[layout]]
    )


def main() -> None:
    cv2.setNumThreads(1)
    warm_up()
    rng = np.random.default_rng(0)
    for width, height in ((640, 480), (1280, 720), (1920, 1080)):
        image_bgr = rng.integers(0, 256, (height, width, 3), np.uint8)
        # A face that fills a quarter of the frame's height, tilted by 10 degrees.
        scale = FACE_SIZE / (height / 4)
        c, s = scale * np.cos(np.deg2rad(10)), scale * np.sin(np.deg2rad(10))
        turn = np.array([[c, -s], [s, c]])
        shift = np.full(2, FACE_SIZE / 2) - turn @ (width / 2, height / 2)
        transform = np.column_stack([turn, shift]).astype(np.float32)
        for layout in LAYOUTS:
            kernel = microseconds(lambda: extract_regions(image_bgr, transform, layout))  # noqa: B023
            twin = microseconds(lambda: opencv_twin(image_bgr, transform, layout))  # noqa: B023
            print(
                f"{width}x{height} {layout:6}: kernel {kernel:6.1f} us, OpenCV {twin:6.1f} us, "
                f"ratio {twin / kernel:.2f}"
            )


if __name__ == "__main__":
    main()
