"""Evaluation of a model of macro-expressions on labelled gray faces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.macro.model import MacroModel
from realtime.types import Float32Array, FloatArray, UInt8Array
from training.evaluation.metrics import (
    BOOTSTRAP_SEED,
    INTERVAL_PERCENT,
    RESAMPLES,
    Counts,
    Estimate,
    rates,
    recognition,
)
from training.evaluation.protocols import SPLIT_PERCENT, Fold
from training.macro.calibration import (
    Bin,
    calibration_error,
    error_by_halves,
    log_loss,
    reliability,
)
from training.macro.stills import LABELS, NO_PART, Stills, in_parts, load_stills
from training.provenance import sha256_of

STILL_METRICS = ("accuracy", "uf1", "uar")
"""Rates of `training.evaluation.metrics.Rates` that are reported; UF1 is also called macro F1."""

TIMED_RUNS, WARM_UP_RUNS = 200, 20
"""Timed runs with a single face, and runs before them; the median varies by a few percent."""


@dataclass(frozen=True, slots=True)
class StillClassMetrics:
    """Metrics of a class.

    `pictures`: number of pictures of the class. `said`: number of pictures predicted as this class.
    `precision`, `recall`: None where there is nothing to divide by.
    """

    label: str
    pictures: int
    said: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class PartMetrics:
    """Metrics of a model on the pictures of a part.

    `figures`: FIGURES with 95 % intervals by bootstrap over pictures. `commonest`: accuracy of
    always predicting the class that is most common here. `confusion`: true classes in rows,
    predicted classes in columns. `calibration_error`: see `training.macro.calibration`.

    `trained_on`: number of these pictures that the network was trained on; None where it is not
    known which pictures it was trained on. `copies`: number of the other pictures that are exact
    copies of pictures of the training. `without_copies`, `calibration_error_without_copies`:
    metrics without both, None where no picture or every picture is left out.

    `temperature_chosen_here`: True if the temperature was chosen on these pictures or on some of
    them. `by_halves`: the calibration error as if it had not been (`error_by_halves`).
    """

    name: str
    pictures: int
    figures: dict[str, Estimate]
    commonest: float
    classes: tuple[StillClassMetrics, ...]
    confusion: list[list[int]]
    log_loss: float
    calibration_error: float
    reliability: list[Bin]
    trained_on: int | None
    copies: int | None
    without_copies: dict[str, Estimate] | None
    calibration_error_without_copies: float | None
    temperature_chosen_here: bool | None
    by_halves: float | None


@dataclass(frozen=True, slots=True)
class StillMetrics:
    """Metrics of a model on all chosen parts of the data.

    `ms_a_face`: median time of one core that a run with one face takes. `notes`: sentences for the
    reader of the report. `about`: metadata of the model file, its training and the data.
    """

    parts: tuple[PartMetrics, ...]
    labels: tuple[str, ...]
    ms_a_face: float
    notes: tuple[str, ...]
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Pictures that a network was trained on by a protocol.

    `fold`: division of the data, None where the network was trained on another file.
    """

    pictures: UInt8Array
    protocol: str
    fold: Fold | None
    temperature_chosen_on: str


def evaluate_stills(
    data: Path,
    model: str | Path,
    parts: Sequence[str] = (),
    trained_on: Path | None = None,
) -> StillMetrics:
    """Evaluate a model, given by its name or file, on labelled gray faces.

    `data`: a file of `training.macro.stills`. `parts`: names of the parts to evaluate, all by
    default: FER2013's own parts, or the sides of the split where the network was trained on a
    random split of the same file. `trained_on`: the file that the network was trained on, unless it
    is `data`; it shows which pictures the network has seen.

    Raises KilasError when a file cannot be used, has no such part, or `trained_on` is not the file
    that the network was trained on.

    Example:

        from pathlib import Path
        from training.macro.evaluate import evaluate_stills

        metrics = evaluate_stills(Path("fer2013.npz"), "kilas-macro")
        for part in metrics.parts:
            print(part.name, part.figures["accuracy"].value)
    """
    opened = MacroModel.load(model)
    if opened.spec.labels != LABELS:
        raise KilasError(
            f"The model {opened.path.name} has the labels {', '.join(opened.spec.labels)}, and the "
            f"data {', '.join(LABELS)}; give a model of these."
        )
    stills = load_stills(data)
    digest = sha256_of(data)
    seen, notes = _training_pictures(opened, stills, digest, trained_on)
    pieces = _pieces(stills, seen)
    unknown = [name for name in parts if name not in pieces]
    if unknown:
        raise KilasError(
            f"{data} has no part {', '.join(unknown)} for this model; it has {', '.join(pieces)}."
        )
    return StillMetrics(
        parts=tuple(
            _part_metrics(name, stills, rows, in_parts(opened.run, stills.images[rows]), seen)
            for name, rows in pieces.items()
            if not parts or name in parts
        ),
        labels=LABELS,
        ms_a_face=_ms_a_face(opened, stills.images),
        notes=tuple(notes),
        about={
            "model": {
                "name": opened.spec.name,
                "version": opened.spec.version,
                "file": opened.path.name,
                "sha256": opened.sha256,
                "bytes": opened.path.stat().st_size,
            },
            "temperature": opened.spec.temperature,
            "trained": opened.spec.provenance,
            "data": {"file": data.name, "sha256": digest, "pictures": len(stills)},
        },
    )


