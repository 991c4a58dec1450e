"""What the predictions of a run come to, and what was spotted.

All folds are pooled: the figures of a run are those of all its tested samples together, never the
mean of its folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime.spec import NONE_LABEL
from training.evaluation.metrics import (
    RECOGNITION_FIGURES,
    Counts,
    Estimate,
    counts_by_subject,
    detection,
    estimates,
    match,
    ratio,
    recognition,
)
from training.evaluation.results import Prediction, ProtocolRun, WatchedSequence

FIGURES = ("accuracy", "uf1", "uar")
"""What runs are compared by."""

WORST = 6
"""Clips of a run to look at; enough to see whether they have something in common."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """`samples`: tested ones that are of the class; `said`: those that were said to be; `right`:
    those that were both. None: there is nothing to divide by. Of a run that spots, samples are
    micro-expressions, which are said to be something only where they were spotted."""

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
    several datasets. `by_subject`: the best first. `copies`: how many of the samples are copies of
    pictures of the dataset's part Training; `without_copies`: RECOGNITION_FIGURES of the others,
    where there are copies and others.
    """

    samples: int
    subjects: int | None
    figures: dict[str, Estimate]
    commonest: dict[str, float]
    confusion: list[list[int]]
    classes: tuple[ClassMetrics, ...]
    by_dataset: dict[str, dict[str, Estimate]]
    by_subject: tuple[SubjectFigures, ...]
    copies: int
    without_copies: dict[str, Estimate]


def run_figures(run: ProtocolRun) -> RunFigures:
    """All figures of a run, from its folds' predictions together."""
    predictions = predictions_of(run)
    found, confusion = _figures_of(predictions, run.labels)
    datasets = list(dict.fromkeys(one.dataset for one in predictions))
    by_subject: dict[tuple[str, str], list[bool]] = {}
    for one in predictions:
        by_subject.setdefault((one.dataset, one.subject), []).append(one.said == one.label)
    is_known = all(subject for _, subject in by_subject)
    originals = [one for one in predictions if not one.is_copy]
    copies = len(predictions) - len(originals)
    return RunFigures(
        samples=len(predictions),
        subjects=len(by_subject) if is_known else None,
        figures=found,
        commonest=_commonest(confusion.sum(axis=1)),
        confusion=confusion.astype(int).tolist(),
        classes=_classes(run.labels, confusion, np.zeros(len(run.labels))),
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
        copies=copies,
        without_copies=_figures_of(originals, run.labels)[0] if copies and originals else {},
    )


def _classes(
    labels: Sequence[str], confusion: npt.NDArray[np.float64], missed: npt.NDArray[np.float64]
) -> tuple[ClassMetrics, ...]:
    """confusion: [C, C]; missed: [C], see `training.evaluation.metrics.recognition`."""
    named = recognition(confusion, missed)
    truths, said = confusion.sum(axis=1) + missed, confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            label,
            samples=int(truths[k]),
            said=int(said[k]),
            right=int(confusion[k, k]),
            precision=float(named.precision[k]) if said[k] else None,
            recall=float(named.recall[k]) if truths[k] else None,
            f1=float(named.f1[k]) if said[k] + truths[k] else None,
        )
        for k, label in enumerate(labels)
    )


def predictions_of(run: ProtocolRun) -> list[Prediction]:
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


def worst_predictions(run: ProtocolRun, count: int = WORST) -> list[Prediction]:
    """The samples that were named wrongly with the highest probability for what was said."""
    wrong = [one for one in predictions_of(run) if one.said != one.label]
    return sorted(wrong, key=lambda one: -confidence(run, one))[:count]


def confidence(run: ProtocolRun, one: Prediction) -> float:
    """The probability of what was said."""
    return one.probabilities[run.labels.index(one.said)]


def spots(run: ProtocolRun) -> bool:
    """Whether the run's networks watch whole recordings, and are not given each expression."""
    return NONE_LABEL in run.labels


@dataclass(frozen=True, slots=True)
class SpottedSubject:
    """How many micro-expressions somebody showed, how many of these were spotted, how many of
    those were named rightly, and how many events were spotted that were none."""

    dataset: str
    subject: str
    truths: int
    spotted: int
    right: int
    false: int

    @property
    def f1(self) -> float:
        """Of spotting."""
        return detection(self.spotted, self.truths, self.spotted + self.false).f1


@dataclass(frozen=True, slots=True)
class SpottingFigures:
    """What a run has spotted in whole recordings, those of all folds together.

    `truths`, `spotted`, `false`: see `SpottedSubject`. `figures`: those of
    `training.evaluation.metrics.Rates`. `confusion`: rows truth, columns said, of what was spotted; `missed`:
    how many were not, of each class. `by_subject`: the best first.
    """

    recordings: int
    seconds: float
    subjects: int
    truths: int
    spotted: int
    false: int
    figures: dict[str, Estimate]
    classes: tuple[ClassMetrics, ...]
    confusion: list[list[int]]
    missed: list[int]
    by_subject: tuple[SpottedSubject, ...]


def spotting_figures(run: ProtocolRun) -> SpottingFigures:
    """All figures of a run that spots, with intervals over subjects."""
    labels = [label for label in run.labels if label != NONE_LABEL]
    watched = [one for fold in run.folds for one in fold.watched]
    counts = _spotting_counts(watched, labels)
    confusion, missed = counts.confusion.sum(axis=0), counts.missed.sum(axis=0)
    whose = [(one.dataset, one.subject) for one in watched]
    by_subject = [
        _spotted_subject(*who, counts.pooled(np.array([float(other == who) for other in whose])))
        for who in dict.fromkeys(whose)
    ]
    return SpottingFigures(
        recordings=len(watched),
        seconds=float(counts.seconds.sum()),
        subjects=len(by_subject),
        truths=int(counts.truths.sum()),
        spotted=int(confusion.sum()),
        false=int(counts.false.sum()),
        figures=estimates(counts, np.array([" ".join(who) for who in whose])),
        classes=_classes(labels, confusion, missed),
        confusion=confusion.astype(int).tolist(),
        missed=missed.astype(int).tolist(),
        by_subject=tuple(
            sorted(by_subject, key=lambda one: (-one.f1, one.false, one.dataset, one.subject))
        ),
    )


def _spotted_subject(dataset: str, subject: str, counts: Counts) -> SpottedSubject:
    return SpottedSubject(
        dataset,
        subject,
        truths=int(counts.truths),
        spotted=int(counts.confusion.sum()),
        right=int(np.trace(counts.confusion)),
        false=int(counts.false),
    )


def _spotting_counts(watched: Sequence[WatchedSequence], labels: Sequence[str]) -> Counts:
    """Of each clip."""
    confusion = np.zeros((len(watched), len(labels), len(labels)))
    missed = np.zeros((len(watched), len(labels)))
    false = np.zeros(len(watched))
    for place, one in enumerate(watched):
        pairs = match([t[:2] for t in one.truths], [e[:2] for e in one.events])
        for truth, event in pairs:
            said = labels.index(one.events[event][2])
            confusion[place, labels.index(one.truths[truth][2]), said] += 1
        matched = {truth for truth, _ in pairs}
        for number, (_, _, label) in enumerate(one.truths):
            missed[place, labels.index(label)] += number not in matched
        false[place] = len(one.events) - len(pairs)
    return Counts(confusion, missed, false, np.array([one.seconds for one in watched]))
