"""Protocols of the field and of the dissertation, which divide samples into training and test.

A table of samples, a row for each, becomes folds: rows to train on, rows to choose the epoch by and
rows to test. Nothing else decides that, and every fold is checked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.errors import KilasError

Rows = npt.NDArray[np.int64]
"""Row numbers of samples in their table, from 0, in order."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Protocol by which samples are divided into training and test.

    `statement`: text on it in every report. `is_subject_independent`: true if no tested person was
    seen in training.
    """

    name: str
    title: str
    statement: str
    is_subject_independent: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """Fold: a training and its test. `name` is unique in its plan; `validation` may be empty."""

    name: str
    train: Rows
    validation: Rows
    test: Rows


SPLIT_PERCENT = {
    **{"split-80-10-10": (10, 10), "split-70-15-15": (15, 15)},
    "split-80-20": (0, 20),
}
"""Percent of each class for validation and for test: the splits of the dissertation and of the
FER2013 paper."""


def _split_protocol(name: str, validated: int, tested: int) -> Protocol:
    sides = (("training", 100 - validated - tested), ("validation", validated), ("test", tested))
    shares = ":".join(str(percent) for _, percent in sides if percent)
    into = " and ".join(", ".join(side for side, percent in sides if percent).rsplit(", ", 1))
    return Protocol(
        name,
        title=f"Random split by sample, {shares}",
        statement=(
            f"The samples of each class were divided at random into {into}, "
            f"{shares}. This is not subject-independent: one person can be on all sides, so "
            "the metrics do not hold for people whom the network has never seen."
        ),
        is_subject_independent=False,
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        *(_split_protocol(name, *percent) for name, percent in SPLIT_PERCENT.items()),
        Protocol(
            "loso",
            title="Leave one subject out",
            statement=(
                "Each subject was tested by a network that was trained on the others; the counts "
                "of all folds are pooled."
            ),
            is_subject_independent=True,
        ),
        Protocol(
            "leave-subjects-out",
            title="Leave groups of subjects out",
            statement=(
                "The subjects form groups with classes as even as possible, and each group was "
                "tested by a network that was trained on the others; the counts of all folds are "
                "pooled."
            ),
            is_subject_independent=True,
        ),
        Protocol(
            "megc2019",
            title="MEGC 2019 composite, leave one subject out",
            statement=(
                "CASME II, SAMM and SMIC together, in the classes negative, positive and surprise: "
                "each subject was tested by a network that was trained on all others, of all three "
                "datasets; the counts of all folds are pooled."
            ),
            is_subject_independent=True,
        ),
        Protocol(
            "official",
            title="The dataset's own parts",
            statement=(
                "FER2013's own parts: trained on Training, tested on PrivateTest with PublicTest "
                "for validation, or tested on PublicTest where the data has no PrivateTest. The "
                "dataset does not name the people in the pictures, so this is not known to be "
                "subject-independent."
            ),
            is_subject_independent=False,
        ),
    )
}

USAGES = ("Training", "PublicTest", "PrivateTest")
"""Values of the column `usage`: FER2013's names of its parts."""

COMPOSITE = {
    "casme2": {"negative": 88, "positive": 32, "surprise": 25},
    "samm": {"negative": 92, "positive": 26, "surprise": 15},
    "smic": {"negative": 70, "positive": 51, "surprise": 43},
}
"""Published number of samples of each class in each dataset of the composite (MEGC 2019)."""

COMPOSITE_TITLES = {"casme2": "CASME II", "samm": "SAMM", "smic": "SMIC"}
"""Usual names of these datasets."""

COMPOSITE_SUBJECTS = 68
"""Published number of subjects of the composite (MEGC 2019)."""


@dataclass(frozen=True, slots=True)
class _Subjects:
    """Subjects of the samples.

    `names`: [P], in order. `of_sample`: int64 [N], place in `names`. `shown`: int64 [P, C], number
    of samples of each class of each subject.
    """

    names: npt.NDArray[np.str_]
    of_sample: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Return all samples of the chosen subjects, bool [P]."""
        return np.flatnonzero(chosen[self.of_sample])


def find_protocol(name: str) -> Protocol:
    """Find a protocol by its name. Raises KilasError when there is none of this name."""
    if name not in PROTOCOLS:
        raise KilasError(f"There is no protocol {name}; there are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def people(samples: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return the person in each sample, [N]; empty where the dataset does not name the person.

    Names are dataset and subject, because a subject's name means another person in another dataset.
    """
    subjects = samples["subject"].fillna("").astype(str)
    names = samples["dataset"].astype(str) + " " + subjects
    return names.where(subjects != "", "").to_numpy(np.str_)


