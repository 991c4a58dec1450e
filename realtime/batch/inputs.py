"""Search for the files to analyse, and the names of their session folders or table rows."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import cv2

from realtime.earlier_sessions import holds_session_of
from realtime.errors import SourceError
from realtime.session.layout import (
    CLEAN_FILE,
    CLIPS_FOLDER,
    REPORT_FILE,
    SCORES_FILE,
    SESSION_FILE,
    SUMMARY_FILE,
    VIDEO_FILE,
)
from realtime.sources.file_urls import is_file_url, local_path
from realtime.sources.images import OTHER_PICTURE_SUFFIXES, PICTURE_SUFFIXES
from realtime.sources.video_file import VIDEO_SUFFIXES
from realtime.storage.folder_lock import LOCK_FILE

RESERVED = frozenset({REPORT_FILE, SUMMARY_FILE, SCORES_FILE, LOCK_FILE})
"""Names of files that lie beside the folders of sessions and of macro-expressions in videos."""

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""Characters that a name on Windows may not hold, and lone surrogates, which are no text."""

DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows their dot."""

NUMBERS = re.compile(r"(\D*)(\d*)")

HASH_DIGITS = 8
"""Length of the hash that distinguishes files of the same name: two files share a hash once in
four thousand million."""


@dataclass(frozen=True, slots=True)
class Input:
    """A video file to analyse.

    `path`: as it was named or found. `folder`: its session folder within the folder of all results,
    with forward slashes, valid on every system.
    """

    path: Path
    folder: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to score.

    `path`: as it was named or found. `name`: its name in tables, with forward slashes; no other
    picture of the call has it.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class _Match:
    """A file that a pattern matches.

    `relative`: its path from the folder that was given, which gives its name. `is_below`: True if
    a folder was given, not the file itself.
    """

    relative: PurePath
    path: Path
    is_below: bool


_Found = Mapping[Path, Sequence[_Match]]
"""Files that were found, by resolved path, each with the ways in which it was named."""


def find_inputs(patterns: Sequence[str], out: Path | None = None) -> list[Input]:
    """Find the video files that patterns name, each once, in the order of the patterns.

    A pattern is a file, by its path or its `file://` address; a folder, whose video files are
    taken, also from the folders below it, in the order of their names; or a glob, with `**` for
    any folders, which stands for its matches.
    Hidden files are left out, and so are the videos of session folders.

    A session folder is named like the file without its ending, with the folders on the way to it
    from the folder that was given. Names that would be the same keep the ending, or get the names
    of the folders above as far as needed. Names do not depend on the order of the patterns. If
    `out`, the folder of all results, already holds a session of a file under one of these names,
    the file keeps that name, whatever the other files are now.

    Raises SourceError for a pattern that is no file and matches none.
    """
    return _inputs(_found(patterns, VIDEO_SUFFIXES), out)


def find_pictures_and_videos(patterns: Sequence[str]) -> tuple[list[Picture], list[Input]]:
    """Find the pictures and the video files that patterns name, see `find_inputs`.

    Pictures of formats that cannot be read are included, so that the caller can report them. A
    picture's name is its path from the folder that was given, or as it was given itself. If two
    names would be the same, all are the path with the folder that was given.
    """
    found = _found(patterns, (*PICTURE_SUFFIXES, *OTHER_PICTURE_SUFFIXES, *VIDEO_SUFFIXES))
    videos = {real: ways for real, ways in found.items() if not _is_picture(ways[0].path)}
    stills = [ways[0] for real, ways in found.items() if real not in videos]
    names = [(still.relative if still.is_below else still.path).as_posix() for still in stills]
    if len(set(names)) < len(names):
        names = [still.path.as_posix() for still in stills]
    pictures = [Picture(still.path, name) for still, name in zip(stills, names, strict=True)]
    return pictures, _inputs(videos, None)


def _found(patterns: Sequence[str], suffixes: Sequence[str]) -> _Found:
    found: dict[Path, list[_Match]] = defaultdict(list)
    for pattern in patterns:
        for match in _matches(pattern, suffixes):
            found[_real(match.path)].append(match)
    return found


def _inputs(found: _Found, out: Path | None) -> list[Input]:
    # A file that was named in several ways gets the longest name.
    matches = [
        max(ways, key=lambda way: (len(way.relative.parts), str(way.relative), str(way.path)))
        for ways in found.values()
    ]
    choices = [_choices(match.relative, real) for match, real in zip(matches, found, strict=True)]
    if out is not None:
        paths = [match.path for match in matches]
        for index, name in _kept(choices, paths, list(found), out).items():
            choices[index] = [name]
    names = _names(choices)
    return [Input(match.path, name) for match, name in zip(matches, names, strict=True)]


def _matches(pattern: str, suffixes: Sequence[str]) -> Iterator[_Match]:
    if not pattern:
        raise SourceError("The name of a file to analyze is empty; name a file or a folder.")
    if is_file_url(pattern):
        pattern = str(local_path(pattern))
    path = Path(pattern)
    if path.is_dir():
        yield from _files_below(path, suffixes)
    elif path.exists():
        yield _Match(PurePath(path.name), path, is_below=False)
    elif glob.has_magic(pattern):
        yield from _matches_of_glob(pattern, suffixes)
    else:
        raise SourceError(f"There is no file or folder {pattern}; check the path.")


def _matches_of_glob(pattern: str, suffixes: Sequence[str]) -> Iterator[_Match]:
    # A glob that does not name an ending means videos, not the notes that lie beside them.
    names_an_ending = not glob.has_magic(PurePath(pattern).suffix or "*")
    is_empty = True
    for match in sorted(map(Path, glob.iglob(pattern, recursive=True)), key=_in_order):
        if match.is_dir():
            is_any = "**" in pattern
            matches = [] if is_any else list(_files_below(match, suffixes, may_be_empty=True))
        elif (names_an_ending or _is_file(match, suffixes)) and not _is_of_session(match):
            matches = [_Match(PurePath(match.name), match, is_below=False)]
        else:
            continue
        is_empty = is_empty and not matches
        yield from matches
    if is_empty:
        raise SourceError(
            f"No {_kind(suffixes)} file matches {pattern}; check the path and the file's ending."
        )


def _files_below(
    top: Path, suffixes: Sequence[str], *, may_be_empty: bool = False
) -> Iterator[_Match]:
    found = []
    try:
        for folder, folders, files in os.walk(top, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(folder, name) for name in files if not name.startswith(".")]
    except OSError as error:
        raise SourceError(
            f"{error.filename} cannot be read ({error.strerror}); ask its owner, or name the files."
        ) from error
    wanted = [path for path in found if _is_file(path, suffixes) and not _is_of_session(path)]
    if not wanted and not may_be_empty:
        raise SourceError(
            f"{top} holds no {_kind(suffixes)}; name the files if their endings are unusual."
        )
    for path in sorted(wanted, key=_in_order):
        yield _Match(path.relative_to(top), path, is_below=True)


def _in_order(path: Path) -> tuple[list[list[tuple[str, int]]], str]:
    """Return a sort key for paths by which s9 comes before s10."""
    return [
        [(text.casefold(), int(digits or -1)) for text, digits in NUMBERS.findall(part)]
        for part in path.parts
    ], str(path)


def _kind(suffixes: Sequence[str]) -> str:
    return "video" if suffixes == VIDEO_SUFFIXES else "picture or video"


def _raise(error: OSError) -> None:
    raise error


def _is_file(path: Path, suffixes: Sequence[str]) -> bool:
    return path.suffix.lower() in suffixes and path.is_file()


def _is_picture(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES or suffix in OTHER_PICTURE_SUFFIXES:
        return True
    return suffix not in VIDEO_SUFFIXES and cv2.haveImageReader(str(path))


def _is_of_session(path: Path) -> bool:
    """Return True if Kilas itself has made this video or picture."""
    if path.parent.name == CLIPS_FOLDER:
        return (path.parent.parent / SESSION_FILE).exists()
    return path.name in (VIDEO_FILE, CLEAN_FILE) and (path.parent / SESSION_FILE).exists()


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the latter: links that lead in a circle
        raise SourceError(f"{path} is a broken link ({error}); check the link.") from error


def _kept(
    choices: Sequence[Sequence[str]], paths: Sequence[Path], reals: Sequence[Path], out: Path
) -> dict[int, str]:
    """Return, by index of the file, the names that sessions in `out` have already."""
    kept: dict[int, str] = {}
    keys: set[str] = set()
    # A file and its copy look the same; the session shall go to the same file in any order.
    for index in sorted(range(len(choices)), key=lambda index: reals[index]):
        for name in choices[index]:
            if _key(name) not in keys and holds_session_of(out / name, paths[index]):
                kept[index] = name
                keys.add(_key(name))
                break
    return kept


def _names(choices: Sequence[Sequence[str]]) -> list[str]:
    """Choose a name for each file out of its choices, the best first.

    All files that share a name go on to their next choice, until no name is shared; files with one
    choice keep it.
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
            # A session folder holds files of its own, so no other session may lie in it.
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
    """Return possible names for a file, the best first; the last is no other file's."""
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
    """Return a key that is the same for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", name.casefold())
