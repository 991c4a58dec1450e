"""Scores that mean what they say: temperature scaling, and how far scores are off.

Guo et al. 2017, "On calibration of modern neural networks": dividing the logits by one number
changes no label and makes a score of 0.8 right in 80 of 100 pictures, if one number can. What
label smoothing has added to the scores is taken out again: with a smoothing s the least loss is at
(1 - s) p + s / C, not at the probabilities p of the C labels (Szegedy et al. 2016, "Rethinking the
Inception architecture for computer vision").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from realtime.types import FloatArray

BINS = 15
"""Of scores from 0 to 1, of equal width; as in the paper."""

LEAST_SCORE = 1e-12
"""A score that was rounded to 0 costs no more than this one."""

LEAST_LEFT = 1e-4
"""What a label keeps at least when the smoothing is taken out: none is impossible."""

HALVES_SEED = 0
"""The same scores are halved in the same way."""

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 321))  # a hundredth apart


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """Scores [..., C] that sum to 1, from logits [..., C]."""
    scaled = logits / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    scores: FloatArray = raised / raised.sum(axis=-1, keepdims=True)
    return scores


def scores_of(logits: FloatArray, temperature: float, smoothing: float) -> FloatArray:
    """What the model file gives: scores [n, C], from the logits [S, n, C] of one or both sides of
    each face. `smoothing`: of the labels that the network was trained with."""
    scores: FloatArray = softmax(logits, temperature).mean(axis=0)
    if smoothing:
        scores = np.maximum(scores - smoothing / scores.shape[1], LEAST_LEFT)
        scores /= scores.sum(axis=1, keepdims=True)
    return scores


def best_temperature(
    logits: FloatArray, labels: npt.NDArray[np.int64], smoothing: float = 0.0
) -> float:
    """The temperature with the least log loss. logits, smoothing: as in `scores_of`; labels:
    int64 [n]."""
    losses = [log_loss(scores_of(logits, one, smoothing), labels) for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def log_loss(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """The mean of -ln of what the truth was given. scores: [n, C]; labels: int64 [n]."""
    return float(-np.log(scores[np.arange(len(labels)), labels] + LEAST_SCORE).mean())


def calibration_error(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """The expected calibration error: the mean distance between the highest score and the share
    that is right, over bins of that score. scores: [n, C]; labels: int64 [n]."""
    bins = reliability(scores, labels)
    return sum(one.pictures * abs(one.score - one.right) for one in bins) / len(labels)


class Bin(NamedTuple):
    """Pictures whose highest score is at least `least` and below that of the next bin: the mean
    of that score, and the share that it is right in."""

    least: float
    score: float
    right: float
    pictures: int


def reliability(scores: FloatArray, labels: npt.NDArray[np.int64]) -> list[Bin]:
    """The bins that have a picture. scores: [n, C]; labels: int64 [n]."""
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
    """The calibration error where the scores' temperature may not be chosen: the mean of those of
    two halves, drawn at random, each with the temperature that is best on the other, on top of
    that which the scores have. A half has fewer pictures, so chance makes it somewhat larger.
    scores: [n >= 2, C]; labels: int64 [n]."""
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
