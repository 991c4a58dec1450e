"""One run of the monitor over a visitor's camera, from start to stop, in a thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count

from realtime.errors import RecordingError
from realtime.inference.model import Model
from realtime.inference.worker import InferenceWorker
from realtime.macro.model import MacroModel
from realtime.monitor import Monitor
from realtime.recording.live_recording import Recording, RecordingOutcome
from realtime.recording.recovery import finish_in_subprocess
from realtime.run_status import RunMeter, RunStatus
from realtime.spotting.sensitivity import USUAL
from realtime.types import Float32Array, Update
from realtime.web.limits import RECORDING_S
from realtime.web.live import protocol
from realtime.web.live.browser_camera import BrowserCamera
from realtime.web.live.event_clips import EventClips
from realtime.web.live.face_lines import draw_face
from realtime.web.live.outbox import Outbox
from realtime.web.live.protocol import DisplaySettings
from realtime.web.live.visit_files import SESSIONS_KEPT, VisitFiles, reason

log = logging.getLogger(__name__)

CHANGE_EVERY_S = 0.2
"""Least time between two changes of the sensitivity, of which a slider makes many: a session states
each that lasts."""

NO_REPORT = "It has no report, which could not be made."


@dataclass(slots=True)
class _Controls:
    """Requests of the visitor since the last frame."""

    settings: DisplaySettings | None = None
    record: bool | None = None
    recalibrate: bool = False


class LiveRun:
    """Run of a monitor: camera to scores, messages, recording and clips.

    `change`, `record`, `recalibrate`, `stop` and `send_started` may be called by any thread and
    never wait. `over` is done once the monitor is closed, with the error that ended it, if one
    did; `finished` once the clips and the recording are finished too, and the run's files are
    all there.
    """

    def __init__(
        self,
        worker: InferenceWorker[Model],
        macro: MacroModel | None,
        name: str,
        settings: DisplaySettings,
        files: VisitFiles,
        outbox: Outbox,
        event_ids: count[int],
        *,
        max_faces: int,
        before_s: float,
        recording_slot: threading.Semaphore,
        recording_s: float = RECORDING_S,
    ) -> None:
        """Prepare a run of the monitor; `begin` starts it.

        `name`: of the model, as the page asked for it. `event_ids`: numbers for the visit's events.
        `recording_slot`: held from the beginning of a recording until it is packed.
        """
        self.camera = BrowserCamera()
        self.has_started = False
        """True once the page may send its pictures."""
        self.is_recording = False
        self.over: Future[None] = Future()
        self.finished: Future[None] = Future()
        self._worker = worker
        self._macro = macro
        self._name = name
        self._settings = settings
        self._files = files
        self._outbox = outbox
        self._event_ids = event_ids
        self._max_faces = max_faces
        self._before_s = before_s
        self._recording_slot = recording_slot
        self._recording_s = recording_s
        self._record_until_s = 0.0
        self._next_change_s = 0.0
        self._clips: EventClips  # from the first frame on
        self._attention: dict[int, Float32Array] = {}
        self._lock = threading.Lock()  # guards what follows
        self._requests = _Controls()
        self._thread = threading.Thread(target=self._run, name="visitor", daemon=True)

    # The page's side.

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model."""
        return self._worker.network.spec.labels

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def change(self, settings: DisplaySettings) -> None:
        """Change settings, from the next frame on."""
        with self._lock:
            self._requests.settings = (self._requests.settings or DisplaySettings()).then(settings)

    def record(self, on: bool) -> None:
        """Begin or end a recording with the next frame."""
        with self._lock:
            self._requests.record = on

    def recalibrate(self) -> None:
        """Take the faces as they are from the next frame on for neutral."""
        with self._lock:
            self._requests.recalibrate = True

    def stop(self) -> None:
        """End the run before its next frame."""
        self.camera.stop()

    def send_started(self) -> None:
        """Send `started`, so that the page sends its pictures, unless it does already."""
        if self.has_started and self.camera.is_untouched:
            model = self._worker.network
            self._outbox.put(
                protocol.started(
                    model.spec,
                    None if self._macro is None else self._macro.spec.labels,
                    self._name,
                    model.device,
                    has_attention=model.has_attention,
                )
            )

    # The run's own thread.

    def _run(self) -> None:
        with ExitStack() as finishing:  # what is finished once the place is free again
            finishing.callback(self.finished.set_result, None)
            try:
                self._process(finishing)
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits for `over`
                self.over.set_exception(error)
            else:
                self.over.set_result(None)

    def _process(self, finishing: ExitStack) -> None:
        macro = self._macro or False
        with Monitor(self._worker, max_faces=self._max_faces, macro=macro) as monitor:
            self._apply(monitor, self._settings)
            self.has_started = True
            self.send_started()
            with self.camera as camera:
                self._clips = EventClips(
                    monitor.spec.labels,
                    monitor.spec.spotting.max_s,
                    self._files,
                    self._outbox,
                    self._event_ids,
                )
                recording = finishing.enter_context(
                    Recording(
                        monitor,
                        camera,
                        self._files.sessions_folder,
                        log.info,
                        before_s=self._before_s,
                        on_finished=self._send_recorded,
                        on_clip=self._clips.take_recorded,
                    )
                )
                finishing.callback(self._clips.close)  # before the recording's report is made
                camera.on_idle = partial(self._apply_requests, monitor, recording)
                meter = RunMeter(
                    camera, monitor.spec.rate_hz, monitor.model.device, lambda: monitor.drops
                )
                try:
                    for update in monitor.updates(camera):
                        self._send_update(monitor, update, meter.measure(update))
                        self._apply_requests(monitor, recording)
                        self._clips.add(update, is_recorded=recording.is_on)
                        recording.write(update)
                finally:
                    self._end_recording(recording, error=sys.exception())

    def _apply(self, monitor: Monitor, settings: DisplaySettings) -> None:
        self._settings = settings
        overall = USUAL if settings.sensitivity is None else settings.sensitivity
        monitor.set_sensitivity(overall, settings.classes)
        monitor.wants_attention = bool(settings.heat_map)
        if not settings.heat_map:
            self._attention.clear()

    def _apply_requests(self, monitor: Monitor, recording: Recording) -> None:
        """Carry out the requests since the last frame."""
        now_s = time.monotonic()
        with self._lock:
            requests, self._requests = self._requests, _Controls()
            if now_s < self._next_change_s:
                self._requests.settings, requests.settings = requests.settings, None
        if requests.settings is not None:
            self._next_change_s = now_s + CHANGE_EVERY_S
            self._apply(monitor, self._settings.then(requests.settings))
        if requests.recalibrate:
            monitor.recalibrate()
            self._outbox.put(protocol.notice("keep a neutral face for 2 s"))
        if requests.record is False:
            self._end_recording(recording)
        elif requests.record and not recording.is_on:
            self._begin_recording(recording)
        elif recording.is_on and now_s > self._record_until_s:
            self._end_recording(
                recording,
                f"The recording has ended after {self._recording_s / 60:.0f} minutes; "
                "start another to go on.",
            )

    def _send_update(self, monitor: Monitor, update: Update, status: RunStatus) -> None:
        for scores in update.scores:
            if scores.attention is not None and self._settings.heat_map:
                self._attention[scores.face_id] = scores.attention
        faces = [
            draw_face(
                monitor.spec,
                face,
                update.states.get(face.face_id, "warming up"),
                self._attention.get(face.face_id),
            )
            for face in update.faces
        ]
        self._attention = {
            face_id: attention
            for face_id, attention in self._attention.items()
            if face_id in update.states
        }
        self._outbox.put(
            protocol.update(
                self.camera.seq,
                update.frame.t_s,
                faces,
                map(protocol.score, update.scores),
                map(protocol.score, update.macro),
                status,
            )
        )

    # Recording

    def _begin_recording(self, recording: Recording) -> None:
        if self._files.is_full:
            self._outbox.put(
                protocol.notice(
                    f"This visit has {SESSIONS_KEPT} recordings already; download them, and load "
                    "the page again to make more."
                )
            )
        elif not self._recording_slot.acquire(blocking=False):
            self._outbox.put(
                protocol.notice("The last recording is still being finished; wait a moment.")
            )
        else:
            self._clips.begin_recording(recording.start())
            if recording.is_on:
                self.is_recording = True
                self._record_until_s = time.monotonic() + self._recording_s
                self._outbox.put(protocol.recording("on"))

    def _end_recording(
        self,
        recording: Recording,
        text: str | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        if recording.is_on:
            self.is_recording = False
            self._outbox.put(protocol.recording("finishing", text=text))
            recording.stop(error)

    def _send_recorded(self, finished: RecordingOutcome) -> None:
        """Pack a finished recording and send its state.

        Called by the thread that finishes recordings, or by the run's own if a recording could not
        begin.
        """
        self.is_recording = False
        self._clips.end_recording()
        message = self._pack(finished)
        self._recording_slot.release()
        self._outbox.put(message)

    def _pack(self, finished: RecordingOutcome) -> protocol.Json:
        """Make a download of a recording, complete or cut off; return the message about it."""
        folder, failure = finished.folder, finished.failure
        if folder is None:
            text = f"Nothing can be recorded, because {_cut_off_reason(failure)}."
            return protocol.recording("failed", text=text)
        text = "" if failure is None else NO_REPORT
        if not finished.is_whole:
            log.warning("A visitor's recording was cut off.", exc_info=failure)
            text = f"was cut off, because {_cut_off_reason(failure)}."
            self._outbox.put(protocol.recording("finishing", text=f"The recording {text}"))
            text = f"It {text}"
            if (problem := finish_in_subprocess(folder)) is not None:
                log.warning("A recording that was cut off has no report: %s", problem)
                text += f" {NO_REPORT}"
        try:
            url = self._files.add_session(folder)
        except OSError as error:
            text = f"The recording cannot be downloaded, because {reason(error)}."
            return protocol.recording("failed", text=text)
        return protocol.recording("ready", folder.name, url, text or None)


def _cut_off_reason(failure: RecordingError | None) -> str:
    """Return why a recording ended by itself, without a name of the server's folders."""
    cause = None if failure is None else failure.__cause__
    if cause is None or isinstance(cause, OSError):
        return reason(failure)
    return "of a defect, which the server has noted"
