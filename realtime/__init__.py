"""Python interface of Kilas: `Monitor` for any stream of frames, `analyze` for video files.

    from realtime import Monitor, analyze, load_session, open_source

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.analysis import analyze
    from realtime.monitor import Monitor
    from realtime.session.reader import Session, load_session
    from realtime.sources.opening import open_source
    from realtime.types import Event, Face, Frame, Scores, Update

_MODULE_OF = {
    "Monitor": "monitor",
    "Session": "session.reader",
    "analyze": "analysis",
    "load_session": "session.reader",
    "open_source": "sources.opening",
    "Event": "types",
    "Face": "types",
    "Frame": "types",
    "Scores": "types",
    "Update": "types",
}

__all__ = [
    "Event",
    "Face",
    "Frame",
    "Monitor",
    "Scores",
    "Session",
    "Update",
    "analyze",
    "load_session",
    "open_source",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"realtime.{_MODULE_OF[name]}"), name)
