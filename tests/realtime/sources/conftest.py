"""Sources of every kind, each with the same few pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from realtime.sources.network_stream import NetworkStream
from realtime.sources.opening import DEMO_PATH
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Webcam
from realtime.types import Source
from support.sources import (
    FakeCamera,
    FakeCameras,
    FedCamera,
    StreamServer,
    steady,
    write_clip,
)


@pytest.fixture(scope="module")
def server(clip: Path) -> Iterator[StreamServer]:
    server = StreamServer(clip.parent)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("no_proxy", "127.0.0.1")
        yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s at 30 frames a second."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, steady(30, 60), options={"movflags": "faststart"})


@pytest.fixture(
    params=["file", "webcam", "network stream", "network file", "paced", "demo", "browser"]
)
def source(request: pytest.FixtureRequest, clip: Path, server: StreamServer) -> Source:
    """Each kind of source, over at least one second of pictures, not yet entered."""
    if request.param == "demo" and not DEMO_PATH.is_file():
        pytest.fail(f"the built-in demo clip is missing: {DEMO_PATH}")
    makers: dict[str, Callable[[], Source]] = {
        "file": lambda: VideoFile(clip),
        "webcam": lambda: Webcam(0, open_capture=FakeCameras(FakeCamera())),
        "network stream": lambda: NetworkStream(server.url("endless")),
        "network file": lambda: NetworkStream(server.url("clip.mp4")),
        "paced": lambda: PacedFile(clip),
        "demo": lambda: PacedFile(DEMO_PATH, loop=True),
        "browser": FedCamera,
    }
    return makers[request.param]()
