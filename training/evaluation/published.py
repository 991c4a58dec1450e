"""Figures that others published of the same systems and datasets, as they printed them.

Those of the systems of the dissertation and its two papers are of random splits by sample: the
same person can be on both sides. What their text calls SAMM stands here under `samm-lv`: both
papers say no more than "SAMM", and the dissertation repeats the figures under SAMM-LV.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from training.evaluation.results import ProtocolRun

TABLE = Path(__file__).parent / "published.csv"

WHOLE = ("", "14", "MER-DACWB3DCNNST")
"""Experiments that are a system with all its parts, not one that lacks some of them."""

SPOTTING = "spotting"
"""Stands for a protocol where spotting was published."""

NOT_COMPARABLE = (
    "Published figures of these systems come from random splits of the samples: the same person, "
    "and where copies were made before the split even the same clip, may be in training and in "
    "test. They say nothing about people who were never seen, so they can only be compared with "
    "runs under the same split, and never with figures that are subject-independent. How the F1 "
    "of several classes was averaged, the documents do not say."
)


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure. `experiment`: what its authors call it, empty where there is only one.

    `accuracy_percent`, `f1`, `uar`, `strs`: as printed, None where nothing was. `f1` is that of
    the classes, and under a protocol of spotting that of spotting. `source`: where it was printed
    and what has to be known about it.
    """

    system: str
    dataset: str
    experiment: str
    protocol: str
    accuracy_percent: Decimal | None
    f1: Decimal | None
    uar: Decimal | None
    strs: Decimal | None
    source: str


@cache
def published() -> tuple[Published, ...]:
    """All of them."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(
                system=row["system"],
                dataset=row["dataset"],
                experiment=row["experiment"],
                protocol=row["protocol"],
                accuracy_percent=_printed(row["accuracy_percent"]),
                f1=_printed(row["f1"]),
                uar=_printed(row["uar"]),
                strs=_printed(row["strs"]),
                source=row["source"],
            )
            for row in csv.DictReader(file)
        )


def _printed(figure: str) -> Decimal | None:
    return Decimal(figure) if figure else None


def published_of(run: ProtocolRun) -> Published | None:
    """What was published of the run's own system on its dataset under its protocol.

    A run is of the experiment that its name begins with, as in `experiment 14, batch 64`. One
    that names none is of the whole system, unless parts of it vary in its grid; how large a batch
    is and how many epochs there are is no part.
    """
    found = [
        one
        for one in published()
        if (one.system, one.dataset, one.protocol) == (run.system, run.dataset, run.protocol)
    ]
    for one in found:
        pattern = rf"(experiment )?{re.escape(one.experiment)}(?![\w-])"
        if one.experiment and re.match(pattern, run.name):
            return one
    if not all(map(is_number, run.varied.values())):
        return None
    return next((one for one in found if one.experiment in WHOLE), None)


def published_whole(system: str, dataset: str) -> Published | None:
    """What was published of a whole system on a dataset, whatever the protocol; where there are
    several figures, the first that its authors print."""
    return next(
        (
            one
            for one in published()
            if (one.system, one.dataset) == (system, dataset)
            and one.experiment in WHOLE
            and one.protocol != SPOTTING
        ),
        None,
    )


def base_name(run: ProtocolRun) -> str:
    """A run's name without the plain numbers that vary in its grid: `14` of `14, batch 64`."""
    numbers = {
        f"{key.rpartition('.')[2].replace('_', ' ')} {value}"
        for key, value in run.varied.items()
        if is_number(value)
    }
    return ", ".join(part for part in run.name.split(", ") if part not in numbers)


def is_number(value: object) -> bool:
    """Whether a setting is a plain number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
