"""Lock of a session folder, which shows every process of the machine that it is being written."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Self

from filelock import lock_descriptor

LOCK_FILE = "recording.lock"
"""Name of the lock's file in a session folder."""

QUIET_S = 10.0
"""Time without a write after which a folder without a lock is not being recorded.

A recorder writes session.json every 3 s, whatever else comes.
"""


class FolderLock:
    """Lock that the writer of a session folder holds until `release`.

    The system frees it when the process ends, however it ends; only the lock's file is left then,
    which alone means nothing. On file systems without locks there is no such file, and `take_over`
    goes by the time of the folder's last write.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        else:
            self.abandon()

    def take(self) -> bool:
        """Take the lock of a folder; return False if another process holds it.

        True also where there are no locks. Raises OSError if the lock's file cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_free = lock_descriptor(descriptor, blocking=False)
        except OSError:  # the file system has no locks
            os.close(descriptor)
            self._path.unlink()
            return True
        if is_free:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return is_free

    def take_over(self) -> bool:
        """Take the lock of a folder whose recorder should be gone.

        False: it is not gone, as far as can be known. Raises OSError as `take` does.
        """
        was_locked = self._path.exists()
        if not was_locked and _is_recent(self._path.parent):
            return False
        return self.take()

    def release(self) -> None:
        """Free the lock and remove its file; does nothing where none is held."""
        if self._descriptor is not None:
            self.abandon()
            # Windows removes no open file, and a disk that is gone none at all. Whoever takes the
            # lock in between finds a session to which nothing is left to do.
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Free the lock of a folder in which work is left to do.

        Its file stays, so that the next process need not wait; see `take_over`.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # of a disk that is gone; it is closed all the same
                os.close(descriptor)


def _is_recent(folder: Path) -> bool:
    """Return True if something in the folder was written a moment ago."""
    written_s = max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)
    return time.time() - written_s < QUIET_S
