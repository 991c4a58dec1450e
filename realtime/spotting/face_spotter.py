"""`FaceSpotter`: the spotter of one face, which measures the face's neutral baseline first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime.spec import ModelSpec, SpottingSpec
from realtime.spotting.neutral_baseline import Baseline, Calibration
from realtime.spotting.spotter import MacroView, Spotter
from realtime.types import Event, FloatArray, Scores, State


class FaceSpotter:
    """Spotter of one face that measures the face's neutral baseline first.

    `nodes`: bool [R, H, W], nodes whose motion counts for `max_residual`; `macro`: the
    macro-expressions of this face, None where they are not scored; `profile`: a baseline from an
    earlier session, which takes the place of the measured one. See `Spotter` for all of them.

    Example:

        spotter = FaceSpotter(model.spec, None, None, None)
        events = [event for scores in many if (event := spotter.update(scores)) is not None]
    """

    def __init__(
        self,
        spec: ModelSpec,
        nodes: npt.NDArray[np.bool_] | None,
        macro: MacroView | None,
        profile: Baseline | None,
    ) -> None:
        self._spec = spec
        self._spotter = Spotter(
            spec.labels,
            spec.spotting,
            spec.max_gap_s,
            nodes,
            macro,
            spec.lookahead / spec.rate_hz,
        )
        self._calibration: Calibration | None = Calibration(spec)
        self.baselines: tuple[Baseline, ...] = ()
        """Neutral baselines of this face, the newest last."""
        if profile is not None:
            self._use(profile)

    @property
    def state(self) -> State:
        """State of the face at the latest scores."""
        return self._spotter.state

    def tune(self, spotting: SpottingSpec, factors: FloatArray | None) -> None:
        """Use other thresholds and odds of classes from the next scores on; see `Spotter.tune`."""
        self._spotter.tune(spotting, factors)

    def update(self, scores: Scores) -> Event | None:
        """Take the next scores of this face; return the event that they end, if they end one.

        Raises ValueError when time does not advance.
        """
        event = self._spotter.update(scores)
        if self._calibration is not None:
            baseline = self._calibration.update(scores)
            if baseline is not None:
                self._use(baseline)
        return event

    def recalibrate(self) -> None:
        """Measure the neutral baseline anew, and forget the past."""
        self._spotter.restart()
        self._calibration = Calibration(self._spec)

    def _use(self, baseline: Baseline) -> None:
        self.baselines = (*self.baselines, baseline)
        self._spotter.baseline = baseline.height
        self._calibration = None
