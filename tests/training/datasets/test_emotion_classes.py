"""Emotions of each dataset as classes: the dissertation's, MEGC 2019's and the datasets' own."""

from __future__ import annotations

import pandas as pd
import pytest

from realtime.errors import KilasError
from training.datasets.classes import (
    CLASSES,
    EMOTIONS,
    class_names,
    default_labels,
    labels_of,
    spelled,
    with_labels,
)

NEGATIVE = {"repression", "anger", "contempt", "disgust", "fear", "sadness", "sad", "angry"}


@pytest.mark.parametrize("dataset", [name for name, known in EMOTIONS.items() if known])
def test_three_classes_of_each_dataset(dataset: str) -> None:
    known = EMOTIONS[dataset]
    labels = dict(zip(known, labels_of(known, dataset, "three"), strict=True))
    for emotion, label in labels.items():
        if emotion in NEGATIVE | {"negative"}:
            assert label == "negative"
        elif emotion in ("happiness", "happy", "positive"):
            assert label == "positive"
        elif emotion == "surprise":
            assert label == "surprise"
        else:
            assert emotion in ("others", "other", "neutral")
            assert label is None


def test_megc_2019_differs_in_casme2_alone() -> None:
    known = ("disgust", "fear", "repression", "sadness", "happiness", "surprise", "others")
    assert labels_of(known, "casme2", "megc").tolist() == [
        *("negative", None, "negative", None, "positive", "surprise", None),
    ]
    for dataset in ("smic", "samm"):
        known = EMOTIONS[dataset]
        assert labels_of(known, dataset, "megc").equals(labels_of(known, dataset, "three"))


def test_the_dissertations_classes_of_casme_squared() -> None:
    words = ["negative/anger", "others/happiness", "surprise/disgust", "negative"]
    labels = labels_of(words, "casme-squared", "casme-squared")
    assert labels.tolist() == ["angry", "happy", "disgust", None]
    assert labels_of(["anger", "happiness", "contempt"], "samm", "casme-squared").tolist() == [
        *("angry", "happy", None),
    ]
    assert labels_of(["angry", "happy", "sad"], "fer2013", "casme-squared").tolist() == [
        *("angry", "happy", None),
    ]


def test_full_is_the_datasets_own_set() -> None:
    assert labels_of(["others", "fear"], "casme2", "full").tolist() == ["others", "fear"]
    assert class_names("fer2013", "full") == EMOTIONS["fer2013"]
    assert class_names(("smic", "casme-squared"), "full") == (
        *("negative", "positive", "surprise", "others"),
    )
    assert labels_of(["wink"], "folder", "full").tolist() == ["wink"]
    assert class_names("folder", "full", ["wink", "blink", "wink"]) == ("blink", "wink")
    with pytest.raises(KilasError, match="name the labels in the recipe"):
        class_names("folder", "full")


@pytest.mark.parametrize("emotions", [["wink/left", "wink"], ["a/b", "a", "/"], ["b/"]])
def test_own_words_are_classes_as_a_whole(emotions: list[str]) -> None:
    names = class_names("folder", "full", emotions)
    assert labels_of(emotions, "folder", "full").tolist() == emotions
    assert set(names) == set(emotions)
    assert [spelled(word, "folder") for word in emotions] == emotions


def test_a_slash_means_something_in_casme_squared_alone() -> None:
    assert spelled("Negative/Anger", "casme-squared") == "negative/anger"
    assert spelled("disgust/fear", "casme2") is None
    assert labels_of(["negative/anger"], "folder", "three").tolist() == [None]


def test_names_of_classes_have_an_order() -> None:
    assert default_labels("three") == ("negative", "positive", "surprise")
    assert default_labels("full") == ()
    assert class_names("casme2", "casme-squared") == ("angry", "happy", "disgust")
    for classes in CLASSES:
        if classes != "full":
            assert class_names(("casme2", "smic"), classes) == default_labels(classes)


def test_a_missing_emotion_has_no_class_and_the_index_stays() -> None:
    emotions = pd.Series(["fear", None, "", float("nan"), "happiness"], index=[5, 3, 9, 1, 7])
    labels = labels_of(emotions, "samm-lv", "three")
    assert labels.index.tolist() == [5, 3, 9, 1, 7]
    assert labels.tolist() == ["negative", None, None, None, "positive"]
    assert labels_of([], "samm", "three").tolist() == []


def test_a_table_of_several_datasets_gets_its_labels_in_place() -> None:
    table = pd.DataFrame(
        {
            "dataset": ["casme2", "samm", "casme2", "folder"],
            "emotion": ["fear", "fear", "happiness", "wink"],
        },
        index=[4, 3, 2, 1],
    )
    assert with_labels(table, "megc")["label"].tolist() == [None, "negative", "positive", None]
    assert with_labels(table, "megc").index.tolist() == [4, 3, 2, 1]
    assert with_labels(table.head(0), "three").columns.tolist() == ["dataset", "emotion", "label"]


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(KilasError, match="no classes four; there are three, megc, casme-squared"):
        labels_of(["fear"], "samm", "four")
    with pytest.raises(KilasError, match="no classes four"):
        default_labels("four")
    with pytest.raises(KilasError, match="no dataset casme4; there are casme2"):
        labels_of(["fear"], "casme4", "three")
    with pytest.raises(
        KilasError, match="The dataset samm has no emotion repression; it has anger"
    ):
        labels_of(["repression"], "samm", "three")


@pytest.mark.parametrize(
    ("word", "dataset", "known"),
    [
        (" Others ", "casme3", "others"),
        ("Other", "casme3", "others"),
        ("Others", "samm", "other"),
        ("Happiness", "casme3", "happy"),
        ("happy", "casme2", "happiness"),
        ("Sadness", "fer2013", "sad"),
        ("anger", "fer2013", "angry"),
        ("surprised", "fer2013", "surprise"),
        ("repression", "samm", None),
        ("supprise", "smic", None),
        ("Wink", "folder", "wink"),
    ],
)
def test_words_for_the_same_are_spelled_alike(word: str, dataset: str, known: str | None) -> None:
    assert spelled(word, dataset) == known
