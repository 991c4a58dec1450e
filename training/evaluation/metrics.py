"""Metrics of spotting and recognition, as the field's challenges define them (MEGC 2019 on)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from realtime.types import Float64Array

Interval = tuple[float, float]
"""Onset and offset in seconds.

MEGC counts frames, the first and the last included; its overlaps are those of intervals that end
where the frame after the last begins.
"""

MATCH_IOU = 0.5
"""Least overlap with which a spotted interval counts as a true interval (MEGC)."""

RESAMPLES = 1000
"""Draws of a bootstrap: enough that the ends of the interval vary little."""

BOOTSTRAP_SEED = 0
"""Seed of the bootstrap: the same counts give the same intervals."""

INTERVAL_PERCENT = (2.5, 97.5)
"""Percentiles at the ends of a 95 % interval."""


def iou(a: Interval, b: Interval) -> float:
    """Return the intersection over union of two intervals; 0 when they do not meet."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    if shared <= 0:
        return 0.0
    return shared / (max(a[1], b[1]) - min(a[0], b[0]))


def match(
    truth: Sequence[Interval], spotted: Sequence[Interval], least: float = MATCH_IOU
) -> list[tuple[int, int]]:
    """Match true and spotted intervals whose overlap is `least` or more, best first.

    Returns pairs (index of truth, index of spotted); each interval is matched at most once.
    """
    overlaps = [(iou(a, b), i, j) for i, a in enumerate(truth) for j, b in enumerate(spotted)]
    pairs: list[tuple[int, int]] = []
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap >= least and all(i != k and j != n for k, n in pairs):
            pairs.append((i, j))
    return pairs


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Float64Array:
    """Divide part by whole, element by element; 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    divided: Float64Array = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return divided


class Detection(NamedTuple):
    """Metrics of spotting; 0 where the divisor is 0."""

    precision: float
    recall: float
    f1: float


def detection(matched: int, truths: int, spotted: int) -> Detection:
    """Compute precision, recall and F1 from counts pooled over the whole set."""
    return Detection(
        precision=float(ratio(matched, spotted)),
        recall=float(ratio(matched, truths)),
        f1=float(ratio(2 * matched, truths + spotted)),
    )


class Recognition(NamedTuple):
    """Metrics of recognition.

    Precision, recall and F1 of each class, [..., C]; UF1 (also called macro F1), UAR and macro
    precision, [...], their unweighted means.
    """

    precision: Float64Array
    recall: Float64Array
    f1: Float64Array
    uf1: Float64Array
    uar: Float64Array
    macro_precision: Float64Array


def recognition(confusion: npt.ArrayLike, missed: npt.ArrayLike) -> Recognition:
    """Compute the metrics of recognition from counts.

    `confusion`: [..., C, C], rows truth, columns prediction; `missed`: [..., C], truths that were
    not even spotted and so count as errors of their class.

    Folds and clips are pooled first: the metrics of their sum are not the mean of their metrics. A
    class that does not occur, neither as truth nor as prediction, is left out of the means. A class
    that was predicted but has no truth has an F1 and a precision of 0 and no recall, so it counts
    in all means but UAR. Without any truth the means are 0.
    """
    confusion, missed = np.asarray(confusion), np.asarray(missed)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    predicted = confusion.sum(axis=-2)
    truths = confusion.sum(axis=-1) + missed
    precision = ratio(hits, predicted)
    recall = ratio(hits, truths)
    f1 = ratio(2 * hits, truths + predicted)
    occurs = truths + predicted > 0
    return Recognition(
        precision,
        recall,
        f1,
        uf1=_mean_of(f1, occurs),
        uar=_mean_of(recall, truths > 0),
        macro_precision=_mean_of(precision, occurs),
    )


def _mean_of(values: Float64Array, counted: npt.NDArray[np.bool_]) -> Float64Array:
    """Return the mean [...] of values [..., C] over the counted classes; 0 where there is none."""
    return ratio(np.where(counted, values, 0.0).sum(axis=-1), counted.sum(axis=-1))


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of each of K clips, or pooled over them, with any leading axes.

    `confusion`: [..., C, C], spotted micro-expressions (rows: truth, columns: prediction);
    `missed`: [..., C], those that were not spotted; `false`: [...], spotted events without a truth;
    `seconds`: [...], length of the evaluated video.
    """

    confusion: Float64Array
    missed: Float64Array
    false: Float64Array
    seconds: Float64Array

    @property
    def truths(self) -> Float64Array:
        """Number of true micro-expressions, [...]."""
        truths: Float64Array = self.confusion.sum(axis=(-2, -1)) + self.missed.sum(axis=-1)
        return truths

    def pooled(self, weights: Float64Array) -> Self:
        """Sum the counts over the clips, which count as often as in `weights` [..., K]."""
        return type(self)(
            np.einsum("...k,kcd->...cd", weights, self.confusion),
            weights @ self.missed,
            weights @ self.false,
            weights @ self.seconds,
        )


