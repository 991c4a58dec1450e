"""Text that is printed, whatever the terminal, file or pipe behind it can take."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import NoReturn

from rich.console import Console


def escape_unprintable() -> None:
    """Print characters that an output cannot take, as in a code page of Windows, as escapes."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")


class PipeConsole(Console):
    """Console that raises BrokenPipeError once, when whoever reads what it prints has gone.

    What is printed after that vanishes. Rich's own console ends the program instead, whatever it is
    doing.
    """

    def on_broken_pipe(self) -> NoReturn:
        """Discard all that is printed from now on."""
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
