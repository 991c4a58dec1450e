"""Text that is printed, whatever the terminal, file or pipe behind it can take."""

from __future__ import annotations

import io
import os
import sys
from typing import ClassVar

from rich.console import Console


def escape_unprintable() -> None:
    """Print characters that an output cannot take, as in a code page of Windows, as escapes."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")


class PipeConsole(Console):
    """Console that goes on in silence when whoever reads what it prints has gone.

    `has_reader`: False from then on, for all consoles of the process. Rich's own console ends the
    program instead, whatever it is doing.
    """

    has_reader: ClassVar[bool] = True

    def on_broken_pipe(self) -> None:
        """Let all that is printed from now on vanish."""
        PipeConsole.has_reader = False
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
