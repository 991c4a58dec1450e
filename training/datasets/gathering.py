"""Conversion of a spreadsheet's rows and of folders of frames to checked annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from realtime.errors import KilasError
from training.datasets.classes import EMOTIONS, spelled
from training.datasets.records import COLUMNS, Annotations, Clip, Clips, FrameFiles, Skipped
from training.datasets.spreadsheets import Row, Sheet, SkipRow

GAPS_NAMED = 3
"""Most gaps of a clip that are listed in its note; the others are counted."""


@dataclass(frozen=True, slots=True)
class SheetExpression:
    """Expression as a row has it, in frame numbers.

    `emotion`: None where the dataset has none for it; `number`: from 1, of several in one row.
    """

    clip: str
    onset: int
    apex: int | None
    offset: int
    emotion: str | None
    au: str
    kind: str = "micro"
    number: int = 1


class ClaimedNames:
    """Stretches of clips that have an expression already."""

    def __init__(self) -> None:
        self._stretches: dict[str, list[tuple[float, float, str]]] = {}

    def take(self, clip: str, onset: float, offset: float, where: str) -> None:
        """Add the stretch of an expression of a clip.

        Raises SkipRow when it is that of a row before, or overlaps with it; a frame may be the last
        of one expression and the first of the next.
        """
        own = self._stretches.setdefault(clip, [])
        for other_onset, other_offset, other in own:
            same = (onset, offset) == (other_onset, other_offset)
            if same or (onset < other_offset and offset > other_onset):
                raise SkipRow(
                    f"there are two rows for one clip: {onset:g} to {offset:g} of {clip} "
                    f"{'is' if same else 'overlaps with'} what {other} has; keep one of them"
                )
        own.append((onset, offset, where))


def collect_annotations(
    dataset: str,
    sheet: Sheet,
    clips: Clips,
    events_of: Callable[[Row], Iterable[SheetExpression]],
    notes: Iterable[str] = (),
) -> Annotations:
    """Collect the annotations of a dataset whose clips are folders of frames.

    `events_of`: yields the expressions of a row, or raises SkipRow where the row cannot be used.
    Raises KilasError when no row is left.
    """
    rows: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    taken = ClaimedNames()
    for row in sheet.rows:
        try:
            for event in events_of(row):
                where = row.where if event.number == 1 else f"{row.where}, event {event.number}"
                try:
                    rows.append(_checked(dataset, event, clips, taken, where))
                except SkipRow as skip:
                    skipped.append(Skipped(where, str(skip)))
        except SkipRow as skip:
            skipped.append(Skipped(row.where, str(skip)))
    used = {row["clip"] for row in rows}
    kept = tuple(clip for clip in clips.by_name.values() if clip.is_long or clip.clip in used)
    gaps = (note for note in map(_gap_note, kept) if note)
    found = Annotations(
        dataset, kept, as_table(rows), tuple(skipped), (*sheet.notes, *notes, *clips.notes, *gaps)
    )
    return refuse_empty(found, sheet.file)


def refuse_empty(found: Annotations, file: str) -> Annotations:
    """Return the same annotations. Raises KilasError when they have no row."""
    if found.table.empty:
        first = f": {found.skipped[0].where}: {found.skipped[0].why}" if found.skipped else ""
        raise KilasError(
            f"No row of {file} is left, {len(found.skipped)} cannot be used{first}; "
            "correct the table, or give the folder that it belongs to."
        )
    return found


def as_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Build the table of annotations; values that a row lacks are missing."""
    more = [name for row in rows for name in row if name not in COLUMNS]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *dict.fromkeys(more)])
    numbers = dict.fromkeys(("onset", "apex", "offset"), "Int64")
    seconds = dict.fromkeys(("onset_s", "apex_s", "offset_s", "fps"), "float64")
    return table.astype({**numbers, **seconds, "apex_estimated": "bool"})


def _checked(
    dataset: str, event: SheetExpression, clips: Clips, taken: ClaimedNames, where: str
) -> dict[str, Any]:
    """Return the row of an expression. Raises SkipRow when the expression is impossible."""
    clip = clips.by_name.get(event.clip.casefold())
    if clip is None or not isinstance(clip.frames, FrameFiles):
        raise SkipRow(
            f"there is no folder of frames of {event.clip}; add the folder, or take the row out"
        )
    onset, offset = event.onset, event.offset
    apex = (onset + offset) // 2 if event.apex is None else event.apex
    if not onset <= apex <= offset:
        middle = "no apex" if event.apex is None else f"apex {apex}"
        raise SkipRow(
            f"onset {onset}, {middle} and offset {offset} are not in that order; correct the "
            "numbers"
        )
    first, last = clip.frames.numbers[0], clip.frames.numbers[-1]
    for name, number in (("onset", onset), ("offset", offset)):
        if not first <= number <= last:
            raise SkipRow(
                f"the {name} {number} lies outside of the frames {first} to {last} of "
                f"{clip.frames.paths[0].parent}; add the missing frames, or correct the number"
            )
    emotion = None if event.emotion is None else known_emotion(event.emotion, dataset)
    taken.take(clip.clip, onset, offset, where)
    return {
        "dataset": dataset,
        "subject": clip.subject,
        "clip": clip.clip,
        "kind": event.kind,
        **{"onset": onset, "apex": apex, "offset": offset},
        "apex_estimated": event.apex is None,
        "onset_s": (onset - first) / clip.fps,
        "apex_s": (apex - first) / clip.fps,
        "offset_s": (offset - first) / clip.fps,
        "emotion": emotion,
        "au": event.au,
        "fps": clip.fps,
        "frames": clip.frames,
    }


def known_emotion(word: str, dataset: str) -> str:
    """Return the dataset's own spelling of an emotion. Raises SkipRow when it has none such."""
    emotion = spelled(word, dataset)
    if emotion is None:
        raise SkipRow(
            f"the emotion {word!r} is none of {', '.join(EMOTIONS[dataset])}; correct the word"
        )
    return emotion


def _gap_note(clip: Clip) -> str:
    """Return a line that lists the frame numbers missing within a clip; empty if none is."""
    if not isinstance(clip.frames, FrameFiles):
        return ""
    numbers = clip.frames.numbers
    gaps = [(before + 1, after - 1) for before, after in pairwise(numbers) if after > before + 1]
    if not gaps:
        return ""
    lacking = sum(last - first + 1 for first, last in gaps)
    named = [f"{a}" if a == b else f"{a} to {b}" for a, b in gaps[:GAPS_NAMED]]
    more = f" and {len(gaps) - GAPS_NAMED} more gaps" if len(gaps) > GAPS_NAMED else ""
    return (
        f"{clip.clip} lacks {lacking} of its frames: {', '.join(named)}{more}; "
        "they count as time that was not seen."
    )
