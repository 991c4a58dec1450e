"""Clips, cameras and streams to read from."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np

from realtime.types import Frame
from realtime.web.live.browser_camera import BrowserCamera
from realtime.web.live.protocol import Picture

HANG_S = 10.0
"""Longer waits are taken for hanging; nothing here takes a second."""

GOP = 10
"""Frames from one key frame of a test clip to the next."""


def gray_level(number: int) -> int:
    """The gray of test frame `number`, by which a frame is recognised after decoding."""
    return 20 + number * 37 % 200


def write_clip(
    path: Path,
    times_s: Iterable[float],
    *,
    size_wh: tuple[int, int] = (98, 64),
    codec: str = "libx264",
    rate_hz: int = 30,
    options: dict[str, str] | None = None,
    noise: int = 0,
    time_base: Fraction = Fraction(1, 90000),
    ticks_of: Callable[[int], int] | None = None,
    reordered: bool = False,
) -> Path:
    """A clip whose frames are flat gray, one at each of `times_s`. `noise`: amplitude of noise
    on the pictures, for files that have some size. `rate_hz`: what the file states, and how
    long its last frame lasts. `ticks_of`: overwrites the time of a packet
    after encoding. `reordered`: frames are encoded in another order than they are shown."""
    rng = np.random.default_rng(0)
    width, height = size_wh
    with av.open(str(path), "w", options=options or {}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate_hz))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = GOP
        if reordered:
            stream.codec_context.max_b_frames = 2
            stream.codec_context.bit_rate = 2_000_000
        if codec == "libx264":
            stream.codec_context.options = {"preset": "veryfast"}
        packets: list[av.Packet] = []
        for number, time_s in enumerate(times_s):
            picture = np.full((height, width, 3), gray_level(number), np.int16)
            picture += rng.integers(-noise, noise + 1, picture.shape, dtype=np.int16)
            frame = av.VideoFrame.from_ndarray(
                picture.clip(0, 255).astype(np.uint8), format="bgr24"
            )
            frame.pts, frame.time_base = round(time_s / time_base), time_base
            packets += stream.encode(frame)
        packets += stream.encode()
        for number, packet in enumerate(packets):
            if ticks_of is not None:
                packet.pts = packet.dts = ticks_of(number)
            container.mux(packet)
    return path


def write_lossy_clip(path: Path) -> Path:
    """A clip of six frames, 20 ms apart, two of which have the time of the frame before them."""
    return write_clip(
        path,
        steady(50, 6),
        codec="mjpeg",
        time_base=Fraction(1, 1000),
        ticks_of=[0, 20, 20, 40, 60, 60].__getitem__,
    )


def steady(rate_hz: float, count: int) -> list[float]:
    return [number / rate_hz for number in range(count)]


def shows(frame: Frame, number: int) -> bool:
    return abs(float(frame.image_bgr.mean()) - gray_level(number)) < 4


@dataclass
class FakeCamera:
    """Stands for cv2.VideoCapture. Each grab follows the next step of `steps`: `frame`, `torn`
    (cannot be decoded), `gone` (unplugged), `hang`, or an error to raise. When they run out,
    the camera is gone. `channels`: of its pictures; None: they have no such axis."""

    steps: Iterable[str | Exception] = field(default_factory=lambda: repeat("frame"))
    is_there: bool = True
    rates_hz: tuple[float, ...] = (15.0, 30.0)
    takes_mjpg: bool = True
    channels: int | None = 3
    let_go: threading.Event = field(default_factory=threading.Event)
    released: bool = False
    settings: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps = iter(self.steps)
        self._step: str | Exception = "gone"
        self._count = 0

    def isOpened(self) -> bool:
        return self.is_there

    def set(self, property_id: int, value: float, /) -> bool:
        if property_id == cv2.CAP_PROP_FPS:
            value = min(self.rates_hz, key=lambda rate_hz: abs(rate_hz - value))
        self.settings[property_id] = value
        return True

    def get(self, property_id: int, /) -> float:
        return self.settings.get(property_id, 0.0)

    def grab(self) -> bool:
        if cv2.CAP_PROP_FOURCC in self.settings and not self.takes_mjpg:
            return False
        self._step = next(self._steps, "gone")
        if isinstance(self._step, Exception):
            raise self._step
        if self._step == "hang":
            self.let_go.wait(HANG_S)
            return False
        time.sleep(0.002)
        return self._step != "gone"

    def retrieve(self) -> tuple[bool, Any]:
        self._count += 1
        if self._step == "torn":
            return False, None
        shape = (48, 64) if self.channels is None else (48, 64, self.channels)
        return True, np.full(shape, gray_level(self._count), np.uint8)

    def release(self) -> None:
        self.released = True


class FakeCameras:
    """Hands out the next camera each time one is opened; the last one stays."""

    def __init__(self, *cameras: FakeCamera) -> None:
        self.cameras = cameras
        self.opened = 0

    def __call__(self, index: int) -> FakeCamera:
        camera = self.cameras[min(self.opened, len(self.cameras) - 1)]
        self.opened += 1
        return camera


class FedCamera(BrowserCamera):
    """A page's camera, whose page sends a picture every 5 ms while it is open."""

    def __enter__(self) -> FedCamera:
        self._closing = threading.Event()
        self._page = threading.Thread(target=self._send, name="capture page")
        self._page.start()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._closing.set()
        self._page.join(HANG_S)

    def _send(self) -> None:
        seq = 0
        while not self._closing.wait(0.005):
            picture = np.full((48, 64, 3), gray_level(seq), np.uint8)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            self.put(Picture(seq, 1e3 * time.monotonic(), 0, 0, (64, 48), jpeg))
            seq += 1


class StreamServer(ThreadingHTTPServer):
    """Serves the files of a folder, and streams of JPEG pictures:
    `/endless`, `/broken` (10 pictures a connection) and `/stalled` (10, then silence)."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), StreamHandler)
        self.folder = folder
        self.closing = threading.Event()
        self.connections: Counter[str] = Counter()
        self.changed = threading.Condition()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def count(self, name: str, change: int) -> None:
        with self.changed:
            self.connections[name] += change
            self.changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""


class StreamHandler(BaseHTTPRequestHandler):
    server: StreamServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.count(name, +1)
        try:
            self._answer(name)
        finally:
            self.server.count(name, -1)

    def _answer(self, name: str) -> None:
        pictures = {"endless": None, "stalled": 10, "broken": 10}
        if name in pictures:
            self._stream(pictures[name])
            if name == "stalled":
                self.server.closing.wait(HANG_S)
        elif (path := self.server.folder / name).is_file():
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            self.wfile.write(path.read_bytes())
        else:
            self.send_error(404)

    def _stream(self, count: int | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
        self.end_headers()
        number = 0
        while number != count and not self.server.closing.wait(0.005):
            picture = np.full((48, 64, 3), gray_level(number), np.uint8)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            number += 1


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture")]


def open_clips() -> list[str]:
    """Video files that this process holds open; empty where the system cannot tell."""
    links = Path("/proc/self/fd")
    if not links.is_dir():
        return []
    targets = [os.readlink(link) for link in links.iterdir() if link.is_symlink()]
    return [target for target in targets if target.endswith((".mp4", ".mkv", ".mov"))]
