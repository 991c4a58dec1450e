"""Simulated micro-expressions: videos of made-up people, with exact ground truth.

`simulate` writes clips as a webcam would record them (jittering frame times, dropped frames,
noise, compression) and three tables: `clips.csv`, a row for each clip, `events.csv`, a row for
each expression with its exact course (see `intensity_at`) and how far it moves the skin, and
`activities.csv`, a row for each stretch of speech, head turns and other activity. Clip i of a
seed is always the same, whatever the number of processes.
"""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import av

from realtime.parallel.process_pool import map_all
from training.annotations.tables import COURSE_FIELDS
from training.provenance import ensure_same_inputs, sha256_of
from training.rendering.appearance import traits_of
from training.rendering.face_model import load_face_model
from training.simulation.actions import reach_mm
from training.simulation.ground_truth import write_truth
from training.simulation.scenario import TIME_BASE, ClipScript, person_name, plan_clip
from training.simulation.scene import Scene, SceneRenderer

SUBJECTS_PER_CLIP = 0.34
"""A person comes back in about three clips, so that a few hundred people make a set."""

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
    "glasses",
    "beard",
    "exposure_s",
    "noise",
    "blur_px",
    "jpeg",
    "crf",
    "gamma",
    "seed",
)
EVENT_FIELDS = ("clip", *COURSE_FIELDS, "displacement_mm")
ACTIVITY_FIELDS = ("clip", "start_s", "end_s", "kind")


def write_video(path: Path, script: ClipScript, scene: Scene, preset: str) -> None:
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
            frame = av.VideoFrame.from_ndarray(scene.frame(index), format="bgr24")
            frame.pts = round(t_s / float(TIME_BASE))
            frame.time_base = TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unfinished.replace(path)


def render_clip(script: ClipScript, face_model: Path, path: Path, truth: bool = False) -> None:
    """Writes the clip that the script describes, and with `truth` the .npz beside it. Raises
    SourceError when `face_model` cannot be read."""
    stage = SceneRenderer(script, load_face_model(face_model))
    if truth:
        write_truth(path.with_suffix(".npz"), script, stage)
    write_video(path, script, stage, "ultrafast")


def clip_row(script: ClipScript) -> dict[str, object]:
    """The clip's row of clips.csv."""
    looks = traits_of(script.subject, script.skin)
    return {
        "clip": script.name,
        "subject": person_name(script.subject),
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
        "glasses": looks.glasses,
        "beard": looks.beard.style,
        "exposure_s": script.exposure_s,
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
        {"clip": script.name}
        | {name: getattr(event, name) for name in COURSE_FIELDS}
        | {"displacement_mm": round(event.intensity * reach_mm(event.units), 3)}
        for event in script.events
    ]


def activity_rows(script: ClipScript) -> list[dict[str, object]]:
    """The clip's rows of activities.csv."""
    return [{"clip": script.name} | dataclasses.asdict(one) for one in script.activities]


def write_table(path: Path, fields: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    """Writes rows with these columns as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_tables(
    out: Path, scripts: Sequence[ClipScript], clip_rows: Iterable[dict[str, object]]
) -> None:
    """Writes `clips.csv` of these rows, and the scripts' `events.csv` and `activities.csv`."""
    write_table(out / "clips.csv", CLIP_FIELDS, clip_rows)
    events = (row for script in scripts for row in event_rows(script))
    write_table(out / "events.csv", EVENT_FIELDS, events)
    activities = (row for script in scripts for row in activity_rows(script))
    write_table(out / "activities.csv", ACTIVITY_FIELDS, activities)


def _render_task(task: tuple[ClipScript, Path, Path, bool]) -> None:
    render_clip(*task)


def simulate(
    out: Path,
    face_model: Path,
    clips: int,
    seed: int = 0,
    seconds: float = 6.0,
    jobs: int = 1,
    first_subject: int = 0,
    subjects: int | None = None,
    truth: bool = False,
) -> None:
    """Writes `clips` clips, `clips.csv`, `events.csv` and `activities.csv` into the folder `out`.

    People are numbered from `first_subject`; `subjects`: how many there are, by default a third
    of the number of clips; as many as clips: one a clip, in order. `truth`: also the files of
    `training.simulation.ground_truth.write_truth`. The tables are there from the start; clips that `out` holds
    already are kept, so an interrupted run goes on where it was. Raises SourceError when
    `face_model` cannot be read, KilasError when `out` was made from other settings.
    """
    load_face_model(face_model)  # says at once, and not in every process, if it is unusable
    people = subjects or max(1, round(clips * SUBJECTS_PER_CLIP))
    one_a_clip = people == clips
    made_from = {
        "made_by": "simulate",
        "face_model_sha256": sha256_of(face_model),
        "seed": seed,
        "seconds": seconds,
        "first_subject": first_subject,
        "subjects": "one a clip" if one_a_clip else people,
    }
    ensure_same_inputs(out, made_from)
    scripts = [
        plan_clip(seed, i, seconds, first_subject + i, 1)
        if one_a_clip
        else plan_clip(seed, i, seconds, first_subject, people)
        for i in range(clips)
    ]
    write_tables(out, scripts, [clip_row(script) for script in scripts])
    tasks = [
        (script, face_model, out / script.name, truth)
        for script in scripts
        if not (out / script.name).exists()
        or (truth and not (out / script.name).with_suffix(".npz").exists())
    ]
    map_all(_render_task, tasks, jobs, "simulating", clips - len(tasks))
