"""Statistics of a session's tables: time with a face, absences, states, conditions, frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.faces.conditions import BRIGHT, DARK, SMALL_PX, TURNED_DEG, UNEVEN
from realtime.types import NO_FACE, Float64Array

HOLE_S = 0.2
"""Longest time without a frame that still counts as seen; the default `max_gap_s` of models."""

HOLE_FRAMES = 2.5
"""Length of a hole in usual gaps, for sources slower than 1 / HOLE_S.

More than one frame is missing then.
"""

ROUNDING_S = 1e-6
"""Precision of the times in the tables: a microsecond."""

SHOWN_STATES = ("warming up", "macro")
"""States that are listed as stretches; `expression` becomes an event or nothing."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stretch of time from `start_s` to `end_s` in which a face, or nobody, was in `state`."""

    state: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length of the stretch."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Presence:
    """Times of a session with and without a face.

    `unseen_s`: holes between frames, in which nothing is known. `absences`: stretches without any
    face, the longest first.
    """

    with_face_s: float
    without_face_s: float
    unseen_s: float
    absences: tuple[Stretch, ...]

    @property
    def total_s(self) -> float:
        """Length of the session, holes included."""
        return self.with_face_s + self.without_face_s + self.unseen_s


@dataclass(frozen=True, slots=True)
class FaceStatistics:
    """Statistics of one face: when it was seen, and its stretches in time order."""

    face_id: int
    first_s: float
    last_s: float
    seen_s: float
    events: int
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """Condition that makes scores doubtful. `share`: of the frames with this face, 0 to 1."""

    name: str
    bound: str
    share: float


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Statistics of the events of one label. Rates are None where there was no time to count in."""

    label: str
    count: int
    per_face_minute: float | None
    per_minute: float | None
    median_duration_s: float | None
    median_score: float | None


def frame_times(scores: pd.DataFrame) -> Float64Array:
    """Return the time of each frame of scores.csv, seconds [N], in order."""
    times_s = scores.drop_duplicates("frame")["timestamp"].dropna().to_numpy(np.float64)
    return np.sort(times_s)


def hole_s(times_s: Float64Array) -> float:
    """Return the time between two frames from which on something is missing between them."""
    usual_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return max(HOLE_S, HOLE_FRAMES * usual_s)


def presence(scores: pd.DataFrame) -> Presence:
    """Return the times with and without a face.

    Each frame counts until the next; more than a hole is unseen, not face.
    """
    frames = scores.groupby("timestamp", sort=True)["success"].max()
    times_s, is_face = frames.index.to_numpy(np.float64), frames.to_numpy() > 0
    if not len(times_s):
        return Presence(0.0, 0.0, 0.0, ())
    held_s, unseen_s = _held(times_s)
    states = np.where(is_face, "face", NO_FACE)
    absences = [one for one in _runs(times_s, held_s, states) if one.state == NO_FACE]
    return Presence(
        with_face_s=float(held_s[is_face].sum()),
        without_face_s=float(held_s[~is_face].sum()),
        unseen_s=unseen_s,
        absences=tuple(sorted(absences, key=lambda one: -one.duration_s)),
    )


def face_statistics(scores: pd.DataFrame, events: pd.DataFrame) -> list[FaceStatistics]:
    """Return the statistics of every face of a session, the face that was seen longest first."""
    times_s = frame_times(scores)
    if not len(times_s):
        return []
    every_hole_s = hole_s(times_s)
    end_s = float(times_s[-1])
    faces = []
    found = scores[scores["success"] > 0].sort_values("timestamp")
    events_of = events["face_id"].value_counts()
    by_face: Iterable[tuple[Any, pd.DataFrame]] = found.groupby("face_id", sort=False)
    for face_id, ordered in by_face:
        own_s = ordered["timestamp"].to_numpy(np.float64)
        held_s, _ = _held(own_s, every_hole_s)
        listed = [
            stretch
            for stretch in _runs(own_s, held_s, ordered["state"].astype(str).to_numpy())
            if stretch.state in SHOWN_STATES
        ]
        away = _away(own_s, held_s, float(times_s[0]), end_s)
        faces.append(
            FaceStatistics(
                face_id=int(face_id),
                first_s=float(own_s[0]),
                last_s=float(own_s[-1]),
                seen_s=float(held_s.sum()),
                events=int(events_of.get(face_id, 0)),
                stretches=tuple(sorted(listed + away, key=lambda stretch: stretch.start_s)),
            )
        )
    return sorted(faces, key=lambda face: -face.seen_s)


def condition_shares(conditions: pd.DataFrame) -> list[Warned]:
    """Return the share of a face's frames outside of each bound of `realtime.faces.conditions`."""
    head = conditions[["yaw_deg", "pitch_deg"]].abs()
    outside = (
        ("head turned", f"yaw or pitch over {TURNED_DEG:g}°", (head > TURNED_DEG).any(axis=1)),
        ("face too small", f"under {SMALL_PX:g} pixels wide", conditions["face_px"] < SMALL_PX),
        ("too dark", f"mean gray under {DARK:g} of 255", conditions["brightness"] < DARK),
        ("too bright", f"mean gray over {BRIGHT:g} of 255", conditions["brightness"] > BRIGHT),
        (
            "light from one side",
            f"halves differ by over {100 * UNEVEN:.0f} % of their sum",
            conditions["unevenness"] > UNEVEN,
        ),
    )
    return [Warned(name, bound, float(rows.mean())) for name, bound, rows in outside if len(rows)]


