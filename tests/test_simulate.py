"""Simulated clips: their truth is exact, repeatable, and shows in the picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import SourceError
from realtime.landmarks import FaceTracker
from realtime.types import Frame
from training import expressions, simulate
from training.appearance import make_actor
from training.expressions import ScriptedEvent, intensity_at, unit_weights
from training.face_model import FaceModel, load_face_model
from training.simulate import ClipScript, Stage, plan_clip

seeds = st.integers(0, 2**31)


@pytest.fixture(scope="session")
def face_model(shared_data: Path) -> Path:
    return shared_data / "ict_facekit.npz"


@pytest.fixture(scope="session")
def model(face_model: Path) -> FaceModel:
    return load_face_model(face_model)


def brow_raise(intensity: float = 0.6) -> ScriptedEvent:
    return ScriptedEvent(0.2, 0.4, 0.5, 0.7, "surprise", "micro", intensity, "1+2")


def quiet_script(**changes: object) -> ClipScript:
    """A person who does nothing, before a camera without grain."""
    script = ClipScript(
        name="clip.mp4",
        seed=(5,),
        subject=3,
        t_s=tuple(np.arange(10) / 10.0),
        idle=0.0,
        noise=0.0,
        face_px=160.0,
        size_wh=(256, 256),
    )
    return dataclasses.replace(script, **changes)  # type: ignore[arg-type]


@given(seeds, st.sampled_from(expressions.KINDS))
def test_intensity_rises_holds_and_falls(seed: int, kind: str) -> None:
    event = expressions.draw_event(np.random.default_rng(seed), kind, 4.0)
    assert event.onset_s < event.apex_s <= event.release_s < event.offset_s
    rise = intensity_at(event, np.linspace(event.onset_s, event.apex_s, 50))
    fall = intensity_at(event, np.linspace(event.release_s, event.offset_s, 50))
    assert (np.diff(rise) >= 0).all()
    assert (np.diff(fall) <= 0).all()
    hold = intensity_at(event, [event.apex_s, (event.apex_s + event.release_s) / 2])
    np.testing.assert_allclose(hold, event.intensity)
    outside = intensity_at(event, [event.onset_s - 1, event.onset_s, event.offset_s, 9.0])
    np.testing.assert_array_equal(outside, 0.0)


def test_intensity_is_half_in_the_middle_of_the_onset() -> None:
    assert intensity_at(brow_raise(0.6), 0.3) == pytest.approx(0.3)


@given(seeds)
def test_expressions_last_as_long_as_their_kind_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    micro, macro = (expressions.draw_event(rng, kind, 4.0) for kind in ("micro", "macro"))
    assert 0.15 <= micro.offset_s <= 0.5
    assert 0.8 <= macro.offset_s <= 4.0
    assert 0.12 <= micro.intensity <= 1.0


def test_one_sided_units_move_one_side() -> None:
    assert set(unit_weights("14L", 0.0)) == {"mouthDimple_L", "mouthPress_L"}
    both = unit_weights("12", 0.2)
    assert both["mouthSmile_L"] > both["mouthSmile_R"] > 0


def test_all_units_are_shapes_of_the_face_model(model: FaceModel) -> None:
    for label in expressions.LABELS:
        for units, _ in expressions.MIXES[label]:
            assert set(unit_weights(units, 0.0)) <= set(model.names)


@given(seeds, st.floats(4.0, 12.0))
def test_planned_events_keep_their_distance(seed: int, seconds: float) -> None:
    script = plan_clip(seed, 0, seconds, 0, 10)
    at = simulate.FIRST_EVENT_S
    for event in script.events:
        assert event.onset_s >= at - 1e-3
        assert event.onset_s < event.apex_s <= event.release_s < event.offset_s
        at = event.offset_s + simulate.EVENT_GAP_S
    if script.events:
        assert script.events[-1].offset_s <= seconds - simulate.LAST_EVENT_S + 1e-3


def test_a_third_of_the_clips_has_no_event_and_every_distraction_occurs() -> None:
    scripts = [plan_clip(1, index, 6.0, 0, 50) for index in range(600)]
    share = np.mean([not script.events for script in scripts])
    assert 0.25 < share < 0.42
    met = {kind for script in scripts for kind in script.distractions}
    assert met == set(expressions.DISTRACTIONS)
    assert {event.kind for script in scripts for event in script.events} == {"micro", "macro"}


@given(seeds, st.sampled_from([15.0, 29.97, 60.0, 120.0]))
def test_frame_times_grow_on_the_clock_of_the_video(seed: int, fps: float) -> None:
    t_s = np.array(simulate.frame_times(np.random.default_rng(seed), fps, 6.0))
    assert t_s[0] == 0.0
    assert (np.diff(t_s) > 0).all()
    ticks = t_s / float(simulate.TIME_BASE)
    np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-4)


@settings(max_examples=20)
@given(seeds, st.integers(0, 10_000))
def test_a_clip_depends_on_seed_and_index_alone(seed: int, index: int) -> None:
    assert plan_clip(seed, index, 6.0, 0, 40) == plan_clip(seed, index, 6.0, 0, 40)
    assert plan_clip(seed, index, 6.0, 0, 40) != plan_clip(seed, index + 1, 6.0, 0, 40)


def test_a_file_that_is_no_face_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    np.savez(path, neutral=np.zeros((3, 3)))
    with pytest.raises(SourceError, match="not a face model"):
        load_face_model(path)


def test_a_person_looks_the_same_at_every_size(model: FaceModel) -> None:
    small, large = make_actor(model, 7, 100.0), make_actor(model, 7, 400.0)
    np.testing.assert_array_equal(small.points, large.points)
    assert (small.hair, small.skin) == (large.hair, large.skin)
    assert not np.array_equal(small.points, make_actor(model, 8, 100.0).points)


def picture_change(frames: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """Mean gray levels by which each frame differs from the first."""
    still = frames[0].astype(float)
    return np.array([np.abs(frame - still).mean() for frame in frames])


def test_the_picture_moves_exactly_while_the_event_lasts(model: FaceModel) -> None:
    event = brow_raise()
    script = quiet_script(t_s=tuple(np.arange(20) / 20.0), events=(event,))
    stage = Stage(script, model)
    change = picture_change([stage.frame(i) for i in range(len(script.t_s))])
    truth = intensity_at(event, script.t_s)
    np.testing.assert_array_equal(change[truth == 0], 0.0)
    assert (change[truth > 0.02] > 0).all()
    assert np.corrcoef(change, truth)[0, 1] > 0.97


def test_brows_rise_by_as_much_as_the_intensity_says(model: FaceModel) -> None:
    lifts = []
    for intensity in (0.0, 0.4, 0.8):
        script = quiet_script(t_s=(0.45,), events=(brow_raise(intensity),), face_px=220.0)
        with FaceTracker(max_faces=1) as track:
            (face,) = track(Frame(0, 0.0, Stage(script, model).frame(0)))
        brows, eyes = face.points_xy[[105, 334], 1], face.points_xy[[33, 263], 1]
        lifts.append(float(np.mean(eyes - brows)))
    assert lifts[0] + 1.0 < lifts[1] < lifts[2] - 1.0


def test_speech_and_blinks_do_not_touch_the_script_of_events(model: FaceModel) -> None:
    script = quiet_script(distractions=("speech", "blinks"), idle=1.0)
    stage = Stage(script, model)
    assert picture_change([stage.frame(i) for i in range(4)])[1:].min() > 0
    assert simulate.event_rows(script) == []


def test_the_live_tracker_finds_every_face(model: FaceModel) -> None:
    lost = []
    for index in range(8):
        script = plan_clip(77, index, 6.0, 0, 100)
        stage = Stage(script, model)
        with FaceTracker(max_faces=1) as track:
            for number in range(0, len(script.t_s), len(script.t_s) // 4):
                if not track(Frame(number, script.t_s[number], stage.frame(number))):
                    lost.append((index, number))
    assert lost == []


def test_the_video_has_the_scripts_own_times(face_model: Path, tmp_path: Path) -> None:
    t_s = (0.0, 0.03, 0.1, 0.11, 0.5, 0.52)
    path = tmp_path / "clip.mp4"
    simulate.render_clip(quiet_script(t_s=t_s), face_model, path)
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, t_s, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


SET = {"clips": 3, "seed": 40, "seconds": 3.0, "subjects": 2}


def test_sets_do_not_depend_on_the_number_of_processes(face_model: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        simulate.simulate(tmp_path / str(jobs), face_model, jobs=jobs, **SET)  # type: ignore[arg-type]
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    assert names == [f"clip_0000{i}.mp4" for i in range(3)] + ["clips.csv", "events.csv"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_tables_say_what_the_videos_hold_and_finished_clips_are_kept(
    face_model: Path, tmp_path: Path
) -> None:
    simulate.simulate(tmp_path, face_model, **SET)  # type: ignore[arg-type]
    clips = pd.read_csv(tmp_path / "clips.csv")
    assert tuple(clips.columns) == simulate.CLIP_FIELDS
    assert tuple(pd.read_csv(tmp_path / "events.csv").columns) == simulate.EVENT_FIELDS
    for clip in clips.itertuples():
        with av.open(str(tmp_path / str(clip.clip))) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (clip.width, clip.height)
            assert sum(1 for _ in container.decode(stream)) == clip.frames

    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.mp4")}
    (tmp_path / "clip_00001.mp4").unlink()
    simulate.simulate(tmp_path, face_model, **SET)  # type: ignore[arg-type]
    after = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.mp4")}
    assert {name for name in before if before[name] != after[name]} == {"clip_00001.mp4"}


def test_a_row_of_the_table_gives_the_same_intensity() -> None:
    event = simulate.shifted(brow_raise(0.5), 1.0)
    table = pd.DataFrame(simulate.event_rows(quiet_script(events=(event,))))
    (row,) = table.itertuples()
    t_s = np.linspace(1, 2, 30)
    np.testing.assert_array_equal(intensity_at(row, t_s), intensity_at(event, t_s))
