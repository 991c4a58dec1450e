"""Figures of spotting and recognition, against hand-computed cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from training.evaluation.metrics import (
    RECOGNITION_METRICS,
    Counts,
    Interval,
    counts_by_subject,
    detection,
    estimates,
    iou,
    match,
    rates,
    recognition,
)

CLASSES = ("negative", "positive", "surprise")


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


spans = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda span: tuple(sorted(span)))


@given(spans, spans)
def test_overlap_in_time_is_the_overlap_of_frames(a: tuple[int, int], b: tuple[int, int]) -> None:
    frames_a, frames_b = set(range(a[0], a[1] + 1)), set(range(b[0], b[1] + 1))
    expected = len(frames_a & frames_b) / len(frames_a | frames_b)
    assert iou((a[0] / 30, (a[1] + 1) / 30), (b[0] / 30, (b[1] + 1) / 30)) == pytest.approx(
        expected
    )


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


some_answers = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES), st.sampled_from("abcd")),
    min_size=1,
    max_size=60,
)
"""Truth, what was said, and who it was; any class may lack a truth or never be said."""


# scikit-learn warns of what it cannot divide; here nothing may.
@pytest.mark.filterwarnings("error", "ignore::UserWarning:sklearn")
@given(some_answers)
def test_recognition_equals_scikit_learn(answers: list[tuple[str, str, str]]) -> None:
    labels, said, subjects = zip(*answers, strict=True)
    counts, names = counts_by_subject(labels, said, subjects, CLASSES)
    pooled = counts.pooled(np.ones(len(names)))
    assert pooled.confusion.tolist() == confusion_matrix(labels, said, labels=CLASSES).tolist()

    figures = recognition(pooled.confusion, pooled.missed)
    each = {"labels": CLASSES, "average": None, "zero_division": 0}
    assert figures.precision == pytest.approx(precision_score(labels, said, **each))
    assert figures.recall == pytest.approx(recall_score(labels, said, **each))
    assert figures.f1 == pytest.approx(f1_score(labels, said, **each))
    macro = {"average": "macro", "zero_division": 0}
    assert figures.uf1 == pytest.approx(f1_score(labels, said, **macro))
    assert figures.macro_precision == pytest.approx(precision_score(labels, said, **macro))
    assert figures.uar == pytest.approx(balanced_accuracy_score(labels, said))

    found = {name: one.value for name, one in estimates(counts, names).items()}
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, said))
    assert found["error_rate"] == pytest.approx(1 - accuracy_score(labels, said))
    assert (found["uf1"], found["uar"], found["macro_precision"]) == (
        figures.uf1,
        figures.uar,
        figures.macro_precision,
    )


def test_missed_ones_are_errors_of_their_class() -> None:
    figures = recognition(np.diag([2, 3]), np.array([2, 0]))
    assert figures.recall.tolist() == [0.5, 1.0]
    assert figures.f1.tolist() == [pytest.approx(2 / 3), 1.0]


def test_a_class_without_a_truth_is_left_out_of_the_means() -> None:
    figures = recognition(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]]), np.zeros(3, np.int64))
    assert figures.uf1 == 1.0
    assert figures.uar == 1.0
    assert figures.macro_precision == 1.0


def test_a_class_that_was_only_said_has_no_recall_but_an_f1_of_0() -> None:
    figures = recognition(np.array([[1, 0, 1], [0, 2, 0], [0, 0, 0]]), np.zeros(3, np.int64))
    assert figures.f1.tolist() == [pytest.approx(2 / 3), 1.0, 0.0]
    assert figures.uf1 == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert figures.macro_precision == pytest.approx((1 + 1 + 0) / 3)
    assert figures.uar == pytest.approx((1 / 2 + 1) / 2)


def test_folds_are_pooled_and_not_averaged() -> None:
    # The fold of ann: negative 3 of 3, surprise 0 of 1 (said negative); that of ben: surprise 1
    # of 1. Of its own, ann's fold has a macro F1 of 3/7 (6/7 and 0), ben's of 1: in the mean 5/7.
    labels = ["negative"] * 3 + ["surprise"] * 2
    said = ["negative"] * 4 + ["surprise"]
    subjects = ["ann"] * 4 + ["ben"]
    counts, names = counts_by_subject(labels, said, subjects, CLASSES)
    assert names.tolist() == ["ann", "ben"]
    own = [rates(counts.pooled(np.eye(2)[n])) for n in range(2)]
    assert [one.uf1 for one in own] == [pytest.approx(3 / 7), 1.0]

    found = {name: one.value for name, one in estimates(counts, names).items()}
    assert found["uf1"] == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert found["uar"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["macro_precision"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["error_rate"] == pytest.approx(1 / 5)


def test_intervals_of_recognition_are_over_subjects() -> None:
    # Nine samples of one person are all right, the one of the other is wrong.
    counts, names = counts_by_subject(
        ["negative"] * 10, ["negative"] * 9 + ["positive"], ["ann"] * 9 + ["ben"], CLASSES
    )
    figures = estimates(counts, names)
    accuracy, error_rate = figures["accuracy"], figures["error_rate"]
    assert (accuracy.value, accuracy.low, accuracy.high) == (0.9, 0.0, 1.0)
    assert (error_rate.value, error_rate.low, error_rate.high) == (pytest.approx(0.1), 0.0, 1.0)
    assert set(RECOGNITION_METRICS) <= figures.keys()
    assert figures["false_per_minute"].value == 0.0


def test_an_answer_for_each_sample_of_a_known_class() -> None:
    with pytest.raises(ValueError, match="shorter"):
        counts_by_subject(["negative"] * 2, ["negative"], ["ann"] * 2, CLASSES)
    with pytest.raises(KeyError, match="joy"):
        counts_by_subject(["joy"], ["negative"], ["ann"], CLASSES)


def test_nothing_tested_gives_no_figure() -> None:
    figures = estimates(*counts_by_subject([], [], [], CLASSES))
    assert {figures[name].value for name in RECOGNITION_METRICS} == {None}


Named = tuple[Interval, str]


def counts_of_videos(videos: list[tuple[list[Named], list[Named]]]) -> Counts:
    """Counts of videos of one minute each, given by what is true and what was spotted in them."""
    place = {name: number for number, name in enumerate(CLASSES)}
    size = (len(videos), len(CLASSES))
    confusion, missed, false = np.zeros((*size, len(CLASSES))), np.zeros(size), np.zeros(size[0])
    for video, (truth, spotted) in enumerate(videos):
        pairs = match([span for span, _ in truth], [span for span, _ in spotted])
        for i, j in pairs:
            confusion[video, place[truth[i][1]], place[spotted[j][1]]] += 1
        for i in set(range(len(truth))) - {i for i, _ in pairs}:
            missed[video, place[truth[i][1]]] += 1
        false[video] = len(spotted) - len(pairs)
    return Counts(confusion, missed, false, np.full(len(videos), 60.0))


def test_spotting_and_strs_of_a_set_of_videos_by_hand() -> None:
    right, wrong = ((1.0, 1.4), "negative"), ((5.0, 5.3), "positive")
    videos: list[tuple[list[Named], list[Named]]] = [
        # ann: one found, one missed, one made up
        ([right, ((3.0, 3.4), "positive")], [right, wrong]),
        # ann: nothing to find, one made up
        ([], [wrong]),
        # ben: nothing was spotted at all
        ([((2.0, 2.4), "surprise"), ((4.0, 4.4), "negative")], []),
        # cid: both found, one taken for something else; no interval is matched twice
        (
            [((1.0, 1.5), "positive"), ((2.0, 2.5), "positive")],
            [((1.0, 1.5), "positive"), ((2.0, 2.4), "negative")],
        ),
    ]
    counts, subjects = counts_of_videos(videos), np.array(["ann", "ann", "ben", "cid"])
    found = {name: one.value for name, one in estimates(counts, subjects).items()}
    # A = 3 true positives, M = 6 truths, N = 5 spotted
    assert found["recall"] == pytest.approx(3 / 6)
    assert found["precision"] == pytest.approx(3 / 5)
    assert found["f1"] == pytest.approx(2 * (3 / 6) * (3 / 5) / (3 / 6 + 3 / 5))
    assert found["false_per_minute"] == pytest.approx(2 / 4)
    # Of the three: negative 1 hit, 1 falsely; positive 1 hit, 1 not; surprise was never spotted.
    assert found["strs"] == pytest.approx(6 / 11 * (2 / 3 + 2 / 3 + 0) / 3)
    # Missed ones as errors: negative 1 of 2, positive 1 of 3, surprise 0 of 1.
    assert found["accuracy"] == pytest.approx(2 / 6)
    assert found["error_rate"] == pytest.approx(4 / 6)
    assert found["uar"] == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert found["uf1"] == pytest.approx((2 / 4 + 2 / 4 + 0) / 3)

    quiet = estimates(counts_of_videos([videos[0], *videos[2:]]), subjects[1:])
    assert quiet["precision"].value == pytest.approx(3 / 4)
    without_ben = counts_of_videos([*videos[:2], videos[3]])
    assert estimates(without_ben, subjects[[0, 1, 3]])["recall"].value == pytest.approx(3 / 4)


def counts(clips: list[tuple[int, int, int]]) -> Counts:
    """Counts of one-minute clips: right ones, missed ones (both of class 0) and false ones."""
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
