"""Simulated people straight to training streams, without video files in between.

A stream sees what a camera sees of the same script: the picture is rendered, compressed as a
video is, and the face found in it by the live path's own stages. Only the room around the face
is cut away, and nothing is written but the aligned faces. Warped streams (`training.simulation.mesh_warping`) skip
all that: they come straight from the mesh.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from realtime.errors import KilasError
from realtime.parallel.process_pool import map_all
from realtime.spec import ModelSpec
from realtime.types import Frame
from training.annotations.expression import AnnotatedExpression
from training.preparation.prepare import read_streams
from training.preparation.sequence_file import FaceSequence, write_streams
from training.provenance import ensure_same_inputs, sha256_of
from training.rendering.face_model import load_face_model
from training.simulation.actions import draw_event
from training.simulation.mesh_warping import warped_faces
from training.simulation.scenario import (
    LONG_CLIP_S,
    ClipScript,
    frame_times,
    person_name,
    plan_clip,
    shifted,
)
from training.simulation.scene import Scene, SceneRenderer

FILE_S = 128.0
"""Seconds of clips whose streams share a file: the work of a minute, so that is the most that an
interruption costs."""

ROOM = 1.4
"""Side of the picture in heights of the face."""

FACE_PX = (90.0, 190.0)
"""Height of a face: larger ones look the same once they are aligned, and take longer to draw."""

SMOOTH_PX = 140.0
"""Faces from this height on are drawn pixel by pixel, smaller ones finer and then reduced."""

FASTEST_FPS = 30.0
"""More frames a second than the clock has slots only average the camera's noise."""

DENSE_FIRST_S = (1.2, 2.0)
"""When the first event begins. Events are denser than in videos: a network learns from them, not
from rest."""

DENSE_GAP_S = (0.35, 1.0)
"""Rest between two events."""

DENSE_LAST_S = 0.4
"""Rest after the last event."""

MACRO_SHARE = 0.2
"""Share of macro-expressions among the dense events."""

DENSE_EVENNESS = 0.5
"""Rare mixes of action units come more often than in life, or a network would hardly meet them."""


def dense_events(rng: np.random.Generator, seconds: float) -> tuple[AnnotatedExpression, ...]:
    """As many random events as fit."""
    placed: list[AnnotatedExpression] = []
    at_s = float(rng.uniform(*DENSE_FIRST_S))
    while seconds - DENSE_LAST_S - at_s > 0.5:
        room_s = seconds - DENSE_LAST_S - at_s
        kind = "macro" if rng.random() < MACRO_SHARE and room_s > 0.9 else "micro"
        placed.append(shifted(draw_event(rng, kind, room_s, DENSE_EVENNESS), at_s))
        at_s = placed[-1].offset_s + float(rng.uniform(*DENSE_GAP_S))
    return tuple(placed)


def stream_script(
    seed: int, index: int, seconds: float, first_subject: int, dense: bool = True
) -> ClipScript:
    """The script of clip `index`, as `plan_clip` makes it, but with a person of its own who is
    filmed close up, and, if `dense`, in short clips with more events."""
    script = plan_clip(seed, index, seconds, first_subject + index, 1)
    rng = np.random.default_rng([seed, index, 4])
    face_px = float(np.clip(script.face_px, *FACE_PX))
    side = 16 * round(ROOM * face_px / 16)
    fps = min(script.fps, FASTEST_FPS)
    return dataclasses.replace(
        script,
        face_px=face_px,
        size_wh=(side, side),
        place=(0.5, 0.5),
        fps=fps,
        events=dense_events(rng, seconds)
        if dense and script.events and seconds < LONG_CLIP_S
        else script.events,
        t_s=frame_times(rng, fps, seconds) if fps != script.fps else script.t_s,
    )


