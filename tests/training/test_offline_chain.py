"""From labelled videos to a model file that runs live: the whole offline chain, on a small scale,
and the truth that networks are trained towards."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from realtime.analysis import analyze
from realtime.errors import KilasError, ModelError
from realtime.inference.model import Model
from realtime.sources.opening import DEMO_PATH
from support.demo_clip import copy_beginning
from support.paths import ROOT
from training.__main__ import DATASET_NAMES, PROTOCOL_NAMES, app
from training.annotations.expression import AnnotatedExpression
from training.annotations.tables import read_events
from training.batches.windows import NO_LABEL, WindowBatches, WindowSet, slot_labels
from training.datasets import DATASETS
from training.evaluation.protocols import PROTOCOLS
from training.models.export import export_run
from training.models.train import train
from training.recipe import RECIPES, load_recipe

LABELS = ("none", "negative", "positive", "surprise")
RECIPE = """
[model]
name = "small"
version = "1"
architecture = "TriplePath-HA3DNet"
labels = ["none", "negative", "positive", "surprise"]
rate_hz = 30.0
frames = 16
hop = 2
lookahead = 5
region_layout = "triple"
signal = "motion"
normalisation = "clip to 3 px, divide by 0.3"

[network]
dense = 4
input_pool = 4

[training]
epochs = 1
batch = 16
validation_share = 0.5

[windows]
per_epoch = 48

