"""Division into training and test: nobody and nothing is on two sides."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from realtime.errors import KilasError
from training.evaluation.protocols import (
    COMPOSITE,
    COMPOSITE_SUBJECTS,
    PROTOCOLS,
    SPLIT_PERCENT,
    Fold,
    check_fold,
    composite_note,
    find_protocol,
    people,
    plan_folds,
)

CLASSES = ("negative", "positive", "surprise")
BY_SUBJECT = ("loso", "leave-subjects-out", "megc2019")


def table(*rows: tuple[str, str], dataset: str = "samm") -> pd.DataFrame:
    """Samples from subject and label."""
    return pd.DataFrame(rows, columns=["subject", "label"]).assign(dataset=dataset)


def composite() -> pd.DataFrame:
    """A composite with the published numbers; each dataset calls its people by the same names."""
    subjects = {"casme2": 24, "samm": 28, "smic": 16}
    rows = [
        (dataset, f"{number % subjects[dataset]:03d}", label)
        for dataset, classes in COMPOSITE.items()
        for number, label in enumerate(label for label, n in classes.items() for _ in range(n))
    ]
    return pd.DataFrame(rows, columns=["dataset", "subject", "label"])


some_samples = st.lists(
    st.tuples(
        st.sampled_from(sorted(COMPOSITE)), st.sampled_from("abcd"), st.sampled_from(CLASSES)
    ),
    min_size=2,
    max_size=50,
).map(lambda rows: pd.DataFrame(rows, columns=["dataset", "subject", "label"]))


def sides(fold: Fold) -> tuple[npt.NDArray[np.int64], ...]:
    return fold.train, fold.validation, fold.test


def names_of(fold: Fold, samples: pd.DataFrame) -> tuple[set[str], ...]:
    return tuple(set(people(samples)[rows].tolist()) for rows in sides(fold))


# The promises of every protocol


@given(
    samples=some_samples,
    protocol=st.sampled_from(sorted(PROTOCOLS)),
    seed=st.integers(0, 9),
    share=st.sampled_from((0.0, 0.1, 0.5)),
    folds=st.integers(2, 5),
)
@settings(max_examples=150, deadline=None)
def test_every_plan_keeps_its_promises(
    samples: pd.DataFrame, protocol: str, seed: int, share: float, folds: int
) -> None:
    usage = np.array(["Training", "Training", "PublicTest", "PrivateTest"])
    samples["usage"] = usage[np.arange(len(samples)) % 4]
    try:
        plan = plan_folds(protocol, samples, seed=seed, validation_share=share, folds=folds)
    except KilasError:
        assume(False)
    assert len({fold.name for fold in plan}) == len(plan)
    for fold in plan:
        check_fold(fold, samples, protocol)
        everything = np.concatenate(sides(fold))
        assert {one.dtype for one in sides(fold)} == {np.dtype(np.int64)}
        assert np.unique(everything).tolist() == list(range(len(samples)))
        if PROTOCOLS[protocol].is_subject_independent:
            train, validation, test = names_of(fold, samples)
            assert not train & validation
            assert not (train | validation) & test
            assert bool(validation) == (share > 0)
    if protocol in BY_SUBJECT:
        tested = np.concatenate([fold.test for fold in plan])
        assert sorted(tested.tolist()) == list(range(len(samples)))
    again = plan_folds(protocol, samples, seed=seed, validation_share=share, folds=folds)
    assert [[one.tolist() for one in sides(fold)] for fold in plan] == [
        [one.tolist() for one in sides(fold)] for fold in again
    ]


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_protocol_can_be_planned_and_says_what_it_is(protocol: str) -> None:
    samples = composite()
    samples["usage"] = np.resize(["Training", "Training", "PublicTest"], len(samples))
    plan = plan_folds(protocol, samples, seed=1, validation_share=0.1)
    counts = {"loso": 68, "megc2019": 68, "leave-subjects-out": 5}
    assert len(plan) == counts.get(protocol, 1)
    validates = SPLIT_PERCENT.get(protocol, (10, 10))[0] > 0
    for fold in plan:
        assert [len(rows) > 0 for rows in sides(fold)] == [True, validates, True]
    chosen = find_protocol(protocol)
    assert (chosen.name, chosen.is_subject_independent) == (protocol, protocol in BY_SUBJECT)
    assert ("not subject-independent" in chosen.statement) == (protocol in SPLIT_PERCENT)


@given(samples=some_samples, order=st.randoms(use_true_random=False), seed=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_rows_decides_nothing_about_people(
    samples: pd.DataFrame, order: object, seed: int
) -> None:
    shuffled = list(range(len(samples)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    mixed = samples.iloc[shuffled]
    for protocol in ("loso", "leave-subjects-out"):
        try:
            plan = plan_folds(protocol, samples, seed=seed, validation_share=0.2, folds=2)
        except KilasError:
            assume(False)
        other = plan_folds(protocol, mixed, seed=seed, validation_share=0.2, folds=2)
        assert [(one.name, names_of(one, samples)) for one in plan] == [
            (one.name, names_of(one, mixed)) for one in other
        ]


# The random splits


@pytest.mark.parametrize(("protocol", "percent"), SPLIT_PERCENT.items())
def test_a_split_divides_each_class_by_itself(protocol: str, percent: tuple[int, int]) -> None:
    samples = table(*[("a", "many")] * 200, *[("b", "few")] * 20)
    (fold,) = plan_folds(protocol, samples, seed=3)
    shares = [Counter(samples["label"].iloc[rows]) for rows in sides(fold)]
    for share, part in zip(shares[1:], percent, strict=True):
        assert share == Counter({"many": 2 * part, "few": 20 * part // 100})
    left = 100 - sum(percent)
    assert shares[0] == {"many": 2 * left, "few": 20 * left // 100}


def test_training_comes_first_where_a_class_is_tiny() -> None:
    sizes = {"of one": 1, "of two": 2, "of three": 3, "of four": 4}
    samples = table(*(("a", label) for label, n in sizes.items() for _ in range(n)))
    (fold,) = plan_folds("split-80-10-10", samples, seed=0)
    divided = {
        label: tuple(int((samples["label"].iloc[rows] == label).sum()) for rows in sides(fold))
        for label in sizes
    }
    assert divided == {
        "of one": (1, 0, 0),
        "of two": (1, 0, 1),
        "of three": (1, 1, 1),
        "of four": (2, 1, 1),
    }


def test_a_split_depends_on_its_seed_and_not_on_other_classes() -> None:
    samples = table(*[("a", "positive"), ("b", "positive")] * 20, *[("a", "negative")] * 20)

    def tested(rows: pd.DataFrame, seed: int) -> list[int]:
        (fold,) = plan_folds("split-80-10-10", rows, seed=seed)
        own = rows.index[fold.test]
        return [n for n in own if n < 40]

    assert len({tuple(tested(samples, seed)) for seed in range(5)}) == 5
    assert tested(samples, 0) == tested(samples[samples["label"] == "positive"], 0)
    interleaved = samples.sort_values("subject", kind="stable")
    assert sorted(tested(interleaved, 0)) == tested(samples, 0)


# Whole subjects


def test_leave_one_subject_out_tests_each_subject_alone() -> None:
    samples = table(("a", "x"), ("b", "x"), ("a", "y"), ("c", "y"), ("b", "y"))
    plan = plan_folds("loso", samples, seed=0)
    assert [(fold.name, fold.test.tolist()) for fold in plan] == [
        ("samm a", [0, 2]),
        ("samm b", [1, 4]),
        ("samm c", [3]),
    ]
    assert [fold.train.tolist() for fold in plan] == [[1, 3, 4], [0, 2, 3], [0, 1, 2, 4]]


def test_a_name_means_somebody_else_in_another_dataset() -> None:
    samples = pd.concat(
        [
            table(("a", "x"), ("a", "x"), dataset="samm"),
            table(("a", "x"), dataset="smic"),
        ]
    )
    assert people(samples).tolist() == ["samm a", "samm a", "smic a"]
    assert [fold.test.tolist() for fold in plan_folds("loso", samples, seed=0)] == [[0, 1], [2]]


def test_groups_are_about_as_even_as_those_of_scikit_learn_and_follow_the_seed() -> None:
    random = np.random.default_rng(0)

    def unevenness(samples: pd.DataFrame, tests: list[npt.NDArray[np.int64]]) -> float:
        shares = [samples["label"].iloc[rows].value_counts() for rows in tests]
        table = pd.DataFrame(shares).reindex(columns=list(CLASSES)).fillna(0)
        return float((table / samples["label"].value_counts()).std(axis=0).mean())

    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(10):
        numbers = random.choice(25, 200, p=random.dirichlet(np.full(25, 2.0)))
        labels = random.choice(CLASSES, 200, p=(0.6, 0.25, 0.15))
        samples = table(*zip((f"{n:02d}" for n in numbers), labels, strict=True))
        plans = [plan_folds("leave-subjects-out", samples, seed=seed) for seed in range(2)]
        tests = [[fold.test for fold in plan] for plan in plans]
        assert {frozenset(map(bytes, own)) for own in tests[:1]} != {
            frozenset(map(bytes, own)) for own in tests[1:]
        }
        ours += [unevenness(samples, own) for own in tests]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with few samples
            split = StratifiedGroupKFold(5).split(labels, labels, numbers)
        theirs.append(unevenness(samples, [test for _, test in split]))
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_as_many_groups_as_subjects_is_leave_one_subject_out() -> None:
    samples = table(*((subject, label) for subject in "abc" for label in ("x", "y")))
    groups = plan_folds("leave-subjects-out", samples, seed=0, folds=3)
    alone = plan_folds("loso", samples, seed=0)
    assert sorted(fold.test.tolist() for fold in groups) == [fold.test.tolist() for fold in alone]


def test_validation_is_a_share_of_the_training_subjects_that_follows_the_fold() -> None:
    samples = table(*((f"{n:02d}", label) for n in range(21) for label in CLASSES))
    plan = plan_folds("loso", samples, seed=0, validation_share=0.2)
    assert {len(names_of(fold, samples)[1]) for fold in plan} == {4}
    assert len({frozenset(names_of(fold, samples)[1]) for fold in plan}) > 15
    least = plan_folds("loso", samples, seed=0, validation_share=0.001)
    assert {len(names_of(fold, samples)[1]) for fold in least} == {1}


@pytest.mark.parametrize("seed", range(10))
def test_validation_takes_no_class_away_from_training_if_it_can(seed: int) -> None:
    # Only a and b show surprise: where one of them is tested, the other must train.
    common = [(subject, label) for subject in "abcde" for label in ("negative", "positive")]
    samples = table(*common, ("a", "surprise"), ("b", "surprise"))
    for fold in plan_folds("loso", samples, seed=seed, validation_share=0.6):
        train, validation, _ = names_of(fold, samples)
        assert "surprise" in set(samples["label"].iloc[fold.train])
        assert 1 <= len(validation) <= 2
        assert train


def test_validation_takes_the_fewest_classes_where_it_must_take_one() -> None:
    # With d tested nobody else can be spared; c is the only one with just one class of his own.
    samples = table(
        *(("a", label) for label in "xy"),
        *(("b", label) for label in "zv"),
        ("c", "w"),
        *(("d", label) for label in "xyzvw"),
    )
    for seed in range(5):
        fold = plan_folds("loso", samples, seed=seed, validation_share=0.3)[-1]
        assert names_of(fold, samples)[1:] == ({"samm c"}, {"samm d"})


# FER2013's parts


def stills(*usages: str) -> pd.DataFrame:
    """As many samples as usages, of nobody in particular."""
    samples = table(*(("", CLASSES[n % 2]) for n in range(len(usages))), dataset="fer2013")
    return samples.assign(usage=usages)


def test_the_official_parts_are_taken_as_they_are() -> None:
    samples = stills(*["Training"] * 4, *["PublicTest"] * 2, *["PrivateTest"] * 2)
    (fold,) = plan_folds("official", samples, seed=0, validation_share=0.25)
    assert [rows.tolist() for rows in sides(fold)] == [[0, 1, 2, 3], [4, 5], [6, 7]]


def test_without_a_private_part_the_public_one_is_tested() -> None:
    samples = stills(*["Training"] * 16, *["PublicTest"] * 4)
    (fold,) = plan_folds("official", samples, seed=0)
    assert [rows.tolist() for rows in sides(fold)] == [[*range(16)], [], [16, 17, 18, 19]]
    (fold,) = plan_folds("official", samples, seed=0, validation_share=0.25)
    assert fold.test.tolist() == [16, 17, 18, 19]
    assert sorted([*fold.train, *fold.validation]) == [*range(16)]
    assert Counter(samples["label"].iloc[fold.validation]) == {"negative": 2, "positive": 2}


def test_a_class_with_a_single_picture_stays_in_training() -> None:
    samples = stills("Training", "Training", "Training", "PublicTest")
    (fold,) = plan_folds("official", samples, seed=0, validation_share=0.5)
    assert 1 in fold.train
    assert len(fold.validation) == 1


# The composite


def test_each_sample_of_the_composite_is_tested_once_by_who_has_not_seen_the_subject() -> None:
    samples = composite()
    plan = plan_folds("megc2019", samples, seed=0, validation_share=0.1)
    assert len(plan) == COMPOSITE_SUBJECTS
    tested = np.concatenate([fold.test for fold in plan])
    assert sorted(tested.tolist()) == list(range(len(samples)))
    for fold in plan:
        train, validation, test = names_of(fold, samples)
        assert test == {fold.name}
        assert len(validation) == 7  # a tenth of 67
        assert train == set(people(samples)) - validation - test
        assert set(samples["dataset"].iloc[fold.train]) == set(COMPOSITE)


def test_the_composite_is_compared_with_the_published_one() -> None:
    samples = composite()
    note = composite_note(samples)
    assert "CASME II 145 of 145 (negative 88 of 88, positive 32 of 32, surprise 25 of 25)" in note
    assert "SAMM 133 of 133 (negative 92 of 92" in note
    assert "SMIC 164 of 164 (negative 70 of 70" in note
    assert f"442 of 442 samples and 68 of {COMPOSITE_SUBJECTS} subjects" in note
    lacking = samples.drop(samples.index[samples["dataset"] == "smic"][:2])
    assert "SMIC 162 of 164 (negative 68 of 70" in composite_note(lacking)
    assert "440 of 442 samples" in composite_note(lacking)


# What cannot be planned


@pytest.mark.parametrize(
    ("protocol", "samples", "settings", "said"),
    [
        ("kfold", table(("a", "x")), {}, "no protocol kfold; there are split-80-10-10, .*official"),
        ("loso", table(("a", "x"), ("a", "y")), {}, "at least 2 subjects and the samples have 1"),
        ("loso", stills("Training"), {}, "fer2013 does not name .*split-80-10-10.*official"),
        ("leave-subjects-out", stills("Training"), {}, "fer2013 does not name the person"),
        ("leave-subjects-out", table(("a", "x"), ("b", "x")), {}, "2 subjects .*5 groups"),
        ("loso", table(("a", "x"), ("b", "x"), ("b", "y")), {}, "tests the class y"),
        ("split-80-10-10", table(("a", "x")), {}, "no sample for test"),
        ("split-80-10-10", table(), {}, "no sample for training"),
        ("loso", table(("a", "x"), ("b", "x")), {"validation_share": 0.1}, "single subject"),
        ("loso", table(("a", "x"), ("b", "x")), {"validation_share": 1.0}, "validation share of 1"),
        ("official", table(("a", "x"), ("b", "x")), {}, "samm has no parts of its own"),
        ("official", stills("", ""), {}, "fer2013 has no parts of its own"),
        ("official", stills("Training", "Test"), {}, "usage 'Test'; .*fer2013.csv .* another"),
        ("official", stills("Training", "PublicTest"), {}, "tests the class positive"),
        ("official", stills("Training", "Training"), {}, "no sample for test"),
        ("megc2019", composite().query("dataset != 'smic'"), {}, "these are of casme2, samm"),
        ("megc2019", composite().replace("positive", "others"), {}, "classes negative, positive"),
        ("megc2019", composite().query("label != 'positive'"), {}, "classes negative, positive"),
    ],
)
def test_what_cannot_be_planned_is_said(
    protocol: str, samples: pd.DataFrame, settings: dict[str, float], said: str
) -> None:
    with pytest.raises(KilasError, match=said):
        plan_folds(protocol, samples, seed=0, **settings)  # type: ignore[arg-type]


def test_an_unknown_subject_among_known_ones_is_no_subject() -> None:
    samples = table(("a", "x"), ("", "x"), ("b", "x"))
    with pytest.raises(KilasError, match="samm does not name the person"):
        plan_folds("loso", samples, seed=0)
    with pytest.raises(KilasError, match="samm does not name the person"):
        plan_folds("loso", samples.replace("", None), seed=0)


@pytest.mark.parametrize(
    ("train", "validation", "test", "said"),
    [
        ([0, 1], [], [2], "subject samm b in training and in test"),
        ([0], [1], [2], "subject samm b in validation and in test"),
        ([0, 1], [2], [3], "subject samm b in training and in validation"),
        ([0], [], [0, 3], "sample 0 twice"),
        ([0, 0], [], [3], "sample 0 twice"),
        ([0], [3], [3], "sample 3 twice"),
        ([0], [], [-1], "not of these 4 samples"),
        ([0], [], [4], "not of these 4 samples"),
        ([0], [1], [], "no sample for test"),
        ([], [1], [0], "no sample for training"),
    ],
)
def test_a_fold_that_would_flatter_is_refused(
    train: list[int], validation: list[int], test: list[int], said: str
) -> None:
    samples = table(("a", "x"), ("b", "x"), ("b", "x"), ("c", "x"))
    fold = Fold("one", *(np.array(rows, np.int64) for rows in (train, validation, test)))
    with pytest.raises(KilasError, match=said):
        check_fold(fold, samples, "loso")
    if "subject" in said:
        check_fold(fold, samples, "split-80-10-10")