def plan_folds(
    protocol: str,
    samples: pd.DataFrame,
    *,
    seed: int,
    validation_share: float = 0.0,
    folds: int = 5,
) -> list[Fold]:
    """Plan the folds of a protocol, each checked by `check_fold`.

    `samples`: `dataset, subject, label`, and `usage` (USAGES) for `official`.

    `validation_share`: 0 for no validation part. Of a subject-independent protocol it is a share of
    the training subjects, at least one; fewer than the share where training would else lack a
    class. The splits have their own share. `official` takes it from Training, where PublicTest is
    the test. `folds`: number of groups of `leave-subjects-out`.

    A plan follows from protocol, samples and seed. The order of the rows has no effect, except for
    rows of the same subject and class where samples are divided and not subjects.

    Raises KilasError when the protocol is unknown or the samples do not suit it.

    Example:
        samples = pd.DataFrame({"dataset": "own", "subject": list("aabb"), "label": list("pnpn")})
        plan_folds("loso", samples, seed=1)  # a fold for each of the subjects a and b
    """
    chosen = find_protocol(protocol)
    if not 0 <= validation_share < 1:
        raise KilasError(
            f"A validation share of {validation_share:g} is impossible; give a share from 0 to "
            "below 1."
        )
    if protocol == "megc2019":
        _check_composite(samples)
    if protocol in SPLIT_PERCENT:
        plan = [_split(samples, *SPLIT_PERCENT[protocol], seed)]
    elif protocol == "official":
        plan = [_official(samples, validation_share, seed)]
    else:
        subjects = _subjects(samples, chosen)
        everyone = np.arange(len(subjects.names))
        if protocol == "leave-subjects-out":
            groups = _even_groups(subjects.shown, folds, seed)
            tested = {f"group {n + 1}": groups == n for n in range(folds)}
        else:
            tested = {str(name): everyone == n for n, name in enumerate(subjects.names)}
        plan = [
            _leave_out(name, out, subjects, validation_share, _random(seed, name))
            for name, out in tested.items()
        ]
    for fold in plan:
        check_fold(fold, samples, protocol)
    _check_classes(plan, samples)
    return plan


def check_fold(fold: Fold, samples: pd.DataFrame, protocol: str) -> None:
    """Check a fold against its protocol.

    Raises KilasError when a sample is on two sides of the fold or twice on the same side, there is
    nothing to train on or to test, or the protocol is subject-independent and a subject is on two
    sides or unknown.
    """
    chosen = find_protocol(protocol)
    sides = {"training": fold.train, "validation": fold.validation, "test": fold.test}
    for side in ("training", "test"):
        if not len(sides[side]):
            raise KilasError(
                f"The fold {fold.name} of {protocol} has no sample for {side}; give more samples."
            )
    rows, times = np.unique(np.concatenate(list(sides.values())), return_counts=True)
    if rows[0] < 0 or rows[-1] >= len(samples):
        raise KilasError(
            f"The fold {fold.name} is not of these {len(samples)} samples; plan it with them."
        )
    if times.max() > 1:
        raise KilasError(
            f"The fold {fold.name} has sample {rows[times.argmax()]} twice; plan it again."
        )
    if not chosen.is_subject_independent:
        return
    who = _known_people(samples, chosen)
    seen: dict[str, str] = {}
    for side, own in sides.items():
        for name in np.unique(who[own]).tolist():
            if name in seen:
                raise KilasError(
                    f"The fold {fold.name} has the subject {name} in {seen[name]} and in {side}, "
                    f"but {protocol} is subject-independent; plan it again."
                )
            seen[name] = side


def composite_note(samples: pd.DataFrame) -> str:
    """Compare the samples with the published MEGC 2019 composite, dataset by dataset.

    `samples`: as for `plan_folds`. Returns a sentence for reports.
    """
    found = samples.groupby(["dataset", "label"]).size().to_dict()
    parts: list[str] = []
    for dataset, published in COMPOSITE.items():
        own = {label: found.get((dataset, label), 0) for label in published}
        classes = ", ".join(f"{label} {own[label]} of {n}" for label, n in published.items())
        all_classes = f"{sum(own.values())} of {sum(published.values())}"
        parts.append(f"{COMPOSITE_TITLES[dataset]} {all_classes} ({classes})")
    total = sum(sum(published.values()) for published in COMPOSITE.values())
    subjects = len(np.unique(people(samples)))
    return (
        f"Of the published composite: {'; '.join(parts)}; together {len(samples)} of {total} "
        f"samples and {subjects} of {COMPOSITE_SUBJECTS} subjects."
    )


