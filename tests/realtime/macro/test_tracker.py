"""Macro-expressions of one face over time, with a model that is a script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from realtime.macro.model import FACE_PX, MacroModel
from realtime.macro.tracker import (
    EVERY_S,
    KEPT_EVERY_S,
    LARGEST_MEAN,
    REMEMBERED_S,
    SMOOTH_S,
    MacroTracker,
)
from realtime.spec import SpottingSpec
from realtime.spotting.spotter import Spotter
from realtime.types import Float32Array, MacroScores, Scores, UInt8Array

LOOKAHEAD_S = 0.2
"""Delay of the shipped model's scores."""


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


def track() -> tuple[MacroTracker, Brightness]:
    model = Brightness()
    return MacroTracker(cast(MacroModel, model), 4), model


@pytest.mark.parametrize("jitter_s", [0.0, 0.005])
@pytest.mark.parametrize("rate_hz", [3.0, 8.0, 15.0, 16.0, 18.0, 29.97, 240.0])
def test_faces_are_kept_and_scored_as_often_as_is_said_at_any_rate(
    rate_hz: float, jitter_s: float
) -> None:
    one, model = track()
    told: list[MacroScores] = []
    kept_s = []
    times_s = np.arange(100.0, 120.0, 1 / rate_hz)
    times_s += np.random.default_rng(1).uniform(-1, 1, len(times_s)) * min(jitter_s, 0.3 / rate_hz)
    for t_s in times_s.tolist():
        if one.wants(t_s):
            kept_s.append(t_s)
            told += [scores for scores in [one.add(t_s, face(0.5))] if scores]
    frame_s = 1 / rate_hz + 2 * jitter_s
    for moments_s, every_s, waits_s in (
        (kept_s, KEPT_EVERY_S, frame_s),
        ([scores.t_s for scores in told], EVERY_S, max(frame_s, KEPT_EVERY_S + frame_s)),
    ):
        gaps_s = np.diff(moments_s)
        assert gaps_s.max() <= max(every_s, 1 / rate_hz) + waits_s
        assert gaps_s.mean() == pytest.approx(max(every_s, 1 / rate_hz), rel=0.06)
    assert model.runs == [1] * len(told)
    assert {scores.face_id for scores in told} == {4}


def test_a_hole_is_not_made_up_for() -> None:
    one, _ = track()
    moments_s = [*np.arange(0.0, 1.0, 1 / 30), *np.arange(1.9, 3.0, 1 / 30)]
    told_s = [t_s for t_s in moments_s if one.wants(t_s) and one.add(t_s, face(0.5))]
    after_s = [t_s for t_s in told_s if t_s > 1.5]
    assert after_s[0] == 1.9
    assert np.diff(after_s) == pytest.approx(EVERY_S, abs=1 / 30 + 1e-6)


def test_what_a_face_shows_is_smoothed_over_time() -> None:
    one, _ = track()
    told = []
    for t_s in np.arange(0.0, 6.0, 1 / 30):
        scores = one.add(float(t_s), face(float(t_s >= 2.0)))
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
    latest_s, latest = one.latest
    assert latest_s == told[-1].t_s
    assert latest[0] == pytest.approx(1.0)


def test_the_mean_of_a_stretch_is_of_the_faces_in_it() -> None:
    one, model = track()
    for t_s in np.arange(0.0, 1.0, 1 / 30):
        one.add(float(t_s), face(float(t_s >= 0.5)))
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
    assert MacroTracker(cast(MacroModel, model), 4).neutral is None


def test_a_face_that_was_away_starts_anew() -> None:
    one, _ = track()
    one.add(0.0, face(1.0))
    scores = one.add(REMEMBERED_S + 0.1, face(0.0))
    assert scores is not None
    assert scores.probabilities[0] == 0.0
    assert one.mean(0.0, 1.0) is None


def test_memory_does_not_grow_with_the_length_of_a_stream() -> None:
    one, _ = track()
    for number in range(3000):
        if one.wants(number / 240):
            one.add(number / 240, face(0.5))
    assert len(one._kept) <= REMEMBERED_S * 30 + 2


@pytest.mark.parametrize("moves_s", [0.12, 0.15, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("rate_hz", [8.0, 15.0, 16.0, 18.0, 30.0, 240.0])
def test_the_spotter_hears_of_every_smile_whatever_the_camera(
    rate_hz: float, moves_s: float
) -> None:
    """Smiles that stay are never told as micro-expressions, however long the motion of their
    beginning, and each is known to go on."""
    labels = ("none", "positive")
    random = np.random.default_rng(1)
    for beginning_s in np.linspace(3.0, 3.2, 20).tolist():
        one, _ = track()
        spotter = Spotter(labels, SpottingSpec(), macro=one, lookahead_s=LOOKAHEAD_S)
        times_s = np.arange(0.0, 5.0, 1 / rate_hz)
        times_s += random.uniform(-1, 1, len(times_s)) * min(0.005, 0.3 / rate_hz)
        slots_s = np.arange(0.0, 5.0, 1 / 30)
        events = []
        for t_s in times_s.tolist():
            if one.wants(t_s):
                one.add(t_s, face(float(t_s > beginning_s)))
            while len(slots_s) and slots_s[0] <= t_s - LOOKAHEAD_S:
                shown = float(0.0 < slots_s[0] - beginning_s < moves_s)
                scores = Scores(4, float(slots_s[0]), (1 - shown, shown), 0.0)
                events.append(spotter.update(scores))
                slots_s = slots_s[1:]
        assert len(events) > 100
        assert not any(events)
        assert spotter.state == "macro"
