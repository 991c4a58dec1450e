"""A recipe: all that decides a training run, read from one TOML file."""

from __future__ import annotations

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
    expression and the rest in equal parts of the other labels. `edge_share` of those without
    are from just before or after an expression, where onset and offset are decided.
    `learning_rate` falls to zero along a cosine. `validation_share`: share of the subjects that
    only measure.
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
class Recipe:
    """`spec`: the model to be; `network`: arguments of `training.models.build`."""

    spec: ModelSpec
    network: dict[str, Any] = field(default_factory=dict)
    training: TrainingSettings = field(default_factory=TrainingSettings)


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
        )
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise KilasError(f"There is no recipe {path}; the project's own are {names}.") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise KilasError(f"The recipe {path} does not fit: {error}.") from error
