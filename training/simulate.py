"""Simulated micro-expressions: videos of made-up people, with exact ground truth.

`simulate` writes clips as a webcam would record them (jittering frame times, dropped frames,
noise, compression) and two tables: `clips.csv`, a row for each clip, and `events.csv`, a row for
each expression with its exact course (see `intensity_at`). Clip i of a seed is always the same,
whatever the number of processes.
"""

from __future__ import annotations

import csv
import dataclasses
import multiprocessing
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from training import expressions, render
from training.appearance import looks_of, make_actor, make_background
from training.expressions import Motion, ScriptedEvent, intensity_at
from training.face_model import FACE_HEIGHT_CM, FaceModel, load_face_model, spherical_harmonics

__all__ = ["ClipScript", "intensity_at", "plan_clip", "render_clip", "simulate"]

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

TIME_BASE = Fraction(1, 90_000)
"""Clock of the videos, as in MPEG transport streams; frame times are multiples of it."""

FIRST_EVENT_S = 1.2
EVENT_GAP_S = 1.0
LAST_EVENT_S = 0.6
"""Rest before the first event, between events and after the last one, in seconds."""

SUBJECTS_PER_CLIP = 0.34
"""A person comes back in about three clips, so that a few hundred people make a set."""

_GRAY_STEP = 0.0038
"""Linear light of one 8-bit step at mid gray: 2.2 * .5 ** 1.2 / 255."""

_SIZES_WH = ((256, 256), (320, 240), (320, 320), (384, 288), (400, 400), (480, 360), (480, 480))
_CENTRE_CM = np.array([0.0, 2.6, 7.0])
"""Middle of the face in the model's frame."""
_NECK_CM = np.array([0.0, -6.0, -1.5])
"""The point that the head turns about."""

CLIP_FIELDS = (
    "clip",
    "subject",
    "kind",
    "events",
    "seconds",
    "frames",
    "fps",
    "width",
    "height",
    "face_px",
    "yaw_deg",
    "pitch_deg",
    "skin",
    "hair",
    "noise",
    "blur_px",
    "jpeg",
    "crf",
    "gamma",
    "seed",
)
EVENT_FIELDS = (
    "clip",
    "onset_s",
    "apex_s",
    "release_s",
    "offset_s",
    "label",
    "kind",
    "intensity",
    "units",
)


@dataclass(frozen=True, slots=True)
class ClipScript:
    """Everything that a clip is made from.

    `name`: file name; `seed`: of all that the other fields leave open; `subject`: who;
    `t_s`: frame times; `distractions`: kinds of other activity; `idle`: how much the person
    sways and blinks (1 usual); `face_px`: height of the face; `pose_deg`: yaw, pitch, roll;
    `noise`: grain at mid gray in 8-bit steps; `blur_px`: of the lens; `jpeg`: quality of the
    camera's own compression, 0 none; `crf`: of H.264; `skin`: tone 0..1, the subject's if None.
    """

    name: str
    seed: tuple[int, ...]
    subject: int
    t_s: tuple[float, ...]
    events: tuple[ScriptedEvent, ...] = ()
    distractions: tuple[str, ...] = ()
    idle: float = 1.0
    size_wh: tuple[int, int] = (320, 320)
    fps: float = 30.0
    face_px: float = 190.0
    place: tuple[float, float] = (0.5, 0.5)
    pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance_cm: float = 60.0
    noise: float = 1.5
    blur_px: float = 0.6
    jpeg: int = 0
    crf: int = 20
    gamma: float = 2.2
    contrast: float = 0.1
    skin: float | None = None

    @property
    def kind(self) -> str:
        """The distractions as one word."""
        return "+".join(self.distractions) or "still"


