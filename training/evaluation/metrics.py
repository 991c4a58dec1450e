"""Figures of spotting and recognition, as the field's challenges define them (MEGC 2019 on)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

Interval = tuple[float, float]
"""Onset and offset in seconds. MEGC counts frames, the first and the last included; its overlaps
are those of intervals that end where the frame after the last one begins."""

MATCH_IOU = 0.5
"""Overlap from which a spotted interval counts as a true one (MEGC)."""

RESAMPLES = 1000
"""Draws of a bootstrap; its ends then vary by less than they mean."""

BOOTSTRAP_SEED = 0
"""The same counts give the same intervals."""

INTERVAL_PERCENT = (2.5, 97.5)
"""Percentiles that a 95 % interval lies between."""


def iou(a: Interval, b: Interval) -> float:
    """Intersection over union of two intervals; 0 when they do not meet."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    if shared <= 0:
        return 0.0
    return shared / (max(a[1], b[1]) - min(a[0], b[0]))


def match(
    truth: Sequence[Interval], spotted: Sequence[Interval], least: float = MATCH_IOU
) -> list[tuple[int, int]]:
    """Pairs (index of truth, index of spotted) of at least that overlap, best first; each at
    most once."""
    overlaps = [
        (iou(one, other), i, j) for i, one in enumerate(truth) for j, other in enumerate(spotted)
    ]
    pairs: list[tuple[int, int]] = []
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap >= least and all(i != k and j != n for k, n in pairs):
            pairs.append((i, j))
    return pairs


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    """part / whole, element by element; 0 where nothing was there to divide by."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


class Detection(NamedTuple):
    """Spotting figures; 0 where nothing was there to divide by."""

    precision: float
    recall: float
    f1: float


def detection(matched: int, truths: int, spotted: int) -> Detection:
    """Precision, recall and F1 from counts pooled over the whole set."""
    return Detection(
        precision=float(ratio(matched, spotted)),
        recall=float(ratio(matched, truths)),
        f1=float(ratio(2 * matched, truths + spotted)),
    )


class Recognition(NamedTuple):
    """Per-class precision, recall and F1 [..., C]; UF1 (also called macro F1), UAR and macro
    precision [...], their unweighted means."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    uf1: FloatArray
    uar: FloatArray
    macro_precision: FloatArray


def recognition(confusion: npt.ArrayLike, missed: npt.ArrayLike) -> Recognition:
    """From counts [..., C, C] (rows: truth, columns: said) and [..., C], truths that were not
    even spotted and so count as errors of their class.

    Folds and clips are pooled first: the figures of their sum are not the mean of theirs. A class
    that does not occur, neither as a truth nor as said, is left out of the means. One that was
    said but has no truth has an F1 and a precision of 0 and no recall, so it counts in all means
    but UAR. Without any truth the means are 0.
    """
    confusion, missed = np.asarray(confusion), np.asarray(missed)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    said = confusion.sum(axis=-2)
    truths = confusion.sum(axis=-1) + missed
    precision = ratio(hits, said)
    recall = ratio(hits, truths)
    f1 = ratio(2 * hits, truths + said)
    occurs = truths + said > 0
    return Recognition(
        precision,
        recall,
        f1,
        uf1=_mean_of(f1, occurs),
        uar=_mean_of(recall, truths > 0),
        macro_precision=_mean_of(precision, occurs),
    )


