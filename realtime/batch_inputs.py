"""Which video files an analysis is about, and what each one's session folder is called."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from realtime.batch_folders import holds_session_of
from realtime.errors import SourceError
from realtime.folder_lock import LOCK_FILE
from realtime.session_files import (
    CLEAN_FILE,
    CLIPS_FOLDER,
    REPORT_FILE,
    SESSION_FILE,
    SUMMARY_FILE,
    VIDEO_FILE,
)

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogv", ".webm", ".wmv"),
)
"""Endings of the files that a folder is searched for; a file that is named itself may have any."""

RESERVED = frozenset({REPORT_FILE, SUMMARY_FILE, LOCK_FILE})
"""Files that lie beside the session folders."""

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What a name on Windows may not hold, and what is no text."""

DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows their dot."""

HASH_DIGITS = 8
"""Of the hash that tells apart what nothing else does: one in four thousand million."""


@dataclass(frozen=True, slots=True)
class Input:
    """A video file. `path`: as it was named or found. `folder`: its session folder within the
    folder of all results, with forward slashes, valid on every system."""

    path: Path
    folder: str


def find_inputs(patterns: Sequence[str], out: Path | None = None) -> list[Input]:
    """The video files that are meant, each once, in the order of the patterns.

    A pattern is a file; a folder, whose video files are taken, also from the folders below it, in
    the order of their names; or a glob, with `**` for any folders, which is what its matches are
    one by one. Hidden files are left out, and so are the videos of session folders.

    A session folder is called like the file without its ending, with the folders on the way to it
    from the folder that was given. Names that would be the same keep the ending, or get the names
    of the folders above as far as needed. Which names there are does not depend on the order.
    A file of which `out`, the folder of all results, holds a session under one of these names
    keeps that, whatever else is meant now.

    Raises SourceError for a pattern that is nothing or matches nothing.
    """
    found: dict[Path, list[tuple[PurePath, Path]]] = defaultdict(list)
    for pattern in patterns:
        for relative, path in _matches(pattern):
            found[_real(path)].append((relative, path))
    # A file that was named in several ways has the name that says most.
    meant = [
        max(ways, key=lambda way: (len(way[0].parts), *map(str, way))) for ways in found.values()
    ]
    choices = [_choices(relative, real) for (relative, _), real in zip(meant, found, strict=True)]
    if out is not None:
        for index, name in _kept(choices, [path for _, path in meant], list(found), out).items():
            choices[index] = [name]
    names = _names(choices)
    return [Input(path, name) for (_, path), name in zip(meant, names, strict=True)]


def _matches(pattern: str) -> Iterator[tuple[PurePath, Path]]:
    """The files, each with what is to be its name: its path from the folder that was given."""
    path = Path(pattern)
    if path.is_dir():
        yield from _videos_below(path)
    elif path.exists():
        yield PurePath(path.name), path
    elif glob.has_magic(pattern):
        yield from _matches_of_glob(pattern)
    else:
        raise SourceError(f"There is no file or folder {pattern}; check the path.")


def _matches_of_glob(pattern: str) -> Iterator[tuple[PurePath, Path]]:
    # A glob that does not name an ending means videos, not the notes that lie beside them.
    names_an_ending = not glob.has_magic(PurePath(pattern).suffix or "*")
    is_empty = True
    for match in sorted(map(Path, glob.iglob(pattern, recursive=True))):
        if match.is_dir():
            matches = [] if "**" in pattern else list(_videos_below(match, may_be_empty=True))
        elif (names_an_ending or _is_video(match)) and not _is_of_session(match):
            matches = [(PurePath(match.name), match)]
        else:
            continue
        is_empty = is_empty and not matches
        yield from matches
    if is_empty:
        raise SourceError(f"No video file matches {pattern}; check the path and the file's ending.")


def _videos_below(top: Path, *, may_be_empty: bool = False) -> Iterator[tuple[PurePath, Path]]:
    found = []
    try:
        for folder, folders, files in os.walk(top, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(folder, name) for name in files if not name.startswith(".")]
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read ({error.strerror}); ask its owner, or name the files."
        ) from error
    videos = [path for path in found if _is_video(path) and not _is_of_session(path)]
    if not videos and not may_be_empty:
        raise SourceError(f"{top} holds no video; name the files if their endings are unusual.")
    for path in sorted(videos):
        yield path.relative_to(top), path


def _raise(error: OSError) -> None:
    raise error


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def _is_of_session(path: Path) -> bool:
    """Whether Kilas itself has made this video."""
    if path.parent.name == CLIPS_FOLDER:
        return (path.parent.parent / SESSION_FILE).exists()
    return path.name in (VIDEO_FILE, CLEAN_FILE) and (path.parent / SESSION_FILE).exists()


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the latter: links that lead in a circle
        raise SourceError(f"{path} leads nowhere ({error}); check the link.") from error


def _kept(
    choices: Sequence[Sequence[str]], paths: Sequence[Path], reals: Sequence[Path], out: Path
) -> dict[int, str]:
    """Index of a file -> the name that its session in `out` has already."""
    kept: dict[int, str] = {}
    keys: set[str] = set()
    # A copy of a file cannot be told from it; which of them has the session shall be the same
    # in any order.
    for index in sorted(range(len(choices)), key=lambda index: reals[index]):
        for name in choices[index]:
            if _key(name) not in keys and holds_session_of(out / name, paths[index]):
                kept[index] = name
                keys.add(_key(name))
                break
    return kept


def _names(choices: Sequence[Sequence[str]]) -> list[str]:
    """A name for each file out of its choices, the best first.

    All that share a name go on to their next one, until none does; those with one choice stay.
    """
    turn = [0] * len(choices)
    fixed = {_key(own[0]) for own in choices if len(own) == 1}
    while True:
        names = [own[number] for own, number in zip(choices, turn, strict=True)]
        holders: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(names):
            holders[_key(name)].append(index)
        above = {_key(name): _above(name) for name in names}
        taken = RESERVED.union(*above.values())
        moving = [
            index
            for key, own in holders.items()
            # A session folder holds files of its own: other sessions do not lie in it.
            if len(own) > 1 or key in taken or above[key] & fixed
            for index in own
            if turn[index] + 1 < len(choices[index])
        ]
        if not moving:
            return names
        for index in moving:
            turn[index] += 1


def _above(name: str) -> set[str]:
    return {_key(str(folder)) for folder in list(PurePosixPath(name).parents)[:-1]}


def _choices(relative: PurePath, real: Path) -> list[str]:
    """Names for a file, the best first; the last one is no other file's."""
    folders = real.parts[1:-1]
    above = folders[: len(folders) - len(relative.parts) + 1]
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:HASH_DIGITS]
    return [
        _valid(relative.with_suffix("")),
        *(_valid(PurePath(*above[len(above) - k :], relative)) for k in range(len(above) + 1)),
        _valid(relative.with_name(f"{relative.stem}-{digest}")),
    ]


def _valid(name: PurePath) -> str:
    return "/".join(_valid_part(part) for part in name.parts)


def _valid_part(part: str) -> str:
    part = FORBIDDEN.sub("_", unicodedata.normalize("NFC", part)).rstrip(". ")
    return f"_{part}" if not part or DEVICES.match(part) else part


def _key(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name.casefold())
