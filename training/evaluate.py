"""Whole labelled videos through the live chain, and how well their events were found."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from realtime.session import Monitor
from realtime.sources import VideoFile
from realtime.spec import NONE_LABEL
from realtime.types import Event
from training.metrics import detection, match, recognition

MIN_OVERLAP_S = 0.05
"""A false event that overlaps a true macro-expression by this much is counted as fired by it."""


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


def evaluate(
    videos: Path, labels_csv: Path, model: str, labels: tuple[str, ...], jobs: int
) -> dict[str, Any]:
    """Figures of one model on a folder of labelled videos.

    `videos` holds the clips and `clips.csv`; `labels_csv` has a row for each true expression
    (`clip, onset_s, apex_s, offset_s, label, kind`, kind `micro` or `macro`). A spotted event is
    right when its overlap (IoU) with a true micro-expression is at least 0.5.
    """
    clips = pd.read_csv(videos / "clips.csv")
    truth = pd.read_csv(labels_csv)
    tasks = [(videos / clip, model) for clip in clips["clip"]]
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        found = list(
            track(pool.imap(_spot_task, tasks), total=len(tasks), description="watching clips")
        )

    classes = [label for label in labels if label != NONE_LABEL]
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    missed = np.zeros(len(classes), np.int64)
    apex_errors_s: list[float] = []
    overlaps_missed = 0
    false_by_kind: Counter[str] = Counter()
    seconds_by_kind: Counter[str] = Counter()
    spotted_count = 0
    for row, (events, length_s) in zip(clips.itertuples(), found, strict=True):
        own = truth[truth["clip"] == row.clip]
        micro = own[own["kind"] == "micro"].reset_index(drop=True)
        macro = own[own["kind"] == "macro"]
        pairs = match(
            list(zip(micro["onset_s"], micro["offset_s"], strict=True)),
            [(event.onset_s, event.offset_s) for event in events],
        )
        spotted_count += len(events)
        seconds_by_kind[str(row.kind)] += length_s
        for i, j in pairs:
            confusion[classes.index(micro["label"][i]), classes.index(events[j].label)] += 1
            apex_errors_s.append(events[j].apex_s - micro["apex_s"][i])
        for i in set(range(len(micro))) - {i for i, _ in pairs}:
            missed[classes.index(micro["label"][i])] += 1
            overlaps_missed += any(
                event.onset_s < micro["offset_s"][i] and event.offset_s > micro["onset_s"][i]
                for event in events
            )
        for j in set(range(len(events))) - {j for _, j in pairs}:
            event = events[j]
            during_macro = any(
                min(event.offset_s, one.offset_s) - max(event.onset_s, one.onset_s) > MIN_OVERLAP_S
                for one in macro.itertuples()
            )
            near_micro = any(
                event.onset_s < one.offset_s and event.offset_s > one.onset_s
                for one in micro.itertuples()
            )
            cause = "macro" if during_macro else "poor overlap" if near_micro else str(row.kind)
            false_by_kind[cause] += 1

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
        "missed_with_poor_overlap": overlaps_missed,
        "false_events_per_minute": (spotted_count - matched) / minutes,
        "false_events_by_cause": dict(false_by_kind),
        "minutes_by_kind": {kind: seconds / 60 for kind, seconds in seconds_by_kind.items()},
        "apex_error_ms_median": float(np.median(np.abs(apex_errors_s)) * 1e3)
        if apex_errors_s
        else None,
    }
