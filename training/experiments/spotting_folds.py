"""Folds of spotting networks: trained on recordings of some people, tested on those of others.

Whole recordings are tested. The thresholds are chosen on subjects of the training side that the
network was not trained on.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Scores
from training.batches.signal_runs import SignalRun, signal_runs
from training.batches.windows import WindowBatches, WindowSet, collect_windows
from training.datasets.classes import labels_of
from training.evaluation.metrics import MATCH_IOU, iou
from training.evaluation.protocols import Fold, Rows
from training.evaluation.results import Expression, FoldPart, FoldResult, WatchedSequence
from training.models.thresholds import best_thresholds, scores_of, spotted
from training.models.train import fitted
from training.models.training_loop import fit
from training.preparation.sequence_file import load_all_sequences, load_files
from training.recipe import Recipe

VALIDATION_SHARE = 0.15
"""Least share of the training subjects that the thresholds are chosen on.

It counts where the recipe says less: one or two people give thresholds that suit nobody else.
"""

STATEMENT = (
    f"A spotted interval is right when its IoU with a true micro-expression is at least "
    f"{MATCH_IOU}, each at most once; counts are pooled over all recordings of all folds (MEGC). "
    "Micro-expressions whose emotion has no class count neither as true nor, where they are "
    "spotted, as false. Those of recordings in which no face was found count as missed. Recordings "
    "with neither a face nor an expression are not in the data and left out."
)


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """All recordings of some files.

    `clips`: pandas, one row a recording, with the columns `dataset, subject, clip, label, seconds`;
    seconds are 0 where no face was found. `micro`: the micro-expressions of each recording, with an
    empty class where their emotion has no class. `runs`: the recordings' signal, as views of the
    signal of `windows`. `clip_of`: for each run the row of its clip.
    """

    clips: pd.DataFrame
    micro: tuple[tuple[Expression, ...], ...]
    windows: WindowSet
    runs: tuple[SignalRun, ...]
    clip_of: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=1)
def load_sequences(files: tuple[Path, ...], spec_json: str, classes: str) -> SequenceSet:
    """Read the recordings of some files; the last result is kept for the next fold.

    Raises KilasError as `load_all_sequences` does.
    """
    spec = ModelSpec.from_json(spec_json)
    whose: dict[tuple[str, str], str] = {}
    micro: dict[tuple[str, str], tuple[Expression, ...]] = {}
    for file in load_files(files, spec):
        whose |= {(stream.subject, stream.clip): file.dataset for stream in file.streams}
        # A recording without a face has no stream, but may stand in the table.
        labels = labels_of(file.table["emotion"], file.dataset, classes)
        table = file.table.assign(label=labels.where(labels.isin(spec.labels), ""))
        for (subject, clip), rows in table.groupby(["subject", "clip"], sort=False):
            whose[str(subject), str(clip)] = file.dataset
            shown = rows[rows["kind"] == "micro"]
            micro[str(subject), str(clip)] = tuple(
                zip(shown["onset_s"], shown["offset_s"], shown["label"], strict=True)
            )
    places = {clip: place for place, clip in enumerate(whose)}
    seconds = np.zeros(len(whose))
    kept: list[SignalRun] = []
    for run in signal_runs(load_all_sequences(files, spec, classes), spec, jobs=1):
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
    return SequenceSet(
        clips=clips,
        micro=tuple(micro.get(clip, ()) for clip in whose),
        windows=windows,
        runs=runs,
        clip_of=np.array([places[run.subject, run.clip] for run in runs]),
    )


def spot_fold(recipe: Recipe, data: SequenceSet, fold: Fold) -> FoldResult:
    """Train on the recordings of a fold's training side and spot in those of its test side.

    The thresholds are chosen on its validation side.
    """
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

    def scored(rows: Rows) -> list[tuple[int, list[Scores]]]:
        """Return the row of the recording and the scores of each run."""
        chosen = np.flatnonzero(np.isin(data.clip_of, rows))
        return [
            (int(data.clip_of[n]), scores_of(data.runs[n], spec, network.predict_on_batch))
            for n in chosen
        ]

    clips = [(str(row.subject), str(row.clip)) for row in data.clips.itertuples()]
    truth = {clips[row]: [one[:2] for one in data.micro[row]] for row in fold.validation}
    scores = [(clips[row], own_scores) for row, own_scores in scored(fold.validation)]
    thresholds, _ = best_thresholds(truth, scores, spec)
    events: dict[int, list[Expression]] = {row: [] for row in fold.test.tolist()}
    for row, own_scores in scored(fold.test):
        found = spotted(own_scores, spec, thresholds)
        events[row] += [(one.onset_s, one.offset_s, one.label) for one in found]
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
        watched=tuple(_watched(data, row, found) for row, found in events.items()),
    )


def _part(data: SequenceSet, rows: Rows, spec: ModelSpec) -> FoldPart:
    """Count recordings as samples, and their micro-expressions by class."""
    labels = [label for row in rows for _, _, label in data.micro[row]]
    return FoldPart(
        samples=len(rows),
        subjects=data.clips["subject"].iloc[rows].nunique(),
        classes={one: labels.count(one) for one in spec.labels if one != NONE_LABEL},
    )


def _watched(data: SequenceSet, row: int, events: Sequence[Expression]) -> WatchedSequence:
    """Return a recording with its micro-expressions that have a class, and the spotted events.

    Events that match a micro-expression without a class are left out.
    """
    clip, micro = data.clips.iloc[row], data.micro[row]
    unclassed = [one[:2] for one in micro if not one[2]]
    return WatchedSequence(
        dataset=clip["dataset"],
        subject=clip["subject"],
        clip=clip["clip"],
        seconds=float(clip["seconds"]),
        truths=tuple(one for one in micro if one[2]),
        events=tuple(
            one
            for one in events
            if not any(iou(one[:2], other) >= MATCH_IOU for other in unclassed)
        ),
    )