[export]
both_sides = true
"""


def event(onset_s: float, offset_s: float, kind: str = "micro") -> AnnotatedExpression:
    length_s = offset_s - onset_s
    return AnnotatedExpression(
        onset_s=onset_s,
        apex_s=onset_s + min(0.15, 0.4 * length_s),
        release_s=offset_s - min(0.15, 0.4 * length_s),
        offset_s=offset_s,
        label="positive",
        kind=kind,
        intensity=0.4,
        units="12",
    )


def labels_at(events: list[AnnotatedExpression], end_s: float = 8.0) -> np.ndarray:
    return slot_labels(np.arange(0, end_s, 1 / 30), events, LABELS, 30.0)


def test_a_short_expression_is_labelled_while_it_shows() -> None:
    labels = labels_at([event(3.0, 3.4)])
    shown = np.flatnonzero(labels == LABELS.index("positive")) / 30
    assert 3.0 < shown.min() < 3.1
    assert 3.3 < shown.max() < 3.4
    # The edges, where it hardly shows, are nobody's.
    assert (labels == NO_LABEL).any()
    assert (labels[: 3 * 30] == 0).all()
    assert (labels[-90:] == 0).all()


def test_the_release_of_a_long_smile_is_none_because_the_baseline_has_got_used_to_it() -> None:
    labels = labels_at([event(2.0, 6.0, "macro")])
    assert labels[round(2.5 * 30)] == LABELS.index("positive")
    assert labels[round(5.5 * 30)] == 0
    assert (labels[round(6.0 * 30) :] == 0).all()


@pytest.mark.parametrize("is_first", [True, False])
def test_a_labelled_expression_within_an_unlabelled_one_keeps_its_label(is_first: bool) -> None:
    within = event(3.0, 3.4)
    around = dataclasses.replace(event(2.0, 4.0, "macro"), label="")
    both = labels_at([within, around] if is_first else [around, within])
    alone = labels_at([within])
    shown = alone == LABELS.index("positive")
    assert (both[shown] == LABELS.index("positive")).all()
    assert both[round(2.5 * 30)] == NO_LABEL


def test_slots_that_show_two_labels_have_none_of_them() -> None:
    other = next(label for label in LABELS if label not in ("none", "positive"))
    labels = labels_at([event(3.0, 3.4), dataclasses.replace(event(3.0, 3.4), label=other)])
    assert set(labels[round(3.1 * 30) : round(3.3 * 30)]) == {NO_LABEL}


def test_no_events_no_labels() -> None:
    assert (labels_at([]) == 0).all()


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("clip,onset_s\na.mp4,1\n")
    with pytest.raises(KilasError, match="apex_s"):
        read_events(path)


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_of_the_project_loads(recipe: str) -> None:
    assert load_recipe(recipe).spec.labels


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(KilasError, match="kilas"):
        load_recipe("no-such-recipe")


def test_a_recipe_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(RECIPE + "\nmagic = true\n")
    with pytest.raises(KilasError, match="magic"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("seconds = 16.0", "seconds = -16.0", "seconds must be at least 3"),
        ("seconds = 16.0", 'seconds = "16"', "does not fit"),
        ("clips = 800", "clips = 0", "clips must be"),
        ("clips = 800", "clips = true", "clips must be"),
        ("seed = 61", "seed = 6.1", "seed must be"),
        ("first_subject = 10000", "first_subject = -1", "first_subject must be"),
        ("first_subject = 10000", "first_subject = 5119", "two sets share people"),
        ("seed = 51", "seed = 41", "the same seed"),
        ("warped = true", 'warped = "no"', "warped must be true or false"),
        ("dense = false", "dense = 0", "dense must be true or false"),
        (
            "[data.test] # videos\nclips = 120\nseconds = 10.0\n"
            "seed = 9001\nfirst_subject = 5000\n",
            "",
            r"there must be a \[data.test\]",
        ),
        ("[[data.spotting]]", "[data.spotting]", "is no TOML file"),
        ("epochs = 100", 'epochs = "100"', "epochs must be"),
        ("batch = 64", "batch = 0", "batch must be"),
        ("batch = 64", "batches = 64", r"\[training\].*there is no batches; it has epochs, batch"),
        ("batch = 64", 'batch = 64\nepoch = "best"', "trained to its last epoch"),
        ("batch = 64", "batch = 9000", "at least one batch"),
        ("per_epoch = 8000", "per_epoch = 0.5", "per_epoch must be"),
        ("[windows]", "[samples]", "labels are those of the classes"),
        ("[model]", 'classes = "four"\n[model]', "classes must be one of"),
        ("none_share = 0.5", "none_share = 1.5", "none_share must"),
        ("validation_share = 0.03", "validation_share = 2", "validation_share must"),
        ("validation_share = 0.03", "validation_share = 0", "validation_share above 0"),
        ("learning_rate = 0.001", "learning_rate = 0", "learning_rate must"),
        ("both_sides = true", "both_sides = 1", "both_sides must be true or false"),
        ("both_sides = true", "sides = 2", "sides"),
        ("[export]", "[exports]", r"no \[exports\]"),
        ("[data.test]", "[data.other]\n[data.test]", "train, spotting and test"),
        ("seed = 9001", "seed = 9001\nwarped = true", "cannot be warped"),
        ("seconds = 16.0", "seconds = inf", "seconds must be"),
        ("learning_rate = 0.001", "learning_rate = true", "learning_rate must"),
        ("frames = 16", "frames = 16.5", "frames must be"),
        ("rate_hz = 30.0", "rate_hz = nan", "rate_hz must be"),
        ("[network]", "[spotting]\nenter = 0.3\n[network]", "leave < enter"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_before_any_work(
    tmp_path: Path, there: str, instead: str, said: str
) -> None:
    text = (RECIPES / "kilas.toml").read_text()
    assert there in text
    path = tmp_path / "bad.toml"
    path.write_text(text.replace(there, instead))
    with pytest.raises(KilasError, match=said):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("clip to 3 px, divide by 0.3", "as you like"),
        ("dropout = 0.3", "drop = 0.3"),
        ("input_pool = 2", "input_pool = 0"),
        ("dense = 48", "dense = true"),
        ("second_filters = 48", "kernel = [30, 3, 3]"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_any_work(
    tmp_path: Path, there: str, instead: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text((RECIPES / "kilas.toml").read_text().replace(there, instead))
    with pytest.raises(KilasError, match="network cannot be built"):
        train([tmp_path / "nothing"], load_recipe(str(path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_that_cannot_be_changed_are_told_in_plain_words() -> None:
    for changes, said in (
        ({"training": 5}, "it must be a table"),
        ({"classes.all": 1}, "classes is no table"),
        ({"samples.augment": "yes"}, "augment must be true or false"),
        ({"model.labels": ["a"]}, "its labels are those of the classes"),
    ):
        with pytest.raises(KilasError, match=said):
            load_recipe("triplepath-ha3dnet", changes)


def test_the_commands_name_what_there_is() -> None:
    assert tuple(DATASETS) == DATASET_NAMES
    assert tuple(PROTOCOLS) == PROTOCOL_NAMES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "--protocol", "loso"), "Give either --protocol"),
        (
            ("evaluate", "a", "--protocol", "loso", "--out", "b", "--model", "c"),
            "no use of --model",
        ),
        (("evaluate", "--videos", "a", "--labels", "b", "--set", "c=1"), "no use of --set"),
        (("train", "a", "--out", "b", "--set", "epochs"), "write it as training.epochs=20"),
        (("prepare", "casme", ".", "--out", "a.npz"), "no dataset casme"),
        (
            ("grid", "networks", "a.npz", "--out", "b", "--only", "experiment 9"),
            "no run experiment",
        ),
    ],
)
def test_wrong_use_is_told(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    told = " ".join((result.output + str(result.exception)).split())
    assert result.exit_code != 0
    assert said in told.replace("│ ", "").replace(" │", "")


CLIP_S = 8.0
"""Length of each clip: the demo's three micro-expressions, one of each class."""