def frame_times(rng: np.random.Generator, fps: float, seconds: float) -> tuple[float, ...]:
    """Times at which a camera of this rate delivers frames: they jitter, and some are dropped."""
    count = max(2, round(seconds * fps))
    jitter = rng.choice([0.0, 0.02, 0.08, 0.2], p=[0.2, 0.4, 0.3, 0.1])
    t = (np.arange(count) + np.clip(rng.normal(0, jitter, count), -0.4, 0.4)) / fps
    keep = rng.random(count) >= rng.choice([0.0, 0.005, 0.03], p=[0.5, 0.35, 0.15])
    if rng.random() < 0.08:  # a stall of the camera or of the bus
        at = int(rng.integers(0, count))
        keep[at : at + int(rng.integers(2, 5))] = False
    keep[0] = keep[-1] = True
    ticks = np.round((t[keep] - t[0]) / float(TIME_BASE)).astype(np.int64)
    return tuple(float(tick * TIME_BASE) for tick in ticks)


def place_events(rng: np.random.Generator, seconds: float) -> tuple[ScriptedEvent, ...]:
    """Two to four random events, far enough apart, in a clip of this length."""
    room = seconds - FIRST_EVENT_S - LAST_EVENT_S
    drawn: list[ScriptedEvent] = []
    used = 0.0
    for _ in range(int(rng.integers(2, 5))):
        left = room - used - (EVENT_GAP_S if drawn else 0.0)
        kind = "macro" if rng.random() < 0.25 and left > 0.9 else "micro"
        if left < 0.5:
            break
        event = expressions.draw_event(rng, kind, left)
        drawn.append(event)
        used += event.offset_s + (EVENT_GAP_S if len(drawn) > 1 else 0.0)
    order = rng.permutation(len(drawn))
    slack = np.diff(
        np.sort(np.concatenate([[0.0], rng.uniform(0, max(room - used, 0), len(drawn))]))
    )
    placed, at = [], FIRST_EVENT_S
    for gap, index in zip(slack, order, strict=True):
        at += float(gap)
        placed.append(shifted(drawn[index], at))
        at = placed[-1].offset_s + EVENT_GAP_S
    return tuple(placed)


def shifted(event: ScriptedEvent, by_s: float) -> ScriptedEvent:
    """The same event `by_s` later, with times that events.csv states exactly."""
    times = {
        name: round(getattr(event, name) + by_s, 4)
        for name in ("onset_s", "apex_s", "release_s", "offset_s")
    }
    return dataclasses.replace(event, **times, intensity=round(event.intensity, 4))


def plan_clip(
    seed: int, index: int, seconds: float, first_subject: int, subjects: int
) -> ClipScript:
    """The script of clip `index`: about one in three has no event."""
    rng = np.random.default_rng([seed, index])
    subject = first_subject + int(rng.integers(subjects))
    with_events = rng.random() < 0.66
    events = place_events(rng, seconds) if with_events else ()
    kinds = list(expressions.DISTRACTIONS)
    if with_events:
        count = int(rng.choice([0, 1, 2], p=[0.45, 0.45, 0.1]))
    else:
        count = int(rng.choice([0, 1, 2, 3], p=[0.06, 0.6, 0.24, 0.1]))
    # Speech and head turns are what live monitors meet most, so they come twice as often.
    odds = np.array([2.0 if kind in ("speech", "turn", "gaze") else 1.0 for kind in kinds])
    chosen = rng.choice(len(kinds), count, replace=False, p=odds / odds.sum())
    fps = float(
        rng.choice(
            [15, 20, 24, 25, 30, 50, 60, 90, 120],
            p=[0.04, 0.04, 0.05, 0.17, 0.45, 0.08, 0.12, 0.03, 0.02],
        )
    )
    face_px = float(rng.uniform(150, 250))
    if rng.random() < 0.2:
        face_px = float(np.exp(rng.uniform(np.log(80), np.log(400))))
    fitting = [size for size in _SIZES_WH if min(size) >= 1.15 * face_px]
    size_wh = fitting[min(int(rng.integers(3)), len(fitting) - 1)]
    return ClipScript(
        name=f"clip_{index:05d}.mp4",
        seed=(seed, index, 1),
        subject=subject,
        t_s=frame_times(rng, fps, seconds),
        events=events,
        distractions=tuple(kinds[i] for i in sorted(chosen)),
        idle=float(rng.choice([0.3, 1.0, 1.7])),
        size_wh=size_wh,
        fps=fps,
        face_px=round(face_px, 1),
        place=_place(rng, size_wh, face_px),
        pose_deg=(
            float(np.clip(rng.normal(0, 7), -20, 20)),
            float(np.clip(rng.normal(0, 5), -12, 12)),
            float(np.clip(rng.normal(0, 3), -10, 10)),
        ),
        distance_cm=float(np.exp(rng.uniform(np.log(38), np.log(95)))),
        noise=float(rng.choice([0.4, 1.0, 2.0, 3.5, 5.0], p=[0.2, 0.3, 0.3, 0.14, 0.06])),
        blur_px=round(float(rng.uniform(0.3, 1.0)), 3),
        jpeg=int(rng.choice([0, 95, 85, 70], p=[0.5, 0.2, 0.2, 0.1])),
        crf=int(rng.choice([16, 19, 22, 25, 29], p=[0.1, 0.25, 0.3, 0.25, 0.1])),
        gamma=round(float(rng.uniform(1.9, 2.5)), 3),
        contrast=round(float(rng.uniform(0.0, 0.25)), 3),
    )


