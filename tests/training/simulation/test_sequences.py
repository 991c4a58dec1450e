"""Streams straight from the simulator: what they hold, and that they can be made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.errors import KilasError
from training.preparation.sequence_file import load_all_sequences
from training.recipe import load_recipe
from training.simulation.scenario import plan_clip
from training.simulation.sequences import sequence_scenario, simulate_sequences

SPEC = load_recipe("kilas").spec


@pytest.fixture(scope="module")
def folder(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("streams")
    simulate_sequences(out, face_model, SPEC, clips=2, seed=4, seconds=3.0)
    return out


def test_streams_hold_faces_on_the_models_clock_and_their_events(folder: Path) -> None:
    streams = list(load_all_sequences([folder], SPEC))
    assert {stream.clip for stream in streams} == {"clip_00000.mp4", "clip_00001.mp4"}
    for stream in streams:
        script = sequence_scenario(4, int(stream.clip[5:10]), 3.0, 0)
        assert stream.events == script.events
        assert stream.subject == f"simulated-{script.subject}"
        assert stream.faces.shape == (len(stream.t_s), 128, 128)
        assert stream.faces.std() > 10
        assert np.allclose(np.diff(stream.t_s), 1 / SPEC.rate_hz, atol=1e-6)
    seconds = sum(len(stream.t_s) for stream in streams) / SPEC.rate_hz
    assert 4.5 < seconds < 6.1


def test_the_same_seed_makes_the_same_streams(
    folder: Path, face_model: Path, tmp_path: Path
) -> None:
    simulate_sequences(tmp_path, face_model, SPEC, clips=1, seed=4, seconds=3.0)
    (again, *_) = load_all_sequences([tmp_path], SPEC)
    (first, *_) = load_all_sequences([folder], SPEC)
    assert np.array_equal(again.faces, first.faces)


def test_sparse_streams_have_the_events_of_videos() -> None:
    for index in range(20):
        events = {
            dense: sequence_scenario(4, index, 12.0, 0, dense).events for dense in (True, False)
        }
        assert events[False] == plan_clip(4, index, 12.0, index, 1).events
        if events[False]:
            assert len(events[True]) > len(events[False])


def test_what_is_there_is_kept(folder: Path, face_model: Path) -> None:
    (file,) = folder.glob("*.npz")
    before = file.stat().st_mtime_ns
    assert simulate_sequences(folder, face_model, SPEC, clips=2, seed=4, seconds=3.0) == 0
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"clips": 3}, "clips"),
        ({"seconds": 4.0}, "seconds"),
        ({"first_subject": 9}, "first_subject"),
        ({"dense": False}, "dense"),
        ({"spec": dataclasses.replace(SPEC, rate_hz=60.0)}, "rate_hz"),
    ],
)
def test_other_settings_of_the_same_set_are_refused(
    change: dict[str, Any], name: str, folder: Path, face_model: Path
) -> None:
    settings = {"spec": SPEC, "clips": 2, "seed": 4, "seconds": 3.0}
    with pytest.raises(KilasError, match=rf"other settings \({name},"):
        simulate_sequences(folder, face_model, **settings | change)


def test_a_clip_without_a_face_leaves_a_file_without_streams_and_sets_share_a_folder(
    face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.simulation.sequences.read_sequences", lambda *_: [])
    for seed in (4, 5):
        assert simulate_sequences(tmp_path, face_model, SPEC, clips=1, seed=seed, seconds=3.0) == 0
    assert len(list(tmp_path.glob("drawn_*.npz"))) == 2
    assert list(load_all_sequences([tmp_path], SPEC)) == []


def test_a_folder_without_streams_is_said(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match="no prepared face sequences"):
        list(load_all_sequences([tmp_path], SPEC))
