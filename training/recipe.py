"""Recipes: all settings of a training run, read from one TOML file."""

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
"""Shortest simulated clip: less has no room for a baseline and an expression."""


def check(table: str, problems: list[tuple[bool, str]]) -> None:
    """Check a table of a recipe: raise KilasError with the message of the first true problem."""
    for is_wrong, message in problems:
        if is_wrong:
            raise KilasError(f"The recipe's {table} does not fit: {message}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of the optimisation of the weights with Adam.

    `schedule`: the learning rate is `constant` or falls to zero along a `cosine`.
    `validation_share`: share of the subjects that are not trained on but validate the model.
    `epoch`: `best` keeps the epoch of the lowest loss on those subjects, `last` the last epoch.
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
    """Settings of the windows of face sequences on which models that spot are trained.

    `per_epoch`: windows drawn anew for each epoch. `none_share`: share of them without an
    expression. `edge_share`: share of those without that lie just before or after an expression,
    where onset and offset are decided.
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
    """Settings of the samples on which models that only recognise are trained.

    A sample is one window of a micro-expression. `augment`: transforms of
    `training.batches.augmentation`, drawn anew in each epoch. `balance`: `weights` W_k = N / n_k,
    `smote` (synthetic samples until all classes are as large), or `none`.
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
    """Clips of simulated people: as many as `clips`, each of `seconds`, one person a clip.

    `seed` makes the clips; people are numbered from `first_subject`, and no two sets of a recipe
    may share a person. `warped`: face sequences straight from the mesh. `dense`: face sequences
    shorter than `training.simulation.scenario.LONG_CLIP_S` with more events than videos have.
    Videos have neither.
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
    """Simulated data of a recipe.

    `train`: face sequences to train on; `spotting`: others to choose the thresholds on; `test`:
    videos to measure on.
    """

    train: tuple[SimulatedSet, ...]
    spotting: tuple[SimulatedSet, ...]
    test: SimulatedSet

    def __post_init__(self) -> None:
        """Check the sets. Raises KilasError when a set is missing, or two share people or files."""
        names = [
            [(part.warped, part.seed) for part in sets] for sets in (self.train, self.spotting)
        ]
        people = [
            subject
            for part in (*self.train, *self.spotting, self.test)
            for subject in range(part.first_subject, part.first_subject + part.clips)
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
    """All settings of a training run.

    `spec`: description of the model to train; `classes`: name of the mapping from emotions to
    classes (`training.datasets.classes.CLASSES`); `network`: arguments of
    `training.models.architectures.build`; `data`: None for recipes whose data is not simulated;
    `both_sides`: True if the model file scores the face and its mirror image
    (`training.models.architectures.with_attention`). A model with the label `none` is trained on
    `windows`, any other on `samples`; the other of the two is None.
    """

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
    """Return those settings of a recipe that decide the weights.

    These are all but the thresholds, the export and the data for evaluation. `recipe`: as from
    `dataclasses.asdict`, or that read from JSON.
    """
    known_later = ("spotting", "provenance")
    decides = ("classes", "network", "training", "windows", "samples")
    return {
        "spec": {key: value for key, value in recipe["spec"].items() if key not in known_later},
        **{name: recipe.get(name) for name in decides},
        "train": recipe["data"] and recipe["data"]["train"],
    }


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises FileNotFoundError, or KilasError when the file is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise KilasError(f"{path} is no TOML file: {error}.") from error


Settings = TypeVar("Settings")


def load_recipe(name_or_path: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Load a recipe of the project by its name, or a TOML file, with some settings changed.

    `changes`: values for dotted keys such as `training.epochs`. Raises KilasError when the recipe
    does not exist or does not fit.

    Example:
        recipe = load_recipe("kilas", {"training.epochs": 5})
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
            # The labels of all datasets, until it is known which datasets it is trained on.
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
    """Build the settings of a table. Raises KilasError when it is no table or has unknown keys."""
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
        tuple(SimulatedSet(**part) for part in values["train"]),
        tuple(SimulatedSet(**part) for part in values["spotting"]),
        SimulatedSet(**values["test"]),
    )


def _read_export(both_sides: bool = False) -> bool:
    check("[export]", [(type(both_sides) is not bool, "both_sides must be true or false")])
    return both_sides
