"""Every dataset and every network: from the published layout to a model that watches a video."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import typer
from typer.testing import CliRunner

import stream
from realtime.analysis import analyze
from realtime.errors import KilasError
from realtime.inference.model import Model
from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile
from support.dataset_layouts import (
    Picture,
    Shot,
    write_casme2,
    write_casme3,
    write_casme_squared,
    write_fer2013,
    write_folder,
    write_samm,
    write_samm_lv,
    write_smic,
)
from support.stand_in_trackers import RememberedFaces
from training.__main__ import app
from training.datasets import DATASETS
from training.datasets.classes import class_names
from training.experiments.grid import run_grid, single
from training.models.architectures import NETWORKS
from training.models.export import export_run
from training.models.train import train
from training.preparation.prepare import prepare
from training.recipe import load_recipe

Image = npt.NDArray[np.uint8]

FACE_PX = 160

pytestmark = pytest.mark.usefixtures("without_graphs")


@pytest.fixture(scope="module")
def picture(astronaut_bgr: Image) -> Picture:
    """A face that moves a little where an expression is shown; people differ in their light."""
    face = cv2.resize(astronaut_bgr[20:300, 90:370], (FACE_PX, FACE_PX))

    def draw(shot: Shot) -> Image:
        moved = np.roll(face, round(3 * shot.strength), axis=0)
        return np.clip(moved.astype(int) - 8 * (shot.subject % 5), 0, 255).astype(np.uint8)

    return draw


def write_stills(root: Path, picture: Callable[[Shot], Image]) -> None:
    def still(number: int) -> Image:
        small = cv2.resize(picture(Shot(number, 1, "", 0, 0.0)), (48, 48))
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)

    write_fer2013(root, stills=42, picture=still)


def write_long_samm(root: Path, picture: Picture) -> None:
    write_samm_lv(root, subjects=3, clips=8, frames=80, picture=picture)
    write_samm(root, subjects=3, clips=8, with_frames=False)


@dataclass(frozen=True)
class Case:
    """A dataset, small, and the recipe that it is trained with."""

    write: Callable[[Path, Any], None]
    recipe: str
    protocol: str = "loso"
    changes: dict[str, Any] = field(default_factory=dict)
    folds: int = 3

    @property
    def settings(self) -> dict[str, Any]:
        """Changes to the recipe that make its network small and its training short."""
        averaged = {} if self.recipe == "mer-3dcnn" else {"network.input_pool": 4}
        return SMALL | averaged | self.changes


CASES = {
    "casme2": Case(
        lambda root, draw: write_casme2(root, subjects=2, clips=7, frames=24, picture=draw),
        "triplepath-ha3dnet",
        "split-80-20",
        changes={"classes": "full", "samples.balance": "weights"},
        folds=1,
    ),
    "smic": Case(
        lambda root, draw: write_smic(root, subjects=2, frames=24, picture=draw),
        "dp-3dnet",
        folds=2,
    ),
    "samm": Case(
        lambda root, draw: write_samm(root, subjects=3, clips=8, frames=24, picture=draw),
        "ha-3dnet",
        "split-80-10-10",
        changes={"samples.augment": False},
        folds=1,
    ),
    "samm-lv": Case(write_long_samm, "se-3dnet", "split-70-15-15", folds=1),
    "casme-squared": Case(
        lambda root, draw: write_casme_squared(root, subjects=4, clips=6, picture=draw),
        "ha-3dsenet",
        "split-80-20",
        folds=1,
    ),
    "casme3": Case(
        lambda root, draw: write_casme3(root, subjects=3, clips=7, picture=draw),
        "mer-3dcnn",
        "split-80-10-10",
        folds=1,
    ),
    "folder": Case(
        lambda root, draw: write_folder(root, subjects=3, clips=3, picture=draw),
        "triplepath-ha3dnet",
        "split-80-10-10",
        # A recipe of one's own: motion, and subjects that choose the epoch.
        changes={
            **{"model.signal": "motion", "model.mask": "none"},
            **{"model.normalisation": "clip to 3 px, divide by 0.3"},
            **{"training.validation_share": 0.4, "training.epoch": "best"},
        },
        folds=1,
    ),
    "fer2013": Case(write_stills, "dp-3dnet", "official", {"samples.balance": "smote"}, folds=1),
}

USUAL = ("casme2", "fer2013")
"""Cases of every run, a dataset of videos and one of stills; the others are `thorough`."""

SMALL = {
    **{"model.frames": 4, "model.lookahead": 2},
    **{"training.epochs": 1, "training.batch": 8, "network.dense": 4},
}


def test_every_dataset_and_every_network_has_its_case() -> None:
    assert set(CASES) == set(DATASETS)
    used = {load_recipe(case.recipe).spec.architecture for case in CASES.values()}
    assert used == set(NETWORKS)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one in USUAL else pytest.mark.thorough) for one in CASES],
)
def test_from_the_published_layout_to_a_model_that_watches_a_video(
    name: str, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.preparation.prepare.FaceTracker", RememberedFaces)
    case = CASES[name]
    recipe = load_recipe(case.recipe, case.settings)
    case.write(tmp_path / "root", picture)
    data = tmp_path / f"{name}.npz"

    summary = prepare(name, tmp_path / "root", data, recipe.spec, jobs=1)
    assert summary.streams >= 3
    assert not summary.skipped, summary.skipped[:3]

    report = run_grid(
        single(case.recipe, case.protocol, case.settings), [data], tmp_path / "loso", jobs=1
    )
    told = json.loads((report.parent / "report.json").read_text())
    (run,) = told["runs"]
    kept = sorted((tmp_path / "loso" / "folds").rglob("0*.json"))
    assert len(kept) == case.folds
    tested = [one for path in kept for one in json.loads(path.read_text())["predictions"]]
    assert run["samples"] == len(tested)
    if case.protocol != "official":
        assert len({one["sample"] for one in tested}) == len(tested)  # each once
    assert sum(map(sum, run["confusion"])) == len(tested)

    train([data], recipe, tmp_path / "run")
    model = tmp_path / "model.onnx"
    assert export_run(tmp_path / "run", recipe, model) < 1e-5
    spec = Model.load(model).spec
    assert spec.architecture == recipe.spec.architecture
    known = {*spec.provenance["subjects"], *spec.provenance["held_out_subjects"]}
    assert known == set(summary.table["subject"])
    assert spec.labels == class_names(name, recipe.classes, ("negative", "positive", "surprise"))

    session = analyze(first_seconds(tmp_path), model=model, out=tmp_path / "session", video=False)
    told_scores = session.scores[list(spec.labels)].dropna()
    assert len(told_scores) > 5
    assert np.allclose(told_scores.sum(axis=1), 1.0, atol=1e-3)
    assert session.events.empty  # none of these has the label `none`, so none can spot


def first_seconds(folder: Path) -> Path:
    """The demo clip's first second, so that watching takes no time."""
    path = folder / "short.avi"
    with VideoFile(DEMO_PATH) as source:
        frames = [frame.image_bgr for frame, _ in zip(source, range(30), strict=False)]
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()
    return path


