"""Clips of spotted micro-expressions: each in slow motion, and onset, apex and offset as stills.

    clips/event-0001.mp4   the aligned face as it was, and with its motion magnified
    clips/event-0001.png   onset | apex | offset, above as they were, below magnified

The number is the event's. Every picture in a clip was seen: its time is stretched, nothing is
made up between two of them. A file is there wholly or not at all; what a kill leaves behind ends
in `.partial`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import class_colours, class_marks
from realtime.drawing.text import PALE, WHITE, width_of, write
from realtime.magnify import Magnified, Magnifier, tint
from realtime.session.layout import CLIPS_FOLDER, clip_stem
from realtime.storage.durable_file import PARTIAL
from realtime.types import Event, Face, Float32Array, UInt8Array, Update
from realtime.video_writer import TICKS_HZ, encoder_frame

CLIPS_BUSY = "clips busy"
"""Cause under which clips that there was no time for are counted."""

CLIPS_WITHOUT_FACE = "clip without face"
"""Cause under which events are counted of whose face no picture was kept."""

BEFORE_S = 0.5
AFTER_S = 0.5
"""What a clip shows before the onset and after the offset: enough to see the face at rest."""

SLOWER = 4
"""The clip takes this many times as long: a fifth of a second becomes almost one."""

FACTOR = 6.0
"""Motion is to be magnified this many times: 0.5 to 2 pixels become as large as a common
expression, and the face stays a face. Smoothing, noise floor and limit leave 4.0 to 4.8 of it
(simulated displacements of 0.4 to 2 pixels)."""

NEAR_S = 0.07
"""A still is shown for a moment if its picture is so near; cameras of 8 frames a second are."""

CROP_PX = 224
"""Side of a crop: three stand side by side in a report's column."""

# What is cut out of the plane of the 128 x 128 aligned face: (left, top, side); hair line, ears
# and chin are inside.
CROP_BOX = (-22.0, -30.0, 172.0)

# Where the face is on that plane: middle and half axes of an ellipse, from ear to ear and from
# the hair line to the chin.
FACE_MIDDLE_XY = (64.0, 60.0)
FACE_AXES_XY = (68.0, 76.0)
FACE_EDGE = 0.25  # share of the axes over which it fades

MAX_CROPS_HZ = 120.0
"""Faster cameras have their crops thinned to about this: those that come sooner than three
quarters of its frame time after the last are left out, so that 144 a second are all kept and 240
become 120."""

TOLD_S = 1.0
"""How long after its offset an event may be told and still find its crops; it is told within
0.3 s live, with slack for a window on its way."""

RING_BYTES = 192 * 2**20
"""Crops that are kept of all faces together: 1 face at 120 a second, or 4 at 30, for 2.3 s take
40 MiB. The oldest go first."""

MAX_WAITING = 4
"""Clips that wait to be made; each holds its crops, at 30 frames a second about 7 MB."""

JOIN_S = 1.0
"""Longer than one clip takes beyond the time that `close` was given."""

ENLARGED = 2.0
"""A face that was enlarged more than this is said to be: what looks soft was small."""

# `veryslow` saves an eighth of the bytes for four times the time. One thread leaves the others to
# the live picture.
ENCODER_OPTIONS = {"preset": "medium", "crf": "25", "threads": "1"}

CLIPS_NICENESS = 10
"""By which the clips' thread is nicer than the others, where threads have a niceness of their own
(Linux): the live picture comes first. On two cores with two live streams and a clip of each every
0.8 s, pictures were painted 20 instead of 60 ms after their capture at the median, and no fewer
clips were made."""

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
class _Crop:
    """One face at one moment: uint8 [CROP_PX, CROP_PX, 3]. `enlarged`: pixels of the crop for
    one of the frame."""

    t_s: float
    image_bgr: UInt8Array
    enlarged: float


@dataclass(frozen=True, slots=True)
class _Job:
    event_id: int
    event: Event
    crops: tuple[_Crop, ...]


