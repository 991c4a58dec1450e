"""Choose a model's spotting thresholds on people that it was not trained on."""

from __future__ import annotations

import itertools
import multiprocessing
from pathlib import Path

import pandas as pd
from rich.progress import track

from realtime.model import Model
from realtime.session import Monitor
from realtime.sources import VideoFile
from realtime.spec import ModelSpec, SpottingSpec
from realtime.spotting import Spotter
from realtime.types import Event, Scores
from training.metrics import detection, match
from training.prepare import read_events

CANDIDATES = tuple(
    SpottingSpec(enter=enter, leave=leave, min_s=min_s, max_s=max_s)
    for enter, leave, min_s, max_s in itertools.product(
        (0.6, 0.7, 0.8, 0.85, 0.9), (0.2, 0.3, 0.4, 0.5, 0.6), (0.1, 0.15), (0.5, 0.55)
    )
    if leave < enter
)
"""All that are tried. `max_s` may exceed the half second of a micro-expression, because scores
rise a little before its onset and fall a little after its offset."""


def choose_thresholds(
    videos: Path, labels_csv: Path, model: str, subjects: set[str], jobs: int
) -> tuple[SpottingSpec, float]:
    """The candidate with the best spotting F1 (IoU 0.5) on the clips of `subjects`, and that F1.

    `videos` holds the clips and `clips.csv`; see `training.evaluate`.
    """
    clips = pd.read_csv(videos / "clips.csv", dtype={"subject": str})
    names = [str(clip) for clip in clips["clip"][clips["subject"].isin(subjects)]]
    tasks = [(videos / name, model) for name in names]
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        scores = list(
            track(pool.imap(_score_task, tasks), total=len(tasks), description="scoring clips")
        )
    truth = {
        clip: [(one.onset_s, one.offset_s) for one in events if one.kind == "micro"]
        for clip, events in read_events(labels_csv).items()
    }
    spec = Model.load(model, device="cpu").spec
    best = max(
        CANDIDATES,
        key=lambda candidate: _f1(
            [truth.get(name, []) for name in names],
            [spotted(one, spec, candidate) for one in scores],
        ),
    )
    return best, _f1(
        [truth.get(name, []) for name in names], [spotted(one, spec, best) for one in scores]
    )


def spotted(scores: list[Scores], spec: ModelSpec, spotting: SpottingSpec) -> list[Event]:
    """What a spotter with these thresholds makes of one video's scores."""
    spotters: dict[int, Spotter] = {}
    events = []
    for one in scores:
        if one.face_id not in spotters:
            spotters[one.face_id] = Spotter(spec.labels, spotting, spec.max_gap_s)
        event = spotters[one.face_id].update(one)
        if event is not None:
            events.append(event)
    return events


def _score_task(task: tuple[Path, str]) -> list[Scores]:
    video, model = task
    with Monitor(model, device="cpu", live=False) as monitor, VideoFile(video) as source:
        return [one for update in monitor.updates(source) for one in update.scores]


def _f1(truths: list[list[tuple[float, float]]], events: list[list[Event]]) -> float:
    found = [
        len(match(truth, [(event.onset_s, event.offset_s) for event in spots]))
        for truth, spots in zip(truths, events, strict=True)
    ]
    return detection(sum(found), sum(map(len, truths)), sum(map(len, events))).f1
