"""The networks: the structure that each paper states, what they take, and how they are trained."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from realtime.spec import LAYOUTS, ModelSpec, Signal
from support.paths import ROOT, TESTS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training extra is not installed")

import keras
from keras.ops import convert_to_numpy

from support.training_step import batch, one_step, scores, started
from training.models.architectures import (
    NETWORKS,
    PATHS,
    build,
    seed_dropout,
    seed_kernels,
    with_attention,
)
from training.recipe import load_recipe

Float32Array = npt.NDArray[np.float32]

MEGABYTE = 1_000_000
LARGEST_FILE_BYTES = 16 * MEGABYTE  # what a model that ships may weigh
BYTES_PER_WEIGHT = 4

ATTENTIVE = ("TriplePath-HA3DNet", "HA-3DNet", "HA-3DSENet")
HALF_PRECISION = ("mixed_float16", "mixed_bfloat16")
BACK_ENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # of Keras -> package

NORMALISED = {
    "gray": "subtract the window's median, divide by 16",
    "motion": "clip to 3 px, divide by 0.3",
}


def make_spec(
    architecture: str = "TriplePath-HA3DNet", signal: Signal = "motion", frames: int = 16
) -> ModelSpec:
    return ModelSpec(
        name="test",
        version="0",
        architecture=architecture,
        labels=("negative", "positive", "surprise"),
        rate_hz=30.0,
        frames=frames,
        region_layout=NETWORKS[architecture].layout,
        signal=signal,
        normalisation=NORMALISED[signal],
    )


def windows(spec: ModelSpec, count: int = 2) -> npt.NDArray[np.generic]:
    random = np.random.default_rng(1)
    shape = (count, *spec.window_shape)
    if spec.signal == "gray":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.normal(size=shape).astype(np.float32)


# --- what the papers state ---

PATH = ["convolution", "pool", "flatten", "dense", "dropout"]
HYBRID = ["spatial", "attend_space", "temporal", "attend_time"]
SQUEEZE = ["excitation", "excite"]

STAGES = {
    # The dissertation.
    "TriplePath-HA3DNet": (PATH[:2] + HYBRID + PATH[2:], []),
    # The dual-path paper.
    "DP-3DNet": (PATH, ["dense", "dropout"]),
    "HA-3DNet": (PATH[:2] + HYBRID + PATH[2:], ["dense", "dropout"]),
    "SE-3DNet": (PATH[:2] + SQUEEZE + PATH[2:], ["dense", "dropout"]),
    "HA-3DSENet": (PATH[:2] + HYBRID + PATH[2:], [*SQUEEZE, "dense", "dropout"]),
    # The 3DCNN framework paper.
    "MER-3DCNN": (
        ["convolution", "pool_1", "pool_2", "pool_3", "pool_4", "dropout", "flatten", "dense"],
        [],
    ),
}

REGIONS = {
    "TriplePath-HA3DNet": ["left_upper", "right_upper", "lower"],
    "DP-3DNet": ["upper", "lower"],
    "HA-3DNet": ["upper", "lower"],
    "SE-3DNet": ["upper", "lower"],
    "HA-3DSENet": ["upper", "lower"],
    "MER-3DCNN": ["face"],
}


@pytest.mark.parametrize("architecture", NETWORKS)
def test_stages_come_in_the_order_of_the_figure(architecture: str) -> None:
    network = build(make_spec(architecture, "gray"))
    of_path, of_joined = STAGES[architecture]
    regions = REGIONS[architecture]
    expected = {region: [f"{stage}_{region}" for stage in of_path] for region in regions}
    # In the order in which a signal meets them.
    names = [layer.name for layer in network.layers if isinstance(layer, keras.Layer)]
    for region in regions:
        assert [n for n in names if n in expected[region]] == expected[region]
    joined = ["concatenate"] * (len(regions) > 1) + [f"{stage}_joined" for stage in of_joined]
    assert names[-len(joined) - 1 :] == [*joined, "scores"]
    # And nothing else.
    assert len(names) == 2 + len(regions) * len(of_path) + len(joined) + 1
    assert names[:2] == ["signal", "normalise"]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_stages_are_what_the_papers_state(architecture: str) -> None:
    network = build(make_spec(architecture, "gray"))
    single = architecture == "MER-3DCNN"
    for region in REGIONS[architecture]:
        convolution = network.get_layer(f"convolution_{region}")
        assert isinstance(convolution, keras.layers.Conv3D)
        assert convolution.filters == (64 if single else 32)
        assert convolution.kernel_size == (3, 3, 3)
        assert convolution.activation is keras.activations.relu
        assert network.get_layer(f"dense_{region}").activation is keras.activations.relu
    pools = [one for one in network.layers if isinstance(one, keras.layers.MaxPooling3D)]
    assert len(pools) == (4 if single else len(REGIONS[architecture]))
    if single:
        assert {one.pool_size[1:] for one in pools} == {(2, 2)}
    if "dense" in STAGES[architecture][1]:
        assert network.get_layer("dense_joined").activation is keras.activations.relu
    assert network.get_layer("scores").activation is keras.activations.softmax


def test_regions_are_as_large_as_the_papers_state() -> None:
    sizes = {
        name: {
            (right - left, bottom - top)
            for left, top, right, bottom in LAYOUTS[NETWORKS[name].layout]
        }
        for name in NETWORKS
    }
    assert sizes["TriplePath-HA3DNet"] == {(64, 64)}
    assert sizes["DP-3DNet"] == sizes["HA-3DNet"] == {(128, 64)}
    assert sizes["SE-3DNet"] == sizes["HA-3DSENet"] == {(128, 64)}
    assert sizes["MER-3DCNN"] == {(128, 128)}


CONVOLUTION = 3 * 3 * 3 * 1 * 32 + 32
HYBRID_ATTENTION = (3 * 3 * 2 + 1) + (3 * 32 + 1)
# 16 slots lose 2 to the convolution and are halved; of 62 rows and 126 columns, 6 x 12 cells.
DUAL_DENSE = 7 * 6 * 12 * 32 * 64 + 64
JOINED_DENSE = 2 * 64 * 64 + 64
SCORES = 64 * 3 + 3

PARAMETERS = {
    "TriplePath-HA3DNet": 3 * (CONVOLUTION + HYBRID_ATTENTION + 7 * 6 * 6 * 32 * 64 + 64)
    + (3 * 64 * 3 + 3),
    "DP-3DNet": 2 * (CONVOLUTION + DUAL_DENSE) + JOINED_DENSE + SCORES,
    "HA-3DNet": 2 * (CONVOLUTION + HYBRID_ATTENTION + DUAL_DENSE) + JOINED_DENSE + SCORES,
    "SE-3DNet": 2 * (CONVOLUTION + (32 * 8 + 8) + (8 * 32 + 32) + DUAL_DENSE)
    + JOINED_DENSE
    + SCORES,
    "HA-3DSENet": 2 * (CONVOLUTION + HYBRID_ATTENTION + DUAL_DENSE)
    + (128 * 32 + 32)
    + (32 * 128 + 128)
    + JOINED_DENSE
    + SCORES,
    # 16 slots are halved once, 128 rows and columns four times.
    "MER-3DCNN": (3 * 3 * 3 * 1 * 64 + 64) + (8 * 8 * 8 * 64 * 64 + 64) + SCORES,
}


@pytest.mark.parametrize("architecture", NETWORKS)
def test_parameters_counted_by_hand(architecture: str) -> None:
    network = build(make_spec(architecture, "gray"))
    assert network.count_params() == PARAMETERS[architecture]
    assert network.count_params() * BYTES_PER_WEIGHT < LARGEST_FILE_BYTES


def test_the_network_that_ships_is_the_one_of_its_card() -> None:
    recipe = load_recipe("kilas")
    assert build(recipe.spec, **recipe.network).count_params() == 995_056


# --- what goes in and comes out ---


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("signal", ["gray", "motion"])
def test_every_network_and_signal_gives_probabilities(signal: Signal, architecture: str) -> None:
    spec = make_spec(architecture, signal, frames=4)
    network = build(spec)
    assert network.input.name == "signal"
    assert network.input.dtype == ("uint8" if signal == "gray" else "float32")
    found = convert_to_numpy(network(windows(spec)))
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_three_slots_are_enough(architecture: str) -> None:
    spec = make_spec(architecture, frames=3)
    assert build(spec)(windows(spec)).shape == (2, 3)


def test_each_path_sees_its_own_region_only() -> None:
    spec = make_spec(frames=4)
    network = build(spec, dense=16)  # of three nodes chance can keep all at zero
    signal = windows(spec, 1)
    changed = signal.copy()
    changed[:, :, 1] += 1
    ends = keras.Model(
        network.input, [network.get_layer(f"dense_{p}").output for p in PATHS["triple"]]
    )
    before, after = ends(signal), ends(changed)
    same = [
        np.array_equal(convert_to_numpy(b), convert_to_numpy(a))
        for b, a in zip(before, after, strict=True)
    ]
    assert same == [True, False, True]


@pytest.mark.parametrize("architecture", ATTENTIVE)
def test_attention_is_the_product_of_where_and_when(architecture: str) -> None:
    spec = make_spec(architecture)
    network = build(spec, dense=3)
    signal = windows(spec)
    found, attention = with_attention(network, spec)(signal)
    np.testing.assert_array_equal(convert_to_numpy(found), convert_to_numpy(network(signal)))
    # 14 slots are halved; a node is 2 pixels, and the regions of two paths are twice as wide.
    regions = len(REGIONS[architecture])
    assert attention.shape == (2, regions, 7, 6, 6 if regions == 3 else 12)
    layers = [network.get_layer(f"{kind}_lower").output for kind in ("spatial", "temporal")]
    where, when = map(convert_to_numpy, keras.Model(network.input, layers)(signal))
    np.testing.assert_allclose(
        convert_to_numpy(attention)[:, -1], (where * when)[..., 0], atol=1e-6
    )


@pytest.mark.parametrize("architecture", sorted(set(NETWORKS) - set(ATTENTIVE)))
def test_the_others_have_their_scores_alone(architecture: str) -> None:
    spec = make_spec(architecture, frames=4)
    network = build(spec)
    (output,) = with_attention(network, spec).outputs
    assert output.shape == (None, 3)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_networks_survive_saving(tmp_path: Path, architecture: str) -> None:
    spec = make_spec(architecture, "gray", frames=4)
    network = build(spec, dense=3)
    network.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    signal = windows(spec)
    assert again.get_layer("normalise").words == spec.normalisation
    before, after = (
        keras.tree.flatten(with_attention(one, spec)(signal)) for one in (network, again)
    )
    for b, a in zip(before, after, strict=True):
        np.testing.assert_array_equal(convert_to_numpy(a), convert_to_numpy(b))


# --- what is refused ---


def test_wrong_specs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be one of TriplePath-HA3DNet, DP-3DNet.* 'other'"):
        build(dataclasses.replace(make_spec(), architecture="other"))
    with pytest.raises(ValueError, match="normalisation must be one of"):
        build(dataclasses.replace(make_spec(), normalisation="as you like"))


@pytest.mark.parametrize("architecture", NETWORKS)
def test_another_layout_is_refused(architecture: str) -> None:
    right = NETWORKS[architecture].layout
    for wrong in LAYOUTS.keys() - {right}:
        spec = dataclasses.replace(make_spec(architecture), region_layout=wrong)
        with pytest.raises(ValueError, match=f"{architecture} must be '{right}', not '{wrong}'"):
            build(spec)


@pytest.mark.parametrize(
    ("architecture", "argument"),
    [
        ("TriplePath-HA3DNet", "filters"),
        ("TriplePath-HA3DNet", "joined_dense"),
        ("DP-3DNet", "attention_kernel"),
        ("DP-3DNet", "second_filters"),
        ("HA-3DNet", "reduction"),
        ("SE-3DNet", "attention_kernel"),
        ("MER-3DCNN", "pool"),
        ("MER-3DCNN", "input_pool"),
    ],
)
def test_arguments_of_other_networks_are_refused(architecture: str, argument: str) -> None:
    with pytest.raises(TypeError, match=f"{architecture} has no {argument}; it has .*dense"):
        build(make_spec(architecture), **{argument: 2, "dense": 4})


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("TriplePath-HA3DNet", {"input_pool": 0}),
        ("TriplePath-HA3DNet", {"second_filters": -1}),
        ("TriplePath-HA3DNet", {"attention_kernel": 3.0}),
        ("DP-3DNet", {"dense": True}),
        ("DP-3DNet", {"joined_dense": "64"}),
        ("HA-3DSENet", {"reduction": 0}),
        ("MER-3DCNN", {"poolings": 2.5}),
    ],
)
def test_sizes_that_are_none_are_refused(architecture: str, arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be a whole number from [01] on"):
        build(make_spec(architecture), **arguments)


def test_a_pool_that_is_larger_than_the_region_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"pool_left_upper of \(2, 31, 2\) does not fit into \(14, 30"
    ):
        build(make_spec(), pool=[2, 31, 2])  # as TOML has it
    with pytest.raises(ValueError, match=r"pool_7_face of \(1, 2, 2\) does not fit into"):
        build(make_spec("MER-3DCNN"), poolings=7)


# --- training ---


def test_it_learns_when_and_where_something_moved() -> None:
    keras.utils.set_random_seed(0)
    spec = dataclasses.replace(make_spec(frames=8), labels=("none", "moved"))
    random = np.random.default_rng(0)
    signal = random.normal(scale=0.05, size=(32, *spec.window_shape)).astype(np.float32)
    moved = np.arange(32) % 2
    signal[moved == 1, 2:6, 2, 10:22, 10:22, 1] += 1.0
    network = build(spec, input_pool=2, dense=8, dropout=0.0)
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(signal, moved, batch_size=16, epochs=6, verbose=0)
    assert (convert_to_numpy(network(signal)).argmax(axis=1) == moved).all()


def dropped(network: keras.Model, signal: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Find what each dropout layer leaves out of one batch, layer after layer."""
    found = []
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            ones = np.ones((len(signal), 500), np.float32)
            found.append(convert_to_numpy(layer(ones, training=True)) == 0)
    return np.stack(found)


