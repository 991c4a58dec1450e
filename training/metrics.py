"""Figures of spotting and recognition, as the field's challenges define them (MEGC 2019 on)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
"""Onset and offset in seconds."""

MATCH_IOU = 0.5
"""Overlap from which a spotted interval counts as a true one (MEGC)."""


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


class Detection(NamedTuple):
    """Spotting figures; 0 where nothing was there to divide by."""

    precision: float
    recall: float
    f1: float


def detection(matched: int, truths: int, spotted: int) -> Detection:
    """Precision, recall and F1 from counts pooled over the whole set."""
    precision = matched / spotted if spotted else 0.0
    recall = matched / truths if truths else 0.0
    f1 = 2 * matched / (truths + spotted) if truths + spotted else 0.0
    return Detection(precision, recall, f1)


class Recognition(NamedTuple):
    """Per-class F1 and recall, and their unweighted means UF1 and UAR."""

    f1: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    uf1: float
    uar: float


def recognition(confusion: npt.NDArray[np.int64], missed: npt.NDArray[np.int64]) -> Recognition:
    """From int64 [C, C] (rows: truth, columns: said) and int64 [C], truths that were not even
    spotted and so count as errors of their class. Classes without a truth are left out of the
    means."""
    hits = np.diag(confusion).astype(np.float64)
    truths = confusion.sum(axis=1) + missed
    wrong = confusion.sum(axis=0) - np.diag(confusion)
    present = truths > 0
    f1 = np.divide(
        2 * hits, hits + wrong + truths, out=np.zeros_like(hits), where=(wrong + truths) > 0
    )
    recall = np.divide(hits, truths, out=np.zeros_like(hits), where=present)
    return Recognition(f1, recall, float(f1[present].mean()), float(recall[present].mean()))
