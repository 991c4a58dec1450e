"""The status line's numbers, from scripted updates."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from realtime.run_status import REFRESH_S, RunMeter, RunStatus
from realtime.types import Frame, Scores, UInt8Array, Update

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def run(
    rate_hz: float,
    *,
    image: UInt8Array = IMAGE,
    hop: int = 2,
    age_s: float | None = 0.02,
    seconds: float = 4.0,
) -> list[RunStatus]:
    """The states of a run at a steady frame rate, with scores for every `hop`-th frame."""
    source = SimpleNamespace(drops=Counter({"late": 3}), age_s=lambda frame: age_s)
    meter = RunMeter(cast(Any, source), 30.0, "CPU (1 thread)", lambda: Counter({"model busy": 2}))
    states = []
    for number in range(int(seconds * rate_hz)):
        t_s = number / rate_hz
        scores = (Scores(0, t_s - 0.2, (0.5, 0.5), 0.0),) if number % hop == 0 else ()
        update = Update(Frame(number, t_s, image), (), scores, (), {})
        states.append(meter.measure(update))
        meter.shown(update)
    return states


@pytest.mark.parametrize("rate_hz", [3.0, 15.0, 30.0, 240.0])
def test_rates_are_those_of_the_last_seconds(rate_hz: float) -> None:
    last = run(rate_hz)[-1]
    assert last.fps_in == pytest.approx(rate_hz)
    assert last.fps_scored == pytest.approx(rate_hz / 2)


def test_drops_of_source_and_monitor_stand_together() -> None:
    assert dict(run(30)[-1].drops) == {"late": 3, "model busy": 2}


def test_latency_is_the_age_of_the_frames_and_unknown_for_files() -> None:
    assert run(30)[-1].latency_ms == pytest.approx(20)
    assert run(30, age_s=None)[-1].latency_ms is None


def test_a_camera_too_slow_for_the_model_is_said_with_both_rates() -> None:
    assert run(12)[-1].warning == "camera 12 fps, model wants 30"
    assert run(25)[-1].warning == ""


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((48, 64, 3), np.uint8), "the picture is black"),
        (IMAGE // 16, "the picture is black"),
        (np.full((48, 64, 3), (200, 30, 90), np.uint8), "a single colour"),
        (np.full((48, 64, 3), 255, np.uint8), "a single colour"),
        (IMAGE // 5, ""),
    ],
)
def test_a_picture_that_shows_nothing_is_said(image: UInt8Array, said: str) -> None:
    warning = run(30, image=image)[-1].warning
    assert said in warning
    assert bool(said) == bool(warning)


def test_numbers_do_not_flicker() -> None:
    states = run(60, seconds=2.0)
    assert len({id(state) for state in states}) == pytest.approx(2.0 / REFRESH_S, abs=1)


def test_before_there_is_a_rate_there_is_none() -> None:
    first = run(30)[0]
    assert first.fps_in is None
    assert first.fps_scored is None
    assert first.device == "CPU (1 thread)"
