"""Portrait photos that move as simulated people do: a folder of photos as labelled videos.

`simulate_portraits` writes the same kind of folder as `training.simulation.videos.simulate`, from
the same scenarios, for the same camera; only the people are the user's own photos (see
`training.simulation.reenactment`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import typer

from realtime.errors import KilasError
from realtime.faces.tracker import FaceTracker
from realtime.parallel.process_pool import map_all
from realtime.types import Float32Array, Frame, UInt8Array
from training.provenance import ensure_same_inputs, sha256_of
from training.rendering import kernels
from training.rendering.face_model import FaceModel, load_face_model
from training.simulation import videos
from training.simulation.actions import Motion
from training.simulation.camera import VirtualCamera, lighting
from training.simulation.face_fitting import FaceFit, fit_face
from training.simulation.reenactment import FaceReenactor, RoomLight
from training.simulation.scenario import ClipScenario, perform, plan_clip

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the files that are read as photos."""

SMALLEST_FACE_PX = 100
"""Least height of a face, measured as `ClipScenario.face_px`: smaller faces have no skin texture
left to move."""

LARGEST_ENLARGEMENT = 1.3
"""Largest factor by which a photo is enlarged: more is softer than a camera's picture."""

_KEPT_FACE_PX = 420.0
"""Height to which larger faces are reduced when they are read: no clip shows larger ones."""

