"""Choice of a model's spotting thresholds on people that it was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from rich.progress import track

from realtime.inference.model import Model
from realtime.preprocessing.motion import expression_nodes
from realtime.spec import ModelSpec, SpottingSpec
from realtime.spotting.spotter import Spotter
from realtime.types import Event, FloatArray, Scores
from training.batches.signal_runs import SignalRun, signal_runs
from training.evaluation.metrics import Interval, detection, match
from training.model_file import check_subjects_unseen, update_model_metadata
from training.preparation.sequence_file import load_all_sequences

CANDIDATES: dict[str, tuple[float, ...]] = {
    "enter": (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99),
    "leave": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "max_residual": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0),
    "min_s": (0.06, 0.08, 0.1, 0.12, 0.15, 0.18),
    "max_s": (0.5, 0.55, 0.6, 0.65),
}
"""Values that are tried for each threshold, one threshold after the other.

`max_s` may exceed the half second of a micro-expression, because scores rise a little before its
onset and fall a little after its offset.
"""

SCORED_AT_ONCE = 16
"""Windows of a batch: enough to keep the network busy, few enough to take little memory."""

Clip = tuple[str, str]
"""Subject and clip: several sets may have clips of the same name."""

ROUNDS = 3
"""Number of passes through all thresholds; the second pass already changes little."""


def choose_thresholds(prepared: Sequence[Path], model_file: Path, jobs: int) -> float:
    """Write the thresholds with the best spotting F1 (IoU 0.5) into the model file; return the F1.

    Each threshold is chosen while the others stay fixed. `prepared`: files of face sequences and
    folders of such files (see `load_all_sequences`), of people that the model was not trained on.

    Raises KilasError when it was trained on any of them.
    """
    model = Model.load(model_file, device="cpu")
    spec = model.spec
    # The class of an expression decides nothing here, so any classes will do.
    sequences = load_all_sequences(prepared, spec, "three")
    truth: dict[Clip, list[Interval]] = {}
    scored: list[tuple[Clip, list[Scores]]] = []
    subjects: set[str] = set()
    for run in track(signal_runs(sequences, spec, jobs), description="scoring sequences"):
        check_subjects_unseen(spec, {run.subject})
        clip = (run.subject, run.clip)
        truth.setdefault(clip, true_intervals(run))
        scored.append((clip, scores_of(run, spec, lambda windows: model.run(windows)[0])))
        subjects.add(run.subject)
    best, best_f1 = best_thresholds(truth, scored, spec)
    chosen_on = {"streams": len(truth), "micro_expressions": sum(map(len, truth.values()))}
    update_model_metadata(
        model_file, best, thresholds={"f1": best_f1, "subjects": sorted(subjects)} | chosen_on
    )
    return best_f1


def best_thresholds(
    truth: Mapping[Clip, Sequence[Interval]],
    scored: Sequence[tuple[Clip, Sequence[Scores]]],
    spec: ModelSpec,
) -> tuple[SpottingSpec, float]:
    """Find the thresholds with the best spotting F1; return them and that F1.

    `truth`: the micro-expressions of every clip; `scored`: the scores of every run of these clips.
    """
    best = SpottingSpec()
    best_f1 = _f1(truth, scored, spec, best)
    for _ in range(ROUNDS):
        for name, values in CANDIDATES.items():
            for value in values:
                settings = dataclasses.asdict(best) | {name: value}
                if settings["leave"] >= settings["enter"]:
                    continue
                candidate = SpottingSpec(**settings)
                f1 = _f1(truth, scored, spec, candidate)
                if f1 > best_f1:
                    best, best_f1 = candidate, f1
    return best, best_f1


def true_intervals(run: SignalRun) -> list[Interval]:
    """Return onset and offset of each micro-expression of the clip of a run."""
    return [(event.onset_s, event.offset_s) for event in run.events if event.kind == "micro"]


def scores_of(
    run: SignalRun,
    spec: ModelSpec,
    probabilities_of: Callable[[npt.NDArray[np.generic]], npt.NDArray[np.floating]],
) -> list[Scores]:
    """Return the scores of all windows of a run, as the live path gives them.

    `probabilities_of`: the network, from windows [N, T, R, H, W, C] to probabilities [N, labels].
    """
    scored = spec.frames - 1 - spec.lookahead
    starts = np.arange(0, len(run.signal) - spec.frames + 1, spec.hop)
    result = []
    for group in np.array_split(starts, range(SCORED_AT_ONCE, len(starts), SCORED_AT_ONCE)):
        windows = run.signal[group[:, None] + np.arange(spec.frames)]
        if spec.signal == "motion":
            windows = windows.astype(np.float32)
        for start, probabilities in zip(group, probabilities_of(windows), strict=True):
            slots = run.signal[start : start + spec.frames]
            # A part of the run's own signal, so that a whole video's scores take no memory.
            motion = None if spec.signal == "gray" else cast(FloatArray, slots[scored:])
            result.append(
                Scores(
                    face_id=0,
                    t_s=float(run.t_s[start + scored]),
                    probabilities=tuple(map(float, probabilities)),
                    latency_s=0.0,
                    motion=motion,
                )
            )
    return result


def spotted(scores: Sequence[Scores], spec: ModelSpec, spotting: SpottingSpec) -> list[Event]:
    """Return the events that a spotter with these thresholds spots in the scores of a run."""
    spotter = Spotter(spec.labels, spotting, spec.max_gap_s, expression_nodes(spec.region_layout))
    found = (spotter.update(score) for score in scores)
    return [event for event in found if event is not None]


def _f1(
    truth: Mapping[Clip, Sequence[Interval]],
    scored: Sequence[tuple[Clip, Sequence[Scores]]],
    spec: ModelSpec,
    spotting: SpottingSpec,
) -> float:
    events: dict[Clip, list[Event]] = {clip: [] for clip in truth}
    for clip, scores in scored:
        events[clip] += spotted(scores, spec, spotting)
    matched = sum(
        len(match(truth[clip], [(event.onset_s, event.offset_s) for event in found]))
        for clip, found in events.items()
    )
    return detection(matched, sum(map(len, truth.values())), sum(map(len, events.values()))).f1
