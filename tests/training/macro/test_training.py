"""Still-image networks: what they are, how they are trained, and the file that is made of them.

All that needs Keras is here, so that it is imported once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import training.macro.train
import training.models.training_loop
from realtime.errors import KilasError, ModelError
from realtime.macro.model import MacroModel, MacroSpec
from realtime.types import UInt8Array
from training.__main__ import app
from training.macro.augment import Augmentation
from training.macro.batches import StillBatches
from training.macro.calibration import scores_of
from training.macro.export import (
    LARGEST_CHANGE,
    Differences,
    export_still,
    fold,
    write_still_model,
)
from training.macro.networks import ARCHITECTURES, NORMALISATIONS, build, in_float32
from training.macro.recipe import RECIPES, StillRecipe, StillTraining, load_still_recipe
from training.macro.stills import LABELS, Stills, load_stills, save_stills
from training.macro.train import NETWORK_FILE, RECORD_FILE, run, train_still
from training.models.architectures import seed_kernels
from training.models.export import LARGEST_DIFFERENCE

SMALL = {"stem": 4, "widths": (6, 8), "blocks": (1, 1), "dropout": 0.3}
EPOCHS = 2
RECIPE = StillRecipe(
    name="small",
    version="1",
    architecture="KilasStill",
    normalisation="z-score of the face",
    both_sides=True,
    network=SMALL | {"widths": (6,), "blocks": (1,)},
    training=StillTraining(
        epochs=EPOCHS,
        batch=16,
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=0.0005,
        label_smoothing=0.1,
        mixup=0.2,
        average=0.8,
        balance="weights",
        validation_share=0.0,
        precision="float32",
    ),
    augmentation=Augmentation(),
)
"""Everything that draws at random, in seconds: most of them go into making the graphs."""


@pytest.fixture(autouse=True)
def _same_precision() -> Iterator[None]:
    """Training sets the precision of the whole process."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def made_stills(count: int = 42) -> Stills:
    """Noise in which each class has a bright bar of its own; every fourth is for the test."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % len(LABELS)
    images = rng.integers(0, 120, (count, 48, 48))
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 6] += 120
    usage = np.where(np.arange(count) // len(LABELS) % 4 == 3, "PublicTest", "Training")
    return Stills(images.astype(np.uint8), labels.astype(np.int64), usage)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "stills.npz"
    save_stills(path, made_stills())
    return path


@dataclass(frozen=True)
class Finished:
    """A run that was not interrupted. `steps`: the trainable weights after each batch."""

    out: Path
    steps: list[list[Any]]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out = tmp_path_factory.mktemp("runs") / "whole"
    steps: list[list[Any]] = []

    def record(self: keras.callbacks.Callback, batch: int, logs: Any = None) -> None:
        steps.append([np.array(weight) for weight in self.model.trainable_weights])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training.models.training_loop._Record, "on_train_batch_end", record, raising=False
        )
        train_still(data, RECIPE, out)
    return Finished(out, steps)


def faces(count: int = 4) -> UInt8Array:
    return np.random.default_rng(5).integers(0, 256, (count, 48, 48), np.uint8)


def saved(run_folder: Path) -> keras.Model:
    return keras.models.load_model(run_folder / NETWORK_FILE)


def distance(one: keras.Model, other: keras.Model) -> float:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


# The networks


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [("StillCNN-A", 2_679_592), ("StillCNN-B", 10_714_696), ("StillCNN-C", 4_968_072)],
)
def test_the_papers_networks_have_its_numbers_of_parameters(
    architecture: str, parameters: int
) -> None:
    assert build(architecture, 8, "divide by 255").count_params() == parameters


def test_the_printed_network_is_printed_layer_by_layer() -> None:
    network = build("StillCNN-A", 8, "divide by 255")
    counts = [layer.count_params() for layer in network.layers if layer.count_params()]
    assert counts == [320, 9248, 18496, 36928, 73856, 147584, 2359808, 32832, 520]


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_networks_give_a_logit_for_each_label(architecture: str) -> None:
    network = build(architecture, len(LABELS), "z-score of the face")
    logits = np.asarray(network(faces(2).astype(np.float32)))
    assert logits.shape == (2, 7)
    assert logits.dtype == np.float32
    assert (logits < 0).any()  # no scores yet


def test_brightness_and_contrast_do_not_matter_to_standardised_faces() -> None:
    network = build("KilasStill", len(LABELS), "z-score of the face", **SMALL)
    face = faces(1).astype(np.float32)
    np.testing.assert_allclose(network(face), network(0.5 * face + 40), atol=1e-4)
    even = network(np.full((1, 48, 48), 77.0, np.float32))
    assert np.isfinite(np.asarray(even)).all()


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(KilasError, match=r"no architecture VGG19; there are StillCNN-A, .*Kilas"):
        build("VGG19", 7, NORMALISATIONS[0])
    with pytest.raises(KilasError, match="StillCNN-A has no stem; it has dropout"):
        build("StillCNN-A", 7, NORMALISATIONS[0], stem=3)
    with pytest.raises(ValueError, match="normalisation"):
        build("StillCNN-A", 7, "none")


# Recipes


@pytest.mark.parametrize("letter", "abc")
def test_the_papers_recipes_state_what_it_states(letter: str) -> None:
    recipe = load_still_recipe(f"still-cnn-{letter}")
    settings = recipe.training
    assert recipe.architecture == f"StillCNN-{letter.upper()}"
    assert (settings.epochs, settings.learning_rate) == (50, 0.00001)
    assert (settings.protocol, settings.schedule) == ("split-80-20", "constant")
    assert recipe.augmentation is None


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_of_the_project_can_be_built(name: str) -> None:
    recipe = load_still_recipe(name, {"training.epochs": 2})
    assert recipe.training.epochs == 2
    build(recipe.architecture, len(LABELS), recipe.normalisation, **recipe.network)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training.epoch": "best", "training.validation_share": 0.1}, "average needs the epoch"),
        ({"training.optimizer": "adam"}, "weight_decay needs the optimizer sgd"),
        ({"training.mixup": 1.5}, "mixup must lie between 0 and 1"),
        ({"training.protocol": "loso"}, "protocol must be one of official, split-80-20"),
        ({"training.optimizer": "lion"}, "optimizer must be one of adam, sgd"),
        ({"training.balance": True}, "balance must be one of none, weights"),
        ({"training.precision": "float64"}, "precision must be one of auto, float32, mixed_b"),
        ({"training.magic": 1}, "there is no magic"),
        ({"magic.x": 1}, r"there is no \[magic\]"),
        ({"model.size": 1}, "there is no size"),
        ({"model.normalisation": "none"}, "normalisation must be one of"),
        ({"augmentation.spin": 1}, "there is no spin"),
        ({"augmentation.turn_deg": "abc"}, "turn_deg must be a number from 0 to 180"),
        ({"augmentation.zoom": -1}, "zoom must be a number from 0 to 2"),
        ({"augmentation.gamma": float("nan")}, "gamma must be a number"),
        ({"augmentation.erase": True}, "erase must be a number from 0 to 1"),
        ({"augmentation.flip": "no"}, "flip must be true or false"),
        ({"augmentation.erase_px": 2.5}, "erase_px must be a whole number from 0 to 48"),
        ({"network.stem": "x"}, "stem must be a whole number from 1 on"),
        ({"network.widths": 3}, "widths must be a list of whole numbers from 1 on"),
        ({"network.widths": [32, "x", 1, 1]}, "widths must be a list of whole numbers from 1 on"),
        ({"network.widths": [32, 64]}, "widths and blocks must have the same length"),
        ({"network.dropout": "none"}, "dropout must lie between 0 and 1"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(KilasError, match=said):
        load_still_recipe("kilas-macro", changes)


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(KilasError, match="kilas-macro, still-cnn-a"):
        load_still_recipe("still-cnn-z")


def test_a_recipe_without_what_a_model_needs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[model]\nname = "mine"\nboth_sides = true\n')
    with pytest.raises(KilasError, match=r"it lacks architecture, normalisation, version\."):
        load_still_recipe(str(path))


# Batches


def batches(recipe: StillRecipe = RECIPE) -> StillBatches:
    stills = made_stills()
    return StillBatches(stills, stills.part("Training"), recipe)


def test_an_epoch_follows_from_its_number_whatever_came_before() -> None:
    one, other = batches(), batches()
    for index in range(len(one)):
        one[index]
    for made in (one, other):
        made.start(1)
    for index in (0, 1, 0):  # also one that was made ahead, and one once more
        for mine, its in zip(one[index], other[index], strict=True):
            np.testing.assert_array_equal(mine, its)
    again = one[0][0]
    one.start(2)
    assert not np.array_equal(one[0][0], again)


def test_mixed_targets_still_sum_to_one_and_weights_follow_them() -> None:
    made_faces, targets, weights = batches()[0]
    assert made_faces.dtype == targets.dtype == weights.dtype == np.float32
    assert ((made_faces >= 0) & (made_faces <= 255)).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)
    assert ((targets > 0).sum(axis=1) == 2).any()
    np.testing.assert_allclose(weights, 7.0, rtol=1e-5)  # all classes have the same number


def test_measuring_takes_the_pictures_as_they_are_and_in_order() -> None:
    stills = made_stills()
    rows = stills.part("PublicTest")
    (batch,) = StillBatches(stills, rows, None)
    np.testing.assert_array_equal(batch[0], stills.images[rows])
    np.testing.assert_array_equal(batch[1].argmax(axis=1), stills.labels[rows])


# Training


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_training_that_was_interrupted_ends_in_the_same_weights(
    data: Path, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = StillBatches.start

    def interrupted(self: StillBatches, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt
        start(self, epoch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StillBatches, "start", interrupted)
        train_still(data, RECIPE, tmp_path)
    assert not (tmp_path / RECORD_FILE).exists()

    def killed(*_: object) -> float:
        raise KeyboardInterrupt

    # And once more after the last epoch, where all that is left is to average the weights.
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.macro.train, "best_temperature", killed)
        train_still(data, RECIPE, tmp_path)
    train_still(data, RECIPE, tmp_path)
    assert distance(saved(tmp_path), saved(finished.out)) == 0.0
    records = [json.loads((one / RECORD_FILE).read_text()) for one in (tmp_path, finished.out)]
    assert records[0] == records[1]
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.timeout(300)
def test_the_network_that_is_kept_has_the_average_of_its_weights(finished: Finished) -> None:
    assert len(finished.steps) == 3 * EPOCHS
    averages = finished.steps[0]
    for weights in finished.steps[1:]:
        averages = [0.8 * a + 0.2 * w for a, w in zip(averages, weights, strict=True)]
    kept = [np.asarray(weight) for weight in saved(finished.out).trainable_weights]
    for average, weight in zip(averages, kept, strict=True):
        np.testing.assert_allclose(weight, average, atol=1e-5)
    lasts = zip(kept, finished.steps[-1], strict=True)
    assert max(float(np.abs(weight - last).max()) for weight, last in lasts) > 1e-3


def test_batch_normalisation_knows_the_pictures_as_they_are(finished: Finished, data: Path) -> None:
    network, images = saved(finished.out), load_stills(data)
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    inputs = keras.Model(network.inputs, [norm.input for norm in norms])
    trained_on = images.images[images.part("Training")].astype(np.float32)
    for norm, seen in zip(norms, inputs.predict_on_batch(trained_on), strict=True):
        # The first sees the same as in the training; the others see what those before them make
        # of it, which is normalised by the batch there, and here by the whole.
        np.testing.assert_allclose(norm.moving_mean, seen.mean(axis=(0, 1, 2)), atol=2e-3)
        np.testing.assert_allclose(norm.moving_variance, seen.var(axis=(0, 1, 2)), rtol=2e-2)


def test_the_record_says_what_was_done(data: Path, finished: Finished, capsys: Any) -> None:
    record = json.loads((finished.out / RECORD_FILE).read_text())
    assert record["labels"] == list(LABELS)
    assert record["pictures"] == {"train": 35, "validation": 0, "test": 7}
    assert record["temperature_chosen_on"] == "test"
    assert record["parameters"] == saved(finished.out).count_params()
    assert len(record["curves"]["loss"]) == EPOCHS
    train_still(data, RECIPE, finished.out)
    assert "trained already" in capsys.readouterr().out
    with pytest.raises(KilasError, match="other settings"):
        train_still(data, replace(RECIPE, version="2"), finished.out)


def test_the_test_part_never_chooses_the_epoch(data: Path, tmp_path: Path) -> None:
    settings = StillTraining(protocol="split-80-20", epoch="best", validation_share=0.2)
    with pytest.raises(KilasError, match="split-80-20 has no validation part"):
        train_still(data, replace(RECIPE, training=settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# The model file


@pytest.fixture(scope="module")
def exported(finished: Finished, data: Path) -> tuple[MacroModel, Differences]:
    path = finished.out.parent / "small.onnx"
    differences = export_still(finished.out, path, data)
    return MacroModel.load(path), differences


def test_the_trained_network_and_the_file_give_the_same_scores(
    finished: Finished, exported: tuple[MacroModel, Differences], data: Path
) -> None:
    model, differences = exported
    assert differences.graph < LARGEST_DIFFERENCE
    stills = load_stills(data)
    logits = run(saved(finished.out), stills.images, both_sides=True)
    found = model.run(stills.images)
    assert model.spec.smoothing == RECIPE.training.label_smoothing > 0
    expected = scores_of(logits, model.spec.temperature, model.spec.smoothing)
    # None of its kernels is so large that it is rounded to half precision.
    np.testing.assert_allclose(found, expected, atol=1e-6)
    tested = stills.part("PublicTest")
    assert differences.faces == len(tested) == 7
    assert differences.trained < 1e-6
    assert differences.relabelled == 0
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    one = np.concatenate([model.run(face[None]) for face in stills.images])
    np.testing.assert_allclose(found, one, atol=1e-6)


def test_the_file_says_where_it_comes_from(exported: tuple[MacroModel, Differences]) -> None:
    spec = exported[0].spec
    assert (spec.name, spec.version, spec.labels) == ("small", "1", LABELS)
    assert spec.provenance["recipe"]["training"]["seed"] == RECIPE.training.seed
    assert spec.provenance["temperature_chosen_on"] == "test"


def test_a_face_and_its_mirror_image_have_the_same_scores(
    exported: tuple[MacroModel, Differences],
) -> None:
    model, _ = exported
    found = model.run(faces())
    np.testing.assert_allclose(found, model.run(faces()[:, :, ::-1]), atol=1e-6)
    assert np.ptp(found) > 0.01


def test_without_batch_normalisation_it_is_the_same_function() -> None:
    network = build("KilasStill", len(LABELS), "z-score of the face", **SMALL)
    rng = np.random.default_rng(1)
    network.set_weights([rng.uniform(0.3, 1.5, one.shape) for one in network.get_weights()])
    folded = fold(network)
    given = faces().astype(np.float32)
    expected = np.asarray(network(given, training=False))
    np.testing.assert_allclose(folded(given), expected, rtol=1e-4)
    kinds = {type(layer).__name__ for layer in folded.layers}
    assert "BatchNormalization" not in kinds
    assert folded.count_params() < network.count_params()


def test_a_copy_in_float32_is_what_would_have_been_built_so() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = build("KilasStill", len(LABELS), "z-score of the face", **SMALL)
    copy = in_float32(network)
    keras.config.set_dtype_policy("float32")
    exact = build("KilasStill", len(LABELS), "z-score of the face", **SMALL)
    exact.set_weights(network.get_weights())
    given = faces().astype(np.float32)
    expected = exact.predict_on_batch(given)
    np.testing.assert_array_equal(copy.predict_on_batch(given), expected)
    assert not np.array_equal(network.predict_on_batch(given), expected)


SPEC = MacroSpec("n", "1", "KilasStill", LABELS, 25.0, 18.7, NORMALISATIONS[0], False, 1.0, 0.0)


def sure_network(seed: int) -> keras.Model:
    """Untrained, with scores that are far from each other."""
    network = build(SPEC.architecture, len(LABELS), SPEC.normalisation, **SMALL)
    seed_kernels(network, seed)
    network.layers[-1].kernel.assign(10.0 * network.layers[-1].kernel)
    return network


def test_what_half_precision_changes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.macro.export.SMALLEST_HALVED", 100)
    network, many = sure_network(1), faces(20)
    path = tmp_path / "n.onnx"
    differences = write_still_model(network, SPEC, path, many)
    assert differences.graph < LARGEST_DIFFERENCE < differences.trained < LARGEST_CHANGE
    trained = scores_of(run(network, many, both_sides=False), SPEC.temperature, SPEC.smoothing)
    found = MacroModel(path).run(many)
    assert differences.trained == pytest.approx(np.abs(found - trained).max(), rel=1e-3)
    is_other = found.argmax(axis=1) != trained.argmax(axis=1)
    assert (differences.relabelled, differences.faces) == (is_other.sum(), 20)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        # Where the graph computes something else than Keras with the same kernels.
        ("with_scores", r"differs from Keras by .* was not written"),
        # Where both agree, and it is not the network that was trained.
        ("fold", r"differs from the network as it was trained by .* was not written"),
    ],
)
def test_a_file_that_differs_from_keras_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, said: str
) -> None:
    network = sure_network(1)
    if wrong == "fold":
        other = sure_network(2)
        monkeypatch.setattr("training.macro.export.fold", lambda _: fold(other))
    else:
        monkeypatch.setattr("training.macro.export.LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match=said):
        write_still_model(network, SPEC, tmp_path / "n.onnx", faces())
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no finished training"):
        export_still(tmp_path, tmp_path / "n.onnx")


# The commands


def macro(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["macro", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.timeout(300)
def test_the_commands_make_a_model_and_say_how_good_it_is(data: Path, tmp_path: Path) -> None:
    run_folder, model = tmp_path / "run", tmp_path / "small.onnx"
    changes = [
        *(
            "training.epochs=1",
            "training.precision=mixed_bfloat16",
            "training.protocol=split-80-20",
        ),
        *("network.stem=4", "network.widths=[6, 8]", "network.blocks=[1, 1]"),
    ]
    told = [part for change in changes for part in ("--set", change)]
    macro("train", data, "--out", run_folder, "--recipe", "kilas-macro", *told)
    kinds = {layer.compute_dtype for layer in saved(run_folder).layers[1:]}  # but for the input
    assert kinds == {"float32"}
    said = macro("export", run_folder, "--out", model)
    assert "with the same rounded kernels" in said
    assert "of 5 random faces get another label" in said
    said = macro("evaluate", data, "--model", model, "--out", tmp_path / "report")
    assert "training: accuracy" in said
    assert "35 of these pictures were trained on" in said
    assert "the temperature was chosen on these pictures" in said
    figures = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert [part["name"] for part in figures["parts"]] == ["training", "test"]
    assert figures["about"]["trained"]["recipe"]["name"] == "kilas-macro"
