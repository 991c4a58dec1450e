"""The recorder of a session folder: annotated video, scores, events and their metadata.

    video.mp4     annotated, with the frames' own times (variable frame rate)
    clean.mp4     the same without annotations, if asked for
    scores.csv    one row for each frame and face
    events.csv    one row for each spotted micro-expression
    clips/        events in slow motion; see `realtime.recording.clip_maker`
    conditions.csv    how each face was seen: head pose, size, light; see `types.Conditions`
    blendshapes.csv   MediaPipe's 52 scores of each face, where they are wanted
    session.json  versions, model, device, source, counts, drops and frame-rate statistics

Times in the files are seconds from `origin_s`. `scores.csv` has these columns:

- `frame`: `Frame.id`; a hole is a frame that the source dropped. `timestamp`: seconds.
- `face_id`: empty if the frame shows no face; such a frame has one row. `success`: 1 if a face
  was found, else 0.
- one column for each label: its probability; empty while there is no score for this moment,
  which is the case while the first window fills.
- `confidence`: the largest of these probabilities, that of the winning label. It measures how
  decided the model is, not how well the face was tracked; the tracker gives no such number.
- `state`: state of this face in the monitor when the frame went through it.

Whatever ends the process, everything recorded until about a second before stays readable: rows
reach the disk as whole lines, and the video is written in fragments, each playable as soon as
it is there. If a recording ends in order, its last few bytes turn the video into a plain MP4.

If the size of the frames changes on the way, as network streams do, later frames are scaled
into the first frame's size with black bars.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from realtime.errors import RecordingError
from realtime.recording.clip_maker import ClipMaker
from realtime.recording.frame_statistics import FrameClock
from realtime.recording.tables import (
    Record,
    ScoreTable,
    blendshape_rows,
    condition_rows,
    csv_bytes,
    event_row,
)
from realtime.recording.video_writer import VideoWriter
from realtime.session.layout import (
    BLENDSHAPES_FILE,
    BLENDSHAPES_HEADER,
    CLEAN_FILE,
    CONDITIONS_FILE,
    CONDITIONS_HEADER,
    EVENT_HEADER,
    EVENTS_FILE,
    RECORDED_FILES,
    SCORES_FILE,
    SESSION_FILE,
    VIDEO_FILE,
)
from realtime.spec import ModelSpec
from realtime.storage.durable_file import DiskFile, SyncThread, is_full, replace_file
from realtime.storage.folder_lock import FolderLock
from realtime.types import UInt8Array, Update
from realtime.versions import versions

Paint = Callable[[Update], UInt8Array]
"""Function that paints an update's picture for the video, uint8 [height, width, 3]."""

RECORDER_BUSY = "recorder busy"
"""Cause under which frames are counted that the video lacks."""

QUEUE_BYTES = 128 * 2**20
"""Memory for pictures that wait for the recorder: over a second at 640 x 480 and 60 frames a
second."""

MIN_QUEUE_FRAMES = 4
"""Number of frames that may wait, however large they are."""

LIVE_SLACK_S = 0.5
"""Most seconds by which a live score may come later than its window's last frame: an event is
reported 0.3 s after its offset, so a later score is not on its way any more."""

FILE_SLACK_S = 1.0
"""The same for files, whose scores come one frame late, in the file's own time."""

SESSION_EVERY_S = 3.0
"""Seconds between two versions of session.json while recording."""

LIVE_DRAIN_S = 2.0
"""Seconds that `close` gives a live recording for the frames that still wait."""

LIVE_JOIN_S = 6.0
"""Seconds after which `close` gives up on a live recording: enough for LIVE_DRAIN_S, a clip that is
being made and the ends of the files."""

STALL_S = 30.0
"""Seconds without a finished frame after which a recording of a file counts as stuck."""


@dataclass(frozen=True, slots=True)
class RecordingContents:
    """Contents of a session folder besides its tables.

    `video`: the annotated video; `keep_clean`: the video without annotations, too. `blur_faces`:
    no picture in the folder shows a face. `clips`: each event in slow motion. `blendshapes`: the
    table of MediaPipe's blendshapes, which its monitor has to look for (`Monitor`).

    Raises ValueError for contents that exclude each other.
    """

    video: bool = True
    keep_clean: bool = False
    blur_faces: bool = False
    clips: bool = True
    blendshapes: bool = False

    def __post_init__(self) -> None:
        if self.keep_clean and self.blur_faces:
            raise ValueError("a clean video shows faces; leave out keep-clean or blur-faces")
        if self.keep_clean and not self.video:
            raise ValueError(
                "without video there is no clean video; leave out keep-clean or no-video"
            )

    @property
    def has_clips(self) -> bool:
        """True if events get clips; clips show the face."""
        return self.clips and self.video and not self.blur_faces


