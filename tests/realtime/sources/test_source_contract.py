"""Sources: one contract for all of them, and what is special about each."""

from __future__ import annotations

import math
import os
import struct
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, islice, pairwise, repeat
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.errors import SourceError
from realtime.sources import opening, webcam
from realtime.sources.live_source import STALENESS_S, LiveSource
from realtime.sources.network_stream import NetworkStream
from realtime.sources.opening import DEMO_PATH, open_source
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.sources.webcam import Camera, Webcam
from realtime.types import Frame, Source
from realtime.web.live.browser_camera import BrowserCamera
from realtime.web.live.protocol import Picture

HANG_S = 10.0
"""Longer waits are taken for hanging; nothing here takes a second."""

GOP = 10
"""Frames from one key frame of a test clip to the next."""


# Clips, cameras and streams to read from.


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
) -> Path:
    """A clip whose frames are flat gray, one at each of `times_s`. `noise`: amplitude of noise
    on the pictures, for files that have some size. `rate_hz`: what the file states, and how
    long its last frame lasts. `ticks_of`: overwrites the time of a packet
    after encoding."""
    rng = np.random.default_rng(0)
    width, height = size_wh
    with av.open(str(path), "w", options=options or {}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate_hz))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = GOP
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


def steady(rate_hz: float, count: int) -> list[float]:
    return [number / rate_hz for number in range(count)]


def shows(frame: Frame, number: int) -> bool:
    return abs(float(frame.image_bgr.mean()) - gray_level(number)) < 4


@dataclass
class FakeCamera:
    """Stands for cv2.VideoCapture. Each grab follows the next step of `steps`: `frame`, `torn`
    (cannot be decoded), `gone` (unplugged), `hang`, or an error to raise. When they run out,
    the camera is gone."""

    steps: Iterable[str | Exception] = field(default_factory=lambda: repeat("frame"))
    is_there: bool = True
    rates_hz: tuple[float, ...] = (15.0, 30.0)
    takes_mjpg: bool = True
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
        return True, np.full((48, 64, 3), gray_level(self._count), np.uint8)

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


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture")]


def open_clips() -> list[str]:
    """Video files that this process holds open; empty where the system cannot tell."""
    links = Path("/proc/self/fd")
    if not links.is_dir():
        return []
    targets = [os.readlink(link) for link in links.iterdir() if link.is_symlink()]
    return [target for target in targets if target.endswith((".mp4", ".mkv", ".mov"))]


class TestContract:
    def test_frames_come_in_order_and_whole(self, source: Source) -> None:
        with source:
            frames = list(islice(source, 20))
            width, height = source.info.size_wh
        assert len(frames) == 20
        ids = [frame.id for frame in frames]
        times_s = [frame.t_s for frame in frames]
        assert ids[0] >= 0
        assert all(before < after for before, after in pairwise(ids))
        assert all(map(math.isfinite, times_s))
        assert all(before < after for before, after in pairwise(times_s))
        for frame in frames:
            assert frame.image_bgr.shape == (height, width, 3)
            assert frame.image_bgr.dtype == np.uint8
            assert frame.image_bgr.flags.c_contiguous

    def test_holes_in_the_ids_are_counted_as_drops(self, source: Source) -> None:
        with source:
            frames = list(islice(source, 20))
            late = source.drops["late"]
        assert frames[-1].id + 1 == len(frames) + late

    def test_info_is_known_before_reading(self, source: Source) -> None:
        with source:
            info = source.info
            first = next(iter(source))
        assert info.name
        assert info.size_wh == first.image_bgr.shape[1::-1]
        assert info.rate_hz is None or info.rate_hz > 0

    def test_neither_info_nor_frames_before_entering(self, source: Source) -> None:
        with pytest.raises(RuntimeError, match="enter the source"):
            _ = source.info
        with pytest.raises(RuntimeError, match="enter the source"):
            next(iter(source))

    def test_stop_from_another_thread_ends_the_iteration(self, source: Source) -> None:
        with source:
            frames = iter(source)
            next(frames)
            stopper = threading.Thread(target=source.stop)
            stopper.start()
            stopper.join(HANG_S)
            assert list(frames) == []
        assert not capture_threads()

    def test_leaving_early_leaves_nothing_open(self, source: Source) -> None:
        with source:
            for _ in source:
                break
        assert not capture_threads()
        assert not open_clips()

    def test_leaving_without_reading(self, source: Source) -> None:
        with source:
            pass
        assert not capture_threads()
        assert not open_clips()

    def test_an_error_of_the_reader_passes_through(self, source: Source) -> None:
        def read() -> None:
            with source:
                for _ in source:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            read()
        assert not capture_threads()
        assert not open_clips()

    def test_reading_goes_on_after_a_break(self, source: Source) -> None:
        with source:
            first = next(iter(source))
            second = next(iter(source))
        assert second.id > first.id
        assert second.t_s > first.t_s

    def test_stop_may_come_before_reading_and_twice(self, source: Source) -> None:
        with source:
            source.stop()
            source.stop()
            assert list(source) == []