def _random(seed: int, name: str) -> np.random.Generator:
    """Return a random generator of its own for a fold or class, whatever others there are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _known_people(samples: pd.DataFrame, protocol: Protocol) -> npt.NDArray[np.str_]:
    """Return the person in each sample as `people` does. Raises KilasError if any is unknown."""
    who = people(samples)
    if (who == "").any():
        dataset = samples["dataset"].to_numpy()[(who == "").argmax()]
        others = ", ".join(
            name for name, other in PROTOCOLS.items() if not other.is_subject_independent
        )
        raise KilasError(
            f"{dataset} does not name the person in each sample, which {protocol.name} needs; take "
            f"another protocol: {others}."
        )
    return who


def _subjects(samples: pd.DataFrame, protocol: Protocol) -> _Subjects:
    """Collect the subjects. Raises KilasError when any is unknown or there are fewer than two."""
    names, of_sample = np.unique(_known_people(samples, protocol), return_inverse=True)
    if len(names) < 2:
        raise KilasError(
            f"{protocol.name} needs at least 2 subjects and the samples have {len(names)}; give "
            "those of more people."
        )
    classes, of_class = np.unique(samples["label"].to_numpy(np.str_), return_inverse=True)
    shown = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(shown, (of_sample, of_class), 1)
    return _Subjects(names, of_sample, shown)


def _even_groups(shown: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Divide the subjects into groups with even classes; return each subject's group, [P].

    Groups are numbered from 0. `shown`: [P, C], see `_Subjects`. Each subject, those with most
    samples first, joins the group that has least of its classes: the greedy way of scikit-learn's
    StratifiedGroupKFold, which up to 1.7 mixes up the subjects' samples when it shuffles and may
    leave a group empty.
    """
    if not 2 <= folds <= len(shown):
        raise KilasError(
            f"{len(shown)} subjects cannot form {folds} groups; ask for 2 to {len(shown)}."
        )
    share = shown / shown.sum(axis=0)
    held = np.zeros((folds, shown.shape[1]))
    groups = np.empty(len(shown), np.int64)
    order = np.random.default_rng(seed).permutation(len(shown))
    # Subjects whose numbers of samples are within a factor of two keep the seed's order.
    size = np.floor(np.log2(shown.sum(axis=1)))
    for subject in order[np.argsort(-size[order], kind="stable")]:
        likeness = held @ share[subject]
        groups[subject] = np.lexsort((held.sum(axis=1), likeness))[0]
        held[groups[subject]] += share[subject]
    return groups


def _leave_out(
    name: str,
    tested: npt.NDArray[np.bool_],
    subjects: _Subjects,
    validation_share: float,
    random: np.random.Generator,
) -> Fold:
    """Return the fold that tests these subjects, bool [P]."""
    validated = np.zeros_like(tested)
    others = np.flatnonzero(~tested)
    if validation_share > 0:
        chosen = _for_validation(subjects.shown[others], validation_share, random)
        validated[others[chosen]] = True
    return Fold(
        name,
        train=subjects.rows(~tested & ~validated),
        validation=subjects.rows(validated),
        test=subjects.rows(tested),
    )


def _for_validation(
    shown: npt.NDArray[np.int64], share: float, random: np.random.Generator
) -> list[int]:
    """Draw the training subjects that choose the epoch, at least one.

    `shown`: [P, C], see `_Subjects`. A subject without whom training would lack a class is passed
    over, so there may be fewer than the share. Only where nobody can be spared is it a subject that
    takes the fewest classes away.
    """
    if len(shown) < 2:
        raise KilasError(
            "A fold has a single subject to train on, so none can be put aside for validation; "
            "give the samples of more people or a validation share of 0."
        )
    wanted = max(1, round(share * len(shown)))
    order = random.permutation(len(shown))
    staying = shown.sum(axis=0)
    chosen: list[int] = []
    for subject in order:
        rest = staying - shown[subject]
        if len(chosen) < wanted and ((rest > 0) | (staying == 0)).all():
            chosen.append(int(subject))
            staying = rest
    if not chosen:
        lost = ((shown > 0) & (shown == staying)).sum(axis=1)
        chosen.append(int(order[lost[order].argmin()]))
    return chosen


