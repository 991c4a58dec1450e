"""The report of `inspect` about prepared data: counts, and a sheet of samples."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from realtime.errors import KilasError
from training.preparation.sequence_file import FaceSequence, SequenceWriter, full_table
from training.recipe import load_recipe
from training.reports.contact_sheet import (
    CAPTIONS_PX,
    GAP_PX,
    HEADER_PX,
    MARGIN_PX,
    PER_CLASS,
    SLOTS,
    STRIP_PX,
    TEXT_PX,
    TILE_PX,
)
from training.reports.inspection import inspect

RECIPE = load_recipe("triplepath-ha3dnet")
SPEC = RECIPE.spec

EMOTIONS = {
    dataset: ("disgust", "disgust", "happiness", "surprise", other)
    for dataset, other in {"casme2": "others", "samm": "other"}.items()
}
"""Classes of a subject's clips: twice negative, positive, surprise, and of no class."""

APEX = 20
"""Slot of each clip's apex."""


def level(subject: int, clip: int) -> int:
    """Gray level of a clip at its apex, by which it is known on a sheet."""
    return 30 + 20 * subject + 3 * clip


def write(path: Path, subjects: int, dataset: str = "casme2", name: str = "sub{:02d}") -> Path:
    """Clips of 40 slots that are white except at their apex. Only the first subject has the
    last of EMOTIONS, and its apex is estimated."""
    rows, emotions = [], EMOTIONS[dataset]
    with SequenceWriter(path, {}) as writer:
        for subject in range(1, subjects + 1):
            for clip, emotion in enumerate(emotions if subject == 1 else emotions[:-1]):
                faces = np.full((40, 128, 128), 255, np.uint8)
                faces[APEX] = level(subject, clip)
                person, clip_name = name.format(subject), f"{subject}/EP{clip}"
                times_s = np.arange(40) / SPEC.rate_hz
                writer.add(person, clip_name, [FaceSequence(clip_name, person, faces, times_s)])
                rows.append(
                    {
                        **{"dataset": dataset, "subject": person, "clip": clip_name},
                        **{"kind": "micro", "emotion": emotion, "apex_s": APEX / SPEC.rate_hz},
                        "apex_estimated": (subject, clip) == (1, 4),
                    }
                )
        writer.finish(full_table(pd.DataFrame(rows)), dataset, SPEC.rate_hz, SPEC.mask)
    return path


def test_counts_are_told(tmp_path: Path) -> None:
    told = inspect([write(tmp_path / "casme2.npz", 3)], RECIPE, None).splitlines()
    assert told[0] == (
        f"{tmp_path / 'casme2.npz'}: casme2, 13 micro; 520 slots of 0.033 s in 13 streams, "
        "mask eyes+mouth; 1 apexes are estimated."
    )
    assert told[1].startswith("12 samples;")
    counts = [line.split() for line in told if line.startswith("casme2 ") or line[:2] == "  "]
    numbers = {words[-5]: [int(word) for word in words[-4:]] for words in counts if len(words) > 4}
    assert numbers == {
        "disgust": [6, 0, 0, 6],  # negative, positive, surprise, all
        "happiness": [0, 3, 0, 3],
        "surprise": [0, 0, 3, 3],
    }
    assert "3 subjects with 4 to 4 samples each, 4 at the median." in told
    assert told[-1] == "Left out: 1, others is none of the classes 'three'."
    assert [path.name for path in tmp_path.iterdir()] == ["casme2.npz"]


def test_classes_are_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("triplepath-ha3dnet", {"classes": "full"})
    told = inspect([write(tmp_path / "casme2.npz", 3)], recipe, None)
    assert "13 samples;" in told
    assert "3 subjects with 4 to 5 samples each, 4 at the median." in told
    assert "Left out" not in told
    (header,) = (line for line in told.splitlines() if line.startswith("label"))
    assert set(header.split()[1:]) == {"disgust", "happiness", "others", "surprise", "All"}


def test_people_of_several_datasets_differ_and_some_are_unnamed(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.npz", 2), write(tmp_path / "b.npz", 2, "samm")]
    assert "4 subjects with" in inspect(files, RECIPE, None)
    stills = write(tmp_path / "c.npz", 1, "samm", name="")
    told = inspect([*files[:1], stills], RECIPE, None)
    assert "4 samples do not name their subject." in told
    assert "2 subjects with" in told
    assert "subjects with" not in inspect([stills], RECIPE, None)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_sheet_shows_samples_of_each_class(tmp_path: Path, suffix: str) -> None:
    sheet = tmp_path / "new" / f"sheet{suffix}"
    told = inspect([write(tmp_path / "casme2.npz", 4)], RECIPE, sheet)
    assert told.endswith(f"The contact sheet is {sheet}.")
    picture = cv2.imread(str(sheet))
    samples = PER_CLASS + 4 + 4  # eight are negative, and four each positive and a surprise
    heights = (
        *(2 * MARGIN_PX, 2 * (TEXT_PX + 5), 2 * (TEXT_PX - 1)),
        *(3 * (HEADER_PX + MARGIN_PX // 2), samples * (STRIP_PX + GAP_PX)),
    )
    row_px = SLOTS * (TILE_PX + GAP_PX) + 2 * GAP_PX + TILE_PX
    assert picture.shape == (sum(heights), CAPTIONS_PX + row_px + 2 * MARGIN_PX, 3)
    shown = {(subject, clip) for subject in range(1, 5) for clip in range(4)}
    found = {one for one in shown if has_tile(picture, level(*one))}
    assert len(found) == samples
    assert {one for one in shown if one[1] > 1} <= found
    assert {subject for subject, clip in found if clip < 2} == {1, 2, 3, 4}


def has_tile(picture: np.ndarray, gray: int) -> bool:
    """Tell whether there is a patch of this gray."""
    is_level = (np.abs(picture.astype(int) - gray) < 2).all(axis=2).astype(np.uint8)
    return bool(cv2.erode(is_level, np.ones((TILE_PX // 2, TILE_PX // 2))).any())


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [("kilas", {}), ("triplepath-ha3dnet", {"model.signal": "motion", "model.mask": "none"})],
)
def test_recipes_whose_samples_are_no_gray_faces_are_refused(
    tmp_path: Path, recipe: str, changes: dict[str, str]
) -> None:
    fitting = {"model.normalisation": "clip to 3 px, divide by 0.3"} if changes else {}
    file = write(tmp_path / "casme2.npz", 1)
    with pytest.raises(KilasError, match="for example triplepath-ha3dnet"):
        inspect([file], load_recipe(recipe, changes | fitting), tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_data_for_another_clock_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "casme2.npz", 1)
    recipe = load_recipe("triplepath-ha3dnet", {"model.rate_hz": 25.0})
    with pytest.raises(KilasError, match=r"casme2\.npz was prepared for 30 slots"):
        inspect([file], recipe, None)


@pytest.mark.parametrize("name", ["sheet.docx", "sheet", "casme2.npz/sheet.png", "folder.png"])
def test_a_sheet_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "casme2.npz", 1)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(KilasError, match=rf"{name} cannot be written; give a \.png"):
        inspect([file], RECIPE, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["casme2.npz", "folder.png"]