class ClipMaker:
    """Keeps the last seconds of each face and makes a clip of each event, on its own thread.

    `add`, `event` and `close` belong to one thread; `drops` may be read from any thread. `on_made`
    is told the id of each event whose clip was ordered, once, and whether its files are there: by
    the clips' thread, or by `add` and `close` where there will be none; it must not raise. Whatever
    the clips' thread meets, such as a full disk (OSError, av.FFmpegError), is raised by the next
    of these calls, once; no clip is made after it.
    """

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        *,
        wait: bool,
        longest_s: float = 0.8,
        on_made: Callable[[int, bool], None] | None = None,
    ) -> None:
        """Clips go to `folder`/clips, which is made with the first. `labels`: those of the
        model. `wait`: True for files, then `add` waits for a place in the queue; False for live
        sources, then clips that find none are counted in `drops`. `longest_s`: the longest event
        that there can be, `SpottingSpec.max_s`.
        """
        self.drops: Counter[str] = Counter()
        self._folder = folder / CLIPS_FOLDER
        self._wait = wait
        self._on_made = on_made or (lambda event_id, is_made: None)
        self._reach_s = BEFORE_S + longest_s + max(AFTER_S, TOLD_S)
        self._painter = _Painter(labels)
        self._crops: dict[int, deque[_Crop]] = {}
        self._orders: list[tuple[int, Event]] = []
        self._now_s = float("-inf")

        # Shared with the clips' thread, under the condition's lock.
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._is_closing = False
        self._failure: BaseException | None = None

        self._was_raised = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self._thread.start()

    def add(self, update: Update) -> None:
        """Keep the faces of one frame, in the order of the frames, and have the clips made that
        are complete with it."""
        self._raise_failure()
        self._now_s = update.frame.t_s
        for face in update.faces:
            crops = self._crops.setdefault(face.face_id, deque())
            if crops and self._now_s - crops[-1].t_s < 0.75 / MAX_CROPS_HZ:
                continue
            crops.append(_cut(update, face))
        self._forget()
        if self._orders:
            self._start(lambda event: self._now_s >= event.offset_s + AFTER_S)

    def event(self, event_id: int, event: Event) -> None:
        """Order the clip of an event, with its times on the clock of the frames. It is made once
        the frames are `AFTER_S` past the offset, or with `close`."""
        self._raise_failure()
        self._orders.append((event_id, event))

    def close(self, until_s: float = float("inf")) -> None:
        """Make what was ordered, as far as it was seen, and end the thread.

        `until_s`: on the clock of `time.monotonic`; what has not been begun then is left out and
        counted. A second call does nothing.
        """
        if not self._is_closing:
            if self._failure is None:
                self._start(lambda _: True, is_last=True)
            with self._changed:
                self._is_closing = True
                self._changed.notify_all()
            left_s = max(0.0, until_s - time.monotonic())
            self._thread.join(None if left_s == float("inf") else left_s)
            with self._changed:
                left_out = [job.event_id for job in self._jobs]
                if left_out:
                    self.drops[CLIPS_BUSY] += len(left_out)
                self._jobs.clear()
            self._thread.join(None if left_s == float("inf") else JOIN_S)
            self._crops.clear()
            # Orders are left only after a failure.
            for event_id in [*left_out, *(event_id for event_id, _ in self._orders)]:
                self._on_made(event_id, False)
            self._orders.clear()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None and not self._was_raised:
            self._was_raised = True
            raise self._failure

    def _forget(self) -> None:
        """Crops that no event can ask for any more, and the oldest where there are too many."""
        for face_id, crops in list(self._crops.items()):
            while crops and crops[0].t_s < self._now_s - self._reach_s:
                crops.popleft()
            if not crops:
                del self._crops[face_id]
        count = sum(len(crops) for crops in self._crops.values())
        for _ in range(count - RING_BYTES // (3 * CROP_PX * CROP_PX)):
            oldest = min(self._crops, key=lambda face_id: self._crops[face_id][0].t_s)
            self._crops[oldest].popleft()
            if not self._crops[oldest]:
                del self._crops[oldest]

    def _start(self, is_due: Callable[[Event], bool], *, is_last: bool = False) -> None:
        due = [order for order in self._orders if is_due(order[1])]
        self._orders = [order for order in self._orders if not is_due(order[1])]
        for event_id, event in due:
            start_s, end_s = event.onset_s - BEFORE_S, event.offset_s + AFTER_S
            crops = tuple(
                crop for crop in self._crops.get(event.face_id, ()) if start_s <= crop.t_s <= end_s
            )
            if not any(event.onset_s - NEAR_S <= c.t_s <= event.offset_s + NEAR_S for c in crops):
                self.drops[CLIPS_WITHOUT_FACE] += 1
                self._on_made(event_id, False)
                continue
            with self._changed:
                if self._wait:
                    self._changed.wait_for(
                        lambda: len(self._jobs) < MAX_WAITING or self._failure is not None
                    )
                has_place = len(self._jobs) < MAX_WAITING or is_last
                if has_place:
                    self._jobs.append(_Job(event_id, event, crops))
                    self._changed.notify_all()
                else:
                    self.drops[CLIPS_BUSY] += 1
            if not has_place:
                self._on_made(event_id, False)

    def _run(self) -> None:
        if sys.platform == "linux":
            os.nice(CLIPS_NICENESS)  # of this thread alone
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closing)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
                self._changed.notify_all()
            try:
                self._make(job)
            except BaseException as error:  # noqa: BLE001 - add, event or close raises it
                with self._changed:
                    self._failure = error
                    left_out = [job, *self._jobs]
                    self._jobs.clear()
                    self._changed.notify_all()
                for one in left_out:
                    self._on_made(one.event_id, False)
                return
            self._on_made(job.event_id, True)

    def _make(self, job: _Job) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = clip_stem(job.event_id)
        stills, moving = self._painter.paint(job)
        done, png = cv2.imencode(".png", stills)
        assert done
        _write_whole(self._folder / f"{stem}.png", lambda path: path.write_bytes(png.tobytes()))
        _write_whole(self._folder / f"{stem}.mp4", lambda path: _encode(path, moving))