def _place(
    rng: np.random.Generator, size_wh: tuple[int, int], face_px: float
) -> tuple[float, float]:
    """Where the middle of the face lies, as a share of the picture: inside, with a margin."""
    free = [max(0.0, (side - 1.12 * face_px) / side / 2) for side in size_wh]
    x, y = (0.5 + float(np.clip(rng.normal(0, 0.4), -1, 1)) * half for half in free)
    return x, y


def _perform(script: ClipScript, names: tuple[str, ...]) -> Motion:
    rng = np.random.default_rng([*script.seed, 2])
    motion = expressions.still(np.array(script.t_s), names)
    if script.idle > 0:
        expressions.sway(rng, motion, script.idle)
        if "blinks" not in script.distractions:
            expressions.blinks(rng, motion)
    expressions.distract(rng, motion, script.distractions)
    motion.angles_deg[:] += script.pose_deg
    motion.angles_deg[:] = np.clip(motion.angles_deg, (-30, -22, -20), (30, 22, 20))
    for event in script.events:
        expressions.play_event(motion, event)
    np.clip(motion.weights, 0, 1, out=motion.weights)
    return motion


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """Positive yaw turns the face to the picture's right, positive pitch looks up."""
    y, p, r = np.radians([yaw_deg, -pitch_deg, roll_deg])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    turned: npt.NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


@dataclass(frozen=True, slots=True)
class _Lighting:
    directions: npt.NDArray[np.float64]
    colours: Float32Array
    sky: Float32Array
    ground: Float32Array


def _lighting(rng: np.random.Generator) -> _Lighting:
    """A main light, a weaker one, and a room that reflects both."""
    side = rng.normal(0, 0.75)
    height = rng.uniform(0.05, 1.0)
    key = np.array([np.sin(side), np.tan(height) * 0.7, np.cos(side)])
    fill = np.array(
        [-np.sign(side) * rng.uniform(0.4, 1.4), rng.uniform(-0.2, 0.6), rng.uniform(0.1, 1)]
    )
    warmth = rng.normal(0, 0.07, 3)[:, None] * np.array([1.0, 0.05, -1.0])
    tint = np.exp(warmth)
    ambient = rng.uniform(0.25, 0.55)
    strength = rng.uniform(0.2, 0.8)
    total = rng.uniform(0.85, 1.2)
    lamp = (1 - ambient) * total
    colours = np.stack([lamp * tint[0], 0.6 * lamp * (1 - strength) * tint[1]])
    room = ambient * total * tint[2]
    return _Lighting(
        directions=np.stack([v / np.linalg.norm(v) for v in (key, fill)]),
        colours=colours.astype(np.float32),
        sky=(room * rng.uniform(1.1, 1.4)).astype(np.float32),
        ground=(room * rng.uniform(0.45, 0.8)).astype(np.float32),
    )


