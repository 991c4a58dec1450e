"""Messages between the page and the server over the socket: protocol 1.

Text messages are JSON objects with a `type`. A binary message, from the page only, is one frame:
a head of 20 bytes, little endian (`seq` u32, `t_ms` f64, `missed` u32, `replaced` u32), and a
baseline JPEG. Times are milliseconds on the page's own clock, coordinates pixels of the picture
that was sent.

No message of a page is trusted: a message that is not as written here raises ProtocolError, and
the page that sent it is cut off.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from realtime.drawing.palette import class_colours, class_markers
from realtime.run_status import RunStatus
from realtime.spec import NONE_LABEL, ModelSpec
from realtime.types import Event, MacroScores, Scores

PROTOCOL = 1

VIOLATION, TOO_LARGE = 1008, 1009
"""Codes with which a socket is closed; RFC 6455, section 7.4.1."""

MAX_TEXT_BYTES = 4096
MAX_PICTURE_BYTES = 2 * 2**20
"""Largest messages: a `start` takes some hundred bytes, and 2 MiB are a byte for each pixel of
1920 x 1080, several times what a JPEG needs."""

MAX_SIDES_PX = (1080, 1920)
"""Shorter and longer side of the largest picture, whichever way a phone is held."""

MIN_SIDE_PX = 64
"""Shortest side of a picture; smaller ones show no face that could be followed; see
`conditions.SMALL_PX`."""

MAX_T_MS = 1e10
"""Latest time of a frame: the clock of a page that has been open for 115 days."""

MAX_NAME = 64
"""Most characters of a model's or class's name, and of a visit's id."""

TIMELINE_S = 8.0
"""Seconds that the page's timeline shows: on a phone's width a flash of 0.1 s is still seen."""

FRAME_HEAD = struct.Struct("<IdII")

_MAX_SEGMENTS = 64  # of a JPEG before its picture; browsers write fewer than ten
_BASELINE = (0xC0, 0xC1)
# DHT, DQT, DRI, APPn, COM: segments that may come before, each with its length behind its marker.
_SEGMENTS = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)

Json = dict[str, Any]
"""A message to the page."""


class ProtocolError(Exception):
    """Error for a message that the page must not send.

    Its text is plain, repeats nothing that the page sent and fits into a close frame (123 bytes).
    `code`: with which the socket is closed.
    """

    def __init__(self, reason: str, code: int = VIOLATION) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message. `visit`: id of the visit that the page continues; None: a new visit."""

    visit: str | None


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """Settings that the visitor may change while the monitor runs.

    `sensitivity`: 0 to 1 for all classes. `classes`: 0 to 1 for each class named. None: unchanged.
    """

    sensitivity: float | None = None
    classes: Mapping[str, float] | None = None
    heat_map: bool | None = None

    def then(self, later: DisplaySettings) -> DisplaySettings:
        """Return these settings with the later ones in their place where given."""
        return DisplaySettings(
            self.sensitivity if later.sensitivity is None else later.sensitivity,
            self.classes if later.classes is None else later.classes,
            self.heat_map if later.heat_map is None else later.heat_map,
        )


@dataclass(frozen=True, slots=True)
class Start:
    """Request to run the monitor with a model."""

    model: str
    settings: DisplaySettings


@dataclass(frozen=True, slots=True)
class Set:
    """Request to change settings of the run."""

    settings: DisplaySettings


@dataclass(frozen=True, slots=True)
class Record:
    """Request to turn the recording on or off."""

    on: bool


@dataclass(frozen=True, slots=True)
class Recalibrate:
    """Request to take the faces as they are from now on for neutral."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Request to end the run, or to leave the queue."""


