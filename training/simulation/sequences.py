"""Face sequences of simulated people for training, without video files in between.

A face sequence shows what a camera sees of the same scenario: the picture is rendered, compressed
as a video is, and the live path's own stages find the face in it. Only the room around the face is
cut away, and nothing is written but the aligned faces. Face sequences by mesh warping
(`training.simulation.mesh_warping`) skip all that: they come straight from the mesh.
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
from training.preparation.prepare import read_sequences
from training.preparation.sequence_file import FaceSequence, write_sequences
from training.provenance import ensure_same_inputs, sha256_of
from training.rendering.face_model import load_face_model
from training.simulation.actions import draw_event
from training.simulation.mesh_warping import warped_faces
from training.simulation.scenario import (
    LONG_CLIP_S,
    ClipScenario,
    frame_times,
    person_name,
    plan_clip,
    shifted,
)
from training.simulation.scene import Scene, SceneRenderer

FILE_S = 128.0
"""Seconds of clips whose face sequences share a file: the work of a minute, which is the most that
an interruption costs."""

ROOM = 1.4
"""Side of the picture, in heights of the face."""

FACE_PX = (90.0, 190.0)
"""Least and largest height of a face: larger faces look the same when they are aligned, and take
longer to draw."""

SMOOTH_PX = 140.0
"""Height above which faces are drawn pixel by pixel; smaller faces are drawn finer and reduced."""

FASTEST_FPS = 30.0
"""Highest frame rate: more frames than the clock has slots only average the camera's noise."""

DENSE_FIRST_S = (1.2, 2.0)
"""Earliest and latest start of the first event. Events are denser than in videos: a network learns
from them, not from rest."""

DENSE_GAP_S = (0.35, 1.0)
"""Shortest and longest rest between two events."""

DENSE_LAST_S = 0.4
"""Rest after the last event."""

MACRO_SHARE = 0.2
"""Share of macro-expressions among the dense events."""

DENSE_EVENNESS = 0.5
"""Evenness of mixes of action units, as in `draw_event`: rare mixes come more often than in life,
or a network would hardly meet them."""


def dense_events(rng: np.random.Generator, seconds: float) -> tuple[AnnotatedExpression, ...]:
    """Draw as many random events as fit."""
    placed: list[AnnotatedExpression] = []
    at_s = float(rng.uniform(*DENSE_FIRST_S))
    while seconds - DENSE_LAST_S - at_s > 0.5:
        room_s = seconds - DENSE_LAST_S - at_s
        kind = "macro" if rng.random() < MACRO_SHARE and room_s > 0.9 else "micro"
        placed.append(shifted(draw_event(rng, kind, room_s, DENSE_EVENNESS), at_s))
        at_s = placed[-1].offset_s + float(rng.uniform(*DENSE_GAP_S))
    return tuple(placed)


def sequence_scenario(
    seed: int, index: int, seconds: float, first_subject: int, dense: bool = True
) -> ClipScenario:
    """Draw the scenario of clip `index`, as `plan_clip` does, but for a face sequence.

    The clip has a person of its own, who is filmed close up, and, if `dense` and short, more
    events."""
    scenario = plan_clip(seed, index, seconds, first_subject + index, 1)
    rng = np.random.default_rng([seed, index, 4])
    face_px = float(np.clip(scenario.face_px, *FACE_PX))
    side = 16 * round(ROOM * face_px / 16)
    fps = min(scenario.fps, FASTEST_FPS)
    return dataclasses.replace(
        scenario,
        face_px=face_px,
        size_wh=(side, side),
        place=(0.5, 0.5),
        fps=fps,
        events=dense_events(rng, seconds)
        if dense and scenario.events and seconds < LONG_CLIP_S
        else scenario.events,
        t_s=frame_times(rng, fps, seconds) if fps != scenario.fps else scenario.t_s,
    )


