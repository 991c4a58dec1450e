"""Upload handler: one video a request, each in a folder of its own, within a limit on disk space.

Gradio's own handler takes any number of files in one request, gives the same file to all who sent
the same video, and leaves the files of broken uploads behind. And it takes any path of this machine
and any address of another machine for a received file, unless Gradio itself started the server.
This module replaces both.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from gradio.route_utils import GradioMultiPartParser, MultiPartException
from gradio.routes import file_upload_statuses
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from realtime.storage.durable_file import is_full
from realtime.web.limits import FORM_ROOM_BYTES
from realtime.web.paths import UPLOAD_PATH

ROOM_UPLOADS = 8
"""Disk space for uploads, in videos of the largest size, their sessions and videos on their way
included: two or three visitors with an hour each, or a few dozen with minutes."""

LEAST_ROOM_BYTES = 2**30
"""Least disk space for uploads, whatever the largest video: a hundred short videos and their
sessions."""

FREE_BYTES = 2**30
"""Disk space left to all else: recordings of live visitors, and sessions being made."""

MIN_BYTES = 2**20
"""Size that the smallest file counts as, so that there cannot be very many of them."""

NEVER_IN_NAMES = frozenset('<>:"/\\|?*')
"""Characters that Windows does not allow in file names."""

MAX_STEM_BYTES, MAX_SUFFIX = 200, 16
"""Longest stem in bytes and suffix in characters of a file name; most systems take 255 bytes, and
files made from the video get longer names."""

NO_ROOM = (
    "This server has no room for another video at the moment; close pages that you are done with, "
    "or try again in a few minutes."
)

NOT_HERE = "The video is not on this server any more; choose it again."


class UploadReceiver:
    """Receiver of videos below a folder. `holds` may be called in any thread."""

    def __init__(self, folder: Path, kept: Path, *, max_video_bytes: int) -> None:
        """Receive into `folder`. `kept`: another folder that counts against the same disk space."""
        self._folder = folder
        self._kept = kept
        self._max_video_bytes = max_video_bytes
        self._lock = threading.Lock()  # guards what follows
        self._arriving: dict[Path, int] = {}  # bytes to come, by the folder for them

    @property
    def route(self) -> Route:
        """Route of the page's upload requests."""
        return Route(UPLOAD_PATH, self._receive, methods=["POST"])

    def holds(self, path: str) -> bool:
        """Return True if a received video lies at exactly that path."""
        try:
            folder, name = Path(path).relative_to(self._folder).parts
            is_file = stat.S_ISREG(os.lstat(path).st_mode)
        except (ValueError, OSError):  # elsewhere, or nowhere
            return False
        return is_file and ".." not in (folder, name) and not (self._folder / folder).is_symlink()

    async def _receive(self, request: Request) -> Response:
        """Answer with the path of the received video, or with a sentence on why there is none.

        The page follows the progress by `upload_id`.
        """
        upload_id = request.query_params.get("upload_id")
        most = self._max_video_bytes + FORM_ROOM_BYTES
        byte_count = min(most, int(request.headers.get("content-length", most)))
        folder = self._folder / secrets.token_urlsafe(16)
        is_here = False
        try:
            if not await to_thread.run_sync(self._admit, folder, byte_count):
                return PlainTextResponse(NO_ROOM, 507)
            video = await self._store(request, folder, upload_id)
            is_here = video is not None
        except MultiPartException as error:
            return PlainTextResponse(error.message, 413 if "maximum" in error.message else 400)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except OSError as error:
            if not is_full(error):
                raise
            return PlainTextResponse(NO_ROOM, 507)
        finally:
            if upload_id:
                file_upload_statuses.set_done(upload_id)
            with self._lock:
                self._arriving.pop(folder, None)
            if not is_here:
                shutil.rmtree(folder, ignore_errors=True)
        if video is None:
            return PlainTextResponse("There is no file in this request; choose a video.", 400)
        return JSONResponse([str(video)])

    async def _store(self, request: Request, folder: Path, upload_id: str | None) -> Path | None:
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return None
        if upload_id:
            file_upload_statuses.track(upload_id)
        parser = GradioMultiPartParser(
            request.headers,
            request.stream(),
            max_files=1,
            max_fields=0,
            upload_dir=folder,
            upload_id=upload_id,
            upload_progress=file_upload_statuses if upload_id else None,
            max_file_size=self._max_video_bytes,
        )
        received = (await parser.parse()).get("files")
        if received is None or isinstance(received, str):
            return None
        await received.close()
        video = folder / _name(received.filename or "")
        Path(received.file.name).rename(video)
        return video

    def _admit(self, folder: Path, byte_count: int) -> bool:
        """Make `folder` if there is disk space for so many bytes; return True if it was made."""
        with self._lock:
            to_come = sum(self._arriving.values()) + max(byte_count, MIN_BYTES)
            held = _held_bytes(self._folder, but=self._arriving) + _held_bytes(self._kept)
            room = max(LEAST_ROOM_BYTES, ROOM_UPLOADS * self._max_video_bytes)
            if held + to_come > room or shutil.disk_usage(self._folder).free - to_come < FREE_BYTES:
                return False
            folder.mkdir()
            self._arriving[folder] = max(byte_count, MIN_BYTES)
            return True


class ReceivingBlocks(gr.Blocks):
    """Blocks whose inputs may name only files that the receiver holds."""

    def __init__(self, receiver: UploadReceiver, **options: Any) -> None:
        """Make blocks. `options`: of `gradio.Blocks`."""
        super().__init__(**options)
        self._receiver = receiver

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Check the files in an event's inputs before Gradio copies or fetches them.

        Gradio calls this first for each event.
        """
        if not all(self._receiver.holds(path) for path in _paths(inputs)):
            raise gr.Error(NOT_HERE, print_exception=False)
        taken: list[Any] = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        return taken


def _paths(inputs: Any) -> Iterator[str]:
    """Yield all paths in the inputs that may be taken for a file, at any depth."""
    if isinstance(inputs, dict):
        if "path" in inputs:
            yield str(inputs["path"])
        inputs = list(inputs.values())
    if isinstance(inputs, list):
        for value in inputs:
            yield from _paths(value)


def _held_bytes(folder: Path, but: Collection[Path] = ()) -> int:
    held = 0
    for entry in folder.iterdir():
        if entry.is_dir() and entry not in but:  # Gradio leaves empty files beside them
            inside = (Path(top, name) for top, _, names in os.walk(entry) for name in names)
            held += max(MIN_BYTES, sum(_byte_count(path) for path in (entry, *inside)))
    return held


def _byte_count(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed meanwhile
        return 0


def _name(sent: str) -> str:
    """Return a video's name as any system allows it, with a stem before the suffix."""
    path = Path("".join(char for char in sent if char.isprintable() and char not in NEVER_IN_NAMES))
    stem = path.stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore").strip(". ")
    return f"{stem or 'video'}{path.suffix[:MAX_SUFFIX]}"
