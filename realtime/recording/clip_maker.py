"""Clips of spotted micro-expressions: each in slow motion, and onset, apex and offset as stills.

    clips/event-0001.mp4   the aligned face as it was, and with its motion magnified
    clips/event-0001.png   onset | apex | offset, above as they were, below magnified

The number is the event's. Every picture in a clip was recorded: time is stretched, but no picture
is interpolated. A file is there wholly or not at all; a file that a kill leaves behind ends in
`.partial`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
from av.video.reformatter import ColorRange, Colorspace

from realtime.recording.clip_frames import (
    AFTER_S,
    BEFORE_S,
    CROP_PX,
    NEAR_S,
    ClipComposer,
    ClipJob,
    Crop,
    cut_crop,
)
from realtime.recording.encoders import TICKS_HZ, encoder_frame
from realtime.session.layout import CLIPS_FOLDER, clip_stem
from realtime.storage.durable_file import PARTIAL
from realtime.types import Event, UInt8Array, Update

CLIPS_BUSY = "clips busy"
"""Cause under which clips are counted that there was no time to make."""

CLIPS_WITHOUT_FACE = "clip without face"
"""Cause under which events are counted that have no picture of their face."""

MAX_CROPS_HZ = 120.0
"""Rate to which the crops of faster cameras are thinned, about: a crop that comes sooner than three
quarters of this rate's frame time after the last is left out, so that 144 a second are all kept
and 240 become 120."""

SPOTTED_AFTER_S = 1.0
"""Seconds after its offset in which an event may be reported and still find its crops; live it
is reported within 0.3 s, and the rest is slack for a window on its way."""

RING_BYTES = 192 * 2**20
"""Memory for the crops of all faces together: 1 face at 120 a second, or 4 at 30, takes 40 MiB for
2.3 s. The oldest crops go first."""

MAX_WAITING = 4
"""Most clips that may wait to be made; each holds its crops, at 30 frames a second about 7 MB."""

JOIN_S = 1.0
"""Seconds that `close` waits for the last clip beyond its time; making a clip takes less."""

# `veryslow` saves an eighth of the bytes for four times the time. One thread leaves the others to
# the live picture.
ENCODER_OPTIONS = {"preset": "medium", "crf": "25", "threads": "1"}

CLIPS_NICENESS = 10
"""Niceness added to the clips' thread where threads have a niceness of their own (Linux), so that
the live picture comes first. On two cores with two live streams and a clip of each every 0.8 s,
pictures were painted 20 instead of 60 ms after their capture at the median, and no fewer clips were
made."""


class ClipMaker:
    """Maker of clips: keeps the last seconds of each face, and makes each event's clip on a thread
    of its own.

    `add`, `event` and `close` belong to one thread; `drops` may be read from any thread. `on_made`
    gets the id of each event whose clip was ordered, once, and True if its files are there: from
    the clips' thread, or from `add` and `close` where there will be no files; it must not raise.
    An error of the clips' thread, such as a full disk (OSError, av.FFmpegError), is raised by the
    next of these calls, once; no clip is made after it.
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
        """Start the clips' thread; clips go to `folder`/clips, which is made with the first clip.

        `labels`: the model's class names. `wait`: True for files, then `add` waits for a place in
        the queue; False for live sources, then clips that find no place are counted in `drops`.
        `longest_s`: the longest event that there can be, `SpottingSpec.max_s`.
        """
        self.drops: Counter[str] = Counter()
        self._folder = folder / CLIPS_FOLDER
        self._wait = wait
        self._on_made = on_made or (lambda event_id, is_made: None)
        self._reach_s = BEFORE_S + longest_s + max(AFTER_S, SPOTTED_AFTER_S)
        self._composer = ClipComposer(labels)
        self._crops: dict[int, deque[Crop]] = {}
        self._orders: list[tuple[int, Event]] = []
        self._now_s = float("-inf")

        # Shared with the clips' thread, under the condition's lock.
        self._changed = threading.Condition()
        self._jobs: deque[ClipJob] = deque()
        self._is_closing = False
        self._failure: BaseException | None = None

        self._was_raised = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self._thread.start()

    def add(self, update: Update) -> None:
        """Keep the faces of one frame, and order the clips that are complete with it.

        Frames come in their order.
        """
        self._raise_failure()
        self._now_s = update.frame.t_s
        for face in update.faces:
            crops = self._crops.setdefault(face.face_id, deque())
            if crops and self._now_s - crops[-1].t_s < 0.75 / MAX_CROPS_HZ:
                continue
            crops.append(cut_crop(update, face))
        self._forget()
        if self._orders:
            self._start(lambda event: self._now_s >= event.offset_s + AFTER_S)

    def event(self, event_id: int, event: Event) -> None:
        """Order the clip of an event, whose times are on the clock of the frames.

        It is made once the frames are `AFTER_S` past the offset, or with `close`.
        """
        self._raise_failure()
        self._orders.append((event_id, event))

    def close(self, until_s: float = float("inf")) -> None:
        """Make the clips that were ordered, of the pictures that there are, and end the thread.

        `until_s`: on the clock of `time.monotonic`; clips that have not been begun then are left
        out and counted. A second call does nothing.
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
        """Drop crops that no event can need any more, and the oldest where there are too many."""
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
                    self._jobs.append(ClipJob(event_id, event, crops))
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
                for skipped in left_out:
                    self._on_made(skipped.event_id, False)
                return
            self._on_made(job.event_id, True)

    def _make(self, job: ClipJob) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = clip_stem(job.event_id)
        stills, moving = self._composer.paint(job)
        done, png = cv2.imencode(".png", stills)
        assert done
        _write_whole(self._folder / f"{stem}.png", lambda path: path.write_bytes(png.tobytes()))
        _write_whole(self._folder / f"{stem}.mp4", lambda path: _encode(path, moving))


def _write_whole(path: Path, make: Callable[[Path], object]) -> None:
    """Let `make` write a file beside `path`, and move it there when it is whole."""
    unfinished = path.with_name(path.name + PARTIAL)
    try:
        make(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)  # it is there only if something failed


def _encode(path: Path, pictures: Sequence[tuple[float, UInt8Array]]) -> None:
    """Write an H.264 video that a browser plays from the first bytes on.

    `pictures`: the time of each in seconds, and uint8 [height, width, 3].
    """
    height, width = pictures[0][1].shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=30, options=ENCODER_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.time_base = Fraction(1, TICKS_HZ)
        # The colours that OpenCV's conversion makes.
        codec.colorspace = Colorspace.SMPTE170M
        codec.color_range = ColorRange.MPEG
        pts = -1
        for t_s, image_bgr in pictures:
            pts = max(pts + 1, round(t_s * TICKS_HZ))
            output.mux(stream.encode(encoder_frame(image_bgr, pts)))
        output.mux(stream.encode(None))