def _rows_of_classes(samples: pd.DataFrame) -> Iterator[tuple[str, Rows]]:
    """Yield each class and its samples, those of the same subject together."""
    who, labels = people(samples), samples["label"].to_numpy(np.str_)
    by_subject = np.argsort(who, kind="stable")
    for label in np.unique(labels).tolist():
        yield label, by_subject[labels[by_subject] == label]


def _split(samples: pd.DataFrame, validated: int, tested: int, seed: int) -> Fold:
    """Split the samples of each class at random, by percent for validation and for test.

    Each part has at least one sample, unless its percentage is 0. But training comes first, then
    the test: of one sample of a class nothing is tested, of two nothing validates.
    """
    train: list[Rows] = []
    validation: list[Rows] = []
    test: list[Rows] = []
    for label, rows in _rows_of_classes(samples):
        drawn = _random(seed, label).permutation(rows)
        wanted = [max(1, round(percent * len(rows) / 100)) for percent in (tested, validated)]
        end = min(wanted[0], len(rows) - 1)
        second = min(wanted[1] if validated else 0, len(rows) - 1 - end)
        test.append(drawn[:end])
        validation.append(drawn[end : end + second])
        train.append(drawn[end + second :])
    return Fold("split", _joined(train), _joined(validation), _joined(test))


def _joined(parts: list[Rows]) -> Rows:
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def _official(samples: pd.DataFrame, validation_share: float, seed: int) -> Fold:
    """Return the fold of the dataset's own parts: see the statement of the protocol.

    Where PublicTest is the test, the validation part is this share of each class of Training, which
    keeps at least one sample.
    """
    usage = samples.get("usage", pd.Series("", samples.index)).fillna("").to_numpy(np.str_)
    if not (usage != "").any():
        raise KilasError(
            f"{samples['dataset'].iloc[0]} has no parts of its own to train and test on; take "
            "another protocol than official."
        )
    strange = sorted(set(usage.tolist()) - set(USAGES))
    if strange:
        raise KilasError(
            f"The samples have the usage {strange[0]!r}; official knows {', '.join(USAGES)}, as "
            "fer2013.csv calls them, so prepare that table, or take another protocol than official."
        )
    train, public, private = (np.flatnonzero(usage == name) for name in USAGES)
    if len(private):
        return Fold("official", train, public, private)
    validation: list[Rows] = []
    if validation_share > 0:
        for label, rows in _rows_of_classes(samples):
            own = rows[usage[rows] == USAGES[0]]
            share = min(max(1, round(validation_share * len(own))), max(0, len(own) - 1))
            validation.append(_random(seed, label).permutation(own)[:share])
    validated = _joined(validation)
    return Fold("official", np.setdiff1d(train, validated), validated, public)


def _check_composite(samples: pd.DataFrame) -> None:
    """Check that these are the three datasets in the three classes. Raises KilasError."""
    datasets = sorted(set(samples["dataset"]))
    if datasets != sorted(COMPOSITE):
        raise KilasError(
            f"megc2019 needs samples of {', '.join(sorted(COMPOSITE))} and of no other dataset; "
            f"these are of {', '.join(datasets)}."
        )
    classes = sorted(set(samples["label"]))
    wanted = sorted({label for published in COMPOSITE.values() for label in published})
    if classes != wanted:
        raise KilasError(
            f"megc2019 has the classes {', '.join(wanted)}, the samples {', '.join(classes)}; "
            'take the classes "megc".'
        )


def _check_classes(plan: list[Fold], samples: pd.DataFrame) -> None:
    """Check that each class can be trained on in a fold that tests it. Raises KilasError.

    Otherwise all predictions of the class would be wrong. (A class that no fold tests must be in
    training somewhere.)
    """
    labels = samples["label"].to_numpy(np.str_)
    trained = [set(labels[fold.train].tolist()) for fold in plan]
    tested = [set(labels[fold.test].tolist()) for fold in plan]
    for label in np.unique(labels).tolist():
        testing = [n for n in range(len(plan)) if label in tested[n]] or range(len(plan))
        if not any(label in trained[n] for n in testing):
            raise KilasError(
                f"No fold that tests the class {label} can train on it, since too few subjects "
                "or parts have it; leave the class out or join it to another."
            )
