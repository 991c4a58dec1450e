"""A labelled expression and its intensity over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from realtime.types import Float64Array

KINDS = ("micro", "macro")

# Action unit -> shapes of the face model; a bare name stands for its left and right half.
ACTION_UNITS: dict[str, tuple[tuple[str, float], ...]] = {
    "1": (("browInnerUp", 1.0),),
    "2": (("browOuterUp", 1.0),),
    "4": (("browDown", 1.0), ("browInnerUp", 0.12)),
    "5": (("eyeWide", 0.9),),
    "6": (("cheekSquint", 0.8), ("cheekRaiser", 0.7), ("eyeSquint", 0.25)),
    "7": (("eyeSquint", 0.9),),
    "9": (("noseSneer", 0.9), ("browDown", 0.2)),
    "10": (("mouthUpperUp", 0.75), ("noseSneer", 0.25)),
    "12": (("mouthSmile", 0.9), ("mouthDimple", 0.15)),
    "14": (("mouthDimple", 0.9), ("mouthPress", 0.3)),
    "15": (("mouthFrown", 0.9),),
    "17": (("mouthShrugLower", 0.8), ("mouthShrugUpper", 0.25)),
    "20": (("mouthStretch", 0.9), ("mouthFrown", 0.15)),
    "24": (("mouthPress", 0.95), ("mouthRollLower", 0.15), ("mouthRollUpper", 0.15)),
    "25": (("mouthLowerDown", 0.5), ("mouthUpperUp", 0.15)),
    "26": (("jawOpen", 0.22),),
}


class ExpressionCourse(Protocol):
    """Times and peak intensity of an expression, as `intensity_at` needs them.

    An AnnotatedExpression has them, and so has a row of events.csv.
    """

    @property
    def onset_s(self) -> float: ...
    @property
    def apex_s(self) -> float: ...
    @property
    def release_s(self) -> float: ...
    @property
    def offset_s(self) -> float: ...
    @property
    def intensity(self) -> float: ...


@dataclass(frozen=True, slots=True)
class AnnotatedExpression:
    """An expression with its label and its course.

    It rises from `onset_s` to `apex_s`, stays until `release_s` and is gone at `offset_s`.
    `units`: action units joined by +, each with L or R for one side only and with `*` and its
    share of the event's intensity if that is not 1. `skew`: -1..1, how much stronger the left
    (positive) half is.
    """

    onset_s: float
    apex_s: float
    release_s: float
    offset_s: float
    label: str
    kind: str
    intensity: float
    units: str
    skew: float = 0.0


SHORTEST_COURSE_S = 1e-3
"""Shortest rise or fall of an expression: less than a slot of any clock, so it comes at once."""


def minimum_jerk(x: npt.ArrayLike) -> Float64Array:
    """Return the smoothest way from 0 at x = 0 to 1 at x = 1 (Flash & Hogan, 1985)."""
    u = np.clip(np.asarray(x, np.float64), 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u * u)


def intensity_at(event: ExpressionCourse, t_s: npt.ArrayLike) -> Float64Array:
    """Return the true intensity of an event at one or more times, in the shape of `t_s`.

    It is 0 before the onset and after the offset. `event`: an AnnotatedExpression, or a row of
    events.csv.
    """
    t = np.asarray(t_s, np.float64)
    # Annotations may have the onset at the apex, or the offset: then it comes, or goes, at once.
    rise_s = max(event.apex_s - event.onset_s, SHORTEST_COURSE_S)
    fall_s = max(event.offset_s - event.release_s, SHORTEST_COURSE_S)
    rise = minimum_jerk((t - event.onset_s) / rise_s)
    fall = minimum_jerk((t - event.release_s) / fall_s)
    return event.intensity * rise * (1.0 - fall)
