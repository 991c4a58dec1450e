"""A recipe: all that decides a training run, read from one TOML file."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realtime.errors import KilasError
from realtime.spec import ModelSpec, SpottingSpec

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How the weights are found.

    `windows_per_epoch`: windows drawn anew for each epoch, `none_share` of them without an
    expression. `edge_share` of those without are from just before or after an expression, where
    onset and offset are decided. `learning_rate` falls to zero along a cosine.
    `validation_share`: share of the subjects that only measure.
    """

    epochs: int = 20
    batch: int = 64
    windows_per_epoch: int = 10_000
    none_share: float = 0.5
    edge_share: float = 0.3
    learning_rate: float = 0.001
    validation_share: float = 0.15
    seed: int = 1


@dataclass(frozen=True, slots=True)
class SimulatedSet:
    """Clips of made-up people: as many as `clips`, each of `seconds`, one person a clip.

    `seed` makes the clips; people are numbered from `first_subject`, and no two sets of a recipe
    may share one. `warped`: streams straight from the mesh. `dense`: streams with more events
    than videos have.
    """

    clips: int
    seconds: float
    seed: int
    first_subject: int
    warped: bool = False
    dense: bool = True


@dataclass(frozen=True, slots=True)
class Data:
    """What a recipe is made from: streams to train on, others to choose the thresholds on, and
    videos to measure on."""

    train: tuple[SimulatedSet, ...]
    spotting: tuple[SimulatedSet, ...]
    test: SimulatedSet


@dataclass(frozen=True, slots=True)
class Recipe:
    """`spec`: the model to be; `network`: arguments of `training.models.build`; `data`: None for
    recipes whose data is not simulated."""

    spec: ModelSpec
    network: dict[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    data: Data | None = None


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe of the project by its name, or a file.

    Raises KilasError when it is not there or does not fit.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = RECIPES / f"{name_or_path}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        model = values["model"]
        return Recipe(
            spec=ModelSpec(
                **{**model, "labels": tuple(model["labels"])},
                spotting=SpottingSpec(**values.get("spotting", {})),
            ),
            network=values.get("network", {}),
            training=TrainingSettings(**values.get("training", {})),
            data=_read_data(**values["data"]) if "data" in values else None,
        )
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise KilasError(f"There is no recipe {path}; the project's own are {names}.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise KilasError(f"The recipe {path} does not fit: {error}.") from error


def _read_data(
    train: list[dict[str, Any]], spotting: list[dict[str, Any]], test: dict[str, Any]
) -> Data:
    """Raises KilasError when a person is in two sets."""
    data = Data(
        tuple(SimulatedSet(**values) for values in train),
        tuple(SimulatedSet(**values) for values in spotting),
        SimulatedSet(**test),
    )
    everyone = [
        subject
        for one in (*data.train, *data.spotting, data.test)
        for subject in range(one.first_subject, one.first_subject + one.clips)
    ]
    if len(set(everyone)) < len(everyone):
        raise KilasError(
            "Two sets of the recipe's [data] share people; set first_subject further apart."
        )
    return data


def commit() -> str:
    """The commit that the working tree is at, or `unknown` outside of a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:  # there is no git
        return "unknown"
    return done.stdout.strip() or "unknown"