_MARGIN = 0.2
"""Part of the photo that is kept around the picture for moving heads, in face heights."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """Photo uint8 BGR [H, W, 3] of the person `name`, and the face on it, in pixels."""

    name: str
    photo_bgr: UInt8Array
    face: FaceFit


def load_portrait(path: Path, model: FaceModel) -> Portrait:
    """Read a photo and fit the face model to its face, to the largest if there are several.

    Raises KilasError when the file is no picture, or shows no face or only a too small face."""
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photo is None:
        raise KilasError(f"{path} cannot be read as a picture; save it as JPEG or PNG.")
    photo_bgr = photo.astype(np.uint8, copy=False)
    points_xy = _find_face(photo_bgr)
    if points_xy is None:
        raise KilasError(f"{path} shows no face; use a photo of a face from in front.")
    face = fit_face(model, points_xy)
    if face.face_px < SMALLEST_FACE_PX:
        raise KilasError(
            f"The face on {path} is only {face.face_px:.0f} pixels high; "
            f"use a photo with a face of at least {SMALLEST_FACE_PX}."
        )
    if face.face_px > _KEPT_FACE_PX:
        scale = _KEPT_FACE_PX / face.face_px
        photo_bgr, face = _resized(photo_bgr, face, scale)
    return Portrait(path.stem, photo_bgr, face)


def photos_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are named as photos, in the order of their names."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)


def load_portraits(folder: Path, model: FaceModel) -> tuple[list[Portrait], list[str]]:
    """Load all usable photos of a folder, in the order of their names.

    Returns also a sentence for each photo that is not usable. Raises KilasError when none is."""
    paths = photos_in(folder)
    if not paths:
        raise KilasError(f"{folder} holds no photos; give a folder of JPEG or PNG files.")
    portraits, refused = [], []
    for path in paths:
        try:
            portraits.append(load_portrait(path, model))
        except KilasError as error:
            refused.append(str(error))
    if not portraits:
        raise KilasError(f"No photo in {folder} is usable. {refused[0]}")
    return portraits, refused


def _find_face(photo_bgr: UInt8Array) -> Float32Array | None:
    """Find the mesh points float32 [478, 2] of the face, in pixels of the photo."""
    whole = (0, 0, photo_bgr.shape[1], photo_bgr.shape[0])
    found = _mesh_in(photo_bgr, whole)
    if found is None:
        return None
    # Once more with the face large in the window, as a tracker would see it.
    middle = (found.min(0) + found.max(0)) / 2
    reach = float((found.max(0) - found.min(0)).max())
    left, top = np.maximum(middle - reach, 0).astype(int)
    right, bottom = np.minimum(middle + reach, whole[2:]).astype(int)
    near = _mesh_in(photo_bgr, (int(left), int(top), int(right), int(bottom)))
    return found if near is None else near


_WINDOW_PX = 640
"""Longest side of the part that MediaPipe gets: its own networks see a face at 192 pixels."""


def _mesh_in(photo_bgr: UInt8Array, box: tuple[int, int, int, int]) -> Float32Array | None:
    """Find the mesh points float32 [478, 2] of the face in a part of the photo.

    `box`: left, top, right, bottom. Points are in pixels of the photo, whose centres lie at whole
    coordinates."""
    left, top, right, bottom = box
    part = photo_bgr[top:bottom, left:right]
    scale = min(1.0, _WINDOW_PX / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = small.astype(np.uint8, copy=False)
    with FaceTracker(max_faces=1) as track:
        # The second pass starts from the first pass's mesh and sits better.
        faces = [track(Frame(number, number / 30, image)) for number in range(2)][-1]
    if not faces:
        return None
    size = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
    # The tracker counts from the picture's corner, the face model from the first pixel's middle.
    points_xy: Float32Array = faces[0].points_xy / size - 0.5 + (left, top)
    return points_xy.astype(np.float32)


def _resized(photo_bgr: UInt8Array, face: FaceFit, scale: float) -> tuple[UInt8Array, FaceFit]:
    """Resize the photo and its face by `scale`."""
    height, width = (max(1, round(scale * side)) for side in photo_bgr.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(photo_bgr, (width, height), interpolation=way)
    # Pixel centres lie at whole coordinates.
    return small.astype(np.uint8, copy=False), face.placed(scale, (scale - 1) / 2)


def plan_portrait_clip(
    seed: int, index: int, seconds: float, portraits: list[Portrait]
) -> ClipScenario:
    """Draw the scenario of clip `index`, with a size, place and pose that suit the photo.

    All else is as `plan_clip` draws it, but no hands pass before a photo."""
    scenario = plan_clip(seed, index, seconds, 0, len(portraits))
    face = portraits[scenario.subject].face
    face_px = min(scenario.face_px, LARGEST_ENLARGEMENT * face.face_px)
    scale = face_px / face.face_px
    photo = portraits[scenario.subject].photo_bgr
    room_wh = [int(scale * side) // 2 * 2 for side in photo.shape[1::-1]]
    width, height = (min(size, room) for size, room in zip(scenario.size_wh, room_wh, strict=True))
    centre = scale * face.centre_xy
    # The picture is a part of the photo, so the face lies where the photo allows.
    wanted = centre - np.array(scenario.place) * (width, height)
    corner = np.clip(wanted, 0, np.array(room_wh) - (width, height))
    x, y = (centre - corner) / (width, height)
    return dataclasses.replace(
        scenario.without("hand"),
        size_wh=(width, height),
        face_px=round(face_px, 1),
        place=(float(x), float(y)),
        pose_deg=face.pose_deg,
    )


class PortraitScene:
    """Renderer of a clip of a photo, as `SceneRenderer` is of a clip of a simulated person.

    `motion`: movements of the person, by default those of the scenario."""

    def __init__(
        self,
        scenario: ClipScenario,
        model: FaceModel,
        portrait: Portrait,
        motion: Motion | None = None,
    ) -> None:
        rng = np.random.default_rng([*scenario.seed, 3])
        light = lighting(rng)
        room = RoomLight(
            light.directions,
            light.colours.mean(1).astype(np.float64),
            float(light.sky.mean()),
            float(light.ground.mean()),
        )
        self._scenario = scenario
        self._motion = motion or perform(scenario, model.names)
        self._camera = VirtualCamera(scenario, rng)
        width, height = scenario.size_wh
        margin = round(_MARGIN * scenario.face_px)
        photo_bgr, face = _resized(
            portrait.photo_bgr, portrait.face, scenario.face_px / portrait.face.face_px
        )
        corner = np.rint(face.centre_xy - np.array(scenario.place) * (width, height)).astype(int)
        face = face.placed(1.0, -corner)
        part = _cut(photo_bgr, corner - margin, (width + 2 * margin, height + 2 * margin))
        curve = kernels.tone_curve(scenario.gamma, scenario.contrast)
        in_linear = np.interp(np.arange(256), curve, np.linspace(0, 1, len(curve)))
        linear = in_linear.astype(np.float32)[part[..., ::-1]]
        self._reenactor = FaceReenactor(model, face, linear, margin, room)

    def linear(self, index: int) -> Float32Array:
        """Return linear RGB float32 [H, W, 3] of frame `index`, before the camera."""
        scenario, motion = self._scenario, self._motion
        offset = motion.offset_cm[index]
        return self._reenactor.render(
            motion.weights[index],
            motion.gaze_deg[index],
            motion.angles_deg[index] - scenario.pose_deg,
            offset[:2],
            scenario.distance_cm / max(scenario.distance_cm - float(offset[2]), 1.0),
            float(motion.key_gain[index]),
            float(motion.key_turn[index]),
        )

    def frame(self, index: int) -> UInt8Array:
        """Return uint8 BGR [H, W, 3] of frame `index`."""
        return self._camera.expose(self.linear(index), float(self._motion.gain[index]))


def _cut(
    photo_bgr: UInt8Array, corner: npt.NDArray[np.int_], size_wh: tuple[int, int]
) -> UInt8Array:
    """Cut a part of the photo, continued by its mirror image where the photo ends."""
    height, width = photo_bgr.shape[:2]
    columns = _mirrored(np.arange(size_wh[0]) + corner[0], width)
    rows = _mirrored(np.arange(size_wh[1]) + corner[1], height)
    part: UInt8Array = photo_bgr[np.ix_(rows, columns)]
    return part


def _mirrored(at: npt.NDArray[np.int_], size: int) -> npt.NDArray[np.int_]:
    """Return indices into 0..size - 1, going back and forth."""
    round_trip = at % (2 * size)
    return np.minimum(round_trip, 2 * size - 1 - round_trip)


def clip_row(scenario: ClipScenario, portraits: list[Portrait]) -> dict[str, object]:
    """Return the clip's row of clips.csv.

    The subject is the photo's name; traits that a photo does not state stay empty."""
    unknown = dict.fromkeys(("skin", "hair", "glasses", "beard"), "")
    return videos.clip_row(scenario) | {"subject": portraits[scenario.subject].name} | unknown


