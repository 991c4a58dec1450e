"""Rows of a session's tables: scores, events, conditions, blendshapes."""

from __future__ import annotations

import bisect
import csv
import io
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from operator import attrgetter

from realtime.recording.encoders import TICKS_HZ
from realtime.session.layout import scores_header
from realtime.types import NO_FACE, Conditions, Event, Update


@dataclass(frozen=True, slots=True)
class Record:
    """Data of an update that the tables need, without its pictures; times from the origin."""

    frame_id: int
    t_s: float
    states: tuple[tuple[int, str], ...]
    scores: tuple[tuple[int, float, tuple[float, ...]], ...]
    macro: tuple[tuple[int, tuple[float, ...]], ...]
    events: tuple[Event, ...]
    conditions: tuple[tuple[int, Conditions], ...]
    blendshapes: tuple[tuple[int, tuple[float, ...]], ...]
    origin_s: float

    @classmethod
    def of(cls, update: Update, origin_s: float) -> Record:
        """Make the record of an update. `origin_s`: `Frame.t_s` that becomes 0."""
        return cls(
            frame_id=update.frame.id,
            t_s=update.frame.t_s - origin_s,
            states=tuple(
                (id_, update.states[id_]) for id_ in sorted(f.face_id for f in update.faces)
            ),
            scores=tuple((s.face_id, s.t_s - origin_s, s.probabilities) for s in update.scores),
            macro=tuple((s.face_id, s.probabilities) for s in update.macro),
            events=update.events,
            conditions=tuple((id_, update.conditions[id_]) for id_ in sorted(update.conditions)),
            blendshapes=tuple(
                (face.face_id, tuple(face.blendshapes.tolist()))
                for face in sorted(update.faces, key=attrgetter("face_id"))
                if face.blendshapes is not None
            ),
            origin_s=origin_s,
        )


class ScoreTable:
    """Rows of scores.csv, held back until the scores that belong to them are there.

    The scores of a moment come with a later update. A row is complete once each of its faces
    has a score for its time or later, or once the frames are more than `wait_s` past it. It
    gets the nearest score, unless that is further off than `reach_s`, and the last scores of
    macro-expressions of its time or before. Rows leave in the order of the frames, and depend on
    the updates alone, not on when they came.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        macro_labels: Sequence[str],
        reach_s: float,
        wait_s: float,
    ) -> None:
        self.header = scores_header(labels, macro_labels)
        self._no_scores = [""] * (1 + len(labels))
        self._no_macro = [""] * len(macro_labels)
        self._macro: dict[int, list[str]] = {}
        self._reach_s = reach_s + 0.5 / TICKS_HZ  # times of files are rounded to this clock
        self._wait_s = wait_s
        self._waiting: deque[Record] = deque()
        self._scores: dict[int, list[tuple[float, tuple[float, ...]]]] = {}

    def add(self, record: Record) -> list[list[object]]:
        """Take one record and return the rows that are complete now."""
        self._waiting.append(record)
        for face_id, t_s, probabilities in record.scores:
            bisect.insort(self._scores.setdefault(face_id, []), (t_s, probabilities))
        rows: list[list[object]] = []
        while self._waiting and self._is_complete(self._waiting[0], record.t_s):
            rows += self._rows(self._waiting.popleft())
        return rows

    def finish(self) -> list[list[object]]:
        """Return the rows that still wait, with the scores that there are."""
        rows: list[list[object]] = []
        while self._waiting:
            rows += self._rows(self._waiting.popleft())
        return rows

    def _is_complete(self, record: Record, now_s: float) -> bool:
        return now_s - record.t_s > self._wait_s or all(
            face_id in self._scores and self._scores[face_id][-1][0] >= record.t_s
            for face_id, _ in record.states
        )

    def _rows(self, record: Record) -> list[list[object]]:
        for face_id, scores in list(self._scores.items()):
            keep = bisect.bisect_left(scores, record.t_s - self._reach_s, key=lambda s: s[0])
            del scores[:keep]
            if not scores:
                del self._scores[face_id]
        time_cells = [record.frame_id, f"{record.t_s:.6f}"]
        if not record.states:
            return [[*time_cells, "", 0, *self._no_scores, *self._no_macro, NO_FACE]]
        for face_id, probabilities in record.macro:
            self._macro[face_id] = [f"{value:.6f}" for value in probabilities]
        return [
            [
                *(*time_cells, face_id, 1),
                *self._score_cells(face_id, record.t_s),
                *self._macro.get(face_id, self._no_macro),
                state,
            ]
            for face_id, state in record.states
        ]

    def _score_cells(self, face_id: int, t_s: float) -> list[str]:
        scores = self._scores.get(face_id)
        if scores is None:
            return self._no_scores
        score_s, probabilities = min(scores, key=lambda score: abs(score[0] - t_s))
        if abs(score_s - t_s) > self._reach_s:
            return self._no_scores
        return [f"{value:.6f}" for value in (max(probabilities), *probabilities)]


def event_row(event_id: int, event: Event, origin_s: float) -> list[object]:
    """Return the row of an event in events.csv."""
    onset_s, apex_s, offset_s = (
        t_s - origin_s for t_s in (event.onset_s, event.apex_s, event.offset_s)
    )
    times = (f"{t_s:.6f}" for t_s in (onset_s, apex_s, offset_s, offset_s - onset_s))
    return [event_id, event.face_id, *times, event.label, f"{event.score:.6f}"]


def condition_rows(record: Record) -> list[list[object]]:
    """Return the rows of a record in conditions.csv, one for each face."""
    return [
        [
            record.frame_id,
            f"{record.t_s:.6f}",
            face_id,
            *(f"{value:.3f}" for value in astuple(conditions)),
        ]
        for face_id, conditions in record.conditions
    ]


def blendshape_rows(record: Record) -> list[list[object]]:
    """Return the rows of a record in blendshapes.csv, one for each face."""
    return [
        [record.frame_id, f"{record.t_s:.6f}", face_id, *(f"{value:.4f}" for value in values)]
        for face_id, values in record.blendshapes
    ]


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Format rows as CSV in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
