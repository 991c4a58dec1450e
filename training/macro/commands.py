"""`python -m training macro`: from pictures of faces to the model of macro-expressions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from training.options import RecipeName, Settings, changes

app = typer.Typer(
    no_args_is_help=True,
    help="The still-image networks of macro-expressions: prepare, train, export, evaluate.",
)

StillsFile = Annotated[Path, typer.Argument(help="A file that `macro prepare` wrote (.npz).")]


@app.command()
def prepare(
    root: Annotated[Path, typer.Argument(help="fer2013.csv, or folders of pictures by class.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The file to write (.npz).")],
    faces: Annotated[
        Literal["cropped", "landmarks", "haar"],
        typer.Option(help="Pictures are faces; or cut by MediaPipe, or by a Haar cascade."),
    ] = "cropped",
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes that work side by side.")
    ] = os.cpu_count() or 1,
) -> None:
    """Read FER2013, or pictures like it, into the one file that networks are trained on."""
    from training.macro.prepare import format_summary, prepare_stills

    typer.echo(format_summary(prepare_stills(root, out, faces, jobs), out))


@app.command()
def train(
    data: StillsFile,
    out: Annotated[Path, typer.Option(help="Folder for the network and its figures.")],
    recipe: RecipeName = "kilas-macro",
    settings: Settings = None,
) -> None:
    """Train a recipe's network. An interrupted run goes on where it was."""
    from training.macro.recipe import load_still_recipe
    from training.macro.train import train_still

    train_still(data, load_still_recipe(recipe, changes(settings)), out)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `macro train` wrote.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The model file to write (.onnx).")],
    data: Annotated[
        Path | None,
        typer.Option(help="The data of the training; its test side shows what rounding changes."),
    ] = None,
) -> None:
    """Write a trained network as one self-describing ONNX file."""
    from training.macro.export import export_still

    found = export_still(run, out, data)
    kind = "random faces" if data is None else f"test pictures of {data}"
    typer.echo(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB; ONNX and Keras differ by at most "
        f"{found.graph:.1e} with the same rounded kernels. From the network as it was trained the "
        f"file's scores differ by at most {found.trained:.1e}, and {found.relabelled} of "
        f"{found.faces} {kind} get another label."
    )


@app.command()
def evaluate(
    data: StillsFile,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the report.")],
    model: Annotated[str, typer.Option(help="A model's name or file.")] = "kilas-macro",
    parts: Annotated[
        list[str] | None,
        typer.Option(help="Only the part of this name; may be given several times."),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(help="The data that the model was trained on, where these are others."),
    ] = None,
) -> None:
    """How often a model file is right, and whether its scores mean what they say."""
    from training.macro.evaluate import evaluate_stills
    from training.macro.report import summary, write_report

    figures = evaluate_stills(data, model, parts or (), trained_on)
    report = write_report(out, figures)
    typer.echo(f"{summary(figures)}\nThe report is {report}.")
