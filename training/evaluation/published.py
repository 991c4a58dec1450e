"""Results that others published of the same systems and datasets, as they printed them.

Those of the systems of the dissertation and its two papers are of random splits by sample: the
same person can be on both sides. Their results on SAMM are listed here under `samm-lv`: both papers
write only "SAMM", and the dissertation repeats the numbers under SAMM-LV.
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
"""Names of the experiments with a whole system, without missing parts."""

SPOTTING = "spotting"
"""Value of `protocol` where results of spotting were published."""

NOT_COMPARABLE = (
    "Published results of these systems come from random splits of the samples: the same person, "
    "and where copies were made before the split even the same clip, may be in training and in "
    "test. They do not hold for people who were never seen, so they can only be compared with runs "
    "under the same split, and never with results that are subject-independent. The documents do "
    "not state how the F1 of several classes was averaged."
)


@dataclass(frozen=True, slots=True)
class Published:
    """Published result.

    `experiment`: its authors' name for it, empty where there is only one. `accuracy_percent`, `f1`,
    `uar`, `strs`: as printed, None where nothing was printed. `f1` is that of the classes, and
    under a protocol of spotting that of spotting. `source`: document, with remarks.
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
    """Read all published results."""
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


def _printed(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def published_of(run: ProtocolRun) -> Published | None:
    """Return the published result of a run's system on its dataset under its protocol, if any.

    A run belongs to the experiment with which its name begins, as in `experiment 14, batch 64`. A
    run without such a name is of the whole system, unless parts of the system vary in its grid;
    plain numbers, such as the batch size and the number of epochs, are no parts.
    """
    found = [
        result
        for result in published()
        if (result.system, result.dataset, result.protocol)
        == (run.system, run.dataset, run.protocol)
    ]
    for result in found:
        pattern = rf"(experiment )?{re.escape(result.experiment)}(?![\w-])"
        if result.experiment and re.match(pattern, run.name):
            return result
    if not all(map(is_number, run.varied.values())):
        return None
    return next((result for result in found if result.experiment in WHOLE), None)


def published_whole(system: str, dataset: str) -> Published | None:
    """Return the published result of a whole system on a dataset, whatever the protocol, if any.

    Where there are several, it is the first that the authors print.
    """
    return next(
        (
            result
            for result in published()
            if (result.system, result.dataset) == (system, dataset)
            and result.experiment in WHOLE
            and result.protocol != SPOTTING
        ),
        None,
    )


def base_name(run: ProtocolRun) -> str:
    """Return a run's name without the plain numbers that vary: `14` of `14, batch 64`."""
    numbers = {
        f"{key.rpartition('.')[2].replace('_', ' ')} {value}"
        for key, value in run.varied.items()
        if is_number(value)
    }
    return ", ".join(part for part in run.name.split(", ") if part not in numbers)


def is_number(value: object) -> bool:
    """Return True if a setting is a plain number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
