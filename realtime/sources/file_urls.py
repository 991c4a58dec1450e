"""Addresses of local files, as browsers and file managers give them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote
from urllib.request import url2pathname

from realtime.errors import SourceError

FILE_SCHEME = "file://"


def is_file_url(text: str) -> bool:
    """Return True for the address of a local file."""
    return text[: len(FILE_SCHEME)].lower() == FILE_SCHEME


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is named by its path or by a `file://` address.

    Raises SourceError for an address on another machine.

    Example:

        local_path("file:///home/me/my%20talk.mp4")  # Path("/home/me/my talk.mp4")
    """
    if not isinstance(path, str) or not is_file_url(path):
        return Path(path)
    host, slash, rest = path[len(FILE_SCHEME) :].partition("/")
    if not slash or host == ".":  # file://clip.mp4 is no address, but it is clear what is meant
        return Path(unquote(host + slash + rest))
    if host.lower() not in ("", "localhost"):
        raise SourceError(
            f"{path} lies on another machine ({host}); copy the file here, or name its path."
        )
    return Path(url2pathname(slash + rest))
