"""Live scores and events on the Lab Streaming Layer (LSL), beside EEG, eye trackers and stimuli.

    Kilas scores   type Expression, irregular rate, float32: `face_id`, then one channel a label
    Kilas events   type Markers, irregular rate, one string: one marker an event, as JSON with
                   face_id, label, score, onset_s, apex_s and offset_s
    Kilas macro    as the scores, of macro-expressions: smoothed over time, twice a second; where
                   they are not off

The time stamp of a score is the moment of its picture, that of a marker its event's onset, because
other signals are cut at onsets. All times are on LSL's clock. They lie in the past when they
arrive: a score by the time that the network looks ahead, a marker by the length of its event in
addition.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import deque
from typing import Any, Self

from realtime.errors import KilasError
from realtime.inference.model import Model
from realtime.macro.model import MacroModel
from realtime.types import Source, Update

SCORES_STREAM = "Kilas scores"
EVENTS_STREAM = "Kilas events"
MACRO_STREAM = "Kilas macro"

READINGS = 31
"""Number of latest readings of the two clocks, of which the smallest counts: a second at 30 frames
a second, in which no two clocks drift apart by a tenth of a millisecond."""

JUMP_S = 0.1
"""Change of a reading above which a clock was set, and the reading is not just late: threads wait
for each other for some milliseconds."""


class LslOutlet:
    """Outlet of a live run's updates on the Lab Streaming Layer.

    From the start until `close` every program on the local network can find the streams and
    receive them; no receiver is needed. A receiver that is lost is forgotten, and a receiver that
    comes back finds the streams under the same `source_id`: one for each machine, source and model.

    All methods belong to one thread. None of them waits for the network: liblsl sends on
    threads of its own, and drops the oldest samples of a receiver that does not keep up.
    Use as a context manager, or call `close`.
    """

    def __init__(self, model: Model, source: Source, macro: MacroModel | None = None) -> None:
        """Put the streams on the network.

        `source`: entered already. `macro`: None where macro-expressions are not scored.

        Raises KilasError when LSL cannot be used, and for a source that is not live, whose frames
        have no time on the laboratory's clock.
        """
        if not source.live:
            raise KilasError(
                "A file that is analyzed cannot be streamed, because its frames are not live; "
                "use `watch`, which plays it at its own speed."
            )
        try:
            import pylsl
        except ImportError as error:
            raise KilasError(
                "The Lab Streaming Layer needs the package pylsl; "
                "start Kilas with `uv run --extra lsl stream.py --lsl`."
            ) from error
        except RuntimeError as error:
            raise KilasError(
                "The library liblsl was not found or cannot be loaded; "
                "install it as pylsl's documentation says."
            ) from error
        origin = f"{platform.node()}\n{source.info.name}"
        rate = pylsl.IRREGULAR_RATE
        infos = {}
        for name, scorer in ((SCORES_STREAM, model), (MACRO_STREAM, macro)):
            if scorer is not None:
                channels = _score_channels(scorer.spec.labels)
                infos[name] = pylsl.StreamInfo(
                    name,
                    "Expression",
                    len(channels),
                    rate,
                    "float32",
                    _source_id(name, origin, scorer),
                )
                _describe(infos[name], channels, scorer)
        infos[EVENTS_STREAM] = pylsl.StreamInfo(
            EVENTS_STREAM, "Markers", 1, rate, "string", _source_id(EVENTS_STREAM, origin, model)
        )
        _describe(infos[EVENTS_STREAM], [("event", "JSON", "Marker")], model)
        self._clock = _LabClock(pylsl.local_clock)
        try:
            self._outlets = {name: pylsl.StreamOutlet(info) for name, info in infos.items()}
        except RuntimeError as error:
            raise KilasError(
                "The streams could not be put on the network; check that this machine has a "
                "network and that its firewall allows Kilas to use it."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that are on the network."""
        return tuple(self._outlets)

    def push(self, update: Update, age_s: float | None) -> None:
        """Send the scores and events of one update.

        `age_s`: `Source.age_s` of the update's frame, read just now. None: not known yet, as for
        the first frame of a file that is played; until it was known once, nothing is sent.
        Must not be called after `close`.
        """
        if age_s is not None:
            self._clock.read(update.frame.t_s + age_s)
        if not self._clock.is_set:
            return
        for name, scores in ((SCORES_STREAM, update.scores), (MACRO_STREAM, update.macro)):
            for score in scores:
                stamp_s = self._clock.at(score.t_s)
                self._outlets[name].push_sample([score.face_id, *score.probabilities], stamp_s)
        for event in update.events:
            onset_s = self._clock.at(event.onset_s)
            marker = {
                "face_id": event.face_id,
                "label": event.label,
                "score": round(event.score, 6),
                "onset_s": round(onset_s, 6),
                "apex_s": round(self._clock.at(event.apex_s), 6),
                "offset_s": round(self._clock.at(event.offset_s), 6),
            }
            self._outlets[EVENTS_STREAM].push_sample([json.dumps(marker)], onset_s)

    def close(self) -> None:
        """Take the streams from the network; may be called twice."""
        self._outlets.clear()  # pylsl frees an outlet with its last reference


class _LabClock:
    """Conversion of frame times to LSL's clock.

    Both clocks run at the same speed, so their difference is a constant that every frame measures
    again: too large by the time between reading one and the other, and by the part that a coarse
    clock cuts off, never too small. So the smallest of the latest readings is nearest to the truth,
    however long the frames took. Clocks that drift apart are followed, and when the difference
    jumps the readings start anew.
    """

    def __init__(self, local_clock: Any) -> None:
        self._local_clock = local_clock
        self._readings_s: deque[float] = deque(maxlen=READINGS)
        self._offset_s = 0.0

    @property
    def is_set(self) -> bool:
        """True once the clocks were read."""
        return bool(self._readings_s)

    def read(self, now_s: float) -> None:
        """Read both clocks. `now_s`: this moment on the clock of the frames."""
        reading_s = self._local_clock() - now_s
        if abs(reading_s - self._offset_s) > JUMP_S:
            self._readings_s.clear()
        self._readings_s.append(reading_s)
        self._offset_s = min(self._readings_s)

    def at(self, t_s: float) -> float:
        """Convert a time on the clock of the frames to LSL's clock."""
        return t_s + self._offset_s


def _source_id(name: str, origin: str, model: Model | MacroModel) -> str:
    digest = hashlib.sha256(f"{origin}\n{model.sha256}".encode()).hexdigest()
    return f"{name.lower().replace(' ', '-')}-{digest[:16]}"


def _score_channels(labels: tuple[str, ...]) -> list[tuple[str, str, str]]:
    probabilities = ((label, "probability", "Expression") for label in labels)
    return [("face_id", "number", "Identity"), *probabilities]


def _describe(info: Any, channels: list[tuple[str, str, str]], model: Model | MacroModel) -> None:
    """Add metadata to a stream as the XDF specification lays them out.

    `channels`: label, unit and type of each.
    """
    description = info.desc()
    listed = description.append_child("channels")
    for label, unit, kind in channels:
        channel = listed.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", unit)
        channel.append_child_value("type", kind)
    acquisition = description.append_child("acquisition")
    acquisition.append_child_value("software", "Kilas")
    acquisition.append_child_value("model", model.spec.name)
    acquisition.append_child_value("model_version", model.spec.version)
    acquisition.append_child_value("model_sha256", model.sha256)
    # Moments without a face, and windows that the network had no time for, have no sample.
    description.append_child("synchronization").append_child_value("can_drop_samples", "true")
