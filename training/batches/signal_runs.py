"""Unbroken runs of a network's signal, cut from face sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from realtime.preprocessing.motion import MotionSignal
from realtime.spec import LAYOUTS, ModelSpec
from training.annotations.expression import AnnotatedExpression
from training.preparation.sequence_file import FaceSequence


@dataclass(frozen=True, slots=True)
class SignalRun:
    """Unbroken run of the signal of a face sequence.

    `signal`: [S, R, H, W, C]; `t_s`: float64 [S], seconds from the video's start; `events`: all
    expressions of the video.
    """

    clip: str
    subject: str
    events: tuple[AnnotatedExpression, ...]
    t_s: npt.NDArray[np.float64]
    signal: npt.NDArray[np.generic]


def signal_runs(
    sequences: Iterable[FaceSequence], spec: ModelSpec, jobs: int
) -> Iterator[SignalRun]:
    """Yield the signal of all face sequences, in their order, `jobs` sequences at a time.

    The signal stage is the live path's own; where it gives up, the sequence is cut, as live.
    Motion is kept as float16: its steps of 0.001 pixels are far below its noise.
    """
    waiting = iter(sequences)
    with ThreadPoolExecutor(jobs) as pool:
        while group := list(islice(waiting, 8 * jobs)):
            for runs in pool.map(lambda sequence: _signal_runs(sequence, spec), group):
                yield from runs


def _signal_runs(sequence: FaceSequence, spec: ModelSpec) -> list[SignalRun]:
    def run(first: int, signal: list[npt.NDArray[np.generic]]) -> SignalRun:
        t_s = sequence.t_s[first : first + len(signal)]
        return SignalRun(sequence.clip, sequence.subject, sequence.events, t_s, np.stack(signal))

    if spec.signal == "gray":
        cuts = [
            sequence.faces[:, top:bottom, left:right, np.newaxis]
            for left, top, right, bottom in LAYOUTS[spec.region_layout]
        ]
        return [run(0, list(np.stack(cuts, axis=1)))]
    stage = MotionSignal(spec)
    runs: list[SignalRun] = []
    slots: list[npt.NDArray[np.generic]] = []
    for number, face in enumerate(sequence.faces):
        signal = stage(face[np.newaxis])
        if signal is not None:
            slots.append(signal.astype(np.float16))
            continue
        stage.restart()
        if slots:
            runs.append(run(number - len(slots), slots))
        slots = []
    if slots:
        runs.append(run(len(sequence.faces) - len(slots), slots))
    return runs