PageMessage = Hello | Start | Set | Record | Recalibrate | Stop


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of the page's camera, not yet decoded.

    `seq`: its number since `Start`. `missed`: frames since then that the page never saw;
    `replaced`: frames since then that it dropped for a newer frame. `size_wh`: pixels, as the
    JPEG's head states them.
    """

    seq: int
    t_ms: float
    missed: int
    replaced: int
    size_wh: tuple[int, int]
    jpeg: bytes


def parse_text(text: str) -> PageMessage:
    """Parse one text message of the page. Raises ProtocolError."""
    if len(text) > MAX_TEXT_BYTES or len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise ProtocolError("a text message was larger than 4 KiB", TOO_LARGE)
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a text message was not JSON") from error
    if not isinstance(message, dict):
        raise ProtocolError("a text message was not a JSON object")
    match message.pop("type", None):
        case "hello":
            parsed: PageMessage = _hello(message)
        case "start":
            parsed = Start(_name(message.pop("model", None), "model"), _settings(message))
        case "set":
            parsed = Set(_settings(message))
        case "record":
            parsed = Record(_flag(message.pop("on", None), "on"))
        case "recalibrate":
            parsed = Recalibrate()
        case "stop":
            parsed = Stop()
        case _:
            raise ProtocolError("a message was of an unknown type")
    if message:
        raise ProtocolError("a message had a part that its type does not have")
    return parsed


def parse_frame(message: bytes) -> Picture:
    """Parse one binary message of the page. Raises ProtocolError."""
    if len(message) > MAX_PICTURE_BYTES + FRAME_HEAD.size:
        raise ProtocolError("a picture was larger than 2 MiB", TOO_LARGE)
    if len(message) <= FRAME_HEAD.size:
        raise ProtocolError("a frame had no picture")
    seq, t_ms, missed, replaced = FRAME_HEAD.unpack_from(message)
    if not (math.isfinite(t_ms) and 0.0 <= t_ms <= MAX_T_MS):
        raise ProtocolError("the time of a frame was not one of a page's clock")
    jpeg = message[FRAME_HEAD.size :]
    size_wh = jpeg_size(jpeg)
    shorter, longer = sorted(size_wh)
    if shorter > MAX_SIDES_PX[0] or longer > MAX_SIDES_PX[1]:
        raise ProtocolError("a picture was larger than 1920 x 1080 pixels", TOO_LARGE)
    if shorter < MIN_SIDE_PX:
        raise ProtocolError(f"a picture had a side of less than {MIN_SIDE_PX} pixels")
    return Picture(seq, t_ms, missed, replaced, size_wh, jpeg)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Return width and height from the head of a baseline JPEG (ITU-T T.81, annex B).

    Raises ProtocolError for anything else, so that a decoder reads the same size: decoders skip
    markers without a length, for example, in different ways. Progressive JPEGs are refused, which
    browsers do not make of a canvas: a small file can ask for thousands of passes over the picture.
    """
    at = 2
    if jpeg[:2] == b"\xff\xd8":
        for _ in range(_MAX_SEGMENTS):
            head = jpeg[at : at + 4]
            if len(head) < 4 or head[0] != 0xFF:
                break
            marker, length = head[1], int.from_bytes(head[2:4])
            if marker in _BASELINE and len(jpeg) >= at + 10:
                bits, height, width, components = struct.unpack_from(">BHHB", jpeg, at + 4)
                if bits != 8 or components not in (1, 3):
                    raise ProtocolError("a picture was not a JPEG in gray or three colours")
                return width, height
            if marker not in _SEGMENTS or length < 2:
                raise ProtocolError("a picture was not a baseline JPEG")
            at += 2 + length
    raise ProtocolError("a picture was not a JPEG")


def check_classes(settings: DisplaySettings, labels: Iterable[str]) -> None:
    """Check that the model has all classes that are named. Raises ProtocolError."""
    if not set(settings.classes or ()) <= set(labels) - {NONE_LABEL}:
        raise ProtocolError("a class was named that the model does not have")


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _hello(message: Json) -> Hello:
    if type(protocol := message.pop("protocol", None)) is not int or protocol != PROTOCOL:
        raise ProtocolError("the page is of another version; load it again")
    visit = message.pop("visit", None)
    return Hello(None if visit is None else _name(visit, "visit"))


def _settings(message: Json) -> DisplaySettings:
    sensitivity = message.pop("sensitivity", None)
    classes = message.pop("classes", None)
    heat_map = message.pop("heat_map", None)
    if classes is not None and not isinstance(classes, dict):
        raise ProtocolError("the classes' sensitivities were not an object")
    return DisplaySettings(
        None if sensitivity is None else _share(sensitivity),
        None
        if classes is None
        else {_name(label, "class"): _share(value) for label, value in classes.items()},
        None if heat_map is None else _flag(heat_map, "heat_map"),
    )


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise ProtocolError(f"a message had no valid {what}")
    return value


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise ProtocolError(f"a message had no valid {what}")
    return value


