"""Keys of the window: one table for what they do and for the help panel."""

from __future__ import annotations

import enum


class Command(enum.Enum):
    """Request of the user to the run; the value is the key."""

    QUIT = "q"
    RECORD = "r"
    HEAT_MAP = "h"
    RECALIBRATE = "c"


FREEZE_KEY = " "
SNAPSHOT_KEY = "s"
HELP_KEY = "?"

KEYS: tuple[tuple[str, str], ...] = (
    (Command.QUIT.value, "quit"),
    (Command.RECORD.value, "record on / off"),
    (FREEZE_KEY, "freeze the picture"),
    (Command.HEAT_MAP.value, "heat map on / off"),
    (SNAPSHOT_KEY, "save a snapshot"),
    (Command.RECALIBRATE.value, "recalibrate"),
    (HELP_KEY, "this help"),
)
"""Each key and its effect, in the order of the help panel."""
