"""Frame -> Face: mesh points, identity over time, and an alignment that does not breathe.

`FaceTracker` runs MediaPipe's face mesh on a stream, `FaceFinder` on single pictures. The two
decisions that need memory are pure classes of their own, in seconds and pixels: `IdentityTracker`
says which face of this frame is which face of the last one, `StableAlignment` where a face is cut
out.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import chain
from operator import attrgetter
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
import numpy.typing as npt

from realtime.types import Face, Frame

VIEW_68: tuple[int, ...] = (
    # Mesh points in the order of the 68-point scheme of iBUG 300-W. Left and right are those of
    # the image. Jaw from left ear over chin to right ear (0-16).
    *(127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows, left and right (17-26)
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # bridge and underside of the nose (27-35)
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes (36-47)
    *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),  # outer lips (48-59)
    *(78, 81, 13, 311, 308, 402, 14, 178),  # inner lips (60-67)
)

FORGET_S = 1.0
"""A face that is away for longer comes back as a new identity: a person who looks down or
passes a hand over the face is back within a second."""

_VIEW_68 = np.array(VIEW_68)
_MESH_POINTS = 468

# Where a face may be found next, in face sizes from its predicted place: detection scatter, plus
# what an unforeseen movement adds each second (heads reach about 1 m/s, 8 face widths), and the
# most that is believed after a loss.
_REACH_SIZES = 0.5
_REACH_SIZES_PER_S = 8.0
_REACH_SIZES_MAX = 2.0
# What a loss adds to the deviation: of two faces that meet, the one still seen is in front.
_ABSENCE_SIZES_PER_S = 1.0
# Two faces of one identity differ by less than this factor in size.
_SIZE_FACTOR = 1.6
# Time constant of a face's velocity: long enough to average detection scatter away.
_VELOCITY_S = 0.1

# Points that expressions do not move, and where they lie on the aligned face: outer eye corners
# 80 px apart at y = 38 around x = 64, the rest in the proportions of an average face. The nose
# varies more between people than the eyes do, so it weighs less; it steadies the estimate.
_RIGID_POINTS = (
    # mesh point, x, y, weight
    (33, 24.0, 38.0, 1.0),  # outer eye corners
    (263, 104.0, 38.0, 1.0),
    (133, 48.5, 39.5, 0.5),  # inner eye corners
    (362, 79.5, 39.5, 0.5),
    (168, 64.0, 36.0, 0.5),  # bridge of the nose
    (6, 64.0, 43.0, 0.5),
    (2, 64.0, 79.5, 0.25),  # underside of the nose
)

# All in pixels of the aligned face and seconds.
# A held transform is kept while the head is estimated to be this near to where it was held.
_HOLD_PX = 1.5
# The head is still when its estimate has moved by no more than `_STILL_PX` for `_STILL_S`.
_STILL_PX = 0.75
_STILL_S = 0.25
# What is left of the hold when a move begins is faded out with this time constant.
_RELEASE_S = 0.1
# The estimate averages landmark scatter over `_CALM_S`, and faster the further the landmarks are
# from it: `_SCATTER_PX` is a distance that scatter alone hardly reaches. This bounds its lag.
_CALM_S = 0.15
_SCATTER_PX = 1.0
# Rotation and scale are judged by what they do at this distance from the centre (eye corners).
_LEVER_PX = 40.0

# Of single pictures. A face that fills its picture is found with a margin, as a share of the
# shorter side: of 400 stills of FER2013 93 % without and 98 % with it.
_MARGIN = 0.25
# The detector sees a picture on 128 x 128 pixels and finds faces from a tenth of it on. A smaller
# part of a picture shows it nothing new.
_SMALLEST_WINDOW_PX = 128
# Of a window's longer side: in 640 pixels all heads of 80 pixels were found, and half of those
# of 72.
_NARROWEST_SHARE = 1 / 8
# Faces that are looked for beside one that was found, as a share of its width: people who stand
# together. Each further look takes as long as the first.
_NARROWEST_BESIDE = 0.5
# As many as MediaPipe is asked for at least: of several faces it does not give the largest first.
_LOOKED_FOR = 5
# Longer side over shorter one of what is shown to it. A strip would be a few pixels wide there,
# and MediaPipe ends the whole process when a side comes to nothing.
_LONGEST_WINDOW = 16

_Window = tuple[int, int, int, int]
"""A part of a picture: left, top, right and bottom, the latter two not included."""

_Box = tuple[float, float, float, float]


def view_68(points_xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The 68-point view of one mesh: [468, 2] -> [68, 2], in the order of iBUG 300-W."""
    if points_xy.shape != (_MESH_POINTS, 2):
        raise ValueError(
            f"expected points_xy as [{_MESH_POINTS}, 2], found {list(points_xy.shape)}"
        )
    return points_xy.take(_VIEW_68, axis=0)


