"""The recording of a live run: on or off, each time in a folder of its own."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from realtime.errors import RecordingError
from realtime.monitor import Monitor
from realtime.recording.painting import frame_painter
from realtime.recording.recent_updates import RecentUpdates
from realtime.recording.recorder import (
    RECORD_EVERYTHING,
    RecordingContents,
    SessionRecorder,
    new_session_folder,
    session_folder_name,
)
from realtime.recording.recovery import finish_in_subprocess
from realtime.types import Source, Update
from realtime.versions import versions


@dataclass(frozen=True, slots=True)
class RecordingOutcome:
    """Outcome of a recording.

    `folder`: None if the recording could not begin. `is_whole`: it was not cut off. `failure`: the
    error that cut it off, or that left a whole recording without its report or exports.
    """

    folder: Path | None
    is_whole: bool
    failure: RecordingError | None


class Recording:
    """Recording of a live run's updates, while it is on.

    A recording that fails reports its error and ends; the run goes on, and what was recorded stays.
    A recording that is stopped is finished beside the run: its last pictures are written by its own
    thread, and its report and exports are made by a process of their own, so that the live picture
    does not stand still. `failure`: the first error that happened. `folders`: the folders of
    finished recordings, complete once the context is left, also if the monitor was closed before.
    Belongs to one thread; use as a context manager.
    """

    def __init__(
        self,
        monitor: Monitor,
        source: Source,
        base: Path,
        notify: Callable[[str], None],
        *,
        contents: RecordingContents = RECORD_EVERYTHING,
        formats: Sequence[str] = (),
        report: bool = True,
        before_s: float = 0.0,
        on_finished: Callable[[RecordingOutcome], None] | None = None,
        on_clip: Callable[[Path, int, bool], None] | None = None,
    ) -> None:
        """Prepare recordings without starting one.

        `base`: folder in which each recording gets a folder of its own. `notify`: shows the user a
        message, about where a recording goes or why it ended. `formats`: see `realtime.exports`.
        `before_s`: seconds of the run before `start` with which each recording begins.
        `on_finished` gets the outcome of each recording, once, when nothing more is done to it:
        from `start` if it could not begin, otherwise from the thread that finishes recordings, one
        after the other. `on_clip` is called for each clip that was made or will not be, with the
        recording's folder, the event's number in it, and True if the clip is there; see `ClipMaker`
        for the threads that call it. Neither may raise.
        """
        self.failure: RecordingError | None = None
        self.folders: list[Path] = []
        self._monitor = monitor
        self._source = source
        self._base = base
        self._notify = notify
        self._contents = contents
        self._formats = tuple(formats)
        self._report = report
        self._recent = RecentUpdates(before_s)
        self._on_finished = on_finished or (lambda finished: None)
        self._on_clip = on_clip or (lambda folder, event_id, is_there: None)
        self._folder = base
        self._recorder: SessionRecorder | None = None
        self._finisher = ThreadPoolExecutor(1, "finish recording")
        self._finishing: list[Future[RecordingOutcome]] = []
        versions()  # so that the first start takes no longer than the others

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(error)
        self._finisher.shutdown()
        self._collect()

    @property
    def is_on(self) -> bool:
        """True while a recording is running."""
        return self._recorder is not None

    def toggle(self) -> None:
        """Start if there is no recording, otherwise stop."""
        if self.is_on:
            self.stop()
        else:
            self.start()

    def start(self) -> list[Update]:
        """Begin a recording in a new folder; return the updates from before with which it begins.

        A recording that follows another at once begins where that one ended.
        """
        upstream = ChainMap(self._source.drops, self._monitor.drops)
        before, drops_before = self._recent.take(upstream)
        before_s = before[-1].frame.t_s - before[0].frame.t_s if before else 0.0
        self._folder = new_session_folder(self._base, session_folder_name(datetime.now()))
        try:
            self._recorder = SessionRecorder(
                self._folder,
                self._monitor.spec,
                self._monitor.describe(self._source) | {"before_s": round(before_s, 3)},
                frame_painter(self._monitor, blur_faces=self._contents.blur_faces),
                wait=False,
                contents=self._contents,
                upstream_drops=upstream,
                before=before,
                drops_before=drops_before,
                session_metadata=self._monitor.session_metadata,
                on_clip=partial(self._on_clip, self._folder),
            )
        except RecordingError as error:
            self._on_finished(RecordingOutcome(None, False, error))
            self._fail(error)
        else:
            since = f", with the last {before_s:.1f} s" if before else ""
            self._notify(f"Recording to {self._folder}{since}.")
        return before

    def write(self, update: Update) -> None:
        """Record one update, if the recording is on; and report failures of earlier recordings."""
        self._collect()
        if self._recorder is None:
            self._recent.add(update, ChainMap(self._source.drops, self._monitor.drops))
        else:
            try:
                self._recorder.write(update)
            except RecordingError as error:
                self._recorder = None  # it has ended by itself
                self._fail(error)
                self._finisher.submit(
                    self._on_finished, RecordingOutcome(self._folder, False, error)
                )

    def stop(self, error: BaseException | None = None) -> None:
        """End the recording, if it is on.

        `error`: the error that ended the run, if it failed.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._notify(f"Finishing {self._folder}.")
            work = self._finisher.submit(self._finish, recorder, self._folder, error)
            self._finishing.append(work)

    def _finish(
        self, recorder: SessionRecorder, folder: Path, error: BaseException | None
    ) -> RecordingOutcome:
        """Close a recording and make its report and exports. Runs on a thread of its own."""
        try:
            recorder.close(error)
        except RecordingError as problem:
            finished = RecordingOutcome(folder, False, problem)
        else:
            finished = RecordingOutcome(folder, True, self._write_report(folder))
        self._on_finished(finished)
        return finished

    def _write_report(self, folder: Path) -> RecordingError | None:
        """Make the report and exports that are wanted; return the error if that failed."""
        if not self._report and not self._formats:
            return None
        why = finish_in_subprocess(folder, self._formats, report=self._report)
        if why is None:
            return None
        return RecordingError(
            f"The recording in {folder} is whole, but its report or exports could not be made "
            f"({why}); make them with `stream.py report {folder}`."
        )

    def _collect(self) -> None:
        """Take over the outcomes of recordings that were finished."""
        for work in [work for work in self._finishing if work.done()]:
            self._finishing.remove(work)
            finished = work.result()
            if finished.folder is not None and finished.is_whole:
                self.folders.append(finished.folder)
            if finished.failure is not None:
                self._fail(finished.failure)

    def _fail(self, error: RecordingError) -> None:
        self.failure = self.failure or error
        self._notify(str(error))
