"""Files of face sequences, on which networks are trained, with their annotations.

A file is an uncompressed .npz that is never unpickled: `faces` uint8 [N, 128, 128], `t_s` float64
[N], `stream` int32 [N], the number of each face's sequence; for each sequence `clip` and `subject`,
fixed-width text; `table`, the annotations as JSON, a record of TABLE_COLUMNS for each expression;
and the `dataset`, `rate_hz` and `mask` that it was made for. The faces stay on disk until they are
used.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.errors import KilasError
from realtime.spec import FACE_SIZE, ModelSpec
from training.annotations.expression import AnnotatedExpression
from training.datasets.classes import labels_of

STORED = ("faces", "t_s", "stream", "clip", "subject", "table", "dataset", "rate_hz", "mask")
"""Names of the arrays of a file."""

TEXT_COLUMNS = ("dataset", "subject", "clip", "kind", "emotion", "au", "usage")
TIME_COLUMNS = ("onset_s", "apex_s", "release_s", "offset_s", "intensity", "skew", "fps")
FLAG_COLUMNS = ("apex_estimated", "is_copy")
TABLE_COLUMNS = (*TEXT_COLUMNS, *TIME_COLUMNS, *FLAG_COLUMNS)
"""Columns of the table of annotations, a row for each expression.