class _Codec:
    """What H.264 leaves of a picture: encoded and decoded in memory, frame by frame."""

    def __init__(self, script: ClipScript) -> None:
        rate = max(1, round(script.fps))
        self._encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(self._encoder, av.VideoCodecContext)
        self._encoder.width, self._encoder.height = script.size_wh
        self._encoder.pix_fmt = "yuv420p"
        self._encoder.time_base = Fraction(1, rate)
        self._encoder.thread_count = 1
        self._encoder.options = {
            "crf": str(script.crf),
            "preset": "ultrafast",
            "tune": "zerolatency",  # every frame comes out at once
            "g": "60",
        }
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1

    def __call__(self, image_bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """uint8 [H, W, 3] to the same."""
        frame = av.VideoFrame.from_ndarray(image_bgr, format="bgr24")
        for packet in self._encoder.encode(frame):
            for decoded in self._decoder.decode(packet):
                result = decoded.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
        return result


def film(script: ClipScript, scene: Scene) -> Iterator[Frame]:
    """All frames of a script as they would be read from its video."""
    codec = _Codec(script)
    for index, t_s in enumerate(script.t_s):
        yield Frame(index, t_s, codec(scene.frame(index)))


def _streams_task(task: tuple[list[ClipScript], Path, ModelSpec, bool, Path]) -> int:
    scripts, face_model, spec, warped, out = task
    model = load_face_model(face_model)
    streams: list[FaceSequence] = []
    for script in scripts:
        person = person_name(script.subject)
        if warped:
            faces = warped_faces(script, model, spec.rate_hz)
            t_s = np.arange(len(faces)) / spec.rate_hz
            streams.append(FaceSequence(script.name, person, faces, t_s, script.events))
        else:
            stage = SceneRenderer(script, model, scale=1.0 if script.face_px > SMOOTH_PX else None)
            streams += read_streams(film(script, stage), script.name, person, spec, script.events)
    write_streams(streams, spec, out)
    return sum(len(stream.t_s) for stream in streams)


def simulate_streams(
    out: Path,
    face_model: Path,
    spec: ModelSpec,
    clips: int,
    seed: int = 0,
    seconds: float = 6.0,
    jobs: int = 1,
    first_subject: int = 0,
    warped: bool = False,
    dense: bool = True,
) -> int:
    """Write the streams of `clips` clips into the folder `out`; give the number of their slots.

    Each clip shows another person; they are numbered from `first_subject`. `warped`: straight
    from the mesh (`training.simulation.mesh_warping`), which takes a fifth of the time and knows no hands; otherwise
    every frame is drawn, compressed and read as the live path does. `dense`: clips under
    `LONG_CLIP_S` have more events than videos, for a network to learn from; without it they have
    as many, for thresholds to be chosen on. Files that `out` holds
    already are kept, so an interrupted run goes on where it was; a folder may hold several sets,
    one for each seed and way. Raises SourceError when `face_model` cannot be read, KilasError when
    `out` holds the same set made from other settings, or warped streams are to have a mask.
    """
    if warped and spec.mask != "none":
        raise KilasError(
            f"Warped streams cannot have the mask {spec.mask}; give drawn ones to this recipe."
        )
    load_face_model(face_model)  # says at once, and not in every process, if it is unusable
    name = f"{'warped' if warped else 'drawn'}_{seed}"
    made_from = {
        "face_model_sha256": sha256_of(face_model),
        "clips": clips,
        "seconds": seconds,
        "first_subject": first_subject,
        "dense": dense,
        "rate_hz": spec.rate_hz,
        "max_gap_s": spec.max_gap_s,
        "mask": spec.mask,
    }
    ensure_same_inputs(out, made_from, f"{name}.json")
    scripts = [stream_script(seed, index, seconds, first_subject, dense) for index in range(clips)]
    tasks = []
    clips_a_file = max(1, round(FILE_S / seconds))
    for first in range(0, clips, clips_a_file):
        file = out / f"{name}_{first:05d}.npz"
        if not file.exists():
            tasks.append((scripts[first : first + clips_a_file], face_model, spec, warped, file))
    files = len(range(0, clips, clips_a_file))
    return sum(map_all(_streams_task, tasks, jobs, "simulating", files - len(tasks)))
