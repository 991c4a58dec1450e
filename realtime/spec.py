"""Specification of a model, stored in its file: its input, and what its output means."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from realtime.errors import ModelError

METADATA_KEY = "kilas"
"""Key of the ONNX metadata under which the spec is stored as JSON."""

NONE_LABEL = "none"
"""Label of a window without an expression; a model may lack it."""

FACE_SIZE = 128
"""Side of the aligned face in pixels (S0)."""

MOTION_STRIDE = 2
"""Pixels of the aligned face for each node of the motion grid, in each direction."""

RegionLayout = Literal["triple", "dual", "single"]
Signal = Literal["gray", "motion"]
Mask = Literal["none", "eyes", "mouth", "eyes+mouth"]

LAYOUTS: dict[RegionLayout, tuple[tuple[int, int, int, int], ...]] = {
    "triple": ((0, 2, 64, 66), (64, 2, 128, 66), (32, 64, 96, 128)),
    "dual": ((0, 0, 128, 64), (0, 64, 128, 128)),
    "single": ((0, 0, 128, 128),),
}
"""Boxes of the regions of each layout: (left, top, right, bottom) on the 128 x 128 aligned face.

`triple`: left upper, right upper, lower (S0), where left is the left side of the image; `dual`:
upper, lower (S1); `single`: the whole face (S2).
"""


@dataclass(frozen=True, slots=True)
class SpottingSpec:
    """Thresholds that turn a model's scores into events; see `realtime.spotting.spotter`.

    `enter`, `leave`: probability that there is an expression, at which an expression begins and
    ends. `min_s`: shorter expressions are taken for noise; `max_s`: longer ones are
    macro-expressions. `max_residual`: share of the apex's motion that may be left after the offset;
    a face that kept more has not come back. Only models that see motion can use it.
    """

    enter: float = 0.6
    leave: float = 0.4
    min_s: float = 0.08
    max_s: float = 0.5
    max_residual: float = 1.0

    def __post_init__(self) -> None:
        problems = [
            (not 0 < self.leave < self.enter < 1, "0 < leave < enter < 1 must hold"),
            (not 0 <= self.min_s < self.max_s, "0 <= min_s < max_s must hold"),
            (not self.max_residual > 0, "max_residual must be positive"),
        ]
        for is_wrong, message in problems:
            if is_wrong:
                raise ModelError(f"The model's spotting thresholds are not valid: {message}.")

    def at(self, sensitivity: float) -> SpottingSpec:
        """Return these thresholds for a sensitivity other than the usual 0.5.

        `sensitivity`: from 0, which spots only what the model is surest of, to 1. Moves the
        log-odds of `enter`, and `leave` as far as it must to stay below.
        """
        odds = self.enter / (1.0 - self.enter)
        odds *= math.exp(SENSITIVITY_LOG_ODDS * (0.5 - sensitivity))
        enter = odds / (1.0 + odds)
        return dataclasses.replace(
            self,
            enter=enter,
            leave=min(self.leave, max(LEAVE_BELOW_ENTER, self.leave / self.enter) * enter),
        )


SENSITIVITY_LOG_ODDS = 8.0
"""Distance between sensitivity 0 and sensitivity 1 in log-odds.

At the usual 0.98 to enter, sensitivity 0 asks for 0.9996 and sensitivity 1 for 0.47.
"""

LEAVE_BELOW_ENTER = 0.75
"""Largest `leave`, as a share of `enter`, when the sensitivity moves them.

If the model's own share is larger, that share holds.
"""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Properties of a model that the pipeline needs.

    `labels`: meaning of the output's columns. `rate_hz`, `frames`: the model's clock and the number
    of slots in a window. `hop`: slots from one window to the next. `lookahead`: slots of a window
    after the slot that its scores belong to. `region_layout`, `signal`, `mask`: content of a slot.
    `normalisation`: a text on what the graph does to its input. `max_gap_s`: a longer hole between
    two frames of a face restarts the window. `provenance`: data, recipe, seed, commit and measured
    results.
    """

    name: str
    version: str
    architecture: str
    labels: tuple[str, ...]
    rate_hz: float
    frames: int
    region_layout: RegionLayout
    signal: Signal
    normalisation: str
    mask: Mask = "none"
    hop: int = 1
    lookahead: int = 0
    max_gap_s: float = 0.2
    spotting: SpottingSpec = field(default_factory=SpottingSpec)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            (not self.labels or len(set(self.labels)) != len(self.labels), "labels must differ"),
            (not 0 < self.rate_hz < math.inf, "rate_hz must be positive"),
            (type(self.frames) is not int or self.frames < 1, "frames must be at least 1"),
            (type(self.hop) is not int or self.hop < 1, "hop must be at least 1"),
            (not 0 <= self.lookahead < self.frames, "lookahead must lie inside the window"),
            (self.max_gap_s <= 0, "max_gap_s must be positive"),
            (self.region_layout not in LAYOUTS, f"region_layout must be one of {list(LAYOUTS)}"),
            (self.signal not in get_args(Signal), f"signal must be one of {get_args(Signal)}"),
            (self.mask not in get_args(Mask), f"mask must be one of {get_args(Mask)}"),
        ]
        for is_wrong, message in problems:
            if is_wrong:
                raise ModelError(f"The model's specification is not valid: {message}.")

    @property
    def window_shape(self) -> tuple[int, int, int, int, int]:
        """Shape of one window, (T, R, H, W, C)."""
        left, top, right, bottom = LAYOUTS[self.region_layout][0]
        stride, channels = (1, 1) if self.signal == "gray" else (MOTION_STRIDE, 2)
        return (
            self.frames,
            len(LAYOUTS[self.region_layout]),
            (bottom - top) // stride,
            (right - left) // stride,
            channels,
        )

    @property
    def sample_layout(self) -> RegionLayout:
        """Layout in which regions are extracted.

        Motion is computed on the whole aligned face, because the head's own motion is fitted over
        all of it, and cut into regions afterwards.
        """
        return self.region_layout if self.signal == "gray" else "single"

    def to_json(self) -> str:
        """Return the specification as JSON, for the metadata of the model's file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Return the specification that a JSON text holds.

        Raises ModelError when the text is not a complete and valid specification.
        """
        try:
            values = json.loads(text)
            values["labels"] = tuple(values["labels"])
            values["spotting"] = SpottingSpec(**values["spotting"])
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"The model's specification cannot be read ({error}); export the model again."
            ) from error