@pytest.mark.parametrize("kind", ["file", "webcam", "network", "paced"])
def test_what_cannot_be_opened_is_one_sentence_with_a_remedy(
    kind: str, tmp_path: Path, server: StreamServer
) -> None:
    absent = tmp_path / "absent.mp4"
    makers: dict[str, Callable[[], Source]] = {
        "file": lambda: VideoFile(absent),
        "webcam": lambda: Webcam(7, open_capture=FakeCameras(FakeCamera(is_there=False))),
        "network": lambda: NetworkStream(server.url("absent.mp4")),
        "paced": lambda: PacedFile(absent),
    }
    source = makers[kind]()
    with pytest.raises(SourceError) as caught, source:
        pass
    assert str(caught.value).endswith(".")
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "did not come back" not in str(caught.value)  # it was never there
    assert not capture_threads()


class TestVideoFile:
    @pytest.mark.parametrize("rate_hz", [12, 30, 60, 240])
    def test_every_frame_at_its_time(self, rate_hz: int, tmp_path: Path) -> None:
        times_s = steady(rate_hz, 40)
        with VideoFile(write_clip(tmp_path / "clip.mp4", times_s, rate_hz=rate_hz)) as source:
            frames = list(source)
        assert source.info.rate_hz == pytest.approx(rate_hz)
        assert source.info.frame_count == 40
        assert [frame.id for frame in frames] == list(range(40))
        assert [frame.t_s for frame in frames] == pytest.approx(times_s, abs=1e-3)
        assert all(shows(frame, number) for number, frame in enumerate(frames))
        assert not source.drops

    @settings(
        max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        gaps_s=st.lists(st.floats(0.002, 0.7), min_size=1, max_size=15),
        start_s=st.floats(0, 3),
        suffix=st.sampled_from(["mp4", "mkv", "mov"]),
    )
    def test_variable_frame_rate(
        self, gaps_s: list[float], start_s: float, suffix: str, tmp_path: Path
    ) -> None:
        times_s = list(start_s + np.cumsum([0.0, *gaps_s]))
        path = write_clip(tmp_path / f"clip.{suffix}", times_s)
        with VideoFile(path) as source:
            frames = list(source)
        with av.open(str(path)) as container:
            stated_s = [frame.time for frame in container.decode(video=0)]
        read_s = np.array([frame.t_s for frame in frames])
        assert read_s == pytest.approx(stated_s, abs=1e-9)
        # The writer may have left out the last frame; Matroska counts in ms.
        assert len(read_s) >= len(gaps_s)
        assert np.diff(read_s) == pytest.approx(gaps_s[: len(read_s) - 1], abs=1.1e-3)
        assert all(shows(frame, number) for number, frame in enumerate(frames))

    @pytest.mark.parametrize("name", ["face_noface.mov", "noface_face.mov", "asl_again.mkv"])
    def test_real_recordings_keep_their_times(self, name: str, shared_data: Path) -> None:
        path = shared_data / "clips" / name
        with av.open(str(path)) as container:
            stated_s = [frame.time for frame in container.decode(video=0)]
        with VideoFile(path) as source:
            read_s = [frame.t_s for frame in source]
        assert read_s == stated_s
        assert not source.drops

    @pytest.mark.parametrize(
        ("matrix", "turns_clockwise"),
        [
            ((0, 1, -1, 0), 1),  # a telephone held upright
            ((-1, 0, 0, -1), 2),
            ((0, -1, 1, 0), 3),
        ],
    )
    def test_rotation_is_honoured(
        self, matrix: tuple[int, ...], turns_clockwise: int, tmp_path: Path
    ) -> None:
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:32, :48] = 255  # the upper left quarter
        path = write_clip(tmp_path / "clip.mp4", [0.0], size_wh=(96, 64))
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux([*stream.encode(frame), *stream.encode()])
        data = bytearray(path.read_bytes())
        a, b, c, d = (value * 2**16 for value in matrix)
        at = data.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2: the matrix, in 16.16 fixed point
        data[at : at + 20] = struct.pack(">5i", a, b, 0, c, d)
        path.write_bytes(data)

        with VideoFile(path) as source:
            (frame_read,) = source
        expected = np.rot90(picture, -turns_clockwise)
        assert source.info.size_wh == expected.shape[1::-1]
        assert frame_read.image_bgr.shape == expected.shape
        assert np.abs(frame_read.image_bgr.astype(int) - expected).mean() < 10

    @pytest.mark.parametrize(
        ("suffix", "options", "start_s"),
        [
            ("mp4", {"movflags": "faststart"}, 0.0),
            ("mp4", {"movflags": "faststart"}, 5.0),
            ("mkv", {}, 0.0),
            ("mkv", {}, 5.0),
            ("avi", {}, 0.0),
        ],
    )
    def test_a_file_cut_in_half_gives_its_half_and_then_says_so(
        self, suffix: str, options: dict[str, str], start_s: float, tmp_path: Path
    ) -> None:
        path = tmp_path / f"clip.{suffix}"
        tick = Fraction(1, 30) if suffix == "avi" else Fraction(1, 90000)
        times_s = [start_s + t_s for t_s in steady(30, 60)]
        write_clip(path, times_s, noise=20, options=options, time_base=tick)
        whole = path.read_bytes()
        with VideoFile(path) as source:
            assert len(list(source)) == 60
        path.write_bytes(whole[: len(whole) // 2])

        frames: list[Frame] = []
        with VideoFile(path) as source, pytest.raises(SourceError, match="is damaged") as caught:
            frames.extend(source)
        assert 15 < len(frames) < 45
        assert f"after {len(frames)} frames, at {frames[-1].t_s:.2f} s" in str(caught.value)

    def test_a_recording_without_its_index_is_refused(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", steady(30, 30), noise=20)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SourceError, match="damaged") as caught, VideoFile(path):
            pass
        assert isinstance(caught.value.__cause__, av.FFmpegError)

    def test_damaged_frames_are_left_out_and_counted(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.mp4", steady(30, 60), noise=20, options={"movflags": "faststart"}
        )
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        noise = np.random.default_rng(1).bytes(3000)
        data[middle : middle + 3000] = noise
        path.write_bytes(data)
        with VideoFile(path) as source:
            frames = list(source)
        assert source.drops["damaged"] >= 1
        assert frames[-1].id == 59
        assert len(frames) + source.drops.total() == 60
        assert frames[-1].t_s == pytest.approx(59 / 30, abs=1e-3)

    def test_a_picture_with_damage_in_it_is_left_out(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.ts", steady(30, 60), noise=20)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 500] = np.random.default_rng(0).bytes(500)
        path.write_bytes(data)
        with VideoFile(path) as source:
            frames = list(source)
        assert source.drops == Counter({"damaged": 1})
        assert len(frames) == 59
        assert frames[-1].id == 59

    def test_frames_without_a_time_are_not_given_one(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.h264", steady(30, 10), time_base=Fraction(1, 30))
        with pytest.raises(SourceError, match="does not say when"), VideoFile(path):
            pass

    def test_times_that_do_not_increase_are_left_out_and_counted(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.mkv",
            steady(10, 6),
            codec="mjpeg",
            time_base=Fraction(1, 1000),
            ticks_of=[0, 100, 100, 100, 200, 300].__getitem__,
        )
        with VideoFile(path) as source:
            frames = list(source)
        assert [frame.t_s for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
        assert [frame.id for frame in frames] == [0, 1, 4, 5]
        assert source.drops == Counter({"time not increasing": 2})

    def test_what_is_not_a_video(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        (tmp_path / "words.mp4").write_text("no video at all " * 100)
        (tmp_path / "words.txt").write_text("no video at all " * 100)
        with av.open(str(tmp_path / "sound.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000)
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 800), np.int16), format="s16", layout="mono"
            )
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
        for name, words in {
            "empty.mp4": "not a video",
            "words.mp4": "not a video",
            "words.txt": "no video",
            "sound.wav": "no video",
            ".": "is a folder",
            "absent.mp4": "does not exist",
        }.items():
            with pytest.raises(SourceError, match=words), VideoFile(tmp_path / name):
                pass

    def test_a_name_like_an_address_is_a_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write_clip(tmp_path / "tcp:12 50%d.mp4", steady(30, 3))
        with VideoFile("tcp:12 50%d.mp4") as source:
            assert len(list(source)) == 3


class Scripted(LiveSource):
    """Captures all of `pictures` at once and then waits to be stopped, or raises `error`."""

    def __init__(
        self,
        pictures: Iterable[tuple[float, npt.NDArray[np.uint8]]],
        *,
        error: Exception | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__("script", **bounds)
        self.script = pictures
        self.error = error
        self.captured = threading.Event()
        self.left = threading.Event()

    def _pictures(self) -> Generator[tuple[float, npt.NDArray[np.uint8]], None, None]:
        yield from self.script
        self.captured.set()
        if self.error is not None:
            raise self.error
        self.left.wait(HANG_S)

    def stop(self) -> None:
        super().stop()
        self.left.set()


def pictures_at(times_s: Iterable[float]) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    return ((t_s, np.zeros((10, 10, 3), np.uint8)) for t_s in times_s)


class FakeSilence(LiveSource):
    """One frame, and then nothing."""

    def _pictures(self) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        yield 0.0, np.zeros((10, 10, 3), np.uint8)
        self._stopping.wait(HANG_S)


class TestLiveSource:
    def test_a_reader_that_keeps_up_gets_every_frame(self) -> None:
        times_s = [0.0, 0.4 * STALENESS_S, 0.9 * STALENESS_S]
        with Scripted(pictures_at(times_s)) as source:
            assert source.captured.wait(HANG_S)
            frames = list(islice(source, 3))
        assert [frame.t_s for frame in frames] == times_s
        assert not source.drops

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.floats(0.001, 0.3), min_size=1, max_size=30))
    def test_a_reader_that_is_late_jumps_to_the_newest(self, gaps_s: list[float]) -> None:
        times_s = [float(t_s) for t_s in np.cumsum(gaps_s)]
        newest_s = times_s[-1]
        with Scripted(pictures_at(times_s)) as source:
            assert source.captured.wait(HANG_S)
            first = next(iter(source))
            late = source.drops["late"]
            rest = list(islice(source, len(times_s) - first.id - 1))
        if newest_s - times_s[0] > STALENESS_S:
            assert first.id == len(times_s) - 1
            assert late == first.id
        else:
            assert [first.id, *(frame.id for frame in rest)] == list(range(len(times_s)))
            assert late == 0

    def test_late_frames_that_have_left_the_buffer_are_counted_too(self) -> None:
        with Scripted(pictures_at(steady(100, 500)), buffer_s=0.05) as source:
            assert source.captured.wait(HANG_S)
            frame = next(iter(source))
        assert frame.id == 499
        assert source.drops == Counter({"late": 499})

    def test_a_reader_that_never_reads_does_not_fill_the_memory(self) -> None:
        bound = 50 * 300
        with Scripted(pictures_at(steady(1000, 2000)), buffer_bytes=bound) as source:
            assert source.captured.wait(HANG_S)
            held = source.recent(math.inf)
            assert sum(frame.image_bgr.nbytes for frame in held) == bound
            assert [frame.id for frame in held] == list(range(1950, 2000))

    def test_recent_reaches_back_by_seconds_and_leaves_the_reader_alone(self) -> None:
        with Scripted(pictures_at(steady(100, 500)), buffer_s=2.0) as source:
            assert source.captured.wait(HANG_S)
            assert len(source.recent(0.5)) == pytest.approx(51, abs=1)
            assert len(source.recent(99)) == pytest.approx(201, abs=1)
            assert next(iter(source)).id == 499

    def test_a_picture_larger_than_the_buffer_is_still_delivered(self) -> None:
        with Scripted(pictures_at([0.0, 1.0]), buffer_bytes=1) as source:
            assert source.captured.wait(HANG_S)
            assert next(iter(source)).t_s == 1.0

    def test_times_that_do_not_fit_are_counted(self) -> None:
        image = np.zeros((10, 10, 3), np.uint8)
        script = [(0.0, image), (0.0, image), (math.nan, image), (0.02, image)]
        with Scripted(script) as source:
            assert source.captured.wait(HANG_S)
            frames = list(islice(source, 2))
        assert [frame.id for frame in frames] == [0, 3]
        assert source.drops == Counter({"time not increasing": 2})

    def test_frames_may_change_their_size(self) -> None:
        sizes = [(10, 10, 3), (20, 24, 3), (10, 10, 3)]
        script = [(number / 50, np.zeros(size, np.uint8)) for number, size in enumerate(sizes)]
        with Scripted(script) as source:
            assert source.captured.wait(HANG_S)
            assert [frame.image_bgr.shape for frame in islice(source, 3)] == sizes
        assert not source.drops

    def test_a_reader_that_waits_is_told_and_may_stop(self) -> None:
        calls = []

        def on_idle() -> None:
            calls.append(time.monotonic())
            if len(calls) == 3:
                source.stop()

        with FakeSilence("silent") as source:
            source.on_idle = on_idle
            assert len(list(source)) == 1
        assert len(calls) == 3

    def test_an_error_is_raised_again_where_it_is_read(self) -> None:
        with Scripted(pictures_at([0.0]), error=ZeroDivisionError("in the driver")) as source:
            assert len(list(islice(source, 1))) == 1  # what came before it is delivered
            with pytest.raises(ZeroDivisionError, match="in the driver") as caught:
                next(iter(source))
        names = [step.name for step in traceback.extract_tb(caught.value.__traceback__)]
        assert "_pictures" in names
        assert not capture_threads()

    def test_stop_wakes_a_reader_that_waits(self) -> None:
        with Scripted(pictures_at([0.0])) as source:
            frames = iter(source)
            next(frames)
            rest: list[Frame] = []
            reader = threading.Thread(target=lambda: rest.extend(frames))
            reader.start()
            source.stop()
            reader.join(HANG_S)
            assert not reader.is_alive()
        assert rest == []


class TestWebcam:
    def test_the_best_rate_that_the_camera_offers(self) -> None:
        fast = FakeCamera(rates_hz=(15.0, 30.0, 60.0))
        with Webcam(0, open_capture=FakeCameras(fast)) as source:
            assert source.info.rate_hz == 60
        assert fast.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
        assert fast.released
        with Webcam(0, open_capture=FakeCameras(FakeCamera(rates_hz=(15.0,)))) as source:
            assert source.info.rate_hz == 15

    def test_a_camera_that_refuses_the_settings_is_used_as_it_is(self) -> None:
        refused, plain = FakeCamera(takes_mjpg=False), FakeCamera()
        with Webcam(0, open_capture=FakeCameras(refused, plain)) as source:
            next(iter(source))
            assert source.info.rate_hz is None
        assert refused.released
        assert not plain.settings

    def test_times_are_monotonic_capture_times(self) -> None:
        before_s = time.monotonic()
        with Webcam(0, open_capture=FakeCameras(FakeCamera())) as source:
            frame = next(iter(source))
        assert before_s < frame.t_s < time.monotonic()

    def test_an_unplugged_camera_that_returns(self) -> None:
        first = FakeCamera(["frame"] * 5)
        absent = FakeCamera(is_there=False)
        back = FakeCamera()
        with Webcam(0, open_capture=FakeCameras(first, absent, absent, back)) as source:
            frames = list(islice(source, 20))
        assert first.released
        assert source.drops["camera lost"] == 1
        assert frames[-1].id >= 20  # the outage left a hole

    def test_a_camera_that_stays_away(self) -> None:
        cameras = FakeCameras(FakeCamera(["frame"] * 5), FakeCamera(is_there=False))
        frames: list[Frame] = []
        with (
            pytest.raises(SourceError, match="did not come back") as caught,
            Webcam(0, reconnect_s=0.0, open_capture=cameras) as source,
        ):
            frames.extend(source)
        assert isinstance(caught.value.__cause__, SourceError)
        assert source.drops["camera lost"] == 1
        assert not capture_threads()

    def test_torn_pictures_are_counted(self) -> None:
        steps = ["frame", "frame", "torn", "torn"]
        camera = FakeCamera(chain(steps, repeat("frame")))
        with Webcam(0, open_capture=FakeCameras(camera)) as source:
            list(islice(source, 5))
        assert source.drops["damaged"] == 2

    def test_a_driver_that_raises(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, [RuntimeError("a defect")]))
        with (
            pytest.raises(RuntimeError, match="a defect") as caught,
            Webcam(0, open_capture=FakeCameras(camera)) as source,
        ):
            list(source)
        names = [step.name for step in traceback.extract_tb(caught.value.__traceback__)]
        assert "grab" in names
        assert camera.released

    def test_an_error_of_opencv_counts_as_an_outage(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, [cv2.error("unplugged")]))
        with Webcam(0, open_capture=FakeCameras(camera, FakeCamera())) as source:
            list(islice(source, 10))
        assert source.drops["camera lost"] == 1

    def test_a_camera_that_hangs(self) -> None:
        camera = FakeCamera(chain(["frame"] * 3, ["hang"]))
        cameras = FakeCameras(camera)
        with Webcam(0, open_capture=cameras, silence_s=0.5, reconnect_s=0.0) as source:
            with pytest.raises(SourceError, match="delivered nothing"):
                list(source)
            camera.let_go.set()
        assert not capture_threads()


class TestNetworkStream:
    def test_a_recording_plays_to_its_end(self, server: StreamServer) -> None:
        with NetworkStream(server.url("clip.mp4")) as source:
            frames = list(source)
        assert source.info.duration_s == pytest.approx(2.0, abs=0.05)
        assert frames[-1].id == 59
        assert len(frames) + source.drops["late"] == 60
        spacing_s = (frames[-1].t_s - frames[0].t_s) / (frames[-1].id - frames[0].id)
        assert spacing_s == pytest.approx(1 / 30, abs=1e-3)

    def test_damaged_pictures_are_left_out_and_counted(self, server: StreamServer) -> None:
        path = write_clip(server.folder / "damaged.ts", steady(30, 60), noise=20)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 500] = np.random.default_rng(0).bytes(500)
        path.write_bytes(data)
        # Nothing in such a stream says that it ends, so its end is a lost connection.
        with NetworkStream(server.url("damaged.ts")) as source:
            for _ in source:
                if source.drops["connection lost"]:
                    break
        assert source.drops["damaged"] >= 1

    def test_a_lost_connection_is_tried_again(self, server: StreamServer) -> None:
        with NetworkStream(server.url("broken")) as source:
            frames = list(islice(source, 15))
        assert source.drops["connection lost"] >= 1
        assert frames[-1].id >= 15

    def test_a_stream_that_stays_away(self, server: StreamServer) -> None:
        with (
            pytest.raises(SourceError, match="did not come back"),
            NetworkStream(server.url("broken"), reconnect_s=0.0) as source,
        ):
            list(source)
        assert not capture_threads()

    def test_stop_ends_the_iteration_of_a_silent_stream(self, server: StreamServer) -> None:
        with NetworkStream(server.url("stalled"), read_s=1.0) as source:
            frames = iter(source)
            assert len(list(islice(frames, 10))) <= 10
            reader = threading.Thread(target=list, args=(frames,))
            reader.start()
            source.stop()
            reader.join(HANG_S)
            assert not reader.is_alive()
        assert not capture_threads()

    def test_a_stream_that_falls_silent(self, server: StreamServer) -> None:
        with (
            pytest.raises(SourceError, match="did not come back"),
            NetworkStream(server.url("stalled"), read_s=0.2, reconnect_s=0.0) as source,
        ):
            list(source)

    def test_the_connection_is_closed(self, server: StreamServer) -> None:
        with NetworkStream(server.url("endless")) as source:
            next(iter(source))
        with server.changed:
            assert server.changed.wait_for(lambda: server.connections["endless"] == 0, HANG_S)

    def test_a_password_is_not_shown(self) -> None:
        source = NetworkStream("rtsp://me:secret@127.0.0.1:9/live", open_s=1)
        with pytest.raises(SourceError) as caught, source:
            pass
        assert "secret" not in str(caught.value)
        assert "127.0.0.1:9/live" in str(caught.value)


class TestPacedFile:
    def test_it_plays_with_the_times_of_the_file(self, clip: Path) -> None:
        started_s = time.monotonic()
        with PacedFile(clip) as source:
            frames = list(source)
        assert time.monotonic() - started_s > 59 / 30
        assert source.live
        assert frames[0].id == 0
        assert frames[-1].id == 59
        assert len(frames) + source.drops["late"] == 60
        assert [frame.t_s for frame in frames] == pytest.approx([frame.id / 30 for frame in frames])

    def test_it_waits_for_its_first_reader(self, clip: Path) -> None:
        with PacedFile(clip) as source:
            time.sleep(2 * STALENESS_S)
            assert next(iter(source)).id == 0
        assert not source.drops

    def test_a_loop_goes_on_in_time(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mp4", steady(50, 5))
        with PacedFile(path, loop=True) as source:
            frames = list(islice(source, 12))
        assert frames[-1].id >= 11
        assert [frame.t_s for frame in frames] == pytest.approx([frame.id / 50 for frame in frames])

    def test_drops_of_the_file_are_its_drops(self, tmp_path: Path) -> None:
        path = write_clip(
            tmp_path / "clip.mkv",
            steady(50, 6),
            codec="mjpeg",
            time_base=Fraction(1, 1000),
            ticks_of=[0, 20, 20, 40, 60, 60].__getitem__,
        )
        with PacedFile(path) as source:
            frames = list(source)
        assert source.drops["time not increasing"] == 2
        assert frames[-1].id == 4

    def test_a_damaged_file_says_so_at_its_end(self, tmp_path: Path) -> None:
        path = write_clip(tmp_path / "clip.mkv", steady(30, 60), noise=20)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SourceError, match="is damaged"), PacedFile(path) as source:
            list(source)


class TestOpenSource:
    @pytest.fixture
    def cameras(self, monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
        """The cameras that the system lists; a test fills it."""
        listed: list[Camera] = []
        monkeypatch.setattr(opening, "camera_candidates", lambda: listed)
        return listed

    def test_auto_takes_the_first_camera_that_delivers(self, cameras: list[Camera]) -> None:
        cameras += [Camera(0, "dead"), Camera(2, "good")]
        devices = {0: FakeCamera(steps=[]), 2: FakeCamera()}
        source, why = open_source("auto", open_capture=devices.__getitem__)
        assert isinstance(source, Webcam)
        assert "camera 2 (good)" in why
        assert devices[0].released
        assert devices[2].released  # and is free to be opened

    def test_auto_without_a_camera_is_the_demo(self, cameras: list[Camera]) -> None:
        source, why = open_source("auto")
        assert isinstance(source, PacedFile)
        assert why == "Using the built-in demo clip, because no camera was found."

    def test_auto_says_why_a_camera_was_not_taken(self, cameras: list[Camera]) -> None:
        cameras += [Camera(0, "a", "no permission for /dev/video0"), Camera(1, "b")]
        source, why = open_source(
            "auto", open_capture=FakeCameras(FakeCamera(is_there=False)), live=False
        )
        assert isinstance(source, VideoFile)
        assert "camera 0: no permission" in why
        assert "camera 1 is in use" in why

    @pytest.mark.parametrize(
        ("text", "live", "kind"),
        [
            ("3", True, Webcam),
            ("demo", True, PacedFile),
            ("demo", False, VideoFile),
            ("rtsp://camera/live", True, NetworkStream),
            ("a/clip.mp4", True, PacedFile),
            ("a/clip.mp4", False, VideoFile),
            ("file:///a/clip.mp4", False, VideoFile),
        ],
    )
    def test_what_a_name_means(self, text: str, live: bool, kind: type) -> None:
        source, why = open_source(text, live=live)
        assert type(source) is kind
        assert why.startswith("Using ")
        assert why.endswith(".")

    def test_linux_lists_cameras_and_not_their_metadata(self, tmp_path: Path) -> None:
        for device, index, name in [(10, "0", "b"), (2, "0", "a"), (3, "1", "a")]:
            (tmp_path / "dev").mkdir(exist_ok=True)
            (tmp_path / "dev" / f"video{device}").touch()
            facts = tmp_path / "class" / f"video{device}"
            facts.mkdir(parents=True)
            (facts / "index").write_text(f"{index}\n")
            (facts / "name").write_text(f"{name}\n")
        (tmp_path / "dev" / "video-codec").touch()
        found = webcam._linux_cameras(tmp_path / "dev", tmp_path / "class")
        assert found == [Camera(2, "a"), Camera(10, "b")]
