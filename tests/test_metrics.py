"""Figures of spotting and recognition, against hand-computed cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score

from training.metrics import Counts, detection, estimates, iou, match, rates, recognition


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


def counts(clips: list[tuple[int, int, int]]) -> Counts:
    """Of clips of one minute each: right ones, missed ones (both of class 0) and false ones."""
    right, missed, false = np.array(clips, float).T
    confusion = np.zeros((len(clips), 2, 2))
    confusion[:, 0, 0] = right
    return Counts(confusion, np.stack([missed, 0 * missed], axis=1), false, np.full_like(right, 60))


some_clips = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8
)


@given(some_clips)
def test_rates_are_those_of_the_pooled_counts(clips: list[tuple[int, int, int]]) -> None:
    right, missed, false = map(sum, zip(*clips, strict=True))
    figures = rates(counts(clips).pooled(np.ones(len(clips))))
    assert (figures.precision, figures.recall, figures.f1) == detection(
        right, right + missed, right + false
    )
    assert figures.false_per_minute == pytest.approx(false / len(clips))
    assert figures.uf1 == recognition(np.diag([right, 0]), np.array([missed, 0])).uf1


@given(some_clips)
def test_many_drawn_sets_at_once_are_what_each_would_be_alone(
    clips: list[tuple[int, int, int]],
) -> None:
    weights = np.random.default_rng(0).integers(0, 3, (5, len(clips))).astype(float)
    together = rates(counts(clips).pooled(weights))
    for number, one in enumerate(weights):
        alone = rates(counts(clips).pooled(one))
        for name, figure in together._asdict().items():
            assert figure[number] == pytest.approx(getattr(alone, name))


def test_people_are_drawn_with_all_their_clips() -> None:
    # One person is always spotted, the other never: with two people a draw has none, one or both.
    clips = [(4, 0, 0)] * 5 + [(0, 4, 0)] * 5
    by_person = estimates(counts(clips), np.array(["a"] * 5 + ["b"] * 5))["recall"]
    by_clip = estimates(counts(clips), np.array(list("abcdefghij")))["recall"]
    assert (by_person.value, by_person.low, by_person.high) == (0.5, 0.0, 1.0)
    assert by_clip.low is not None
    assert by_clip.high is not None
    assert 0.0 < by_clip.low < 0.5 < by_clip.high < 1.0


def test_the_bootstrap_agrees_with_the_binomial() -> None:
    # 100 people with one micro-expression each, 80 spotted: standard error .04.
    figures = estimates(counts([(1, 0, 0)] * 80 + [(0, 1, 0)] * 20), np.arange(100).astype(str))
    assert figures["recall"].low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.015)
    assert figures["recall"].high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.015)


def test_one_person_has_no_interval_and_no_truth_no_figure() -> None:
    alone = estimates(counts([(1, 1, 1), (1, 0, 0)]), np.array(["a", "a"]))["f1"]
    assert alone.value == pytest.approx(2 * 2 / (3 + 3))
    assert (alone.low, alone.high) == (None, None)
    figures = estimates(counts([(0, 0, 1), (0, 0, 0)]), np.array(["a", "b"]))
    assert figures["f1"].value is None
    assert figures["false_per_minute"].value == pytest.approx(0.5)


def test_no_truth_at_all_gives_zero_means() -> None:
    figures = recognition(np.zeros((2, 2)), np.zeros(2))
    assert (figures.uf1, figures.uar) == (0.0, 0.0)
