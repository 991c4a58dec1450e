"""Rules for every dataset: one canonical table, and no row that is lost without a word."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.errors import KilasError
from support.dataset_layouts import (
    Cells,
    write_casme2,
    write_casme3,
    write_casme_squared,
    write_fer2013,
    write_folder,
    write_samm,
    write_samm_lv,
    write_smic,
)
from training.datasets import DATASETS, read_dataset
from training.datasets.classes import EMOTIONS, class_names, labels_of
from training.datasets.records import COLUMNS, FrameFiles

WRITERS: dict[str, Callable[..., None]] = {
    "casme2": write_casme2,
    "smic": write_smic,
    "samm": write_samm,
    "samm-lv": write_samm_lv,
    "casme-squared": write_casme_squared,
    "casme3": write_casme3,
    "fer2013": write_fer2013,
    "folder": write_folder,
}


@dataclass(frozen=True)
class Layout:
    """Names of the columns of a spreadsheet, the file and its row of the first expression."""

    onset: str
    apex: str
    offset: str
    emotion: str
    clip: str
    file: str
    first_row: int


LAYOUTS = {
    "casme2": Layout(
        *("OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion", "Filename"),
        *("CASME2-coding-20140508.xlsx", 2),
    ),
    "smic": Layout(
        *("OnsetF", "", "OffsetF", "Emotion", "Filename", "SMIC-HS-E_annotation.xlsx", 2),
    ),
    "samm": Layout(
        *("Onset Frame", "Apex Frame", "Offset Frame", "Estimated Emotion", "Filename"),
        *("SAMM_Micro_FACS_Codes_v2.xlsx", 15),
    ),
    "samm-lv": Layout(
        *("Onset", "Apex", "Offset", "", "Filename", "SAMM_LongVideos_V1_Release.xlsx", 11),
    ),
    "casme-squared": Layout(
        *("onset", "apex", "offset", "emotion", "video", "CAS(ME)^2code_final.xlsx", 1),
    ),
    "casme3": Layout(
        *("Onset", "Apex", "Offset", "emotion", "Filename"),
        *("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", 2),
    ),
}
SPREADSHEETS = list(LAYOUTS)
LONG = ("samm-lv", "casme-squared", "casme3")
"""Those whose clips are whole recordings."""

MISSING_CLIPS = {
    "casme2": "EP99_01f",
    "smic": "s1_ne_99",
    "samm": "006_9_9",
    "samm-lv": "006_9_9",
    "casme-squared": "anger2_1",
    "casme3": "z",
}


def add(cell: Any, more: int) -> Any:
    """The number of a cell changed, as text where it was text."""
    return str(int(cell) + more) if isinstance(cell, str) else cell + more


def skip_of(name: str, root: Path, edit: Callable[[list[Cells]], object]) -> tuple[str, str]:
    """Where and why the only row that cannot be used is left out; the others are there."""
    WRITERS[name](root, edit=edit)
    found = read_dataset(name, root)
    (skip,) = found.skipped
    assert len(found.table) >= 2
    return skip.where, skip.why


@pytest.fixture(params=sorted(WRITERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SPREADSHEETS)
def of_frames(request: pytest.FixtureRequest) -> str:
    """A dataset of frames with a spreadsheet."""
    return str(request.param)


def test_all_have_writers() -> None:
    assert set(WRITERS) == set(DATASETS)


def test_the_table_is_canonical(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    found = read_dataset(name, tmp_path)
    table = found.table
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    assert found.dataset == name
    assert found.skipped == ()
    assert set(table["dataset"]) == {name}
    assert set(table["kind"]) <= {"micro", "macro"}
    clips = {(one.subject, one.clip): one for one in found.clips}
    assert len(clips) == len(found.clips)
    for row in table.to_dict("records"):
        clip = clips[row["subject"], row["clip"]]
        assert row["frames"] is clip.frames
        assert row["fps"] == clip.fps
        assert row["onset_s"] <= row["apex_s"] <= row["offset_s"]
    known = EMOTIONS[name]
    words = {str(word).partition("/")[0] for word in table["emotion"].dropna()}
    assert words <= set(known) if known else words
    assert (set(table["subject"]) == {""}) == (name == "fer2013")
    assert table["label"].equals(labels_of(table["emotion"], name, "three"))
    # Of SAMM-LV alone nobody knows the emotions.
    assert table["label"].notna().any() == (name != "samm-lv")
    full = read_dataset(name, tmp_path, "full").table["label"]
    assert set(full.dropna()) <= set(class_names(name, "full", table["emotion"]))
    assert full.notna().equals(table["emotion"].notna())


def test_seconds_count_from_the_first_frame(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path)
    found = read_dataset(of_frames, tmp_path)
    for row in found.table.to_dict("records"):
        assert isinstance(row["frames"], FrameFiles)
        first = row["frames"].numbers[0]
        for moment in ("onset", "apex", "offset"):
            seconds = (row[moment] - first) / row["fps"]
            assert row[f"{moment}_s"] == pytest.approx(seconds)
        assert row["onset_s"] > 0
    assert all(path.is_file() for clip in found.clips for path in clip.frames.paths)


def test_short_clips_have_an_expression_and_long_ones_may_have_none(
    of_frames: str, tmp_path: Path
) -> None:
    WRITERS[of_frames](tmp_path, edit=lambda rows: rows.pop())
    found = read_dataset(of_frames, tmp_path)
    used = set(found.table["clip"])
    unused = [one for one in found.clips if one.clip not in used]
    assert bool(unused) == (of_frames in LONG)
    assert all(one.is_long == (of_frames in LONG) for one in found.clips)


def test_a_dataset_that_is_none_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match=r"no dataset casme4; there are casme2, smic, samm"):
        read_dataset("casme4", tmp_path)


def test_a_root_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(KilasError, match=r"nowhere"):
        read_dataset(name, tmp_path / "nowhere")


def test_a_wrong_root_is_refused_with_what_should_be_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    tables = {"fer2013": "fer2013.csv", "folder": "clips.csv"}
    expected = LAYOUTS[name].file if name in LAYOUTS else tables[name]
    with pytest.raises(KilasError, match=f"{re.escape(expected)}.*; (give|check|make)"):
        read_dataset(name, tmp_path)


def test_a_spreadsheet_without_frames_is_refused(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path)
    for folder in [one for one in tmp_path.iterdir() if one.is_dir()]:
        shutil.rmtree(folder)
    with pytest.raises(KilasError, match=r"no folder of frames like .*; give the folder"):
        read_dataset(of_frames, tmp_path)


def test_a_clip_without_frames_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout, missing = LAYOUTS[of_frames], MISSING_CLIPS[of_frames]
    where, why = skip_of(of_frames, tmp_path, lambda rows: rows[1].update({layout.clip: missing}))
    assert where == f"{layout.file}, row {layout.first_row + 1}"
    assert "there is no folder of frames of " in why
    assert "add the folder" in why


@pytest.mark.parametrize("of_frames", [one for one in SPREADSHEETS if LAYOUTS[one].apex])
@pytest.mark.parametrize("change", ["apex last", "apex first"])
def test_an_apex_outside_of_its_expression_counts_as_not_annotated(
    of_frames: str, change: str, tmp_path: Path
) -> None:
    layout = LAYOUTS[of_frames]

    def edit(rows: list[Cells]) -> None:
        other, more = {"apex last": (layout.offset, 1), "apex first": (layout.onset, -1)}[change]
        rows[0][layout.apex] = add(rows[0][other], more)

    WRITERS[of_frames](tmp_path, edit=edit)
    found = read_dataset(of_frames, tmp_path)
    assert found.skipped == ()
    first = found.table.iloc[0]
    assert first["apex_estimated"]
    assert first["apex"] == (first["onset"] + first["offset"]) // 2


def test_an_offset_before_the_onset_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]

    def edit(rows: list[Cells]) -> None:
        row = rows[0]
        row[layout.offset] = add(row[layout.onset], -1)

    where, why = skip_of(of_frames, tmp_path, edit)
    assert where == f"{layout.file}, row {layout.first_row}"
    assert "comes after the offset" in why


def test_an_offset_past_the_last_frame_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]

    def edit(rows: list[Cells]) -> None:
        rows[0][layout.offset] = add(rows[0][layout.offset], 5000)

    where, why = skip_of(of_frames, tmp_path, edit)
    assert where == f"{layout.file}, row {layout.first_row}"
    assert re.match(r"the offset \d+ lies outside of the frames \d+ to \d+ of /", why)
    assert "correct the number" in why


def test_an_onset_before_the_first_frame_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]
    where, why = skip_of(of_frames, tmp_path, lambda rows: rows[0].update({layout.onset: -5}))
    assert where == f"{layout.file}, row {layout.first_row}"
    assert "the onset -5 lies outside of the frames" in why


@pytest.mark.parametrize("text", ["soon", "12 13", "1e3", "0x1f"])
def test_text_in_a_number_cell_is_skipped(of_frames: str, text: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]
    where, why = skip_of(of_frames, tmp_path, lambda rows: rows[0].update({layout.onset: text}))
    assert where == f"{layout.file}, row {layout.first_row}"
    assert f"is '{text}', which is no number; correct the cell" in why


def test_an_empty_number_cell_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]
    _, why = skip_of(of_frames, tmp_path, lambda rows: rows[0].update({layout.offset: None}))
    assert "empty; fill it in" in why or "is '', which is no number" in why


@pytest.mark.parametrize("of_frames", [one for one in SPREADSHEETS if LAYOUTS[one].emotion])
def test_an_emotion_that_the_dataset_does_not_know_is_skipped(
    of_frames: str, tmp_path: Path
) -> None:
    layout = LAYOUTS[of_frames]
    where, why = skip_of(
        of_frames, tmp_path, lambda rows: rows[1].update({layout.emotion: "hapiness"})
    )
    assert where == f"{layout.file}, row {layout.first_row + 1}"
    assert "the emotion 'hapiness" in why
    assert f"is none of {', '.join(EMOTIONS[of_frames])}; correct the word" in why


def test_a_second_row_for_the_same_expression_is_skipped(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]
    where, why = skip_of(of_frames, tmp_path, lambda rows: rows.insert(1, dict(rows[0])))
    assert where == f"{layout.file}, row {layout.first_row + 1}"
    assert re.match(r"there are two rows for one m[ai]cro-expression", why)
    assert f"is what {layout.file}, row {layout.first_row} has; keep one of them" in why


def test_an_overlapping_row_is_another_expression(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]

    def edit(rows: list[Cells]) -> None:
        rows.insert(1, dict(rows[0]))
        rows[1][layout.offset] = add(rows[0][layout.offset], -1)

    WRITERS[of_frames](tmp_path, edit=edit)
    found = read_dataset(of_frames, tmp_path)
    assert found.skipped == ()
    first, second = found.table.iloc[:2].to_dict("records")
    assert (second["onset"], second["offset"]) == (first["onset"], first["offset"] - 1)


def test_a_gap_is_noted_and_kept_in_the_numbers(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path)
    whole = read_dataset(of_frames, tmp_path)
    clip = whole.clips[0]
    for place in (3, 4, 6):
        clip.frames.paths[place].unlink()
    found = read_dataset(of_frames, tmp_path)
    assert len(found.table) == len(whole.table)
    kept = found.clips[0].frames
    assert kept.numbers == tuple(np.delete(clip.frames.numbers, [3, 4, 6]))
    first, second, third = (clip.frames.numbers[place] for place in (3, 4, 6))
    (note,) = set(found.notes) - set(whole.notes)
    expected = f"{clip.clip} lacks 3 of its frames: {first} to {second}, {third}; they count"
    assert note.startswith(expected)
    assert found.table["onset_s"].tolist() == whole.table["onset_s"].tolist()


def test_no_row_left_is_refused_with_the_first_reason(of_frames: str, tmp_path: Path) -> None:
    layout = LAYOUTS[of_frames]
    WRITERS[of_frames](
        tmp_path, edit=lambda rows: [row.update({layout.onset: "soon"}) for row in rows]
    )
    expected = rf"No row of .* is left, \d+ cannot be used: .*, row {layout.first_row}: .*'soon'"
    with pytest.raises(KilasError, match=expected):
        read_dataset(of_frames, tmp_path)


def test_an_empty_table_is_refused(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path, edit=lambda rows: rows.clear())
    with pytest.raises(KilasError, match=r"No row of .* is left|must have three sheets"):
        read_dataset(of_frames, tmp_path)


def test_names_of_files_and_folders_may_differ_in_case(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path / "as published")
    published = read_dataset(of_frames, tmp_path / "as published")
    shutil.copytree(tmp_path / "as published", tmp_path / "shouted" / "inside")
    everything = sorted((tmp_path / "shouted").rglob("*"), key=lambda one: -len(one.parts))
    for path in everything:
        path.rename(path.with_name(path.name.upper()))
    found = read_dataset(of_frames, tmp_path / "shouted")
    assert found.skipped == ()
    assert len(found.clips) == len(published.clips)
    columns = ["subject", "onset", "apex", "offset"]
    assert found.table[columns].equals(published.table[columns])


def test_hidden_and_temporary_files_are_left_alone(of_frames: str, tmp_path: Path) -> None:
    WRITERS[of_frames](tmp_path)
    published = read_dataset(of_frames, tmp_path)
    (tmp_path / f"~${LAYOUTS[of_frames].file}").write_bytes(b"lock")
    (tmp_path / f"._{LAYOUTS[of_frames].file}").write_bytes(b"fork")
    folder = published.clips[0].frames.paths[0].parent
    (folder / f"._{published.clips[0].frames.paths[0].name}").write_bytes(b"fork")
    (folder / "Thumbs.db").write_bytes(b"windows")
    found = read_dataset(of_frames, tmp_path)
    assert found.clips == published.clips
    assert found.notes == published.notes
