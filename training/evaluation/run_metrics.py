"""Metrics of a run, from its predictions or from the events that it spotted.

All folds are pooled: the metrics of a run are those of all its tested samples together, never the
mean of its folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime.spec import NONE_LABEL
from training.evaluation.metrics import (
    RECOGNITION_METRICS,
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

RUN_METRICS = ("accuracy", "uf1", "uar")
"""Metrics that compare runs."""

WORST = 6
"""Number of a run's wrong clips to look at; enough to see what they may have in common."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics of a class; None where the divisor is 0.

    `samples`: number of tested samples of the class; `said`: number predicted as the class;
    `right`: number of both. For a run that spots, samples are micro-expressions, which have a
    prediction only where they were spotted.
    """

    label: str
    samples: int
    said: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class SubjectMetrics:
    """Number of tested samples of a subject, and of those predicted rightly."""

    dataset: str
    subject: str
    samples: int
    right: int


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """Metrics of a run's pooled predictions.

    `subjects`: number of subjects, None where the dataset does not name them. `figures`:
    RECOGNITION_FIGURES. `commonest`: FIGURES of a constant prediction, the class that is most
    common among the tested samples. `confusion`: rows truth, columns prediction. `by_dataset`:
    RECOGNITION_FIGURES, where there are several datasets. `by_subject`: the best first. `copies`:
    number of samples that are copies of pictures of the dataset's part Training; `without_copies`:
    RECOGNITION_FIGURES of the others, where there are copies and others.
    """

    samples: int
    subjects: int | None
    figures: dict[str, Estimate]
    commonest: dict[str, float]
    confusion: list[list[int]]
    classes: tuple[ClassMetrics, ...]
    by_dataset: dict[str, dict[str, Estimate]]
    by_subject: tuple[SubjectMetrics, ...]
    copies: int
    without_copies: dict[str, Estimate]


def metrics_of_run(run: ProtocolRun) -> RunMetrics:
    """Compute all metrics of a run, from its folds' predictions together."""
    predictions = predictions_of(run)
    found, confusion = _metrics_of(predictions, run.labels)
    datasets = list(dict.fromkeys(prediction.dataset for prediction in predictions))
    by_subject: dict[tuple[str, str], list[bool]] = {}
    for prediction in predictions:
        by_subject.setdefault((prediction.dataset, prediction.subject), []).append(
            prediction.said == prediction.label
        )
    is_known = all(subject for _, subject in by_subject)
    originals = [prediction for prediction in predictions if not prediction.is_copy]
    copies = len(predictions) - len(originals)
    return RunMetrics(
        samples=len(predictions),
        subjects=len(by_subject) if is_known else None,
        figures=found,
        commonest=_commonest(confusion.sum(axis=1)),
        confusion=confusion.astype(int).tolist(),
        classes=_classes(run.labels, confusion, np.zeros(len(run.labels))),
        by_dataset={
            name: _metrics_of(
                [prediction for prediction in predictions if prediction.dataset == name],
                run.labels,
            )[0]
            for name in datasets * (len(datasets) > 1)
        },
        by_subject=tuple(
            SubjectMetrics(dataset, subject, len(rights), sum(rights))
            for (dataset, subject), rights in sorted(
                by_subject.items(), key=lambda item: (-np.mean(item[1]), -len(item[1]), item[0])
            )
        )
        * is_known,
        copies=copies,
        without_copies=_metrics_of(originals, run.labels)[0] if copies and originals else {},
    )


def _classes(
    labels: Sequence[str], confusion: npt.NDArray[np.float64], missed: npt.NDArray[np.float64]
) -> tuple[ClassMetrics, ...]:
    """Compute the metrics of each class.

    `confusion`: [C, C]; `missed`: [C], see `training.evaluation.metrics.recognition`.
    """
    recognised = recognition(confusion, missed)
    truths, predicted = confusion.sum(axis=1) + missed, confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            label,
            samples=int(truths[k]),
            said=int(predicted[k]),
            right=int(confusion[k, k]),
            precision=float(recognised.precision[k]) if predicted[k] else None,
            recall=float(recognised.recall[k]) if truths[k] else None,
            f1=float(recognised.f1[k]) if predicted[k] + truths[k] else None,
        )
        for k, label in enumerate(labels)
    )


def predictions_of(run: ProtocolRun) -> list[Prediction]:
    """Return the predictions of all folds."""
    return [prediction for fold in run.folds for prediction in fold.predictions]


