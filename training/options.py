"""Command-line options that several commands share: a recipe, and changes of its settings."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

RecipeName = Annotated[str, typer.Option(help="A recipe of the project, or a TOML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: training.epochs=20; may be given several times."),
]


def changes(settings: Sequence[str] | None) -> dict[str, Any]:
    """Parse settings such as `training.epochs=20` to values by key.

    A value that is no TOML is text. Raises typer.BadParameter when a setting has no key or no =.
    """
    found: dict[str, Any] = {}
    for setting in settings or ():
        key, is_set, value = setting.partition("=")
        if not is_set or not key:
            raise typer.BadParameter(f"{setting} sets nothing; write it as training.epochs=20.")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = value
    return found
