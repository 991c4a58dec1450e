"""From streams to samples: which slots a window has, and what is left out and said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import KilasError
from realtime.spec import ModelSpec
from training.batches.samples import read_samples
from training.preparation.sequence_file import FaceSequence, SequenceWriter, full_table
from training.recipe import load_recipe

SPEC = dataclasses.replace(
    load_recipe("triplepath-ha3dnet").spec,
    **{"frames": 6, "lookahead": 2, "labels": ("negative", "positive", "surprise")},
)
SLOT_S = 1 / SPEC.rate_hz


def write(path: Path, streams: list[FaceSequence], rows: list[dict[str, object]]) -> Path:
    """A file of CASME II whose faces tell their slot: all pixels of slot 7 of a clip are 7."""
    with SequenceWriter(path, {}) as writer:
        for stream in streams:
            writer.add(stream.subject, stream.clip, [stream])
        common = {"dataset": "casme2", "subject": "ann", "clip": "a", "kind": "micro"}
        table = full_table(pd.DataFrame([common | {"emotion": "disgust"} | row for row in rows]))
        writer.finish(table, "casme2", SPEC.rate_hz, SPEC.mask)
    return path


def stream(slots: int, clip: str = "a", first: int = 0) -> FaceSequence:
    numbers = np.arange(first, first + slots)
    faces = np.broadcast_to(numbers[:, None, None], (slots, 128, 128)).astype(np.uint8)
    return FaceSequence(clip, "ann", faces, numbers * SLOT_S)


def slots_of(path: Path, spec: ModelSpec = SPEC) -> list[list[int]]:
    samples, _ = read_samples([path], spec, "three")
    return [window[:, 0, 0].tolist() for window in samples.windows(np.arange(len(samples)))]


def test_the_scored_slot_is_the_apex(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", [stream(30)], [{"onset_s": 0.4, "apex_s": 15 * SLOT_S}])
    assert slots_of(path) == [[12, 13, 14, 15, 16, 17]]  # two slots of lookahead


@pytest.mark.parametrize(
    ("apex", "slots", "held"),
    [
        (0, [0, 1, 2, 3, 4, 5], 0),  # moved: nothing is made up where there is enough
        (29, [24, 25, 26, 27, 28, 29], 0),
    ],
)
def test_a_window_at_an_end_is_moved(
    tmp_path: Path, apex: int, slots: list[int], held: int
) -> None:
    path = write(tmp_path / "a.npz", [stream(30)], [{"apex_s": apex * SLOT_S}])
    assert slots_of(path) == [slots]
    assert read_samples([path], SPEC, "three")[0].table["held"].tolist() == [held]


@pytest.mark.parametrize(
    ("slots", "apex", "window"),
    [(4, 2, [0, 0, 1, 2, 3, 3]), (1, 0, [0] * 6), (5, 4, [1, 2, 3, 4, 4, 4])],
)
def test_in_a_clip_that_is_too_short_its_ends_are_held_and_counted(
    tmp_path: Path, slots: int, apex: int, window: list[int]
) -> None:
    path = write(tmp_path / "a.npz", [stream(slots)], [{"apex_s": apex * SLOT_S}])
    assert slots_of(path) == [window]
    (held,) = read_samples([path], SPEC, "three")[0].table["held"]
    wanted = range(apex - 3, apex + 3)
    assert held == sum(not 0 <= slot < slots for slot in wanted)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.floats(0, 1))
def test_a_window_has_the_apex_whatever_the_clip(
    tmp_path_factory: pytest.TempPathFactory, slots: int, share: float
) -> None:
    apex = round(share * (slots - 1))
    path = write(
        tmp_path_factory.mktemp("any") / "a.npz", [stream(slots)], [{"apex_s": apex * SLOT_S}]
    )
    (window,) = slots_of(path)
    assert apex in window
    assert window == sorted(window)
    if slots >= SPEC.frames:
        assert np.diff(window).tolist() == [1] * (SPEC.frames - 1)


def test_a_window_does_not_reach_over_a_hole(tmp_path: Path) -> None:
    pieces = [stream(10), stream(10, first=40)]
    with SequenceWriter(tmp_path / "a.npz", {}) as writer:
        writer.add("ann", "a", pieces)
        row = {"dataset": "casme2", "subject": "ann", "clip": "a", "kind": "micro"}
        row |= {"emotion": "disgust", "apex_s": 41 * SLOT_S}
        writer.finish(full_table(pd.DataFrame([row])), "casme2", SPEC.rate_hz, SPEC.mask)
    assert slots_of(tmp_path / "a.npz") == [[40, 41, 42, 43, 44, 45]]


def test_a_sample_says_that_its_picture_is_in_training_too(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"onset_s": 0.4, "apex_s": 0.5, "usage": "Training"},
        {"onset_s": 0.7, "apex_s": 0.8, "usage": "PublicTest", "is_copy": True},
    ]
    table = read_samples([write(tmp_path / "a.npz", [stream(30)], rows)], SPEC, "three")[0].table
    assert table["usage"].tolist() == ["Training", "PublicTest"]
    assert table["is_copy"].tolist() == [False, True]
    assert table["is_copy"].dtype == bool


def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path) -> None:
    rows = [
        {"apex_s": 0.5},
        {"apex_s": 0.5, "emotion": "others"},
        {"apex_s": 0.6, "emotion": "others"},
        {"apex_s": 9.0},
        {"apex_s": 0.5, "kind": "macro"},
        {"apex_s": 0.5, "clip": "b"},
    ]
    path = write(tmp_path / "a.npz", [stream(30)], rows)
    samples, left_out = read_samples([path], SPEC, "three")
    assert len(samples) == 1
    told = {one.why: one.count for one in left_out}
    assert told == {
        "others is none of the classes 'three'": 2,
        "no face can be seen at the apex": 2,
    }


def test_no_sample_left_is_said_with_the_reasons(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", [stream(30)], [{"apex_s": 0.5, "emotion": "others"}])
    with pytest.raises(KilasError, match=r"No sample is left of a\.npz: 1 times others is none"):
        read_samples([path], SPEC, "three")


def test_the_same_file_twice_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", [stream(30)], [{"apex_s": 0.5, "onset_s": 0.4}])
    with pytest.raises(KilasError, match="Two files have the expression of ann in a of casme2"):
        read_samples([path, path], SPEC, "three")


def test_motion_samples_are_the_motion_of_the_live_path(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, signal="motion", normalisation="clip to 3 px, divide by 0.3")
    path = write(tmp_path / "a.npz", [stream(30)], [{"apex_s": 15 * SLOT_S}])
    samples, _ = read_samples([path], spec, "three")
    (window,) = samples.windows(np.arange(1))
    assert window.shape == spec.window_shape
    assert window.dtype == np.float16
    assert np.abs(window).max() < 0.01  # a face that only gets brighter does not move
