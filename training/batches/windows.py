"""Windows of face sequences, on which spotting recipes are trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.preprocessing.motion import BASELINE_SLOTS, BASELINE_STEP_S
from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Float32Array
from training.annotations.expression import AnnotatedExpression, intensity_at
from training.batches.augmentation import GAIN_RANGE, mirror
from training.batches.signal_runs import SignalRun
from training.recipe import TrainingSettings, WindowSettings

SHOWN = 0.2
"""Share of an expression's peak, seen against the baseline, from which a slot has its label."""

HIDDEN = 0.05
"""Share of the peak up to which a slot has the label `none`; between the two it has no label."""

NO_LABEL = -1
"""Label of slots that are used neither for training nor for test."""

EDGE_S = 0.3
"""Largest distance from an expression at which a window without expression counts as its edge."""


@dataclass(frozen=True, slots=True)
class WindowSet:
    """All windows of a set of face sequences, without copies.

    `signal`: [S, R, H, W, C], slots of all sequences one after the other. `starts`: int64 [N],
    first slot of each window; `labels`: int64 [N], class index. `is_edge`: bool [N], true where
    the scored slot shows no expression, but a slot within EDGE_S does. `subjects`: [N].
    """

    signal: npt.NDArray[np.generic]
    starts: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    is_edge: npt.NDArray[np.bool_]
    subjects: npt.NDArray[np.str_]

    def batch(self, chosen: npt.NDArray[np.int64], frames: int) -> npt.NDArray[np.float32]:
        """Return the chosen windows, float32 [B, T, R, H, W, C]."""
        slots = self.starts[chosen, None] + np.arange(frames)
        return np.asarray(self.signal[slots], np.float32)


def slot_labels(
    t_s: npt.NDArray[np.float64],
    events: Iterable[AnnotatedExpression],
    labels: tuple[str, ...],
    rate_hz: float,
) -> npt.NDArray[np.int64]:
    """Return the class index of each slot of a face sequence, or NO_LABEL; int64 [S].

    `t_s`: float64 [S]; `events`: those of this video. A slot shows an expression when the
    expression stands out from the baseline that the motion signal has at that moment, which is
    therefore built here in the same way from the true intensities. So the release of a long
    smile, to which the baseline has adapted, is `none`. Slots of an expression that has none of
    the labels have no label, unless an expression within it has a label; nor have slots that show
    two labels at once.
    """
    none = labels.index(NONE_LABEL)
    result = np.full(len(t_s), none, np.int64)
    by_label: dict[int, npt.NDArray[np.bool_]] = {}
    step = max(1, round(BASELINE_STEP_S * rate_hz))
    for event in events:
        intensity = intensity_at(event, t_s)
        baseline = np.empty_like(intensity)
        for slot in range(len(t_s)):
            newest = slot // step
            seen = np.arange(max(0, newest - BASELINE_SLOTS + 1), newest + 1) * step
            baseline[slot] = np.median(intensity[seen])
        shown = (intensity - baseline) / event.intensity
        result[(shown > HIDDEN) & (result == none)] = NO_LABEL
        if event.label in labels:
            label = labels.index(event.label)
            is_shown = shown >= SHOWN
            by_label[label] = by_label.get(label, np.zeros(len(t_s), bool)) | is_shown
    for label, is_shown in by_label.items():
        result[is_shown] = label
    result[sum(by_label.values(), np.zeros(len(t_s), np.int64)) > 1] = NO_LABEL
    return result


def collect_windows(runs: Iterable[SignalRun], spec: ModelSpec) -> WindowSet:
    """Collect every window whose scored slot has a label."""
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
    return WindowSet(
        signal=_joined(signals),
        starts=np.array(starts),
        labels=np.array(labels),
        is_edge=np.array(is_edge),
        subjects=np.array(subjects),
    )


def _joined(parts: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Join the parts one after the other, and empty the list.

    Each part is freed once it is copied: all of them twice would be the largest data in memory.
    """
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    first = len(whole)
    while parts:
        part = parts.pop()
        whole[first - len(part) : first] = part
        first -= len(part)
    return whole


class WindowBatches(keras.utils.PyDataset):
    """Batches of an epoch: windows drawn anew each epoch, with a fixed share of expressions.

    The draw of an epoch follows from the seed and the epoch's number alone, so an interrupted
    training goes on as if it had not been; `start` sets the epoch.
    """

    def __init__(
        self,
        windows: WindowSet,
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
            # As often as they occur: a more varied class has more windows.
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