def test_dropout_follows_from_seed_and_epoch() -> None:
    spec = make_spec("HA-3DNet", frames=4)
    signal = windows(spec)
    first, second = build(spec, dense=3), build(spec, dense=3)
    assert (dropped(first, signal) != dropped(second, signal)).any()
    seed_dropout(first, 7, 2)
    seed_dropout(second, 7, 2)
    masks = dropped(first, signal)
    np.testing.assert_array_equal(masks, dropped(second, signal))
    following = dropped(first, signal)
    np.testing.assert_array_equal(following, dropped(second, signal))
    assert 0.4 < masks.mean() < 0.6
    # No layer, batch, epoch or seed has the masks of another.
    different = [*masks, *following]
    for seed, epoch in ((7, 3), (8, 2), (2, 7)):
        seed_dropout(first, seed, epoch)
        different += [*dropped(first, signal), *dropped(first, signal)]
    assert len({mask.tobytes() for mask in different}) == len(different)
    assert len(different) == 4 * 2 * 3
    # And no network has to have any.
    seed_dropout(build(spec, dense=3, dropout=0.0), 7, 2)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    spec = make_spec("DP-3DNet", frames=3)
    random = np.random.default_rng(0)
    signal, labels = windows(spec, 8), random.integers(0, 3, 8)

    def train(network: keras.Model, epochs: range) -> None:
        for epoch in epochs:
            seed_dropout(network, 1, epoch)
            for part in (slice(4), slice(4, None)):
                network.train_on_batch(signal[part], labels[part])

    network = build(spec, dense=3)
    network.compile("sgd", "sparse_categorical_crossentropy")
    train(network, range(2))
    network.save(tmp_path / "model.keras")
    train(network, range(2, 4))
    again = keras.models.load_model(tmp_path / "model.keras")
    train(again, range(2, 4))
    for a, b in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def precision() -> Iterator[None]:
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("policy", HALF_PRECISION)
def test_normalisation_and_softmax_stay_in_float32(
    precision: None, policy: str, architecture: str
) -> None:
    keras.config.set_dtype_policy(policy)
    spec = make_spec(architecture, frames=4)
    network = build(spec)
    dtypes = {
        layer.name: layer.output.dtype
        for layer in network.layers
        if isinstance(layer, keras.Layer) and layer.name != "signal"
    }
    exact = [name for name, dtype in dtypes.items() if dtype == "float32"]
    assert exact == ["normalise", "scores"]
    assert {one.dtype for one in network.weights} == {"float32"}
    assert {one.dtype for one in with_attention(network, spec, both_sides=True).outputs} == {
        "float32"
    }


