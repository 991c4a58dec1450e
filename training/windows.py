"""Prepared streams to the windows that spotting recipes are trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.preprocessing.motion import BASELINE_SLOTS, BASELINE_STEP_S, MotionSignal
from realtime.spec import LAYOUTS, NONE_LABEL, ModelSpec
from realtime.types import Float32Array
from training.expressions import ScriptedEvent, intensity_at
from training.recipe import TrainingSettings, WindowSettings
from training.stream_file import Stream

SHOWN = 0.2
"""Share of an expression's peak, seen against the baseline, from which a slot counts as it."""

HIDDEN = 0.05
"""Share of the peak up to which a slot counts as none; between the two it has no label."""

NO_LABEL = -1
"""Label of slots that neither train nor test."""

GAIN_RANGE = (0.7, 1.4)
"""Motion of each window is scaled by a factor from this range: faces and expressions of other
sizes than those at hand."""

EDGE_S = 0.3
"""How far from an expression a window without one still counts as its edge."""


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of a set of streams, without copying them.

    `signal`: [S, R, H, W, C], slots of all streams one after the other. `starts`: int64 [N],
    first slot of each window; `labels`: int64 [N], class index. `is_edge`: bool [N], no
    expression now, but one within EDGE_S. `subjects`: [N].
    """

    signal: npt.NDArray[np.generic]
    starts: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    is_edge: npt.NDArray[np.bool_]
    subjects: npt.NDArray[np.str_]

    def batch(self, chosen: npt.NDArray[np.int64], frames: int) -> npt.NDArray[np.float32]:
        """float32 [B, T, R, H, W, C]."""
        slots = self.starts[chosen, None] + np.arange(frames)
        return self.signal[slots].astype(np.float32)


@dataclass(frozen=True, slots=True)
class SignalRun:
    """One unbroken run of the signal of a stream.

    `signal`: [S, R, H, W, C]; `t_s`: float64 [S], seconds from the video's start; `events`: all
    expressions of the video.
    """

    clip: str
    subject: str
    events: tuple[ScriptedEvent, ...]
    t_s: npt.NDArray[np.float64]
    signal: npt.NDArray[np.generic]


def slot_labels(
    t_s: npt.NDArray[np.float64],
    events: Iterable[ScriptedEvent],
    labels: tuple[str, ...],
    rate_hz: float,
) -> npt.NDArray[np.int64]:
    """Class index of each slot of one stream, or NO_LABEL; int64 [S].

    t_s: float64 [S]; events: those of this video. A slot shows an expression when the
    expression stands out from the baseline that the motion signal has at that moment, which is
    therefore built here in the same way from the true intensities. So the release of a long
    smile, which the baseline has got used to, is `none`. An expression that has none of the labels
    leaves its slots without one.
    """
    result = np.full(len(t_s), labels.index(NONE_LABEL), np.int64)
    step = max(1, round(BASELINE_STEP_S * rate_hz))
    for event in events:
        intensity = intensity_at(event, t_s)
        baseline = np.empty_like(intensity)
        for slot in range(len(t_s)):
            newest = slot // step
            seen = np.arange(max(0, newest - BASELINE_SLOTS + 1), newest + 1) * step
            baseline[slot] = np.median(intensity[seen])
        shown = (intensity - baseline) / event.intensity
        label = labels.index(event.label) if event.label in labels else NO_LABEL
        result[shown >= SHOWN] = label
        result[(shown > HIDDEN) & (shown < SHOWN)] = NO_LABEL
    return result


def signal_runs(streams: Iterable[Stream], spec: ModelSpec, jobs: int) -> Iterator[SignalRun]:
    """The signal of all streams, in their order, `jobs` streams at a time.

    The signal stage is the live path's own; where it gives up, the stream is cut, as live.
    Motion is kept as float16: its steps of 0.001 pixels are far below its noise.
    """
    waiting = iter(streams)
    with ThreadPoolExecutor(jobs) as pool:
        while group := list(islice(waiting, 8 * jobs)):
            for runs in pool.map(lambda stream: _signal_runs(stream, spec), group):
                yield from runs


def collect_windows(runs: Iterable[SignalRun], spec: ModelSpec) -> Windows:
    """Every window whose scored slot has a label."""
    scored = spec.frames - 1 - spec.lookahead
    signals: list[npt.NDArray[np.generic]] = []
    starts: list[int] = []
    labels: list[int] = []
    is_edge: list[bool] = []
    subjects: list[str] = []
    reach = round(EDGE_S * spec.rate_hz)
    none = spec.labels.index(NONE_LABEL)
    total = 0
    for run in runs:
        truth = slot_labels(run.t_s, run.events, spec.labels, spec.rate_hz)
        for start in range(len(run.signal) - spec.frames + 1):
            slot = start + scored
            if truth[slot] != NO_LABEL:
                around = truth[max(0, slot - reach) : slot + reach + 1]
                is_edge.append(bool(truth[slot] == none and (around != none).any()))
                starts.append(total + start)
                labels.append(int(truth[slot]))
                subjects.append(run.subject)
        signals.append(run.signal)
        total += len(run.signal)
    return Windows(
        signal=_joined(signals),
        starts=np.array(starts),
        labels=np.array(labels),
        is_edge=np.array(is_edge),
        subjects=np.array(subjects),
    )


def _joined(parts: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """The parts one after the other. Each is given up once it is copied: all of them twice would
    be the largest thing in memory."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    first = len(whole)
    while parts:
        part = parts.pop()
        whole[first - len(part) : first] = part
        first -= len(part)
    return whole


