"""Benchmark of this machine: speed stage by stage and end to end, as ratios within one run."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from realtime.analysis import analyze
from realtime.display.overlay import Overlay
from realtime.faces.face_landmarker import FaceLandmarker
from realtime.faces.tracker import FaceTracker
from realtime.inference.devices import Device
from realtime.inference.model import Model
from realtime.inference.worker import InferenceWorker
from realtime.macro.face_crops import cut_face
from realtime.macro.model import MacroModel
from realtime.monitor import Monitor
from realtime.preprocessing.motion import MotionSignal
from realtime.preprocessing.regions import extract_regions
from realtime.preprocessing.windowing import GraySignal
from realtime.recording.video_writer import VideoWriter
from realtime.sources.paced_file import PacedFile
from realtime.sources.video_file import VideoFile
from realtime.types import MacroScores, State, Update

ROUNDS = 3
"""Number of end-to-end runs of each kind, in turns, since machines get slower and faster
meanwhile."""

STAGE_FRAMES = 200
"""Number of the clip's frames on which each stage is timed."""

SHARE_FRAMES = 300
"""Number of the clip's frames on which the cost of macro-expressions is measured."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Time of one stage in milliseconds a call: median and 95th percentile."""

    name: str
    median_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Result of a benchmark.

    `bare_fps`: frames a second of a loop that only decodes and calls MediaPipe's face landmarker.
    `analyze_fps`: frames a second of the whole `analyze`. Both are medians over the rounds. `live`:
    time from capture to painted picture with the clip played as a camera; `live_drops`: number of
    frames and windows that were lost there, by cause. `macro_share`: processor time that
    macro-expressions add, as a share of the time for everything from a frame to its painted
    picture; half of the decoding, which both share, counts.
    """

    device: str
    stages: tuple[StageTime, ...]
    bare_fps: float
    analyze_fps: float
    live: StageTime
    live_drops: Counter[str]
    macro_share: float

    @property
    def ratio(self) -> float:
        """Rate of `analyze` divided by the rate of the bare loop."""
        return self.analyze_fps / self.bare_fps


def bench(video: Path, model: str | Path, device: Device) -> BenchResult:
    """Time every stage alone, and the whole against the bare loop, on one clip.

    Example:

        from pathlib import Path
        from realtime.benchmark import bench
        from realtime.inference.model import DEFAULT_MODEL

        print(bench(Path("clip.mp4"), DEFAULT_MODEL, "cpu").ratio)
    """
    bare, whole = [], []
    for _ in range(ROUNDS):
        bare.append(_bare_loop_fps(video))
        whole.append(_analyze_fps(video, model, device))
    live, live_drops = _live_latency(video, model, device)
    return BenchResult(
        device=Model.load(model, device=device).device,
        stages=_stage_times(video, model, device),
        bare_fps=float(np.median(bare)),
        analyze_fps=float(np.median(whole)),
        live=live,
        live_drops=live_drops,
        macro_share=_macro_share(video, model, device),
    )


def _bare_loop_fps(video: Path) -> float:
    with closing(FaceLandmarker(1, static=False)) as landmarker, VideoFile(video) as source:
        times_s = []
        for frame in source:
            image_rgb = cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2RGB)
            landmarker.find(np.asarray(image_rgb, np.uint8), frame.t_s)
            times_s.append(time.perf_counter())
        return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def _analyze_fps(video: Path, model: str | Path, device: Device) -> float:
    """Return the frames a second of `analyze` with video and tables, until it returns."""
    times_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="kilas-bench-") as folder:
        analyze(
            video,
            Path(folder) / "session",
            model=model,
            device=device,
            clips=False,  # they take time for each event, not for each frame
            on_update=lambda source, update: times_s.append(time.perf_counter()),
        )
    # An update is held back by one frame, so with the first one two frames are through.
    return (len(times_s) - 2) / (time.perf_counter() - times_s[0])


def _live_latency(video: Path, model: str | Path, device: Device) -> tuple[StageTime, Counter[str]]:
    """Play the clip at its own speed through the live monitor and paint every update.

    Returns the time from capture to painted picture, and the drops by cause.
    """
    ages_ms: list[float] = []
    with Monitor(model, device=device, live=True) as monitor, PacedFile(video) as source:
        overlay = Overlay(monitor.spec, monitor.macro_labels)
        for update in monitor.updates(source):
            overlay.paint(update)
            age_s = source.age_s(update.frame)
            if age_s is not None:
                ages_ms.append(age_s * 1e3)
        drops = source.drops + monitor.drops
    name = "capture to painted picture"
    return StageTime(name, float(np.median(ages_ms)), float(np.percentile(ages_ms, 95))), drops


def _macro_share(video: Path, model: str | Path, device: Device) -> float:
    """Measure `BenchResult.macro_share`.

    Both live paths take turns, frame by frame, so that a machine that gets slower or faster does so
    for both. No window is left out, so that both do the same.
    """
    network = Model.load(model, device=device)
    network.warm_up()
    extra_s = 0.0
    with ExitStack() as opened:
        worker = opened.enter_context(InferenceWorker(network))
        paths = []
        for macro in (False, True):
            monitor = opened.enter_context(Monitor(worker, live=False, macro=macro))
            paths.append((monitor, Overlay(monitor.spec, monitor.macro_labels)))
        begun_s = time.process_time()
        for frame in islice(opened.enter_context(VideoFile(video)), SHARE_FRAMES):
            taken_s = {}
            for macro in (True, False) if frame.id % 2 else (False, True):
                monitor, overlay = paths[macro]
                start_s = time.thread_time()  # macro-expressions are scored on this thread
                overlay.paint(monitor.process(frame))
                taken_s[macro] = time.thread_time() - start_s
            extra_s += taken_s[True] - taken_s[False]
        both_s = time.process_time() - begun_s
    return extra_s / ((both_s - extra_s) / 2)


class _Stopwatch:
    """Stopwatch for the named parts of a loop."""

    def __init__(self) -> None:
        self._times_ms: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        self._times_ms.setdefault(name, []).append((time.perf_counter() - start_s) * 1e3)

    def stages(self) -> tuple[StageTime, ...]:
        """Return median and 95th percentile of each part, without its first calls, which fill
        caches."""
        kept_ms = {name: times[len(times) // 10 :] for name, times in self._times_ms.items()}
        return tuple(
            StageTime(name, float(np.median(times)), float(np.percentile(times, 95)))
            for name, times in kept_ms.items()
        )


def _stage_times(video: Path, model: str | Path, device: Device) -> tuple[StageTime, ...]:
    """Time each stage by itself on the frames of the clip, one after the other on one thread."""
    network = Model.load(model, device=device)
    spec = network.spec
    network.warm_up()
    signal_stage = GraySignal() if spec.signal == "gray" else MotionSignal(spec)
    macro = MacroModel.load()
    overlay = Overlay(spec, macro.spec.labels)
    window = np.zeros((1, *spec.window_shape), "uint8" if spec.signal == "gray" else "float32")
    lap = _Stopwatch()
    with (
        tempfile.TemporaryDirectory(prefix="kilas-bench-") as folder,
        FaceTracker(max_faces=1) as track_faces,
        VideoFile(video) as source,
        VideoWriter(Path(folder) / "video.mp4") as writer,
    ):
        frames = iter(source)
        for _ in range(STAGE_FRAMES):
            with lap("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            with lap("landmarks"):
                faces = track_faces(frame)
            shown: tuple[MacroScores, ...] = ()
            for face in faces:
                with lap("regions"):
                    sample = extract_regions(
                        frame.image_bgr, face.transform, spec.sample_layout, mask="none"
                    )
                with lap(f"signal ({spec.signal})"):
                    signal_stage(sample)
                with lap("macro-expression, face cut out"):
                    still = cut_face(frame.image_bgr, face.transform, macro.spec)
                with lap("macro-expression, scored"):
                    scores = macro.run(still[np.newaxis])[0]
                shown += (MacroScores(face.face_id, frame.t_s, tuple(map(float, scores))),)
            with lap("network, one window"):
                network.run(window)
            states: dict[int, State] = {face.face_id: "neutral" for face in faces}
            update = Update(frame, faces, (), (), states, macro=shown)
            with lap("overlay"):
                picture = overlay.paint(update)
            with lap("video encoder"):
                writer.write(frame.t_s, picture)
    return lap.stages()
