"""Weights of the classes against scikit-learn's, and what SMOTE makes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from realtime.errors import KilasError
from training.batches.balancing import class_weights, smote

CLASSES = ("negative", "positive", "surprise")


@given(
    st.lists(st.integers(0, 2), min_size=3, max_size=80).filter(lambda own: set(own) == {0, 1, 2})
)
def test_weights_are_those_of_scikit_learn_times_the_number_of_classes(own: list[int]) -> None:
    labels = np.array(own)
    weights = class_weights(labels, CLASSES)
    assert weights.dtype == np.float32
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights, 3 * balanced, rtol=1e-6)
    # Every class weighs as much as all samples do without weights.
    np.testing.assert_allclose(np.bincount(labels, weights[labels]), len(labels), rtol=1e-5)


def test_weights_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    assert class_weights(labels, CLASSES).tolist() == pytest.approx([8 / 5, 4, 8])


def test_a_class_without_a_sample_is_named() -> None:
    with pytest.raises(KilasError, match="positive has 0"):
        class_weights(np.array([0, 2, 2]), CLASSES)


def clips(counts: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 3, 8, 8] in random order, with a brightness of its own for each class."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    levels = random.integers(0, 60, (len(labels), 3, 8, 8)) + 90 * labels[:, None, None, None]
    return levels.astype(np.uint8), labels


@pytest.mark.parametrize("counts", [(20, 7, 2), (9, 9, 3), (5, 5, 5)])
def test_smote_makes_all_classes_as_large_as_the_largest(counts: tuple[int, ...]) -> None:
    own, labels = clips(counts)
    made, made_labels = smote(own, labels, CLASSES, seed=1)
    assert np.bincount(made_labels).tolist() == [max(counts)] * 3
    assert (made.dtype, made.shape) == (np.uint8, (3 * max(counts), 3, 8, 8))
    assert (made[: len(own)] == own).all()
    assert (made_labels[: len(own)] == labels).all()


def test_new_clips_lie_between_two_of_their_class() -> None:
    own, labels = clips((20, 7, 3))
    made, made_labels = smote(own, labels, CLASSES, seed=1)
    new = list(zip(made[len(own) :], made_labels[len(own) :], strict=True))
    assert len(new) == 13 + 17
    assert len(np.unique(made[len(own) :].reshape(len(new), -1), axis=0)) > 20
    for clip, label in new:
        same = own[labels == label].astype(float)
        off = []
        for one, other in itertools.permutations(same, 2):
            line = other - one
            along = ((clip - one) * line).sum() / (line * line).sum()
            if 0 <= along <= 1:
                off.append(np.abs(clip - (one + along * line)).max())
        # Half a gray level is the rounding, which also moves `along` a little.
        assert min(off) < 1


def test_smote_follows_from_its_seed() -> None:
    own, labels = clips((12, 4, 4))
    first, second, other = (smote(own, labels, CLASSES, seed)[0] for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


def test_smote_of_motion_is_not_rounded() -> None:
    own, labels = clips((6, 3, 3))
    made, _ = smote((own / 100).astype(np.float16), labels, CLASSES, seed=1)
    assert made.dtype == np.float16
    assert (made != np.rint(made)).any()


@pytest.mark.parametrize("counts", [(20, 7, 1), (3, 1, 3)])
def test_a_class_with_one_clip_is_named(counts: tuple[int, ...]) -> None:
    own, labels = clips(counts)
    with pytest.raises(KilasError, match=f"{CLASSES[counts.index(1)]} has 1"):
        smote(own, labels, CLASSES, seed=1)
