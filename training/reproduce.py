"""Reproduction of a recipe's model: simulate, train, export, choose thresholds, evaluate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from realtime.errors import KilasError
from training.evaluation.evaluate import evaluate, model_results
from training.evaluation.measures import EvaluationMeasures
from training.model_file import update_model_metadata
from training.models.export import export_run
from training.models.thresholds import choose_thresholds
from training.models.train import train
from training.provenance import ensure_same_inputs, sha256_of
from training.recipe import Recipe, weights_from
from training.rendering.face_model import load_face_model
from training.reports.evaluation_report import write_evaluation
from training.simulation.sequences import simulate_sequences
from training.simulation.videos import simulate


def reproduce(recipe: Recipe, face_model: Path, out: Path, jobs: int) -> EvaluationMeasures:
    """Make and evaluate a recipe's model in the folder `out`; return the evaluation's measures.

    `out` then holds the streams (`train`, `spotting`), the videos (`test`), the run (`run`), the
    report (`report`) and NAME.onnx, which states its thresholds and results. Streams, videos and
    the run that exist already are not made again, so an interrupted call continues where it
    stopped; NAME.onnx, its thresholds and its results are made anew by each call.

    Raises KilasError when the recipe's data is not simulated or `out` was made from another
    recipe, SourceError when `face_model` cannot be read.

    Example:

        from pathlib import Path
        from training.recipe import load_recipe
        from training.reproduce import reproduce

        measures = reproduce(load_recipe("kilas"), Path("face_model.npz"), Path("kilas"), jobs=8)
        print(measures.whole.figures["f1"].value)
    """
    if recipe.data is None:
        raise KilasError("The recipe has no [data] to simulate; prepare its data and train on it.")
    data, spec = recipe.data, recipe.spec
    load_face_model(face_model)  # fails before the folder is bound to the file
    settings = dataclasses.asdict(recipe)
    made_from = {"face_model_sha256": sha256_of(face_model), "data": settings["data"]}
    ensure_same_inputs(out, weights_from(settings) | made_from)
    for name, sets in (("train", data.train), ("spotting", data.spotting)):
        for one in sets:
            simulate_sequences(
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
    measures, spotted = evaluate(out / "test", out / "test" / "events.csv", str(model), jobs)
    write_evaluation(out / "report", measures, spotted)
    update_model_metadata(model, results=model_results(measures))
    return measures
