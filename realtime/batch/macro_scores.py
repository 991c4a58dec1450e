"""The still-image model alone, on many pictures and videos: what faces show, in tables."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
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
from realtime.sources.images import OTHER_PICTURE_SUFFIXES, read_picture
from realtime.sources.video_file import VideoFile
from realtime.storage.durable_file import replace_file
from realtime.types import Source, UInt8Array, Update

PICTURE_BEGIN = ("file", "face_id", "success")
VIDEO_BEGIN = ("file", "frame", "timestamp", "face_id", "success")
"""Columns before those of the labels."""

MAX_FACES = 10
"""Of a picture or frame, where nothing else is said: people who stand together."""

LONGEST_LIST = 5
"""Names that are told at the end; all of them are in the table."""

BATCH = 64
"""Faces that are scored at a time, so that thousands of pictures need no more memory than these;
their scores do not depend on it."""

Cells = tuple[str | int, ...]
"""Of a row of a table."""

ProgressCallback = Callable[[Source, Update], None]


@dataclass(frozen=True, slots=True)
class StillsSummary:
    """What `analyze_stills` did. `pictures`, `videos`: those that could be read, of the latter
    also in part; `faces`: scored, in all of them; `without_face`: names of those that show none;
    `failures`: a sentence for each file that could not be read to its end; `tables`: what was
    written."""

    pictures: int
    videos: int
    faces: int
    without_face: tuple[str, ...]
    failures: tuple[str, ...]
    tables: tuple[Path, ...]


class _Item(NamedTuple):
    """A face of a picture or frame, or that there is none. `begin`: what its row begins with."""

    begin: Cells
    face_id: int = 0
    face: UInt8Array | None = None


class _Run:
    """One call: how its files are done, and what came of it so far. `found`: faces by the name of
    the picture or video, 0 where there is none."""

    def __init__(self, network: MacroModel, cut: Cut, max_faces: int) -> None:
        self.failures: list[str] = []
        self.found: Counter[str] = Counter()
        self.tables: list[Path] = []
        self._network = network
        self._cut: Cut = cut
        self._max_faces = max_faces

    def do_pictures(self, pictures: Sequence[Picture], path: Path) -> None:
        self._write(path, PICTURE_BEGIN, self._score(self._faces_of_pictures(pictures)))

    def do_video(self, video: Input, path: Path, on_update: ProgressCallback | None) -> None:
        if rows := self._score(self._faces_of_video(video, on_update)):
            self._write(path, VIDEO_BEGIN, rows)
        else:
            try:
                path.unlink(missing_ok=True)  # of an earlier call, when the video could be read
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
                for frame in source:
                    first_s = frame.t_s if first_s is None else first_s
                    faces = [one for one in cut_faces(frame) if _shows_something(one[1])]
                    self.found[name] += len(faces)
                    yield from _items((name, frame.id, f"{frame.t_s - first_s:.6f}"), faces)
                    if on_update is not None:
                        on_update(source, Update(frame, (), (), (), {}))
        except SourceError as error:
            self.failures.append(str(error))

    def _score(self, items: Iterator[_Item]) -> list[Cells]:
        """The rows of a table, without its header."""
        labels = self._network.spec.labels
        rows: list[Cells] = []
        while batch := list(islice(items, BATCH)):
            faces = [item.face for item in batch if item.face is not None]
            scores = iter(self._network.run(np.stack(faces)) if faces else ())
            for item in batch:
                if item.face is None:
                    rows.append((*item.begin, "", 0, *[""] * len(labels), ""))
                else:
                    probabilities = next(scores)
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
    """Score every face of pictures and of every frame of videos, none smoothed.

    `inputs`: files, folders and patterns, see `find_pictures_and_videos`. `faces`: how faces are
    cut out. `max_faces`: of a picture, the largest, or followed in a video; with `cropped` there
    is one. `model`: name or file of a model of macro-expressions. `on_update`: if there is one
    video and nothing else, it is told of every frame; otherwise a bar shows how many files are
    done.

    All pictures together go into `out/scores.csv`, each video into `out/NAME/scores.csv`, where
    NAME is the video's without its ending. A row is a face:

    - `file`: the picture as it can be found, see `Picture`; the video as it was named
    - `frame`, `timestamp`: of videos only; seconds from the first frame
    - `face_id`: of pictures, the largest is 0; of videos, the same person has the same
    - `success`: 1, or 0 where there is no face, the face is of a single gray level or the picture
      cannot be read; the cells of such a row that are about a face are empty
    - one column a label, sum 1; `label`: the one with the highest score

    The scores of a picture depend on it alone. A file that cannot be read does not keep the
    others from it; of a damaged video there is what could be read. A table is written whole or
    not at all, and replaces that of an earlier call.

    Raises SourceError for inputs that are nothing, ModelError, KilasError when there is no Haar
    cascade, and RecordingError when a table cannot be written or would replace something else.
    """
    pictures, videos = find_pictures_and_videos(inputs)
    run = _Run(MacroModel.load(model), faces, max_faces)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(out, error) from error
    table_of = {one: out / one.folder / SCORES_FILE for one in videos}
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
        tables=tuple(run.tables),
    )


def format_summary(summary: StillsSummary) -> str:
    """What `analyze_stills` did, in words."""
    lines = list(summary.failures[:LONGEST_LIST])
    if len(summary.failures) > LONGEST_LIST:
        lines.append(f"and {len(summary.failures) - LONGEST_LIST} more that cannot be read wholly")
    kinds = ((summary.pictures, "picture"), (summary.videos, "video"), (summary.faces, "face"))
    said = [f"{count} {kind}{'s' * (count != 1)}" for count, kind in kinds if count]
    parts = [", ".join(said) or "nothing could be read"]
    if lost := summary.without_face:
        more = f" and {len(lost) - LONGEST_LIST} more" if len(lost) > LONGEST_LIST else ""
        parts.append(f"{len(lost)} without a face ({', '.join(lost[:LONGEST_LIST])}{more})")
    if summary.failures:
        parts.append(f"{len(summary.failures)} could not be read, or not to the end")
    where = [str(path) for path in summary.tables]
    more = f" and {len(where) - 1} more" if len(where) > 1 else ""
    return "\n".join([*lines, "; ".join([*parts, *(f"{one}{more}" for one in where[:1])])])


def _items(begin: Cells, faces: Sequence[tuple[int, UInt8Array]]) -> list[_Item]:
    return [_Item(begin, face_id, face) for face_id, face in faces] or [_Item(begin)]


def _shows_something(face: UInt8Array) -> bool:
    """Not of a single gray level, of which the network would say something all the same."""
    return bool(face.min() < face.max())


def _check_place(path: Path, begin: Sequence[str]) -> None:
    """Raises RecordingError when no table can be written there, or what is there already is another
    one, or cannot be read: before the work rather than after it."""
    try:
        # The table's own folder is not made yet: of a video that cannot be read none is left.
        folder = next(one for one in path.parents if one.exists())
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
            f"{path} is a table of something else and would be replaced; choose another --out."
        )


def _cannot_read(path: Path) -> str:
    if path.suffix.lower() in OTHER_PICTURE_SUFFIXES:
        return f"{path} is of a format that is not read; save it as JPEG or PNG."
    return f"{path} cannot be read as a picture; copy it again, or leave it out."


def _cannot_write(path: Path, error: OSError) -> RecordingError:
    return RecordingError(f"{path} cannot be written ({error.strerror}); choose another --out.")
