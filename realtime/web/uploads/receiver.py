"""Videos on their way here: one a request, each into a folder of its own, no more than there is
room for.

Gradio's own way of receiving takes any number of files in one request, gives the same file to all
who sent the same video, and leaves behind what broke off. And what it then takes for a received
file is any path of this machine and any address of another one, unless it started the server
itself. So both stand here instead.
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
"""As many of the largest videos may lie here, their sessions and those on their way included: two
or three visitors with an hour each, or a few dozen with minutes."""

LEAST_ROOM_BYTES = 2**30
"""However small the largest video may be: a hundred short ones and their sessions."""

FREE_BYTES = 2**30
"""Of the disk, left to everything else: recordings of live visitors, and sessions being made."""

MIN_BYTES = 2**20
"""What the smallest file counts as, so that there cannot be very many either."""

NEVER_IN_NAMES = frozenset('<>:"/\\|?*')
"""Windows takes none of them."""

MAX_STEM_BYTES, MAX_SUFFIX = 200, 16
"""Of a name; most systems take 255 bytes, and what is made of the video gets longer names."""

NO_ROOM = (
    "This server has no room for another video at the moment; close pages that you are done with, "
    "or try again in a few minutes."
)

NOT_HERE = "The video is not on this server any more; choose it again."


class UploadReceiver:
    """Receives videos below `folder`.

    `route` answers the page's requests to receive one. `holds` may be called in any thread.
    """

    def __init__(self, folder: Path, kept: Path, *, max_video_bytes: int) -> None:
        """`kept`: a folder that takes part of the same room."""
        self._folder = folder
        self._kept = kept
        self._max_video_bytes = max_video_bytes
        self._lock = threading.Lock()  # guards what follows
        self._arriving: dict[Path, int] = {}  # bytes to come, by the folder for them

    @property
    def route(self) -> Route:
        return Route(UPLOAD_PATH, self._receive, methods=["POST"])

    def holds(self, path: str) -> bool:
        """Whether a video that was received lies at exactly that path."""
        try:
            folder, name = Path(path).relative_to(self._folder).parts
            is_file = stat.S_ISREG(os.lstat(path).st_mode)
        except (ValueError, OSError):  # elsewhere, or nowhere
            return False
        return is_file and ".." not in (folder, name) and not (self._folder / folder).is_symlink()

    async def _receive(self, request: Request) -> Response:
        """The path at which the video then lies, or why not in one sentence. The page knows how
        far it is by `upload_id`."""
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
        """Make `folder` for so many bytes, if there is room for them."""
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
    """Blocks whose inputs name no file but those that an inbox holds."""

    def __init__(self, inbox: UploadReceiver, **options: Any) -> None:
        """`options`: of gradio.Blocks."""
        super().__init__(**options)
        self._inbox = inbox

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """What of every event's inputs comes first, and would copy or fetch the files in them."""
        if not all(self._inbox.holds(path) for path in _paths(inputs)):
            raise gr.Error(NOT_HERE, print_exception=False)
        taken: list[Any] = await super().preprocess_data(block_fn, inputs, state, explicit_call)
        return taken


def _paths(inputs: Any) -> Iterator[str]:
    """Whatever may be taken for a file, at any depth."""
    if isinstance(inputs, dict):
        if "path" in inputs:
            yield str(inputs["path"])
        inputs = list(inputs.values())
    if isinstance(inputs, list):
        for one in inputs:
            yield from _paths(one)


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
    """A video's name as one that any system takes for a file, with something before its ending."""
    path = Path("".join(one for one in sent if one.isprintable() and one not in NEVER_IN_NAMES))
    stem = path.stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore").strip(". ")
    return f"{stem or 'video'}{path.suffix[:MAX_SUFFIX]}"
