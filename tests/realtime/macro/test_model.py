"""The still-image model is opened only if it is one, and faces land where its spec says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from realtime.errors import ModelError
from realtime.macro.face_crops import cut_face
from realtime.macro.model import FACE_PX, MACRO_METADATA_KEY, MacroModel, MacroSpec
from realtime.spec import FACE_SIZE

SPEC = MacroSpec(
    name="test",
    version="1",
    architecture="mean",
    labels=("low", "high"),
    eyes_apart_px=25.0,
    eyes_y_px=18.7,
    normalisation="divide by 255",
    both_sides=False,
    temperature=1.0,
    smoothing=0.0,
)
EYE_CORNERS_ALIGNED = np.array([[24.0, 38.0], [104.0, 38.0]])


def model_file(
    path: Path,
    *,
    labels: int = 2,
    side: int = FACE_PX,
    faces: int | str = "N",
    softmax: bool = True,
    kind: int = TensorProto.UINT8,
    scalar: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A network that shares one face's mean gray out to its labels."""
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [1, labels], list(range(labels)))
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1])
    last = "logits" if softmax else "scores"
    nodes = [
        helper.make_node("Cast", ["faces"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], [last]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    if scalar:
        nodes[-1].output[0] = "all"
        nodes.append(helper.make_node("ReduceMean", ["all"], ["scores"], keepdims=0))
    shape_of_scores = [] if scalar else [faces, labels]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("faces", kind, [faces, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape_of_scores)],
        [weights, axes, shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if metadata is None:
        metadata = {MACRO_METADATA_KEY: SPEC.to_json()}
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


def test_the_shipped_model_scores_seven_labels() -> None:
    model = MacroModel.load()
    assert model.spec.labels == (
        *("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    )
    faces = np.random.default_rng(0).integers(0, 256, (5, FACE_PX, FACE_PX), np.uint8)
    scores = model.run(faces)
    assert scores.shape == (5, 7)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)
    # A face's scores do not depend on those beside it, nor on how its array lies in memory.
    np.testing.assert_allclose(model.run(faces[3:4])[0], scores[3], atol=1e-6)
    np.testing.assert_array_equal(model.run(np.asfortranarray(faces)), scores)


def test_a_spec_is_written_and_read_again() -> None:
    assert MacroSpec.from_json(SPEC.to_json()) == SPEC
    for wrong in ("no json", "[]", "{}", '{"labels": ["a"], "colour": 1}'):
        with pytest.raises(ModelError, match="cannot be read"):
            MacroSpec.from_json(wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ()}, "labels"),
        ({"labels": ("a", "a")}, "labels"),
        ({"eyes_apart_px": 0.0}, "eyes_apart_px"),
        ({"eyes_y_px": 49.0}, "eyes_y_px"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"name": None}, "name must be a text"),
        ({"version": 1}, "version must be a text"),
        ({"architecture": ""}, "architecture must be a text"),
        ({"normalisation": None}, "normalisation must be a text"),
        ({"labels": (1, 2)}, "labels must be texts"),
        ({"labels": ("a", "")}, "labels must be texts"),
        ({"labels": ("a", None)}, "labels must be texts"),
        ({"both_sides": 1}, "both_sides"),
        ({"provenance": None}, "provenance"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        dataclasses.replace(SPEC, **change)
    with pytest.raises(ModelError, match=words):
        MacroSpec.from_json(json.dumps(dataclasses.asdict(SPEC) | change))


def test_labels_in_one_word_are_no_list() -> None:
    with pytest.raises(ModelError, match="labels"):
        MacroSpec.from_json(json.dumps(dataclasses.asdict(SPEC) | {"labels": "ab"}))


def test_a_file_of_ones_own_is_opened_by_its_path(tmp_path: Path) -> None:
    model = MacroModel.load(model_file(tmp_path / "mine.onnx"))
    assert model.spec == SPEC
    assert len(model.sha256) == 64
    np.testing.assert_allclose(
        model.run(np.zeros((3, FACE_PX, FACE_PX), np.uint8)), np.full((3, 2), 0.5)
    )


def test_a_missing_model_is_said_with_those_that_ship(tmp_path: Path) -> None:
    for name in ("no-such-model", tmp_path, tmp_path / "x.onnx"):
        with pytest.raises(ModelError, match=r"no model of macro.*kilas-macro"):
            MacroModel.load(name)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="expected an ONNX file, found 11 bytes"):
        MacroModel.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metadata": {}}, "expected the metadata key 'kilas-macro', found no metadata"),
        ({"metadata": {"kilas": "{}"}}, "found 'kilas'"),
        ({"metadata": {MACRO_METADATA_KEY: "{"}}, "specification cannot be read"),
        ({"labels": 3}, r"'scores' as tensor\(float\) \[N, 2\]"),
        ({"side": 64}, r"'faces' as tensor\(uint8\) \[N, 48, 48\]"),
        ({"kind": TensorProto.FLOAT}, r"found tensor\(float\)"),
        ({"faces": 4}, "disagrees"),
        ({"scalar": True}, r"'scores' as tensor\(float\) \[N, 2\], found tensor\(float\) \[\]"),
        ({"softmax": False}, "softmax"),
    ],
)
def test_a_network_that_is_not_what_it_says_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        MacroModel.load(model_file(tmp_path / "wrong.onnx", **changes))