def _film_task(task: tuple[ClipScenario, Portrait, Path, Path]) -> None:
    """Film a clip of a portrait; a task of the process pool."""
    scenario, portrait, face_model, path = task
    scene = PortraitScene(scenario, load_face_model(face_model), portrait)
    videos.write_video(path, scenario, scene, "ultrafast")


def simulate_portraits(
    out: Path,
    face_model: Path,
    photos: Path,
    clips: int,
    seed: int = 0,
    seconds: float = 6.0,
    jobs: int = 1,
) -> None:
    """Write `clips` clips of the people on the photos of a folder, and their tables, into `out`.

    `training.simulation.videos.simulate` does the same for simulated people. Photos that cannot be
    used are named on standard error and left out. Clip i of a seed and of a folder is always the
    same; clips that `out` holds already are kept. Raises SourceError when `face_model` cannot be
    read and KilasError when no photo is usable or `out` was made from other settings or photos.

    Example:
        simulate_portraits(Path("clips"), Path("ict_facekit.npz"), Path("photos"), clips=20)
    """
    portraits, refused = load_portraits(photos, load_face_model(face_model))
    for sentence in refused:
        typer.echo(f"left out: {sentence}", err=True)
    made_from = {
        "made_by": "simulate --portraits",
        "face_model_sha256": sha256_of(face_model),
        "seed": seed,
        "seconds": seconds,
        "photos_sha256": {path.name: sha256_of(path) for path in photos_in(photos)},
    }
    ensure_same_inputs(out, made_from)
    scenarios = [plan_portrait_clip(seed, i, seconds, portraits) for i in range(clips)]
    videos.write_tables(out, scenarios, [clip_row(scenario, portraits) for scenario in scenarios])
    tasks = [
        (scenario, portraits[scenario.subject], face_model, out / scenario.name)
        for scenario in scenarios
        if not (out / scenario.name).exists()
    ]
    map_all(_film_task, tasks, jobs, "simulating", clips - len(tasks))
