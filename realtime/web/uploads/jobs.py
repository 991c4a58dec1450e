"""Analysis of uploaded videos, one at a time, each in a process of its own.

The process has a low priority, so that live visitors keep the processor, and can be ended at
any moment. All files of an upload lie below one folder of its own, which is removed when its
visitor leaves, cancels or uploads the next video, when nobody looked at it for an hour, and with
the server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from realtime.errors import KilasError, SourceError
from realtime.parallel.process_pool import start_process
from realtime.session.layout import EVENTS_FILE, REPORT_FILE, SCORES_FILE
from realtime.session.losses import losses_text
from realtime.sources.video_file import VideoFile
from realtime.types import Source, Update
from realtime.web.limits import IDLE_S, MAX_VIDEO_S
from realtime.web.session_zip import pack

RECEIVED_S = 600.0
"""Time after which a received or incomplete video that no page takes is removed: pages take videos
at once, and a transfer that made no progress for so long has ended."""

SWEEP_S = 60.0
"""Time between two searches for idle uploads and videos."""

MAX_KEPT = 3
"""Most sessions of one visitor, who may have several pages open; the oldest is removed first."""

PROGRESS_EVERY_S = 0.25
"""Time between two progress messages of the process."""

NICENESS = 10
"""Nice value of the process: on a busy processor, it gets a tenth of what live pictures get; at 19
it was 1.5 %, and an analysis did not end."""

OOM_SCORE = "1000"
"""Score with which Linux ends this process before any other when memory runs out."""

END_S = 5.0
"""Longest wait for a process that was killed."""

REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'"
"""Policy of a report besides the policy in the report itself: the browser gives it an origin of its
own, without access to this server, also when it is opened by itself."""

Owner = tuple[str, str]
"""A visitor and one of their open pages."""


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of an analysis.

    `frames`: frames that were analysed. `share`: part that is done, 0 to 1. `left_s`: time left.
    Both are None where the length of the video is not known.
    """

    frames: int
    t_s: float
    frame_count: int | None
    duration_s: float | None
    share: float | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Finishing:
    """Progress when all frames were analysed and the report is being made."""