class _Camera:
    """Turns linear pictures into what a webcam delivers. One for each clip."""

    def __init__(self, script: ClipScript, rng: np.random.Generator) -> None:
        width, height = script.size_wh
        self._script = script
        self._rng = rng
        self._curve = render.tone_curve(script.gamma, script.contrast)
        v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
        self._falloff = (1 - rng.uniform(0, 0.18) * (u * u + v * v) / 2).astype(np.float32)
        # Grain of sensors is soft after demosaicing, and stronger in colour.
        grain = rng.standard_normal((300, 380, 3), np.float32)
        grain = 0.6 * grain + 0.8 * grain.mean(2, keepdims=True)
        soft = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.3, 0.7)))
        self._grain = (soft / soft.std()).astype(np.float32)
        self._noise = script.noise * _GRAY_STEP
        self._white = np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)

    def expose(self, linear: Float32Array, gain: float) -> UInt8Array:
        """uint8 BGR [H, W, 3] of a linear RGB picture, which may be larger by a whole or half
        factor."""
        width, height = self._script.size_wh
        if linear.shape[1] != width:
            # Both average two pixels each way, at factors of 2 and of 4/3.
            half = linear.shape[1] == 2 * width
            way = cv2.INTER_AREA if half else cv2.INTER_LINEAR
            linear = cv2.resize(linear, (width, height), interpolation=way).astype(
                np.float32, copy=False
            )
        blurred = cv2.GaussianBlur(linear, (5, 5), self._script.blur_px).astype(
            np.float32, copy=False
        )
        at = (int(self._rng.integers(300)), int(self._rng.integers(380)))
        picture = render.develop(
            blurred,
            self._white * np.float32(gain),
            self._curve,
            self._falloff,
            self._grain,
            at,
            0.3 * self._noise,
            1.5 * self._noise,
        )
        if self._script.jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self._script.jpeg]
            data = cv2.imencode(".jpg", picture, quality)[1]
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8, copy=False)
        return picture


def supersampling(face_px: float) -> float:
    """Rendered pixels for each pixel of the picture: small faces need more to be smooth."""
    return 2.0 if face_px < 120 else 4 / 3 if face_px < 240 else 1.0


