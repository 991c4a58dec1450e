"""Commands of `python -m training`: from videos and datasets to model files and reports.

Example:

    python -m training prepare casme2 CASME2 --out prepared/casme2.npz
    python -m training evaluate prepared --protocol loso --out report
"""

from __future__ import annotations

from realtime.interrupts import exit_on_interrupt, raise_on_interrupt

if __name__ == "__main__":
    exit_on_interrupt()  # the imports below take a moment

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from realtime.errors import KilasError
from realtime.printed_text import escape_unprintable
from training.macro.commands import app as macro
from training.options import RecipeName, Settings, changes
from training.tensorflow_start import start_tensorflow

# TensorFlow takes seconds to import, so each command imports only the modules that it needs.

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train models: simulate labelled videos, prepare data, train, export and evaluate.",
)
app.add_typer(macro, name="macro")

CPUS = os.cpu_count() or 1

DATASET_NAMES = (
    *("casme2", "smic", "samm", "samm-lv", "casme-squared", "casme3"),
    *("fer2013", "folder"),
)
PROTOCOL_NAMES = (
    *("split-80-10-10", "split-70-15-15", "split-80-20"),
    *("loso", "leave-subjects-out", "megc2019", "official"),
)
# The names are repeated here, because importing the datasets and protocols takes too long.

Jobs = Annotated[int, typer.Option(min=1, help="Number of parallel processes.")]
FaceModelFile = Annotated[Path, typer.Option(help="The FaceKit face model (.npz).")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a Dask scheduler whose workers are used instead of --jobs."),
]


PORTRAITS_UNUSED = ("first_subject", "subjects", "truth", "streams", "sparse", "recipe")
UNUSED = {
    "demo": ("clips", "seed", "seconds", "jobs", "portraits", *PORTRAITS_UNUSED),
    "portraits": PORTRAITS_UNUSED,
    "streams": ("subjects", "truth"),
}
"""Options of `simulate` that have no effect with --demo, --portraits or --streams."""


@app.command()
def simulate(
    context: typer.Context,
    face_model: FaceModelFile,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the clips.")] = 0,
    seconds: Annotated[float, typer.Option(min=3.0, help="Length of a clip in seconds.")] = 6.0,
    first_subject: Annotated[int, typer.Option(min=0, help="Number of the first person.")] = 0,
    subjects: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of people. Default: a third of --clips. With as many as --clips, each "
            "clip has another person.",
        ),
    ] = None,
    jobs: Jobs = CPUS,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also write NAME.npz: weights, landmarks, optical flow.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Write only the built-in demo clip.")
    ] = False,
    portraits: Annotated[
        Path | None,
        typer.Option(help="Animate the portrait photographs in this folder instead."),
    ] = None,
    streams: Annotated[
        Literal["drawn", "warped"] | None,
        typer.Option(
            help="Write face sequences for the training, not videos; warped ones take a fifth "
            "of the time."
        ),
    ] = None,
    sparse: Annotated[
        bool,
        typer.Option("--sparse", help="With --streams: no more events than videos have."),
    ] = False,
    recipe: Annotated[
        str, typer.Option(help="With --streams: the recipe that gives the sampling rate.")
    ] = "kilas",
) -> None:
    """Simulate people with micro-expressions; write labelled videos, or face sequences.

    Example: python -m training simulate --face-model ict_facekit.npz --out clips --clips 30
    """
    _refuse_unused(context)
    if demo:
        from training.simulation.demo_clip import write_demo

        write_demo(out, face_model)
    elif portraits is not None:
        from training.simulation.portraits import simulate_portraits

        simulate_portraits(out, face_model, portraits, clips, seed, seconds, jobs)
    elif streams is not None:
        from training.recipe import load_recipe
        from training.simulation.sequences import simulate_sequences

        spec = load_recipe(recipe).spec
        warped = streams == "warped"
        simulate_sequences(
            out, face_model, spec, clips, seed, seconds, jobs, first_subject, warped, not sparse
        )
    else:
        from training.simulation.videos import simulate as run

        run(out, face_model, clips, seed, seconds, jobs, first_subject, subjects, truth)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_unused(context: typer.Context) -> None:
    """Raise BadParameter for given options that would have no effect."""
    for mode, unused in UNUSED.items():
        for name in unused if _is_given(context, mode) else ():
            if _is_given(context, name):
                raise typer.BadParameter(
                    f"--{mode} makes no use of --{name.replace('_', '-')}; leave one of the two "
                    "out."
                )
    for name in ("sparse", "recipe"):
        if _is_given(context, name) and not _is_given(context, "streams"):
            raise typer.BadParameter(
                f"--{name} needs --streams; give --streams, too, or leave --{name} out."
            )


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help=f"One of: {', '.join(DATASET_NAMES)}.")],
    root: Annotated[Path, typer.Argument(help="The dataset's folder, as its authors publish it.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The file to write (.npz).")],
    recipe: RecipeName = "triplepath-ha3dnet",
    settings: Settings = None,
    jobs: Jobs = CPUS,
) -> None:
    """Find the faces in a dataset; write one file for the training.

    An interrupted call continues where it stopped when the same command is given again.

    Example: python -m training prepare casme2 CASME2 --out casme2.npz
    """
    from training.preparation.prepare import format_summary
    from training.preparation.prepare import prepare as run
    from training.recipe import load_recipe

    spec = load_recipe(recipe, changes(settings)).spec
    typer.echo(format_summary(run(dataset, root, out, spec, jobs), out))