NOT_BEGUN = Step(0, 0.0, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Analysed:
    """Finished analysis.

    `losses`: text on the video's lost frames, empty if none was lost. `files`: addresses of the
    session's files on this server, by kind: `report`, `zip`, `scores` and `events`.
    """

    name: str
    event_count: int
    losses: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Failed:
    message: str


@dataclass(frozen=True, slots=True)
class _Done:
    event_count: int
    losses: str


@dataclass(slots=True)
class _Upload:
    """An uploaded video.

    `folder` holds the video, the session's folder and its zip. `process`: None until the analysis
    has begun.
    """

    owner: Owner
    folder: Path  # its name is the upload's id
    video: Path
    looked_at_s: float = field(default_factory=time.monotonic)
    process: BaseProcess | None = None
    is_done: bool = False

    @property
    def session(self) -> Path:
        return self.folder / "session" / self.video.stem

    @property
    def zip(self) -> Path:
        return self.folder / f"{self.video.stem}.zip"


class AnalysisJobs:
    """Uploads of all visitors and their analyses. Any thread may call any method."""

    def __init__(self, folder: Path, received: Path, **options: Any) -> None:
        """Keep all uploads below `folder`, which must not exist yet.

        `received`: where videos lie until a page takes them; videos that stay there are removed.
        `options`: of `realtime.analysis.analyze`.
        """
        self.folder = folder
        self.received = received
        self._options = options
        self._lock = threading.Lock()  # guards _uploads
        self._uploads: dict[str, _Upload] = {}
        self._closing = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_on, name="sweep uploads", daemon=True)
        folder.mkdir()
        self._sweeper.start()

    @property
    def routes(self) -> list[Route]:
        """Routes of the files of finished sessions, each for the visitor who uploaded the video."""
        return [Route("/kilas/uploads/{upload}/{name}", self._send_file)]

    def take(self, owner: Owner, received: Path) -> str:
        """Take over a received file in place of the upload that this page had; return its name.

        Raises KilasError if the file is gone.
        """
        self.drop(owner)
        upload_id = secrets.token_urlsafe(16)
        folder = self.folder / upload_id
        upload = _Upload(owner, folder, folder / "video" / received.name)
        upload.video.parent.mkdir(parents=True)
        try:
            received.rename(upload.video)
        except FileNotFoundError as error:
            shutil.rmtree(folder)
            raise KilasError(f"{received.name} did not arrive whole; choose it again.") from error
        with self._lock:
            self._uploads[upload_id] = upload
            others = [key for key, other in self._uploads.items() if other.owner[0] == owner[0]]
        for key in others[:-MAX_KEPT]:
            self._remove(key)
        return received.name

    def analyse(self, owner: Owner) -> Iterator[Step | Finishing | Analysed]:
        """Analyse the video of this page; yield its progress a few times a second, then the result.

        Ends without a result when the upload was dropped meanwhile. Raises KilasError with one
        sentence for the visitor when the video cannot be analysed; the upload is removed then.
        """
        upload = self._find(owner)
        if upload is None or upload.process is not None:
            return  # it was cancelled or replaced while it waited for its turn
        try:
            yield from self._run(upload.folder.name, upload)
        finally:
            upload.video.unlink(missing_ok=True)
            if not upload.is_done:
                self._remove(upload.folder.name)

    def drop(self, owner: Owner) -> None:
        """End and remove the upload of this page, if there is one."""
        upload = self._find(owner)
        if upload is not None:
            self._remove(upload.folder.name)

    def close(self) -> None:
        """End and remove all uploads; may be called twice."""
        self._closing.set()
        for upload_id in list(self._uploads):
            self._remove(upload_id)

    def _run(self, upload_id: str, upload: _Upload) -> Iterator[Step | Finishing | Analysed]:
        spawn = multiprocessing.get_context("spawn")
        receiver, sender = spawn.Pipe(duplex=False)
        process = spawn.Process(
            target=_analyse,
            args=(sender, upload.video, upload.session, upload.zip, self._options),
            name="analyse upload",
            daemon=True,
        )
        with receiver:
            with self._lock:  # whoever removes the upload must find the process
                if upload_id not in self._uploads:
                    return
                process.start()
                upload.process = process
            sender.close()  # so that the end of the process ends the pipe
            yield NOT_BEGUN
            while True:
                try:
                    message = receiver.recv()
                except EOFError:
                    break
                if isinstance(message, _Failed):
                    raise KilasError(message.message)
                if isinstance(message, Step | Finishing):
                    yield message
                    continue
                upload.is_done = True
                upload.looked_at_s = time.monotonic()
                addresses = _addresses(upload_id, upload)
                yield Analysed(upload.video.stem, message.event_count, message.losses, addresses)
                return
        if upload_id in self._uploads:
            raise KilasError(
                f"The analysis of {upload.video.name} broke off, perhaps for want of memory; try a "
                "shorter or smaller video."
            )

    def _find(self, owner: Owner) -> _Upload | None:
        with self._lock:
            return next((known for known in self._uploads.values() if known.owner == owner), None)

    def _remove(self, upload_id: str) -> None:
        with self._lock:
            upload = self._uploads.pop(upload_id, None)
        if upload is None:
            return
        if upload.process is not None:
            upload.process.kill()
            upload.process.join(END_S)
        shutil.rmtree(upload.folder, ignore_errors=True)

    async def _send_file(self, request: Request) -> FileResponse:
        upload = self._uploads.get(request.path_params["upload"])
        name = request.path_params["name"]
        is_theirs = upload is not None and upload.owner[0] == request.state.visitor
        if upload is None or not is_theirs or not upload.is_done:
            raise HTTPException(404, "This session was removed; upload the video again.")
        upload.looked_at_s = time.monotonic()
        if name == upload.zip.name:
            return FileResponse(upload.zip, filename=name)
        if name == REPORT_FILE:
            return FileResponse(
                upload.session / name, headers={"content-security-policy": REPORT_POLICY}
            )
        if name in (SCORES_FILE, EVENTS_FILE):
            return FileResponse(
                upload.session / name, media_type="text/csv", filename=f"{upload.video.stem}-{name}"
            )
        raise HTTPException(404, "There is nothing here.")

    def _sweep_on(self) -> None:
        while not self._closing.wait(SWEEP_S):
            self.sweep()

    def sweep(self) -> None:
        """Remove uploads that nobody looked at for an hour, and videos that no page has taken."""
        now_s = time.monotonic()
        with self._lock:
            idle = [
                key
                for key, upload in self._uploads.items()
                if now_s - upload.looked_at_s > IDLE_S
                and (upload.is_done or upload.process is None)
            ]
        for upload_id in idle:
            self._remove(upload_id)
        for entry in list(self.received.iterdir()):
            with contextlib.suppress(OSError):  # removed or renamed meanwhile
                written_s = max(path.lstat().st_mtime for path in (entry, *entry.rglob("*")))
                if time.time() - written_s <= RECEIVED_S:
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()  # Gradio leaves empty ones


