"""Grids: all runs of a recipe file, each fold once, on processes or on a cluster."""

from __future__ import annotations

import dataclasses
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from realtime.errors import KilasError
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.results import read_fold
from training.experiments import grid as grids
from training.experiments import recognition_folds
from training.experiments.folds import FoldTask
from training.experiments.grid import GRIDS, load_grid, run_grid, single
from training.experiments.spotting_folds import STATEMENT
from training.models.training_loop import FitResult
from training.preparation.sequence_file import FaceSequence, SequenceWriter, full_table
from training.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("without_graphs")

LABELS = ("negative", "positive", "surprise")
SMALL: dict[str, Any] = {
    **{"model.frames": 4, "model.lookahead": 2},
    **{"training.epochs": 1, "training.batch": 8, "network.dense": 4},
}
SMALLEST = SMALL | {"network.input_pool": 4}
SPOTTED = 3
"""People whose recordings are watched: one to train on, one for the thresholds, one to test."""


def write_data(
    path: Path, dataset: str = "smic", subjects: int = 4, mask: str = "eyes+mouth"
) -> Path:
    """People with an expression of each class, whose faces are noise."""
    random = np.random.default_rng(0)
    rows = []
    with SequenceWriter(path, {}) as writer:
        for subject in range(subjects):
            for number, emotion in enumerate(LABELS):
                faces = random.integers(0, 60, (12, 128, 128)) + 60 * number
                clip = {"subject": f"s{subject}", "clip": f"s{subject}_{emotion}"}
                slots = np.arange(12) / 30
                writer.add(
                    **clip,
                    streams=[
                        FaceSequence(clip["clip"], clip["subject"], faces.astype(np.uint8), slots)
                    ],
                )
                rows.append(
                    {
                        **clip,
                        "dataset": dataset,
                        "kind": "micro",
                        "emotion": emotion,
                        "onset_s": 0.1,
                        "apex_s": 0.2,
                        "offset_s": 0.3,
                    }
                )
        writer.finish(full_table(pd.DataFrame(rows)), dataset, 30.0, mask)
    return path


