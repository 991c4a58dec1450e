"""Moved photographs: the photo itself while nothing moves, the face model's movements when it does.

The photos are frames of simulated people, so that nothing from outside is needed.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import KilasError
from realtime.faces.tracker import FaceTracker
from realtime.types import Frame
from training.rendering import kernels
from training.rendering.face_model import FaceModel
from training.simulation import actions, portraits, videos
from training.simulation.actions import Motion
from training.simulation.portraits import Portrait, PortraitScene, load_portrait, load_portraits
from training.simulation.scenario import ClipScenario, plan_clip
from training.simulation.scene import SceneRenderer

UInt8Array = npt.NDArray[np.uint8]


def photograph(model: FaceModel, subject: int, face_px: float, yaw_deg: float = 0.0) -> UInt8Array:
    """A simulated person in front of a good camera."""
    script = ClipScenario(
        "photo",
        (8, subject),
        subject,
        (0.0,),
        idle=0.0,
        noise=0.0,
        face_px=face_px,
        size_wh=(400, 440),
        pose_deg=(yaw_deg, 0.0, 0.0),
    )
    return SceneRenderer(script, model).frame(0)


@pytest.fixture(scope="module")
def photos(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two portraits, a file that is no picture, a wall and a tiny face."""
    folder = tmp_path_factory.mktemp("photos")
    cv2.imwrite(str(folder / "ann.png"), photograph(model, 2, 300.0))
    cv2.imwrite(str(folder / "ben.png"), photograph(model, 20, 260.0, yaw_deg=12.0))
    cv2.imwrite(str(folder / "tiny.png"), photograph(model, 2, 80.0))
    cv2.imwrite(str(folder / "wall.png"), np.full((300, 300, 3), 90, np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def people_and_refused(photos: Path, model: FaceModel) -> tuple[list[Portrait], list[str]]:
    return load_portraits(photos, model)


@pytest.fixture(scope="module")
def people(people_and_refused: tuple[list[Portrait], list[str]]) -> list[Portrait]:
    return people_and_refused[0]


@pytest.fixture(scope="module")
def ann(people: list[Portrait]) -> Portrait:
    return people[0]


def quiet_script(portrait: Portrait, **changes: object) -> ClipScenario:
    """The person looks out of the photo, before a camera without grain."""
    script = dataclasses.replace(
        portraits.plan_portrait_clip(3, 0, 4.0, [portrait]),
        t_s=tuple(np.arange(4) / 10),
        distractions=(),
        events=(),
        idle=0.0,
        noise=0.0,
        jpeg=0,
        face_px=240.0,
        size_wh=(320, 320),
    )
    return dataclasses.replace(script, **changes)  # type: ignore[arg-type]


def motion_of(script: ClipScenario, model: FaceModel, units: str = "", size: float = 1.0) -> Motion:
    """Nothing in the first frame, and these action units in all others."""
    motion = actions.still(np.array(script.t_s), model.names)
    motion.angles_deg[:] += script.pose_deg
    if units:
        for shape, gain in actions.unit_weights(units, 0.0).items():
            motion.weights[1:, model.names.index(shape)] += size * gain
    return motion


def points_of(*pictures: UInt8Array) -> npt.NDArray[np.float32]:
    """Mesh points [N, 468, 2] of pictures of one face."""
    found = []
    for picture in pictures:
        with FaceTracker(max_faces=1) as track:
            (face,) = track(Frame(0, 0.0, picture))
        found.append(face.points_xy)
    return np.stack(found)


def test_a_face_that_does_nothing_is_the_photo_itself(ann: Portrait, model: FaceModel) -> None:
    size = (400, 440)
    script = quiet_script(ann, face_px=ann.face.face_px, size_wh=size, place=(0.5, 0.5))
    middle = np.array(size) / 2
    corner = np.rint(ann.face.centre_xy - middle).astype(int)
    stage = PortraitScene(script, model, ann, motion_of(script, model))
    shown = stage.linear(0)
    x0, y0 = np.maximum(corner, 0)
    x1, y1 = np.minimum(corner + size, ann.photo_bgr.shape[1::-1])
    same = ann.photo_bgr[y0:y1, x0:x1, ::-1].astype(int)
    part = shown[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
    curve = kernels.tone_curve(script.gamma, script.contrast)
    developed = curve[np.rint(part * (len(curve) - 1)).astype(int)].astype(int)
    assert np.abs(developed - same).max() <= 1


@pytest.mark.parametrize(
    ("units", "points", "direction"),
    [
        ("1+2", (105, 334), (0, -1)),  # brows up
        ("4", (105, 334), (0, 1)),  # brows down
        ("12", (61, 291), (0, -1)),  # lip corners up
        ("15", (61, 291), (0, 1)),  # lip corners down
        ("12", (291,), (1, 0)),  # and out
    ],
)
def test_units_move_the_photo_as_they_move_a_face(
    ann: Portrait,
    model: FaceModel,
    units: str,
    points: tuple[int, ...],
    direction: tuple[int, int],
) -> None:
    script = quiet_script(ann, t_s=(0.0, 0.1))
    stage = PortraitScene(script, model, ann, motion_of(script, model, units, 0.8))
    rest, shown = points_of(stage.frame(0), stage.frame(1))
    moved = (shown - rest)[list(points)].mean(0) @ direction
    assert moved > 1.0
    bridge = np.abs((shown - rest)[[6, 168]]).max()
    assert bridge < moved


def test_a_blink_shuts_the_eyes(ann: Portrait, model: FaceModel) -> None:
    script = quiet_script(ann, t_s=(0.0, 0.1))
    motion = motion_of(script, model)
    motion.weights[1, [model.names.index(f"eyeBlink_{side}") for side in "LR"]] = 1.0
    stage = PortraitScene(script, model, ann, motion)
    rest, shut = points_of(stage.frame(0), stage.frame(1))
    lids = [(159, 145), (386, 374)]
    for upper, lower in lids:
        assert shut[lower, 1] - shut[upper, 1] < 0.8 * (rest[lower, 1] - rest[upper, 1])


def test_the_head_turns_the_way_the_script_says(ann: Portrait, model: FaceModel) -> None:
    script = quiet_script(ann, t_s=(0.0, 0.1))
    motion = motion_of(script, model)
    motion.angles_deg[1] += (6.0, 0.0, 0.0)
    stage = PortraitScene(script, model, ann, motion)
    rest, turned = points_of(stage.frame(0), stage.frame(1))
    nose, corners = (turned - rest)[1, 0], (turned - rest)[[33, 263], 0].mean()
    assert nose > corners + 2.0  # to the picture's right, and the tip of the nose most


def test_the_fit_knows_pose_and_size_of_the_face(people: list[Portrait]) -> None:
    ann, ben = (person.face for person in people)
    assert ann.pose_deg[0] == pytest.approx(0.0, abs=4.0)
    assert ben.pose_deg[0] == pytest.approx(12.0, abs=4.0)
    assert ann.face_px == pytest.approx(300.0, rel=0.1)


def test_the_background_stays_where_it_is(ann: Portrait, model: FaceModel) -> None:
    script = quiet_script(ann, face_px=100.0, size_wh=(130, 140), t_s=(0.0, 0.1))
    stage = PortraitScene(script, model, ann, motion_of(script, model, "1+2+5+26"))
    change = np.abs(stage.linear(1) - stage.linear(0)).max(2)
    assert change[40:60, 50:80].max() > 0.02
    assert change[:, :4].max() < 1e-5


def test_the_same_seed_gives_the_same_pixels(people: list[Portrait], model: FaceModel) -> None:
    frames = []
    for seed in (5, 5, 6):
        script = portraits.plan_portrait_clip(seed, 1, 4.0, people)
        stage = PortraitScene(script, model, people[script.subject])
        frames.append([stage.frame(i) for i in (0, 20)])
    np.testing.assert_array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0][0], frames[2][0])


def test_a_photo_is_read_the_same_every_time(photos: Path, ann: Portrait, model: FaceModel) -> None:
    again = load_portrait(photos / "ann.png", model)
    np.testing.assert_array_equal(again.photo_bgr, ann.photo_bgr)
    np.testing.assert_array_equal(again.face.rest_xy, ann.face.rest_xy)


@given(st.integers(0, 2**31))
def test_scripts_suit_the_photo(people: list[Portrait], seed: int) -> None:
    script = portraits.plan_portrait_clip(seed, 0, 4.0, people)
    person = people[script.subject]
    scale = script.face_px / person.face.face_px
    assert scale <= portraits.LARGEST_ENLARGEMENT + 1e-3
    assert all(side % 2 == 0 for side in script.size_wh)
    assert script.size_wh[0] <= scale * person.photo_bgr.shape[1] + 1
    assert script.size_wh[1] <= scale * person.photo_bgr.shape[0] + 1
    assert script.pose_deg == person.face.pose_deg
    assert "hand" not in script.distractions
    assert all(0 < share < 1 for share in script.place)


def test_no_hands_pass_before_a_photo_in_a_long_clip(people: list[Portrait]) -> None:
    planned = [plan_clip(3, index, 120.0, 0, len(people)) for index in range(12)]
    kinds = [{one.kind for one in script.episodes} for script in planned]
    assert any("hand" in one for one in kinds)
    for index, shown in enumerate(kinds):
        script = portraits.plan_portrait_clip(3, index, 120.0, people)
        assert {one.kind for one in script.episodes} == shown - {"hand"}


def test_unusable_photos_are_named_and_left_out(
    people_and_refused: tuple[list[Portrait], list[str]],
) -> None:
    people, refused = people_and_refused
    assert [person.name for person in people] == ["ann", "ben"]
    causes = {"broken.jpg": "cannot be read", "tiny.png": "pixels high", "wall.png": "no face"}
    for (name, cause), sentence in zip(causes.items(), refused, strict=True):
        assert name in sentence
        assert cause in sentence


def test_points_of_a_photo_count_from_the_middle_of_its_first_pixel(ann: Portrait) -> None:
    height, width = ann.photo_bgr.shape[:2]
    with FaceTracker(max_faces=1) as track:
        (face,) = [track(Frame(number, number / 30, ann.photo_bgr)) for number in range(2)][-1]
    found = portraits._mesh_in(ann.photo_bgr, (0, 0, width, height))
    # The tracker counts from the picture's corner.
    np.testing.assert_allclose(found, face.points_xy - 0.5, atol=1e-3)


def test_a_folder_without_a_usable_photo_is_an_error(
    photos: Path, model: FaceModel, tmp_path: Path
) -> None:
    with pytest.raises(KilasError, match="holds no photos"):
        load_portraits(tmp_path, model)
    (tmp_path / "wall.png").write_bytes((photos / "wall.png").read_bytes())
    with pytest.raises(KilasError, match=r"No photo .* is usable.*wall\.png"):
        load_portraits(tmp_path, model)


def test_tables_say_what_the_videos_hold_and_finished_clips_are_kept(
    face_model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> None:
        portraits.simulate_portraits(tmp_path, face_model, photos, clips=2, seed=9, seconds=3.0)

    make()
    assert "broken.jpg" in capsys.readouterr().err
    clips = pd.read_csv(tmp_path / "clips.csv")
    events = pd.read_csv(tmp_path / "events.csv")
    assert tuple(clips.columns) == videos.CLIP_FIELDS
    assert tuple(events.columns) == videos.EVENT_FIELDS
    assert set(clips["subject"]) <= {"ann", "ben"}
    assert clips[["skin", "hair", "glasses", "beard"]].isna().all(axis=None)
    activities = pd.read_csv(tmp_path / "activities.csv")
    assert tuple(activities.columns) == videos.ACTIVITY_FIELDS
    assert "hand" not in set(activities["kind"])
    for clip in clips.itertuples():
        assert clip.events == (events["clip"] == clip.clip).sum()
        with av.open(str(tmp_path / str(clip.clip))) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == (clip.width, clip.height)
            assert sum(1 for _ in container.decode(stream)) == clip.frames

    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    changed = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.mp4")}
    (tmp_path / "clip_00001.mp4").unlink()
    make()
    assert (tmp_path / "clip_00000.mp4").stat().st_mtime_ns == changed[tmp_path / "clip_00000.mp4"]
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before

    fewer = tmp_path / "fewer"
    fewer.mkdir()
    (fewer / "ann.png").write_bytes((photos / "ann.png").read_bytes())
    with pytest.raises(KilasError, match=r"other settings \(photos_sha256,"):
        portraits.simulate_portraits(tmp_path, face_model, fewer, clips=2, seed=9, seconds=3.0)