def _signal_runs(stream: Stream, spec: ModelSpec) -> list[SignalRun]:
    def run(first: int, signal: list[npt.NDArray[np.generic]]) -> SignalRun:
        t_s = stream.t_s[first : first + len(signal)]
        return SignalRun(stream.clip, stream.subject, stream.events, t_s, np.stack(signal))

    if spec.signal == "gray":
        cuts = [
            stream.faces[:, top:bottom, left:right, np.newaxis]
            for left, top, right, bottom in LAYOUTS[spec.region_layout]
        ]
        return [run(0, list(np.stack(cuts, axis=1)))]
    stage = MotionSignal(spec)
    runs: list[SignalRun] = []
    slots: list[npt.NDArray[np.generic]] = []
    for number, face in enumerate(stream.faces):
        signal = stage(face[np.newaxis])
        if signal is not None:
            slots.append(signal.astype(np.float16))
            continue
        stage.restart()
        if slots:
            runs.append(run(number - len(slots), slots))
        slots = []
    if slots:
        runs.append(run(len(stream.faces) - len(slots), slots))
    return runs


class WindowBatches(keras.utils.PyDataset):
    """An epoch's batches: windows drawn anew each epoch, with a fixed share of expressions.

    What an epoch draws follows from the seed and its number alone, so an interrupted training
    goes on as if it had not been; `start` says which epoch it is.
    """

    def __init__(
        self,
        windows: Windows,
        chosen: npt.NDArray[np.bool_],
        spec: ModelSpec,
        settings: WindowSettings,
        training: TrainingSettings,
    ) -> None:
        super().__init__()
        self._windows = windows
        self._spec = spec
        self._settings = settings
        self._batch = training.batch
        self._seed = training.seed
        none = spec.labels.index(NONE_LABEL)
        edges = settings.none_share * settings.edge_share
        is_none = chosen & (windows.labels == none)
        # (share of the epoch, the windows that it is drawn from)
        self._groups = [
            (edges, np.flatnonzero(is_none & windows.is_edge)),
            (settings.none_share - edges, np.flatnonzero(is_none & ~windows.is_edge)),
            # As often as they occur: the more varied a class, the more of it there is.
            (1.0 - settings.none_share, np.flatnonzero(chosen & (windows.labels != none))),
        ]
        lacking = set(range(len(spec.labels))) - set(windows.labels[chosen])
        if lacking or not all(len(found) for _, found in self._groups):
            names = ", ".join(spec.labels[label] for label in sorted(lacking)) or "none"
            raise KilasError(f"The data has too few windows of {names}; give more clips.")
        self.start(0)

    def __len__(self) -> int:
        return self._settings.per_epoch // self._batch

    def start(self, epoch: int) -> None:
        """Draw the windows of an epoch."""
        self._epoch = epoch
        random = np.random.default_rng([self._seed, epoch])
        drawn = [
            random.choice(found, round(share * self._settings.per_epoch))
            for share, found in self._groups
        ]
        self._order = random.permutation(np.concatenate(drawn))

    def __getitem__(self, index: int) -> tuple[Float32Array, npt.NDArray[np.int64]]:
        part = slice(index * self._batch, (index + 1) * self._batch)
        chosen = self._order[part]
        signal = self._windows.batch(chosen, self._spec.frames)
        random = np.random.default_rng([self._seed, self._epoch, index])
        mirrored = random.random(len(chosen)) < 0.5
        signal[mirrored] = mirror(signal[mirrored], self._spec)
        if self._spec.signal == "motion":
            gain = random.uniform(*GAIN_RANGE, (len(chosen), 1, 1, 1, 1, 1))
            signal *= gain.astype(np.float32)
        return signal, self._windows.labels[chosen]


def mirror(signal: Float32Array, spec: ModelSpec) -> Float32Array:
    """The same windows, [B, T, R, H, W, C], of the face seen in a mirror: left and right regions
    change places, and motion to the right becomes motion to the left."""
    mirrored = signal[:, :, :, :, ::-1, :].copy()
    if spec.region_layout == "triple":
        mirrored = mirrored[:, :, [1, 0, 2]]
    if spec.signal == "motion":
        mirrored[..., 0] *= -1.0
    return mirrored
