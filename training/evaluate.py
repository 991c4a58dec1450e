"""Whole labelled videos through the live chain, and how well their events were found."""

from __future__ import annotations

import multiprocessing
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from realtime.model import Model
from realtime.session import Monitor
from realtime.sources import VideoFile
from realtime.spec import NONE_LABEL
from realtime.types import Event
from training.expressions import ScriptedEvent
from training.metrics import detection, match, recognition
from training.prepare import read_events


def spot(video: Path, monitor: Monitor) -> tuple[list[Event], float]:
    """All events of one video, and its length in seconds, by the chain that `analyze` runs."""
    events: list[Event] = []
    end_s = 0.0
    with VideoFile(video) as source:
        for update in monitor.updates(source):
            events += update.events
            end_s = update.frame.t_s
    return events, end_s


def _spot_task(task: tuple[Path, str]) -> tuple[list[Event], float]:
    video, model = task
    with Monitor(model, device="cpu", live=False) as monitor:
        return spot(video, monitor)


def evaluate(videos: Path, labels_csv: Path, model: str, jobs: int) -> dict[str, Any]:
    """Figures of one model on a folder of labelled videos.

    `videos` holds the clips and `clips.csv`; `labels_csv` has a row for each true expression
    (`clip, onset_s, apex_s, offset_s, label, kind`, kind `micro` or `macro`). A spotted event is
    right when its overlap (IoU) with a true micro-expression is at least 0.5.
    """
    clips = pd.read_csv(videos / "clips.csv")
    truth = read_events(labels_csv)
    tasks = [(videos / str(clip), model) for clip in clips["clip"]]
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        found = list(
            track(pool.imap(_spot_task, tasks), total=len(tasks), description="watching clips")
        )

    labels = Model.load(model, device="cpu").spec.labels
    classes = [label for label in labels if label != NONE_LABEL]
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    missed = np.zeros(len(classes), np.int64)
    apex_errors_s: list[float] = []
    poor_overlaps = 0
    false_by_cause: Counter[str] = Counter()
    seconds_by_kind: defaultdict[str, float] = defaultdict(float)
    spotted_count = 0
    kinds = clips["kind"].astype(str)
    for clip, kind, (events, length_s) in zip(clips["clip"], kinds, found, strict=True):
        micro = [one for one in truth.get(clip, []) if one.kind == "micro"]
        macro = [one for one in truth.get(clip, []) if one.kind == "macro"]
        pairs = match(
            [(one.onset_s, one.offset_s) for one in micro],
            [(event.onset_s, event.offset_s) for event in events],
        )
        spotted_count += len(events)
        seconds_by_kind[kind] += length_s
        for i, j in pairs:
            confusion[classes.index(micro[i].label), classes.index(events[j].label)] += 1
            apex_errors_s.append(events[j].apex_s - micro[i].apex_s)
        for i in set(range(len(micro))) - {i for i, _ in pairs}:
            missed[classes.index(micro[i].label)] += 1
            poor_overlaps += any(_overlap_s(event, micro[i]) > 0 for event in events)
        for j in set(range(len(events))) - {j for _, j in pairs}:
            if any(_overlap_s(events[j], one) > 0 for one in micro):
                false_by_cause["poor overlap"] += 1
            elif any(_overlap_s(events[j], one) > 0 for one in macro):
                false_by_cause["macro-expression"] += 1
            else:
                false_by_cause[kind] += 1

    matched = len(apex_errors_s)
    spotting = detection(matched, matched + int(missed.sum()), spotted_count)
    classified = recognition(confusion, missed)
    of_spotted = recognition(confusion, np.zeros_like(missed))
    minutes = sum(seconds_by_kind.values()) / 60
    return {
        "model": model,
        "clips": len(clips),
        "minutes": minutes,
        "micro_expressions": matched + int(missed.sum()),
        "spotting": spotting._asdict(),
        "uf1_missed_as_errors": classified.uf1,
        "uar_missed_as_errors": classified.uar,
        "strs": spotting.f1 * of_spotted.uf1,
        "classes": classes,
        "confusion": confusion.tolist(),
        "missed": missed.tolist(),
        "missed_with_poor_overlap": poor_overlaps,
        "false_events_per_minute": (spotted_count - matched) / minutes,
        "false_events_by_cause": dict(false_by_cause),
        "minutes_by_kind": {kind: seconds / 60 for kind, seconds in seconds_by_kind.items()},
        "apex_error_ms_median": float(np.median(np.abs(apex_errors_s)) * 1e3)
        if apex_errors_s
        else None,
    }


def _overlap_s(spotted: Event, truth: ScriptedEvent) -> float:
    """Seconds that both share; negative when they do not meet."""
    return min(spotted.offset_s, truth.offset_s) - max(spotted.onset_s, truth.onset_s)


def summary(figures: dict[str, Any]) -> str:
    """The figures as text, for a terminal and a model card."""
    spotting = figures["spotting"]
    confusion = pd.DataFrame(figures["confusion"], figures["classes"], figures["classes"])
    confusion["missed"] = figures["missed"]
    causes = ", ".join(f"{cause} {n}" for cause, n in figures["false_events_by_cause"].items())
    apex = figures["apex_error_ms_median"]
    return "\n".join(
        [
            f"{figures['micro_expressions']} micro-expressions in {figures['clips']} clips "
            f"({figures['minutes']:.1f} minutes)",
            f"spotting at IoU 0.5: precision {spotting['precision']:.3f}, "
            f"recall {spotting['recall']:.3f}, F1 {spotting['f1']:.3f}",
            f"recognition, missed ones as errors: UF1 {figures['uf1_missed_as_errors']:.3f}, "
            f"UAR {figures['uar_missed_as_errors']:.3f}; STRS {figures['strs']:.3f}",
            f"false events a minute: {figures['false_events_per_minute']:.2f} ({causes or 'none'})",
            "apex error, median: " + ("unknown" if apex is None else f"{apex:.0f} ms"),
            confusion.to_string(),
        ]
    )
