"""Videos of simulated people and their tables: exact, repeatable, and kept when they are there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from realtime.errors import KilasError
from training.__main__ import app, main
from training.annotations.expression import AnnotatedExpression, intensity_at
from training.recipe import load_recipe
from training.simulation import videos
from training.simulation.actions import reach_mm
from training.simulation.scenario import ClipScenario


def test_the_video_has_the_scripts_own_times(face_model: Path, tmp_path: Path) -> None:
    t_s = (0.0, 0.03, 0.1, 0.11, 0.5, 0.52)
    path = tmp_path / "clip.mp4"
    script = ClipScenario("clip.mp4", (5,), 3, t_s, size_wh=(256, 256), face_px=160.0)
    videos.render_clip(script, face_model, path)
    with av.open(str(path)) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, t_s, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


SET: dict[str, Any] = {"clips": 3, "seed": 106, "seconds": 3.0, "subjects": 2}


@pytest.mark.thorough
def test_sets_do_not_depend_on_the_number_of_processes(face_model: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        videos.simulate(tmp_path / str(jobs), face_model, jobs=jobs, **SET | {"clips": 2})
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    tables = ["activities.csv", "clips.csv", "events.csv"]
    assert names == sorted([f"clip_0000{i}.mp4" for i in range(2)] + tables + ["made_from.json"])
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_tables_say_what_the_videos_hold_and_finished_clips_are_kept(
    face_model: Path, tmp_path: Path
) -> None:
    videos.simulate(tmp_path, face_model, **SET)
    clips = pd.read_csv(tmp_path / "clips.csv")
    assert tuple(clips.columns) == videos.CLIP_FIELDS
    assert tuple(pd.read_csv(tmp_path / "events.csv").columns) == videos.EVENT_FIELDS
    activities = pd.read_csv(tmp_path / "activities.csv")
    assert tuple(activities.columns) == videos.ACTIVITY_FIELDS
    assert set(clips["subject"]) <= {"simulated-0", "simulated-1"}
    for clip in clips.itertuples():
        kinds = activities.loc[activities["clip"] == clip.clip, "kind"]
        assert "+".join(sorted(kinds)) == ("" if clip.kind == "still" else clip.kind)
    for clip in clips.itertuples():
        with av.open(str(tmp_path / str(clip.clip))) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (clip.width, clip.height)
            assert sum(1 for _ in container.decode(stream)) == clip.frames

    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.mp4")}
    (tmp_path / "clip_00001.mp4").unlink()
    videos.simulate(tmp_path, face_model, **SET)
    after = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.mp4")}
    assert {name for name in before if before[name] != after[name]} == {"clip_00001.mp4"}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[ClipScenario]:
    """Scripts that `simulate` would film; nothing is."""
    scripts: list[ClipScenario] = []

    def plan(_: object, tasks: list[tuple[ClipScenario, Path, Path, bool]], *__: object) -> None:
        scripts.extend(task[0] for task in tasks)

    monkeypatch.setattr(videos, "map_all", plan)
    return scripts


def test_as_many_people_as_clips_are_one_a_clip(
    planned: list[ClipScenario], face_model: Path, tmp_path: Path
) -> None:
    videos.simulate(tmp_path, face_model, 6, first_subject=40, subjects=6)
    assert [script.subject for script in planned] == list(range(40, 46))
    assert pd.read_csv(tmp_path / "clips.csv")["subject"].nunique() == 6


def test_a_larger_set_of_the_same_people_begins_with_the_same_clips(
    planned: list[ClipScenario], face_model: Path, tmp_path: Path
) -> None:
    videos.simulate(tmp_path, face_model, 3, subjects=2)
    videos.simulate(tmp_path, face_model, 5, subjects=2)
    assert planned[3:6] == planned[:3]


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"seconds": 4.0}, {"first_subject": 5}, {"subjects": 1}]
)
def test_a_folder_of_other_settings_is_refused(
    change: dict[str, Any], planned: list[ClipScenario], face_model: Path, tmp_path: Path
) -> None:
    videos.simulate(tmp_path, face_model, **SET)
    tables = (tmp_path / "clips.csv").read_text()
    with pytest.raises(KilasError, match=rf"other settings \({next(iter(change))},"):
        videos.simulate(tmp_path, face_model, **SET | change)
    assert (tmp_path / "clips.csv").read_text() == tables
    assert len(planned) == 3


def test_a_row_of_the_table_gives_the_same_intensity_and_its_displacement() -> None:
    event = AnnotatedExpression(1.2, 1.4, 1.5, 1.7, "surprise", "micro", 0.5, "1+2*0.8")
    script = ClipScenario("clip.mp4", (5,), 3, (0.0, 3.0), events=(event,))
    table = pd.DataFrame(videos.event_rows(script))
    (row,) = table.itertuples()
    t_s = np.linspace(1, 2, 30)
    np.testing.assert_array_equal(intensity_at(row, t_s), intensity_at(event, t_s))
    assert row.displacement_mm == pytest.approx(0.5 * reach_mm("1+2*0.8"), abs=5e-4)


MODES = {
    "": ("training.simulation.videos.simulate", (3, 0, 6.0, 1, 0, None, False)),
    "--truth --subjects 2 --first-subject 7": (
        "training.simulation.videos.simulate",
        (3, 0, 6.0, 1, 7, 2, True),
    ),
    "--seed 5 --portraits photos": (
        "training.simulation.portraits.simulate_portraits",
        (Path("photos"), 3, 5, 6.0, 1),
    ),
    "--streams drawn --recipe kilas --seconds 9": (
        "training.simulation.sequences.simulate_sequences",
        (load_recipe("kilas").spec, 3, 0, 9.0, 1, 0, False, True),
    ),
    "--streams drawn --sparse": (
        "training.simulation.sequences.simulate_sequences",
        (load_recipe("kilas").spec, 3, 0, 6.0, 1, 0, False, False),
    ),
    "--streams warped --seed 4": (
        "training.simulation.sequences.simulate_sequences",
        (load_recipe("kilas").spec, 3, 4, 6.0, 1, 0, True, True),
    ),
}


@pytest.mark.parametrize("options", MODES)
def test_the_command_does_what_its_options_say(
    options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, expected = MODES[options]
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(name, lambda *arguments: calls.append(arguments))
    command = ["simulate", "--face-model", "face.npz", "--out", "there", "--clips", "3"]
    done = CliRunner().invoke(app, [*command, "--jobs", "1", *options.split()])
    assert done.exit_code == 0, done.output
    assert calls == [(Path("there"), Path("face.npz"), *expected)]


def test_the_command_writes_the_demo_clip_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        "training.simulation.demo_clip.write_demo", lambda *arguments: calls.append(arguments)
    )
    command = ["simulate", "--face-model", "face.npz", "--out", "there", "--demo"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert calls == [(Path("there"), Path("face.npz"))]


@pytest.mark.parametrize("command", ["evaluate", "simulate"])
def test_a_folder_that_cannot_be_made_is_one_sentence(
    command: str,
    face_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    options = {
        "evaluate": ["--videos", str(tmp_path), "--labels", "none.csv"],
        "simulate": ["--face-model", str(face_model)],
    }[command]
    out = str(tmp_path / "file" / "folder")
    monkeypatch.setattr(sys, "argv", ["training", command, *options, "--out", out])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(out)
    assert "Not a directory" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--streams drawn --truth", "--streams makes no use of --truth"),
        ("--streams drawn --subjects 3", "--streams makes no use of --subjects"),
        ("--demo --streams drawn", "--demo makes no use of --streams"),
        ("--demo --portraits photos", "--demo makes no use of --portraits"),
        ("--demo --clips 100", "--demo makes no use of --clips"),
        ("--portraits photos --streams drawn", "--portraits makes no use of --streams"),
        ("--portraits photos --first-subject 0", "--portraits makes no use of --first-subject"),
        ("--portraits photos --sparse", "--portraits makes no use of --sparse"),
        ("--recipe kilas", "--recipe needs --streams"),
        ("--sparse", "--sparse needs --streams"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(options: str, said: str) -> None:
    command = ["simulate", "--face-model", "face.npz", "--out", "there", *options.split()]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