@pytest.mark.thorough
@pytest.mark.timeout(400)
def test_the_commands_do_it_too(picture: Picture, tmp_path: Path) -> None:
    write_smic(tmp_path / "SMIC", subjects=3, frames=24, picture=picture)
    small = SMALL | {"network.input_pool": 4}
    settings = [f"--set={key}={value}" for key, value in small.items()]
    recipe = ("--recipe", "ha-3dnet", *settings)
    data, run, model = tmp_path / "smic.npz", tmp_path / "run", tmp_path / "ha.onnx"

    said = in_this_process("prepare", "smic", tmp_path / "SMIC", "--out", data, *recipe)
    assert "9 clips of 3 subjects" in said
    said = in_this_process("inspect", data, "--out", tmp_path / "sheet.png", *recipe)
    assert "9 samples" in said
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10
    in_this_process("train", data, "--out", run, *recipe)
    arguments = ("--protocol", "split-80-20", "--out", tmp_path / "report", "--jobs", "1", *recipe)
    said = in_this_process("evaluate", data, *arguments)
    assert "1 folds; 1 are to be trained" in said
    page = (tmp_path / "report" / "report.html").read_text()
    assert "HA-3DNet" in page
    in_this_process("export", run, "--out", model, *recipe)
    in_this_process(
        *("analyze", first_seconds(tmp_path), "--model", model, "--out", tmp_path),
        commands=stream.app,
    )
    assert (tmp_path / "short" / "scores.csv").exists()


def in_this_process(*arguments: str | Path, commands: typer.Typer = app) -> str:
    """Run a command without the seconds that TensorFlow takes to start in a process."""
    done = CliRunner().invoke(commands, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_nobody_is_known_in_stills_so_subjects_cannot_be_left_out(
    picture: Picture, tmp_path: Path
) -> None:
    write_stills(tmp_path / "root", picture)
    data = tmp_path / "fer2013.npz"
    prepare("fer2013", tmp_path / "root", data, load_recipe("mer-3dcnn").spec, jobs=1)
    with pytest.raises(KilasError, match="does not name the person"):
        run_grid(single("mer-3dcnn", "loso", {}), [data], tmp_path / "out", jobs=1)
