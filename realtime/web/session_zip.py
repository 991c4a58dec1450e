"""Zip files of session folders, for download."""

from __future__ import annotations

import zipfile
from pathlib import Path

from realtime.storage.durable_file import PARTIAL
from realtime.storage.folder_lock import LOCK_FILE

_STORED = (".mp4", ".png", ".parquet")  # compressed already


def pack(folder: Path, packed: Path) -> None:
    """Write all files of a session folder into the zip `packed`, below the folder's name.

    The zip is there whole or not at all. Raises OSError.
    """
    unfinished = packed.with_name(packed.name + PARTIAL)
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name != LOCK_FILE:
                    archive.write(
                        path,
                        Path(folder.name) / path.relative_to(folder),
                        zipfile.ZIP_STORED if path.suffix in _STORED else None,
                    )
        unfinished.replace(packed)
    finally:
        unfinished.unlink(missing_ok=True)  # it is there only if something failed
