"""`Spotter`: from scores over time to micro-expressions with onset, apex and offset.

A pure state machine in seconds: it knows neither frames nor windows, so the camera's rate and
the model's hop do not change what is spotted, and it can be tested with written-down scores.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from realtime.spec import NONE_LABEL, SpottingSpec
from realtime.types import Event, FloatArray, Scores, State

APEX_SHARE = 0.9
"""The apex is the middle of the scores above this share of the peak: a network's scores have a
flat top, whose highest point is an accident."""

REMEMBERED_S = 1.5
"""Time that motion is kept: from before the longest event to its end."""

LATEST_SLOTS = 2
"""The newest slots of a window that say together whether the face has come back."""

MOVED_SHARE = 0.15
"""Share of the nodes that count for it: those that moved most."""

BEFORE_S = 0.15
"""Time before the onset whose motion is the rest that the face comes back to."""

MACRO_SHIFT = 0.55
"""Largest shift of the macro-expression scores from before an event to after it, as the share of
the whole that has gone from some labels to others (total variation). A broad smile
goes from nearly nothing to nearly 1, and a micro-expression comes back: of 159 true events in 120
simulated videos the largest shift was 0.50 with kilas-macro 0.2. The simulator's macro-expressions
are mild: of 70 in the same videos, 7 % go further than this and some 15 % further than 0.4."""

MACRO_BEFORE_S = (0.4, 0.1)
"""Stretch before the onset that is looked at, from and to: longer than a blink, which so does not
decide, and not quite up to the onset, since a face may show something before its motion does."""

LONGEST_MACRO_S = 4.0
"""Longest time that a macro-expression lasts (Ekman); what a face shows after that is its own look,
or that of another pose or light."""


class MacroView(Protocol):
    """Macro-expression scores as the spotter reads them (`realtime.macro.tracker.MacroTracker`)."""

    @property
    def neutral(self) -> int | None:
        """Index of the label of a face that shows nothing; None if there is none."""
        ...

    @property
    def latest(self) -> tuple[float, FloatArray] | None:
        """Newest scores: time of their frame in seconds, and float64 [labels]."""
        ...

    def mean(self, start_s: float, end_s: float) -> FloatArray | None:
        """Return the mean scores in a stretch of time, float64 [labels]; None if there are none."""
        ...


@dataclass(slots=True)
class _Run:
    """Run of scores above `leave` since `onset_s`, kept as long as it may be a micro-expression.

    It is an expression once it has reached `enter`.
    """

    onset_s: float
    scores: list[Scores] = field(default_factory=list)
    has_entered: bool = False
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class _Macro:
    """Macro-expression in progress: its onset, the scores `before` it, and the time from which on
    new scores decide if it is still there."""

    onset_s: float
    judged_from_s: float
    before: FloatArray


class Spotter:
    """State machine that spots micro-expressions in the scores of one face.

    An expression begins when the probability that there is one, 1 - that of `none`, reaches
    `enter`, and ends when it falls below `leave` (hysteresis); onset and offset are where it
    crossed `leave` on the way up and down, interpolated between two scores. Which expression it
    was is asked afterwards: the label with the highest mean probability around the apex. So an
    expression between two labels is found as surely as any other. What lasts between `min_s`
    and `max_s` is a micro-expression; what lasts longer is a macro-expression, which is a state
    and never an event. A hole of more than `max_gap_s` between two scores ends an expression
    without an event, since its offset was not seen. Expressions that run into one another, with
    no moment below `leave` between them, are one: nobody could say where it changes.

    A micro-expression goes and comes back. Where the scores bring the motion that they were made
    from, an event whose apex is still there after its offset (`max_residual`) is none: it was the
    beginning of something that stays, which the network lost sight of.

    With `macro`, an event after which the face as a whole shows something else than before it is
    none either: it was the beginning or the end of a macro-expression, such as a slow smile. From
    a beginning on, be it short or long, the state is `macro` as long as the face is less neutral
    than before and shows something else, but no longer than `LONGEST_MACRO_S`.

    `baseline`, 0 to 1, is the probability of an expression that this person's neutral face has.
    What is above it counts as a share of what can be above it, as Abbott's formula (1925, "A
    method of computing the effectiveness of an insecticide") takes the deaths that need no cause
    out of those that are seen.

    `tune` changes, on the way, the thresholds and how readily each class is taken. The odds of a
    class are multiplied before anything is compared with a threshold and before the likeliest
    label is looked for; the score of an event stays what the model said. An expression in
    progress goes on, unless it is a moved threshold, and not the face, that ends it.

    A model without a `none` label always claims an expression, so it cannot spot: the state is
    `expression` and there are no events.

    Example:

        spotter = Spotter(spec.labels, spec.spotting)
        for scores in scores_of_one_face:
            event = spotter.update(scores)
            if event is not None:
                print(event.label, event.onset_s, event.apex_s, event.offset_s)
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        spotting: SpottingSpec,
        max_gap_s: float = 0.2,
        nodes: npt.NDArray[np.bool_] | None = None,
        macro: MacroView | None = None,
        lookahead_s: float = 0.0,
    ) -> None:
        """Begin with a face that was never seen.

        `labels`: names of the probabilities; `spotting`: thresholds and durations; `max_gap_s`:
        longest hole between two scores that an expression outlives. `nodes`: bool [R, H, W],
        nodes whose motion counts for `max_residual`; None: all. `macro`: scores of the whole
        face; `lookahead_s`: least time that scores are behind the newest frame.
        """
        self._labels = labels
        self._spotting = spotting
        self._factors: FloatArray | None = None
        self._max_gap_s = max_gap_s
        self._nodes = nodes
        self._macro = macro
        self._lookahead_s = lookahead_s
        self.baseline = 0.0
        self._can_spot = NONE_LABEL in labels
        self._none = labels.index(NONE_LABEL) if self._can_spot else -1
        self.restart()

    def tune(self, spotting: SpottingSpec, factors: FloatArray | None) -> None:
        """Use other thresholds from the next scores on.

        `factors`: multipliers of the odds of each class, float64 [labels] with 1 for `none`;
        None: no multipliers.
        """
        self._spotting = spotting
        self._factors = factors

    def restart(self) -> None:
        """Forget the past, as for a face that was never seen."""
        self.state: State = "warming up"
        self._last: Scores | None = None
        self._last_height = 0.0
        self._run: _Run | None = None
        self._macro_run: _Macro | None = None
        self._free_from_s = -np.inf  # the offset of the last expression
        self._motions: deque[tuple[float, FloatArray]] = deque()

    def update(self, scores: Scores) -> Event | None:
        """Take the next scores of this face; return the event that they end, if they end one.

        Raises ValueError when time does not advance.
        """
        if self._last is not None and scores.t_s <= self._last.t_s:
            raise ValueError(f"time must advance: {scores.t_s} s came after {self._last.t_s} s")
        if not self._can_spot:
            self.state = "expression"
            return None
        if self._last is not None and scores.t_s - self._last.t_s > self._max_gap_s:
            self.restart()

        if scores.motion is not None:
            self._motions.append((scores.t_s, scores.motion[0]))
            while self._motions[0][0] < scores.t_s - REMEMBERED_S:
                self._motions.popleft()

        event = None
        height = self._height(scores)
        if height >= self._spotting.leave:
            if self._run is None:
                # What was there from the first scores on, or when the threshold came down to
                # it, began at an unknown time and cannot be a micro-expression.
                is_seen = self._last is not None and self._last_height < self._spotting.leave
                self._run = _Run(self._crossing_s(scores.t_s, height) if is_seen else -np.inf)
            if scores.t_s - self._run.onset_s <= self._spotting.max_s:
                self._run.scores.append(scores)
            self._run.has_entered |= height >= self._spotting.enter
            self._note_if_long(self._run, scores.t_s)
        elif self._run is not None:
            # Otherwise the threshold has gone up past it, and its offset was not seen.
            is_seen = self._last_height >= self._spotting.leave
            if self._run.has_entered and is_seen:
                offset_s = self._crossing_s(scores.t_s, height)
                self._note_if_long(self._run, offset_s)
                event = self._finish(self._run, offset_s, scores)
                self._free_from_s = offset_s
            self._run = None
        self._last, self._last_height = scores, height

        if self._run is None or not self._run.has_entered:
            self.state = "macro" if self._is_macro(scores.t_s) else "neutral"
        elif self._run.is_long:
            self.state = "macro"
        else:
            self.state = "expression"
        return event

    def _height(self, scores: Scores) -> float:
        """Return the probability of an expression above the baseline, by the odds of its
        classes."""
        shown = 1.0 - scores.probabilities[self._none]
        height = max(0.0, (shown - self.baseline) / (1.0 - self.baseline))
        if self._factors is None or height == 0.0:
            return height
        # Of all classes together, by their shares in what is shown.
        parts = np.delete(scores.probabilities * self._factors, self._none)
        factor = float(parts.sum()) / shown
        return factor * height / (1.0 - height + factor * height)

    def _crossing_s(self, t_s: float, height: float) -> float:
        """Return the time at which the line from the last height to `height` crosses `leave`."""
        assert self._last is not None
        share = (self._spotting.leave - self._last_height) / (height - self._last_height)
        return self._last.t_s + share * (t_s - self._last.t_s)

    def _note_if_long(self, run: _Run, t_s: float) -> None:
        """Begin a macro-expression where a run has lasted longer than a micro-expression can.

        Its motion will fade, as the model's baseline gets used to it; the scores of the whole
        face will not.
        """
        if run.is_long or not run.has_entered or t_s - run.onset_s <= self._spotting.max_s:
            return
        run.is_long = True
        if self._macro is None or self._is_macro(t_s):
            return
        before = self._before(self._macro, run.onset_s)
        if before is not None:
            self._macro_run = _Macro(run.onset_s, run.onset_s, before)

    def _is_macro(self, t_s: float) -> bool:
        """Return True while a macro-expression goes on whose beginning was seen."""
        if self._macro is None or self._macro_run is None:
            return False
        run, latest, neutral = self._macro_run, self._macro.latest, self._macro.neutral
        is_over = t_s - run.onset_s > LONGEST_MACRO_S
        if latest is not None and latest[0] >= run.judged_from_s:
            now = latest[1]
            is_over |= _shift(now, run.before) < MACRO_SHIFT / 2
            is_over |= neutral is not None and now[neutral] >= run.before[neutral]
        if is_over:
            self._macro_run = None
        return not is_over

    def _before(self, macro: MacroView, onset_s: float) -> FloatArray | None:
        """Return the scores of the whole face before an onset; None if it was not seen."""
        from_s, to_s = (onset_s - before_s for before_s in MACRO_BEFORE_S)
        return macro.mean(max(from_s, self._free_from_s), to_s)

    def _has_turned(self, onset_s: float, offset_s: float, now_s: float) -> bool:
        """Return True if the whole face shows something else after an event than before it."""
        if self._macro is None:
            return False
        before = self._before(self._macro, onset_s)
        # The later half of what is known: a face may still show what its motion has taken back.
        # Only where a slow camera has no frame in it, all since the offset.
        end_s = now_s + self._lookahead_s
        after = self._macro.mean(end_s - self._lookahead_s / 2, end_s)
        if after is None:
            after = self._macro.mean(offset_s, end_s)
        if before is None or after is None or _shift(before, after) < MACRO_SHIFT:
            return False
        neutral = self._macro.neutral
        begins = neutral is None or after[neutral] < before[neutral]
        self._macro_run = _Macro(onset_s, offset_s, before) if begins else None
        return True

    def _finish(self, run: _Run, offset_s: float, now: Scores) -> Event | None:
        """Return the event that a run is, or None if it is no micro-expression."""
        latest = now.motion
        if not self._spotting.min_s <= offset_s - run.onset_s <= self._spotting.max_s:
            return None
        probabilities = np.array([scores.probabilities for scores in run.scores])
        weighted = probabilities
        if self._factors is not None:
            weighted = probabilities * self._factors
            weighted /= weighted.sum(axis=1, keepdims=True)
        curve = 1.0 - weighted[:, self._none]
        times_s = np.array([scores.t_s for scores in run.scores])
        is_top = curve >= APEX_SHARE * curve.max()
        if latest is not None:
            top = [
                scores.motion for scores, chosen in zip(run.scores, is_top, strict=True) if chosen
            ]
            if self._residual(run.onset_s, top, latest) > self._spotting.max_residual:
                return None
        if self._has_turned(run.onset_s, offset_s, now.t_s):
            return None
        means = weighted[is_top].mean(axis=0)
        means[self._none] = 0.0
        label = int(means.argmax())
        return Event(
            face_id=run.scores[0].face_id,
            onset_s=run.onset_s,
            apex_s=float(times_s[is_top].mean()),
            offset_s=offset_s,
            label=self._labels[label],
            score=float(probabilities[is_top].mean(axis=0)[label]),
        )

    def _residual(self, onset_s: float, top: list[FloatArray | None], latest: FloatArray) -> float:
        """Return the share of the apex's motion that the newest slots still show.

        It is 0 if the face was not seen before the onset.

        `top`: motion around the apex, `latest`: from the offset on, each
        [N, R, H, W, 2]. Motion is that since before the onset, in the nodes that move most at
        the apex. The same motion is looked for now (by projection), so that noise and other
        movements hardly count.
        """
        before = [m for t_s, m in self._motions if onset_s - BEFORE_S <= t_s < onset_s]
        if not before:
            return 0.0
        rest = np.mean(before, axis=0, dtype=np.float32)
        heights = [motion[0] for motion in top if motion is not None]
        apex = self._counting(np.asarray(np.mean(heights, axis=0, dtype=np.float32) - rest))
        size = (apex * apex).sum(axis=1)
        moved = size >= np.quantile(size, 1.0 - MOVED_SHARE)
        now = self._counting(latest[-LATEST_SLOTS:].mean(axis=0, dtype=np.float32) - rest)
        left = float((now[moved] * apex[moved]).sum())
        return left / max(float(size[moved].sum()), 1e-9)

    def _counting(self, motion: FloatArray) -> FloatArray:
        """Select the nodes that count: [R, H, W, 2] -> [K, 2]."""
        nodes: FloatArray = motion.reshape(-1, 2) if self._nodes is None else motion[self._nodes]
        return nodes


def _shift(before: FloatArray, after: FloatArray) -> float:
    """Return the total variation of two rows of scores, 0 to 1."""
    return float(np.abs(before - after).sum()) / 2.0