def _training_pictures(
    model: MacroModel, stills: Stills, digest: str, trained_on: Path | None
) -> tuple[_Seen | None, list[str]]:
    provenance = model.spec.provenance
    own = stills
    if trained_on is not None:
        own, digest = load_stills(trained_on), sha256_of(trained_on)
    if provenance.get("data") != digest:
        if trained_on is not None:
            raise KilasError(
                f"{model.path.name} was not trained on {trained_on}; give the file that it was "
                "trained on, or leave --trained-on out."
            )
        return None, [
            "The model was not trained on this file, or does not state on which: how many of these "
            "pictures it was trained on, as they are or as exact copies, is not known. "
            "--trained-on with the file that it was trained on shows it."
        ]
    settings = provenance["recipe"]["training"]
    fold = own.fold(settings["protocol"], settings["seed"], settings["validation_share"])
    seen = _Seen(
        own.images[fold.train],
        settings["protocol"],
        fold if trained_on is None else None,
        provenance["temperature_chosen_on"],
    )
    return seen, []


def _pieces(stills: Stills, seen: _Seen | None) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of each part that is evaluated by itself, by its name."""
    if seen is not None and seen.fold is not None and seen.protocol in SPLIT_PERCENT:
        sides = {
            "training": seen.fold.train,
            "validation": seen.fold.validation,
            "test": seen.fold.test,
        }
        return {name: rows for name, rows in sides.items() if len(rows)}
    return {name or NO_PART: stills.part(name) for name in stills.parts}


def _part_metrics(
    name: str,
    stills: Stills,
    rows: npt.NDArray[np.int64],
    model_scores: Float32Array,
    seen: _Seen | None,
) -> PartMetrics:
    scores = model_scores.astype(np.float64)
    labels = stills.labels[rows]
    confusion = _confusion(scores, labels)
    named = recognition(confusion, np.zeros(len(LABELS)))
    true_counts, predicted_counts = confusion.sum(axis=1), confusion.sum(axis=0)
    trained_on = copies = without = error_without = chosen_here = by_halves = None
    if seen is not None:
        is_copy = stills.copies(rows, seen.pictures)
        is_own = np.zeros(len(rows), bool)
        chosen_here = False
        if seen.fold is not None:
            is_own = np.isin(rows, seen.fold.train)
            chosen = getattr(seen.fold, seen.temperature_chosen_on)
            chosen_here = bool(np.isin(rows, chosen).any())
        trained_on, copies = int(is_own.sum()), int((is_copy & ~is_own).sum())
        if is_copy.any() and not is_copy.all():
            without = _estimates(_confusion(scores[~is_copy], labels[~is_copy]))
            error_without = calibration_error(scores[~is_copy], labels[~is_copy])
    if chosen_here and len(rows) > 1:
        by_halves = error_by_halves(scores, labels)
    return PartMetrics(
        name=name,
        pictures=len(rows),
        figures=_estimates(confusion),
        commonest=float(true_counts.max() / len(rows)),
        classes=tuple(
            StillClassMetrics(
                label,
                int(true_counts[c]),
                int(predicted_counts[c]),
                float(named.precision[c]) if predicted_counts[c] else None,
                float(named.recall[c]) if true_counts[c] else None,
            )
            for c, label in enumerate(LABELS)
        ),
        confusion=confusion.tolist(),
        log_loss=log_loss(scores, labels),
        calibration_error=calibration_error(scores, labels),
        reliability=reliability(scores, labels),
        trained_on=trained_on,
        copies=copies,
        without_copies=without,
        calibration_error_without_copies=error_without,
        temperature_chosen_here=chosen_here,
        by_halves=by_halves,
    )


def _confusion(scores: FloatArray, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(confusion, (labels, scores.argmax(axis=1)), 1)
    return confusion


def _estimates(confusion: npt.NDArray[np.int64]) -> dict[str, Estimate]:
    """Return FIGURES with their bootstrap intervals.

    The pictures do not name their people, so the bootstrap draws pictures, which is drawing from
    the cells of the confusion matrix.
    """
    count = confusion.sum()
    draws = np.random.default_rng(BOOTSTRAP_SEED).multinomial(
        count, confusion.ravel() / count, RESAMPLES
    )
    whole = rates(_counts(confusion))
    drawn = rates(_counts(draws.reshape(RESAMPLES, *confusion.shape)))
    return {
        name: Estimate(
            float(getattr(whole, name)),
            *map(float, np.percentile(getattr(drawn, name), INTERVAL_PERCENT)),
        )
        for name in STILL_METRICS
    }


def _counts(confusion: npt.NDArray[np.int64]) -> Counts:
    nothing = np.zeros(confusion.shape[:-2])
    return Counts(confusion.astype(float), np.zeros(confusion.shape[:-1]), nothing, nothing)


def _ms_a_face(model: MacroModel, faces: UInt8Array) -> float:
    times_s = []
    for number in range(WARM_UP_RUNS + TIMED_RUNS):
        face = faces[number % len(faces)][None]
        began_s = time.thread_time()  # which does not run while others have the core
        model.run(face)
        times_s.append(time.thread_time() - began_s)
    return 1000 * float(np.median(times_s[WARM_UP_RUNS:]))
