"""Commands of `python -m training macro`: from pictures of faces to a macro-expression model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from training.options import RecipeName, Settings, changes
from training.tensorflow_start import start_tensorflow

app = typer.Typer(
    no_args_is_help=True,
    help="Prepare pictures of faces; train, export and evaluate networks of macro-expressions.",
)

StillsFile = Annotated[Path, typer.Argument(help="A file that `macro prepare` wrote (.npz).")]


@app.command()
def prepare(
    root: Annotated[
        Path, typer.Argument(help="fer2013.csv, or a folder with a folder of pictures per class.")
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The file to write (.npz).")],
    faces: Annotated[
        Literal["cropped", "landmarks", "haar"],
        typer.Option(
            help="cropped: the pictures are faces; landmarks, haar: cut faces out with MediaPipe "
            "or a Haar cascade."
        ),
    ] = "cropped",
    jobs: Annotated[int, typer.Option(min=1, help="Number of parallel processes.")] = os.cpu_count()
    or 1,
) -> None:
    """Prepare FER2013, or pictures sorted by class, as one file for the training.

    Example: python -m training macro prepare fer2013.csv --out fer2013.npz
    """
    from training.macro.prepare import format_summary, prepare_stills

    typer.echo(format_summary(prepare_stills(root, out, faces, jobs), out))


@app.command()
def train(
    data: StillsFile,
    out: Annotated[Path, typer.Option(help="Folder for the network and training.json.")],
    recipe: RecipeName = "kilas-macro",
    settings: Settings = None,
) -> None:
    """Train a recipe's network on prepared pictures.

    An interrupted training continues where it stopped when the same command is given again.

    Example: python -m training macro train fer2013.npz --out run --set training.epochs=20
    """
    start_tensorflow()
    from training.macro.recipe import load_still_recipe
    from training.macro.train import train_still

    train_still(data, load_still_recipe(recipe, changes(settings)), out)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `macro train` wrote.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The model file to write (.onnx).")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The file of the training; its test pictures show what rounding the weights "
            "changes. Default: random faces."
        ),
    ] = None,
) -> None:
    """Export a trained network as one ONNX file with all settings.

    Example: python -m training macro export run --out macro.onnx --data fer2013.npz
    """
    start_tensorflow()
    from training.macro.export import export_still

    differences = export_still(run, out, data)
    kind = "random faces" if data is None else f"test pictures of {data}"
    typer.echo(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB; ONNX and Keras differ by at most "
        f"{differences.graph:.1e} with the same rounded kernels. From the network as it was "
        f"trained the file's scores differ by at most {differences.trained:.1e}, and "
        f"{differences.relabelled} of {differences.faces} {kind} get another label."
    )


@app.command()
def evaluate(
    data: StillsFile,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the report.")],
    model: Annotated[str, typer.Option(help="Name or file of a model.")] = "kilas-macro",
    parts: Annotated[
        list[str] | None,
        typer.Option(help="Evaluate only the part of this name; may be given several times."),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(help="The file that the model was trained on, if it is not DATA."),
    ] = None,
) -> None:
    """Evaluate a model on prepared pictures: accuracy, and calibration of its scores.

    Example: python -m training macro evaluate fer2013.npz --out report --model macro.onnx
    """
    from training.macro.evaluate import evaluate_stills
    from training.macro.report import summary, write_report

    metrics = evaluate_stills(data, model, parts or (), trained_on)
    report = write_report(out, metrics)
    typer.echo(f"{summary(metrics)}\nThe report is {report}.")
