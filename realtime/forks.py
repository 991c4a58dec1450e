"""Objects whose threads are missing in a process that `fork` has made."""

from __future__ import annotations

import os

from realtime.errors import ForkError


class OpeningProcess:
    """The process that opened an object, and the only process in which its threads run.

    In a copy of the process, as `multiprocessing` makes it by `fork`, whoever waits for these
    threads waits for ever.
    """

    def __init__(self, opened: str) -> None:
        """Remember the process that runs now; `opened`: the object's name in messages."""
        self._opened = opened
        self._pid = os.getpid()

    @property
    def is_this(self) -> bool:
        """True in the process that opened the object."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Raise ForkError in every other process."""
        if not self.is_this:
            raise ForkError(
                f"{self._opened} was opened before this process was forked and cannot be used "
                'here; open it in this process, or use multiprocessing.get_context("spawn").'
            )
