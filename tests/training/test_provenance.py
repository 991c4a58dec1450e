"""Folders that hold finished work are only added to by what would make the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from realtime.errors import KilasError
from realtime.spec import ModelSpec
from training import reproduce
from training.provenance import MADE_FROM, ensure_same_inputs
from training.recipe import SimulatedSet, load_recipe


def test_the_same_settings_are_welcome_again(tmp_path: Path) -> None:
    settings = {"seed": 1, "seconds": 6.0, "labels": ("none", "positive")}
    ensure_same_inputs(tmp_path / "new" / "folder", settings)
    ensure_same_inputs(tmp_path / "new" / "folder", settings | {"seconds": 6})
    (kept,) = (tmp_path / "new" / "folder").iterdir()
    assert kept.name == MADE_FROM


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"seed": 2}, r"\(seed,"), ({}, r"\(seed,"), ({"seed": 1, "clips": 3}, r"\(clips,")],
)
def test_other_settings_are_refused(tmp_path: Path, settings: dict[str, int], said: str) -> None:
    ensure_same_inputs(tmp_path, {"seed": 1})
    with pytest.raises(KilasError, match=f"{said}.*give a new folder"):
        ensure_same_inputs(tmp_path, settings)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MADE_FROM).write_text(text)
    with pytest.raises(KilasError, match="does not list the settings"):
        ensure_same_inputs(tmp_path, {"seed": 1})


def test_a_folder_of_another_recipe_is_refused_before_any_work(
    face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WorkBegins(Exception):
        pass

    def begin(*_: object, **__: object) -> None:
        raise WorkBegins

    monkeypatch.setattr(reproduce, "simulate_sequences", begin)
    recipe = load_recipe("kilas")
    for _ in range(2):
        with pytest.raises(WorkBegins):
            reproduce.reproduce(recipe, face_model, tmp_path, 1)
    training = dataclasses.replace(recipe.training, epochs=recipe.training.epochs + 1)
    with pytest.raises(KilasError, match=r"other settings \(training,"):
        reproduce.reproduce(dataclasses.replace(recipe, training=training), face_model, tmp_path, 1)


def test_a_recipe_is_made_from_the_sets_that_it_names(
    face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TrainingBegins(Exception):
        pass

    made = []

    def make(out: Path, model: Path, spec: ModelSpec, clips: int, **options: object) -> None:
        del options["jobs"]
        made.append((out.name, SimulatedSet(clips=clips, **options)))

    def begin(prepared: list[Path], *_: object) -> None:
        assert prepared == [tmp_path / "train"]
        raise TrainingBegins

    monkeypatch.setattr(reproduce, "simulate_sequences", make)
    monkeypatch.setattr(reproduce, "train", begin)
    recipe = load_recipe("kilas")
    with pytest.raises(TrainingBegins):
        reproduce.reproduce(recipe, face_model, tmp_path, 1)
    assert recipe.data is not None
    assert made == [
        *(("train", one) for one in recipe.data.train),
        *(("spotting", one) for one in recipe.data.spotting),
    ]