def label_statistics(
    labels: Sequence[str], events: pd.DataFrame, seen: Presence
) -> list[LabelStatistics]:
    """Return the statistics of the events of each label, also of labels that had none."""
    statistics = []
    for label in labels:
        own = events[events["label"] == label]
        statistics.append(
            LabelStatistics(
                label=label,
                count=len(own),
                per_face_minute=per_minute(len(own), seen.with_face_s),
                per_minute=per_minute(len(own), seen.total_s),
                median_duration_s=float(own["duration_s"].median()) if len(own) else None,
                median_score=float(own["score"].median()) if len(own) else None,
            )
        )
    return statistics


def per_minute(count: int, time_s: float) -> float | None:
    """Return the count a minute; None where there was no time."""
    return 60.0 * count / time_s if time_s > 0 else None


def _held(times_s: Float64Array, longest_s: float | None = None) -> tuple[Float64Array, float]:
    """Return the seconds [N] that each frame at `times_s` lasts, and the seconds that none does.

    A frame lasts until the next; a frame before a hole, and the last, as long as is usual.
    """
    gaps_s = np.diff(times_s)
    usual_s = float(np.median(gaps_s)) if len(gaps_s) else 0.0
    is_hole = gaps_s > (hole_s(times_s) if longest_s is None else longest_s)
    held_s = np.append(np.where(is_hole, np.minimum(usual_s, gaps_s), gaps_s), usual_s)
    return held_s, float((gaps_s - held_s[:-1]).sum())


def _runs(times_s: Float64Array, held_s: Float64Array, states: npt.NDArray[Any]) -> list[Stretch]:
    """Return neighbouring frames of one state, without a hole between them, as stretches."""
    ends_s = times_s + held_s
    is_new = (states[1:] != states[:-1]) | (times_s[1:] > ends_s[:-1] + ROUNDING_S)
    starts = np.flatnonzero(np.append(True, is_new))
    ends = np.append(starts[1:], len(states)) - 1
    return [
        Stretch(str(states[first]), float(times_s[first]), float(ends_s[last]))
        for first, last in zip(starts, ends, strict=True)
    ]


def _away(own_s: Float64Array, held_s: Float64Array, start_s: float, end_s: float) -> list[Stretch]:
    """Return the stretches in which a face that was seen at `own_s` was not there."""
    left_s = np.concatenate([[start_s], own_s + held_s])
    back_s = np.append(own_s, end_s)
    return [
        Stretch(NO_FACE, float(left), float(back))
        for left, back in zip(left_s, back_s, strict=True)
        if back - left > ROUNDING_S
    ]
