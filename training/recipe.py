"""A recipe: all that decides a training run, read from one TOML file."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from realtime.errors import KilasError
from realtime.spec import NONE_LABEL, ModelSpec, SpottingSpec
from training.datasets.classes import CLASSES, EMOTIONS, default_labels

RECIPES = Path(__file__).parent / "recipes"

_TABLES = {
    *("model", "classes", "network", "training", "windows", "samples"),
    *("spotting", "data", "export"),
}

SHORTEST_S = 3.0
"""Of a simulated clip: a shorter one has no room for a baseline and an expression."""


def check(table: str, problems: list[tuple[bool, str]]) -> None:
    """Raise KilasError for the first problem of a table of a recipe that is true, in its words."""
    for is_wrong, message in problems:
        if is_wrong:
            raise KilasError(f"The recipe's {table} does not fit: {message}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How the weights are found, with Adam.

    `schedule`: the learning rate is `constant` or falls to zero along a `cosine`.
    `validation_share`: share of the subjects that are not trained on; they measure, and choose the
    epoch where `epoch` is `best`: that of the lowest loss on them. `last`: they choose nothing.
    """

    epochs: int = 20
    batch: int = 64
    learning_rate: float = 0.001
    schedule: Literal["constant", "cosine"] = "cosine"
    validation_share: float = 0.15
    epoch: Literal["last", "best"] = "last"
    seed: int = 1

    def __post_init__(self) -> None:
        check(
            "[training]",
            [
                (not _is_whole(self.epochs, 1), "epochs must be a whole number from 1 on"),
                (not _is_whole(self.batch, 1), "batch must be a whole number from 1 on"),
                (
                    not _is_number(self.learning_rate) or not 0 < self.learning_rate < math.inf,
                    "learning_rate must be a positive number",
                ),
                (
                    self.schedule not in ("constant", "cosine"),
                    "schedule must be constant or cosine",
                ),
                (
                    not _is_number(self.validation_share) or not 0 <= self.validation_share < 1,
                    "validation_share must lie between 0 and 1",
                ),
                (self.epoch not in ("last", "best"), "epoch must be last or best"),
                (
                    self.epoch == "best" and not self.validation_share,
                    "the best epoch is chosen on a validation_share above 0",
                ),
                (not _is_whole(self.seed, 0), "seed must be a whole number from 0 on"),
            ],
        )


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """What models that spot are trained on: windows of streams.

    `per_epoch`: windows drawn anew for each epoch, `none_share` of them without an expression.
    `edge_share` of those without are from just before or after an expression, where onset and
    offset are decided.
    """

    per_epoch: int = 10_000
    none_share: float = 0.5
    edge_share: float = 0.3

    def __post_init__(self) -> None:
        check(
            "[windows]",
            [
                (not _is_whole(self.per_epoch, 1), "per_epoch must be a whole number from 1 on"),
                (
                    not _is_number(self.none_share) or not 0 < self.none_share < 1,
                    "none_share must lie between 0 and 1",
                ),
                (
                    not _is_number(self.edge_share) or not 0 < self.edge_share < 1,
                    "edge_share must lie between 0 and 1",
                ),
            ],
        )


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """What models that only recognise are trained on: micro-expressions, one window each.

    `augment`: transforms of `training.batches.augmentation`, drawn anew in each epoch. `balance`: `weights`
    W_k = N / n_k, `smote` (synthetic samples until all classes are as large), or `none`.
    """

    augment: bool = True
    balance: Literal["none", "weights", "smote"] = "weights"

    def __post_init__(self) -> None:
        check(
            "[samples]",
            [
                (not isinstance(self.augment, bool), "augment must be true or false"),
                (
                    self.balance not in ("none", "weights", "smote"),
                    "balance must be none, weights or smote",
                ),
            ],
        )


@dataclass(frozen=True, slots=True)
class SimulatedSet:
    """Clips of made-up people: as many as `clips`, each of `seconds`, one person a clip.

    `seed` makes the clips; people are numbered from `first_subject`, and no two sets of a recipe
    may share one. `warped`: streams straight from the mesh. `dense`: streams shorter than
    `training.simulation.scenario.LONG_CLIP_S` with more events than videos have. Videos have neither.
    """

    clips: int
    seconds: float
    seed: int
    first_subject: int
    warped: bool = False
    dense: bool = True

    def __post_init__(self) -> None:
        check(
            "[data]",
            [
                (not _is_whole(self.clips, 1), "clips must be a whole number from 1 on"),
                (
                    isinstance(self.seconds, bool) or not SHORTEST_S <= self.seconds < math.inf,
                    f"seconds must be at least {SHORTEST_S:g}",
                ),
                (not _is_whole(self.seed, 0), "seed must be a whole number from 0 on"),
                (
                    not _is_whole(self.first_subject, 0),
                    "first_subject must be a whole number from 0 on",
                ),
                (not isinstance(self.warped, bool), "warped must be true or false"),
                (not isinstance(self.dense, bool), "dense must be true or false"),
            ],
        )