def write_clips(folder: Path, subjects: list[int]) -> None:
    """Two people's labelled videos, both of them the demo clip's beginning."""
    folder.mkdir(exist_ok=True)
    truth = pd.read_csv(DEMO_PATH.parent / "events.csv")
    truth = truth[truth["offset_s"] < CLIP_S]
    names = ["a.mp4", "b.mp4"]
    for name in names:
        copy_beginning(folder / name, CLIP_S)
    pd.DataFrame({"clip": names, "subject": subjects, "kind": "speech"}).to_csv(
        folder / "clips.csv", index=False
    )
    pd.concat([truth.assign(clip=name) for name in names]).to_csv(
        folder / "events.csv", index=False
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two people, a recipe, and in `test` clips of two others."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, [1, 2])
    write_clips(folder / "test", [3, 4])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def training(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_this_process(*arguments: str | Path) -> str:
    """The same without the seconds that TensorFlow takes to start."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.timeout(400)
def test_the_whole_chain_ends_in_a_model_that_runs(clips: Path) -> None:
    recipe = clips / "recipe.toml"
    data, run, model = clips / "data.npz", clips / "run", clips / "small.onnx"
    test = clips / "test"
    in_this_process("prepare", "folder", clips, "--out", data, "--recipe", recipe, "--jobs", "2")
    with np.load(data, allow_pickle=False) as prepared:
        assert prepared["faces"].shape[1:] == (128, 128)
        assert prepared["faces"].dtype == np.uint8
        assert sorted(prepared["subject"]) == ["1", "2"]
    training("train", data, "--out", run, "--recipe", recipe)
    record = json.loads((run / "training.json").read_text())
    assert len(record["held_out_subjects"]) == 1
    assert np.sum(record["held_out_confusion"]) > 100
    with pytest.raises(KilasError, match="other settings"):
        train([data], load_recipe("kilas"), run)
    with pytest.raises(ModelError, match="another recipe"):
        export_run(run, load_recipe("kilas"), model)
    said = in_this_process("export", run, "--out", model, "--recipe", recipe)
    assert "differ by at most" in said
    said = in_this_process(
        *("evaluate", "--videos", test, "--labels", test / "events.csv", "--model", model),
        *("--out", clips / "report", "--jobs", "1"),
    )
    assert "6 micro-expressions in 2 clips" in said
    assert (clips / "report" / "report.html").stat().st_size > 10_000
    figures = json.loads((clips / "report" / "figures.json").read_text())
    assert sum(map(sum, figures["confusion"])) + sum(figures["missed"]) == 6
    session = analyze(clips / "a.mp4", model=model)
    assert session.facts["model"]["name"] == "small"
    assert session.scores["positive"].notna().any()
    in_this_process(
        "prepare", "folder", test, "--out", clips / "test.npz", "--recipe", recipe, "--jobs", "1"
    )
    said = in_this_process("thresholds", clips / "test.npz", "--model", model)
    spec = Model.load(model).spec
    assert spec.provenance["thresholds"]["subjects"] == ["3", "4"]
    assert f"{spec.provenance['thresholds']['f1']:.3f}" in said


def windows(streams: int = 2, slots: int = 60) -> WindowSet:
    """Streams of noise whose windows have every label in turn."""
    spec = load_recipe("kilas").spec
    random = np.random.default_rng(0)
    starts = np.arange(streams * (slots - spec.frames))
    return WindowSet(
        signal=random.normal(size=(streams * slots, *spec.window_shape[1:])).astype(np.float16),
        starts=starts,
        labels=starts % len(spec.labels),
        is_edge=starts % 8 == 0,
        subjects=np.array(["a"] * len(starts)),
    )


def test_what_an_epoch_trains_on_follows_from_its_number_alone() -> None:
    recipe = load_recipe("kilas")
    data = windows()
    chosen = np.ones(len(data.labels), bool)
    gone_on, uninterrupted = (
        WindowBatches(data, chosen, recipe.spec, recipe.windows, recipe.training) for _ in range(2)
    )
    for epoch in range(3):
        uninterrupted.start(epoch)
        uninterrupted[0]
    gone_on.start(2)
    for index in (1, 0):  # in any order
        for one, other in zip(gone_on[index], uninterrupted[index], strict=True):
            assert np.array_equal(one, other)
    gone_on.start(1)
    assert not np.array_equal(gone_on[0][0], uninterrupted[0][0])


def test_a_class_that_is_not_there_is_named() -> None:
    recipe = load_recipe("kilas")
    data = windows()
    with pytest.raises(KilasError, match="too few windows of surprise"):
        WindowBatches(data, data.labels != 3, recipe.spec, recipe.windows, recipe.training)
