"""Calibration of scores: temperature scaling, and measures of the calibration error.

Guo et al. 2017, "On calibration of modern neural networks": dividing the logits by one number
changes no label and makes a score of 0.8 right in 80 of 100 pictures, as far as one number can.
The effect of label smoothing is taken out of the scores: with a smoothing s the least loss is at
(1 - s) p + s / C, not at the probabilities p of the C labels (Szegedy et al. 2016, "Rethinking the
Inception architecture for computer vision").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from realtime.types import FloatArray

BINS = 15
"""Number of bins of equal width that scores from 0 to 1 are divided into; as in the paper."""

LEAST_SCORE = 1e-12
"""Score that is added before a logarithm, so that a score rounded to 0 has a finite loss."""

LEAST_LEFT = 1e-4
"""Least score of a label after the smoothing is taken out: no label is impossible."""

HALVES_SEED = 0
"""Seed of the division into halves, so that the same scores are always divided alike."""

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 321))  # a hundredth apart


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """Return scores [..., C], which sum to 1, for logits [..., C]."""
    scaled = logits / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    scores: FloatArray = raised / raised.sum(axis=-1, keepdims=True)
    return scores


def scores_of(logits: FloatArray, temperature: float, smoothing: float) -> FloatArray:
    """Return the scores [n, C] that the model file gives for these logits.

    logits: [S, n, C], of each face or, with S = 2, of it and its mirror image. `smoothing`: the
    label smoothing that the network was trained with.
    """
    scores: FloatArray = softmax(logits, temperature).mean(axis=0)
    if smoothing:
        scores = np.maximum(scores - smoothing / scores.shape[1], LEAST_LEFT)
        scores /= scores.sum(axis=1, keepdims=True)
    return scores


def best_temperature(
    logits: FloatArray, labels: npt.NDArray[np.int64], smoothing: float = 0.0
) -> float:
    """Return the temperature with the least log loss.

    logits, smoothing: as in `scores_of`; labels: int64 [n].
    """
    losses = [log_loss(scores_of(logits, one, smoothing), labels) for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def log_loss(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """Return the mean of -ln of the true labels' scores. scores: [n, C]; labels: int64 [n]."""
    return float(-np.log(scores[np.arange(len(labels)), labels] + LEAST_SCORE).mean())


def calibration_error(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """Return the expected calibration error of scores.

    It is the mean distance between the highest score and the share of right labels, over bins of
    that score. scores: [n, C]; labels: int64 [n].
    """
    bins = reliability(scores, labels)
    return sum(one.pictures * abs(one.score - one.right) for one in bins) / len(labels)


class Bin(NamedTuple):
    """Pictures whose highest score lies between `least` and the next bin's `least`.

    `score`: mean of the highest score. `right`: share of the pictures whose label is right.
    """

    least: float
    score: float
    right: float
    pictures: int


def reliability(scores: FloatArray, labels: npt.NDArray[np.int64]) -> list[Bin]:
    """Return the bins that have a picture. scores: [n, C]; labels: int64 [n]."""
    highest = scores.max(axis=1)
    is_right = scores.argmax(axis=1) == labels
    places = np.minimum((highest * BINS).astype(int), BINS - 1)
    return [
        Bin(
            place / BINS,
            float(highest[places == place].mean()),
            float(is_right[places == place].mean()),
            int((places == place).sum()),
        )
        for place in np.unique(places).tolist()
    ]


def error_by_halves(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """Return the calibration error as if the temperature had been chosen on other pictures.

    It is the mean of the errors of two halves, drawn at random. Each half is scaled by the
    temperature that is best on the other half, on top of the temperature that the scores have. A
    half has fewer pictures, so chance makes the error somewhat larger. scores: [n >= 2, C]; labels:
    int64 [n].
    """
    drawn = np.random.default_rng(HALVES_SEED).permutation(len(labels))
    one, other = np.array_split(drawn, 2)
    logits = np.log(scores + LEAST_SCORE)
    errors = [
        calibration_error(
            softmax(logits[measured], best_temperature(logits[np.newaxis, chosen], labels[chosen])),
            labels[measured],
        )
        for chosen, measured in ((one, other), (other, one))
    ]
    return float(np.mean(errors))
