"""Pictures of an event's clip: cropped, magnified and arranged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import class_colours, class_markers
from realtime.drawing.text import PALE, WHITE, width_of, write
from realtime.recording.magnification import Magnified, Magnifier, tint
from realtime.types import Event, Face, Float32Array, UInt8Array, Update

BEFORE_S = 0.5
AFTER_S = 0.5
"""Seconds that a clip shows before the onset and after the offset, enough to see the face at
rest."""

SLOWER = 4
"""Slow-motion factor of a clip: a fifth of a second becomes almost one second."""

FACTOR = 6.0
"""Nominal magnification of motion: 0.5 to 2 pixels become as large as a common expression, and the
face still looks like a face. Smoothing, noise floor and limit leave 4.0 to 4.8 of it (simulated
displacements of 0.4 to 2 pixels)."""

NEAR_S = 0.07
"""Largest distance in seconds between a moment and the picture that is shown for it; frames of
a camera of 8 frames a second are near enough."""

CROP_PX = 224
"""Side of a crop: three crops stand side by side in a report's column."""

# Square (left, top, side) that is cut out of the plane of the 128 x 128 aligned face; hair line,
# ears and chin are inside.
CROP_BOX = (-22.0, -30.0, 172.0)

# Where the face is on that plane: middle and half axes of an ellipse, from ear to ear and from
# the hair line to the chin.
FACE_MIDDLE_XY = (64.0, 60.0)
FACE_AXES_XY = (68.0, 76.0)
FACE_EDGE = 0.25  # share of the axes over which it fades

ENLARGED = 2.0
"""Enlargement above which a note states it, so that a viewer knows why the face looks soft."""

Bgr = tuple[int, int, int]

_GROUND: Bgr = (28, 28, 28)
_TRACK: Bgr = (84, 84, 84)
_LIGHT: Bgr = (235, 235, 235)
_TEXT_PX = 14
_TITLE_PX = 17
_ROW_PX = 20  # a line of text
_HEAD_PX = 28
_GAP_PX = 8  # between stills
_MIDDLE_PX = 16  # between the halves of the clip
_BAR_PX = 52  # time bar with its text


@dataclass(frozen=True, slots=True)
class Crop:
    """One face at one moment: uint8 [CROP_PX, CROP_PX, 3].

    `enlarged`: enlargement factor, pixels of the crop for each pixel of the frame.
    """

    t_s: float
    image_bgr: UInt8Array
    enlarged: float


@dataclass(frozen=True, slots=True)
class ClipJob:
    """One clip to make: an event and the crops of its face, in the order of time."""

    event_id: int
    event: Event
    crops: tuple[Crop, ...]


