"""A file that a kill, a full disk or a loss of power leaves whole up to a moment before."""

from __future__ import annotations

import os
from pathlib import Path


class DiskFile:
    """A new file that goes straight to the system and never ends in half a piece of data.

    After a failed write it is cut back to the last `mark` and takes nothing more in silence,
    because a muxer that is being closed goes on writing and would spoil what is there. Changes
    before the last mark wait until `close` for the same reason: the muxer turns fragments into
    a plain MP4 by changing its first bytes before it appends the index that these rely on.
    Raises OSError, FileExistsError among them.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close
        self._good_size = 0
        self._is_broken = False
        self._changes: list[tuple[int, bytes]] = []

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        position = self._file.tell()
        if position < self._good_size:
            self._changes.append((position, bytes(data)))
            self._file.seek(position + len(data))
            return len(data)
        rest = memoryview(data)
        while rest and not self._is_broken:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError:
                self._is_broken = True
                self._file.truncate(self._good_size)
                raise
        return len(data)

    def mark(self) -> None:
        """State that all that was written so far belongs together."""
        if not self._is_broken:
            self._good_size = os.fstat(self._file.fileno()).st_size

    def append(self, data: bytes) -> None:
        """Write `data` wholly or not at all."""
        if data:
            self.write(data)
            self.mark()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        with self._file:
            for position, data in () if self._is_broken else self._changes:
                self._file.seek(position)
                self._file.write(data)
