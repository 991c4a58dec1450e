"""Painter of the annotated video of a recording."""

from __future__ import annotations

from realtime.display.overlay import Overlay
from realtime.monitor import Monitor
from realtime.recording.privacy import FaceBlur
from realtime.recording.recorder import Paint


def frame_painter(monitor: Monitor, *, blur_faces: bool) -> Paint:
    """Return the function that paints the pictures of a session's annotated video."""
    overlay = Overlay(monitor.spec, monitor.macro_labels)
    if not blur_faces:
        return overlay.paint
    blur = FaceBlur()
    return lambda update: overlay.paint(blur(update))
