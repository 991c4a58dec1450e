"""Haar cascade detector, which cuts faces out as the FER2013 paper does, as a square.

The landmarks of `realtime.faces.tracker` and `realtime.faces.detector` are the better way: they
stand a leaning head upright and put everybody's eyes in the same place. This detector is here to be
compared with.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.types import UInt8Array

CASCADE = "haarcascade_frontalface_default.xml"
"""Cascade that is used by default; the paper does not name its own."""

SCALE_FACTOR = 1.1
"""Factor from one size of the search to the next: OpenCV's own.

Of 400 stills of FER2013, 75 % are found with it, 61 % with 1.3, and 80 % with 1.05 in twice the
time.
"""

MIN_NEIGHBOURS = 5
"""Number of hits that have to agree.

With OpenCV's own 3, 79 % of the same stills are found, and more false faces.
"""

SMALLEST_SHARE = 1 / 15
"""Smallest face that is searched for, as a share of the image's shorter side.

About as small as those that landmarks are found on. Most of the time goes into the small ones.
"""

SMALLEST_PICTURE_PX = 192
"""Shorter side to which smaller images are enlarged, because the cascade begins at 24 pixels.

Of FER2013's stills, 48 pixels wide, 38 % are found without it and without the margin.
"""

LARGEST_SCALE = 4.0
"""Largest enlargement of an image: anything smaller than FER2013's stills shows no face."""

MARGIN = 0.25
"""Margin around the image, as a share of its shorter side.

Without it, a face that fills the image is not found.
"""


class HaarDetector:
    """Detector of faces with OpenCV's frontal face cascade. For one thread at a time."""

    def __init__(self, path: Path | None = None) -> None:
        """Load the cascade.

        `path`: another cascade file than OpenCV's own. Raises KilasError when there is none.
        """
        if path is None:
            # OpenCV 5 has neither the folder nor the class.
            path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / CASCADE
        if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
            raise KilasError(
                f"OpenCV {cv2.__version__} brings no Haar cascade ({path.name}): install "
                "opencv-python 4, or cut faces by their landmarks (--faces landmarks)."
            )
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise KilasError(f"{path} is no Haar cascade; install opencv-python anew.")

    def __call__(self, gray: UInt8Array) -> npt.NDArray[np.int64]:
        """Return the boxes of the faces of a gray image, uint8 [h, w]: int64 [n, 4].

        Left, top, width and height in pixels, the largest first. They may reach beyond the image.
        """
        if gray.ndim != 2 or gray.dtype != np.uint8 or not gray.size:
            raise ValueError(f"expected gray uint8 [h, w], got {gray.dtype} {list(gray.shape)}")
        shorter = min(gray.shape)
        border = round(MARGIN * shorter)
        framed = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
        scale = min(max(1.0, SMALLEST_PICTURE_PX / shorter), LARGEST_SCALE)
        if scale > 1.0:
            framed = cv2.resize(framed, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        smallest = round(SMALLEST_SHARE * scale * shorter)
        found = self._cascade.detectMultiScale(
            framed, SCALE_FACTOR, MIN_NEIGHBOURS, minSize=(smallest, smallest)
        )
        boxes = np.array(found, np.float64).reshape(-1, 4) / scale - [border, border, 0.0, 0.0]
        order = np.lexsort((boxes[:, 1], boxes[:, 0], -boxes[:, 2]))
        boxes = np.rint(boxes[order]).astype(np.int64)
        # A box that lies wholly in the border is no face.
        beginnings, ends = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        is_inside = ((ends > 0) & (beginnings < gray.shape[::-1])).all(axis=1)
        return np.asarray(boxes[is_inside], np.int64)
