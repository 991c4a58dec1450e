"""Sensitivity of the spotting: the user's setting, and its record in a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from realtime.spec import NONE_LABEL, ModelSpec, SpottingSpec
from realtime.types import FloatArray

USUAL = 0.5
"""Sensitivity at which all thresholds are the model's own."""

CLASS_FACTOR = 8.0
"""Factor of a class's odds at sensitivity 1; at 0 they are divided by it.

That is half as far, in log-odds, as the sensitivity moves the threshold. At the usual 0.98 to
enter, a class by itself then needs 0.86 or 0.997. So a class can be asked for more or less, and
none is silenced.
"""

CHANGES_S = 1.0
"""Time within which only the last change is kept, as while a slider is moved."""

MAX_CHANGES = 2000
"""Most changes that are kept, the newest: a slider moved without a pause for half an hour."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Sensitivity of the spotting, as a whole and for each class.

    `overall`: 0 to 1, see `SpottingSpec.at`. `classes`: how readily each class is taken, 0 to 1;
    empty if all are as the model has them.
    """

    overall: float = USUAL
    classes: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ModelSpec, overall: float, classes: Mapping[str, float]) -> Self:
        """Return a sensitivity for a model; classes that are left out are `USUAL`.

        Raises ValueError for numbers outside 0 to 1 and for a label that the model does not have or
        that is `none`.
        """
        names = [label for label in spec.labels if label != NONE_LABEL]
        for name in classes:
            if name not in names:
                raise ValueError(f"{name!r} is no class of the model {spec.name}")
        for share in (overall, *classes.values()):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"a sensitivity must be 0 to 1, not {share}")
        is_usual = all(share == USUAL for share in classes.values())
        return cls(overall, {} if is_usual else {n: classes.get(n, USUAL) for n in names})

    def thresholds(self, spec: ModelSpec) -> SpottingSpec:
        """Return the model's thresholds, moved by the sensitivity."""
        return spec.spotting.at(self.overall)

    def factors(self, labels: Sequence[str]) -> FloatArray | None:
        """Return the factor of each class's odds, float64 [labels]; None: all are 1."""
        if not self.classes:
            return None
        shares = np.array([self.classes.get(label, USUAL) for label in labels])
        return np.asarray(CLASS_FACTOR ** (2.0 * shares - 1.0))

    def as_settings(self) -> dict[str, Any]:
        """Return the sensitivity for the settings in session.json."""
        classes = {"classes": dict(self.classes)} if self.classes else {}
        return {"sensitivity": self.overall} | classes


@dataclass(frozen=True, slots=True)
class Change:
    """Change of the sensitivity during a run.

    `sensitivity` and the thresholds `spotting` hold from the frame at `from_s` on. `first_s`: time
    of the first of the changes that this change stands for.
    """

    first_s: float
    from_s: float
    sensitivity: Sensitivity
    spotting: SpottingSpec


def add_change(
    changes: tuple[Change, ...], from_s: float, sensitivity: Sensitivity, spotting: SpottingSpec
) -> tuple[Change, ...]:
    """Return `changes` with one more, the newest.

    It replaces the last change if that began less than `CHANGES_S` before. Of more than
    `MAX_CHANGES` the oldest are forgotten.
    """
    first_s = from_s
    if changes and from_s - changes[-1].first_s < CHANGES_S:
        first_s = changes[-1].first_s
        changes = changes[:-1]
    return (*changes[-(MAX_CHANGES - 1) :], Change(first_s, from_s, sensitivity, spotting))


def changes_to_json(changes: Sequence[Change], origin_s: float) -> list[dict[str, Any]]:
    """Return the changes since `origin_s` for session.json; times from there."""
    return [
        {
            "from_s": round(one.from_s - origin_s, 6),
            **one.sensitivity.as_settings(),
            "spotting": dataclasses.asdict(one.spotting),
        }
        for one in changes
        if one.from_s >= origin_s
    ]
