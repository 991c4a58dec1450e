"""Records that travel between the stages of the pipeline, and the protocol of a source of frames.

Every record is frozen and carries the id or the time of its origin, so that any result can be
traced to its frame. Arrays inside a record are shared, not copied: the receiver of a record reads
its arrays and does not write to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
Int32Array = npt.NDArray[np.int32]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating[Any]]

NO_FACE: Literal["no face"] = "no face"
"""State of a frame without a face."""

State = Literal["no face", "warming up", "neutral", "expression", "macro"]
"""State of a face at one moment.

`warming up`: no full window yet; `expression`: an expression has begun and may still turn out to be
a micro-expression; `macro`: it has lasted longer than a micro-expression can, or the face as a
whole shows something else than before it.
"""


BLENDSHAPES = (
    *("neutral", "browDownLeft", "browDownRight", "browInnerUp"),
    *("browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft"),
    *("cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft"),
    *("eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft"),
    *("eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft"),
    *("eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward"),
    *("jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)
"""Names of the blendshapes, which are those of Apple's ARKit, in the order of MediaPipe's scores.

Left and right are the person's own; mirrored pictures swap them.
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a source, with its time.

    `id` counts the frames that the source delivered or dropped, from 0, so a hole in the ids is a
    dropped frame. `t_s`: seconds; capture time on a monotonic clock for live sources, presentation
    time for files. `image_bgr`: uint8 [height, width, 3]. `after_cut`: True if another recording
    begins with this frame, so that nothing is compared with the frames before it; the time between
    them is not known.
    """

    id: int
    t_s: float
    image_bgr: UInt8Array
    after_cut: bool = False


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame.

    `points_xy`: float32 [478, 2], MediaPipe's 468 mesh points and five of each iris, in pixels of
    the frame (may lie outside it). `box_xyxy`: (left, top, right, bottom) in pixels. `transform`:
    float32 [2, 3], the similarity that maps pixels of the frame to pixels of the 128 x 128 aligned
    face. `head`: float32 [4, 4], MediaPipe's head pose: from the mean face in cm (x to the right of
    the image, y up, z towards the camera) to its place before the camera. `blendshapes`: float32
    [52], 0 to 1, in the order of BLENDSHAPES, where they were asked for.
    """

    frame_id: int
    face_id: int
    points_xy: Float32Array
    box_xyxy: tuple[float, float, float, float]
    transform: Float32Array
    head: Float32Array
    blendshapes: Float32Array | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions under which a face is seen.

    Degrees: `yaw_deg` > 0: turned to the right of the image; `pitch_deg` > 0: looking up;
    `roll_deg` > 0: leaning to the right of the image. `face_px`: width of the face, pixels.
    `brightness`: mean gray of the face, 0 to 255. `unevenness`: difference of the mean grays of its
    left and right half over their sum, 0 to 1.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    face_px: float
    brightness: float
    unevenness: float


@dataclass(frozen=True, slots=True)
class RegionSample:
    """Aligned gray regions of one face in one frame. `regions`: uint8 [R, H, W]."""

    frame_id: int
    t_s: float
    face_id: int
    regions: UInt8Array


@dataclass(frozen=True, slots=True)
class Window:
    """Network input of one face over one stretch of time, on the model's clock.

    `start_s`, `end_s`: times of the first and of the last slot. `signal`: [T, R, H, W, C]; uint8
    and C = 1 for gray, float32 and C = 2 (u, v in pixels of the aligned face) for motion.
    """

    face_id: int
    start_s: float
    end_s: float
    signal: npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Scores:
    """Network output for one face at one moment.

    `t_s`: the moment that is scored, on the clock of the frames. `probabilities`: a number for each
    label of the model, sum 1. `latency_s`: seconds from handing the window to the worker until its
    scores were there. `attention`: float32 [R, T', H', W'], where and when in the window the
    network looked, if that was asked for. `motion`: floats [1 + lookahead, R, H, W, 2], the
    window's signal at this moment and at those after it, for models that see motion.
    """

    face_id: int
    t_s: float
    probabilities: tuple[float, ...]
    latency_s: float
    attention: Float32Array | None = field(default=None, repr=False, compare=False)
    motion: FloatArray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class MacroScores:
    """Scores of the macro-expression of one whole face at one moment; it is usually deliberate.

    `t_s`: time of the newest frame that has a part in it. `probabilities`: a number for each label
    of the model of macro-expressions, sum 1, smoothed over time.
    """

    face_id: int
    t_s: float
    probabilities: tuple[float, ...]

    @property
    def highest(self) -> int:
        """Index of the label with the highest probability; of equal probabilities the first."""
        return self.probabilities.index(max(self.probabilities))


@dataclass(frozen=True, slots=True)
class Event:
    """One spotted micro-expression; times in seconds on the clock of the frames.

    `label` is one of the model's labels; `score` is its mean probability around the apex.
    """

    face_id: int
    onset_s: float
    apex_s: float
    offset_s: float
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Update:
    """Results that are known once one frame has gone through the monitor.

    `scores` and `events` are those that arrived since the previous update; they belong to moments
    before this frame, because a window has to be complete before it is scored. `states` and
    `conditions`: an entry for each face of this frame. `macro`: new scores of macro-expressions,
    for some of these faces in some of the frames; between, the last ones hold.
    """

    frame: Frame
    faces: tuple[Face, ...]
    scores: tuple[Scores, ...]
    events: tuple[Event, ...]
    states: dict[int, State]
    conditions: dict[int, Conditions] = field(default_factory=dict)
    macro: tuple[MacroScores, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Description of a source. None: not known.

    `size_wh`: width and height of the frames that it delivers, after rotation. `rate_hz`: nominal
    frame rate. `duration_s`, `frame_count`: as the container states them. `bytes`, `modified`: size
    of a file, and when it was written, ISO 8601.
    """

    name: str
    size_wh: tuple[int, int]
    rate_hz: float | None = None
    duration_s: float | None = None
    frame_count: int | None = None
    bytes: int | None = None
    modified: str | None = None


class Source(Protocol):
    """Source of frames: a camera, a file or a network stream.

    Use as a context manager and iterate: `with source: for frame in source: ...`. Iteration blocks
    for the next frame, ends at the end of the stream or after `stop`, and raises
    `realtime.errors.SourceError` when the stream fails. Entering opens (and may raise the same
    error); leaving releases the device and joins any thread. `stop` may be called from any thread;
    everything else belongs to the thread that entered.
    """

    live: bool
    """True: frames arrive whether or not they are read, and the reader gets the latest. False:
    every frame waits to be read."""

    drops: Counter[str]
    """Counts of the frames that were never delivered, by cause."""

    on_idle: Callable[[], None] | None
    """Function that the reading thread calls a few times a second while no frame comes."""

    @property
    def info(self) -> SourceInfo: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def stop(self) -> None: ...
    def age_s(self, frame: Frame) -> float | None:
        """Return the seconds since a frame of this source was captured.

        None where that means nothing.
        """
        ...
