"""Clips and stills of a session's events, as a report holds them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.session.layout import CLIPS_FOLDER, clip_stem

MAX_MEDIA_BYTES = 64 * 2**20
"""Most bytes of clips and stills, base64, in a page: browsers and mail still take it. Those of the
surest events come first."""

MAX_STILLS = 100
"""Most stills in a page: shrinking each takes about 30 ms on one core."""

STILLS_WIDTH = 544
"""Width of the stills in pixels: twice what a row of the table shows."""

STILLS_QUALITY = 80
"""WebP quality of the stills, 0 to 100: no visible loss, at a tenth of a PNG's bytes."""


@dataclass(frozen=True, slots=True)
class Stills:
    """Stills of an event as a `data:` address, with their size in pixels."""

    url: str
    width: int
    height: int


class Media:
    """Clips and stills of events, as far as they are there and fit into a page."""

    def __init__(self, folder: Path) -> None:
        self.clips: dict[int, str] = {}
        self.stills: dict[int, Stills] = {}
        self.clips_left_out: dict[int, str] = {}
        self.stills_left_out: dict[int, str] = {}
        self._folder = folder
        self._room = MAX_MEDIA_BYTES
        self._stills_left = MAX_STILLS

    def take(self, event_id: int) -> None:
        """Read the clip and stills of an event; those left out are noted with the reason."""
        self._take_stills(event_id, self._folder / f"{clip_stem(event_id)}.png")
        self._take_clip(event_id, self._folder / f"{clip_stem(event_id)}.mp4")

    def _take_stills(self, event_id: int, path: Path) -> None:
        if not path.is_file():
            return
        stills = None
        if self._stills_left:
            self._stills_left -= 1
            stills = _stills(path)
            if stills is None:
                return
        if stills is not None and len(stills.url) <= self._room:
            self._room -= len(stills.url)
            self.stills[event_id] = stills
        else:
            self.stills_left_out[event_id] = _left_out(path)

    def _take_clip(self, event_id: int, path: Path) -> None:
        if not path.is_file():
            return
        size = 4 * -(-path.stat().st_size // 3)  # in base64
        if size <= self._room:
            self._room -= size
            self.clips[event_id] = base64.b64encode(path.read_bytes()).decode()
        else:
            self.clips_left_out[event_id] = _left_out(path)


def _left_out(path: Path) -> str:
    return f"Not in this page, which would be too large; see {CLIPS_FOLDER}/{path.name}."


def _stills(path: Path) -> Stills | None:
    """Shrink a picture and return it as WebP; None if it is no picture."""
    try:
        image_bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image_bgr is None:
            return None
        height, width = image_bgr.shape[:2]
        if width > STILLS_WIDTH:
            height, width = max(1, round(height * STILLS_WIDTH / width)), STILLS_WIDTH
            image_bgr = cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".webp", image_bgr, [cv2.IMWRITE_WEBP_QUALITY, STILLS_QUALITY])
    except cv2.error:  # an empty file, or a size larger than any picture
        return None
    return Stills(
        f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}", width, height
    )


def why_no_media(metadata: Mapping[str, Any]) -> str:
    """Return why a session has no clip or stills of an event, as one sentence."""
    settings = metadata.get("settings") or {}
    if settings.get("video") is False:
        return "None: the session was recorded without pictures."
    if settings.get("clips") is False:
        return "None: clips were turned off."
    if settings.get("blur_faces"):
        return "None: faces are hidden in this session."
    if metadata.get("status") in ("recording", "recovered", "failed"):
        return "None: the session was cut off before it was made."
    return "None was made."