class FaceTracker:
    """Finds the faces of one stream, frame by frame. Belongs to one thread at a time.

    Frames come in the order of their time; when time runs backwards (a clip that starts over),
    all faces are new. Frames may change their size.
    """

    def __init__(self, max_faces: int = 1) -> None:
        """Loads MediaPipe, which takes about two seconds the first time in a process."""
        if max_faces < 1:
            raise ValueError(f"expected max_faces of at least 1, found {max_faces}")
        self._mesh: Any = import_face_mesh().FaceMesh(
            static_image_mode=False, refine_landmarks=False, max_num_faces=max_faces
        )
        self._identities = IdentityTracker()
        self._alignments: dict[int, StableAlignment] = {}
        self._rgb = np.empty((0, 0, 3), np.uint8)
        self._rgb_read_only = self._rgb

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """The faces of this frame in the order of their ids; none: an empty tuple.

        Raises ValueError when the image is not uint8 [height, width, 3]; whatever MediaPipe
        raises is passed on.
        """
        image_bgr = frame.image_bgr
        _check(image_bgr)
        height, width, _ = image_bgr.shape
        if self._rgb.shape != image_bgr.shape:
            if self._rgb.size:
                # MediaPipe would look for the face at the same fraction of the new frame.
                self._mesh.reset()
            self._rgb = np.empty((height, width, 3), np.uint8)
            # MediaPipe shares the memory of a read-only array and copies any other.
            self._rgb_read_only = self._rgb.view()
            self._rgb_read_only.flags.writeable = False
        cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB, dst=self._rgb)
        found = self._mesh.process(self._rgb_read_only).multi_face_landmarks or ()
        meshes = [_to_pixels(landmarks.landmark, width, height) for landmarks in found]
        boxes = [_bounding_box(points_xy) for points_xy in meshes]
        face_ids = self._identities(frame.t_s, boxes)
        known = self._identities.known_ids
        self._alignments = {i: a for i, a in self._alignments.items() if i in known}
        faces = []
        for face_id, points_xy, box_xyxy in zip(face_ids, meshes, boxes, strict=True):
            alignment = self._alignments.setdefault(face_id, StableAlignment())
            transform = alignment(frame.t_s, points_xy)
            faces.append(Face(frame.id, face_id, points_xy, box_xyxy, transform))
        return tuple(sorted(faces, key=attrgetter("face_id")))

    def close(self) -> None:
        """Free MediaPipe's graph; the tracker cannot be used afterwards."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class FaceFinder:
    """Finds the faces of pictures that have nothing to do with each other: what is found in one
    does not depend on those before it. Belongs to one thread at a time.

    Where fewer faces are seen than were asked for, a picture is looked at again: with a margin,
    because a face that fills it is missed, and square by square, because small ones are. Beside
    a face that was found, those that are less than half as wide are not searched for.
    """

    def __init__(self, max_faces: int = 1) -> None:
        """Loads MediaPipe, as `FaceTracker` does."""
        if max_faces < 1:
            raise ValueError(f"expected max_faces of at least 1, found {max_faces}")
        self._max_faces = max_faces
        self._mesh: Any = import_face_mesh().FaceMesh(
            static_image_mode=True,
            refine_landmarks=False,
            max_num_faces=max(max_faces, _LOOKED_FOR),
        )

    def __call__(self, image_bgr: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """At most `max_faces` faces of a picture, uint8 [height, width, 3], the largest first and
        numbered in this order; `frame_id` is 0. Raises as `FaceTracker` does."""
        _check(image_bgr)
        height, width, _ = image_bgr.shape
        found: list[tuple[_Box, npt.NDArray[np.float32]]] = []
        narrowest_px = math.inf  # of the faces that would have been found so far
        for windows in _windows(width, height):
            widest_px = max((box[2] - box[0] for box, _ in found), default=0.0)
            if len(found) >= self._max_faces or narrowest_px <= _NARROWEST_BESIDE * widest_px:
                break
            for window in windows:
                for points_xy in self._look(image_bgr, window):
                    box = _bounding_box(points_xy)
                    if _is_whole(box, window, width, height) and not any(
                        _is_same(box, other) for other, _ in found
                    ):
                        found.append((box, points_xy))
            left, top, right, bottom = windows[0]
            narrowest_px = min(narrowest_px, _NARROWEST_SHARE * max(right - left, bottom - top))
        found.sort(key=lambda one: (-_area(one[0]), one[0]))
        return tuple(
            Face(0, face_id, points_xy, box, StableAlignment()(0.0, points_xy))
            for face_id, (box, points_xy) in enumerate(found[: self._max_faces])
        )

    def close(self) -> None:
        """Free MediaPipe's graph; the finder cannot be used afterwards."""
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _look(
        self, image_bgr: npt.NDArray[np.uint8], window: _Window
    ) -> list[npt.NDArray[np.float32]]:
        """The meshes in a window, in pixels of the picture; beside the picture it is black."""
        height, width, _ = image_bgr.shape
        left, top, right, bottom = window
        part = image_bgr[max(top, 0) : bottom, max(left, 0) : right]
        border = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
        if any(border):
            part = cv2.copyMakeBorder(part, *border, cv2.BORDER_CONSTANT).astype(
                np.uint8, copy=False
            )
        rgb = cv2.cvtColor(part, cv2.COLOR_BGR2RGB)
        rgb.flags.writeable = False
        meshes = [
            _to_pixels(landmarks.landmark, right - left, bottom - top)
            for landmarks in self._mesh.process(rgb).multi_face_landmarks or ()
        ]
        return [points_xy + np.array([left, top], np.float32) for points_xy in meshes]


