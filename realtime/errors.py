"""Failures that a user can do something about.

The message of each is one plain sentence that says what happened and what to do; the command
line prints it and exits with status 1. Anything else that is raised is a defect of Kilas and
keeps its traceback.
"""

from __future__ import annotations


class KilasError(Exception):
    """Base of all failures with a remedy."""


class SourceError(KilasError):
    """A camera, file or stream cannot be opened or broke while it was read."""


class ModelError(KilasError):
    """A model file is not one of Kilas's, or disagrees with what it says of itself."""


class DeviceError(KilasError):
    """The device that was asked for cannot be used."""


class RecordingError(KilasError):
    """A session folder cannot be read or written (further)."""


class ProfileError(KilasError):
    """A session holds no baseline that can be used here."""
