"""Files of streams: written clip by clip, read again, and refused when they are something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from realtime.errors import KilasError
from training.annotations.expression import AnnotatedExpression
from training.preparation.sequence_file import (
    STORED,
    FaceSequence,
    SequenceWriter,
    full_table,
    load_all_sequences,
    load_files,
    write_sequences,
)
from training.recipe import load_recipe

SPEC = load_recipe("kilas").spec
EVENT = AnnotatedExpression(0.1, 0.2, 0.3, 0.4, "positive", "micro", 0.5, "12")


def stream(slots: int, clip: str = "a.mp4") -> FaceSequence:
    faces = np.random.default_rng(slots).integers(0, 255, (slots, 128, 128), np.uint8)
    return FaceSequence(clip, "ann", faces, np.arange(slots) / SPEC.rate_hz, (EVENT,))


def test_streams_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = [stream(3), stream(5, "b.mp4")]
    write_sequences(written, SPEC, tmp_path / "new" / "streams.npz")
    read = list(load_all_sequences([tmp_path / "new"], SPEC))
    assert [one.clip for one in read] == ["a.mp4", "b.mp4"]
    for one, other in zip(read, written, strict=True):
        assert (one.subject, one.events) == (other.subject, other.events)
        assert np.array_equal(one.faces, other.faces)
        assert np.array_equal(one.t_s, other.t_s)


def test_a_file_may_hold_no_stream(tmp_path: Path) -> None:
    write_sequences([], SPEC, tmp_path / "streams.npz")
    assert list(load_all_sequences([tmp_path], SPEC)) == []


def test_unfinished_files_are_left_out(tmp_path: Path) -> None:
    write_sequences([stream(3)], SPEC, tmp_path / "streams.npz")
    (tmp_path / ".drawn_0_00000.npz").write_bytes(b"PK half of it")
    assert len(list(load_all_sequences([tmp_path], SPEC))) == 1


def arrays(**changes: Any) -> dict[str, Any]:
    held = {
        "faces": np.zeros((3, 128, 128), np.uint8),
        "t_s": np.zeros(3),
        "stream": np.zeros(3, np.int32),
        "clip": np.array(["a.mp4"]),
        "subject": np.array(["ann"]),
        "table": np.array("[]"),
        "dataset": np.array("simulated"),
        "rate_hz": np.array(SPEC.rate_hz),
        "mask": np.array(SPEC.mask),
    }
    assert tuple(held) == STORED
    return held | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"faces": np.zeros((3, 64, 64), np.uint8)},
        {"faces": np.zeros((3, 128, 128), np.float32)},
        {"t_s": np.zeros(2)},
        {"stream": np.zeros((3, 1), np.int32)},
        {"subject": np.array(["ann", "ben"])},
        {"table": np.array("{")},
        {"table": np.array('[{"onset_s": "soon"}]')},
        {"rate_hz": np.array("fast")},
        {"clip": np.array([None], object)},
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez(tmp_path / "good.npz", **arrays())
    assert len(list(load_all_sequences([tmp_path / "good.npz"], SPEC))) == 1
    np.savez(tmp_path / "odd.npz", **arrays(**changes))
    with pytest.raises(KilasError, match=r"odd\.npz holds no face sequences"):
        list(load_all_sequences([tmp_path], SPEC))


@pytest.mark.parametrize("name", STORED)
def test_a_file_that_lacks_something_is_named(tmp_path: Path, name: str) -> None:
    held = arrays()
    del held[name]
    np.savez(tmp_path / "odd.npz", **held)
    with pytest.raises(KilasError, match=rf"odd\.npz holds no face sequences.*{name}"):
        list(load_all_sequences([tmp_path], SPEC))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut off"])
def test_junk_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk.npz").write_bytes(content)
    with pytest.raises(KilasError, match=r"junk\.npz holds no face sequences"):
        list(load_all_sequences([tmp_path], SPEC))


def test_a_lone_array_is_no_file_of_streams(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros(3))
    with pytest.raises(KilasError, match=r"faces\.npy holds no face sequences"):
        list(load_all_sequences([tmp_path / "faces.npy"], SPEC))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match=r"There is no .*gone\.npz"):
        list(load_all_sequences([tmp_path / "gone.npz"], SPEC))


def test_another_clock_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "slow.npz", **arrays(rate_hz=np.array(SPEC.rate_hz / 2)))
    with pytest.raises(KilasError, match=r"slow\.npz was prepared for"):
        list(load_all_sequences([tmp_path], SPEC))


def test_a_writer_that_is_interrupted_goes_on_with_what_is_whole(tmp_path: Path) -> None:
    out, made_from = tmp_path / "data.npz", {"dataset": "casme2"}
    writer = SequenceWriter(out, made_from)
    writer.add("ann", "a", [stream(3), stream(4)])
    writer.add("ann", "b", [], "no face was found")
    # Killed in the middle of a third clip: faces that no line of the journal knows of, half a line.
    writer._spool.write(b"half a face")
    writer._journal.write('{"subject": "ann", "cl')
    writer.close()
    with SequenceWriter(out, made_from) as gone_on:
        assert list(gone_on.written) == [("ann", "a"), ("ann", "b")]
        assert gone_on.written["ann", "b"].note == "no face was found"
        assert gone_on.written["ann", "a"].slots == 7
        gone_on.add("ben", "c", [stream(5, "c")])
        table = full_table(pd.DataFrame([{"subject": "ben", "clip": "c"}]))
        gone_on.finish(table, "folder", SPEC.rate_hz, SPEC.mask)
    (file,) = load_files([out], SPEC)
    assert [len(one.t_s) for one in file.streams] == [3, 4, 5]
    assert np.array_equal(file.streams[1].faces, stream(4).faces)
    assert np.array_equal(file.streams[2].faces, stream(5).faces)
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


@pytest.mark.parametrize("change", ["settings", "faces"])
def test_a_writer_starts_over_where_what_is_there_does_not_fit(tmp_path: Path, change: str) -> None:
    out = tmp_path / "data.npz"
    with SequenceWriter(out, {"mask": "none"}) as writer:
        writer.add("ann", "a", [stream(3)])
    if change == "faces":  # as after a power cut
        (tmp_path / ".data.npz.faces").write_bytes(b"")
    with SequenceWriter(out, {"mask": "eyes" if change == "settings" else "none"}) as again:
        assert again.written == {}


def test_faces_stay_on_disk_until_they_are_looked_at(tmp_path: Path) -> None:
    write_sequences([stream(3)], SPEC, tmp_path / "streams.npz")
    ((one,),) = (file.streams for file in load_files([tmp_path], SPEC))
    assert isinstance(one.faces.base, np.memmap)


def test_emotions_become_classes_and_those_without_one_nothing(tmp_path: Path) -> None:
    table = [
        {"subject": "ann", "clip": "a.mp4", "emotion": emotion, "onset_s": at_s, "apex_s": at_s}
        for at_s, emotion in enumerate(("repression", "happiness", "others"))
    ]
    with SequenceWriter(tmp_path / "data.npz", {}) as writer:
        writer.add("ann", "a.mp4", [stream(3)])
        whole = full_table(pd.DataFrame(table))
        writer.finish(whole, "casme2", SPEC.rate_hz, SPEC.mask)
    (one,) = load_all_sequences([tmp_path], SPEC, "three")
    assert [event.label for event in one.events] == ["negative", "positive", ""]
    (one,) = load_all_sequences([tmp_path], SPEC, "full")
    assert [event.label for event in one.events] == ["repression", "happiness", "others"]


def test_what_a_dataset_does_not_say_of_an_expression_is_assumed() -> None:
    table = full_table(pd.DataFrame([{"subject": "01", "clip": "a", "apex_s": 0.5}]))
    (row,) = json.loads(table.to_json(orient="records"))
    assert (row["subject"], row["release_s"], row["intensity"]) == ("01", 0.5, 1.0)
    assert (row["apex_estimated"], row["is_copy"]) == (False, False)


def test_streams_of_simulated_people_are_begun_anew_after_an_interruption(tmp_path: Path) -> None:
    def interrupted() -> Iterator[FaceSequence]:
        yield stream(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sequences(interrupted(), SPEC, tmp_path / "streams.npz")
    write_sequences([stream(3), stream(5, "b.mp4")], SPEC, tmp_path / "streams.npz")
    assert [one.clip for one in load_all_sequences([tmp_path], SPEC)] == ["a.mp4", "b.mp4"]