def _windows(width: int, height: int) -> Iterator[list[_Window]]:
    """The parts of a picture in which faces are looked for, one step after the other: all of it,
    that with a margin, and squares that overlap by half, as large as fits and half as large."""
    shorter, longer = sorted((width, height))
    if longer <= _LONGEST_WINDOW * shorter:
        yield [(0, 0, width, height)]
        margin = round(_MARGIN * shorter)
        yield [(-margin, -margin, width + margin, height + margin)]
    for side in (shorter, shorter // 2):
        if _SMALLEST_WINDOW_PX <= side < longer:
            yield [
                (left, top, left + side, top + side)
                for top in _starts(height, side)
                for left in _starts(width, side)
            ]


def _starts(length: int, side: int) -> list[int]:
    count = 1 + math.ceil(2 * (length - side) / side)
    return [round(start) for start in np.linspace(0, length - side, count)]


def _is_whole(box: _Box, window: _Window, width: int, height: int) -> bool:
    """Whether no edge of the window that lies within the picture cuts a face."""
    left, top, right, bottom = window
    return (
        (left <= 0 or box[0] >= left)
        and (top <= 0 or box[1] >= top)
        and (right >= width or box[2] <= right)
        and (bottom >= height or box[3] <= bottom)
    )


def _is_same(box: _Box, other: _Box) -> bool:
    """Whether two boxes are about one face: the middle of one lies in the other."""
    return _holds_middle(box, other) or _holds_middle(other, box)


def _holds_middle(box: _Box, other: _Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: _Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


class IdentityTracker:
    """Which face is which: numbers faces from 0 and never gives a number twice.

    A face is expected where constant velocity would have taken it since it was last seen, for
    up to `FORGET_S`; what is found is assigned so that the sum of the deviations is smallest.
    A face further away than a head can have moved, or of another size, is a new one.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._t_s = -math.inf

    @property
    def known_ids(self) -> frozenset[int]:
        """The identities that may still come back, those of the last frame included."""
        return frozenset(track.face_id for track in self._tracks)

    def __call__(
        self, t_s: float, boxes_xyxy: Sequence[tuple[float, float, float, float]]
    ) -> tuple[int, ...]:
        """One id for each box (left, top, right, bottom), in the order of the boxes.

        `t_s`: time of the frame in seconds. When it runs backwards, all faces are new.
        """
        oldest_s = t_s - FORGET_S if t_s >= self._t_s else math.inf
        self._t_s = t_s
        self._tracks = [track for track in self._tracks if track.t_s >= oldest_s]
        places = [_Place.of_box(box) for box in boxes_xyxy]
        costs = [[track.deviation(t_s, place) for track in self._tracks] for place in places]
        seen = []
        for place, index in zip(places, _assign(costs), strict=True):
            if index is None:
                track = _Track(self._next_id, t_s, place)
                self._next_id += 1
                self._tracks.append(track)
            else:
                track = self._tracks[index]
                track.move_to(t_s, place)
            seen.append(track.face_id)
        return tuple(seen)


class _Place(NamedTuple):
    """Centre of a face in pixels and the natural logarithm of its size in pixels."""

    x: float
    y: float
    log_size: float

    @classmethod
    def of_box(cls, box_xyxy: tuple[float, float, float, float]) -> _Place:
        left, top, right, bottom = box_xyxy
        # At least a pixel: a box without area still is somewhere.
        size = math.sqrt(max(right - left, 1.0) * max(bottom - top, 1.0))
        return cls((left + right) / 2, (top + bottom) / 2, math.log(size))


_AT_REST = _Place(0.0, 0.0, 0.0)


@dataclass(slots=True)
class _Track:
    """One face: where it was last seen, and its velocity in the units of `_Place` a second."""

    face_id: int
    t_s: float
    place: _Place
    velocity: _Place = _AT_REST

    def deviation(self, t_s: float, place: _Place) -> float:
        """How badly `place` fits the predicted one, in face sizes; infinite if implausible."""
        elapsed_s = t_s - self.t_s
        x, y, log_size = (p + v * elapsed_s for p, v in zip(self.place, self.velocity, strict=True))
        distance = math.hypot(place.x - x, place.y - y) / math.exp(self.place.log_size)
        growth = abs(place.log_size - log_size)
        reach = min(_REACH_SIZES + _REACH_SIZES_PER_S * elapsed_s, _REACH_SIZES_MAX)
        if distance > reach or growth > math.log(_SIZE_FACTOR):
            return math.inf
        return distance + growth + _ABSENCE_SIZES_PER_S * elapsed_s

    def move_to(self, t_s: float, place: _Place) -> None:
        elapsed_s = t_s - self.t_s
        if elapsed_s > 0:
            weight = 1 - math.exp(-elapsed_s / _VELOCITY_S)
            self.velocity = _Place(
                *(
                    v + weight * ((new - old) / elapsed_s - v)
                    for v, old, new in zip(self.velocity, self.place, place, strict=True)
                )
            )
        self.t_s, self.place = t_s, place


def _assign(costs: Sequence[Sequence[float]]) -> list[int | None]:
    """For each row a column of its own, or None where only infinite costs are left.

    As many rows as possible are assigned, at the smallest sum of costs. Goes through the rows
    and keeps, for each set of columns in use, the best way to have got there; costs are mostly
    infinite, so these sets are few.
    """
    best: dict[frozenset[int], tuple[int, float, list[int | None]]] = {frozenset(): (0, 0.0, [])}
    for row in costs:
        grown: dict[frozenset[int], tuple[int, float, list[int | None]]] = {}
        for used, (unassigned, total, chosen) in best.items():
            ways = [(used, (unassigned + 1, total, [*chosen, None]))]
            ways += [
                (used | {column}, (unassigned, total + cost, [*chosen, column]))
                for column, cost in enumerate(row)
                if cost < math.inf and column not in used
            ]
            for columns, way in ways:
                if columns not in grown or way[:2] < grown[columns][:2]:
                    grown[columns] = way
        best = grown
    return min(best.values(), key=lambda way: way[:2])[2]


class _Similarity(NamedTuple):
    """Where the aligned face lies in the image, both complex (x + iy).

    `centre`: pixels of the image under `_TEMPLATE_CENTRE`; `scale`: pixels of the image for a
    pixel of the aligned face, turned by the angle of the head. Both are linear in the landmarks,
    so averaging them is averaging the landmarks.
    """

    centre: complex
    scale: complex

    def distance_px(self, other: _Similarity) -> float:
        """How far apart the two put an eye corner at most, in pixels of the aligned face."""
        shift = abs(self.centre - other.centre) + _LEVER_PX * abs(self.scale - other.scale)
        return shift / abs(other.scale)

    def moved_to(self, other: _Similarity, part: float) -> _Similarity:
        return _Similarity(
            self.centre + part * (other.centre - self.centre),
            self.scale + part * (other.scale - self.scale),
        )

    def to_transform(self) -> npt.NDArray[np.float32]:
        turn = 1 / self.scale
        shift = _TEMPLATE_CENTRE - turn * self.centre
        return np.array(
            [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32
        )


_RIGID = np.array([point for point, *_ in _RIGID_POINTS])
_TEMPLATE = np.array([complex(x, y) for _, x, y, _ in _RIGID_POINTS])
_WEIGHTS = np.array([weight for *_, weight in _RIGID_POINTS])
_WEIGHTS /= _WEIGHTS.sum()
_TEMPLATE_CENTRE = complex(_WEIGHTS @ _TEMPLATE)
# Least squares for z = centre + scale * (template - its centre), solved once.
_ARMS = _WEIGHTS * np.conj(_TEMPLATE - _TEMPLATE_CENTRE)
_ARMS /= (_ARMS * (_TEMPLATE - _TEMPLATE_CENTRE)).sum()


class StableAlignment:
    """Cuts one face out so that the crop stands still while the head does.

    Landmarks scatter by fractions of a pixel, and a crop that follows them looks like a face
    that moves. So the similarity that is fitted to the rigid points in each frame is averaged
    (`_CALM_S`), and the transform of the previous frame is returned unchanged while the average
    stays near it (`_HOLD_PX`). Once the head leaves that band, the transform follows the
    average, whose lag shrinks as the head gets faster, and it does so until the head has been
    still for a while (`_STILL_S`): one smooth move from hold to hold, and no jumps between.
    """

    def __init__(self) -> None:
        self._t_s = math.inf  # so that the first call finds time running backwards
        self._estimate = self._output = self._still = _Similarity(0, 1)
        self._still_since_s = 0.0
        self._held: npt.NDArray[np.float32] | None = None  # None: following

    def __call__(self, t_s: float, points_xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 [2, 3], image -> aligned face, for the mesh points of the frame at `t_s`.

        While the head is still, the very array of the call before is returned. When time runs
        backwards, the face is aligned anew.
        """
        xy = points_xy[_RIGID].astype(np.float64)
        z = xy[:, 0] + 1j * xy[:, 1]
        measured = _Similarity(complex(_WEIGHTS @ z), complex(_ARMS @ z))
        elapsed_s = t_s - self._t_s
        self._t_s = t_s
        if elapsed_s < 0:
            self._estimate = self._output = self._still = measured
            self._still_since_s = t_s
            self._held = None
            return measured.to_transform()

        before = self._estimate
        excess = measured.distance_px(before) / _SCATTER_PX
        average_s = _CALM_S / (1 + excess * excess)
        self._estimate = before.moved_to(measured, 1 - math.exp(-elapsed_s / average_s))

        if self._estimate.distance_px(self._still) > _STILL_PX:
            self._still, self._still_since_s = self._estimate, t_s
        if self._held is not None:
            if self._estimate.distance_px(self._output) <= _HOLD_PX:
                return self._held
            # Also restarts the wait, so that a slow drift does not stop the move half-way.
            self._held = None
            self._still, self._still_since_s = self._estimate, t_s
        # Carried along with the estimate, minus the part of the distance to it that fades.
        offset = self._output.distance_px(before)
        part = math.exp(-elapsed_s / _RELEASE_S)
        if offset > _HOLD_PX:
            part *= _HOLD_PX / offset
        self._output = _Similarity(
            self._estimate.centre + part * (self._output.centre - before.centre),
            self._estimate.scale + part * (self._output.scale - before.scale),
        )
        transform = self._output.to_transform()
        if t_s - self._still_since_s >= _STILL_S:
            self._held = transform
        return transform


def _check(image_bgr: npt.NDArray[np.uint8]) -> None:
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise ValueError(
            "expected image_bgr as uint8 [height, width, 3], "
            f"found {image_bgr.dtype} {list(image_bgr.shape)}"
        )


def _to_pixels(landmarks: Any, width: int, height: int) -> npt.NDArray[np.float32]:
    coordinates = chain.from_iterable(map(attrgetter("x", "y"), landmarks))
    xy = np.fromiter(coordinates, np.float32, 2 * _MESH_POINTS).reshape(_MESH_POINTS, 2)
    xy *= (width, height)
    return xy


def _bounding_box(points_xy: npt.NDArray[np.float32]) -> tuple[float, float, float, float]:
    x, y = points_xy.T
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


class _Absent(MetaPathFinder):
    """Says of some packages that they are not installed, to one thread."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages
        self._thread_id = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (
            threading.get_ident() == self._thread_id
            and fullname.partition(".")[0] in self._packages
        ):
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)
        return None


@contextlib.contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Within the block and this thread, importing these packages fails as if not installed.

    Packages that have been imported before stay usable.
    """
    finder = _Absent(frozenset(packages) - sys.modules.keys())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def import_face_mesh() -> Any:
    """MediaPipe's face mesh module.

    MediaPipe imports TensorFlow, where it is installed, for the sake of a decorator of its own
    documentation; that takes seven seconds and hundreds of megabytes, and MediaPipe goes on
    without it.
    """
    with _absent("tensorflow", "jax"):
        from mediapipe.python.solutions import face_mesh
    return face_mesh
