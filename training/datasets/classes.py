"""Emotions of each dataset, and the mappings from emotions to classes.

All emotions stay in the annotations; a recipe names the mapping to classes. An emotion without a
class (`others`, `neutral`) is left out of training and test.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from realtime.errors import KilasError

_SAMM = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "other")

EMOTIONS: dict[str, tuple[str, ...]] = {
    "casme2": ("disgust", "fear", "happiness", "repression", "sadness", "surprise", "others"),
    "smic": ("negative", "positive", "surprise"),
    "samm": _SAMM,
    "samm-lv": _SAMM,
    "casme-squared": ("negative", "positive", "surprise", "others"),
    "casme3": ("anger", "disgust", "fear", "happy", "sad", "surprise", "others"),
    "fer2013": ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    "folder": (),
    "simulated": ("negative", "positive", "surprise"),
}
"""Emotions of each dataset, by its own names; empty for a user's own data, which may have any.

CAS(ME)² has two emotions for an expression: the shown emotion, and the emotion that the video was
chosen to elicit. Both are in its name, `negative/anger`; the first of them is listed here.
"""

ELICITED = {"anger": "anger", "disgust": "disgust", "happy": "happiness"}
"""Emotions that the nine videos of CAS(ME)² (anger1, happy5, ...) were chosen to elicit (Qu et
al., "CAS(ME)²: A Database for Spontaneous Macro-Expression and Micro-Expression Spotting and
Recognition", 2018)."""

CLASSES: dict[str, tuple[str, ...]] = {
    "three": ("negative", "positive", "surprise"),
    "megc": ("negative", "positive", "surprise"),
    "casme-squared": ("angry", "happy", "disgust"),
    "full": (),
}
"""Names of the mappings from emotions to classes, with their classes.

`three`: the classes of the dissertation and of most of the field. `megc`: the same as the MEGC
2019 composite counted them, where CASME II's fear and sadness have no class. `casme-squared`: the
dissertation's classes of CAS(ME)²; it does not state from which emotion they come, so here they
are the emotion that the video was chosen to elicit, for other datasets the emotion of that name.
`full`: the dataset's own emotions, each a class.
"""

_THREE = {
    **dict.fromkeys(("repression", "anger", "angry", "contempt", "disgust"), "negative"),
    **dict.fromkeys(("fear", "sadness", "sad", "negative"), "negative"),
    **dict.fromkeys(("happiness", "happy", "positive"), "positive"),
    "surprise": "surprise",
}
_MEGC_WITHOUT = {"casme2": ("fear", "sadness")}
_AS_CASME_SQUARED = {
    **dict.fromkeys(("anger", "angry"), "angry"),
    **dict.fromkeys(("happiness", "happy"), "happy"),
    "disgust": "disgust",
}

_SPELLINGS = (
    ("other", "others"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("angry", "anger"),
    ("surprise", "surprised"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
)
"""Pairs of names of the same emotion; a dataset has one name, copies of its tables may have the
other."""


def spelled(word: str, dataset: str) -> str | None:
    """Return an emotion's name as the dataset spells it, or None if it has no such emotion."""
    shown, rest = _parts(word.strip().lower(), dataset)
    known = EMOTIONS[dataset]
    if not known or shown in known:
        return shown + rest
    same = {other for pair in _SPELLINGS if shown in pair for other in pair}
    return next((other + rest for other in known if other in same), None)


def _parts(word: str, dataset: str) -> tuple[str, str]:
    """Split a name into the shown emotion and `/` with the elicited emotion (only CAS(ME)²)."""
    if dataset != "casme-squared":
        return word, ""
    shown, slash, elicited = word.partition("/")
    return shown, slash + elicited


def labels_of(emotions: Iterable[str | None], dataset: str, classes: str) -> pd.Series:
    """Return the class of each emotion of a dataset, missing where it has none.

    The result has the index of `emotions` if that is a pandas Series. Raises KilasError when the
    dataset, the name `classes` or an emotion is unknown.
    """
    _check_known(classes)
    if dataset not in EMOTIONS:
        raise KilasError(f"There is no dataset {dataset}; there are {', '.join(EMOTIONS)}.")
    names = emotions if isinstance(emotions, pd.Series) else pd.Series(list(emotions), dtype=object)
    known = {name: _class_of(str(name), dataset, classes) for name in names.dropna().unique()}
    return pd.Series([known.get(name) for name in names], names.index, dtype=object)


def with_labels(table: pd.DataFrame, classes: str) -> pd.DataFrame:
    """Add the column `label` to a table of annotations: see `labels_of`."""
    labels = [
        labels_of(rows["emotion"], str(dataset), classes)
        for dataset, rows in table.groupby("dataset", sort=False)
    ]
    return table.assign(label=pd.concat(labels) if labels else None)


def default_labels(classes: str) -> tuple[str, ...]:
    """Return the classes of a mapping; empty for `full`, which depends on the dataset.

    Raises KilasError when `CLASSES` has no such mapping.
    """
    _check_known(classes)
    return CLASSES[classes]


def class_names(
    datasets: str | Iterable[str], classes: str, emotions: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return all classes of one or several datasets, in order.

    `emotions`: names of the emotions of data that may have any (`folder`). Raises KilasError when
    `classes` is unknown, or is `full` and there is no emotion.
    """
    if names := default_labels(classes):
        return names
    each = [datasets] if isinstance(datasets, str) else datasets
    own = [name for dataset in each for name in EMOTIONS[dataset] or sorted(set(emotions))]
    if not own:
        raise KilasError("A folder of your own has any emotions; name the labels in the recipe.")
    return tuple(dict.fromkeys(own))


def _check_known(classes: str) -> None:
    if classes not in CLASSES:
        raise KilasError(f"There are no classes {classes}; there are {', '.join(CLASSES)}.")


def _class_of(word: str, dataset: str, classes: str) -> str | None:
    if not word:
        return None
    shown, rest = _parts(word, dataset)
    if EMOTIONS[dataset] and shown not in EMOTIONS[dataset]:
        raise KilasError(
            f"The dataset {dataset} has no emotion {word}; it has {', '.join(EMOTIONS[dataset])}. "
            "Prepare the data again."
        )
    if classes == "full":
        return shown
    if classes == "casme-squared":
        return _AS_CASME_SQUARED.get(rest.removeprefix("/") or shown)
    if classes == "megc" and shown in _MEGC_WITHOUT.get(dataset, ()):
        return None
    return _THREE.get(shown)
