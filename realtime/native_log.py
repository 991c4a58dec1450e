"""Lines that libraries in C++ log about themselves, kept from the user's terminal."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

STDERR = 2

# abseil's prefix of notes, warnings and errors (such as "W0000 00:00:17.6 123 file.cc:45]"), the
# one that TensorFlow puts a date before, and three lines that have none.
_LOG_LINE = re.compile(
    rb"[IWE]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IWE] |INFO: Created TensorFlow Lite|"
    rb"WARNING: All log messages before|WARNING: Logging before InitGoogle"
)
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def without_native_log() -> Iterator[None]:
    """Drop the lines that C++ libraries log within the block; other lines of stderr follow after.

    MediaPipe and TensorFlow write a dozen notes about their own parts, which help no user, to the
    descriptor itself. So it is turned aside for the whole process, by one thread at a time.
    """
    with _stderr_lock, contextlib.ExitStack() as opened:
        try:
            written = opened.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(STDERR)
        except OSError:  # there is no stderr, or no room to turn it aside
            yield
            return
        os.dup2(written.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            written.seek(0)
            for line in written:
                if not _LOG_LINE.match(line):
                    os.write(STDERR, line)
