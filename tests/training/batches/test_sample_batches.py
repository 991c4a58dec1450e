"""Batches of samples: what an epoch consists of, and what it follows from."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import keras
import numpy as np
import pandas as pd
import pytest

from realtime.preprocessing.regions import extract_regions
from realtime.spec import FACE_SIZE, LAYOUTS, ModelSpec, RegionLayout, Signal
from training.batches.sample_batches import SampleBatches, cut, plain_batches, training_batches
from training.batches.samples import Samples
from training.recipe import SampleSettings, TrainingSettings

LABELS = ("negative", "positive", "surprise")
FRAMES = 4
TRAINING = TrainingSettings(batch=8, seed=5)
AS_THEY_ARE = SampleSettings(augment=False, balance="none")
FULL = SampleSettings(augment=True, balance="none")


def spec(signal: Signal = "gray", layout: RegionLayout = "triple") -> ModelSpec:
    return ModelSpec(
        name="test",
        version="1",
        architecture="TriplePath-HA3DNet",
        labels=LABELS,
        rate_hz=30.0,
        frames=FRAMES,
        region_layout=layout,
        signal=signal,
        normalisation="divide by 255",
    )


def make_samples(count: int = 30, signal: Signal = "gray") -> Samples:
    """Two thirds negative, the rest even; each shares a slot with the next one."""
    random = np.random.default_rng(0)
    slots = count * (FRAMES - 1) + 1
    shape = (slots, FACE_SIZE, FACE_SIZE)
    if signal == "motion":
        shape = (slots, *spec("motion").window_shape[1:])
        data = random.normal(0, 1, shape).astype(np.float16)
    else:
        data = random.integers(0, 256, shape, np.uint8)
    labels = np.array([0, 0, 1, 0, 0, 2] * (count // 6))
    return Samples(
        slots=data,
        index=np.arange(count)[:, None] * (FRAMES - 1) + np.arange(FRAMES),
        labels=labels,
        table=pd.DataFrame({"label": [LABELS[label] for label in labels]}),
    )


def batches(
    settings: SampleSettings, samples: Samples | None = None, chosen: Any = None, epoch: int = 0
) -> SampleBatches:
    samples = samples or make_samples()
    chosen = np.arange(len(samples.labels)) if chosen is None else chosen
    signal: Signal = "gray" if samples.slots.dtype == np.uint8 else "motion"
    made = training_batches(samples, chosen, spec(signal), settings, TRAINING)
    made.start(epoch)
    return made


def which(signal: np.ndarray, samples: Samples) -> list[int]:
    """Find out which of the samples these are; each must be one of them, unchanged."""
    own = cut(samples.windows(np.arange(len(samples.labels))), "triple")
    found = [np.flatnonzero((own == one).all(axis=(1, 2, 3, 4, 5))) for one in signal]
    assert all(len(one) == 1 for one in found)
    return [int(one[0]) for one in found]


def epoch_of(made: SampleBatches, samples: Samples) -> list[int]:
    return [one for index in range(len(made)) for one in which(made[index][0], samples)]


@pytest.mark.parametrize("layout", get_args(RegionLayout))
def test_regions_are_cut_where_the_live_path_cuts_them(layout: RegionLayout) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (2, 3, FACE_SIZE, FACE_SIZE), np.uint8)
    regions = cut(faces, layout)
    assert regions.shape == (2, *dataclasses.replace(spec(layout=layout), frames=3).window_shape)
    image_bgr = np.repeat(faces[1, 2, :, :, np.newaxis], 3, axis=2)
    live = extract_regions(image_bgr, np.eye(2, 3, dtype=np.float32), layout)
    assert len(live) == len(LAYOUTS[layout])
    assert (regions[1, 2, ..., 0] == live).all()


def test_an_epoch_has_every_sample_once_in_batches_of_almost_one_size() -> None:
    samples = make_samples()
    made = batches(AS_THEY_ARE, samples)
    assert [len(made[index][1]) for index in range(len(made))] == [7, 8, 7, 8]
    signal, labels = made[0]
    assert signal.shape == (7, *spec().window_shape)
    assert (signal.dtype, labels.dtype) == (np.uint8, np.int64)
    seen = epoch_of(made, samples)
    assert sorted(seen) == list(range(30))
    assert seen != list(range(30))
    assert (samples.labels[seen] == np.concatenate([one[1] for one in made])).all()


def test_only_the_chosen_samples_are_in_it() -> None:
    samples = make_samples()
    chosen = np.array([28, 3, 4, 11, 12])
    assert sorted(epoch_of(batches(AS_THEY_ARE, samples, chosen), samples)) == sorted(chosen)
    plain = plain_batches(samples, chosen, spec())
    assert epoch_of(plain, samples) == chosen.tolist()


def test_each_epoch_has_an_order_and_variations_of_its_own_and_can_be_gone_back_to() -> None:
    samples = make_samples()
    orders = [epoch_of(batches(AS_THEY_ARE, samples, epoch=epoch), samples) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    one_by_one = [batches(FULL, epoch=epoch)[2][0] for epoch in (3, 4)]
    gone_through = batches(FULL)
    for epoch in range(5):
        gone_through.start(epoch)
        if epoch >= 3:
            assert (gone_through[2][0] == one_by_one[epoch - 3]).all()
    assert (one_by_one[0] != one_by_one[1]).any()


def test_batches_do_not_depend_on_the_order_or_the_thread_in_which_they_are_asked_for() -> None:
    made = batches(FULL, epoch=2)
    in_order = [made[index] for index in range(len(made))]
    other = batches(FULL, epoch=2)
    asked = [3, 0, 2, 1, 1, 3, 0, 2]
    with ThreadPoolExecutor(4) as pool:
        for index, got in zip(asked, pool.map(other.__getitem__, asked), strict=True):
            for ours, theirs in zip(in_order[index], got, strict=True):
                assert (ours == theirs).all()


def test_batches_of_an_epoch_are_varied_differently() -> None:
    """The same samples again and again: only the variation can tell the batches apart."""
    samples = make_samples()
    made = batches(FULL, samples, np.zeros(16, np.int64))
    first, second = made[0][0], made[1][0]
    assert (first != second).any()


def test_samples_that_only_measure_are_as_they_are_in_every_epoch() -> None:
    samples = make_samples(count=90)
    chosen = np.arange(90)[::-1]
    plain = plain_batches(samples, chosen, spec())
    assert [len(one[1]) for one in plain] == [45, 45]
    for epoch in (0, 7):
        plain.start(epoch)
        assert epoch_of(plain, samples) == chosen.tolist()
        assert (np.concatenate([one[1] for one in plain]) == samples.labels[chosen]).all()


def test_samples_to_learn_from_are_varied_and_the_given_ones_are_not_touched() -> None:
    samples = make_samples()
    before = samples.slots.copy()
    plain, full = batches(AS_THEY_ARE, samples), batches(FULL, samples)
    # The order is the same, so is all that is not varied.
    changed = np.concatenate(
        [
            (full[index][0] != plain[index][0]).any(axis=(1, 2, 3, 4, 5))
            for index in range(len(plain))
        ]
    )
    assert 0.5 < changed.mean() < 1  # a quarter is neither varied nor mirrored
    assert (samples.slots == before).all()


def test_weights_are_those_of_the_classes_among_the_chosen() -> None:
    samples = make_samples()
    chosen = np.flatnonzero(samples.labels != 0)
    chosen = np.append(chosen, [0, 1])  # 5 positive, 5 surprise, 2 negative
    made = batches(SampleSettings(augment=False, balance="weights"), samples, chosen)
    _, labels, weights = (np.concatenate(parts) for parts in zip(*made, strict=True))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, np.array([6, 2.4, 2.4])[labels], rtol=1e-6)


def test_smote_balances_the_chosen_and_keeps_them() -> None:
    samples = make_samples()
    chosen = np.arange(24)  # 16 negative, 4 positive, 4 surprise
    made = batches(SampleSettings(augment=False, balance="smote"), samples, chosen)
    signal, labels = (np.concatenate(parts) for parts in zip(*made, strict=True))
    assert np.bincount(labels).tolist() == [16, 16, 16]
    assert signal.dtype == np.uint8
    own = cut(samples.windows(chosen), "triple")
    kept = [(signal == one).all(axis=(1, 2, 3, 4, 5)).sum() for one in own]
    assert kept == [1] * 24


@pytest.mark.parametrize("balance", ["none", "weights", "smote"])
def test_motion_is_float32_and_varied_in_size_only_where_it_is_learned_from(balance: str) -> None:
    samples = make_samples(signal="motion")
    chosen = np.arange(30)
    (plain, _), *rest = plain_batches(samples, chosen, spec("motion"))
    assert not rest
    assert plain.dtype == np.float32
    assert (plain == samples.windows(chosen)).all()
    settings = SampleSettings(augment=True, balance=balance)  # type: ignore[arg-type]
    signal = batches(settings, samples)[0][0]
    assert signal.dtype == np.float32
    assert signal.shape == (7, *spec("motion").window_shape)
    sizes = np.abs(signal).mean(axis=(1, 2, 3, 4, 5))
    assert sizes.max() / sizes.min() > 1.2


def test_keras_trains_on_the_epochs_that_it_is_told_of() -> None:
    """Every batch that the network gets is one of the epoch that has begun, and all of them."""
    samples = make_samples(count=18)
    made = batches(AS_THEY_ARE, samples)
    expected = {
        epoch: [batches(AS_THEY_ARE, samples, epoch=epoch)[index][1] for index in range(3)]
        for epoch in range(3)
    }
    got: list[np.ndarray] = []

    def loss(labels: Any, scores: Any) -> Any:
        got.append(keras.ops.convert_to_numpy(labels).ravel())
        return keras.ops.mean(scores, axis=-1)

    signal = keras.Input(spec().window_shape, dtype="uint8")
    scores = keras.layers.Dense(1)(keras.layers.Lambda(lambda x: x[:, :1, 0, 0, 0, 0])(signal))
    network = keras.Model(signal, scores)
    network.compile("sgd", loss, run_eagerly=True)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: made.start(epoch))
    network.fit(made, epochs=3, verbose=0, shuffle=False, callbacks=[begin])
    wanted = [labels for epoch in range(3) for labels in expected[epoch]]
    assert [one.tolist() for one in got] == [one.tolist() for one in wanted]
