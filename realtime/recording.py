"""The recording of a live run: on or off, and started anew in a folder of its own."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from realtime.errors import RecordingError
from realtime.overlay import Overlay
from realtime.recorder import SessionRecorder, new_session_folder, session_folder_name
from realtime.session import Monitor
from realtime.types import Source, Update


class Recording:
    """Records the updates of a live run while it is on.

    A recording that fails says so and ends; the run goes on, and what was recorded stays.
    `failure` is the first that happened. Belongs to one thread; use as a context manager.
    """

    def __init__(
        self,
        monitor: Monitor,
        source: Source,
        base: Path,
        say: Callable[[str], None],
        *,
        keep_clean: bool = False,
    ) -> None:
        """`base`: where each recording gets a folder of its own. `say` tells the user where a
        recording goes, and why one ended."""
        self.failure: RecordingError | None = None
        self._monitor = monitor
        self._source = source
        self._base = base
        self._say = say
        self._keep_clean = keep_clean
        self._recorder: SessionRecorder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(error)

    @property
    def is_on(self) -> bool:
        return self._recorder is not None

    def toggle(self) -> None:
        """Start if there is no recording, otherwise stop."""
        if self.is_on:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Begin a recording in a new folder."""
        folder = new_session_folder(self._base, session_folder_name(datetime.now()))
        try:
            self._recorder = SessionRecorder(
                folder,
                self._monitor.spec,
                self._monitor.describe(self._source),
                Overlay(self._monitor.spec).paint,
                wait=False,
                keep_clean=self._keep_clean,
                upstream_drops=ChainMap(self._source.drops, self._monitor.drops),
            )
        except RecordingError as error:
            self._fail(error)
        else:
            self._say(f"Recording to {folder}.")

    def write(self, update: Update) -> None:
        """Record one update, if the recording is on."""
        if self._recorder is not None:
            try:
                self._recorder.write(update)
            except RecordingError as error:
                self._fail(error)

    def stop(self, error: BaseException | None = None) -> None:
        """Finish the recording, if it is on. `error`: what ended the run, if it failed."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            try:
                recorder.close(error)
            except RecordingError as problem:
                self._fail(problem)

    def _fail(self, error: RecordingError) -> None:
        self._recorder = None
        self.failure = self.failure or error
        self._say(str(error))