@app.command()
def inspect(
    data: Annotated[
        list[Path], typer.Argument(help="Files of face sequences, or folders of them.")
    ],
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Contact sheet to draw (.png or .jpg).")
    ] = None,
    recipe: RecipeName = "triplepath-ha3dnet",
    settings: Settings = None,
) -> None:
    """Count the classes and subjects of prepared data for a recipe; draw a contact sheet.

    Example: python -m training inspect casme2.npz --out sheet.png
    """
    from training.recipe import load_recipe
    from training.reports.inspection import inspect as run

    typer.echo(run(data, load_recipe(recipe, changes(settings)), out))


@app.command()
def train(
    data: Annotated[
        list[Path], typer.Argument(help="Files of face sequences, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the network and its training record.")],
    recipe: RecipeName = "kilas",
    settings: Settings = None,
    jobs: Jobs = CPUS,
) -> None:
    """Train a recipe's network on prepared data.

    An interrupted training continues where it stopped when the same command is given again.

    Example: python -m training train streams --out run --recipe kilas
    """
    start_tensorflow()
    from training.models.train import train as run
    from training.recipe import load_recipe

    run(data, load_recipe(recipe, changes(settings)), out, jobs)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    out: Annotated[Path, typer.Option(help="The model file to write (.onnx).")],
    recipe: RecipeName = "kilas",
    settings: Settings = None,
) -> None:
    """Export a trained network as one ONNX file with all settings.

    Example: python -m training export run --out kilas.onnx
    """
    start_tensorflow()
    from training.models.export import export_run
    from training.recipe import load_recipe

    difference = export_run(run, load_recipe(recipe, changes(settings)), out)
    size_mb = out.stat().st_size / 1e6
    typer.echo(f"{out}: {size_mb:.1f} MB; ONNX and Keras differ by at most {difference:.1e}.")


@app.command()
def thresholds(
    data: Annotated[
        list[Path], typer.Argument(help="Files of face sequences, or folders of them.")
    ],
    model: Annotated[
        Path, typer.Option(help="The exported model file, to which the thresholds are written.")
    ],
    jobs: Jobs = CPUS,
) -> None:
    """Choose the spotting thresholds on people who were not trained on; write them to the model.

    Example: python -m training thresholds spotting --model kilas.onnx
    """
    from realtime.inference.model import Model
    from training.models.thresholds import choose_thresholds

    f1 = choose_thresholds(data, model, jobs)
    typer.echo(f"spotting F1 {f1:.3f} with {Model.load(model, device='cpu').spec.spotting}")