RECORD_EVERYTHING = RecordingContents()
"""Contents that are kept unless something else is asked for."""


def session_folder_name(start: datetime) -> str:
    """Return the default name of a live session: `2025-03-01_14-05-09`, valid on every file
    system."""
    return start.strftime("%Y-%m-%d_%H-%M-%S")


def new_session_folder(base: Path, name: str) -> Path:
    """Return `base/name`, or `base/name-2`, `-3`, ... if that holds a recording.

    Nothing is created.
    """
    number = 1
    while True:
        folder = base / (name if number == 1 else f"{name}-{number}")
        if not any((folder / file).exists() for file in RECORDED_FILES):
            return folder
        number += 1


class SessionRecorder:
    """Writer of one session folder, on a thread of its own.

    `write` and `close` belong to one thread; `paint` is called on the recorder's thread.
    `drops` may be read from any thread.
    """

    def __init__(
        self,
        folder: Path,
        spec: ModelSpec,
        meta: Mapping[str, Any],
        paint: Paint | None,
        wait: bool,
        *,
        origin_s: float | None = None,
        contents: RecordingContents = RECORD_EVERYTHING,
        upstream_drops: Mapping[str, int] | None = None,
        before: Sequence[Update] = (),
        drops_before: Mapping[str, int] | None = None,
        session_metadata: Callable[[float], Mapping[str, Any]] | None = None,
        on_clip: Callable[[int, bool], None] | None = None,
        score_wait_s: float | None = None,
    ) -> None:
        """Create `folder` if it is missing and begin the session in it.

        `meta`: further content of session.json, such as `device` and `source`; its `model` is
        added to the model's name and version, and the labels of its `macro`, if it has them, are
        columns of scores.csv. `paint`: makes the picture for video.mp4, uint8
        [height, width, 3]; None records the frames as they are. `wait`: True for files, then
        `write` waits while the queue is full; False for live sources, then `write` never waits
        and pictures that do not fit are left out of the video and counted in `drops`, while
        scores and events are always kept. `origin_s`: `Frame.t_s` that is written as 0; None: the
        time of the first frame. `upstream_drops`: counts of the stages before, by cause, read
        whenever session.json is written; less `drops_before`, or their present counts. `before`:
        updates with which the session begins, whose pictures are never left out.
        `session_metadata`: returns metadata of the run until now for session.json, such as the
        neutral baselines, with times from the origin that it is given. `on_clip`: the clips'
        `on_made`, see `ClipMaker`. `score_wait_s`: how much later than a frame a score for it may
        come; None: the time that follows from the model's window.

        Raises RecordingError if the folder cannot be written or holds a recording already.
        """
        self.drops: Counter[str] = Counter()
        self._folder = folder
        self._paint = paint
        self._wait = wait
        self._origin_s = origin_s
        self._upstream_drops = {} if upstream_drops is None else upstream_drops
        self._drops_before = Counter(self._upstream_drops if drops_before is None else drops_before)
        self._before_count = len(before)
        self._session_metadata = session_metadata
        self._started = datetime.now().astimezone()
        self._meta = {
            "versions": versions(),
            **meta,
            "model": {
                "name": spec.name,
                "version": spec.version,
                "rate_hz": spec.rate_hz,
                **meta.get("model", {}),
            },
            "labels": list(spec.labels),
            "settings": {**meta.get("settings", {}), **asdict(contents)},
        }
        if score_wait_s is None:
            slack_s = FILE_SLACK_S if wait else LIVE_SLACK_S
            score_wait_s = (spec.lookahead + spec.hop) / spec.rate_hz + slack_s
        macro_labels = (meta.get("macro") or {}).get("labels", ())
        self._table = ScoreTable(spec.labels, macro_labels, spec.hop / spec.rate_hz, score_wait_s)
        self._clock = FrameClock()
        self._event_count = 0

        # Shared with the recorder's thread, under the condition's lock.
        self._changed = threading.Condition()
        self._records: deque[Record] = deque()
        self._frames: deque[tuple[float, Update]] = deque()
        self._finished_frames = 0
        self._drain_until_s: float | None = None
        self._session_error: BaseException | None = None
        self._failure: RecordingError | None = None

        self._was_raised = False
        self._is_closed = False

        self._video = VideoWriter(folder / VIDEO_FILE) if contents.video else None
        self._clean = VideoWriter(folder / CLEAN_FILE) if contents.keep_clean else None
        self._clips: ClipMaker | None = None
        if any((folder / file).exists() for file in RECORDED_FILES):
            raise _is_taken(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as undo:
                self._lock = undo.enter_context(FolderLock(folder))
                if not self._lock.take():
                    raise _is_taken(folder)
                self._scores_file = undo.enter_context(DiskFile(folder / SCORES_FILE))
                self._scores_file.append(csv_bytes([self._table.header]))
                self._events_file = undo.enter_context(DiskFile(folder / EVENTS_FILE))
                self._events_file.append(csv_bytes([EVENT_HEADER]))
                self._conditions_file = undo.enter_context(DiskFile(folder / CONDITIONS_FILE))
                self._conditions_file.append(csv_bytes([CONDITIONS_HEADER]))
                self._blendshapes_file: DiskFile | None = None
                if contents.blendshapes:
                    self._blendshapes_file = undo.enter_context(DiskFile(folder / BLENDSHAPES_FILE))
                    self._blendshapes_file.append(csv_bytes([BLENDSHAPES_HEADER]))
                # Not synced here, or the live picture would wait for the disk; SyncThread does it.
                (folder / SESSION_FILE).write_bytes(self._session("recording"))
                undo.pop_all()
        except OSError as error:
            raise _cannot_write(folder, error) from error
        if contents.has_clips:
            longest_s = spec.spotting.max_s
            self._clips = ClipMaker(
                folder, spec.labels, wait=wait, longest_s=longest_s, on_made=on_clip
            )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        for update in before:
            self.write(update)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    def write(self, update: Update) -> None:
        """Record one update; updates come in the order of the frames.

        Raises RecordingError if the recording has stopped (the disk is full, the painter
        failed); every later call raises it again.
        """
        if self._origin_s is None:
            self._origin_s = update.frame.t_s
        record = Record.of(update, self._origin_s)
        limit = max(MIN_QUEUE_FRAMES, QUEUE_BYTES // max(1, update.frame.image_bgr.nbytes))
        limit += self._before_count  # they are in memory already
        with self._changed:
            if self._wait and not self._changed.wait_for(
                lambda: len(self._frames) < limit or self._failure is not None, STALL_S
            ):
                raise _stuck(self._folder)
            self._raise_failure()
            self._records.append(record)
            if len(self._frames) < limit:
                self._frames.append((record.t_s, update))
            else:
                self.drops[RECORDER_BUSY] += 1
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Finish the files; a second call does nothing.

        A file's recording is written to its end; a live recording is ended within 6 s, and pictures
        that still wait after 2 s are left out and counted. `error`: the error that ended the
        session, if it failed; it is noted in session.json.

        Raises RecordingError if the recording had stopped and no `write` has raised it, or if it
        does not end.
        """
        if self._is_closed:
            return
        self._is_closed = True
        with self._changed:
            self._session_error = error
            self._drain_until_s = time.monotonic() + (float("inf") if self._wait else LIVE_DRAIN_S)
            self._changed.notify_all()
        while self._thread.is_alive():
            finished = self._finished_frames
            self._thread.join(STALL_S if self._wait else LIVE_JOIN_S)
            if self._thread.is_alive() and (not self._wait or finished == self._finished_frames):
                raise _stuck(self._folder)
        if not self._was_raised:
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._was_raised = True
            raise self._failure

    def _run(self) -> None:
        videos = [video for video in (self._video, self._clean) if video is not None]
        sync = SyncThread([table.sync for table in self._tables] + [video.sync for video in videos])
        # Each file is closed by itself: after one failed, the others may still be whole.
        steps: tuple[Callable[[], None], ...] = (
            partial(self._record, sync),
            self._finish_clips,
            sync.stop,
            self._finish_rows,
            *(video.close for video in videos),
        )
        failures = [failure for step in steps if (failure := self._attempt(step)) is not None]
        session_failure = self._attempt(partial(self._finish_session, failures))
        if session_failure is None:
            self._lock.release()
        else:
            self._lock.abandon()
        with self._changed:
            self._failure = failures[0] if failures else session_failure
            self._frames.clear()
            self._records.clear()
            self._changed.notify_all()

    def _attempt(self, step: Callable[[], None]) -> RecordingError | None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - write or close raises it in the caller
            return _as_recording_error(self._folder, error)
        return None

    def _record(self, sync: SyncThread) -> None:
        """Write arriving updates until `close`: all rows first, then one picture at a time."""
        next_session_s = time.monotonic() + SESSION_EVERY_S
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._records or self._frames or self._drain_until_s is not None,
                    max(0.0, next_session_s - time.monotonic()),
                )
                drain_until_s = self._drain_until_s
                if drain_until_s is not None and time.monotonic() > drain_until_s:
                    self.drops[RECORDER_BUSY] += len(self._frames)
                    self._frames.clear()
                records = list(self._records)
                self._records.clear()
                picture = self._frames.popleft() if self._frames else None
                self._changed.notify_all()
            self._write_records(records)
            if picture is not None:
                self._write_picture(*picture)
                self._finished_frames += 1
            elif drain_until_s is not None:
                return
            if time.monotonic() >= next_session_s:
                sync.replace(self._folder / SESSION_FILE, self._session("recording"))
                next_session_s = time.monotonic() + SESSION_EVERY_S

    def _write_records(self, records: Iterable[Record]) -> None:
        rows: list[list[object]] = []
        events: list[list[object]] = []
        conditions: list[list[object]] = []
        blendshapes: list[list[object]] = []
        for record in records:
            self._clock.tick(record.t_s)
            rows += self._table.add(record)
            conditions += condition_rows(record)
            blendshapes += blendshape_rows(record)
            for event in record.events:
                self._event_count += 1
                events.append(event_row(self._event_count, event, record.origin_s))
                if self._clips is not None:
                    self._clips.event(self._event_count, event)
        self._scores_file.append(csv_bytes(rows))
        self._events_file.append(csv_bytes(events))
        self._conditions_file.append(csv_bytes(conditions))
        if self._blendshapes_file is not None:
            self._blendshapes_file.append(csv_bytes(blendshapes))

    def _write_picture(self, t_s: float, update: Update) -> None:
        image_bgr = update.frame.image_bgr
        if self._video is not None:
            self._video.write(t_s, image_bgr if self._paint is None else self._paint(update))
        if self._clean is not None:
            self._clean.write(t_s, image_bgr)
        if self._clips is not None:
            self._clips.add(update)

    def _finish_clips(self) -> None:
        if self._clips is not None:
            # `_drain_until_s` is None after a failure, when nobody has asked for the end yet.
            self._clips.close(self._drain_until_s or time.monotonic() + LIVE_DRAIN_S)

    @property
    def _tables(self) -> list[DiskFile]:
        tables = [self._scores_file, self._events_file, self._conditions_file]
        return tables if self._blendshapes_file is None else [*tables, self._blendshapes_file]

    def _finish_rows(self) -> None:
        with contextlib.ExitStack() as closed:
            for table in self._tables:
                closed.enter_context(table)
            self._scores_file.append(csv_bytes(self._table.finish()))

    def _finish_session(self, failures: list[RecordingError]) -> None:
        cause = failures[0] if failures else self._session_error
        session = self._session("complete" if cause is None else "failed", cause)
        replace_file(self._folder / SESSION_FILE, session)

    def _session(self, status: str, cause: BaseException | None = None) -> bytes:
        """Return the present content of session.json."""
        encoder = None if self._video is None else self._video.encoder
        session = {
            "status": status,
            "error": None if cause is None else str(cause) or type(cause).__name__,
            "started": self._started.isoformat(timespec="milliseconds"),
            "updated": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            **self._meta,
            "video": encoder and {"encoder": encoder.name, "hardware": encoder.is_hardware},
            "first_frame_s": self._clock.first_s,
            "frames": self._clock.count,
            "video_frames": 0 if self._video is None else self._video.frame_count,
            # Copied first: the writing thread may count another cause meanwhile.
            "drops": dict(
                Counter(self._upstream_drops)
                - self._drops_before
                + Counter(self.drops)
                + Counter({} if self._clips is None else self._clips.drops)
            ),
            "duration_s": self._clock.duration_s,
            "frame_rate": self._clock.statistics(),
            "events": self._event_count,
            "calibration": None,
        }
        if self._session_metadata is not None and self._origin_s is not None:
            session |= self._session_metadata(self._origin_s)
        text = json.dumps(session, indent=2, ensure_ascii=False, default=str) + "\n"
        # A file's name may hold bytes that are no text; they are written as JSON's escapes.
        return text.encode(errors="backslashreplace")


def _is_taken(folder: Path) -> RecordingError:
    return RecordingError(f"{folder} already holds a recording; choose another folder.")


def _cannot_write(folder: Path, error: OSError) -> RecordingError:
    return RecordingError(
        f"Nothing can be recorded in {folder} ({error.strerror}); choose another folder."
    )


def _stuck(folder: Path) -> RecordingError:
    return RecordingError(
        f"The recording in {folder} makes no progress; check that its disk still works."
    )


def _as_recording_error(folder: Path, error: BaseException) -> RecordingError:
    if is_full(error):
        failure = RecordingError(
            f"The recording stopped because there is no space left for {folder}; free some space "
            f"and start again; everything recorded so far is kept, see `stream.py report {folder}`."
        )
    elif isinstance(error, OSError | av.FFmpegError):
        failure = RecordingError(
            f"The recording stopped because {folder} could not be written ({error}); choose "
            "another folder; everything recorded so far is kept."
        )
    else:
        failure = RecordingError(
            f"The recording in {folder} stopped because of a defect "
            f"({type(error).__name__}: {error}); please report it with this text."
        )
    failure.__cause__ = error
    return failure