class _Codec:
    """H.264 compression of pictures: encoded and decoded in memory, frame by frame."""

    def __init__(self, scenario: ClipScenario) -> None:
        rate = max(1, round(scenario.fps))
        self._encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(self._encoder, av.VideoCodecContext)
        self._encoder.width, self._encoder.height = scenario.size_wh
        self._encoder.pix_fmt = "yuv420p"
        self._encoder.time_base = Fraction(1, rate)
        self._encoder.thread_count = 1
        self._encoder.options = {
            "crf": str(scenario.crf),
            "preset": "ultrafast",
            "tune": "zerolatency",  # every frame comes out at once
            "g": "60",
        }
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1

    def __call__(self, image_bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the picture uint8 [H, W, 3] after compression, in the same format."""
        frame = av.VideoFrame.from_ndarray(image_bgr, format="bgr24")
        for packet in self._encoder.encode(frame):
            for decoded in self._decoder.decode(packet):
                result = decoded.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
        return result


def film(scenario: ClipScenario, scene: Scene) -> Iterator[Frame]:
    """Yield all frames of a scenario as they would be read from its video."""
    codec = _Codec(scenario)
    for index, t_s in enumerate(scenario.t_s):
        yield Frame(index, t_s, codec(scene.frame(index)))


def _streams_task(task: tuple[list[ClipScenario], Path, ModelSpec, bool, Path]) -> int:
    """Write a file of face sequences and count its slots; a task of the process pool."""
    scenarios, face_model, spec, warped, out = task
    model = load_face_model(face_model)
    streams: list[FaceSequence] = []
    for scenario in scenarios:
        person = person_name(scenario.subject)
        if warped:
            faces = warped_faces(scenario, model, spec.rate_hz)
            t_s = np.arange(len(faces)) / spec.rate_hz
            streams.append(FaceSequence(scenario.name, person, faces, t_s, scenario.events))
        else:
            scene = SceneRenderer(
                scenario, model, scale=1.0 if scenario.face_px > SMOOTH_PX else None
            )
            streams += read_sequences(
                film(scenario, scene), scenario.name, person, spec, scenario.events
            )
    write_sequences(streams, spec, out)
    return sum(len(stream.t_s) for stream in streams)


def simulate_sequences(
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
    """Write the face sequences of `clips` clips into the folder `out`, and count their slots.

    Each clip shows another person; people are numbered from `first_subject`. `warped`: by mesh
    warping (`training.simulation.mesh_warping`), which takes a fifth of the time and knows no
    hands; otherwise every frame is drawn, compressed and read as the live path does. `dense`:
    clips under `LONG_CLIP_S` have more events than videos, for a network to learn from; without
    it they have as many, for thresholds to be chosen on.

    Returns the number of slots of the clock that were written. Files that `out` holds already are
    kept, so an interrupted run goes on where it was; a folder may hold several sets, a set for
    each seed and way. Raises SourceError when `face_model` cannot be read, KilasError when `out`
    holds the same set made from other settings, or when `warped` and the model has a mask.

    Example:
        spec = load_recipe("kilas").spec
        simulate_sequences(Path("sequences"), Path("ict_facekit.npz"), spec, clips=100, warped=True)
    """
    if warped and spec.mask != "none":
        raise KilasError(
            f"Face sequences by mesh warping cannot have the mask {spec.mask}; "
            "use drawn face sequences for this recipe."
        )
    load_face_model(face_model)  # fails at once, and not in every process, if it is unusable
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
    scenarios = [
        sequence_scenario(seed, index, seconds, first_subject, dense) for index in range(clips)
    ]
    tasks = []
    clips_a_file = max(1, round(FILE_S / seconds))
    for first in range(0, clips, clips_a_file):
        file = out / f"{name}_{first:05d}.npz"
        if not file.exists():
            tasks.append((scenarios[first : first + clips_a_file], face_model, spec, warped, file))
    files = len(range(0, clips, clips_a_file))
    return sum(map_all(_streams_task, tasks, jobs, "simulating", files - len(tasks)))
