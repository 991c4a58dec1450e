"""Times and sizes that the page states and the server keeps."""

from __future__ import annotations

FORM_ROOM_BYTES = 2**16
"""Most bytes of a form beside the uploaded file."""

RESUME_S = 60.0
"""Longest wait for a page to come back to its visit: a phone that changes networks takes less."""

RECORDING_S = 30 * 60.0
"""The longest recording: about 500 MB at what the built-in clip takes, 0.3 MB a second."""

MAX_VIDEO_S = 3600.0
"""Longest uploaded video: about an hour of work on two cores."""

IDLE_S = 3600.0
"""Time after which an upload that nobody looks at is removed."""