@pytest.mark.parametrize("architecture", ["HA-3DSENet", "MER-3DCNN"])
def test_networks_train_in_half_precision(precision: None, architecture: str) -> None:
    exact = started(architecture, dropout=0.0)
    # TensorFlow pools float16 on graphics cards only.
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = started(architecture, dropout=0.0)
    signal, labels = batch(architecture)
    found = []
    for one in (exact, network):
        found.append(scores(one, signal))
        one.train_on_batch(signal, labels)
        found.append(scores(one, signal))
    exact_before, exact_after, before, after = found
    step = np.abs(exact_after - exact_before).max()
    assert step > 0.001
    np.testing.assert_allclose(before, exact_before, atol=0.2 * step)
    np.testing.assert_allclose(after, exact_after, atol=0.2 * step)


# --- back ends ---


@pytest.fixture(scope="module")
def here() -> dict[str, npt.NDArray[np.float32]]:
    return one_step()


@pytest.mark.parametrize("back_end", sorted(BACK_ENDS.keys() - {keras.config.backend()}))
def test_other_back_ends_train_the_same(
    tmp_path: Path, request: pytest.FixtureRequest, back_end: str
) -> None:
    if importlib.util.find_spec(BACK_ENDS[back_end]) is None:
        pytest.skip(f"{BACK_ENDS[back_end]} is not installed")
    here: dict[str, npt.NDArray[np.float32]] = request.getfixturevalue("here")
    subprocess.run(
        [sys.executable, TESTS / "support" / "training_step.py", tmp_path / "there.npz"],
        env={**os.environ, "KERAS_BACKEND": back_end, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    there = np.load(tmp_path / "there.npz")
    np.testing.assert_array_equal(there["seeded once"], there["seeded once more"])
    for architecture in NETWORKS:
        for when in ("before", "after"):
            name = f"{architecture} {when}"
            np.testing.assert_allclose(there[name], here[name], atol=1e-5, err_msg=name)
        moved = np.abs(here[f"{architecture} after"] - here[f"{architecture} before"]).max()
        assert moved > 0.001  # there was something to differ in


def test_a_window_in_which_nothing_is_left_is_refused() -> None:
    spec = make_spec(frames=6)
    with pytest.raises(ValueError, match="second_convolution_left_upper has nothing left"):
        build(spec, second_filters=8)


def test_kernels_follow_from_the_seed_whoever_else_draws() -> None:
    networks = []
    for seed, draws in ((3, 0), (3, 1), (4, 0)):
        keras.utils.set_random_seed(seed)
        for _ in range(draws):
            random.random()
        networks.append(build(make_spec("TriplePath-HA3DNet", "gray")))
        seed_kernels(networks[-1], seed)
    one, same, other = (network.get_weights() for network in networks)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    kernels = [number for number, weight in enumerate(one) if weight.any()]
    assert kernels
    assert not any(np.array_equal(one[number], other[number]) for number in kernels)