class Untrained:
    """Stands for a network: scores follow from the brightness of the first slot alone."""

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def __call__(self, signal: npt.NDArray[np.uint8], training: bool) -> npt.NDArray[np.float32]:
        assert not training
        brightness = signal.reshape(len(signal), -1)[:, :1000].mean(axis=1) / 255
        scores = np.linspace(1, 2, self._classes) ** brightness[:, None]
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds without their training, for tests of what is made of them."""

    def fit_nothing(*arguments: Any, **_: Any) -> tuple[Untrained, FitResult]:
        _, _, recipe, _ = arguments
        epochs = recipe.training.epochs
        history = pd.DataFrame({"epoch": range(epochs), "loss": 1.0, "accuracy": 0.5})
        return Untrained(len(recipe.spec.labels)), FitResult(history, epochs)

    monkeypatch.setattr(recognition_folds, "fit_samples", fit_nothing)


def folds_of(out: Path) -> list[Path]:
    return sorted((out / "folds").rglob("0*.json"))


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("triplepath-ha3dnet", 60 // 5),  # a dataset; the dissertation has five
        ("triplepath-ha3dnet-ablation", 5 * 3),
        ("dual-path", 64 // 4),
        ("mer-3dcnn", 4),
        ("networks", 9),
    ],
)
def test_a_grid_of_the_project_has_the_runs_of_its_document(name: str, runs: int) -> None:
    grid = load_grid(name, {})
    assert len(grid.settings) * len(grid.protocols) == runs
    for setting in grid.settings:
        recipe = load_recipe(setting.recipe, setting.changes)
        assert recipe.spec.architecture in {
            "TriplePath-HA3DNet",
            "DP-3DNet",
            "HA-3DNet",
            "SE-3DNet",
            "HA-3DSENet",
            "MER-3DCNN",
        }
        for key, value in setting.varied.items():
            table, _, name = key.partition(".")
            found = recipe.spec if table == "model" else getattr(recipe, table)
            assert getattr(found, name) == value
    assert {path.stem for path in GRIDS.glob("*.toml")} == {
        "triplepath-ha3dnet",
        "triplepath-ha3dnet-ablation",
        "dual-path",
        "mer-3dcnn",
        "networks",
    }


def test_only_some_runs_and_other_settings() -> None:
    grid = load_grid("mer-3dcnn", {"training.epochs": 3}, ["MER-SCB3DCNNST"])
    (setting,) = grid.settings
    recipe = load_recipe(setting.recipe, setting.changes)
    assert (recipe.samples.balance, recipe.training.epochs) == ("smote", 3)
    with pytest.raises(KilasError, match="no run MER; it has MER-3DCNNST, MER-DA"):
        load_grid("mer-3dcnn", {}, ["MER"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title = "x"', "protocols|runs"),
        ('title = "x"\nprotocols = ["loso"]\nruns = 3', "does not fit"),
        ('title = "x"\nprotocols = ["loso"]\nmagic = 1\n[[runs]]\nrecipe = "dp-3dnet"', "magic"),
        ("title =", "is no TOML file"),
        (
            'title = "x"\nprotocols = ["loso"]\n' + 2 * '[[runs]]\nrecipe = "dp-3dnet"\n',
            "two runs of one name",
        ),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(KilasError, match=said):
        load_grid(str(tmp_path / "grid.toml"), {})


def test_a_grid_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(KilasError, match="dual-path, mer-3dcnn, networks"):
        load_grid("gird", {})


def test_finished_folds_are_kept_and_not_run_again(
    untrained: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_data(tmp_path / "smic.npz"), tmp_path / "out"
    grid = single("dp-3dnet", "loso", SMALLEST)
    trained: list[str] = []
    run_fold = grids.run_fold

    def break_at_the_third(task: FoldTask) -> Any:
        if len(trained) == 2:
            raise KilasError("The power went away.")
        trained.append(task.fold.name)
        return run_fold(task)

    monkeypatch.setattr(grids, "run_fold", break_at_the_third)
    with pytest.raises(KilasError, match="power"):
        run_grid(grid, [data], out, jobs=1)
    first, second = folds_of(out)
    before = first.read_bytes(), second.read_bytes()

    monkeypatch.setattr(
        grids, "run_fold", lambda task: (trained.append(task.fold.name), run_fold(task))[1]
    )
    report = run_grid(grid, [data], out, jobs=1)
    assert trained == ["smic s0", "smic s1", "smic s2", "smic s3"]
    assert (first.read_bytes(), second.read_bytes()) == before
    run_grid(grid, [data], out, jobs=1)
    assert len(trained) == 4
    assert json.loads((report.parent / "report.json").read_text())["runs"][0]["samples"] == 12

    with pytest.raises(KilasError, match="made from other settings"):
        run_grid(single("dp-3dnet", "loso", SMALLEST | {"training.epochs": 2}), [data], out, jobs=1)
    other = write_data(tmp_path / "other" / "smic.npz", subjects=5)
    with pytest.raises(KilasError, match="made from other settings"):
        run_grid(grid, [other], out, jobs=1)


@pytest.mark.timeout(300)
def test_a_fold_tests_whom_it_was_not_trained_on_and_is_the_same_again(tmp_path: Path) -> None:
    data = write_data(tmp_path / "smic.npz")
    grid = single("dp-3dnet", "leave-subjects-out", SMALLEST)
    grid = dataclasses.replace(grid, folds=2)
    run_grid(grid, [data], tmp_path / "out", jobs=1)
    first, _ = kept = folds_of(tmp_path / "out")
    folds = [read_fold(path) for path in kept]
    assert [one.test.subjects for one in folds] == [2, 2]
    assert [one.train.samples for one in folds] == [6, 6]
    tested = [{p.subject for p in one.predictions} for one in folds]
    assert not tested[0] & tested[1]
    first.unlink()
    run_grid(grid, [data], tmp_path / "out", jobs=1)
    again = read_fold(first)
    assert again.predictions == folds[0].predictions
    assert again.history == folds[0].history


def test_data_that_were_prepared_in_another_way_are_refused_before_any_training(
    tmp_path: Path,
) -> None:
    bare = write_data(tmp_path / "bare.npz", mask="none")
    with pytest.raises(KilasError, match=r"needs smic prepared for 30 slots .* mask eyes\+mouth"):
        run_grid(single("dp-3dnet", "loso", SMALLEST), [bare], tmp_path / "out", jobs=1)


def test_each_setting_takes_the_data_that_were_prepared_for_it(
    untrained: None, tmp_path: Path
) -> None:
    masked, bare = write_data(tmp_path / "m.npz"), write_data(tmp_path / "b.npz", mask="none")
    grid = load_grid("triplepath-ha3dnet-ablation", SMALL, ["experiment 13", "experiment 14"])
    grid = dataclasses.replace(grid, protocols=("split-70-15-15",))
    run_grid(grid, [masked, bare], tmp_path / "out", jobs=1)
    told = [
        json.loads(path.read_text())["data"] for path in sorted(tmp_path.rglob("made_from.json"))
    ]
    assert [len(data) for data in told] == [1, 1]
    assert told[0] != told[1]


def test_the_composite_wants_its_three_datasets(tmp_path: Path) -> None:
    data = write_data(tmp_path / "smic.npz")
    with pytest.raises(KilasError, match="needs samples of casme2, samm, smic"):
        run_grid(single("dp-3dnet", "megc2019", SMALL), [data], tmp_path / "out", jobs=1)


def test_the_composite_takes_its_three_datasets_together(untrained: None, tmp_path: Path) -> None:
    smic = write_data(tmp_path / "smic.npz", subjects=2)
    files = [smic]
    for dataset, emotions in (
        ("casme2", ("disgust", "happiness", "surprise")),
        ("samm", ("anger", "happiness", "surprise")),
    ):
        with np.load(smic) as held:
            arrays = dict(held)
        table = str(arrays["table"]).replace('"smic"', f'"{dataset}"')
        for label, emotion in zip(LABELS, emotions, strict=True):
            table = table.replace(f'"emotion": "{label}"', f'"emotion": "{emotion}"')
        arrays |= {"table": np.array(table), "dataset": np.array(dataset)}
        np.savez(tmp_path / f"{dataset}.npz", **arrays)
        files.append(tmp_path / f"{dataset}.npz")
    report = run_grid(single("dp-3dnet", "megc2019", SMALL), files, tmp_path / "out", jobs=1)
    (run,) = json.loads((report.parent / "report.json").read_text())["runs"]
    assert (run["dataset"], run["samples"]) == ("composite", 18)
    assert len(folds_of(tmp_path / "out")) == 6  # s0 of one dataset is not s0 of another
    assert "6 of 164" in report.read_text()


@pytest.mark.timeout(300)
def test_a_recipe_that_spots_is_measured_on_whole_recordings(tmp_path: Path) -> None:
    small = {
        **{"training.epochs": 1, "training.batch": 8, "windows.per_epoch": 16},
        **{"network.dense": 4, "network.input_pool": 4, "model.frames": 10, "model.lookahead": 4},
    }
    random = np.random.default_rng(0)
    rows = []
    data = tmp_path / "long.npz"
    with SequenceWriter(data, {}) as writer:
        for subject in range(SPOTTED):
            clip = {"subject": f"s{subject}", "clip": f"s{subject}_1"}
            faces = random.integers(100, 120, (240, 128, 128)).astype(np.uint8)
            times = np.arange(240) / 30
            writer.add(**clip, streams=[FaceSequence(clip["clip"], clip["subject"], faces, times)])
            # Of the face of the second recording nothing is seen.
            unseen = clip | {"clip": f"s{subject}_2"}
            shown = [(clip, "micro", emotion) for emotion in (*LABELS, "others")]
            for number, (clip, kind, emotion) in enumerate(
                [*shown, (unseen, "micro", "surprise"), (unseen, "macro", "negative")]
            ):
                at_s = 1.0 + 1.5 * number
                rows.append(
                    {
                        **clip,
                        "dataset": "casme-squared",
                        "kind": kind,
                        "emotion": emotion,
                        "onset_s": at_s,
                        "apex_s": at_s + 0.2,
                        "offset_s": at_s + 0.4,
                    }
                )
        writer.finish(full_table(pd.DataFrame(rows)), "casme-squared", 30.0, "none")
    report = run_grid(single("kilas", "loso", small), [data], tmp_path / "out", jobs=1)
    folds = [read_fold(path) for path in folds_of(tmp_path / "out")]
    assert len(folds) == SPOTTED
    for fold in folds:
        assert fold.train.subjects + fold.validation.subjects + fold.test.subjects == SPOTTED
        assert fold.validation.subjects >= 1  # the thresholds were chosen on them
        watched, unseen = fold.watched
        assert fold.fold == f"casme-squared {watched.subject}"
        assert [label for _, _, label in watched.truths] == list(
            LABELS
        )  # not the one without class
        assert watched.seconds == pytest.approx(8.0)
        assert (unseen.clip, unseen.seconds) == (f"{watched.subject}_2", 0.0)
        assert [label for _, _, label in unseen.truths] == ["surprise"]
        assert unseen.events == ()
        assert fold.test.samples == 2
        assert fold.test.classes == {"negative": 1, "positive": 1, "surprise": 2}
    told = json.loads((report.parent / "report.json").read_text())
    (spotting,) = told["spotting"]
    counts = (spotting["recordings"], spotting["subjects"], spotting["truths"])
    assert counts == (2 * SPOTTED, SPOTTED, 4 * SPOTTED)
    assert spotting["missed"][2] >= SPOTTED  # those that nobody could see
    assert spotting["seconds"] == pytest.approx(8.0 * SPOTTED)
    assert len(spotting["folds"]) == SPOTTED
    text = report.read_text()
    assert html.escape(STATEMENT) in text
    assert html.escape(PROTOCOLS["loso"].statement) in text
    assert f"{2 * SPOTTED} recordings of {SPOTTED} people were watched" in text
    with pytest.raises(KilasError, match="whole recordings are divided by loso"):
        run_grid(single("kilas", "split-80-10-10", small), [data], tmp_path / "o2", jobs=1)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_folds_run_on_a_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    data = write_data(tmp_path / "smic.npz", subjects=2)
    grid = single("dp-3dnet", "loso", SMALLEST)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        run_grid(grid, [data], tmp_path / "far", jobs=1, scheduler=cluster.scheduler_address)
    run_grid(grid, [data], tmp_path / "near", jobs=1)
    far, near = (
        [read_fold(path) for path in folds_of(tmp_path / name)] for name in ("far", "near")
    )
    for one, other in zip(far, near, strict=True):
        assert [p.sample for p in one.predictions] == [p.sample for p in other.predictions]
        for p, q in zip(one.predictions, other.predictions, strict=True):
            # With another number of threads sums differ in their last digits.
            assert p.probabilities == pytest.approx(q.probabilities, abs=1e-3)


def test_the_best_epoch_needs_somebody_to_choose_it_by(tmp_path: Path) -> None:
    data = write_data(tmp_path / "smic.npz", subjects=2)
    changes = SMALL | {"training.epoch": "best", "training.validation_share": 0.2}
    with pytest.raises(KilasError, match="split-80-20 has no validation part"):
        run_grid(single("dp-3dnet", "split-80-20", changes), [data], tmp_path / "out", jobs=1)


def test_files_of_one_name_and_of_another_order_are_told_apart(
    untrained: None, tmp_path: Path
) -> None:
    one = write_data(tmp_path / "a" / "x.npz", subjects=2)
    with np.load(one) as held:
        arrays = dict(held)
    table = str(arrays["table"]).replace('"s0', '"t0').replace('"s1', '"t1')
    arrays["table"] = np.array(table)
    for name in ("subject", "clip"):
        arrays[name] = np.char.replace(arrays[name], "s", "t", count=1)
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "x.npz"
    np.savez(other, **arrays)
    grid = single("dp-3dnet", "split-70-15-15", SMALL)
    run_grid(grid, [one, other], tmp_path / "out", jobs=1)
    (kept,) = folds_of(tmp_path / "out")
    before = kept.stat().st_mtime_ns
    run_grid(grid, [other, one], tmp_path / "out", jobs=1)
    assert kept.stat().st_mtime_ns == before
    arrays["faces"] = 255 - arrays["faces"]
    np.savez(other, **arrays)
    with pytest.raises(KilasError, match="made from other settings"):
        run_grid(grid, [one, other], tmp_path / "out", jobs=1)


def test_after_a_fault_the_report_tells_what_is_there(
    untrained: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(tmp_path / "smic.npz")
    grid = load_grid("mer-3dcnn", SMALL, ["MER-3DCNNST", "MER-SCB3DCNNST"])
    grid = dataclasses.replace(grid, protocols=("split-70-15-15",))
    run_fold = grids.run_fold

    def break_with_smote(task: FoldTask) -> Any:
        if task.recipe.samples.balance == "smote":
            raise KilasError("The power went away.")
        return run_fold(task)

    monkeypatch.setattr(grids, "run_fold", break_with_smote)
    with pytest.raises(KilasError, match="power"):
        run_grid(grid, [data], tmp_path / "out", jobs=1)
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [run["name"] for run in told["runs"]] == ["MER-3DCNNST"]
    assert "MER-SCB3DCNNST" in (tmp_path / "out" / "report.html").read_text()
