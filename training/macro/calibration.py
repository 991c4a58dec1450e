"""Scores that mean what they say: temperature scaling, and how far scores are off.

Guo et al. 2017, "On calibration of modern neural networks": dividing the logits by one number
changes no label and makes a score of 0.8 right in 80 of 100 pictures, if one number can.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.types import FloatArray

BINS = 15
"""Of scores from 0 to 1, of equal width; as in the paper."""

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 321))  # a hundredth apart


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """Scores [n, C] that sum to 1, from logits [n, C]."""
    scaled = logits / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scores: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return scores


def best_temperature(logits: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """The temperature with the least log loss. logits: [n, C]; labels: int64 [n]."""
    truth = np.arange(len(labels)), labels
    losses = [-np.log(softmax(logits, t)[truth] + 1e-12).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def calibration_error(scores: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """The expected calibration error: the mean distance between the highest score and the share
    that is right, over bins of that score. scores: [n, C]; labels: int64 [n]."""
    error = 0.0
    for _, sure, right, count in reliability(scores, labels):
        error += count / len(labels) * abs(sure - right)
    return error


def reliability(
    scores: FloatArray, labels: npt.NDArray[np.int64]
) -> list[tuple[float, float, float, int]]:
    """For each bin that has a picture: its lower bound, the mean highest score, the share that is
    right, and how many pictures there are."""
    highest = scores.max(axis=1)
    is_right = scores.argmax(axis=1) == labels
    places = np.minimum((highest * BINS).astype(int), BINS - 1)
    return [
        (
            place / BINS,
            float(highest[places == place].mean()),
            float(is_right[places == place].mean()),
            int((places == place).sum()),
        )
        for place in np.unique(places).tolist()
    ]
