"""Folds of networks that spot: trained on some people's recordings, tested on whole ones of others.

The thresholds are chosen on subjects of the training side that the network was not trained on.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Scores
from training.fit import fit
from training.metrics import MATCH_IOU, Counts, Estimate, estimates, iou, match
from training.protocols import Fold, Rows
from training.recipe import Recipe
from training.results import FoldResult, Part, Run, Watched
from training.stream_file import load_files, load_streams
from training.thresholds import best_thresholds, scores_of, spotted, true_intervals
from training.train import class_counts, fitted
from training.windows import SignalRun, WindowBatches, Windows, collect_windows, signal_runs

VALIDATION_SHARE = 0.15
"""Of the training subjects, to choose the thresholds on, where the recipe says less: one or two
people give thresholds that suit nobody else."""

STATEMENT = (
    f"A spotted interval is right when its IoU with a true micro-expression is at least "
    f"{MATCH_IOU}, each at most once; counts are pooled over all recordings of all folds (MEGC). "
    "Expressions whose emotion has no class count neither as true nor, where they are spotted, as "
    "false. Recordings in which no face was found are left out."
)


@dataclass(frozen=True, slots=True)
class Footage:
    """All recordings of some files. `clips`: pandas, a row a recording: `dataset, subject, clip,
    label, seconds`; `runs`: their signal, views of that of `windows`; `clip_of`: for each run the
    row of its clip."""

    clips: pd.DataFrame
    windows: Windows
    runs: tuple[SignalRun, ...]
    clip_of: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=1)
def footage(files: tuple[Path, ...], spec_json: str, classes: str) -> Footage:
    """The recordings of some files; kept for the next fold. Raises KilasError as `load_streams`
    does."""
    spec = ModelSpec.from_json(spec_json)
    whose = {
        (stream.subject, stream.clip): file.dataset
        for file in load_files(files, spec)
        for stream in file.streams
    }
    places = {clip: place for place, clip in enumerate(whose)}
    seconds = np.zeros(len(whose))
    kept: list[SignalRun] = []
    for run in signal_runs(load_streams(files, spec, classes), spec, jobs=1):
        kept.append(run)
        seconds[places[run.subject, run.clip]] += len(run.t_s) / spec.rate_hz
    windows = collect_windows(kept, spec)
    ends = np.cumsum([len(run.signal) for run in kept])
    runs = tuple(
        replace(run, signal=windows.signal[end - len(run.signal) : end])
        for run, end in zip(kept, ends, strict=True)
    )
    clips = pd.DataFrame(
        [
            {"dataset": dataset, "subject": subject, "clip": clip, "label": "recording"}
            for (subject, clip), dataset in whose.items()
        ]
    ).assign(seconds=seconds)
    return Footage(clips, windows, runs, np.array([places[run.subject, run.clip] for run in runs]))


def spot_fold(recipe: Recipe, data: Footage, fold: Fold) -> FoldResult:
    """Train on the recordings of one side of a fold, choose the thresholds on its validation side
    and watch the other."""
    assert recipe.windows is not None
    spec = recipe.spec
    own = np.unique(data.clips["subject"].iloc[fold.train])
    chosen = np.isin(data.windows.subjects, own)
    batches = WindowBatches(data.windows, chosen, spec, recipe.windows, recipe.training)
    quiet = Console(quiet=True)
    with tempfile.TemporaryDirectory(prefix="kilas-") as folder:
        network, training = fitted(
            recipe,
            lambda network: fit(network, batches, recipe.training, Path(folder), console=quiet),
        )

    def scored(rows: Rows) -> list[tuple[SignalRun, list[Scores]]]:
        runs = [data.runs[n] for n in np.flatnonzero(np.isin(data.clip_of, rows))]
        return [(run, scores_of(run, spec, network.predict_on_batch)) for run in runs]

    chosen_on = scored(fold.validation)
    truth = {(run.subject, run.clip): true_intervals(run) for run, _ in chosen_on}
    scores = [((run.subject, run.clip), scores) for run, scores in chosen_on]
    thresholds, _ = best_thresholds(truth, scores, spec)
    events: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    shown: dict[tuple[str, str], SignalRun] = {}
    for run, own_scores in scored(fold.test):
        found = spotted(own_scores, spec, thresholds)
        told = [(one.onset_s, one.offset_s, one.label) for one in found]
        events.setdefault((run.subject, run.clip), []).extend(told)
        shown[run.subject, run.clip] = run
    watched = []
    for row in data.clips.iloc[fold.test].to_dict("records"):
        clip = (row["subject"], row["clip"])
        watched.append(_watched(row, shown.get(clip), events.get(clip, []), spec))
    train, validation, test = (
        _part(data, side, spec) for side in (fold.train, fold.validation, fold.test)
    )
    return FoldResult(
        fold=fold.name,
        train=train,
        validation=validation,
        test=test,
        predictions=(),
        history=training.curves,
        epoch=training.epoch,
        watched=tuple(watched),
    )


def _part(data: Footage, rows: Rows, spec: ModelSpec) -> Part:
    """Recordings are counted as samples, and windows by their classes."""
    subjects = np.unique(data.clips["subject"].iloc[rows])
    labels = data.windows.labels[np.isin(data.windows.subjects, subjects)]
    return Part(len(rows), len(subjects), class_counts(labels, spec))


def _watched(
    row: Mapping[Hashable, Any],
    run: SignalRun | None,
    events: list[tuple[float, float, str]],
    spec: ModelSpec,
) -> Watched:
    micro = [one for one in run.events if one.kind == "micro"] if run is not None else []
    unclassed = [one for one in micro if one.label not in spec.labels]
    kept = [
        event
        for event in events
        if not any(iou(event[:2], (one.onset_s, one.offset_s)) >= MATCH_IOU for one in unclassed)
    ]
    return Watched(
        dataset=row["dataset"],
        subject=row["subject"],
        clip=row["clip"],
        seconds=row["seconds"],
        truths=tuple(
            (one.onset_s, one.offset_s, one.label) for one in micro if one not in unclassed
        ),
        events=tuple(kept),
    )


def spotting_figures(run: Run) -> dict[str, Estimate]:
    """Figures of `training.metrics.Rates` of all recordings of all folds, with intervals over
    subjects."""
    classes = [label for label in run.labels if label != NONE_LABEL]
    watched = [one for fold in run.folds for one in fold.watched]
    confusion = np.zeros((len(watched), len(classes), len(classes)))
    missed = np.zeros((len(watched), len(classes)))
    false = np.zeros(len(watched))
    for place, one in enumerate(watched):
        pairs = match([t[:2] for t in one.truths], [e[:2] for e in one.events])
        for truth, event in pairs:
            said = classes.index(one.events[event][2])
            confusion[place, classes.index(one.truths[truth][2]), said] += 1
        matched = {truth for truth, _ in pairs}
        for number, (_, _, label) in enumerate(one.truths):
            missed[place, classes.index(label)] += number not in matched
        false[place] = len(one.events) - len(pairs)
    counts = Counts(confusion, missed, false, np.array([one.seconds for one in watched]))
    return estimates(counts, np.array([f"{one.dataset} {one.subject}" for one in watched]))
