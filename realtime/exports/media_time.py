"""Events in media time: milliseconds from the first frame, which is 0 in a session's videos."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.session.reader import Session

MIN_EVENT_MS = 2
"""Duration of the shortest event: onset, apex and offset are three moments, and subtitles and ELAN
count whole milliseconds."""


@dataclass(frozen=True, slots=True)
class MediaEvent:
    """One event of a session in media time, `onset_ms` < `apex_ms` < `offset_ms`.

    `duration_ms`: the recorded duration; the times may have been moved.
    """

    event_id: int
    face_id: int
    onset_ms: int
    apex_ms: int
    offset_ms: int
    duration_ms: int
    label: str
    score: float


def first_frame_s(session: Session) -> float:
    """Return the timestamp of media time 0, from the scores for sessions of older versions, which
    do not state it."""
    stated_s = session.facts.get("first_frame_s")
    if stated_s is not None:
        return float(stated_s)
    return float(session.scores["timestamp"].iloc[0]) if len(session.scores) else 0.0


def media_events(session: Session) -> list[MediaEvent]:
    """Return a session's events in the order of their onsets.

    An event that began before the first frame begins with it, and an event that began before the
    face's previous event ended begins where that ends, so that a face's events never overlap.
    """
    origin_s = first_frame_s(session)
    events = []
    free_ms: dict[int, int] = {}
    for row in session.events.sort_values("onset_s", kind="stable").to_dict("records"):
        onset_ms, apex_ms, offset_ms = (
            round((row[name] - origin_s) * 1000) for name in ("onset_s", "apex_s", "offset_s")
        )
        face_id = int(row["face_id"])
        onset_ms = max(onset_ms, free_ms.get(face_id, 0))
        offset_ms = max(offset_ms, onset_ms + MIN_EVENT_MS)
        free_ms[face_id] = offset_ms
        event = MediaEvent(
            event_id=int(row["event_id"]),
            face_id=face_id,
            onset_ms=onset_ms,
            apex_ms=min(max(apex_ms, onset_ms + 1), offset_ms - 1),
            offset_ms=offset_ms,
            duration_ms=round(row["duration_s"] * 1000),
            label=str(row["label"]),
            score=float(row["score"]),
        )
        events.append(event)
    return events
