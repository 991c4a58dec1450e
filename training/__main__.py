"""`python -m training`: simulate, prepare, train, export, evaluate."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from realtime.errors import KilasError
from training.simulate import simulate_command

# TensorFlow reports its own start in a dozen lines that say nothing about the training.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# TensorFlow takes seconds to import, so each command imports what it alone needs.

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Make the weights: simulate labelled videos, prepare, train, export and evaluate.",
)

CPUS = os.cpu_count() or 1

Jobs = Annotated[int, typer.Option(help="Processes that work side by side.")]
RecipeName = Annotated[str, typer.Option(help="A recipe of the project, or a TOML file.")]


app.command("simulate")(simulate_command)


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="Videos with clips.csv and events.csv.")],
    out: Annotated[Path, typer.Option(help="The file to write (.npz).")],
    recipe: RecipeName = "kilas",
    jobs: Jobs = CPUS,
) -> None:
    """Find the faces in labelled videos and write what networks are trained on."""
    from training.prepare import prepare as run
    from training.recipe import load_recipe

    run(folder, out, load_recipe(recipe).spec, jobs)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="What `prepare` wrote.")],
    labels: Annotated[Path, typer.Option(help="events.csv of the videos.")],
    out: Annotated[Path, typer.Option(help="Folder for the network and its figures.")],
    recipe: RecipeName = "kilas",
) -> None:
    """Train a recipe's network. An interrupted run goes on where it was."""
    from training.recipe import load_recipe
    from training.train import train as run

    run(data, labels, load_recipe(recipe), out)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    out: Annotated[Path, typer.Option(help="The model file to write (.onnx).")],
    recipe: RecipeName = "kilas",
    results: Annotated[
        Path | None, typer.Option(help="JSON of `evaluate`, kept in the file's provenance.")
    ] = None,
) -> None:
    """Write a trained network as one self-describing ONNX file."""
    import keras

    from training.export import export as write
    from training.recipe import load_recipe

    chosen = load_recipe(recipe)
    record = json.loads((run / "training.json").read_text(encoding="utf-8"))
    provenance = {
        "data": record["data"],
        "recipe": record["recipe"],
        "commit": record["commit"],
        "held_out_subjects": record["held_out_subjects"],
        "results": None if results is None else json.loads(results.read_text(encoding="utf-8")),
    }
    network = keras.models.load_model(run / "model.keras")
    difference = write(network, dataclasses.replace(chosen.spec, provenance=provenance), out)
    size_mb = out.stat().st_size / 1e6
    typer.echo(f"{out}: {size_mb:.1f} MB; ONNX and Keras differ by at most {difference:.1e}.")


@app.command()
def thresholds(
    run: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    videos: Annotated[Path, typer.Option(help="The videos that it was trained on.")],
    labels: Annotated[Path, typer.Option(help="Their events.csv.")],
    model: Annotated[str, typer.Option(help="The exported model: a name or a file.")],
    jobs: Jobs = CPUS,
) -> None:
    """Choose the spotting thresholds, for the recipe, on the subjects that were held out."""
    from training.thresholds import choose_thresholds

    record = json.loads((run / "training.json").read_text(encoding="utf-8"))
    best, f1 = choose_thresholds(videos, labels, model, set(record["held_out_subjects"]), jobs)
    typer.echo(f"spotting F1 {f1:.3f} on {len(record['held_out_subjects'])} held-out subjects:")
    typer.echo("[spotting]")
    for name, value in dataclasses.asdict(best).items():
        typer.echo(f"{name} = {value}")


@app.command()
def evaluate(
    videos: Annotated[Path, typer.Option(help="Folder of labelled videos with clips.csv.")],
    labels: Annotated[Path, typer.Option(help="Their events.csv.")],
    model: Annotated[str, typer.Option(help="A model's name or file.")] = "kilas",
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    jobs: Jobs = CPUS,
) -> None:
    """Run whole labelled videos through the live chain and count what it found."""
    from training.evaluate import evaluate as run
    from training.evaluate import summary

    figures = run(videos, labels, model, jobs)
    typer.echo(summary(figures))
    if out is not None:
        out.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def main() -> None:
    try:
        app()
    except KilasError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
