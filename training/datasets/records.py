"""Records that every loader returns: the clips of a dataset and a row for each expression."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

LONGEST_LIST = 20
"""Most skipped rows that are listed on the screen."""


COLUMNS = (
    *("dataset", "subject", "clip", "kind", "onset", "apex", "offset", "apex_estimated"),
    *("onset_s", "apex_s", "offset_s", "emotion", "label", "au", "fps", "frames"),
)
"""Columns of the table of annotations; a dataset may have more after them."""


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
    """Frames of a video from number `first` to number `last`, both counted from 0; all frames
    unless they are given."""

    path: Path
    first: int = 0
    last: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class StillRow:
    """Still picture in a line of fer2013.csv. `offset`: the byte at which the line begins."""

    path: Path
    offset: int


@dataclass(frozen=True, slots=True)
class StillFile:
    """Still picture in a file of its own."""

    path: Path


Frames = FrameFiles | VideoRange | StillRow | StillFile


@dataclass(frozen=True, slots=True)
class Clip:
    """Video, folder of frames or still that is read once, whatever is annotated in it.

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
    """Row that is left out: its file and row, and the reason with a remedy."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Annotations:
    """Annotations of a dataset.

    `clips`: each once; short clips only if they have an expression. `table`: pandas, COLUMNS and
    more, a row for each expression in the order of the dataset. `onset`, `apex` and `offset` are
    frame numbers as the dataset has them (missing where it gives seconds), `onset_s` and so on
    seconds from the clip's first frame. Where there is no apex, it is the middle of onset and
    offset, and `apex_estimated` is true. `kind` is `micro` or `macro`; `emotion` the dataset's
    own name in lower case (`training.datasets.classes`), missing where it has none; `label` the
    class that it counts as, missing where it has no class.
    `skipped`: every row that is left out. `notes`: remarks on odd data that was used, each a line.
    """

    dataset: str
    clips: tuple[Clip, ...]
    table: pd.DataFrame
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips that were found, by their names in lower case, and remarks on odd data in them."""

    by_name: Mapping[str, Clip]
    notes: tuple[str, ...]


def format_skipped(skipped: Sequence[Skipped], out: Path) -> list[str]:
    """Return lines that list the first skipped rows, and write all to NAME.skipped.csv.

    The file lies beside `out`. Where nothing was skipped, there is no such file, and no line.
    """
    beside = out.with_name(f"{out.stem}.skipped.csv")
    beside.unlink(missing_ok=True)
    if not skipped:
        return []
    table = pd.DataFrame([(row.where, row.why) for row in skipped])
    table.to_csv(beside, index=False, header=["where", "why"])
    lines = [f"Skipped, {len(skipped)} in all (see {beside}):"]
    lines += [f"  {row.where}: {row.why}" for row in skipped[:LONGEST_LIST]]
    if len(skipped) > LONGEST_LIST:
        lines.append(f"  and {len(skipped) - LONGEST_LIST} more")
    return lines
