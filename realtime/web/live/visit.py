"""One visit: a page that was opened, what it runs, and its files."""

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
"""How long the end of a visit waits for its last recording to be finished; nobody waits for it."""

STOP_S = 10.0
"""How long a run that was told to stop is waited for: a frame under way takes milliseconds."""

DEFECT = "The monitor stopped because of a defect, which the server has noted; start it again."

_State = Literal["idle", "queued", "running", "ended"]
"""`ended`: the run ended by itself, and the page may not have heard of it yet."""


class Visit:
    """Follows one page, across sockets that come and go. Belongs to one event loop.

    `hear` and `see` take what the page says, in its order; what is to be told to the page stands
    in `outbox`, and a page that has to be cut off is so by it.
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
        recording_s: float = RECORDING_S,
    ) -> None:
        """`visitor`: who it belongs to. `folder`: for its files, made with the first of them."""
        self.id = visit_id
        self.visitor = visitor
        self.files = VisitFiles(visit_id, folder)
        self.outbox = Outbox()
        self.is_connected = False
        self._models = models
        self._admission = admission
        self._max_faces = max_faces
        self._recording_s = recording_s
        self._event_ids = count(1)
        self._recording_slot = threading.Semaphore(1)
        self._state: _State = "idle"
        self._wishes = DisplaySettings()
        self._going: asyncio.Task[None] | None = None
        self._run: LiveRun | None = None
        self._unfinished: set[LiveRun] = set()

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever run, so that nothing would be lost with the visit."""
        return self._going is None

    def join(self) -> None:
        """A socket of the page is there: greet it."""
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
            run.tell_start()

    def leave(self) -> None:
        """The page's socket is gone. Who waits for a place leaves the queue; a run waits."""
        self.is_connected = False
        if self._run is not None:
            self._run.camera.pause()
        elif self._going is not None:
            self._going.cancel()

    def stop_soon(self) -> None:
        """Stop what runs, without waiting for it: nobody is there any more."""
        if self._run is not None:
            self._run.stop()

    async def hear(self, message: PageMessage) -> None:
        """Do what a message asks. Returns once a run that was told to stop has stopped. Raises
        ProtocolError for what may not be said now."""
        match message:
            case Start():
                self._start(message)
            case Stop():
                await self._stop()
            case Set(wishes):
                self._check_order("queued", "running")
                if self._run is None:
                    self._wishes = self._wishes.then(wishes)
                else:
                    protocol.check_classes(wishes, self._run.labels)
                    self._run.change(wishes)
            case Record(on):
                self._check_order("running")
                if self._run is not None:
                    self._run.record(on)
            case Recalibrate():
                self._check_order("running")
                if self._run is not None:
                    self._run.recalibrate()
            case Hello():
                raise ProtocolError("hello was said twice")

    def see(self, picture: Picture) -> None:
        """Take the next picture of the page's camera. Raises ProtocolError as `hear` does."""
        self._check_order("running")
        if self._run is not None:
            if not self._run.has_started:
                raise ProtocolError("a frame came before started was said")
            self._run.camera.put(picture)

    async def end(self, within_s: float = END_S) -> None:
        """Stop what runs, and remove the files once the last recording is finished, or after
        `within_s`."""
        self.leave()
        await self._stop_run()
        if self._unfinished:
            await asyncio.wait(
                [asyncio.wrap_future(run.finished) for run in self._unfinished], timeout=within_s
            )
        self.outbox.close()
        await asyncio.to_thread(self.files.remove)

    def _check_order(self, *states: _State) -> None:
        """What was under way when a run ended by itself is no fault."""
        if self._state not in (*states, "ended"):
            raise ProtocolError("a message came while nothing was started")

    def _start(self, start: Start) -> None:
        if self._state in ("queued", "running"):
            raise ProtocolError("start was said twice")
        if start.model not in self._models.names:
            raise ProtocolError("there is no such model")
        self._state = "queued"
        self._wishes = start.wishes
        self._going = asyncio.create_task(self._go(start.model))
        # Not at the end of the task, which does not even begin if it is cancelled at once.
        self._going.add_done_callback(self._over)

    async def _stop(self) -> None:
        if self._state in ("queued", "running"):
            await self._stop_run()
        else:
            self.outbox.put(protocol.stopped(None))
        if self._state == "ended":
            self._state = "idle"

    async def _stop_run(self) -> None:
        if self._going is None:
            return
        if self._run is not None:
            self._run.stop()
        else:
            self._going.cancel()
        _, going = await asyncio.wait([self._going], timeout=STOP_S)
        if going:
            log.warning("A visitor's run does not end; its place stays taken.")

    async def _go(self, name: str) -> None:
        """Wait for a place, run the monitor until it is over, give the place back."""
        async with self._admission.admit(self._tell_place):
            await self._monitor(name)

    def _over(self, going: asyncio.Task[None]) -> None:
        """Tell the page that nothing runs any more, and why, if it did not ask for it."""
        self._run = None
        self._state = "ended"
        why: str | None = None
        error = None if going.cancelled() else going.exception()
        if isinstance(error, ProtocolError):
            self.outbox.fail(error)
        elif isinstance(error, KilasError):
            why = str(error)
        elif error is not None:
            log.error("A visitor's run failed.", exc_info=error)
            why = DEFECT
        self.outbox.put(protocol.stopped(why))

    async def _monitor(self, name: str) -> None:
        worker = await asyncio.to_thread(self._models.get, name)
        labels = worker.network.spec.labels
        protocol.check_classes(self._wishes, labels)
        run = LiveRun(
            worker,
            self._models.macro,
            name,
            self._wishes,
            self.files,
            self.outbox,
            self._event_ids,
            max_faces=self._max_faces,
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

    def _tell_place(self, place: int) -> None:
        self.outbox.put(protocol.queued(place, self._admission.limit))
