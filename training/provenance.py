"""Record of the settings that a folder's files were made from, kept beside the files.

Files that exist already count as finished work only if the same settings would make them now.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realtime.errors import KilasError

MADE_FROM = "made_from.json"


def ensure_same_inputs(folder: Path, settings: Mapping[str, Any], name: str = MADE_FROM) -> None:
    """Make the folder and write the settings that decide its content into its JSON file `name`.

    Raises KilasError when the file exists with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings, indent=1)
    file = folder / name
    if file.exists():
        wanted, found = json.loads(text), _read(file)
        changed = [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]
        if changed:
            raise KilasError(
                f"{folder} was made from other settings ({', '.join(changed)}, see {name}); "
                "give a new folder."
            )
        return
    unfinished = file.with_name(f".{name}")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(file)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 hash of a file's content, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise KilasError(
            f"{file} does not list the settings that its folder was made from; give a new folder."
        )
    return found


def commit() -> str:
    """Return the commit of the working tree, with `, changed since` if files were changed.

    Returns `unknown` outside of a repository.
    """
    head = _git("rev-parse", "HEAD")
    if not head:
        return "unknown"
    return f"{head}, changed since" if _git("status", "--porcelain", "-uno") else head


def _git(*arguments: str) -> str:
    """Return the output of a git command; empty where git is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all; make its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
