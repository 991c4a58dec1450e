"""Results of a run of a protocol: every prediction, and the course of the training."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realtime.errors import KilasError
from training.provenance import write_json


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction of a network for a sample that it was not trained on.

    `sample`: row of the samples' table. `label`, `said`: true and predicted class. `probabilities`:
    of each class, in the order of the run's labels. `is_copy`: see
    `training.preparation.sequence_file.TABLE_COLUMNS`.
    """

    sample: int
    dataset: str
    subject: str
    clip: str
    label: str
    said: str
    probabilities: tuple[float, ...]
    is_copy: bool = False


Expression = tuple[float, float, str]
"""Onset and offset in seconds and class of a micro-expression, true or spotted."""


@dataclass(frozen=True, slots=True)
class WatchedSequence:
    """Events that a network spotted in a clip that it was not trained on.

    `seconds`: length of the clip's part that was scored, 0 where no face was found. `truths`: its
    micro-expressions; those whose emotion has no class are left out, and so are events spotted on
    them. `events`: the spotted events.
    """

    dataset: str
    subject: str
    clip: str
    seconds: float
    truths: tuple[Expression, ...]
    events: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class FoldPart:
    """Side of a fold: number of samples and subjects, and of samples of each class.

    For networks that spot, samples are whole recordings, and classes those of the micro-expressions
    in them.
    """

    samples: int
    subjects: int
    classes: dict[str, int]


@dataclass(frozen=True, slots=True)
class FoldResult:
    """Result of a fold that was trained and tested.

    `history`: metrics of each epoch (`loss`, `accuracy`, and with a validation part `val_loss`,
    `val_accuracy`). `epoch`: number, from 1, of the epoch whose weights were tested. `commit`: of
    the code that trained it.
    """

    fold: str
    train: FoldPart
    validation: FoldPart
    test: FoldPart
    predictions: tuple[Prediction, ...]
    history: dict[str, tuple[float, ...]]
    epoch: int
    seconds: float = 0.0
    commit: str = ""
    watched: tuple[WatchedSequence, ...] = ()


@dataclass(frozen=True, slots=True)
class ProtocolRun:
    """Run of a recipe with certain settings on a dataset under a protocol, with its finished folds.

    `name`: short and unique in its grid for a dataset and protocol, such as `14` or `batch 32,
    256 epochs`; `title`: longer description. `dataset`: of the data file, or `composite`. `data`:
    the prepared files and the SHA-256 of each. `settings`: the whole recipe as nested values.
    `varied`: the settings that differ between the runs of the grid.
    """

    name: str
    title: str
    system: str
    dataset: str
    protocol: str
    labels: tuple[str, ...]
    seed: int
    data: dict[str, str]
    settings: dict[str, Any]
    varied: dict[str, Any]
    folds: tuple[FoldResult, ...] = field(default=())


def write_fold(path: Path, result: FoldResult) -> None:
    """Write the result of a finished fold to a file."""
    write_json(path, dataclasses.asdict(result))


def read_fold(path: Path) -> FoldResult:
    """Read the result of a fold that `write_fold` wrote. Raises KilasError for other files."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: FoldPart(**values[name]) for name in ("train", "validation", "test")}
        lists: dict[str, Any] = {
            "predictions": tuple(
                Prediction(**{**item, "probabilities": tuple(item["probabilities"])})
                for item in values["predictions"]
            ),
            "history": {name: tuple(curve) for name, curve in values["history"].items()},
            "watched": tuple(_read_watched(item) for item in values["watched"]),
        }
        return FoldResult(**{**values, **parts, **lists})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KilasError(
            f"{path} holds no result of a fold ({error}); delete it to have the fold trained again."
        ) from error


def _read_watched(values: dict[str, Any]) -> WatchedSequence:
    intervals = {
        name: tuple(
            (float(onset), float(offset), str(label)) for onset, offset, label in values[name]
        )
        for name in ("truths", "events")
    }
    return WatchedSequence(**{**values, **intervals})