@dataclass(frozen=True, slots=True)
class Data:
    """What a recipe is made from: streams to train on, others to choose the thresholds on, and
    videos to measure on."""

    train: tuple[SimulatedSet, ...]
    spotting: tuple[SimulatedSet, ...]
    test: SimulatedSet

    def __post_init__(self) -> None:
        """Raises KilasError when a set lacks, or a person or a file would be in two sets."""
        names = [[(one.warped, one.seed) for one in sets] for sets in (self.train, self.spotting)]
        people = [
            subject
            for one in (*self.train, *self.spotting, self.test)
            for subject in range(one.first_subject, one.first_subject + one.clips)
        ]
        check(
            "[data]",
            [
                (not self.train, "train must have a set"),
                (not self.spotting, "spotting must have a set"),
                (self.test.warped, "test is videos, so it cannot be warped"),
                (
                    any(len(set(some)) < len(some) for some in names),
                    "two sets have the same seed, so their files have the same names",
                ),
                (
                    len(set(people)) < len(people),
                    "two sets share people; set first_subject further apart",
                ),
            ],
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """`spec`: the model to be; `network`: arguments of `training.models.architectures.build`; `classes`: which
    emotion counts as which class (`training.datasets.CLASSES`); `data`: None for recipes whose
    data is not simulated; `both_sides`: the model file scores the face and its mirror image
    (`training.models.architectures.with_attention`). A model with the label `none` is trained on `windows`,
    any other on `samples`; the other of the two is None."""

    spec: ModelSpec
    classes: str = "three"
    network: dict[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    windows: WindowSettings | None = None
    samples: SampleSettings | None = None
    data: Data | None = None
    both_sides: bool = False

    def __post_init__(self) -> None:
        spots = NONE_LABEL in self.spec.labels
        windows = self.windows
        check(
            "list of tables",
            [
                (
                    self.classes not in CLASSES,
                    f"classes must be one of {', '.join(CLASSES)}, not {self.classes!r}",
                ),
                (spots and self.samples is not None, "[samples] is for models without none"),
                (spots and windows is None, "a model with none needs [windows]"),
                (not spots and windows is not None, "[windows] is for models with none"),
                (not spots and self.samples is None, "a model without none needs [samples]"),
                (
                    windows is not None and windows.per_epoch < self.training.batch,
                    "windows.per_epoch must be at least one batch",
                ),
                (
                    windows is not None and self.training.epoch == "best",
                    "a model with none is trained to its last epoch",
                ),
                (
                    windows is not None and not self.training.validation_share,
                    "a model with none needs a training.validation_share above 0",
                ),
            ],
        )


def weights_from(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe (`dataclasses.asdict`, or that read from JSON) decides the weights: neither
    the thresholds, nor the export, nor the data that measures."""
    told_later = ("spotting", "provenance")
    decides = ("classes", "network", "training", "windows", "samples")
    return {
        "spec": {key: value for key, value in recipe["spec"].items() if key not in told_later},
        **{name: recipe.get(name) for name in decides},
        "train": recipe["data"] and recipe["data"]["train"],
    }


def read_toml(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError, or KilasError when the file is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise KilasError(f"{path} is no TOML file: {error}.") from error


Settings = TypeVar("Settings")


def load_recipe(name_or_path: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe of the project by its name, or a file, with some settings changed: `changes` has
    values for dotted keys such as `training.epochs`.

    Raises KilasError when it is not there or does not fit.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = RECIPES / f"{name_or_path}.toml"
    try:
        values = read_toml(path)
        for key, value in (changes or {}).items():
            change_setting(values, key, value)
        unknown = values.keys() - _TABLES
        check("list of tables", [(bool(unknown), f"there is no [{', '.join(sorted(unknown))}]")])
        model = values["model"]
        classes = values.get("classes", "three")
        windows, samples = values.get("windows"), values.get("samples")
        if samples is not None:
            check("[model]", [("labels" in model, "its labels are those of the classes")])
            # Those of all datasets, until it is known which ones it is trained on.
            labels = default_labels(classes) or sorted(set().union(*EMOTIONS.values()))
        else:
            labels = model["labels"]
        return Recipe(
            spec=ModelSpec(
                **{**model, "labels": tuple(labels)},
                spotting=SpottingSpec(**values.get("spotting", {})),
            ),
            classes=classes,
            network=values.get("network", {}),
            training=read_settings(TrainingSettings, "training", values.get("training", {})),
            windows=None if windows is None else read_settings(WindowSettings, "windows", windows),
            samples=None if samples is None else read_settings(SampleSettings, "samples", samples),
            data=_read_data(values["data"]) if "data" in values else None,
            both_sides=_read_export(**values.get("export", {})),
        )
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise KilasError(f"There is no recipe {path}; the project's own are {names}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise KilasError(f"The recipe {path} does not fit: {error}.") from error


def change_setting(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `values["a"]["b"]` for the key `a.b`; tables are made if need be."""
    *tables, name = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        check(key, [(not isinstance(values, dict), f"{table} is no table")])
    values[name] = value


def read_settings(kind: type[Settings], name: str, values: Any) -> Settings:
    """The settings of a table. Raises KilasError when it is none, or has others."""
    check(f"[{name}]", [(not isinstance(values, dict), "it must be a table")])
    known = [field.name for field in dataclasses.fields(cast(Any, kind))]
    strange = sorted(values.keys() - set(known))
    check(
        f"[{name}]",
        [(bool(strange), f"there is no {', '.join(strange)}; it has {', '.join(known)}")],
    )
    return kind(**values)


def _read_data(values: Any) -> Data:
    if not isinstance(values, dict) or values.keys() - {"train", "spotting", "test"}:
        raise KilasError("The recipe's [data] does not fit: it has train, spotting and test.")
    for name, kind, wanted in (
        ("train", list, "[["),
        ("spotting", list, "[["),
        ("test", dict, "["),
    ):
        if not isinstance(values.get(name), kind):
            raise KilasError(
                f"The recipe's [data] does not fit: there must be a {wanted}data.{name}"
                f"{wanted.replace('[', ']')}."
            )
    return Data(
        tuple(SimulatedSet(**one) for one in values["train"]),
        tuple(SimulatedSet(**one) for one in values["spotting"]),
        SimulatedSet(**values["test"]),
    )


def _read_export(both_sides: bool = False) -> bool:
    check("[export]", [(type(both_sides) is not bool, "both_sides must be true or false")])
    return both_sides
