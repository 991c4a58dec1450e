"""Exact ground truth of a simulated clip, frame by frame: an `.npz` file beside the video.

Landmarks and flow are those of the mesh that is drawn, so they hold where nothing can be seen,
behind glasses, a hand or noise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime.faces.alignment import StableAlignment
from realtime.faces.landmarks import VIEW_68
from realtime.spec import FACE_SIZE
from realtime.types import Float32Array
from training.annotations.expression import ACTION_UNITS, AnnotatedExpression, intensity_at
from training.rendering import kernels
from training.simulation.scenario import ClipScenario
from training.simulation.scene import SceneRenderer

# Vertices of the Multi-PIE 68 points with the jaw line, from FaceKit's documentation; in the order
# of `realtime.faces.landmarks.VIEW_68`.
LANDMARK_VERTICES = (
    *(1278, 1272, 12, 1834, 243, 781, 2199, 1447, 966, 3661, 4390, 3022, 2484, 4036, 2253),
    *(3490, 3496),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509),
    *(978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)

FLOW_GRID = 32
"""Nodes of the flow in each direction; node (r, c) lies at x = 4 c + 2, y = 4 r + 2 of the aligned
face."""
_STEP = FACE_SIZE / FLOW_GRID

UNITS = tuple(f"{unit}{side}" for unit in ACTION_UNITS for side in "LR")
"""FACS action units of the person's left and right half."""


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """Ground truth of a frame.

    `landmarks_xy` float32 [68, 2] in pixels of the picture, as `FaceTracker` counts them;
    `aligned` float32 [2, 3]: from those pixels to the aligned face, by the head's pose alone;
    `flow_xy` float32 [32, 32, 2]: where the point that a face at rest shows at a node has gone,
    in pixels of the aligned face; 0 where there is no face."""

    landmarks_xy: Float32Array
    aligned: Float32Array
    flow_xy: Float32Array


def unit_intensities(
    events: Sequence[AnnotatedExpression], t_s: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Return the intensity of each of `UNITS` in the annotated expressions, float32 [N, U].

    It is 0..1 of the face model's full range."""
    times = np.asarray(t_s, np.float64)
    intensity = np.zeros((len(times), len(UNITS)), np.float32)
    for event in events:
        course = intensity_at(event, times)
        for token in event.units.split("+"):
            unit, _, share = token.partition("*")
            for side, tilt in (("L", 1 + event.skew), ("R", 1 - event.skew)):
                if unit[-1] in "LR" and unit[-1] != side:
                    continue
                column = UNITS.index(unit.rstrip("LR") + side)
                intensity[:, column] += float(share or 1) * tilt * course
    return np.clip(intensity, 0, 1)


def align(landmarks_xy: Float32Array) -> Float32Array:
    """Return the transform [2, 3] that live alignment finds for these landmarks [68, 2]."""
    mesh_xy = np.zeros((468, 2), np.float32)
    mesh_xy[list(VIEW_68)] = landmarks_xy
    mesh_xy[6] = (mesh_xy[168] + mesh_xy[197]) / 2  # the only rigid point that the 68 lack
    return StableAlignment()(0.0, mesh_xy)


def frame_truth(scene: SceneRenderer, index: int) -> FrameTruth:
    """Compute the ground truth of frame `index`, at the middle of its exposure."""
    rest = scene.placed(index, at_rest=True)
    moved = scene.placed(index)
    vertices = list(LANDMARK_VERTICES)
    aligned = align(rest[vertices, :2])
    turn = aligned[:, :2].T
    on_grid = rest.copy()
    on_grid[:, :2] = (rest[:, :2] @ turn + aligned[:, 2] - _STEP / 2) / _STEP
    triangles = scene.actor.triangles
    _, ids = kernels.rasterise(on_grid, triangles, (FLOW_GRID, FLOW_GRID))
    shown = ids >= 0
    weights = kernels.barycentric(on_grid, triangles, ids)
    shift = ((moved - rest)[triangles[ids[shown]], :2] * weights[..., None]).sum(1)
    flow_xy = np.zeros((FLOW_GRID, FLOW_GRID, 2), np.float32)
    flow_xy[shown] = shift @ turn
    return FrameTruth(moved[vertices, :2], aligned, flow_xy)


def write_truth(path: Path, scenario: ClipScenario, scene: SceneRenderer) -> None:
    """Write the ground truth of a clip of N frames as `.npz` without pickles.

    `t_s` float64 [N]; `shapes` [K] and `weights` float32 [N, K]: of the face model; `units` [U]
    and `unit_intensity` float32 [N, U]: see `unit_intensities`; `head_deg` float32 [N, 3]: yaw,
    pitch, roll; `landmarks_xy` float32 [N, 68, 2], `aligned` float32 [N, 2, 3], `flow_xy` float16
    [N, 32, 32, 2]: see `FrameTruth`. The file appears under its name only when it is complete.
    """
    frames = [frame_truth(scene, index) for index in range(len(scenario.t_s))]
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(
        unfinished,
        t_s=np.array(scenario.t_s),
        shapes=np.array(scene.motion.names),
        weights=scene.motion.weights.astype(np.float32),
        units=np.array(UNITS),
        unit_intensity=unit_intensities(scenario.events, scenario.t_s),
        head_deg=scene.motion.angles_deg.astype(np.float32),
        landmarks_xy=np.stack([frame.landmarks_xy for frame in frames]),
        aligned=np.stack([frame.aligned for frame in frames]),
        flow_xy=np.stack([frame.flow_xy for frame in frames]).astype(np.float16),
    )
    unfinished.replace(path)
