"""Events as subtitles: WebVTT, https://www.w3.org/TR/webvtt1/."""

from __future__ import annotations

from html import escape

from realtime.exports.media_time import media_events
from realtime.session.layout import clip_stem
from realtime.session.reader import Session


def web_vtt(session: Session) -> bytes:
    """Format a cue for each event, with its label, score and duration, and its face if there are
    several faces.

    A cue is named like the event's clip: `event-0001`.
    """
    from webvtt import Caption, WebVTT

    events = media_events(session)
    names_faces = len({event.face_id for event in events}) > 1
    cues = []
    for event in events:
        # An empty line or an arrow would end the cue.
        label = escape(" ".join(event.label.split()), quote=False)
        face = f"face {event.face_id}: " if names_faces else ""
        text = f"{face}{label} {event.score:.2f}, {event.duration_ms} ms"
        times = (_timestamp(event.onset_ms), _timestamp(event.offset_ms))
        cues.append(Caption(*times, text, clip_stem(event.event_id)))
    content: str = WebVTT(captions=cues).content
    return content.encode()


def _timestamp(t_ms: int) -> str:
    seconds, ms = divmod(t_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{ms:03d}"