def counts_by_subject(
    labels: Sequence[str],
    predicted: Sequence[str],
    subjects: Sequence[str],
    classes: Sequence[str],
) -> tuple[Counts, npt.NDArray[np.str_]]:
    """Count a network's predictions of N given samples by subject; return also their names [K].

    `labels`, `predicted`, `subjects`: [N], of the tested samples of all folds together; `classes`:
    in the order of the confusion's rows. Subjects of different datasets need different names
    (`training.evaluation.protocols.people`). From these counts `estimates` computes
    RECOGNITION_FIGURES of the pooled folds, with intervals over subjects.
    """
    place = {name: number for number, name in enumerate(classes)}
    names, who = np.unique(np.asarray(subjects, np.str_), return_inverse=True)
    confusion = np.zeros((len(names), len(classes), len(classes)))
    for subject, truth, answer in zip(who, labels, predicted, strict=True):
        confusion[subject, place[truth], place[answer]] += 1
    nothing = np.zeros(len(names))
    return Counts(confusion, np.zeros((len(names), len(classes))), nothing, nothing), names


class Rates(NamedTuple):
    """All metrics of a set, [...]; 0 where the divisor is 0.

    `precision`, `recall`, `f1`: of spotting. `accuracy`, `uf1`, `uar`, `macro_precision`,
    `error_rate` (1 - accuracy): of the class, missed expressions as errors. `strs`: spotting F1
    times the macro F1 of the spotted expressions (MEGC's spot-then-recognise score), the mean over
    all classes that occur in the set: a class of which nothing was spotted counts 0. (MEAN's public
    code takes the harmonic mean of macro precision and macro recall for that macro F1.)
    `false_per_minute`: spotted events without a truth.
    """

    precision: Float64Array
    recall: Float64Array
    f1: Float64Array
    accuracy: Float64Array
    uf1: Float64Array
    uar: Float64Array
    strs: Float64Array
    false_per_minute: Float64Array
    macro_precision: Float64Array
    error_rate: Float64Array


RECOGNITION_METRICS = ("accuracy", "error_rate", "uf1", "uar", "macro_precision")
"""Fields of `Rates` that are meaningful where every sample is given and nothing is spotted."""


def rates(pooled: Counts) -> Rates:
    """Compute all metrics from pooled counts."""
    matched = pooled.confusion.sum(axis=(-2, -1))
    spotted = matched + pooled.false
    hits = np.trace(pooled.confusion, axis1=-2, axis2=-1)
    recognised = recognition(pooled.confusion, pooled.missed)
    f1 = ratio(2 * matched, pooled.truths + spotted)
    f1_of_spotted = recognition(pooled.confusion, np.zeros_like(pooled.missed)).f1
    occurs = pooled.confusion.sum(axis=-1) + pooled.confusion.sum(axis=-2) + pooled.missed > 0
    return Rates(
        precision=ratio(matched, spotted),
        recall=ratio(matched, pooled.truths),
        f1=f1,
        accuracy=ratio(hits, pooled.truths),
        uf1=recognised.uf1,
        uar=recognised.uar,
        strs=f1 * _mean_of(f1_of_spotted, occurs),
        false_per_minute=ratio(pooled.false, pooled.seconds / 60),
        macro_precision=recognised.macro_precision,
        error_rate=ratio(pooled.truths - hits, pooled.truths),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Value of a metric and its 95 % interval; None where there is no data for it."""

    value: float | None
    low: float | None = None
    high: float | None = None


def estimates(counts: Counts, subjects: npt.NDArray[np.str_]) -> dict[str, Estimate]:
    """Compute each metric of `Rates` over K clips, with its bootstrap interval over subjects.

    `counts`: of each clip; `subjects`: [K], subject of each clip. Clips of the same person resemble
    each other, so people are drawn, with all their clips. A single person gives no interval.
    Without a micro-expression only `false_per_minute` has a value, and draws without
    micro-expressions are left out of the intervals of the other metrics.
    """
    if not len(subjects):
        return {name: Estimate(None) for name in Rates._fields}
    names, who = np.unique(subjects, return_inverse=True)
    whole = rates(counts.pooled(np.ones(len(subjects))))
    draws = np.random.default_rng(BOOTSTRAP_SEED).multinomial(
        len(names), np.full(len(names), 1 / len(names)), RESAMPLES
    )
    pooled = counts.pooled(draws[:, who].astype(float))
    drawn = rates(pooled)
    has_truth = pooled.truths > 0
    found: dict[str, Estimate] = {}
    for name, value in whole._asdict().items():
        usable = np.full(RESAMPLES, True) if name == "false_per_minute" else has_truth
        if not usable.any():
            found[name] = Estimate(None)
        elif len(names) == 1:
            found[name] = Estimate(float(value))
        else:
            low, high = np.percentile(getattr(drawn, name)[usable], INTERVAL_PERCENT)
            found[name] = Estimate(float(value), float(low), float(high))
    return found
