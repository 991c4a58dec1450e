"""Figures of spotting and recognition, against hand-computed cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score

from training.metrics import detection, iou, match, recognition


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0.0, 1.0), (0.0, 1.0), 1.0),
        ((0.0, 1.0), (0.5, 1.5), 1 / 3),
        ((0.0, 1.0), (0.25, 0.75), 0.5),
        ((0.0, 1.0), (1.0, 2.0), 0.0),
        ((0.0, 1.0), (2.0, 3.0), 0.0),
    ],
)
def test_iou(a: tuple[float, float], b: tuple[float, float], expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected)
    assert iou(b, a) == pytest.approx(expected)


def test_each_truth_and_each_spot_is_matched_once_and_the_best_first() -> None:
    truth = [(0.0, 1.0), (2.0, 3.0)]
    spotted = [(0.0, 0.6), (0.05, 1.0), (2.4, 3.4), (5.0, 6.0)]
    assert match(truth, spotted) == [(0, 1)]
    assert match(truth, spotted, least=0.4) == [(0, 1), (1, 2)]


def test_an_overlap_of_exactly_a_half_counts() -> None:
    assert match([(0.0, 1.0)], [(0.0, 0.5)]) == [(0, 0)]


def test_detection_by_hand() -> None:
    figures = detection(matched=3, truths=6, spotted=4)
    assert figures == (0.75, 0.5, pytest.approx(0.6))
    assert detection(0, 0, 0) == (0.0, 0.0, 0.0)
    assert detection(0, 5, 0) == (0.0, 0.0, 0.0)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60).filter(
        lambda pairs: {truth for truth, _ in pairs} == {0, 1, 2}
    )
)
def test_recognition_equals_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    confusion = np.zeros((3, 3), np.int64)
    for truth, said in pairs:
        confusion[truth, said] += 1
    truths, saids = zip(*pairs, strict=True)
    figures = recognition(confusion, np.zeros(3, np.int64))
    assert figures.uf1 == pytest.approx(f1_score(truths, saids, average="macro"))
    assert figures.uar == pytest.approx(recall_score(truths, saids, average="macro"))


def test_missed_ones_are_errors_of_their_class() -> None:
    figures = recognition(np.diag([2, 3]), np.array([2, 0]))
    assert figures.recall.tolist() == [0.5, 1.0]
    assert figures.f1.tolist() == [pytest.approx(2 / 3), 1.0]


def test_a_class_without_a_truth_is_left_out_of_the_means() -> None:
    figures = recognition(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]]), np.zeros(3, np.int64))
    assert figures.uf1 == 1.0
    assert figures.uar == 1.0
