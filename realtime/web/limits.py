"""Times and sizes that the page states and the server keeps."""

from __future__ import annotations

FORM_ROOM_BYTES = 2**16
"""What a form may hold beside the uploaded file."""

RESUME_S = 60.0
"""How long a visit waits for its page to come back: a phone that changes networks does in less."""

RECORDING_S = 30 * 60.0
"""The longest recording: about 500 MB at what the built-in clip takes, 0.3 MB a second."""

MAX_VIDEO_S = 3600.0
"""Of an uploaded video: about an hour of work on two cores."""

IDLE_S = 3600.0
"""After which an upload that nobody looks at is removed."""
