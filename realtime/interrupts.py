"""Ctrl-C while a program's modules are still being imported, which takes seconds."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended, as shells have it."""


def exit_on_interrupt() -> None:
    """End the process at once, without a traceback, on Ctrl-C from now on.

    For the time before anything has begun. An interrupt that the parent process has turned off
    stays off.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def raise_on_interrupt() -> None:
    """Raise KeyboardInterrupt on Ctrl-C again, so that what has begun is ended in order."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(*_: object) -> None:
    os._exit(INTERRUPTED)