def _cut(update: Update, face: Face) -> _Crop:
    """The aligned face with what is around it. A frame with far more pixels is averaged down
    first, since sampling only some of them would make edges flicker."""
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
        # With a line of large pixels all around, which sampling at the edge needs.
        low_xy, high_xy = in_frame.min(axis=0) - 2 * shrink, in_frame.max(axis=0) + 2 * shrink
        x0, y0 = np.clip(np.floor(low_xy), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(high_xy), 0, (width, height)).astype(int)
        size_wh = ((x1 - x0) // shrink, (y1 - y0) // shrink)
        if min(size_wh) > 0:
            part = image_bgr[y0 : y0 + size_wh[1] * shrink, x0 : x0 + size_wh[0] * shrink]
            image_bgr = np.asarray(
                cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8
            )
            # The middle of a large pixel lies in the middle of those that it was made of.
            offset = np.array((x0, y0)) + 0.5 * (shrink - 1)
            to_crop[:, 2] += to_crop[:, :2] @ offset
            to_crop[:, :2] *= shrink
    crop = cv2.warpAffine(
        image_bgr, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderValue=_GROUND
    )
    return _Crop(update.frame.t_s, np.asarray(crop, np.uint8), enlarged)


def _face_mask() -> Float32Array:
    """float32 [CROP_PX, CROP_PX]: 1 on the face, falling to 0 around it."""
    left, top, side = CROP_BOX
    along = (np.arange(CROP_PX) + 0.5) * side / CROP_PX
    x = (along[None] + left - FACE_MIDDLE_XY[0]) / FACE_AXES_XY[0]
    y = (along[:, None] + top - FACE_MIDDLE_XY[1]) / FACE_AXES_XY[1]
    return np.clip((1.0 - np.sqrt(x * x + y * y)) / FACE_EDGE, 0.0, 1.0).astype(np.float32)


class _Painter:
    """Lays out stills and clip of one event."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._colours: dict[str, Bgr] = {
            label: (blue, green, red) for label, (red, green, blue) in class_colours(labels).items()
        }
        self._marks = class_marks(labels)
        self._face = _face_mask()

    def paint(self, job: _Job) -> tuple[UInt8Array, list[tuple[float, UInt8Array]]]:
        """The stills, and the pictures of the clip with their times from the clip's start."""
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
        self, job: _Job, onset: _Crop | None, magnified: dict[float, UInt8Array]
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
                _say(image, left, _HEAD_PX, "not seen")
                _say(image, left, lower, "not seen")
                told = f"{name} at {_ms(t_s - event.onset_s)}"
            else:
                _put(image, left, _HEAD_PX, crop.image_bgr)
                if crop is onset:
                    _put(image, left, lower, crop.image_bgr)
                elif crop.t_s in magnified:
                    _put(image, left, lower, magnified[crop.t_s])
                else:
                    _say(image, left, lower, "onset not seen")
                told = f"{name}: picture at {_ms(crop.t_s - event.onset_s)}"
            write(image, told, left + 2, lower + CROP_PX + 4, _TEXT_PX)
        note = f"event {job.event_id}, face {event.face_id}; times from the onset"
        write(image, note + _enlarged(job), 2, image.shape[0] - _ROW_PX - 2, _TEXT_PX, PALE)
        return image

    def _moment(self, job: _Job, crop: _Crop, magnified: UInt8Array | None) -> UInt8Array:
        event = job.event
        right = CROP_PX + _MIDDLE_PX
        image = _ground(_HEAD_PX + CROP_PX + _BAR_PX, right + CROP_PX)
        self._head(image, job, f"1/{SLOWER} speed, motion magnified")
        _put(image, 0, _HEAD_PX, crop.image_bgr)
        if magnified is None:
            _say(image, right, _HEAD_PX, "onset not seen")
        else:
            _put(image, right, _HEAD_PX, magnified)
        self._bar(image, event, crop.t_s)
        note = f"event {job.event_id}, face {event.face_id}{_enlarged(job)}"
        y = image.shape[0] - _ROW_PX
        write(image, _ms(crop.t_s - event.onset_s), 4, y, _TEXT_PX)
        write(image, note, image.shape[1] - 4, y, _TEXT_PX, PALE, align="right")
        return image

    def _head(self, image: UInt8Array, job: _Job, words: str) -> None:
        event = job.event
        middle = _HEAD_PX / 2
        colour = self._colours[event.label]
        paint_mark(image, self._marks[event.label], 12, middle, 7, colour)
        write(image, event.label, 26, 4, _TITLE_PX, WHITE)
        write(image, words, image.shape[1] - 4, 6, _TEXT_PX, PALE, align="right")

    def _bar(self, image: UInt8Array, event: Event, t_s: float) -> None:
        """The time of the clip from left to right: the event thick, its three moments as ticks
        with their letters, the present one as a light line."""
        top = _HEAD_PX + CROP_PX + 4
        middle = top + 8
        pad = 6
        start_s = event.onset_s - BEFORE_S
        per_s = (image.shape[1] - 2 * pad) / (event.offset_s + AFTER_S - start_s)

        def x_of(moment_s: float) -> int:
            return pad + round((moment_s - start_s) * per_s)

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


def _nearest(crops: Sequence[_Crop], t_s: float) -> _Crop | None:
    """The crop nearest to a moment; None if none is near."""
    crop = min(crops, key=lambda crop: abs(crop.t_s - t_s), default=None)
    return None if crop is None or abs(crop.t_s - t_s) > NEAR_S else crop


def _enlarged(job: _Job) -> str:
    """What has to be said of a small face."""
    enlarged = max(crop.enlarged for crop in job.crops)
    return f"; face enlarged x {enlarged:.1f}" if enlarged > ENLARGED else ""


def _ms(t_s: float) -> str:
    return f"{1000 * t_s:+.0f} ms"


def _ground(height: int, width: int) -> UInt8Array:
    image = np.empty((height, width, 3), np.uint8)
    image[:] = _GROUND
    return image


def _put(image: UInt8Array, left: int, top: int, crop_bgr: UInt8Array) -> None:
    image[top : top + CROP_PX, left : left + CROP_PX] = crop_bgr


def _say(image: UInt8Array, left: int, top: int, words: str) -> None:
    """Words where a picture is missing."""
    x = left + (CROP_PX - width_of(words, _TEXT_PX)) // 2
    write(image, words, x, top + CROP_PX // 2, _TEXT_PX, PALE)


def _write_whole(path: Path, make: Callable[[Path], object]) -> None:
    """Let `make` write a file beside `path` and put it there when it is whole."""
    unfinished = path.with_name(path.name + PARTIAL)
    try:
        make(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)  # it is there only if something failed


def _encode(path: Path, pictures: Sequence[tuple[float, UInt8Array]]) -> None:
    """H.264 that a browser plays from the first bytes on, each picture at its own time."""
    height, width = pictures[0][1].shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=30, options=ENCODER_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.time_base = Fraction(1, TICKS_HZ)
        # What OpenCV's conversion makes.
        codec.colorspace = Colorspace.SMPTE170M
        codec.color_range = ColorRange.MPEG
        pts = -1
        for t_s, image_bgr in pictures:
            pts = max(pts + 1, round(t_s * TICKS_HZ))
            output.mux(stream.encode(encoder_frame(image_bgr, pts)))
        output.mux(stream.encode(None))