def _addresses(upload_id: str, upload: _Upload) -> dict[str, str]:
    base = f"/kilas/uploads/{upload_id}"
    return {
        "report": f"{base}/{REPORT_FILE}",
        "zip": f"{base}/{quote(upload.zip.name)}",
        "scores": f"{base}/{SCORES_FILE}",
        "events": f"{base}/{EVENTS_FILE}",
    }


class _ProgressReporter:
    """Sender of an analysis's progress, which also ends it if the video is too long."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender
        self._frames = 0
        self._first_s = self._started_s = 0.0
        self._next_s = 0.0

    def __call__(self, source: Source, update: Update) -> None:
        now_s = time.monotonic()
        if self._frames == 0:
            self._first_s, self._started_s = update.frame.t_s, now_s
        self._frames += 1
        info, t_s = source.info, update.frame.t_s - self._first_s
        if t_s > MAX_VIDEO_S:  # of a file without a duration, or with a wrong one
            raise _too_long(info.name)
        if now_s < self._next_s:
            return
        self._next_s = now_s + PROGRESS_EVERY_S
        share = None
        if info.frame_count:
            share = min(1.0, self._frames / info.frame_count)
        elif info.duration_s:
            share = min(1.0, t_s / info.duration_s)
        left_s = (now_s - self._started_s) * (1 / share - 1) if share else None
        self._sender.send(Step(self._frames, t_s, info.frame_count, info.duration_s, share, left_s))


def _analyse(
    sender: Connection, video: Path, folder: Path, packed: Path, options: Mapping[str, Any]
) -> None:
    """Make the session, its report and the zip of both, in a process of its own.

    Sends the progress, then the number of events and a text on lost frames, or the reason why there
    is no session.
    """
    start_process(1, quiet=False)
    _lower_priority()
    sender.send(NOT_BEGUN)
    try:
        _check_video(video)
        # Here and not above: a file that is no video is refused without waiting for these imports.
        from realtime.analysis import analyze
        from realtime.reports.session_report import write_report

        session = analyze(video, folder, on_update=_ProgressReporter(sender), **options)
        if not session.scores["success"].any():
            raise SourceError(
                f"No face was found in {video.name}; film one from the front, in even light and "
                "at least 80 pixels high."
            )
        sender.send(Finishing())
        write_report(folder)
        pack(folder, packed)
    except KilasError as error:
        # The visitor knows the video by its name, and nothing of this machine's folders.
        sender.send(_Failed(str(error).replace(str(video), video.name)))
    else:
        losses = losses_text(session.facts.get("drops", {}), int(session.scores["frame"].nunique()))
        sender.send(_Done(len(session.events), losses))


def _check_video(video: Path) -> None:
    """Check that the file is a video and not too long. Raises SourceError."""
    with VideoFile(video) as source:
        if (source.info.duration_s or 0.0) > MAX_VIDEO_S:
            raise _too_long(source.info.name)


def _too_long(name: str) -> SourceError:
    return SourceError(
        f"{name} is longer than an hour; cut it into shorter videos, or use `stream.py analyze`."
    )


def _lower_priority() -> None:
    """Lower this process's priority below all else on this machine, as far as its system can."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
