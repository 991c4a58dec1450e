"""Scripts of simulated clips: spread widely, repeatable, and performed as they are written."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rendering.face_model import FaceModel
from training.simulation import actions
from training.simulation.scenario import (
    EVENT_GAP_S,
    FIRST_EVENT_S,
    LAST_EVENT_S,
    LONGEST_EXPOSURE_S,
    TIME_BASE,
    ClipScenario,
    Episode,
    exposure_time,
    frame_times,
    perform,
    plan_clip,
)

seeds = st.integers(0, 2**31)


@given(seeds, st.one_of(st.floats(4.0, 12.0), st.floats(20.0, 240.0)))
def test_planned_events_keep_their_distance(seed: int, seconds: float) -> None:
    script = plan_clip(seed, 0, seconds, 0, 10)
    at = FIRST_EVENT_S
    for event in script.events:
        assert event.onset_s >= at - 1e-3
        assert event.onset_s < event.apex_s <= event.release_s < event.offset_s
        at = event.offset_s + EVENT_GAP_S
    if script.events:
        assert script.events[-1].offset_s <= seconds - LAST_EVENT_S + 1e-3


def test_a_third_of_the_clips_has_no_event_and_every_distraction_occurs() -> None:
    scripts = [plan_clip(1, index, 6.0, 0, 50) for index in range(600)]
    share = np.mean([not script.events for script in scripts])
    assert 0.25 < share < 0.42
    met = {kind for script in scripts for kind in script.distractions}
    assert met == set(actions.DISTRACTIONS)
    assert {event.kind for script in scripts for event in script.events} == {"micro", "macro"}


def test_long_clips_have_a_few_events_a_minute_and_changing_activity() -> None:
    scripts = [plan_clip(2, index, 180.0, 0, 50) for index in range(40)]
    minutes = sum(script.t_s[-1] for script in scripts) / 60
    kinds = [event.kind for script in scripts for event in script.events]
    assert 3 < kinds.count("micro") / minutes < 6
    assert 2 < kinds.count("macro") / minutes < 4
    for script in scripts:
        assert not script.distractions
        starts = sorted({episode.start_s for episode in script.episodes})
        assert len(starts) >= 5
        assert max(episode.end_s for episode in script.episodes) <= 180.0
        assert max(episode.end_s - episode.start_s for episode in script.episodes) < 30.0
    talk_s = sum(
        episode.end_s - episode.start_s
        for script in scripts
        for episode in script.episodes
        if episode.kind == "speech"
    )
    assert 0.4 < talk_s / 60 / minutes < 0.9


def test_an_episode_moves_the_face_only_while_it_lasts_and_without_a_jump(
    model: FaceModel,
) -> None:
    t_s = np.arange(0, 12, 0.02)
    for kind in actions.DISTRACTIONS:
        quiet = ClipScenario("clip.mp4", (5,), 3, tuple(t_s), idle=0.0)
        script = dataclasses.replace(quiet, episodes=(Episode(3.0, 9.0, kind),))
        motion, resting = perform(script, model.names), perform(quiet, model.names)
        outside = (t_s < 3.0) | (t_s > 9.0)
        for course in ("weights", "gaze_deg", "angles_deg", "offset_cm", "key_gain", "gain"):
            moved, still = getattr(motion, course), getattr(resting, course)
            np.testing.assert_array_equal(moved[outside], still[outside])
        assert np.abs(np.diff(motion.angles_deg, axis=0)).max() < 5.0


@given(seeds, st.sampled_from([15.0, 29.97, 60.0, 120.0]))
def test_frame_times_grow_on_the_clock_of_the_video(seed: int, fps: float) -> None:
    t_s = np.array(frame_times(np.random.default_rng(seed), fps, 6.0))
    assert t_s[0] == 0.0
    assert (np.diff(t_s) > 0).all()
    ticks = t_s / float(TIME_BASE)
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-4)


@settings(max_examples=20)
@given(seeds, st.integers(0, 10_000))
def test_a_clip_depends_on_seed_and_index_alone(seed: int, index: int) -> None:
    assert plan_clip(seed, index, 6.0, 0, 40) == plan_clip(seed, index, 6.0, 0, 40)
    assert plan_clip(seed, index, 6.0, 0, 40) != plan_clip(seed, index + 1, 6.0, 0, 40)


@given(seeds, st.sampled_from([15.0, 30.0, 200.0]), st.floats(0.4, 5.0))
def test_exposures_fit_between_two_frames(seed: int, fps: float, noise: float) -> None:
    exposure_s = exposure_time(np.random.default_rng(seed), fps, noise)
    assert 0 < exposure_s <= min(1 / fps, LONGEST_EXPOSURE_S) + 1e-5


def test_poses_frame_rates_and_sizes_are_spread_widely() -> None:
    scripts = [plan_clip(3, index, 6.0, 0, 50) for index in range(800)]
    yaw = np.abs([script.pose_deg[0] for script in scripts])
    for low in (0, 5, 10, 15):
        assert np.mean((yaw >= low) & (yaw < low + 5)) > 0.1
    rates = [script.fps for script in scripts]
    assert {15.0, 30.0, 60.0, 100.0, 150.0, 200.0} < set(rates)
    assert max(set(rates), key=rates.count) == 30.0
    sizes = [script.face_px for script in scripts]
    assert min(sizes) < 100
    assert max(sizes) > 350
    assert all(min(script.size_wh) > script.face_px for script in scripts)
