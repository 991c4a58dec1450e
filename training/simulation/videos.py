"""Videos of simulated people with micro-expressions, and tables with the exact ground truth.

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
from training.simulation.scenario import TIME_BASE, ClipScenario, person_name, plan_clip
from training.simulation.scene import Scene, SceneRenderer

SUBJECTS_PER_CLIP = 0.34
"""People for each clip: a person is in about three clips, so a few hundred people make a set."""

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


def write_video(path: Path, scenario: ClipScenario, scene: Scene, preset: str) -> None:
    """Film all frames of a scenario into an H.264 MP4 with the scenario's own frame times.

    The file appears under its name only when it is complete."""
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=max(1, round(scenario.fps)))
        stream.width, stream.height = scenario.size_wh
        stream.pix_fmt = "yuv420p"
        stream.time_base = TIME_BASE
        stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = 1
        # Without B-frames the first frame is at time 0 in every player.
        stream.options = {"crf": str(scenario.crf), "preset": preset, "bf": "0", "g": "60"}
        for index, t_s in enumerate(scenario.t_s):
            frame = av.VideoFrame.from_ndarray(scene.frame(index), format="bgr24")
            frame.pts = round(t_s / float(TIME_BASE))
            frame.time_base = TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unfinished.replace(path)


def render_clip(scenario: ClipScenario, face_model: Path, path: Path, truth: bool = False) -> None:
    """Write the clip that the scenario describes, and with `truth` the .npz beside it.

    Raises SourceError when `face_model` cannot be read."""
    scene = SceneRenderer(scenario, load_face_model(face_model))
    if truth:
        write_truth(path.with_suffix(".npz"), scenario, scene)
    write_video(path, scenario, scene, "ultrafast")


def clip_row(scenario: ClipScenario) -> dict[str, object]:
    """Return the clip's row of clips.csv."""
    traits = traits_of(scenario.subject, scenario.skin)
    return {
        "clip": scenario.name,
        "subject": person_name(scenario.subject),
        "kind": scenario.kind,
        "events": len(scenario.events),
        "seconds": round(scenario.t_s[-1], 4),
        "frames": len(scenario.t_s),
        "fps": scenario.fps,
        "width": scenario.size_wh[0],
        "height": scenario.size_wh[1],
        "face_px": scenario.face_px,
        "yaw_deg": round(scenario.pose_deg[0], 2),
        "pitch_deg": round(scenario.pose_deg[1], 2),
        "skin": round(traits.skin, 3),
        "hair": traits.hair,
        "glasses": traits.glasses,
        "beard": traits.beard.style,
        "exposure_s": scenario.exposure_s,
        "noise": scenario.noise,
        "blur_px": scenario.blur_px,
        "jpeg": scenario.jpeg,
        "crf": scenario.crf,
        "gamma": scenario.gamma,
        "seed": scenario.seed[0],
    }


def event_rows(scenario: ClipScenario) -> list[dict[str, object]]:
    """Return the clip's rows of events.csv."""
    return [
        {"clip": scenario.name}
        | {name: getattr(event, name) for name in COURSE_FIELDS}
        | {"displacement_mm": round(event.intensity * reach_mm(event.units), 3)}
        for event in scenario.events
    ]


def activity_rows(scenario: ClipScenario) -> list[dict[str, object]]:
    """Return the clip's rows of activities.csv."""
    return [
        {"clip": scenario.name} | dataclasses.asdict(activity) for activity in scenario.activities
    ]


def write_table(path: Path, fields: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    """Write rows with these columns as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_tables(
    out: Path, scenarios: Sequence[ClipScenario], clip_rows: Iterable[dict[str, object]]
) -> None:
    """Write `clips.csv` of these rows, and the scenarios' `events.csv` and `activities.csv`."""
    write_table(out / "clips.csv", CLIP_FIELDS, clip_rows)
    events = (row for scenario in scenarios for row in event_rows(scenario))
    write_table(out / "events.csv", EVENT_FIELDS, events)
    activities = (row for scenario in scenarios for row in activity_rows(scenario))
    write_table(out / "activities.csv", ACTIVITY_FIELDS, activities)


def _render_task(task: tuple[ClipScenario, Path, Path, bool]) -> None:
    """Film a clip; a task of the process pool."""
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
    """Write `clips` clips, `clips.csv`, `events.csv` and `activities.csv` into the folder `out`.

    People are numbered from `first_subject`; `subjects`: their number, by default a third of the
    number of clips; as many as clips: 1 person a clip, in order. `truth`: also the files of
    `training.simulation.ground_truth.write_truth`. The tables are there from the start; clips that
    `out` holds already are kept, so an interrupted run goes on where it was. Raises SourceError
    when `face_model` cannot be read, KilasError when `out` was made from other settings.

    Example:
        simulate(Path("clips"), Path("ict_facekit.npz"), clips=20, seconds=6.0, truth=True)
    """
    load_face_model(face_model)  # fails at once, and not in every process, if it is unusable
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
    scenarios = [
        plan_clip(seed, i, seconds, first_subject + i, 1)
        if one_a_clip
        else plan_clip(seed, i, seconds, first_subject, people)
        for i in range(clips)
    ]
    write_tables(out, scenarios, [clip_row(scenario) for scenario in scenarios])
    tasks = [
        (scenario, face_model, out / scenario.name, truth)
        for scenario in scenarios
        if not (out / scenario.name).exists()
        or (truth and not (out / scenario.name).with_suffix(".npz").exists())
    ]
    map_all(_render_task, tasks, jobs, "simulating", clips - len(tasks))