`emotion`: the dataset's own name for it; `onset_s` to `skew`: its course (see
`AnnotatedExpression`; times in seconds from the clip's beginning); `fps`: the clip's frame rate;
`apex_estimated`: true where the apex is only the middle of onset and offset; `usage`: the dataset's
own part that it belongs to, if any; `is_copy`: true where it is in another part than Training, and
the same picture is in Training.
"""

SIMULATED_DATASET = "simulated"
"""Name of the dataset of simulated people."""

_LOCAL_HEADER_BYTES = 30
"""Size of the header of a member of a zip file, before its name (PKWARE's APPNOTE 4.3.7)."""

_READ_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class FaceSequence:
    """Unbroken run of slots of one aligned face.

    `faces`: uint8 [S, 128, 128]; `t_s`: float64 [S], seconds from the clip's start; `events`:
    all expressions of the clip, labelled with the dataset's own names of emotions.
    """

    clip: str
    subject: str
    faces: npt.NDArray[np.uint8]
    t_s: npt.NDArray[np.float64]
    events: tuple[AnnotatedExpression, ...] = ()


@dataclass(frozen=True, slots=True)
class SequenceFile:
    """Content of an opened file. `table`: pandas, TABLE_COLUMNS, a row for each expression."""

    path: Path
    dataset: str
    rate_hz: float
    mask: str
    table: pd.DataFrame
    streams: tuple[FaceSequence, ...]


@dataclass(frozen=True, slots=True)
class WrittenClip:
    """Summary of a clip in a file.

    `slots`: number of slots; `spans_s`: first and last time of each face sequence; `note`: remark
    that was kept with the clip.
    """

    slots: int
    spans_s: tuple[tuple[float, float], ...]
    note: str


class SequenceWriter:
    """Writer of face sequences to one file, clip by clip, without keeping them in memory.

    Finished clips are kept beside `out` in two hidden files until `finish` puts the file together,
    so an interrupted writer goes on: `written` lists the clips that are there already. Work that
    was begun with another `made_from` is thrown away; with None it always begins anew.
    """

    def __init__(self, out: Path, made_from: Mapping[str, Any] | None) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._out = out
        self._spool_path = out.with_name(f".{out.name}.faces")
        self._journal_path = out.with_name(f".{out.name}.jsonl")
        first = json.dumps(made_from, sort_keys=True)
        self._lines = [] if made_from is None else self._whole_lines(first)
        journal = [first, *(json.dumps(line) for line in self._lines)]
        self._journal_path.write_text("".join(f"{line}\n" for line in journal), encoding="utf-8")
        self._journal = self._journal_path.open("a", encoding="utf-8")
        self._spool = self._spool_path.open("ab")
        self._spool.truncate(_bytes(self._lines))

    @property
    def written(self) -> dict[tuple[str, str], WrittenClip]:
        """Summaries of all clips that were written, by subject and clip."""
        return {
            (line["subject"], line["clip"]): WrittenClip(
                slots=sum(sequence["slots"] for sequence in line["streams"]),
                spans_s=tuple(
                    (sequence["t_s"][0], sequence["t_s"][-1]) for sequence in line["streams"]
                ),
                note=line["note"],
            )
            for line in self._lines
        }

    def add(self, subject: str, clip: str, streams: Iterable[FaceSequence], note: str = "") -> None:
        """Add all face sequences, perhaps none, of a clip; `note` is kept with it."""
        held = []
        for sequence in streams:
            self._spool.write(np.ascontiguousarray(sequence.faces).data)
            held.append({"slots": len(sequence.t_s), "t_s": sequence.t_s.tolist()})
        self._spool.flush()
        line = {"subject": subject, "clip": clip, "note": note, "streams": held}
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()
        self._lines.append(line)

    def finish(self, table: pd.DataFrame, dataset: str, rate_hz: float, mask: str) -> None:
        """Put the file together; it appears under its name only when it is complete."""
        self.close()
        held = [(line, sequence) for line in self._lines for sequence in line["streams"]]
        counts = [sequence["slots"] for _, sequence in held]
        t_s = [np.empty(0), *(np.array(sequence["t_s"], np.float64) for _, sequence in held)]
        arrays = {
            "t_s": np.concatenate(t_s),
            "stream": np.repeat(np.arange(len(held), dtype=np.int32), counts),
            "clip": np.array([line["clip"] for line, _ in held], np.str_),
            "subject": np.array([line["subject"] for line, _ in held], np.str_),
            "table": np.array(json.dumps(table.to_dict("records")), np.str_),
            "dataset": np.array(dataset, np.str_),
            "rate_hz": np.array(rate_hz),
            "mask": np.array(mask, np.str_),
        }
        unfinished = self._out.with_name(f".{self._out.name}")
        with zipfile.ZipFile(unfinished, "w") as file:
            with file.open("faces.npy", "w", force_zip64=True) as member:
                shape = (sum(counts), FACE_SIZE, FACE_SIZE)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                with self._spool_path.open("rb") as spool:
                    shutil.copyfileobj(spool, member, 2**20)
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        unfinished.replace(self._out)
        self.discard()

    def discard(self) -> None:
        """Throw away what was written but not finished."""
        self.close()
        self._spool_path.unlink()
        self._journal_path.unlink()

    def close(self) -> None:
        """Close the hidden files; unfinished work stays for the next writer."""
        self._spool.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _whole_lines(self, first: str) -> list[dict[str, Any]]:
        """Return the lines of an interrupted writer of the same data, but for a cut-off line."""
        if not (self._journal_path.exists() and self._spool_path.exists()):
            return []
        text = self._journal_path.read_text(encoding="utf-8")
        begun, *rest = text.split("\n")[:-1] or [""]
        lines = [json.loads(line) for line in rest] if begun == first else []
        # After a power cut there may be fewer faces than the lines count.
        return lines if self._spool_path.stat().st_size >= _bytes(lines) else []


def _bytes(lines: Iterable[dict[str, Any]]) -> int:
    """Return the size of the faces of these clips in bytes."""
    slots = sum(sequence["slots"] for line in lines for sequence in line["streams"])
    return int(slots) * FACE_SIZE * FACE_SIZE


def write_sequences(sequences: Iterable[FaceSequence], spec: ModelSpec, out: Path) -> None:
    """Write face sequences of simulated people, perhaps none, with their events, to one file."""
    events: dict[tuple[str, str], tuple[AnnotatedExpression, ...]] = {}
    with SequenceWriter(out, None) as writer:
        for sequence in sequences:
            writer.add(sequence.subject, sequence.clip, [sequence])
            events[sequence.subject, sequence.clip] = sequence.events
        rows = [
            dataclasses.asdict(event)
            | {"dataset": SIMULATED_DATASET, "subject": subject, "clip": clip}
            | {"emotion": event.label, "au": event.units}
            for (subject, clip), shown in events.items()
            for event in shown
        ]
        table = full_table(pd.DataFrame(rows))
        writer.finish(table, SIMULATED_DATASET, spec.rate_hz, spec.mask)


def full_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same rows with all TABLE_COLUMNS and no others.

    Where a dataset has no values, an expression falls from its apex on, is of intensity 1 and as
    strong on both sides.
    """
    assumed: dict[str, Any] = {
        "apex_s": np.nan,
        "release_s": np.nan,
        "intensity": 1.0,
        "skew": 0.0,
        "fps": np.nan,
    }
    whole = table.reindex(columns=list(TABLE_COLUMNS))
    for name in TEXT_COLUMNS:
        whole[name] = whole[name].astype(object).where(whole[name].notna(), "").astype(str)
    for name in TIME_COLUMNS:
        whole[name] = pd.to_numeric(whole[name]).astype(float).fillna(assumed.get(name, np.nan))
    whole["release_s"] = whole["release_s"].fillna(whole["apex_s"])
    for name in FLAG_COLUMNS:
        flags = whole[name].astype(object)
        whole[name] = flags.where(flags.notna(), False).astype(bool)
    return whole


def open_sequence_file(path: Path) -> SequenceFile:
    """Open a file of face sequences; its faces are read from disk only when they are used.

    Raises KilasError when it holds no face sequences.
    """
    try:
        faces = _mapped(path, "faces.npy")
        with np.load(path, allow_pickle=False) as data:
            held = {name: data[name] for name in STORED if name != "faces"}
        t_s, numbers, clips = (held[name] for name in ("t_s", "stream", "clip"))
        shapes = (faces.shape, t_s.shape, numbers.shape)
        slots = len(faces)
        if shapes != ((slots, FACE_SIZE, FACE_SIZE), (slots,), (slots,)):
            raise ValueError(f"faces, t_s and stream have the shapes {shapes}")
        if faces.dtype != np.uint8:
            raise ValueError(f"the faces are {faces.dtype}")
        table = full_table(pd.DataFrame(json.loads(str(held["table"])), columns=TABLE_COLUMNS))
        shown = {
            (str(subject), str(clip)): tuple(map(_event, rows.itertuples()))
            for (subject, clip), rows in table.groupby(["subject", "clip"], sort=False)
        }
        edges = np.searchsorted(numbers, np.arange(len(clips) + 1))
        return SequenceFile(
            path=path,
            dataset=str(held["dataset"]),
            rate_hz=float(held["rate_hz"]),
            mask=str(held["mask"]),
            table=table,
            streams=tuple(
                FaceSequence(
                    str(clip),
                    str(subject),
                    faces[first:end],
                    t_s[first:end],
                    shown.get((str(subject), str(clip)), ()),
                )
                for clip, subject, first, end in zip(
                    clips, held["subject"], edges[:-1], edges[1:], strict=True
                )
            ),
        )
    except _READ_ERRORS as error:
        raise KilasError(
            f"{path} holds no face sequences ({error}); give files that `prepare` or `simulate` "
            "wrote."
        ) from error


def open_files(prepared: Iterable[Path]) -> Iterator[SequenceFile]:
    """Open files of face sequences, and all such files in folders, in order of their names.

    Files whose names begin with a dot are unfinished and left out. Raises KilasError when there is
    no file or a file holds no face sequences.
    """
    paths = [file for path in prepared for file in _files_of(path)]
    if not paths:
        raise KilasError(
            "There are no prepared face sequences; make some with `prepare` or `simulate`."
        )
    yield from map(open_sequence_file, paths)


def load_files(prepared: Iterable[Path], spec: ModelSpec) -> Iterator[SequenceFile]:
    """Open files as `open_files` does, but only for the clock and the mask of `spec`.

    Raises KilasError also when a file is for another clock or mask.
    """
    for file in open_files(prepared):
        if (file.rate_hz, file.mask) != (spec.rate_hz, spec.mask):
            raise KilasError(
                f"{file.path} was prepared for {file.rate_hz:g} slots a second and mask "
                f"{file.mask}, the recipe wants {spec.rate_hz:g} and {spec.mask}; prepare the data "
                f"again with --set model.rate_hz={spec.rate_hz:g} --set model.mask={spec.mask}."
            )
        yield file


def load_all_sequences(
    prepared: Iterable[Path], spec: ModelSpec, classes: str = "three"
) -> Iterator[FaceSequence]:
    """Yield the face sequences of `load_files`, one file after the other.

    Their events are labelled with the class of their emotion (`training.datasets.CLASSES`), or
    with empty text where it has none.
    """
    for file in load_files(prepared, spec):
        emotions = pd.Series(sorted(set(file.table["emotion"])), dtype=str)
        names = dict(
            zip(emotions, labels_of(emotions, file.dataset, classes).fillna(""), strict=True)
        )
        for sequence in file.streams:
            events = (
                dataclasses.replace(event, label=names[event.label]) for event in sequence.events
            )
            yield dataclasses.replace(sequence, events=tuple(events))


def _files_of(path: Path) -> list[Path]:
    if not path.exists():
        raise KilasError(f"There is no {path}; give files of face sequences, or folders of them.")
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.glob("*.npz") if not file.name.startswith("."))


def _event(row: Any) -> AnnotatedExpression:
    return AnnotatedExpression(
        onset_s=row.onset_s,
        apex_s=row.apex_s,
        release_s=row.release_s,
        offset_s=row.offset_s,
        label=row.emotion,
        kind=row.kind,
        intensity=row.intensity,
        units=row.au,
        skew=row.skew,
    )


def _mapped(path: Path, member: str) -> npt.NDArray[Any]:
    """Map an array inside an uncompressed .npz into memory instead of reading it."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(member)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member} is compressed")
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        local = file.read(_LOCAL_HEADER_BYTES)
        names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        file.seek(entry.header_offset + _LOCAL_HEADER_BYTES + names)
        shape, fortran_order, dtype = _array_header(file)
        if fortran_order or dtype.hasobject:
            raise ValueError(f"{member} is no plain array")
        if not np.prod(shape):
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, mode="r", offset=file.tell(), shape=shape)


def _array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return header
