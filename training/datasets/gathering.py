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


APEXES_NAMED = 10
"""Most apexes outside of their expressions that are listed; the others are counted."""


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


class KnownStretches:
    """Stretches of clips that have an expression of a kind already."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, float, float, str], str] = {}

    def take(self, clip: str, onset: float, offset: float, kind: str, where: str) -> None:
        """Add the stretch of an expression of a clip.

        Expressions may overlap, as a micro- within a macro-expression. Raises SkipRow when a row
        before has the same stretch and kind.
        """
        other = self._rows.setdefault((clip, onset, offset, kind), where)
        if other != where:
            raise SkipRow(
                f"there are two rows for one {kind}-expression: {onset:g} to {offset:g} of {clip} "
                f"is what {other} has; keep one of them"
            )


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
    strange: list[str] = []
    skipped: list[Skipped] = []
    taken = KnownStretches()
    for row in sheet.rows:
        try:
            for event in events_of(row):
                where = row.where if event.number == 1 else f"{row.where}, event {event.number}"
                try:
                    rows.append(_checked(dataset, event, clips, taken, where))
                except SkipRow as skip:
                    skipped.append(Skipped(where, str(skip)))
                else:
                    if event.apex is not None and rows[-1]["apex_estimated"]:
                        strange.append(f"{where} ({event.apex})")
        except SkipRow as skip:
            skipped.append(Skipped(row.where, str(skip)))
    used = {row["clip"] for row in rows}
    kept = tuple(clip for clip in clips.by_name.values() if clip.is_long or clip.clip in used)
    if strange:
        notes = (
            *notes,
            "Apexes outside of onset and offset count as not annotated, and the middle is taken: "
            f"{', '.join(strange[:APEXES_NAMED])}"
            f"{f', and {len(strange) - APEXES_NAMED} more' if strange[APEXES_NAMED:] else ''}.",
        )
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
    dataset: str, event: SheetExpression, clips: Clips, taken: KnownStretches, where: str
) -> dict[str, Any]:
    """Return the row of an expression. Raises SkipRow when the expression is impossible."""
    clip = clips.by_name.get(event.clip.casefold())
    if clip is None or not isinstance(clip.frames, FrameFiles):
        raise SkipRow(
            f"there is no folder of frames of {event.clip}; add the folder, or take the row out"
        )
    onset, offset = event.onset, event.offset
    if onset > offset:
        raise SkipRow(f"the onset {onset} comes after the offset {offset}; correct the numbers")
    given = event.apex
    apex = given if given is not None and onset <= given <= offset else (onset + offset) // 2
    first, last = clip.frames.numbers[0], clip.frames.numbers[-1]
    for name, number in (("onset", onset), ("offset", offset)):
        if not first <= number <= last:
            raise SkipRow(
                f"the {name} {number} lies outside of the frames {first} to {last} of "
                f"{clip.frames.paths[0].parent}; add the missing frames, or correct the number"
            )
    emotion = None if event.emotion is None else known_emotion(event.emotion, dataset)
    taken.take(clip.clip, onset, offset, event.kind, where)
    return {
        "dataset": dataset,
        "subject": clip.subject,
        "clip": clip.clip,
        "kind": event.kind,
        **{"onset": onset, "apex": apex, "offset": offset},
        "apex_estimated": apex != given,
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
