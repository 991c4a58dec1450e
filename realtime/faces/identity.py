"""Identity of faces over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

FORGET_S = 1.0
"""Longest absence after which a face keeps its identity; later it comes back as a new identity.

A person who looks down or passes a hand over the face is back within a second.
"""

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


class IdentityTracker:
    """Tracker that numbers faces from 0 and never gives a number twice.

    A face is expected where constant velocity would have taken it since it was last seen, for up to
    `FORGET_S`; the boxes that are found are assigned so that the sum of the deviations is smallest.
    A face further away than a head can have moved, or of another size, is a new face.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._t_s = -math.inf

    @property
    def known_ids(self) -> frozenset[int]:
        """Identities that may still come back, those of the last frame included."""
        return frozenset(track.face_id for track in self._tracks)

    def __call__(
        self, t_s: float, boxes_xyxy: Sequence[tuple[float, float, float, float]]
    ) -> tuple[int, ...]:
        """Return an id for each box (left, top, right, bottom), in the order of the boxes.

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
    """Last place of one face, and its velocity in the units of `_Place` a second."""

    face_id: int
    t_s: float
    place: _Place
    velocity: _Place = _AT_REST

    def deviation(self, t_s: float, place: _Place) -> float:
        """Return the distance from the predicted place, in face sizes; infinite if implausible."""
        elapsed_s = t_s - self.t_s
        x, y, log_size = (p + v * elapsed_s for p, v in zip(self.place, self.velocity, strict=True))
        distance = math.hypot(place.x - x, place.y - y) / math.exp(self.place.log_size)
        growth = abs(place.log_size - log_size)
        reach = min(_REACH_SIZES + _REACH_SIZES_PER_S * elapsed_s, _REACH_SIZES_MAX)
        if distance > reach or growth > math.log(_SIZE_FACTOR):
            return math.inf
        return distance + growth + _ABSENCE_SIZES_PER_S * elapsed_s

    def move_to(self, t_s: float, place: _Place) -> None:
        """Set the place of the face at `t_s` and update its velocity."""
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
    """Return for each row a column of its own, or None where only infinite costs are left.

    As many rows as possible are assigned, at the smallest sum of costs. Goes through the rows and
    keeps, for each set of columns in use, the best way to have got there; costs are mostly
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