class Stage:
    """Draws one clip: the person, the light and the camera. Not for several threads.

    `motion`: what the person does, by default what the script says; `scale`: rendered pixels
    for each pixel of the picture, 1, 4/3 or 2, by default what suits the size of the face."""

    def __init__(
        self,
        script: ClipScript,
        model: FaceModel,
        motion: Motion | None = None,
        scale: float | None = None,
    ) -> None:
        rng = np.random.default_rng([*script.seed, 3])
        scale = scale or supersampling(script.face_px)
        self._size_wh = (round(script.size_wh[0] * scale), round(script.size_wh[1] * scale))
        self._model = model
        self.actor = make_actor(model, script.subject, script.face_px * scale, script.skin)
        self._background = make_background(rng, self._size_wh)
        self._light = _lighting(rng)
        self._motion = motion or _perform(script, model.names)
        self._camera = _Camera(script, rng)
        focal = script.face_px * scale * script.distance_cm / FACE_HEIGHT_CM
        self._lens = np.array(
            [focal, script.place[0] * self._size_wh[0], script.place[1] * self._size_wh[1]],
            np.float32,
        )
        self._distance_cm = script.distance_cm
        self._body_turn = _rotation(0.4 * script.pose_deg[0], 0, 0.3 * script.pose_deg[2])
        self._canvas = render.Canvas(len(self.actor.points), self._size_wh)

    def frame(self, index: int) -> UInt8Array:
        """uint8 BGR [H, W, 3] of frame `index`."""
        motion, actor = self._motion, self.actor
        turn = _rotation(*motion.angles_deg[index])
        where = motion.offset_cm[index] + np.array([0.0, 0.0, -self._distance_cm])
        # The middle of an upright face is where the camera looks; the neck is the joint.
        joint = _NECK_CM - _CENTRE_CM + where
        head = np.concatenate([turn, (joint - turn @ _NECK_CM)[:, None]], 1)
        body = np.concatenate([self._body_turn, (joint - self._body_turn @ _NECK_CM)[:, None]], 1)
        directions = self._light.directions.copy()
        c, s = np.cos(motion.key_turn[index]), np.sin(motion.key_turn[index])
        x, z = directions[0, 0], directions[0, 2]
        directions[0, 0], directions[0, 2] = c * x + s * z, c * z - s * x
        colours = self._light.colours.copy()
        colours[0] *= motion.key_gain[index]
        basis = spherical_harmonics((directions @ turn).astype(np.float32))
        linear = render.draw(
            self._canvas,
            actor,
            self._model,
            motion.weights[index].astype(np.float32),
            np.radians(motion.gaze_deg[index]),
            head.astype(np.float32),
            body.astype(np.float32),
            self._lens,
            render.Lights(
                directions.astype(np.float32), colours, basis, self._light.sky, self._light.ground
            ),
            self._background,
            0.5 + 0.5 * float(motion.key_gain[index]),
        )
        if motion.hand[index, 3]:
            self._draw_hand(linear, motion.hand[index])
        return self._camera.expose(linear, float(motion.gain[index]))

    def _draw_hand(self, linear: Float32Array, hand: npt.NDArray[np.float64]) -> None:
        """A palm with four fingers, in the colour of the skin, in front of everything."""
        unit = float(self._lens[0]) * FACE_HEIGHT_CM / self._distance_cm
        centre = self._lens[1:] + hand[:2] * unit
        c, s = np.cos(hand[2]), np.sin(hand[2])

        mask = np.zeros(linear.shape[:2], np.uint8)

        def stroke(
            start: tuple[float, float], end: tuple[float, float], width: float, gray: int
        ) -> None:
            """A thick line between two points of the hand, right and up in face heights."""
            ends = []
            for right, up in (start, end):
                x = centre[0] + unit * (c * right + s * up)
                y = centre[1] + unit * (s * right - c * up)
                ends.append((round(float(x) * 16), round(float(y) * 16)))
            thick = max(2, round(width * unit))
            cv2.line(mask, ends[0], ends[1], (gray,), thick, cv2.LINE_AA, 4)

        for x, length, gray in ((-0.13, 0.33, 190), (-0.045, 0.4, 210), (0.045, 0.38, 190)):
            stroke((x, 0.0), (1.25 * x, length), 0.085, gray)
        stroke((0.13, 0.0), (0.16, 0.3), 0.085, 210)
        stroke((0.17, -0.3), (0.3, 0.05), 0.085, 200)
        stroke((0.0, -0.08), (0.0, -0.9), 0.3, 225)
        soft = cv2.GaussianBlur(mask, (0, 0), 0.012 * unit + 0.5)
        shade = soft.astype(np.float32)[..., None] / 255
        skin = self.actor.texture[: self.actor.tiles[0, 1] ** 2, :3].mean(0)
        cover = np.clip(shade * 2.2, 0, 1)
        linear += cover * (skin * shade * 0.75 - linear)


def write_video(path: Path, script: ClipScript, stage: Stage, preset: str) -> None:
    """Films all frames of a script into an H.264 MP4 with the script's own frame times.

    The file appears under its name only when it is complete."""
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=max(1, round(script.fps)))
        stream.width, stream.height = script.size_wh
        stream.pix_fmt = "yuv420p"
        stream.time_base = TIME_BASE
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = 1
        # Without B-frames the first frame is at time 0 in every player.
        stream.options = {"crf": str(script.crf), "preset": preset, "bf": "0", "g": "60"}
        for index, t_s in enumerate(script.t_s):
            frame = av.VideoFrame.from_ndarray(stage.frame(index), format="bgr24")
            frame.pts = round(t_s / float(TIME_BASE))
            frame.time_base = TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unfinished.replace(path)


