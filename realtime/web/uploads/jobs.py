"""Videos that visitors upload: analysed one at a time by a process of its own, shown, removed.

The process has a low priority, so that live visitors keep the processor, and can be ended at
any moment. Whatever an upload leaves lies below one folder of its own, which goes when its visitor
leaves, cancels or uploads the next, when nobody looked at it for an hour, and with the server.
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
from realtime.sources.video_file import VideoFile
from realtime.types import Source, Update
from realtime.web.limits import IDLE_S, MAX_VIDEO_S
from realtime.web.session_zip import pack

RECEIVED_S = 600.0
"""After which a video is removed that was received, or is half here, and that no page takes: pages
do so at once, and a transfer that stood still so long is not going on."""

SWEEP_S = 60.0
"""Between two looks for such files."""

MAX_KEPT = 3
"""Sessions of one visitor, who may have several pages open; the oldest goes for the next."""

TOLD_EVERY_S = 0.25
"""Between two words of the process about how far it is."""

NICENESS = 10
"""Where there is not enough for both, a tenth of what live pictures get: at 19 it was 1.5 %, and an
analysis did not end."""

OOM_SCORE = "1000"
"""Linux then ends this process before any other when memory runs out."""

END_S = 5.0
"""Longest wait for a process that was killed."""

REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'self'"
"""Beside the policy in the report itself: it is shown as a page of nowhere, which reaches nothing
of this server, also when it is opened by itself."""

Owner = tuple[str, str]
"""A visitor, and one page that they have open."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far an analysis is. `share` done, 0 to 1, and `left_s` are None where nobody knows how
    long the video is; `frames` is 0 until the first is through."""

    frames: int
    t_s: float
    frame_count: int | None
    duration_s: float | None
    share: float | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Finishing:
    """Every frame is through; the report is being made."""


NOT_BEGUN = Step(0, 0.0, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Analysed:
    """An analysis that is done. `files`: their addresses on this server, by what they are:
    `report`, `zip`, `scores` and `events`."""

    name: str
    event_count: int
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Failed:
    words: str


@dataclass(slots=True)
class _Upload:
    """`folder` holds the video, the session's folder and its zip. `process`: None until it has
    begun."""

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
    """What visitors have uploaded, by visitor and page. Any thread may call anything.

    `routes`: the files of finished sessions, each for the visitor who uploaded the video alone.
    """

    def __init__(self, folder: Path, received: Path, **options: Any) -> None:
        """`folder`: new, for everything here. `received`: where videos lie until they are taken;
        what stays there is removed. `options`: of `realtime.analysis.analyze`."""
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
        return [Route("/kilas/uploads/{upload}/{name}", self._answer)]

    def take(self, owner: Owner, received: Path) -> str:
        """Take over a file that was received, instead of what this page had. Returns its name.

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
            others = [key for key, one in self._uploads.items() if one.owner[0] == owner[0]]
        for key in others[:-MAX_KEPT]:
            self._remove(key)
        return received.name

    def analyse(self, owner: Owner) -> Iterator[Step | Finishing | Analysed]:
        """Analyse what this page uploaded: a step a few times a second, at last what came of it.

        Ends without that when the upload was dropped meanwhile. Raises KilasError with one
        sentence for the visitor when the video cannot be analysed; the upload is gone then.
        """
        upload = self._find(owner)
        if upload is None or upload.process is not None:
            return  # it was cancelled, or replaced while it waited for its turn, and is done with
        try:
            yield from self._run(upload.folder.name, upload)
        finally:
            upload.video.unlink(missing_ok=True)
            if not upload.is_done:
                self._remove(upload.folder.name)

    def drop(self, owner: Owner) -> None:
        """End and remove what this page has uploaded, if anything."""
        upload = self._find(owner)
        if upload is not None:
            self._remove(upload.folder.name)

    def close(self) -> None:
        """End and remove everything; may be called twice."""
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
                    news = receiver.recv()
                except EOFError:
                    break
                if isinstance(news, _Failed):
                    raise KilasError(news.words)
                if isinstance(news, Step | Finishing):
                    yield news
                    continue
                upload.is_done = True
                upload.looked_at_s = time.monotonic()
                yield Analysed(upload.video.stem, news, _addresses(upload_id, upload))
                return
        if upload_id in self._uploads:
            raise KilasError(
                f"The analysis of {upload.video.name} broke off, perhaps for want of memory; try a "
                "shorter or smaller video."
            )

    def _find(self, owner: Owner) -> _Upload | None:
        with self._lock:
            return next((one for one in self._uploads.values() if one.owner == owner), None)

    def _remove(self, upload_id: str) -> None:
        with self._lock:
            upload = self._uploads.pop(upload_id, None)
        if upload is None:
            return
        if upload.process is not None:
            upload.process.kill()
            upload.process.join(END_S)
        shutil.rmtree(upload.folder, ignore_errors=True)

    async def _answer(self, request: Request) -> FileResponse:
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
        """Remove what nobody has looked at for an hour, and videos that no page has taken."""
        now_s = time.monotonic()
        with self._lock:
            idle = [
                key
                for key, one in self._uploads.items()
                if now_s - one.looked_at_s > IDLE_S and (one.is_done or one.process is None)
            ]
        for upload_id in idle:
            self._remove(upload_id)
        for entry in list(self.received.iterdir()):
            with contextlib.suppress(OSError):  # somebody else was faster
                written_s = max(one.lstat().st_mtime for one in (entry, *entry.rglob("*")))
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
    """Says how far the analysis is, and ends one of a video that is too long."""

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
        if t_s > MAX_VIDEO_S:  # of a file that does not say how long it is, or lies
            raise _too_long(info.name)
        if now_s < self._next_s:
            return
        self._next_s = now_s + TOLD_EVERY_S
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
    """Make the session, its report and the zip of both. Runs in a process of its own; tells steps,
    and at last the count of events or why there is no session."""
    start_process(1, quiet=False)
    _give_way()
    sender.send(NOT_BEGUN)
    try:
        _look_at(video)
        # Here and not above: what is no video is told without waiting for them.
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
        sender.send(len(session.events))


def _look_at(video: Path) -> None:
    """Raises SourceError for what is no video, or too long."""
    with VideoFile(video) as source:
        if (source.info.duration_s or 0.0) > MAX_VIDEO_S:
            raise _too_long(source.info.name)


def _too_long(name: str) -> SourceError:
    return SourceError(
        f"{name} is longer than an hour; cut it into shorter videos, or use `stream.py analyze`."
    )


def _give_way() -> None:
    """To everything else that runs on this machine, as far as its system knows how."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