def _metrics_of(
    predictions: Sequence[Prediction], labels: Sequence[str]
) -> tuple[dict[str, Estimate], npt.NDArray[np.float64]]:
    """Compute RECOGNITION_FIGURES, and the confusion [C, C]."""
    counts, subjects = counts_by_subject(
        [prediction.label for prediction in predictions],
        [prediction.said for prediction in predictions],
        [f"{prediction.dataset} {prediction.subject}" for prediction in predictions],
        labels,
    )
    found = estimates(counts, subjects)
    return {name: found[name] for name in RECOGNITION_METRICS}, counts.confusion.sum(axis=0)


def _commonest(truths: npt.NDArray[np.float64]) -> dict[str, float]:
    """Compute FIGURES of a constant prediction, the most common class.

    `truths`: [C], number of samples of each class.
    """
    confusion = np.zeros((len(truths), len(truths)))
    confusion[:, truths.argmax()] = truths
    recognised = recognition(confusion, np.zeros(len(truths)))
    return {
        "accuracy": float(ratio(truths.max(), truths.sum())),
        "uf1": float(recognised.uf1),
        "uar": float(recognised.uar),
    }


def worst_predictions(run: ProtocolRun, count: int = WORST) -> list[Prediction]:
    """Return the wrong predictions with the highest probabilities, the highest first."""
    wrong = [
        prediction for prediction in predictions_of(run) if prediction.said != prediction.label
    ]
    return sorted(wrong, key=lambda prediction: -confidence(run, prediction))[:count]


def confidence(run: ProtocolRun, prediction: Prediction) -> float:
    """Return the probability of the predicted class."""
    return prediction.probabilities[run.labels.index(prediction.said)]


def spots(run: ProtocolRun) -> bool:
    """Return True if the run's networks spot in whole recordings, instead of given expressions."""
    return NONE_LABEL in run.labels


@dataclass(frozen=True, slots=True)
class SpottedSubject:
    """Counts of a subject.

    `truths`: micro-expressions; `spotted`: those that were spotted; `right`: those spotted
    with the right class; `false`: spotted events that were no micro-expressions.
    """

    dataset: str
    subject: str
    truths: int
    spotted: int
    right: int
    false: int

    @property
    def f1(self) -> float:
        """F1 of spotting."""
        return detection(self.spotted, self.truths, self.spotted + self.false).f1


@dataclass(frozen=True, slots=True)
class SpottingMetrics:
    """Metrics of a run that spots in whole recordings, those of all folds together.

    `truths`, `spotted`, `false`: see `SpottedSubject`. `figures`: fields of
    `training.evaluation.metrics.Rates`. `confusion`: rows truth, columns prediction, of spotted
    micro-expressions; `missed`: number of those not spotted, of each class. `by_subject`: the best
    first.
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


def spotting_metrics_of_run(run: ProtocolRun) -> SpottingMetrics:
    """Compute all metrics of a run that spots, with intervals over subjects."""
    labels = [label for label in run.labels if label != NONE_LABEL]
    watched = [clip for fold in run.folds for clip in fold.watched]
    counts = _spotting_counts(watched, labels)
    confusion, missed = counts.confusion.sum(axis=0), counts.missed.sum(axis=0)
    subjects = [(clip.dataset, clip.subject) for clip in watched]
    by_subject = [
        _spotted_subject(*name, counts.pooled(np.array([float(own == name) for own in subjects])))
        for name in dict.fromkeys(subjects)
    ]
    return SpottingMetrics(
        recordings=len(watched),
        seconds=float(counts.seconds.sum()),
        subjects=len(by_subject),
        truths=int(counts.truths.sum()),
        spotted=int(confusion.sum()),
        false=int(counts.false.sum()),
        figures=estimates(counts, np.array([" ".join(name) for name in subjects])),
        classes=_classes(labels, confusion, missed),
        confusion=confusion.astype(int).tolist(),
        missed=missed.astype(int).tolist(),
        by_subject=tuple(
            sorted(
                by_subject,
                key=lambda found: (-found.f1, found.false, found.dataset, found.subject),
            )
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
    """Count the events of each clip."""
    confusion = np.zeros((len(watched), len(labels), len(labels)))
    missed = np.zeros((len(watched), len(labels)))
    false = np.zeros(len(watched))
    for place, clip in enumerate(watched):
        pairs = match([t[:2] for t in clip.truths], [e[:2] for e in clip.events])
        for truth, event in pairs:
            predicted = labels.index(clip.events[event][2])
            confusion[place, labels.index(clip.truths[truth][2]), predicted] += 1
        matched = {truth for truth, _ in pairs}
        for number, (_, _, label) in enumerate(clip.truths):
            missed[place, labels.index(label)] += number not in matched
        false[place] = len(clip.events) - len(pairs)
    return Counts(confusion, missed, false, np.array([clip.seconds for clip in watched]))
