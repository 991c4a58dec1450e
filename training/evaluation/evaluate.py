"""Evaluation of a model on whole labelled videos that run through the live chain.

`evaluate` spots events in the videos; `measure` computes all metrics from tables of true and
spotted events, without a video.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from realtime.errors import KilasError
from realtime.inference.model import Model
from realtime.macro.model import MacroModel
from realtime.monitor import Monitor
from realtime.parallel.process_pool import map_all
from realtime.sources.video_file import VideoFile
from realtime.spec import NONE_LABEL
from realtime.types import Event
from training.annotations.tables import read_activities, read_clips, read_truth
from training.annotations.video_length import TOLERANCE_S, video_span
from training.evaluation.measures import BELOW_POINTS, EVENT_COLUMNS, EvaluationMeasures, measure
from training.evaluation.metrics import (
    BOOTSTRAP_SEED,
    MATCH_IOU,
    RESAMPLES,
    Estimate,
)
from training.model_file import check_subjects_unseen, weights_sha256
from training.provenance import commit, sha256_of


def spot(video: Path, monitor: Monitor) -> tuple[list[Event], float]:
    """Return all events of a video, and its length in seconds, by the chain that `analyze` runs."""
    events: list[Event] = []
    end_s = 0.0
    with VideoFile(video) as source:
        for update in monitor.updates(source):
            events += update.events
            end_s = update.frame.t_s
    return events, end_s


def _spot_task(task: tuple[Path, str, float, bool]) -> tuple[list[Event], float]:
    video, model, sensitivity, macro = task
    with Monitor(model, device="cpu", live=False, macro=macro, sensitivity=sensitivity) as monitor:
        return spot(video, monitor)


def _macro_metadata() -> dict[str, str]:
    loaded = MacroModel.load()
    return {
        "name": loaded.spec.name,
        "version": loaded.spec.version,
        "sha256": loaded.sha256,
    }


def spot_videos(
    videos: Path,
    clips: pd.DataFrame,
    model: str,
    jobs: int,
    sensitivity: float = 0.5,
    macro: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Spot the events of all clips.

    Returns the clips with their `length_s`, and a row of EVENT_COLUMNS for each spotted event.
    """
    tasks = [(videos / clip, model, sensitivity, macro) for clip in clips["clip"]]
    found = map_all(_spot_task, tasks, jobs, "watching clips")
    rows = [
        (clip, event.onset_s, event.apex_s, event.offset_s, event.label, event.score)
        for clip, (events, _) in zip(clips["clip"], found, strict=True)
        for event in events
    ]
    lengths_s = [length_s for _, length_s in found]
    return clips.assign(length_s=lengths_s), pd.DataFrame(rows, columns=list(EVENT_COLUMNS))


def evaluate(
    videos: Path,
    labels_csv: Path,
    model: str,
    jobs: int,
    sensitivity: float = 0.5,
    macro: bool = True,
) -> tuple[EvaluationMeasures, pd.DataFrame]:
    """Evaluate a model on a folder of labelled videos; return its metrics and spotted events.

    `videos`: the clips, and clips.csv and activities.csv where they exist; `labels_csv`: see
    `read_truth`; `sensitivity`: see `SpottingSpec.at`; `macro`: true if the spotter takes
    macro-expressions into account, as in `analyze`. Raises KilasError when the tables cannot be
    used, a video is missing, or the model was trained, or its thresholds were chosen, on any of the
    people.
    """
    clips, truth, activities = read_clips(videos), read_truth(labels_csv), read_activities(videos)
    loaded = Model.load(model, device="cpu")
    spec = loaded.spec
    classes = [label for label in spec.labels if label != NONE_LABEL]
    _check(videos, clips, truth, classes)
    check_subjects_unseen(spec, clips.get("subject", ()), with_thresholds=True)
    clips, spotted = spot_videos(videos, clips, model, jobs, sensitivity, macro)
    measures, spotted = measure(clips, truth, spotted, classes, activities)
    beside = (videos / "clips.csv", labels_csv, videos / "activities.csv")
    tables = [path for path in beside if path.is_file()]
    about = {
        "protocol": (
            f"Whole videos through the live chain, every frame, no picture left out. A spotted "
            f"interval is right when its IoU with a true micro-expression is at least "
            f"{MATCH_IOU}, each at most once; counts are pooled over all clips (MEGC)."
        ),
        "intervals": (
            f"95 %, bootstrap over {'subjects' if 'subject' in clips else 'clips'}, "
            f"{RESAMPLES} draws, seed {BOOTSTRAP_SEED}"
        ),
        "model": {
            "name": spec.name,
            "version": spec.version,
            "file": loaded.path.name,
            "weights_sha256": weights_sha256(loaded.path),
            "sensitivity": sensitivity,
            "spotting": dataclasses.asdict(spec.spotting.at(sensitivity)),
            # Earlier results would otherwise nest into each other at each export.
            "provenance": {k: v for k, v in spec.provenance.items() if k != "results"},
        },
        "macro_model": _macro_metadata() if macro else None,
        "data": {
            "sha256": {path.name: sha256_of(path) for path in tables},
            "seeds": [] if "seed" not in clips else sorted(clips["seed"].astype(str).unique()),
        },
        "device": loaded.device,
        "commit": commit(),
    }
    return dataclasses.replace(measures, about=about), spotted