def _share(value: object) -> float:
    # Compared before it becomes a float, which a long integer cannot.
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ProtocolError("a sensitivity was not between 0 and 1")
    return float(value)  # type: ignore[arg-type]


# --- messages of the server ----------------------------------------------------------------


def encode(message: Json) -> str:
    """Return a message as the text that goes over the socket."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def welcome(visit: str, *, running: bool, recording: bool) -> Json:
    """Return the server's first message: the visit's id, and whether it runs and records."""
    return {"type": "welcome", "visit": visit, "running": running, "recording": recording}


def queued(place: int, limit: int) -> Json:
    """Return the message of a place in the queue: 1 gets the next free one of `limit` places."""
    return {"type": "queued", "place": place, "ahead": place - 1, "limit": limit}


def started(
    spec: ModelSpec,
    macro_labels: Sequence[str] | None,
    model: str,
    device: str,
    *,
    has_attention: bool,
) -> Json:
    """Return the message of a run that has started, with all that the page needs of its models.

    `macro_labels`: None where macro-expressions are not scored. `model`: the name that the page
    asked for.
    """
    return {
        "type": "started",
        "model": model,
        "device": device,
        **_classes(spec.labels),
        "macro": None if macro_labels is None else _classes(macro_labels),
        "none": NONE_LABEL if NONE_LABEL in spec.labels else None,
        "rate_hz": spec.rate_hz,
        "frames": spec.frames,
        "region_layout": spec.region_layout,
        "has_attention": has_attention,
        "timeline_s": TIMELINE_S,
    }


def update(
    seq: int,
    t_s: float,
    faces: list[Json],
    scores: Iterable[Json],
    macro: Iterable[Json],
    status: RunStatus,
) -> Json:
    """Return the message about frame `seq` once it has gone through the monitor.

    `faces`: of `face_lines.draw_face`. `scores` and `macro`: of `score`, new ones only.
    """
    return {
        "type": "update",
        "seq": seq,
        "t_ms": _ms(t_s),
        "faces": faces,
        "scores": list(scores),
        "macro": list(macro),
        "status": {
            "fps_in": _rounded(status.fps_in, 1),
            "fps_scored": _rounded(status.fps_scored, 1),
            "drops": {cause: count for cause, count in status.drops.items() if count},
            "warning": status.warning,
        },
    }


def score(scores: Scores | MacroScores) -> Json:
    """Return one row of an update's `scores` or `macro`."""
    probabilities = [round(value, 4) for value in scores.probabilities]
    return {"face": scores.face_id, "t_ms": _ms(scores.t_s), "p": probabilities}


def event(event_id: int, spotted: Event) -> Json:
    """Return the message of a spotted event."""
    return {
        "type": "event",
        "id": event_id,
        "face": spotted.face_id,
        "onset_ms": _ms(spotted.onset_s),
        "apex_ms": _ms(spotted.apex_s),
        "offset_ms": _ms(spotted.offset_s),
        "duration_ms": round(1e3 * (spotted.offset_s - spotted.onset_s)),
        "label": spotted.label,
        "score": round(spotted.score, 4),
    }


def clip(event_id: int, video: str | None, still: str | None) -> Json:
    """Return the message of an event's clip.

    `video`, `still`: paths on this server; None: there will be none.
    """
    return {"type": "clip", "id": event_id, "video": video, "still": still}


def recording(
    state: str, name: str | None = None, url: str | None = None, text: str | None = None
) -> Json:
    """Return the message of a recording's state: on, finishing, ready or failed.

    `text`: a sentence for the visitor.
    """
    return {"type": "recording", "state": state, "name": name, "url": url, "words": text}


def notice(text: str) -> Json:
    """Return the message with a short notice for the visitor."""
    return {"type": "notice", "words": text}


def stopped(why: str | None) -> Json:
    """Return the message of a run's end. `why`: a sentence; None if the visitor asked for it."""
    return {"type": "stopped", "why": why}


def _classes(labels: Sequence[str]) -> Json:
    """Return labels in the order of their scores, with their colours and marks."""
    colours = class_colours(labels)
    return {
        "labels": list(labels),
        "colours": {label: "#{:02x}{:02x}{:02x}".format(*rgb) for label, rgb in colours.items()},
        "marks": class_markers(labels),
    }


def _ms(t_s: float) -> float:
    return round(1e3 * t_s, 3)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
