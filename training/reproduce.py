"""A recipe from nothing to figures: simulate, train, export, choose thresholds, evaluate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from realtime.errors import KilasError
from training.evaluation.evaluate import evaluate, model_results
from training.evaluation.measures import Figures
from training.model_file import update_model_metadata
from training.models.export import export_run
from training.models.thresholds import choose_thresholds
from training.models.train import train
from training.provenance import ensure_same_inputs, sha256_of
from training.recipe import Recipe, weights_from
from training.rendering.face_model import load_face_model
from training.reports.evaluation_report import write_evaluation
from training.simulation.sequences import simulate_streams
from training.simulation.videos import simulate


def reproduce(recipe: Recipe, face_model: Path, out: Path, jobs: int) -> Figures:
    """Make a recipe's model and its figures in the folder `out`; give the figures.

    `out` then holds the streams (`train`, `spotting`), the videos (`test`), the run (`run`), the
    report (`report`) and NAME.onnx, which knows its thresholds and figures. Streams, videos and the
    run that are there already are not made again, so an interrupted call goes on where it was;
    NAME.onnx, its thresholds and its figures are made anew by each call.

    Raises KilasError when the recipe's data is not simulated or `out` was made from another
    recipe, SourceError when `face_model` cannot be read.
    """
    if recipe.data is None:
        raise KilasError("The recipe has no [data] to simulate; prepare its data and train on it.")
    data, spec = recipe.data, recipe.spec
    load_face_model(face_model)  # before the folder is bound to it
    settings = dataclasses.asdict(recipe)
    made_from = {"face_model_sha256": sha256_of(face_model), "data": settings["data"]}
    ensure_same_inputs(out, weights_from(settings) | made_from)
    for name, sets in (("train", data.train), ("spotting", data.spotting)):
        for one in sets:
            simulate_streams(
                out / name,
                face_model,
                spec,
                one.clips,
                seed=one.seed,
                seconds=one.seconds,
                jobs=jobs,
                first_subject=one.first_subject,
                warped=one.warped,
                dense=one.dense,
            )
    model = out / f"{spec.name}.onnx"
    train([out / "train"], recipe, out / "run", jobs)
    export_run(out / "run", recipe, model)
    choose_thresholds([out / "spotting"], model, jobs)
    test = data.test
    simulate(
        out / "test",
        face_model,
        test.clips,
        seed=test.seed,
        seconds=test.seconds,
        jobs=jobs,
        first_subject=test.first_subject,
        subjects=test.clips,
    )
    figures, spotted = evaluate(out / "test", out / "test" / "events.csv", str(model), jobs)
    write_evaluation(out / "report", figures, spotted)
    update_model_metadata(model, results=model_results(figures))
    return figures
