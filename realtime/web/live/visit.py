"""One visit: an open page, its run of the monitor, and its files."""

from __future__ import annotations

import asyncio
import logging
import threading
from itertools import count
from pathlib import Path
from typing import Literal

from realtime.errors import KilasError
from realtime.web.limits import RECORDING_S
from realtime.web.live import protocol
from realtime.web.live.admission import AdmissionQueue
from realtime.web.live.model_pool import ModelPool
from realtime.web.live.outbox import Outbox
from realtime.web.live.protocol import (
    DisplaySettings,
    Hello,
    PageMessage,
    Picture,
    ProtocolError,
    Recalibrate,
    Record,
    Set,
    Start,
    Stop,
)
from realtime.web.live.run import LiveRun
from realtime.web.live.visit_files import VisitFiles

log = logging.getLogger(__name__)

END_S = 120.0
"""Longest wait at the end of a visit for its last recording; no visitor waits for it."""

STOP_S = 10.0
"""Longest wait for a run to stop: a frame under way takes milliseconds."""

DEFECT = "The monitor stopped because of a defect, which the server has noted; start it again."

_State = Literal["idle", "queued", "running", "ended"]
"""State of a visit. `ended`: the run ended by itself, and the page may not know it yet."""


class Visit:
    """Visit of one page, across sockets that come and go. Belongs to one event loop.

    `handle` and `put_picture` take the page's messages, in their order; messages to the page go
    into `outbox`, which also cuts off a page that breaks the protocol.
    """

    def __init__(
        self,
        visit_id: str,
        visitor: str,
        folder: Path,
        models: ModelPool,
        admission: AdmissionQueue,
        *,
        max_faces: int,
        before_s: float,
        recording_s: float = RECORDING_S,
    ) -> None:
        """Begin a visit.

        `visitor`: whom it belongs to. `folder`: for its files, made with the first of them.
        """
        self.id = visit_id
        self.visitor = visitor
        self.files = VisitFiles(visit_id, folder)
        self.outbox = Outbox()
        self.is_connected = False
        self._models = models
        self._admission = admission
        self._max_faces = max_faces
        self._before_s = before_s
        self._recording_s = recording_s
        self._event_ids = count(1)
        self._recording_slot = threading.Semaphore(1)
        self._state: _State = "idle"
        self._settings = DisplaySettings()
        self._task: asyncio.Task[None] | None = None
        self._run: LiveRun | None = None
        self._unfinished: set[LiveRun] = set()

    @property
    def is_blank(self) -> bool:
        """True if nothing was ever run, so that nothing would be lost with the visit."""
        return self._task is None

    def join(self) -> None:
        """Greet a new socket of the page."""
        self.is_connected = True
        run = self._run
        self.outbox.greet(
            protocol.welcome(
                self.id,
                running=run is not None,
                recording=run is not None and run.is_recording,
            )
        )
        if run is not None:
            run.camera.go_on()
            run.send_started()

    def leave(self) -> None:
        """Handle the loss of the page's socket: leave the queue for a place; pause a run."""
        self.is_connected = False
        if self._run is not None:
            self._run.camera.pause()
        elif self._task is not None:
            self._task.cancel()

    def stop_soon(self) -> None:
        """Stop the run without waiting for it: nobody is there any more."""
        if self._run is not None:
            self._run.stop()

    async def handle(self, message: PageMessage) -> None:
        """Carry out a message of the page.

        Returns after `Stop` once the run has stopped. Raises ProtocolError for a message that must
        not be sent now.
        """
        match message:
            case Start():
                self._start(message)
            case Stop():
                await self._stop()
            case Set(settings):
                self._check_order("queued", "running")
                if self._run is None:
                    self._settings = self._settings.then(settings)
                else:
                    protocol.check_classes(settings, self._run.labels)
                    self._run.change(settings)
            case Record(on):
                self._check_order("running")
                if self._run is not None:
                    self._run.record(on)
            case Recalibrate():
                self._check_order("running")
                if self._run is not None:
                    self._run.recalibrate()
            case Hello():
                raise ProtocolError("hello was sent twice")

    def put_picture(self, picture: Picture) -> None:
        """Take the next picture of the page's camera. Raises ProtocolError as `handle` does."""
        self._check_order("running")
        if self._run is not None:
            if not self._run.has_started:
                raise ProtocolError("a frame came before started was sent")
            self._run.camera.put(picture)

    async def end(self, within_s: float = END_S) -> None:
        """Stop the run, and remove the files once the last recording is finished.

        Waits no longer than `within_s` for the recording.
        """
        self.leave()
        await self._stop_run()
        if self._unfinished:
            await asyncio.wait(
                [asyncio.wrap_future(run.finished) for run in self._unfinished], timeout=within_s
            )
        self.outbox.close()
        await asyncio.to_thread(self.files.remove)

    def _check_order(self, *states: _State) -> None:
        """Check that a message may come in these states. Raises ProtocolError.

        A message that was under way when a run ended by itself is no fault.
        """
        if self._state not in (*states, "ended"):
            raise ProtocolError("a message came while nothing was started")

    def _start(self, start: Start) -> None:
        if self._state in ("queued", "running"):
            raise ProtocolError("start was sent twice")
        if start.model not in self._models.names:
            raise ProtocolError("there is no such model")
        self._state = "queued"
        self._settings = start.settings
        self._task = asyncio.create_task(self._run_admitted(start.model))
        # Not at the end of the task, which does not even begin if it is cancelled at once.
        self._task.add_done_callback(self._on_end)

    async def _stop(self) -> None:
        if self._state in ("queued", "running"):
            await self._stop_run()
        else:
            self.outbox.put(protocol.stopped(None))
        if self._state == "ended":
            self._state = "idle"

    async def _stop_run(self) -> None:
        if self._task is None:
            return
        if self._run is not None:
            self._run.stop()
        else:
            self._task.cancel()
        _, unfinished = await asyncio.wait([self._task], timeout=STOP_S)
        if unfinished:
            log.warning("A visitor's run does not end; its place stays taken.")

    async def _run_admitted(self, name: str) -> None:
        """Wait for a place, run the monitor until it ends, and give the place back."""
        async with self._admission.admit(self._send_position):
            await self._run_monitor(name)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """Send that nothing runs any more, and why, if the page did not ask for it."""
        self._run = None
        self._state = "ended"
        why: str | None = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ProtocolError):
            self.outbox.fail(error)
        elif isinstance(error, KilasError):
            why = str(error)
        elif error is not None:
            log.error("A visitor's run failed.", exc_info=error)
            why = DEFECT
        self.outbox.put(protocol.stopped(why))

    async def _run_monitor(self, name: str) -> None:
        worker = await asyncio.to_thread(self._models.get, name)
        labels = worker.network.spec.labels
        protocol.check_classes(self._settings, labels)
        run = LiveRun(
            worker,
            self._models.macro,
            name,
            self._settings,
            self.files,
            self.outbox,
            self._event_ids,
            max_faces=self._max_faces,
            before_s=self._before_s,
            recording_slot=self._recording_slot,
            recording_s=self._recording_s,
        )
        self._run = run
        self._state = "running"
        self._unfinished.add(run)
        finished = asyncio.wrap_future(run.finished)
        finished.add_done_callback(lambda _: self._unfinished.discard(run))
        run.begin()
        await asyncio.shield(asyncio.wrap_future(run.over))

    def _send_position(self, place: int) -> None:
        self.outbox.put(protocol.queued(place, self._admission.limit))
