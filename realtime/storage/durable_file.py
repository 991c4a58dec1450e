"""Durable files: a kill, a full disk or a loss of power leaves them whole up to a moment before."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

SYNC_EVERY_S = 0.5
"""Time between two rounds of a `SyncThread`: half of the second that a recording may lose."""

PARTIAL = ".partial"
"""Ending of a file's name until the file is whole."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, of a user's share of it, or of a file that takes nothing more."""


def is_full(error: BaseException | None) -> bool:
    """Return True if this error, or an error that caused it, is a lack of space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


class DiskFile:
    """New file that goes straight to the system and never ends in half a piece of data.

    After a failed write it is cut back to the last `mark` and ignores further writes without an
    error, because a muxer that is being closed goes on writing and would spoil what is there.
    Changes before the last mark wait until `close` for the same reason: the muxer turns fragments
    into a plain MP4 by changing its first bytes before it appends the index that these rely on.

    A loss of power takes what was not yet on the disk itself; `sync` brings it there, from any
    thread, but not at the same time as `close`, which does so too. Raises OSError, FileExistsError
    among them.
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
        """Write `data` at the current position.

        A change before the last mark is kept for `close`.
        """
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
        """Record that everything written so far belongs together."""
        if not self._is_broken:
            self._good_size = os.fstat(self._file.fileno()).st_size

    def append(self, data: bytes) -> None:
        """Write `data` wholly or not at all."""
        if data:
            self.write(data)
            self.mark()

    def sync(self) -> None:
        """Wait until everything written so far is on the disk itself."""
        os.fsync(self._file.fileno())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """Make the changes that wait, bring everything to the disk itself, and close the file."""
        if self._file.closed:
            return
        with self._file:
            self.sync()
            changes = [] if self._is_broken else self._changes
            for position, data in changes:
                self._file.seek(position)
                self._file.write(data)
            if changes:
                self.sync()


class SyncThread:
    """Thread that brings files to the disk itself, about twice a second.

    So the threads that write them never wait for the disk. An error of the thread ends it and is
    raised by the next `replace` or by `stop`, which belong to one thread.
    """

    def __init__(self, syncs: Sequence[Callable[[], None]]) -> None:
        """Start the thread; `syncs`: the `sync` of each file, none of them closed before `stop`."""
        self._syncs = syncs
        self._lock = threading.Lock()
        self._replacements: dict[Path, bytes] = {}
        self._is_stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def replace(self, path: Path, data: bytes) -> None:
        """Make `path` hold `data` from the next round on, after everything written so far."""
        self._raise_error()
        with self._lock:
            self._replacements[path] = data

    def stop(self) -> None:
        """End the thread; replacements that still wait are not made."""
        self._is_stopped.set()
        self._thread.join()
        self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._is_stopped.wait(SYNC_EVERY_S):
                with self._lock:
                    replacements, self._replacements = self._replacements, {}
                for sync in self._syncs:
                    sync()
                for path, data in replacements.items():
                    replace_file(path, data)
        except BaseException as error:  # noqa: BLE001 - replace or stop raises it in the caller
            self._error = error


def replace_file(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, so that no reader, kill or loss of power ever meets half of it.

    Raises OSError; then `path` is what it was.
    """
    unfinished = path.with_name(path.name + PARTIAL)
    try:
        unfinished.write_bytes(data)
        sync_file(unfinished)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file that another program or library wrote is on the disk itself."""
    with path.open("rb+") as file:  # Windows syncs nothing that is only read
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names of a folder's files are on the disk itself.

    Windows and some network folders have no such call; there a loss of power may bring back the
    file that was replaced last, which was whole as well.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