def cut_crop(update: Update, face: Face) -> Crop:
    """Cut the aligned face and its surroundings out of a frame.

    A frame with far more pixels is averaged down first, since sampling only some of them would
    make edges flicker.
    """
    image_bgr = update.frame.image_bgr
    left, top, side = CROP_BOX
    to_crop = face.transform.astype(np.float64)
    to_crop[:, 2] -= (left, top)
    to_crop *= CROP_PX / side
    enlarged = float(np.hypot(to_crop[0, 0], to_crop[1, 0]))
    if 0.0 < enlarged < 0.5:
        shrink = int(1.0 / enlarged)
        corners = np.array([(0, 0), (CROP_PX, 0), (0, CROP_PX), (CROP_PX, CROP_PX)], np.float64)
        in_frame = (corners - to_crop[:, 2]) @ np.linalg.inv(to_crop[:, :2]).T
        height, width = image_bgr.shape[:2]
        # With a border of large pixels all around, which sampling at the edge needs.
        low_xy, high_xy = in_frame.min(axis=0) - 2 * shrink, in_frame.max(axis=0) + 2 * shrink
        x0, y0 = np.clip(np.floor(low_xy), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(high_xy), 0, (width, height)).astype(int)
        size_wh = ((x1 - x0) // shrink, (y1 - y0) // shrink)
        if min(size_wh) > 0:
            part = image_bgr[y0 : y0 + size_wh[1] * shrink, x0 : x0 + size_wh[0] * shrink]
            image_bgr = np.asarray(
                cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8
            )
            # The middle of a large pixel is the middle of the pixels that it averages.
            offset = np.array((x0, y0)) + 0.5 * (shrink - 1)
            to_crop[:, 2] += to_crop[:, :2] @ offset
            to_crop[:, :2] *= shrink
    crop = cv2.warpAffine(
        image_bgr, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderValue=_GROUND
    )
    return Crop(update.frame.t_s, np.asarray(crop, np.uint8), enlarged)


def _face_mask() -> Float32Array:
    """Return a mask, float32 [CROP_PX, CROP_PX]: 1 on the face, falling to 0 around it."""
    left, top, side = CROP_BOX
    along = (np.arange(CROP_PX) + 0.5) * side / CROP_PX
    x = (along[None] + left - FACE_MIDDLE_XY[0]) / FACE_AXES_XY[0]
    y = (along[:, None] + top - FACE_MIDDLE_XY[1]) / FACE_AXES_XY[1]
    return np.clip((1.0 - np.sqrt(x * x + y * y)) / FACE_EDGE, 0.0, 1.0).astype(np.float32)


class ClipComposer:
    """Layout of an event's stills and of the pictures of its clip.

    `labels`: class names, which set colours and markers.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._colours: dict[str, Bgr] = {
            label: (blue, green, red) for label, (red, green, blue) in class_colours(labels).items()
        }
        self._marks = class_markers(labels)
        self._face = _face_mask()

    def paint(self, job: ClipJob) -> tuple[UInt8Array, list[tuple[float, UInt8Array]]]:
        """Paint the stills, and the pictures of the clip with their times in seconds from the
        clip's start."""
        event, crops = job.event, job.crops
        colour = self._colours[event.label]
        onset = _nearest(crops, event.onset_s)
        magnified: dict[float, UInt8Array] = {}
        if onset is not None:
            magnifier = Magnifier(onset.image_bgr, self._face, FACTOR)
            for crop in crops:
                result: Magnified = magnifier.magnify(crop.image_bgr)
                magnified[crop.t_s] = tint(result.image_bgr, result.motion_px, colour)
        moving = [
            (SLOWER * (crop.t_s - crops[0].t_s), self._moment(job, crop, magnified.get(crop.t_s)))
            for crop in crops
        ]
        return self._stills(job, onset, magnified), moving

    def _stills(
        self, job: ClipJob, onset: Crop | None, magnified: dict[float, UInt8Array]
    ) -> UInt8Array:
        event = job.event
        width = 3 * CROP_PX + 2 * _GAP_PX
        image = _ground(_HEAD_PX + 2 * CROP_PX + _GAP_PX + 2 * _ROW_PX + 10, width)
        self._head(image, job, "below: motion since the onset, magnified")
        moments = (("onset", event.onset_s), ("apex", event.apex_s), ("offset", event.offset_s))
        for column, (name, t_s) in enumerate(moments):
            left = column * (CROP_PX + _GAP_PX)
            crop = _nearest(job.crops, t_s)
            lower = _HEAD_PX + CROP_PX + _GAP_PX
            if crop is None:
                write_text(image, left, _HEAD_PX, "not seen")
                write_text(image, left, lower, "not seen")
                caption = f"{name} at {_ms(t_s - event.onset_s)}"
            else:
                put_picture(image, left, _HEAD_PX, crop.image_bgr)
                if crop is onset:
                    put_picture(image, left, lower, crop.image_bgr)
                elif crop.t_s in magnified:
                    put_picture(image, left, lower, magnified[crop.t_s])
                else:
                    write_text(image, left, lower, "onset not seen")
                caption = f"{name}: picture at {_ms(crop.t_s - event.onset_s)}"
            write(image, caption, left + 2, lower + CROP_PX + 4, _TEXT_PX)
        note = f"event {job.event_id}, face {event.face_id}; times from the onset"
        write(image, note + _enlarged(job), 2, image.shape[0] - _ROW_PX - 2, _TEXT_PX, PALE)
        return image

    def _moment(self, job: ClipJob, crop: Crop, magnified: UInt8Array | None) -> UInt8Array:
        event = job.event
        right = CROP_PX + _MIDDLE_PX
        image = _ground(_HEAD_PX + CROP_PX + _BAR_PX, right + CROP_PX)
        self._head(image, job, f"1/{SLOWER} speed, motion magnified")
        put_picture(image, 0, _HEAD_PX, crop.image_bgr)
        if magnified is None:
            write_text(image, right, _HEAD_PX, "onset not seen")
        else:
            put_picture(image, right, _HEAD_PX, magnified)
        self._bar(image, event, crop.t_s)
        note = f"event {job.event_id}, face {event.face_id}{_enlarged(job)}"
        y = image.shape[0] - _ROW_PX
        write(image, _ms(crop.t_s - event.onset_s), 4, y, _TEXT_PX)
        write(image, note, image.shape[1] - 4, y, _TEXT_PX, PALE, align="right")
        return image

    def _head(self, image: UInt8Array, job: ClipJob, text: str) -> None:
        event = job.event
        middle = _HEAD_PX / 2
        colour = self._colours[event.label]
        paint_mark(image, self._marks[event.label], 12, middle, 7, colour)
        write(image, event.label, 26, 4, _TITLE_PX, WHITE)
        write(image, text, image.shape[1] - 4, 6, _TEXT_PX, PALE, align="right")

    def _bar(self, image: UInt8Array, event: Event, t_s: float) -> None:
        """Draw the time of the clip from left to right: the event as a thick bar, its three
        moments as ticks, and the present moment as a light line."""
        top = _HEAD_PX + CROP_PX + 4
        middle = top + 8
        pad = 6
        start_s = event.onset_s - BEFORE_S
        per_s = (image.shape[1] - 2 * pad) / (event.offset_s + AFTER_S - start_s)

        def x_of(moment_s: float) -> int:
            return int(pad + round((moment_s - start_s) * per_s))

        image[middle - 1 : middle + 1, pad:-pad] = _TRACK
        onset_x, offset_x = x_of(event.onset_s), x_of(event.offset_s)
        colour = self._colours[event.label]
        image[middle - 3 : middle + 3, onset_x : offset_x + 1] = colour
        for moment_s in (event.onset_s, event.apex_s, event.offset_s):
            x = x_of(moment_s)
            image[middle - 7 : middle + 7, x - 1 : x + 1] = colour
        x = x_of(t_s)
        image[top - 2 : top + 18, max(0, x - 2) : x + 2] = _GROUND
        image[top - 2 : top + 18, x - 1 : x + 1] = _LIGHT


def _nearest(crops: Sequence[Crop], t_s: float) -> Crop | None:
    """Return the crop nearest to a moment; None if no crop is within NEAR_S."""
    crop = min(crops, key=lambda crop: abs(crop.t_s - t_s), default=None)
    return None if crop is None or abs(crop.t_s - t_s) > NEAR_S else crop


def _enlarged(job: ClipJob) -> str:
    """Return a note that the face was enlarged; empty if it was not, or by little."""
    enlarged = max(crop.enlarged for crop in job.crops)
    return f"; face enlarged x {enlarged:.1f}" if enlarged > ENLARGED else ""


def _ms(t_s: float) -> str:
    return f"{1000 * t_s:+.0f} ms"


def _ground(height: int, width: int) -> UInt8Array:
    image = np.empty((height, width, 3), np.uint8)
    image[:] = _GROUND
    return image


def put_picture(image: UInt8Array, left: int, top: int, crop_bgr: UInt8Array) -> None:
    """Copy a crop into a picture; (left, top) is its corner."""
    image[top : top + CROP_PX, left : left + CROP_PX] = crop_bgr


def write_text(image: UInt8Array, left: int, top: int, text: str) -> None:
    """Write a text in the middle of the place of a missing crop."""
    x = left + (CROP_PX - width_of(text, _TEXT_PX)) // 2
    write(image, text, x, top + CROP_PX // 2, _TEXT_PX, PALE)