def test_faces_of_another_shape_or_type_are_refused(tmp_path: Path) -> None:
    model = MacroModel.load(model_file(tmp_path / "m.onnx"))
    for shape in ((FACE_PX, FACE_PX), (0, FACE_PX, FACE_PX), (1, 48, 47), (1, 48, 48, 1)):
        with pytest.raises(ValueError, match="expected faces uint8"):
            model.run(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="got float32"):
        model.run(np.zeros((1, FACE_PX, FACE_PX), np.float32))  # type: ignore[arg-type]


# ---------------------------------------------------------------- where a face is cut out


def placed(
    centre_xy: tuple[float, float], scale: float, degrees: float = 0.0
) -> tuple[npt.NDArray[np.float32], Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]]:
    """A face whose middle is at `centre_xy`, `scale` pixels of the picture for one of the aligned
    face, turned: its transform, and where points of the aligned face are in the picture."""
    turn = scale * np.exp(1j * np.deg2rad(degrees))
    middle = FACE_SIZE / 2 * (1 + 1j)

    def to_picture(aligned_xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        z = complex(*centre_xy) + turn * (aligned_xy @ [1, 1j] - middle)
        return np.stack([z.real, z.imag], axis=-1)

    back = 1 / turn
    shift = middle - back * complex(*centre_xy)
    transform = [[back.real, -back.imag, shift.real], [back.imag, back.real, shift.imag]]
    return np.array(transform, np.float32), to_picture


def drawn(
    points_xy: npt.NDArray[np.float64], radius: float, size_wh: tuple[int, int] = (640, 480)
) -> npt.NDArray[np.uint8]:
    """A gray picture, uint8 [h, w, 3], with a white spot, a Gaussian, at each of the points, which
    are given from its edges."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]] + 0.5
    gray = np.full(size_wh[::-1], 40.0)
    for centre_x, centre_y in points_xy:
        gray += 200 * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * radius**2))
    return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def middle_of_spot(face: npt.NDArray[np.uint8], near_xy: npt.NDArray[np.float64]) -> Any:
    """Where the spot around a point is in a face, in pixels from its edges."""
    y, x = np.mgrid[:FACE_PX, :FACE_PX] + 0.5
    is_near = np.hypot(x - near_xy[0], y - near_xy[1]) < 6
    weight = np.where(is_near, face.astype(float) - face[is_near].min(), 0.0)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("centre_xy", "scale", "degrees"),
    [
        ((320.0, 240.0), 1.0, 0.0),
        ((320.0, 240.0), 1.0, 30.0),  # a leaning head stands upright
        ((300.5, 200.25), 1.5, -75.0),
        ((320.0, 240.0), 1.2, 180.0),
        ((100.0, 90.0), 0.4, 10.0),  # small: a pixel of the picture is more than one of the face
        ((320.0, 240.0), 3.5, 20.0),  # larger than the picture is high
    ],
)
def test_eye_corners_land_where_the_spec_says(
    centre_xy: tuple[float, float], scale: float, degrees: float
) -> None:
    transform, to_picture = placed(centre_xy, scale, degrees)
    picture = drawn(to_picture(EYE_CORNERS_ALIGNED), radius=4.0 * scale)
    face = cut_face(picture, transform, SPEC)
    assert face.shape == (FACE_PX, FACE_PX)
    assert face.dtype == np.uint8
    for side in (-0.5, 0.5):
        expected = np.array([FACE_PX / 2 + side * SPEC.eyes_apart_px, SPEC.eyes_y_px])
        assert np.abs(middle_of_spot(face, expected) - expected).max() < 0.1


def test_the_middle_of_the_face_is_the_middle_of_the_aligned_face() -> None:
    transform, to_picture = placed((320.0, 240.0), 1.0)
    # 10 px under the eyes on the aligned face are 10 * 25 / 80 px here.
    picture = drawn(to_picture(np.array([[64.0, 70.0]])), radius=4.0)
    spot = middle_of_spot(cut_face(picture, transform, SPEC), np.array([24.0, 28.7]))
    np.testing.assert_allclose(spot, [24.0, 18.7 + 32 * 25 / 80], atol=0.1)


def test_a_face_half_outside_goes_on_as_the_edge_does() -> None:
    transform, to_picture = placed((0.0, 240.0), 1.0)
    picture = drawn(to_picture(EYE_CORNERS_ALIGNED[1:]), radius=4.0)
    face = cut_face(picture, transform, SPEC)
    expected = np.array([FACE_PX / 2 + 12.5, 18.7])
    assert np.abs(middle_of_spot(face, expected) - expected).max() < 0.1
    assert (face[:, :20] == 40).all()  # the gray of the picture's edge, not black
    far, _ = placed((-5000.0, 240.0), 1.0)
    assert (cut_face(picture, far, SPEC) == picture[:, :1].mean()).mean() > 0.5


@pytest.mark.parametrize("size_hw", [(480, 640), (90, 700), (3, 50), (1, 1)])
def test_what_is_cut_does_not_depend_on_what_of_the_picture_is_read(
    size_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*size_hw, 3), np.uint8)
    height, width = size_hw
    for _ in range(60):  # inside, across the edges and far outside; turned, tiny and huge
        middle = rng.uniform(-1.5, 2.5) * width, rng.uniform(-1.5, 2.5) * height
        transform, _ = placed(middle, np.exp(rng.uniform(-2, 2.3)), rng.uniform(-180, 180))
        found = cut_face(picture, transform, SPEC).astype(int)
        with monkeypatch.context() as patch:
            patch.setattr("realtime.macro.face_crops._bounds", lambda *_: (0, 0, width, height))
            whole = cut_face(picture, transform, SPEC)
        assert np.abs(found - whole).max() <= 1


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_a_face_is_cut_out_of_a_panorama(degrees: float) -> None:
    transform, to_picture = placed((320.0, 240.0), 1.2, degrees)
    part = drawn(to_picture(EYE_CORNERS_ALIGNED), radius=4.0)
    expected = cut_face(part, transform, SPEC)
    for axis in (0, 1):  # longer than OpenCV takes, at its end and in front of it
        shift = 33000
        sides = [(0, 0), (0, 0), (0, 0)]
        sides[axis] = (shift, 0)
        longer = np.pad(part, sides, constant_values=40)
        moved = transform.astype(np.float64)
        moved[:, 2] -= shift * moved[:, 1 - axis]
        found = cut_face(longer, moved, SPEC)
        assert np.abs(found.astype(int) - expected).max() <= 1
        far, _ = placed((-90000.0, -90000.0), 1.0)
        assert (cut_face(longer, far, SPEC) == 40).all()


def test_fine_patterns_of_a_large_face_become_gray_and_not_coarse_ones() -> None:
    transform, _ = placed((320.0, 240.0), 3.0)
    stripes = np.zeros((480, 640, 3), np.uint8)
    # Four pixels wide, where 3 * 80 / 25 = 9.6 pixels of the picture are one of the face.
    stripes[:, np.arange(640) % 4 < 2] = 255
    face = cut_face(stripes, transform, SPEC)
    # A mean over 9.6 pixels leaves a seventh of the stripes, single pixels would leave them all.
    assert face.std() < stripes.std() / 5
    assert abs(face.mean() - 127.5) < 4


def test_brightness_is_kept_at_every_size() -> None:
    _, x = np.mgrid[:480, :640]
    ramp = np.repeat((x / 640 * 255).astype(np.uint8)[..., None], 3, axis=2)
    for scale in (0.3, 1.0, 3.0):
        transform, _ = placed((320.0, 240.0), scale)
        assert abs(float(cut_face(ramp, transform, SPEC).mean()) - 127.5) < 1.5


def test_colours_become_gray_as_eyes_see_them() -> None:
    transform, _ = placed((320.0, 240.0), 1.0)
    green = np.full((480, 640, 3), (0, 255, 0), np.uint8)
    gray = cv2.cvtColor(green[:1, :1], cv2.COLOR_BGR2GRAY)[0, 0]
    assert (cut_face(green, transform, SPEC) == gray).all()