def render_clip(script: ClipScript, face_model: Path, path: Path) -> None:
    """Writes the clip that the script describes. Raises SourceError when `face_model` cannot be
    read."""
    write_video(path, script, Stage(script, load_face_model(face_model)), "ultrafast")


def clip_row(script: ClipScript) -> dict[str, object]:
    """The clip's row of clips.csv."""
    looks = looks_of(script.subject, script.skin)
    return {
        "clip": script.name,
        "subject": script.subject,
        "kind": script.kind,
        "events": len(script.events),
        "seconds": round(script.t_s[-1], 4),
        "frames": len(script.t_s),
        "fps": script.fps,
        "width": script.size_wh[0],
        "height": script.size_wh[1],
        "face_px": script.face_px,
        "yaw_deg": round(script.pose_deg[0], 2),
        "pitch_deg": round(script.pose_deg[1], 2),
        "skin": round(looks.skin, 3),
        "hair": looks.hair,
        "noise": script.noise,
        "blur_px": script.blur_px,
        "jpeg": script.jpeg,
        "crf": script.crf,
        "gamma": script.gamma,
        "seed": script.seed[0],
    }


def event_rows(script: ClipScript) -> list[dict[str, object]]:
    """The clip's rows of events.csv."""
    return [
        {"clip": script.name} | {name: getattr(event, name) for name in EVENT_FIELDS[1:]}
        for event in script.events
    ]


def write_table(path: Path, fields: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _render_task(task: tuple[ClipScript, Path, Path]) -> int:
    script, face_model, path = task
    # The processes share the cores already; OpenCV's threads would only get in their way.
    cv2.setNumThreads(1)
    render_clip(script, face_model, path)
    return len(script.t_s)


def simulate(
    out: Path,
    face_model: Path,
    clips: int,
    seed: int = 0,
    seconds: float = 6.0,
    jobs: int = 1,
    first_subject: int = 0,
    subjects: int | None = None,
) -> None:
    """Writes `clips` clips, `clips.csv` and `events.csv` into the folder `out`.

    People are numbered from `first_subject`; `subjects`: how many there are, by default a third
    of the number of clips. The tables are there from the start; clips that `out` holds already
    are kept, so an interrupted run goes on where it was. Raises SourceError when `face_model`
    cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    load_face_model(face_model)  # says at once, and not in every process, if it is unusable
    people = subjects or max(1, round(clips * SUBJECTS_PER_CLIP))
    scripts = [plan_clip(seed, i, seconds, first_subject, people) for i in range(clips)]
    write_table(out / "clips.csv", CLIP_FIELDS, [clip_row(script) for script in scripts])
    rows = [row for script in scripts for row in event_rows(script)]
    write_table(out / "events.csv", EVENT_FIELDS, rows)
    tasks = [
        (script, face_model, out / script.name)
        for script in scripts
        if not (out / script.name).exists()
    ]
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress("simulating", *columns) as progress:
        bar = progress.add_task("", total=clips, completed=clips - len(tasks))
        if jobs == 1:
            for task in tasks:
                _render_task(task)
                progress.advance(bar)
            return
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for _ in pool.imap_unordered(_render_task, tasks):
                progress.advance(bar)


def simulate_command(
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    face_model: Annotated[Path, typer.Option(help="The FaceKit face model (.npz).")],
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")] = 100,
    seed: Annotated[int, typer.Option(help="Another seed makes other clips.")] = 0,
    seconds: Annotated[float, typer.Option(min=3.0, help="Length of a clip.")] = 6.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = (
        os.cpu_count() or 1
    ),
    first_subject: Annotated[int, typer.Option(min=0, help="Number of the first person.")] = 0,
    subjects: Annotated[
        int | None, typer.Option(min=1, help="Number of people; a third of the clips by default.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Write the demo clip instead.")] = False,
) -> None:
    """Film made-up people with micro-expressions, and write down exactly what they did."""
    if demo:
        from training.demo import write_demo

        write_demo(out, face_model)
    else:
        simulate(out, face_model, clips, seed, seconds, jobs, first_subject, subjects)
