"""What the predictions of a run come to.

All folds are pooled: the figures of a run are those of all its tested samples together, never the
mean of its folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.metrics import (
    RECOGNITION_FIGURES,
    Estimate,
    counts_by_subject,
    estimates,
    ratio,
    recognition,
)
from training.results import Prediction, Run

FIGURES = ("accuracy", "uf1", "uar")
"""What runs are compared by."""

WORST = 6
"""Clips of a run to look at; enough to see whether they have something in common."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """`samples`: tested ones that are of the class; `said`: those that were said to be; `right`:
    those that were both. None: there is nothing to divide by."""

    label: str
    samples: int
    said: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class SubjectFigures:
    """How many samples of somebody were tested, and how many of these were named rightly."""

    dataset: str
    subject: str
    samples: int
    right: int


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a run's pooled predictions come to.

    `subjects`: None where the dataset does not say who is who. `figures`: RECOGNITION_FIGURES.
    `commonest`: FIGURES of always saying the class that is most common among the tested samples.
    `confusion`: rows truth, columns said. `by_dataset`: RECOGNITION_FIGURES, where there are
    several datasets. `by_subject`: the best first.
    """

    samples: int
    subjects: int | None
    figures: dict[str, Estimate]
    commonest: dict[str, float]
    confusion: list[list[int]]
    classes: tuple[ClassFigures, ...]
    by_dataset: dict[str, dict[str, Estimate]]
    by_subject: tuple[SubjectFigures, ...]


def run_figures(run: Run) -> RunFigures:
    """All figures of a run, from its folds' predictions together."""
    predictions = predictions_of(run)
    found, confusion = _figures_of(predictions, run.labels)
    named = recognition(confusion, np.zeros(len(run.labels)))
    truths, said = confusion.sum(axis=1), confusion.sum(axis=0)
    classes = tuple(
        ClassFigures(
            label,
            samples=int(truths[k]),
            said=int(said[k]),
            right=int(confusion[k, k]),
            precision=float(named.precision[k]) if said[k] else None,
            recall=float(named.recall[k]) if truths[k] else None,
            f1=float(named.f1[k]) if said[k] + truths[k] else None,
        )
        for k, label in enumerate(run.labels)
    )
    datasets = list(dict.fromkeys(one.dataset for one in predictions))
    by_subject: dict[tuple[str, str], list[bool]] = {}
    for one in predictions:
        by_subject.setdefault((one.dataset, one.subject), []).append(one.said == one.label)
    is_known = all(subject for _, subject in by_subject)
    return RunFigures(
        samples=len(predictions),
        subjects=len(by_subject) if is_known else None,
        figures=found,
        commonest=_commonest(truths),
        confusion=confusion.astype(int).tolist(),
        classes=classes,
        by_dataset={
            name: _figures_of([one for one in predictions if one.dataset == name], run.labels)[0]
            for name in datasets * (len(datasets) > 1)
        },
        by_subject=tuple(
            SubjectFigures(dataset, subject, len(rights), sum(rights))
            for (dataset, subject), rights in sorted(
                by_subject.items(), key=lambda one: (-np.mean(one[1]), -len(one[1]), one[0])
            )
        )
        * is_known,
    )


def predictions_of(run: Run) -> list[Prediction]:
    """Of all folds."""
    return [one for fold in run.folds for one in fold.predictions]


def _figures_of(
    predictions: Sequence[Prediction], labels: Sequence[str]
) -> tuple[dict[str, Estimate], npt.NDArray[np.float64]]:
    """RECOGNITION_FIGURES, and the confusion [C, C]."""
    counts, subjects = counts_by_subject(
        [one.label for one in predictions],
        [one.said for one in predictions],
        [f"{one.dataset} {one.subject}" for one in predictions],
        labels,
    )
    found = estimates(counts, subjects)
    return {name: found[name] for name in RECOGNITION_FIGURES}, counts.confusion.sum(axis=0)


def _commonest(truths: npt.NDArray[np.float64]) -> dict[str, float]:
    """FIGURES of always saying the most common class; truths: [C], samples of each."""
    confusion = np.zeros((len(truths), len(truths)))
    confusion[:, truths.argmax()] = truths
    named = recognition(confusion, np.zeros(len(truths)))
    return {
        "accuracy": float(ratio(truths.max(), truths.sum())),
        "uf1": float(named.uf1),
        "uar": float(named.uar),
    }


def worst_predictions(run: Run, count: int = WORST) -> list[Prediction]:
    """The samples that were named wrongly with the highest probability for what was said."""
    wrong = [one for one in predictions_of(run) if one.said != one.label]
    return sorted(wrong, key=lambda one: -confidence(run, one))[:count]


def confidence(run: Run, one: Prediction) -> float:
    """The probability of what was said."""
    return one.probabilities[run.labels.index(one.said)]
