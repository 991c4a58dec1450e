"""Samples from files of face sequences: one window of the face for each micro-expression.

A sample is the window in which the live model scores the apex: `frames` slots of the clock, of
which `lookahead` come after the apex. Where a clip is shorter, its first or last slot is repeated
for missing slots; their number is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.errors import KilasError
from realtime.spec import ModelSpec
from training.batches.signal_runs import SignalRun, signal_runs
from training.datasets.classes import labels_of
from training.preparation.sequence_file import SequenceFile, load_files

Row = dict[Hashable, Any]

SAMPLE_COLUMNS = (
    *("dataset", "subject", "clip", "usage", "is_copy"),
    *("emotion", "label", "onset_s", "apex_s"),
)
"""Columns of the table of samples.

The table has two more: `apex_slot`, the slot of the window that shows the apex, and `held`, the
number of slots that are repeated for missing slots.
"""


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples of some files.

    `slots`: uint8 [S, 128, 128], aligned faces, or for motion float16 [S, R, H, W, 2]. `index`:
    int64 [N, T], the slots of each sample. `labels`: int64 [N], class index. `table`: a row for
    each sample, SAMPLE_COLUMNS, `apex_slot` and `held`.
    """

    slots: npt.NDArray[np.generic]
    index: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
        """Return the slots of the chosen samples, [B, T, ...]."""
        windows: npt.NDArray[np.generic] = self.slots[self.index[chosen]]
        return windows


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Number of micro-expressions that are no samples for the same reason, and the reason."""

    count: int
    why: str


def read_samples(
    prepared: Sequence[Path], spec: ModelSpec, classes: str, jobs: int = 1
) -> tuple[Samples, list[LeftOut]]:
    """Read the samples of files of face sequences, and list the expressions that are left out.

    `prepared`: see `training.preparation.sequence_file.load_files`; `classes`: a key of
    `training.datasets.CLASSES`; classes that are not among the labels of `spec` are left out.
    Raises KilasError when a file cannot be used, two files have the same expression, or no sample
    is left.
    """
    parts: list[npt.NDArray[np.generic]] = []
    index: list[npt.NDArray[np.int64]] = []
    kept: list[Row] = []
    reasons: list[str] = []
    total = 0
    for file in load_files(prepared, spec):
        rows = file.table[file.table["kind"] == "micro"].reset_index(drop=True)
        rows["label"] = labels_of(rows["emotion"], file.dataset, classes)
        has_class = rows["label"].isin(spec.labels)
        for emotion in rows["emotion"][~has_class]:
            reasons.append(f"{emotion or 'no emotion'} is none of the classes {classes!r}")
        waiting: dict[tuple[str, str], list[Row]] = {}
        for row in rows[has_class].to_dict("records"):
            waiting.setdefault((row["subject"], row["clip"]), []).append(row)
        for run in _runs(file, spec, jobs, set(waiting)):
            clip = (run.subject, run.clip)
            for row in [row for row in waiting[clip] if _is_in(run, row["apex_s"], spec)]:
                waiting[clip].remove(row)
                apex, wanted = _window(run, row["apex_s"], spec)
                inside = np.clip(wanted, 0, len(run.signal) - 1)
                used, window = np.unique(inside, return_inverse=True)
                parts.append(np.asarray(run.signal[used]))
                index.append(total + window)
                total += len(used)
                at_apex = int((wanted == apex).argmax())
                kept.append(row | {"apex_slot": at_apex, "held": int((inside != wanted).sum())})
        reasons += ["no face can be seen at the apex"] * sum(map(len, waiting.values()))
    left_out = [LeftOut(count, why) for why, count in Counter(reasons).most_common()]
    if not kept:
        why = "; ".join(f"{reason.count} times {reason.why}" for reason in left_out)
        raise KilasError(
            f"No sample is left of {', '.join(path.name for path in prepared)}: "
            f"{why or 'there is no micro-expression'}. Give other data, or other classes."
        )
    table = pd.DataFrame(kept)[[*SAMPLE_COLUMNS, "apex_slot", "held"]]
    twice = table.duplicated(["dataset", "subject", "clip", "onset_s"])
    if twice.any():
        again = table[twice].iloc[0]
        raise KilasError(
            f"Two files have the expression of {again['subject']} in {again['clip']} of "
            f"{again['dataset']}; give each file once."
        )
    return (
        Samples(
            slots=np.concatenate(parts),
            index=np.stack(index),
            labels=np.array([spec.labels.index(label) for label in table["label"]]),
            table=table,
        ),
        left_out,
    )


def _runs(
    file: SequenceFile, spec: ModelSpec, jobs: int, clips: set[tuple[str, str]]
) -> Iterable[SignalRun]:
    """Return the signal of the given clips: whole faces, or the motion of the regions."""
    sequences = [
        sequence for sequence in file.streams if (sequence.subject, sequence.clip) in clips
    ]
    if spec.signal == "motion":
        return signal_runs(sequences, spec, jobs)
    return (
        SignalRun(sequence.clip, sequence.subject, (), sequence.t_s, sequence.faces)
        for sequence in sequences
    )


def _is_in(run: SignalRun, t_s: float, spec: ModelSpec) -> bool:
    slot_s = 1.0 / spec.rate_hz
    return bool(run.t_s[0] - slot_s <= t_s <= run.t_s[-1] + slot_s)


def _window(run: SignalRun, apex_s: float, spec: ModelSpec) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the slot of the apex, and the slots of the window that scores it, int64 [T].

    In a long enough run the window is moved until all of its slots exist; in a short run some lie
    outside.
    """
    apex = int(np.abs(run.t_s - apex_s).argmin())
    first = apex - (spec.frames - 1 - spec.lookahead)
    if len(run.t_s) >= spec.frames:
        first = min(max(first, 0), len(run.t_s) - spec.frames)
    return apex, np.arange(first, first + spec.frames)
