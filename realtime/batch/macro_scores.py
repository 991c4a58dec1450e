"""Tables of macro-expression scores for many pictures and videos, with the still-image model
alone."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from realtime.batch.inputs import Input, Picture, find_pictures_and_videos
from realtime.errors import RecordingError, SourceError
from realtime.macro.face_crops import Cut, frame_cutter, picture_cutter
from realtime.macro.model import DEFAULT_MACRO, MacroModel
from realtime.parallel.process_pool import map_all, map_ordered
from realtime.session.layout import SCORES_FILE
from realtime.session.losses import losses_text
from realtime.sources.images import OTHER_PICTURE_SUFFIXES, holds_several, read_picture
from realtime.sources.video_file import VideoFile
from realtime.storage.durable_file import replace_file
from realtime.types import Float32Array, Source, UInt8Array, Update

PICTURE_BEGIN = ("file", "face_id", "success")
"""Columns of a table of pictures before those of the labels."""

VIDEO_BEGIN = ("file", "frame", "timestamp", "face_id", "success")
"""Columns of a table of a video before those of the labels."""

MAX_FACES = 10
"""Default for the most faces of a picture or frame: enough for people who stand together."""

LONGEST_LIST = 5
"""Most names that the summary lists; all of them are in the table."""

BATCH = 64
"""Number of faces that are scored at a time, so that thousands of pictures need no more memory than
these; scores do not depend on it."""

Cells = tuple[str | int, ...]
"""The cells of one table row."""

ProgressCallback = Callable[[Source, Update], None]
"""Function that is called after each frame of a video."""


@dataclass(frozen=True, slots=True)
class StillsSummary:
    """Result of `analyze_stills`.

    `pictures`, `videos`: numbers of those that could be read, of videos also in part; `faces`:
    number of faces scored in all of them; `without_face`: names of those that show no face;
    `failures`: a sentence for each file that could not be read to its end; `losses`: a text for
    each video that lacks frames; `tables`: the files that were written.
    """

    pictures: int
    videos: int
    faces: int
    without_face: tuple[str, ...]
    failures: tuple[str, ...]
    losses: tuple[str, ...]
    tables: tuple[Path, ...]


class _Item(NamedTuple):
    """A face of a picture or frame; `face` is None if there is no face.

    `begin`: the first cells of its row.
    """

    begin: Cells
    face_id: int = 0
    face: UInt8Array | None = None


class _Run:
    """The state of one call of `analyze_stills`: the model, and the results so far.

    `found`: number of faces by the name of the picture or video, 0 where there is no face.
    """

    def __init__(self, network: MacroModel, cut: Cut, max_faces: int) -> None:
        self.failures: list[str] = []
        self.losses: list[str] = []
        self.found: Counter[str] = Counter()
        self.tables: list[Path] = []
        self._network = network
        self._cut: Cut = cut
        self._max_faces = max_faces

    def do_pictures(self, pictures: Sequence[Picture], path: Path) -> None:
        """Score all pictures and write their table to `path`."""
        self._write(path, PICTURE_BEGIN, self._score(self._faces_of_pictures(pictures)))

    def do_video(self, video: Input, path: Path, on_update: ProgressCallback | None) -> None:
        """Score all frames of a video and write their table to `path`."""
        if rows := self._score(self._faces_of_video(video, on_update)):
            self._write(path, VIDEO_BEGIN, rows)
        else:
            try:
                path.unlink(missing_ok=True)  # by an earlier call, when the video could be read
            except OSError as error:
                raise _cannot_write(path, error) from error

    def _faces_of_pictures(self, pictures: Sequence[Picture]) -> Iterator[_Item]:
        with picture_cutter(self._cut, self._max_faces, self._network.spec) as cut_faces:

            def cut(picture: Picture) -> list[UInt8Array] | None:
                image_bgr = read_picture(picture.path)
                return None if image_bgr is None else cut_faces(image_bgr)

            with closing(map_ordered(cut, pictures, 1, "scoring pictures")) as cuts:
                for picture, faces in zip(pictures, cuts, strict=True):
                    if faces is None:
                        self.failures.append(_cannot_read(picture.path))
                    else:
                        faces = [face for face in faces if _shows_something(face)]
                        self.found[picture.name] += len(faces)
                    yield from _items((picture.name,), list(enumerate(faces or ())))

    def _faces_of_video(self, video: Input, on_update: ProgressCallback | None) -> Iterator[_Item]:
        name = video.path.as_posix()
        try:
            with (
                VideoFile(video.path) as source,
                frame_cutter(self._cut, self._max_faces, self._network.spec) as cut_faces,
            ):
                first_s = None
                frames = 0
                for frame in source:
                    frames += 1
                    first_s = frame.t_s if first_s is None else first_s
                    faces = [found for found in cut_faces(frame) if _shows_something(found[1])]
                    self.found[name] += len(faces)
                    yield from _items((name, frame.id, f"{frame.t_s - first_s:.6f}"), faces)
                    if on_update is not None:
                        on_update(source, Update(frame, (), (), (), {}))
                if losses := losses_text(source.drops, frames):
                    self.losses.append(f"{name}: {losses}")
        except SourceError as error:
            self.failures.append(str(error))

    def _score(self, items: Iterator[_Item]) -> list[Cells]:
        """Score items; return the rows of their table, without its header."""
        labels = self._network.spec.labels
        rows: list[Cells] = []
        while batch := list(islice(items, BATCH)):
            faces = [item.face for item in batch if item.face is not None]
            scores = iter(self._network.run(np.stack(faces)) if faces else ())
            for item in batch:
                if item.face is None:
                    rows.append((*item.begin, "", 0, *[""] * len(labels), ""))
                else:
                    probabilities: Float32Array = next(scores)
                    cells = (f"{value:.6f}" for value in probabilities)
                    label = labels[int(probabilities.argmax())]
                    rows.append((*item.begin, item.face_id, 1, *cells, label))
        return rows

    def _write(self, path: Path, begin: Sequence[str], rows: Sequence[Cells]) -> None:
        table = io.StringIO()
        header = (*begin, *self._network.spec.labels, "label")
        csv.writer(table, lineterminator="\n").writerows([header, *rows])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A file's name that is no text is written with backslashes.
            replace_file(path, table.getvalue().encode(errors="backslashreplace"))
        except OSError as error:
            raise _cannot_write(path, error) from error
        self.tables.append(path)


def analyze_stills(
    inputs: Sequence[str],
    out: Path,
    *,
    faces: Cut = "landmarks",
    max_faces: int = MAX_FACES,
    model: str | Path = DEFAULT_MACRO,
    on_update: ProgressCallback | None = None,
) -> StillsSummary:
    """Score every face of pictures and of every frame of videos, without smoothing.

    `inputs`: files, folders and patterns, see `find_pictures_and_videos`. `faces`: method that cuts
    faces out. `max_faces`: most faces of a picture, the largest, or most that are followed in a
    video; with `cropped` each has one face. `model`: name or file of a macro-expression model.
    `on_update`: called after every frame if the input is a single video; otherwise a bar shows how
    many files are done.

    All pictures together go into `out/scores.csv`, each video into `out/NAME/scores.csv`, where
    NAME is the video's without its ending. A row is a face:

    - `file`: the picture as it can be found, see `Picture`; the video as it was named
    - `frame`, `timestamp`: for videos only; seconds from the first frame
    - `face_id`: in pictures, 0 is the largest face; in videos, the same person keeps the same id
    - `success`: 1, or 0 where there is no face, the face is of a single gray level or the picture
      cannot be read; the cells of such a row that are about a face are empty
    - one column a label, sum 1; `label`: the label with the highest score

    The scores of a picture depend on it alone. A file that cannot be read does not stop the
    others; the table of a damaged video holds all frames that could be read. A table is written
    whole or not at all, and replaces the table of an earlier call.

    Raises SourceError for inputs that do not exist, ModelError, KilasError when there is no Haar
    cascade, and RecordingError when a table cannot be written or would replace something else.

    Example:

        from pathlib import Path
        from realtime.batch.macro_scores import analyze_stills, format_summary

        print(format_summary(analyze_stills(["photos"], Path("results"))))
    """
    pictures, videos = find_pictures_and_videos(inputs)
    run = _Run(MacroModel.load(model), faces, max_faces)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(out, error) from error
    table_of = {video: out / video.folder / SCORES_FILE for video in videos}
    if pictures:
        _check_place(out / SCORES_FILE, PICTURE_BEGIN)
    for path in table_of.values():
        _check_place(path, VIDEO_BEGIN)
    if pictures:
        run.do_pictures(pictures, out / SCORES_FILE)
    read_pictures = len(run.found)

    def do_video(video: Input, on_update: ProgressCallback | None = None) -> None:
        run.do_video(video, table_of[video], on_update)

    if on_update is not None and len(videos) == 1 and not pictures:
        do_video(videos[0], on_update)
    elif videos:
        map_all(do_video, videos, 1, "scoring videos")
    return StillsSummary(
        pictures=read_pictures,
        videos=len(run.found) - read_pictures,
        faces=run.found.total(),
        without_face=tuple(name for name, count in run.found.items() if not count),
        failures=tuple(run.failures),
        losses=tuple(run.losses),
        tables=tuple(run.tables),
    )


def format_summary(summary: StillsSummary) -> str:
    """Format a summary as text."""
    lines = [
        *_beginning(summary.failures, "that cannot be read wholly"),
        *_beginning(summary.losses, "that lack frames"),
    ]
    kinds = ((summary.pictures, "picture"), (summary.videos, "video"), (summary.faces, "face"))
    counts = [f"{count} {kind}{'s' * (count != 1)}" for count, kind in kinds if count]
    parts = [", ".join(counts) or "nothing could be read"]
    if lost := summary.without_face:
        more = f" and {len(lost) - LONGEST_LIST} more" if len(lost) > LONGEST_LIST else ""
        parts.append(f"{len(lost)} without a face ({', '.join(lost[:LONGEST_LIST])}{more})")
    if summary.failures:
        parts.append(f"{len(summary.failures)} could not be read, or not to the end")
    paths = [str(path) for path in summary.tables]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return "\n".join([*lines, "; ".join([*parts, *(f"{path}{more}" for path in paths[:1])])])


def _beginning(texts: Sequence[str], kind: str) -> list[str]:
    more = len(texts) - LONGEST_LIST
    return [*texts[:LONGEST_LIST], *([f"and {more} more {kind}"] if more > 0 else [])]


def _items(begin: Cells, faces: Sequence[tuple[int, UInt8Array]]) -> list[_Item]:
    return [_Item(begin, face_id, face) for face_id, face in faces] or [_Item(begin)]


def _shows_something(face: UInt8Array) -> bool:
    """Return False for a face of a single gray level, which the network would score all the
    same."""
    return bool(face.min() < face.max())


def _check_place(path: Path, begin: Sequence[str]) -> None:
    """Check, before the work, that a table can be written to `path`.

    Raises RecordingError when it cannot, or when the file there is another table or cannot be read.
    """
    try:
        # The table's own folder is not made yet, so that an unreadable video leaves no folder.
        folder = next(parent for parent in path.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with path.open(encoding="utf-8", errors="replace") as table:
            is_ours = table.readline().startswith(",".join(begin))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(path, error) from error
    if not is_ours:
        raise RecordingError(
            f"{path} is a table of another kind and would be replaced; choose another --out."
        )


def _cannot_read(path: Path) -> str:
    if path.suffix.lower() in OTHER_PICTURE_SUFFIXES:
        return f"{path} has a format that is not supported; save it as JPEG or PNG."
    with suppress(OSError):
        if holds_several(path):
            return f"{path} holds several pictures; save each as a file of its own."
    return f"{path} cannot be read as a picture; copy it again, or leave it out."


def _cannot_write(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path} cannot be written ({error.strerror}); choose another --out.")
