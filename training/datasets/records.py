"""What every loader returns: the clips of a dataset, and a row for each expression in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LONGEST_LIST = 20
"""Of skipped things that are told on the screen."""


COLUMNS = (
    *("dataset", "subject", "clip", "kind", "onset", "apex", "offset", "apex_estimated"),
    *("onset_s", "apex_s", "offset_s", "emotion", "label", "au", "fps", "frames"),
)
"""Of the table of annotations; a dataset may have more behind them."""


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """Numbered pictures in order of their numbers.

    A number that is missing is time that is missing: picture k shows the clip at
    `(numbers[k] - numbers[0]) / fps` seconds.
    """

    paths: tuple[Path, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VideoRange:
    """The frames of a video from number `first` to number `last`, both counted from 0; without
    them all of it."""

    path: Path
    first: int = 0
    last: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class StillRow:
    """A still in a line of fer2013.csv. `offset`: the byte at which the line begins."""

    path: Path
    offset: int


@dataclass(frozen=True, slots=True)
class StillFile:
    """A still in a picture file of its own."""

    path: Path


Frames = FrameFiles | VideoRange | StillRow | StillFile


@dataclass(frozen=True, slots=True)
class Clip:
    """Something to be read, once, whatever is annotated in it.

    `subject` and `clip` together are unique in a dataset. `fps`: frames a second; NaN for videos
    that go by their own times, 1 for stills. `is_long`: a recording that goes on before and after
    its expressions, and may have none.
    """

    subject: str
    clip: str
    fps: float
    frames: Frames
    is_long: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that is left out: the file and row that it is in, and why, with a remedy."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a dataset says.

    `clips`: each once; short ones only if they have an expression. `table`: pandas, COLUMNS and
    more, a row for each expression in the order of the dataset. `onset`, `apex` and `offset` are
    frame numbers as the dataset has them (missing where it tells seconds), `onset_s` and so on
    seconds from the clip's first frame. Where there is no apex, it is the middle of onset and
    offset, and `apex_estimated` is true. `kind` is `micro` or `macro`; `emotion` the dataset's
    own word in lower case (`training.datasets.classes`), missing where it has none; `label` the
    class that it counts as, missing where it is of none.
    `skipped`: every row that is left out. `notes`: what is odd but was used, one line each.
    """

    dataset: str
    clips: tuple[Clip, ...]
    table: pd.DataFrame
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips that were found, by their names in lower case, and what is odd about them."""

    by_name: Mapping[str, Clip]
    notes: tuple[str, ...]


def format_skipped(skipped: Sequence[Skipped], out: Path) -> list[str]:
    """Lines that tell in short what was skipped; all of it goes into NAME.skipped.csv beside
    `out`. Where nothing was, there is no such file, and no line."""
    beside = out.with_name(f"{out.stem}.skipped.csv")
    beside.unlink(missing_ok=True)
    if not skipped:
        return []
    table = pd.DataFrame([(one.where, one.why) for one in skipped])
    table.to_csv(beside, index=False, header=["where", "why"])
    lines = [f"Skipped, {len(skipped)} in all (see {beside}):"]
    lines += [f"  {one.where}: {one.why}" for one in skipped[:LONGEST_LIST]]
    if len(skipped) > LONGEST_LIST:
        lines.append(f"  and {len(skipped) - LONGEST_LIST} more")
    return lines
