"""`FaceTracker`: find and follow the faces of a video, frame by frame."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Self

import cv2
import numpy as np

from realtime.faces.alignment import StableAlignment
from realtime.faces.face_landmarker import FaceLandmarker
from realtime.faces.identity import IdentityTracker
from realtime.faces.landmarks import bounding_box, check_frame, to_pixels
from realtime.types import Face, Frame


class FaceTracker:
    """Tracker of the faces of one stream, frame by frame. Belongs to one thread at a time.

    Frames come in the order of their time; when time runs backwards (a clip that starts over), all
    faces are new. Frames may change their size.
    """

    def __init__(self, max_faces: int = 1, *, blendshapes: bool = False) -> None:
        """Load MediaPipe, which takes about two seconds the first time in a process.

        `blendshapes`: faces come with theirs.
        """
        if max_faces < 1:
            raise ValueError(f"expected max_faces of at least 1, found {max_faces}")
        self._landmarker = FaceLandmarker(max_faces, static=False, blendshapes=blendshapes)
        self._t_s = -math.inf
        self._identities = IdentityTracker()
        self._alignments: dict[int, StableAlignment] = {}
        self._rgb = np.empty((0, 0, 3), np.uint8)

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces of this frame in the order of their ids; none: an empty tuple.

        Raises ValueError when the image is not uint8 [height, width, 3]; whatever MediaPipe raises
        is passed on.
        """
        image_bgr = frame.image_bgr
        check_frame(image_bgr)
        height, width, _ = image_bgr.shape
        has_new_size = self._rgb.shape != image_bgr.shape
        # MediaPipe would look for the face at the same fraction of a frame of another size.
        is_new_scene = frame.after_cut or frame.t_s < self._t_s
        if is_new_scene or (has_new_size and self._rgb.size):
            self._landmarker.reset()
        self._t_s = frame.t_s
        if has_new_size:
            self._rgb = np.empty((height, width, 3), np.uint8)
        cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=self._rgb)
        found = self._landmarker.find(self._rgb, frame.t_s)
        meshes = [to_pixels(face.points, width, height) for face in found]
        boxes = [bounding_box(points_xy) for points_xy in meshes]
        face_ids = self._identities(frame.t_s, boxes)
        known = self._identities.known_ids
        self._alignments = {i: a for i, a in self._alignments.items() if i in known}
        faces = []
        for face_id, points_xy, box_xyxy, one in zip(face_ids, meshes, boxes, found, strict=True):
            alignment = self._alignments.setdefault(face_id, StableAlignment())
            transform = alignment(frame.t_s, points_xy)
            faces.append(
                Face(frame.id, face_id, points_xy, box_xyxy, transform, one.head, one.blendshapes)
            )
        return tuple(sorted(faces, key=attrgetter("face_id")))

    def close(self) -> None:
        """Free MediaPipe's graph; the tracker cannot be used afterwards."""
        self._landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
