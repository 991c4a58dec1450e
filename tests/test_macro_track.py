"""What one face shows on purpose over time, with a model that is a script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from realtime.macro import FACE_PX, MacroModel
from realtime.macro_track import (
    EVERY_S,
    KEPT_EVERY_S,
    LARGEST_MEAN,
    REMEMBERED_S,
    SMOOTH_S,
    MacroTrack,
)
from realtime.types import Float32Array, MacroScores, UInt8Array


class Brightness:
    """Two labels: how bright a face is, and how dark."""

    spec = SimpleNamespace(labels=("bright", "neutral"))

    def __init__(self) -> None:
        self.runs: list[int] = []

    def run(self, faces: UInt8Array) -> Float32Array:
        self.runs.append(len(faces))
        bright = faces.mean(axis=(1, 2), dtype=np.float64) / 255
        return np.stack([bright, 1 - bright], axis=1).astype(np.float32)


def face(share: float) -> UInt8Array:
    return np.full((FACE_PX, FACE_PX), round(255 * share), np.uint8)


def track() -> tuple[MacroTrack, Brightness]:
    model = Brightness()
    return MacroTrack(cast(MacroModel, model), 4), model


@pytest.mark.parametrize("rate_hz", [3.0, 15.0, 29.97, 240.0])
def test_scores_come_every_quarter_second_at_any_rate(rate_hz: float) -> None:
    one, model = track()
    told: list[MacroScores] = []
    for t_s in np.arange(100.0, 110.0, 1 / rate_hz):
        if one.wants(t_s):
            told += [scores for scores in [one.push(float(t_s), face(0.5))] if scores]
    gaps_s = np.diff([scores.t_s for scores in told])
    period_s = max(1 / rate_hz, KEPT_EVERY_S)
    assert np.abs(gaps_s - EVERY_S).max() <= period_s + 1 / rate_hz
    if rate_hz > 1 / EVERY_S:
        assert gaps_s.mean() == pytest.approx(EVERY_S, rel=0.05)
    assert model.runs == [1] * len(told)
    assert {scores.face_id for scores in told} == {4}


def test_what_a_face_shows_is_smoothed_over_time() -> None:
    one, _ = track()
    told = []
    for t_s in np.arange(0.0, 6.0, 1 / 30):
        scores = one.push(float(t_s), face(float(t_s >= 2.0)))
        if scores is not None:
            told.append(scores)
            assert sum(scores.probabilities) == pytest.approx(1.0)
    for scores in told:
        since_s = scores.t_s - 2.0
        bright = scores.probabilities[0]
        if since_s < 0:
            assert bright == 0.0
        else:  # the step is met somewhere between two scorings
            assert 1 - np.exp(-since_s / SMOOTH_S) <= bright + 1e-6
            assert bright <= 1 - np.exp(-(since_s + EVERY_S + 0.05) / SMOOTH_S) + 1e-6
    assert one.latest is not None
    assert one.latest[0] == pytest.approx(1.0)


def test_the_mean_of_a_stretch_is_of_the_faces_in_it() -> None:
    one, model = track()
    for t_s in np.arange(0.0, 1.0, 1 / 30):
        one.push(float(t_s), face(float(t_s >= 0.5)))
    model.runs.clear()
    for start_s, end_s, bright in ((0.0, 0.4, 0.0), (0.6, 0.9, 1.0)):
        mean = one.mean(start_s, end_s)
        assert mean is not None
        assert mean[0] == pytest.approx(bright)
    assert model.runs == [LARGEST_MEAN] * 2
    assert one.mean(1.5, 2.0) is None


def test_it_knows_which_label_is_that_of_a_face_that_shows_nothing() -> None:
    one, model = track()
    assert one.neutral == 1
    model.spec = SimpleNamespace(labels=("bright", "dark"))
    assert MacroTrack(cast(MacroModel, model), 4).neutral is None


def test_a_face_that_was_away_starts_anew() -> None:
    one, _ = track()
    one.push(0.0, face(1.0))
    scores = one.push(REMEMBERED_S + 0.1, face(0.0))
    assert scores is not None
    assert scores.probabilities[0] == 0.0
    assert one.mean(0.0, 1.0) is None


def test_memory_does_not_grow_with_the_length_of_a_stream() -> None:
    one, _ = track()
    for number in range(3000):
        if one.wants(number / 240):
            one.push(number / 240, face(0.5))
    assert len(one._kept) <= REMEMBERED_S * 30 + 2
