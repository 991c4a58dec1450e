"""Macro-expression of one face over time: smoothed scores, and what they were a moment ago."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from realtime.macro.face_crops import cut_face
from realtime.macro.model import MacroModel
from realtime.types import Face, FloatArray, Frame, MacroScores, UInt8Array

EVERY_S = 0.5
"""Seconds from one scoring to the next.

Macro-expressions last from half a second to four seconds (Ekman), and a scoring costs about as much
as a window of the spotting network: more often than this, they would be more than a twentieth of
the live path of a camera of 30 frames a second.
"""

SMOOTH_S = 0.5
"""Time constant of the smoothing, so that a flicker of one scoring is no expression."""

KEPT_EVERY_S = 0.1
"""Seconds from one kept face to the next.

Each takes some tenths of a millisecond to cut out, and the 0.1 s that are examined after an offset
usually hold one kept face.
"""

REMEMBERED_S = 2.0
"""Time that faces are kept: from before the longest micro-expression to its end."""

SLACK_S = 1e-3
"""Most time by which a frame may come early: times of files are rounded."""

NEUTRAL_LABEL = "neutral"
"""Label of a face without an expression; a model may lack it."""

LARGEST_MEAN = 2
"""Most faces that a mean is made of: each takes the time of a scoring, and that at every event."""


class _Due:
    """Schedule of something that is done every so many seconds, at whatever times frames come."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_s = -math.inf

    def is_at(self, t_s: float) -> bool:
        """Return True if it is due at `t_s`."""
        return t_s >= self._next_s - SLACK_S

    def done(self, t_s: float) -> None:
        """Record that it was done at `t_s`.

        A frame that came late does not put off the next time, unless more were missing.
        """
        is_late = t_s - self._next_s > self._every_s
        self._next_s = (t_s if is_late else self._next_s) + self._every_s


class MacroTracker:
    """Tracker of the macro-expression of one face. Used by one thread; the model may be shared."""

    def __init__(self, model: MacroModel, face_id: int) -> None:
        labels = model.spec.labels
        self.neutral = labels.index(NEUTRAL_LABEL) if NEUTRAL_LABEL in labels else None
        self._model = model
        self._face_id = face_id
        self.restart()

    def restart(self) -> None:
        """Forget the past."""
        self._kept: deque[tuple[float, UInt8Array]] = deque()
        self._keeping = _Due(KEPT_EVERY_S)
        self._scoring = _Due(EVERY_S)
        self._smoothed: FloatArray = np.zeros(len(self._model.spec.labels))
        self.latest: tuple[float, FloatArray] | None = None
        """Newest scores, not smoothed: time of their frame in seconds, and float64 [labels]."""

    def update(self, frame: Frame, face: Face) -> MacroScores | None:
        """Take the face in the next frame; return smoothed scores when it is time for them."""
        if not self.wants(frame.t_s):
            return None
        return self.add(frame.t_s, cut_face(frame.image_bgr, face.transform, self._model.spec))

    def wants(self, t_s: float) -> bool:
        """Return True if `add` would make use of a face of this moment."""
        return self._keeping.is_at(t_s)

    def add(self, t_s: float, face: UInt8Array) -> MacroScores | None:
        """Take a cut face, uint8 [48, 48]; return smoothed scores when it is time for them.

        A face that was away for longer than `REMEMBERED_S` starts anew.
        """
        if self._kept and t_s - self._kept[-1][0] > REMEMBERED_S:
            self.restart()
        self._kept.append((t_s, face))
        self._keeping.done(t_s)
        while self._kept[0][0] < t_s - REMEMBERED_S:
            self._kept.popleft()
        if not self._scoring.is_at(t_s):
            return None
        self._scoring.done(t_s)
        scores = self._model.run(face[np.newaxis])[0].astype(np.float64)
        share = 1.0 if self.latest is None else 1.0 - math.exp((self.latest[0] - t_s) / SMOOTH_S)
        self._smoothed = self._smoothed + share * (scores - self._smoothed)
        self.latest = t_s, scores
        return MacroScores(self._face_id, t_s, tuple(self._smoothed.tolist()))

    def mean(self, start_s: float, end_s: float) -> FloatArray | None:
        """Return the mean scores, float64 [labels], of faces seen from `start_s` to `end_s`.

        Both ends are included; `LARGEST_MEAN` of these faces are scored, evenly spread. None if
        there was no face.
        """
        faces = [face for t_s, face in self._kept if start_s <= t_s <= end_s]
        if not faces:
            return None
        places = np.linspace(0, len(faces) - 1, min(len(faces), LARGEST_MEAN)).round().astype(int)
        scores = self._model.run(np.stack([faces[place] for place in places]))
        mean: FloatArray = scores.mean(axis=0, dtype=np.float64)
        return mean