def _mean_of(figure: FloatArray, counted: npt.NDArray[np.bool_]) -> FloatArray:
    """The mean [...] of a figure [..., C] over the classes that count; 0 where none does."""
    return ratio(np.where(counted, figure, 0.0).sum(axis=-1), counted.sum(axis=-1))


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted: in each of K clips, or pooled over them. Any leading axes.

    `confusion`: [..., C, C], spotted micro-expressions (rows: truth, columns: said); `missed`:
    [..., C], those that were not; `false`: [...], spotted events without a truth; `seconds`:
    [...], how much was watched.
    """

    confusion: FloatArray
    missed: FloatArray
    false: FloatArray
    seconds: FloatArray

    @property
    def truths(self) -> FloatArray:
        """[...]: micro-expressions that were there."""
        truths: FloatArray = self.confusion.sum(axis=(-2, -1)) + self.missed.sum(axis=-1)
        return truths

    def pooled(self, weights: FloatArray) -> Self:
        """Sums over the clips, which count as often as `weights` [..., K] says."""
        return type(self)(
            np.einsum("...k,kcd->...cd", weights, self.confusion),
            weights @ self.missed,
            weights @ self.false,
            weights @ self.seconds,
        )


def counts_by_subject(
    labels: Sequence[str], said: Sequence[str], subjects: Sequence[str], classes: Sequence[str]
) -> tuple[Counts, npt.NDArray[np.str_]]:
    """What a network said of N given samples, for each of the K subjects, and who these are [K].

    labels, said, subjects: [N], of the tested samples of all folds together; classes: in the
    order of the confusion's rows. Subjects of different datasets need different names
    (`training.evaluation.protocols.people`). With these `estimates` gives RECOGNITION_FIGURES of the pooled
    folds, with intervals over subjects.
    """
    place = {name: number for number, name in enumerate(classes)}
    names, who = np.unique(np.asarray(subjects, np.str_), return_inverse=True)
    confusion = np.zeros((len(names), len(classes), len(classes)))
    for subject, truth, answer in zip(who, labels, said, strict=True):
        confusion[subject, place[truth], place[answer]] += 1
    nothing = np.zeros(len(names))
    return Counts(confusion, np.zeros((len(names), len(classes))), nothing, nothing), names


class Rates(NamedTuple):
    """All figures of a set, [...]; 0 where nothing was there to divide by.

    `precision`, `recall`, `f1`: of spotting. `accuracy`, `uf1`, `uar`, `macro_precision`,
    `error_rate` (1 - accuracy): of the class, missed ones as errors. `strs`: spotting F1 times
    the macro F1 of what was spotted (MEGC's spot-then-recognise score), the mean over all classes
    that occur in the set: one of which nothing was spotted counts 0. (MEAN's public code takes
    the harmonic mean of macro precision and macro recall for that macro F1.)
    `false_per_minute`: spotted events without a truth.
    """

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    accuracy: FloatArray
    uf1: FloatArray
    uar: FloatArray
    strs: FloatArray
    false_per_minute: FloatArray
    macro_precision: FloatArray
    error_rate: FloatArray


RECOGNITION_FIGURES = ("accuracy", "error_rate", "uf1", "uar", "macro_precision")
"""What of `Rates` means something where every sample is given and nothing is spotted."""


def rates(pooled: Counts) -> Rates:
    """All figures from pooled counts."""
    matched = pooled.confusion.sum(axis=(-2, -1))
    spotted = matched + pooled.false
    hits = np.trace(pooled.confusion, axis1=-2, axis2=-1)
    named = recognition(pooled.confusion, pooled.missed)
    f1 = ratio(2 * matched, pooled.truths + spotted)
    f1_of_spotted = recognition(pooled.confusion, np.zeros_like(pooled.missed)).f1
    occurs = pooled.confusion.sum(axis=-1) + pooled.confusion.sum(axis=-2) + pooled.missed > 0
    return Rates(
        precision=ratio(matched, spotted),
        recall=ratio(matched, pooled.truths),
        f1=f1,
        accuracy=ratio(hits, pooled.truths),
        uf1=named.uf1,
        uar=named.uar,
        strs=f1 * _mean_of(f1_of_spotted, occurs),
        false_per_minute=ratio(pooled.false, pooled.seconds / 60),
        macro_precision=named.macro_precision,
        error_rate=ratio(pooled.truths - hits, pooled.truths),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; None where there is nothing to take it from."""

    value: float | None
    low: float | None = None
    high: float | None = None


def estimates(counts: Counts, subjects: npt.NDArray[np.str_]) -> dict[str, Estimate]:
    """Every figure of `Rates` over K clips, with its bootstrap interval over subjects.

    counts: of each clip; subjects: [K], who is in it. Clips of one person resemble each other,
    so people are drawn, with all their clips. One person gives no interval. Without a
    micro-expression only `false_per_minute` has a value, and draws without one are left out of
    the intervals of the other figures.
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
