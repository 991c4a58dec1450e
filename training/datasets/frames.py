"""Search for spreadsheets and folders of frames, wherever they lie below a dataset's root."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.errors import KilasError
from realtime.sources.images import PICTURE_SUFFIXES
from training.datasets.records import Clip, Clips, FrameFiles

SPREADSHEET_SUFFIXES = (".csv", ".tsv", ".xls", ".xlsm", ".xlsx")

_NUMBER = re.compile(r"\d+$")
"""Frame number at the end of a picture's name: reg_img46.jpg, 006_05562.jpg, 175.jpg."""

_TEMPORARY = (".", "~$")
"""Beginnings of the names of hidden files and of Excel's lock files."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Folder with numbered pictures.

    `parts`: its path below the root; `pictures`: names by number, in order; `left_out`: pictures
    without a number, or with the number of another picture.
    """

    path: Path
    parts: tuple[str, ...]
    pictures: dict[int, str]
    left_out: tuple[str, ...]

    @property
    def is_cropped(self) -> bool:
        """True if the name of a folder has `crop`: the pictures show only the face."""
        return any("crop" in part.lower() for part in self.parts)

    @property
    def frames(self) -> FrameFiles:
        """Paths and numbers of the pictures, in order."""
        paths = tuple(self.path / name for name in self.pictures.values())
        return FrameFiles(paths, tuple(self.pictures))


@dataclass(frozen=True, slots=True)
class Found:
    """All spreadsheets and all folders of frames below a root."""

    root: Path
    spreadsheets: tuple[Path, ...]
    folders: tuple[Folder, ...]


def in_order(name: str) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts names so that s9 comes before s10."""
    return tuple(
        (text.lower(), int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name)
    )


def scan(root: Path) -> Found:
    """Look through everything below `root`, links included.

    Raises KilasError when there is no such folder, or a folder in it cannot be read.
    """
    if not root.is_dir():
        raise KilasError(f"There is no folder {root}; give the folder of the dataset.")
    spreadsheets: list[Path] = []
    folders: list[Folder] = []
    waiting, seen = [root], set()
    while waiting:
        path = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:  # a link back to where it lies
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                listed = [
                    (entry.name, entry.is_dir())
                    for entry in entries
                    if not entry.name.startswith(_TEMPORARY)
                ]
        except OSError as error:
            raise KilasError(
                f"The folder {path} cannot be read ({error.strerror}); ask for permission."
            ) from error
        names = [name for name, is_folder in listed if not is_folder]
        waiting += [path / name for name, is_folder in listed if is_folder]
        spreadsheets += [
            path / name for name in names if name.lower().endswith(SPREADSHEET_SUFFIXES)
        ]
        if folder := _folder_of(path, path.relative_to(root).parts, names):
            folders.append(folder)
    return Found(
        root,
        tuple(sorted(spreadsheets, key=lambda path: in_order(str(path)))),
        tuple(sorted(folders, key=lambda folder: in_order(str(folder.path)))),
    )


def numbered_pictures(path: Path) -> Folder | None:
    """Return the pictures of a folder, or None if none has a number."""
    return _folder_of(path, (), [file.name for file in path.iterdir() if file.name[0] != "."])


def find_clips(
    found: Found,
    name_of: Callable[[tuple[str, ...]], tuple[str, str] | None],
    like: str,
    fps: float,
    *,
    is_long: bool = False,
) -> Clips:
    """Find the clips of a dataset that are folders of frames.

    `name_of`: subject and clip of a folder, by its path below the root; None if the folder is not
    the dataset's. Of several folders of a clip, a folder that is not cropped is taken, then the
    folder with most frames. `like`: a published path, for the message. Raises KilasError when there
    is no clip.
    """
    fitting: dict[str, tuple[str, str, list[Folder]]] = {}
    for folder in found.folders:
        if name := name_of(folder.parts):
            fitting.setdefault(name[1].casefold(), (*name, []))[2].append(folder)
    if not fitting:
        raise KilasError(
            f"There is no folder of frames like {like} in {found.root}; give the folder that "
            "holds both the spreadsheet and the frames."
        )
    clips: dict[str, Clip] = {}
    notes: list[str] = []
    ambiguous: list[str] = []
    for key, (subject, clip, folders) in fitting.items():
        chosen, *others = sorted(
            folders, key=lambda folder: (folder.is_cropped, -len(folder.pictures))
        )
        clips[key] = Clip(subject, clip, fps, chosen.frames, is_long)
        if others:
            ambiguous.append(f"of {clip} {chosen.path} was taken, not {others[0].path}")
        if chosen.left_out:
            notes.append(
                f"Pictures of {chosen.path} without a number of their own are left out: "
                f"{', '.join(chosen.left_out)}."
            )
    if ambiguous:
        notes.insert(
            0,
            "Whole pictures go before cropped ones, then more frames before fewer, where a clip "
            f"has several folders: {ambiguous[0]}"
            f"{f', and so for {len(ambiguous) - 1} more' if len(ambiguous) > 1 else ''}.",
        )
    return Clips(clips, tuple(notes))


def _folder_of(path: Path, parts: tuple[str, ...], names: list[str]) -> Folder | None:
    numbered: dict[int, str] = {}
    left_out: list[str] = []
    for name in sorted(names):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in PICTURE_SUFFIXES:
            match = _NUMBER.search(stem)
            if match is None or int(match[0]) in numbered:
                left_out.append(name)
            else:
                numbered[int(match[0])] = name
    if not numbered:
        return None
    return Folder(path, parts, dict(sorted(numbered.items())), tuple(left_out))