@app.command()
def evaluate(
    context: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="With --protocol: files of face sequences, or folders of them."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help=f"Train and test the recipe by this protocol: {', '.join(PROTOCOL_NAMES)}."
        ),
    ] = None,
    recipe: RecipeName = "triplepath-ha3dnet",
    settings: Settings = None,
    videos: Annotated[
        Path | None, typer.Option(help="Run a model on the labelled videos in this folder.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The events.csv with the labels of the videos.")
    ] = None,
    model: Annotated[str, typer.Option(help="With --videos: name or file of a model.")] = "kilas",
    sensitivity: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="With --videos: sensitivity, as in stream.py.")
    ] = 0.5,
    macro: Annotated[
        Literal["on", "off"],
        typer.Option(help="With --videos: let the spotter use macro-expressions, as live."),
    ] = "on",
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for the report.")
    ] = None,
    jobs: Jobs = CPUS,
    scheduler: Scheduler = None,
) -> None:
    """Evaluate a recipe by a protocol (--protocol), or a model on whole videos (--videos).

    Example: python -m training evaluate casme2.npz --protocol loso --out report

    Example: python -m training evaluate --videos clips --labels clips/events.csv --out report
    """
    for name in (
        ("model", "sensitivity", "macro") if protocol else ("recipe", "settings", "scheduler")
    ):
        if _is_given(context, name):
            option = "--set" if name == "settings" else f"--{name}"
            kind = "--protocol" if protocol else "--videos"
            raise typer.BadParameter(f"{kind} makes no use of {option}; leave one of the two out.")
    if protocol is not None and data and out is not None and videos is None and labels is None:
        _evaluate_recipe(data, protocol, recipe, changes(settings), out, jobs, scheduler)
    elif protocol is None and not data and videos is not None and labels is not None:
        _evaluate_model(videos, labels, model, sensitivity, macro == "on", out, jobs)
    else:
        raise typer.BadParameter(
            "Give either --protocol, --out and prepared data, or --videos and --labels."
        )


def _evaluate_recipe(
    data: list[Path],
    protocol: str,
    recipe: str,
    settings: dict[str, Any],
    out: Path,
    jobs: int,
    scheduler: str | None,
) -> None:
    start_tensorflow()
    from training.experiments.grid import run_grid, single

    report = run_grid(single(recipe, protocol, settings), data, out, jobs=jobs, scheduler=scheduler)
    typer.echo(f"The report is {report}.")


def _evaluate_model(
    videos: Path,
    labels: Path,
    model: str,
    sensitivity: float,
    macro: bool,
    out: Path | None,
    jobs: int,
) -> None:
    from training.evaluation.evaluate import evaluate as run
    from training.evaluation.evaluate import summary

    if out is not None:  # fails now, and not after hours of work, if it cannot be made
        out.mkdir(parents=True, exist_ok=True)
    measures, spotted = run(videos, labels, model, jobs, sensitivity, macro)
    typer.echo(summary(measures))
    if out is not None:
        from training.reports.evaluation_report import write_evaluation

        typer.echo(f"The report is {write_evaluation(out, measures, spotted)}.")


@app.command()
def grid(
    name: Annotated[str, typer.Argument(help="Name of a grid of the project, or a TOML file.")],
    data: Annotated[
        list[Path], typer.Argument(help="Files of face sequences, or folders of them.")
    ],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the folds and the report.")
    ],
    settings: Settings = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run only the runs of this name; may be given several times."),
    ] = None,
    jobs: Jobs = CPUS,
    scheduler: Scheduler = None,
) -> None:
    """Train and test all settings of a grid on all datasets; write one report.

    Finished folds are not run again, so an interrupted grid continues with the same command.

    Example: python -m training grid networks casme2.npz smic.npz --out report
    """
    start_tensorflow()
    from training.experiments.grid import load_grid, run_grid

    chosen = load_grid(name, changes(settings), only or ())
    typer.echo(f"The report is {run_grid(chosen, data, out, jobs=jobs, scheduler=scheduler)}.")


@app.command()
def reproduce(
    face_model: FaceModelFile,
    out: Annotated[Path, typer.Option(help="Folder for the data, the network and the report.")],
    recipe: RecipeName = "kilas",
    jobs: Jobs = CPUS,
) -> None:
    """Simulate data, train, export and evaluate a model from nothing, as the recipe says.

    An interrupted call continues where it stopped when the same command is given again.

    Example: python -m training reproduce --face-model ict_facekit.npz --out kilas
    """
    start_tensorflow()
    from training.evaluation.evaluate import summary
    from training.recipe import load_recipe
    from training.reproduce import reproduce as run

    typer.echo(summary(run(load_recipe(recipe), face_model, out, jobs)))
    typer.echo(f"The report is {out / 'report' / 'report.html'}.")


def main() -> None:
    """Run the command line: status 0 on success, 2 on wrong use, 1 on failure, 130 on Ctrl-C."""
    raise_on_interrupt()
    escape_unprintable()
    try:
        app()  # typer ends with status 130, without a traceback, on Ctrl-C
    except KilasError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        where = error.filename or "A file"
        reason = error.strerror or error
        typer.echo(f"{where} cannot be read or written: {reason}.", err=True)
        sys.exit(1)


if __name__ == "__mp_main__":  # a process that one of these commands has started
    start_tensorflow()
if __name__ == "__main__":
    main()
