"""Neutral baseline of a person: the scores that the network gives a face without an expression.

To a network some faces always seem to show a little of something. The spotter takes that share out
(`realtime.spotting.spotter`). The look of the face needs no such care: the motion signal renews its
own baseline every two seconds.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.errors import ProfileError
from realtime.session.layout import SESSION_FILE
from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Scores

CALIBRATION_S = 2.0
"""Length of the scores that a baseline is taken from.

Long against a blink, short enough to sit still for.
"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Neutral baseline of one face.

    `height`: median probability, 0 to 1, that a neutral face shows an expression; `from_s` and
    `to_s`: when that was seen, seconds on the clock of the frames; None for a baseline that was
    brought from another session.
    """

    height: float
    from_s: float | None = None
    to_s: float | None = None


class Calibration:
    """Search for the baseline of one face in its first seconds of scores.

    An expression that lasts for most of them is no neutral face; then the next seconds are tried,
    and there is no baseline until a calm stretch has been seen.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._none = spec.labels.index(NONE_LABEL) if NONE_LABEL in spec.labels else None
        self._limit = spec.spotting.leave
        self._max_gap_s = spec.max_gap_s
        self._heights: list[float] = []
        self._from_s = self._to_s = -math.inf

    def update(self, scores: Scores) -> Baseline | None:
        """Take the next scores; return the baseline once there is one.

        Models without the label `none` have none.
        """
        if self._none is None:
            return None
        if not self._heights or scores.t_s - self._to_s > self._max_gap_s:
            self._heights.clear()
            self._from_s = scores.t_s
        self._to_s = scores.t_s
        self._heights.append(1.0 - scores.probabilities[self._none])
        if self._to_s - self._from_s < CALIBRATION_S:
            return None
        height = statistics.median(self._heights)
        self._heights.clear()
        return Baseline(height, self._from_s, self._to_s) if height < self._limit else None


def load_profile(path: Path, model_sha256: str) -> Baseline:
    """Read the baseline of the one person of a session from its folder, or from its session.json.

    A session that followed one face at a time was of one person, who may have left and come back as
    another face: then it is the median of their baselines. Raises ProfileError where there is none,
    where several faces were followed, and where it was taken with another model.
    """
    file = path / SESSION_FILE if path.is_dir() else path
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
        name, sha256 = metadata["model"].get("name"), metadata["model"]["sha256"]
        heights = [float(entry["height"]) for entry in (metadata["calibration"] or {}).values()]
        if not all(0 <= height < 1 for height in heights):
            raise ValueError("a height is a probability")
        is_of_one = len(heights) == 1 or metadata.get("settings", {}).get("max_faces") == 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProfileError(
            f"{path} holds no profile; choose a session folder that Kilas recorded."
        ) from error
    if not heights or not is_of_one:
        raise ProfileError(
            f"{path} holds the baselines of {len(heights)} faces; choose a session in which one "
            "person was calibrated."
        )
    if sha256 != model_sha256:
        raise ProfileError(
            f"The profile in {path} was made with another model ({name}); "
            "record a new one with this model, or choose that one with --model."
        )
    return Baseline(statistics.median(heights))


def baselines_to_json(
    baselines: Mapping[int, Sequence[Baseline]], origin_s: float
) -> dict[str, Any]:
    """Return the baselines of faces, each with the newest last, for session.json.

    Times are from `origin_s`. Baselines that a recalibration replaced are `earlier`.
    """
    entries: dict[str, Any] = {}
    for face_id, taken in baselines.items():
        *earlier, newest = [_stated(baseline, origin_s) for baseline in taken]
        entries[str(face_id)] = newest | ({"earlier": earlier} if earlier else {})
    return entries


def _stated(baseline: Baseline, origin_s: float) -> dict[str, Any]:
    """Return one baseline for session.json."""
    from_s, to_s = baseline.from_s, baseline.to_s
    return {
        "height": round(baseline.height, 6),
        "from_s": None if from_s is None else round(from_s - origin_s, 6),
        "to_s": None if to_s is None else round(to_s - origin_s, 6),
    }