def model_results(measures: EvaluationMeasures) -> dict[str, Any]:
    """Return the metrics that a model file keeps: all but the groups and lists of events."""
    kept = ("whole", "classes", "confusion", "missed", "about")
    return {name: value for name, value in dataclasses.asdict(measures).items() if name in kept}


def _check(videos: Path, clips: pd.DataFrame, truth: pd.DataFrame, classes: Sequence[str]) -> None:
    """Check, before hours of work, that every label has a place in a clip, and a class.

    Raises KilasError.
    """
    lost = sorted(set(truth["clip"]) - set(clips["clip"]))
    if lost:
        raise KilasError(
            f"The labels name clips that are not among the videos, such as {lost[0]}; give the "
            "labels of these videos, with file names as they are."
        )
    for clip, of_clip in truth.groupby("clip"):
        last_s, end_s = float(of_clip["offset_s"].max()), video_span(videos / str(clip)).end_s
        if last_s > end_s + TOLERANCE_S:
            raise KilasError(
                f"The labels name an expression until {last_s:g} s in {clip}, which ends at "
                f"{end_s:.1f} s; give times in seconds from the video's beginning."
            )
    strange = sorted(set(truth["label"][truth["kind"] == "micro"].astype(str)) - set(classes))
    if strange:
        raise KilasError(
            f"The model does not know the label {strange[0]}; it knows {', '.join(classes)}. "
            "Rename the labels or take a model that has them."
        )


def summary(measures: EvaluationMeasures) -> str:
    """Return the metrics as text, for a terminal and a model card."""
    whole = measures.whole
    labels = [item.label for item in measures.classes]
    confusion = pd.DataFrame(measures.confusion, labels, labels)
    confusion["missed"] = measures.missed
    counts: dict[str, int] = {}
    for event in measures.false_events:
        counts[event["cause"]] = counts.get(event["cause"], 0) + 1
    causes = ", ".join(f"{cause} {n}" for cause, n in sorted(counts.items(), key=lambda c: -c[1]))
    value = {name: _text(estimate) for name, estimate in whole.figures.items()}
    lines = [
        measures.source,
        f"{whole.micro_expressions} micro-expressions in {whole.clips} clips "
        f"({whole.minutes:.1f} minutes)",
        f"spotting at IoU {MATCH_IOU}: precision {value['precision']}, "
        f"recall {value['recall']}, F1 {value['f1']}",
        f"recognition, with missed expressions as errors: UF1 {value['uf1']}, UAR {value['uar']}; "
        f"STRS {value['strs']}",
        f"false events a minute: {value['false_per_minute']} ({causes or 'none'})",
    ]
    lines += [
        f"{time} error: median {timing.median_ms:.0f} ms, 95 % within {timing.p95_ms:.0f} ms"
        for time, timing in whole.timing.items()
    ]
    below = [
        (group.part.micro_expressions, f"{groups.title} {group.name}: {group.points:+.1f} points")
        for groups in (*measures.clip_groups, *measures.event_groups)
        for group in groups.groups
        if group.is_below
    ]
    below.sort(reverse=True)
    if below:
        lines.append(
            f"{len(below)} groups are more than {BELOW_POINTS:g} points below the whole, the "
            "largest of them:"
        )
        lines += [f"  {text} ({n} micro-expressions)" for n, text in below[:5]]
    return "\n".join([*lines, *measures.notes, confusion.to_string()])


def _text(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
