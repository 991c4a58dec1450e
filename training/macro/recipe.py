"""Recipes of still-image networks: all settings of a training, read from one TOML file."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from realtime.errors import KilasError
from training.macro.augment import Augmentation
from training.macro.networks import ARCHITECTURES, NORMALISATIONS
from training.recipe import TrainingSettings, change_setting, check, read_settings, read_toml

RECIPES = Path(__file__).parent / "recipes"

_TABLES = ("model", "network", "training", "augmentation")


@dataclass(frozen=True, slots=True)
class StillTraining(TrainingSettings):
    """Settings of the training besides those of `TrainingSettings`.

    `protocol`: `official` (FER2013's own parts) or `split-80-20` (the split of the FER2013 paper).
    `optimizer`: `adam`, or `sgd` with Nesterov momentum 0.9. `weight_decay`: decay of the kernels,
    with `sgd` only. `label_smoothing`: share of the truth that is spread over all classes. `mixup`:
    alpha of the beta distribution by which two pictures are mixed (Zhang et al., 2018), 0 for none.
    `average`: momentum of the running mean of the weights that is kept in the end, 0 for none; with
    the epoch `last` only. `balance`: `weights` as in `training.batches.balancing`, or `none`.
    `precision`: Keras's dtype policy; `auto`: mixed precision on graphics cards that gain from it,
    else float32.
    """

    protocol: Literal["official", "split-80-20"] = "official"
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    average: float = 0.0
    balance: Literal["none", "weights"] = "none"
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"

    def __post_init__(self) -> None:
        TrainingSettings.__post_init__(self)
        shares = {
            name: getattr(self, name)
            for name in ("weight_decay", "label_smoothing", "mixup", "average")
        }
        check(
            "[training]",
            [
                *(
                    (
                        not isinstance(value, (int, float)) or not 0 <= value < 1,
                        f"{name} must lie between 0 and 1",
                    )
                    for name, value in shares.items()
                ),
                *(
                    (
                        getattr(self, name) not in get_args(kind),
                        f"{name} must be one of {', '.join(get_args(kind))}",
                    )
                    for name, kind in get_type_hints(StillTraining).items()
                    if get_origin(kind) is Literal
                ),
                # The weights of an epoch on its way are not the averaged ones.
                (bool(self.average) and self.epoch == "best", "average needs the epoch last"),
                (
                    bool(self.weight_decay) and self.optimizer != "sgd",
                    "weight_decay needs the optimizer sgd",
                ),
            ],
        )


@dataclass(frozen=True, slots=True)
class StillRecipe:
    """Settings of a still-image network, its training and its model file.

    `name`, `version`: those of the model file. `architecture`, `network`, `normalisation`: see
    `training.macro.networks.build`. `both_sides`: True if the model file gives the mean scores of a
    face and its mirror image. `augmentation`: None for no augmentation.
    """

    name: str
    version: str
    architecture: str
    normalisation: str
    both_sides: bool = False
    network: dict[str, Any] = field(default_factory=dict)
    training: StillTraining = field(default_factory=StillTraining)
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        check(
            "[model]",
            [
                *(
                    (
                        not isinstance(getattr(self, name), str) or not getattr(self, name),
                        f"{name} must be a text",
                    )
                    for name in ("name", "version", "architecture")
                ),
                (
                    self.normalisation not in NORMALISATIONS,
                    f"normalisation must be one of {', '.join(NORMALISATIONS)}",
                ),
                (not isinstance(self.both_sides, bool), "both_sides must be true or false"),
            ],
        )
        _check_network(self.architecture, self.network)


def _check_network(architecture: str, network: Mapping[str, Any]) -> None:
    """Check the types and values of an architecture's arguments.

    Raises KilasError for a value that is not of the same kind as the default, and where lists have
    different lengths. Unknown architectures and arguments are found when the network is built.
    """
    if architecture not in ARCHITECTURES:
        return
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    usual = {one.name: one.default for one in parameters if one.name != "x"}
    given = {name: network.get(name, value) for name, value in usual.items()}
    lists = {name: value for name, value in given.items() if isinstance(value, tuple)}
    check(
        "[network]",
        [
            *(_problem(name, given[name], value) for name, value in usual.items()),
            (
                len({len(value) for value in lists.values()}) > 1,
                f"{' and '.join(lists)} must have the same length",
            ),
        ],
    )


def _problem(name: str, value: object, usual: object) -> tuple[bool, str]:
    """Return True if the value does not fit, and the message that states its rule."""
    if isinstance(usual, tuple):
        is_list = isinstance(value, tuple) and len(value) > 0
        fits = is_list and all(map(_is_count, cast(tuple[object, ...], value)))
        return not fits, f"{name} must be a list of whole numbers from 1 on"
    if isinstance(usual, int):
        return not _is_count(value), f"{name} must be a whole number from 1 on"
    fits = isinstance(value, (int, float)) and type(value) is not bool and 0 <= value < 1
    return not fits, f"{name} must lie between 0 and 1"


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def load_still_recipe(name_or_path: str, changes: Mapping[str, Any] | None = None) -> StillRecipe:
    """Load a recipe of the project by its name, or from a TOML file, with some settings changed.

    `changes`: values for dotted keys such as `training.epochs`. Raises KilasError when the recipe
    does not exist or does not fit.

    Example:

        from training.macro.recipe import load_still_recipe

        recipe = load_still_recipe("kilas-macro", {"training.epochs": 20})
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = RECIPES / f"{name_or_path}.toml"
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise KilasError(
            f"There is no recipe {path}; those of still-image networks are {names}."
        ) from error
    for key, value in (changes or {}).items():
        change_setting(values, key, value)
    unknown = sorted(values.keys() - set(_TABLES))
    check("list of tables", [(bool(unknown), f"there is no [{', '.join(unknown)}]")])
    model, network = values.get("model", {}), values.get("network", {})
    fields = [one for one in dataclasses.fields(StillRecipe) if one.name not in _TABLES]
    known = [one.name for one in fields]
    needed = {one.name for one in fields if one.default is dataclasses.MISSING}
    check(
        "[model]",
        [
            (not isinstance(model, dict), "it must be a table"),
            (not isinstance(network, dict), "[network] must be a table"),
        ],
    )
    strange, lacking = sorted(model.keys() - set(known)), sorted(needed - model.keys())
    check(
        "[model]",
        [
            (bool(strange), f"there is no {', '.join(strange)}; it has {', '.join(known)}"),
            (bool(lacking), f"it lacks {', '.join(lacking)}"),
        ],
    )
    augmentation = values.get("augmentation")
    return StillRecipe(
        **model,
        network={
            key: tuple(value) if isinstance(value, list) else value
            for key, value in network.items()
        },
        training=read_settings(StillTraining, "training", values.get("training", {})),
        augmentation=(
            None
            if augmentation is None
            else read_settings(Augmentation, "augmentation", augmentation)
        ),
    )
