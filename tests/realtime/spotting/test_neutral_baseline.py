"""A person's neutral baseline: found in calm seconds, kept in a session, taken from one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import ProfileError
from realtime.spec import ModelSpec, SpottingSpec
from realtime.spotting.neutral_baseline import (
    CALIBRATION_S,
    Baseline,
    Calibration,
    baselines_to_json,
    load_profile,
)
from realtime.spotting.spotter import Spotter
from realtime.types import Event, Scores

SPEC = ModelSpec(
    name="test",
    version="1",
    architecture="none",
    labels=("none", "positive"),
    rate_hz=30.0,
    frames=4,
    region_layout="triple",
    signal="gray",
    normalisation="none",
    spotting=SpottingSpec(enter=0.6, leave=0.4, min_s=0.05, max_s=0.5),
)


def scores(t_s: float, height: float) -> Scores:
    return Scores(0, t_s, (1 - height, height), 0.0)


def calibrate(heights: list[float], rate_hz: float = 30.0) -> Baseline | None:
    calibration = Calibration(SPEC)
    found = [calibration.update(scores(i / rate_hz, h)) for i, h in enumerate(heights)]
    return next((one for one in found if one is not None), None)


def test_the_baseline_is_the_median_of_the_first_seconds() -> None:
    heights = [0.1] * 40 + [0.9] * 8 + [0.1] * 14  # with an expression of a quarter of a second
    found = calibrate(heights)
    assert found is not None
    assert found.height == pytest.approx(0.1)
    assert found.from_s == 0
    assert found.to_s == pytest.approx(CALIBRATION_S, abs=0.04)


def test_nothing_is_found_before_a_calm_stretch() -> None:
    assert calibrate([0.1] * 50) is None
    assert calibrate([0.8] * 200) is None
    late = calibrate([0.8] * 61 + [0.2] * 70)
    assert late is not None
    assert late.height == pytest.approx(0.2)
    assert late.from_s == pytest.approx(61 / 30)


def test_a_hole_begins_anew() -> None:
    calibration = Calibration(SPEC)
    times_s = [i / 30 for i in range(50)] + [5 + i / 30 for i in range(50)]
    assert all(calibration.update(scores(t_s, 0.1)) is None for t_s in times_s)


def test_a_model_that_always_claims_an_expression_has_none() -> None:
    calibration = Calibration(dataclasses.replace(SPEC, labels=("positive", "negative")))
    assert all(calibration.update(scores(i / 30, 0.5)) is None for i in range(100))


def events_of(baseline: float, resting: float) -> list[Event]:
    """A peak of 0.2 s on the scores of a face that rests at `resting`."""
    spotter = Spotter(SPEC.labels, SPEC.spotting)
    spotter.baseline = baseline
    heights = [resting] * 30 + [0.95] * 7 + [resting] * 30
    found = [spotter.update(scores(i / 30, height)) for i, height in enumerate(heights)]
    return [event for event in found if event is not None]


def test_a_face_that_rests_above_the_threshold_is_spotted_with_its_baseline() -> None:
    assert events_of(0.0, 0.45) == []  # never comes back
    (event,) = events_of(0.45, 0.45)
    assert event.onset_s == pytest.approx(1.0, abs=0.04)
    assert event.offset_s == pytest.approx(1.22, abs=0.04)


def test_a_face_that_rests_low_is_spotted_alike_without_a_baseline() -> None:
    (without,), (event,) = events_of(0.0, 0.1), events_of(0.1, 0.1)
    assert without.score == event.score == pytest.approx(0.95)
    assert without.apex_s == event.apex_s
    assert without.onset_s == pytest.approx(event.onset_s, abs=0.01)
    assert without.offset_s == pytest.approx(event.offset_s, abs=0.01)


def test_the_first_baseline_may_come_while_an_expression_lasts() -> None:
    spotter = Spotter(SPEC.labels, SPEC.spotting)
    found = []
    for i in range(90):
        if i == 33:
            spotter.baseline = 0.3
        found.append(spotter.update(scores(i / 30, 0.42 if 30 <= i < 34 else 0.9 if i < 38 else 0)))
    (event,) = [event for event in found if event is not None]
    assert 1.0 < event.onset_s < event.apex_s < event.offset_s < 1.3


def write_profile(folder: Path, **changes: Any) -> Path:
    facts = {
        "model": {"name": "test", "sha256": "abc"},
        "calibration": baselines_to_json({3: [Baseline(0.125, 11.0, 13.0)]}, 10.0),
    } | changes
    (folder / "session.json").write_text(json.dumps(facts))
    return folder


def test_a_session_is_a_profile(tmp_path: Path) -> None:
    folder = write_profile(tmp_path)
    stated = json.loads((folder / "session.json").read_text())["calibration"]
    assert stated == {"3": {"height": 0.125, "from_s": 1.0, "to_s": 3.0}}
    assert load_profile(folder, "abc") == Baseline(0.125)
    assert load_profile(folder / "session.json", "abc") == Baseline(0.125)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"name": "other", "sha256": "def"}}, r"another model \(other\)"),
        ({"calibration": {}}, "of 0 faces"),
        ({"calibration": None}, "of 0 faces"),
        ({"calibration": {"0": {"height": 0.1}, "1": {"height": 0.2}}}, "of 2 faces"),
        ({"calibration": {"0": {"height": 1.5}}}, "holds no profile"),
        ({"calibration": {"0": {"height": "high"}}}, "holds no profile"),
        ({"calibration": {"0": 7}}, "holds no profile"),
        ({"calibration": [1]}, "holds no profile"),
        ({"model": "abc"}, "holds no profile"),
    ],
)
def test_what_is_no_profile_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        load_profile(write_profile(tmp_path, **changes), "abc")


def test_a_person_who_came_back_is_one(tmp_path: Path) -> None:
    calibration = {"0": {"height": 0.1}, "1": {"height": 0.2}, "4": {"height": 0.11}}
    folder = write_profile(tmp_path, calibration=calibration, settings={"max_faces": 1})
    assert load_profile(folder, "abc").height == 0.11


def test_baselines_before_a_recalibration_are_kept() -> None:
    taken = {0: [Baseline(0.1, 11.0, 13.0), Baseline(0.2, 20.0, 22.0)]}
    assert baselines_to_json(taken, 10.0) == {
        "0": {
            **{"height": 0.2, "from_s": 10.0, "to_s": 12.0},
            "earlier": [{"height": 0.1, "from_s": 1.0, "to_s": 3.0}],
        }
    }


def test_a_folder_without_a_session_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="holds no profile"):
        load_profile(tmp_path, "abc")
    (tmp_path / "session.json").write_text("{")
    with pytest.raises(ProfileError, match="holds no profile"):
        load_profile(tmp_path, "abc")
