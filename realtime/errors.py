"""Failures with a remedy, as exceptions.

The message of each is one plain sentence that states what happened and what to do; the command line
prints it and exits with status 1. Anything else that is raised is a defect of Kilas and keeps its
traceback.
"""

from __future__ import annotations


class KilasError(Exception):
    """Base class of all failures that a user can correct."""


class SourceError(KilasError):
    """Failure to open or to read a camera, file or stream."""


class ModelError(KilasError):
    """Failure to load a model file, which is not Kilas's or differs from its specification."""


class DeviceError(KilasError):
    """Failure to use the device that was asked for."""


class RecordingError(KilasError):
    """Failure to read or to write a session folder."""


class ForkError(KilasError):
    """Use of an object in a process that was forked after the object was opened."""


class ProfileError(KilasError):
    """Failure to take a neutral baseline from a session."""
