"""The picture that the user sees: legible everywhere, true to the scores, and out of the way."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.display import event_timeline, macro_list, overlay
from realtime.display.event_timeline import FLASH_S, TIMELINE_S
from realtime.display.overlay import Overlay
from realtime.drawing import shapes
from realtime.drawing.markers import paint_mark
from realtime.drawing.palette import GRAY, class_colours, class_markers
from realtime.drawing.text import PALE, WHITE, render_text, shorten, width_of, write
from realtime.run_status import RunStatus
from realtime.spec import ModelSpec
from realtime.types import Event, Face, Frame, MacroScores, Scores, State, UInt8Array, Update
from support.builders import AHEAD, NO_POINTS

LABELS = ("negative", "positive", "surprise", "none")
MACRO_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIZES_WH = [(320, 240), (640, 480), (1280, 720), (1920, 1080), (480, 640)]
STATUS = RunStatus(29.97, 29.8, 41.6, {"camera": 2, "model busy": 11}, "CUDA", "camera 12 fps")


def make_spec(labels: tuple[str, ...] = LABELS) -> ModelSpec:
    return ModelSpec(
        name="test",
        version="1",
        architecture="triple",
        labels=labels,
        rate_hz=30.0,
        frames=18,
        region_layout="triple",
        signal="motion",
        normalisation="none",
        lookahead=9,
    )


def make_face(box: tuple[float, float, float, float], face_id: int = 0) -> Face:
    left, top, right, bottom = box
    scale = 128 / max(right - left, bottom - top, 1.0)
    transform = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    return Face(0, face_id, NO_POINTS, box, transform, AHEAD)


def centre_box(width: int, height: int) -> tuple[float, float, float, float]:
    """A face in the middle of the picture, a third of its shorter side wide."""
    half = min(width, height) / 6
    return (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)


def make_update(
    image: UInt8Array,
    t_s: float,
    *,
    faces: tuple[Face, ...] | None = None,
    scores: tuple[Scores, ...] = (),
    events: tuple[Event, ...] = (),
    state: State = "neutral",
    macro: tuple[MacroScores, ...] = (),
) -> Update:
    if faces is None:
        faces = (make_face(centre_box(image.shape[1], image.shape[0])),)
    states: dict[int, State] = {face.face_id: state for face in faces}
    frame = Frame(round(t_s * 30), t_s, image)
    return Update(frame, faces, scores, events, states, macro=macro)


def score(t_s: float, *probabilities: float, face_id: int = 0) -> Scores:
    return Scores(face_id, t_s, probabilities or (0.1, 0.1, 0.1, 0.7), 0.03)


def shows(t_s: float, label: str, share: float = 0.7, face_id: int = 0) -> MacroScores:
    """Macro scores with `label` as the highest."""
    rest = (1 - share) / (len(MACRO_LABELS) - 1)
    values = tuple(share if one == label else rest for one in MACRO_LABELS)
    return MacroScores(face_id, t_s, values)


def scene(kind: str, width: int, height: int) -> UInt8Array:
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    level = {"white": 255, "black": 0, "gray": 128}[kind]
    return np.full((height, width, 3), level, np.uint8)


class Words:
    """Texts and their places, in the order of painting, with the plates in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[tuple[str, int, int, UInt8Array, int]] = []
        self.plates: list[tuple[int, int, int, int]] = []
        plate = shapes.plate

        def spy_write(
            image: UInt8Array,
            text: str,
            x: int,
            y: int,
            size_px: int,
            level: int = 250,
            align: str = "left",
        ) -> None:
            picture = render_text(text, size_px, level)
            left = x - picture.shape[1] if align == "right" else x
            self.written.append((text, left, y, picture, len(self.plates)))
            write(image, text, left, y, size_px, level)

        def spy_plate(image: UInt8Array, box: tuple[int, int, int, int], **rest: float) -> None:
            self.plates.append(box)
            plate(image, box, **rest)

        for module in (overlay, event_timeline, macro_list):
            monkeypatch.setattr(module, "write", spy_write)
        for module in (overlay, event_timeline):
            monkeypatch.setattr(module, "plate", spy_plate)

    @property
    def texts(self) -> list[str]:
        return [text for text, *_ in self.written]

    def where(self, text: str) -> tuple[int, int]:
        return next((x, y) for word, x, y, *_ in self.written if word == text)

    def clear(self) -> None:
        self.written.clear()
        self.plates.clear()


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    return Words(monkeypatch)


def luminance(bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """WCAG 2.1, relative luminance."""
    share = bgr[..., ::-1] / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("kind", ["white", "black", "gray", "noise"])
def test_text_has_contrast_on_any_scene(size_wh: tuple[int, int], kind: str, words: Words) -> None:
    image = scene(kind, *size_wh)
    width, height = size_wh
    faces = (
        make_face(centre_box(width, height)),
        make_face((width * 0.7, height * 0.3, width * 0.8, height * 0.45), face_id=1),
    )
    painter = Overlay(make_spec())
    painter.add(make_update(image, 10.0, scores=(score(9.0), score(9.6), score(9.6, face_id=1))))
    event = Event(0, 8.0, 8.1, 8.3, "surprise", 0.9)
    update = make_update(image, 10.1, faces=faces, events=(event,))
    for kwargs in ({}, {"show_help": True}):
        words.clear()
        picture = painter.paint(
            update, STATUS, recording=True, frozen=True, heat_map=True, notice="saved x", **kwargs
        )
        assert len(words.written) > 15
        for text, x, y, ink, plates_before in words.written:
            box = (x, y, x + ink.shape[1], y + ink.shape[0])
            if any(overlap(box, plate) for plate in words.plates[plates_before:]):
                continue
            seen = picture[y : box[3], x : box[2]]
            ink = ink[: seen.shape[0], : seen.shape[1], 0]
            letters = np.median(luminance(seen)[ink >= 0.8 * ink.max()])
            ground = luminance(seen)[ink == 0].max()
            assert (letters + 0.05) / (ground + 0.05) >= 4.5, (text, letters, ground)


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_text_stays_inside_the_picture(size_wh: tuple[int, int], words: Words) -> None:
    image = scene("gray", *size_wh)
    Overlay(make_spec()).paint(
        make_update(image, 1.0, events=(Event(0, 0.4, 0.5, 0.6, "negative", 0.9),)),
        STATUS,
        show_help=True,
        recording=True,
        frozen=True,
        notice="saved kilas-20260101-120000-000.png",
    )
    for text, x, y, ink, _ in words.written:
        assert x >= 0, text
        assert y >= 0, text
        assert x + ink.shape[1] <= size_wh[0], text
        assert y + ink.shape[0] <= size_wh[1] + 3, text  # only the room for descenders


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("macro_labels", [(), MACRO_LABELS])
def test_the_face_stays_visible(size_wh: tuple[int, int], macro_labels: tuple[str, ...]) -> None:
    image = scene("noise", *size_wh)
    painter = Overlay(make_spec(), macro_labels)
    picture = painter.paint(make_update(image, 1.0), STATUS, recording=True)
    left, top, right, bottom = (round(v) for v in centre_box(*size_wh))
    changed = (picture != image).any(axis=2)
    allowed = (0.05 if macro_labels else 0.04) + 0.21 * 240 / min(size_wh)
    assert changed[top:bottom, left:right].mean() < allowed
    assert changed.mean() < 0.5
    assert changed.any()


def test_the_frame_is_not_written_to() -> None:
    image = scene("gray", 320, 240)
    image.flags.writeable = False
    picture = Overlay(make_spec()).paint(make_update(image, 1.0), STATUS, show_help=True)
    assert not np.shares_memory(picture, image)
    assert (image == 128).all()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
@settings(deadline=None, max_examples=20)
def test_bars_are_longer_for_higher_scores(shares: list[float]) -> None:
    image = scene("black", 640, 480)
    red, green, blue = class_colours(LABELS)["surprise"]
    lengths = []
    for share in shares:
        scores = (score(0.9, 0.0, 0.0, share, 1 - share),)
        picture = Overlay(make_spec()).paint(make_update(image, 1.0, scores=scores))
        panel = picture[:200]
        lengths.append(int((panel == (blue, green, red)).all(axis=2).sum(axis=1).max()))
    assert lengths[0] <= lengths[1]
    if shares[1] - shares[0] > 0.1:
        assert lengths[0] < lengths[1]


def test_numbers_and_labels_are_written(words: Words) -> None:
    update = make_update(scene("gray", 640, 480), 1.0, scores=(score(0.9, 0.05, 0.1, 0.6, 0.25),))
    Overlay(make_spec()).paint(update, STATUS)
    for text in (*LABELS, "0.05", "0.10", "0.60", "0.25", "neutral"):
        assert text in words.texts


@pytest.mark.parametrize("state", ["warming up", "neutral", "expression", "macro"])
def test_the_state_is_a_word(state: State, words: Words) -> None:
    Overlay(make_spec()).paint(make_update(scene("gray", 320, 240), 1.0, state=state))
    assert state in words.texts


def test_no_face_is_said_and_shows_no_numbers(words: Words) -> None:
    painter = Overlay(make_spec())
    painter.add(make_update(scene("gray", 320, 240), 1.0, scores=(score(0.9),)))
    painter.paint(make_update(scene("gray", 320, 240), 1.1, faces=()))
    assert "no face" in words.texts
    assert words.texts.count("-") == len(LABELS)


def test_old_scores_are_not_shown_as_live(words: Words) -> None:
    painter = Overlay(make_spec())
    painter.add(make_update(scene("gray", 320, 240), 1.0, scores=(score(0.9),)))
    painter.paint(make_update(scene("gray", 320, 240), 4.0))
    assert words.texts.count("-") == len(LABELS)


def test_macro_scores_stand_below_with_their_highest_in_figures(words: Words) -> None:
    image = scene("gray", 640, 480)
    macro = (shows(1.0, "happy", 0.64),)
    Overlay(make_spec(), MACRO_LABELS).paint(make_update(image, 1.0, macro=macro))
    for text in ("micro: lets slip", "macro: shows", *MACRO_LABELS, "0.64"):
        assert text in words.texts
    assert "0.06" not in words.texts
    assert words.texts.index("micro: lets slip") < words.texts.index("macro: shows")


@pytest.mark.parametrize("kind", ["white", "noise"])
@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_macro_scores_can_be_read_on_any_scene(kind: str, size_wh: tuple[int, int]) -> None:
    painter = Overlay(make_spec(), MACRO_LABELS)
    update = make_update(scene(kind, *size_wh), 1.0, macro=(shows(1.0, "happy"),))
    picture = painter.paint(update)
    size_px = max(10, round(0.85 * round(0.026 * min(size_wh))))
    heading = "macro: shows" if min(size_wh) > 240 else "shows"
    for text, level in ((heading, PALE), ("happy", WHITE)):
        ink = render_text(text, size_px, level)
        found = cv2.matchTemplate(picture, ink, cv2.TM_CCOEFF_NORMED)
        _, likeness, _, (x, y) = cv2.minMaxLoc(found)
        assert likeness > 0.8, text
        seen = luminance(picture[y : y + ink.shape[0], x : x + ink.shape[1]])
        letters = np.median(seen[ink[:, :, 0] >= 0.8 * ink.max()])
        assert (letters + 0.05) / (seen[ink[:, :, 0] == 0].max() + 0.05) >= 4.5, text


def test_macro_scores_hold_until_there_are_new_ones(words: Words) -> None:
    image = scene("black", 640, 480)
    painter = Overlay(make_spec(), MACRO_LABELS)
    yellow = class_colours(MACRO_LABELS)["happy"][::-1]

    def length(picture: UInt8Array) -> int:
        return int((picture[:300] == yellow).all(axis=2).sum(axis=1).max())

    first = painter.paint(make_update(image, 1.0, macro=(shows(1.0, "happy", 0.5),))).copy()
    words.clear()
    held = painter.paint(make_update(image, 1.2)).copy()
    assert length(held) == length(first)
    assert not words.texts.count("0.50")  # nothing is drawn anew for the same scores
    newer = painter.paint(make_update(image, 1.3, macro=(shows(1.3, "happy", 0.9),)))
    assert length(newer) > length(held)
    assert "0.90" in words.texts


def test_macro_scores_of_a_face_that_is_gone_are_not_shown(words: Words) -> None:
    image = scene("gray", 640, 480)
    painter = Overlay(make_spec(), MACRO_LABELS)
    painter.paint(make_update(image, 1.0, macro=(shows(1.0, "happy", 0.64),)))
    none_known = len(LABELS) + len(MACRO_LABELS)
    others = (make_face(centre_box(640, 480), face_id=5),)
    for update in (
        make_update(image, 1.1, faces=()),
        make_update(image, 1.2, faces=others),
        make_update(image, 4.0),  # it is back, and what it shows now is not known yet
        make_update(image, 0.5),  # the stream began again
    ):
        words.clear()
        painter.paint(update)
        assert "0.64" not in words.texts
        assert words.texts.count("-") in (none_known, len(LABELS))  # the same list as before


def test_without_macro_labels_nothing_is_seen_of_macro_scores() -> None:
    image = scene("noise", 640, 480)
    macro = (shows(1.0, "happy"),)
    plain = Overlay(make_spec()).paint(make_update(image, 1.0)).copy()
    assert np.array_equal(plain, Overlay(make_spec()).paint(make_update(image, 1.0, macro=macro)))


def test_a_small_frame_has_the_highest_macro_score_alone(words: Words) -> None:
    update = make_update(scene("gray", 320, 240), 1.0, macro=(shows(1.0, "sad", 0.64),))
    Overlay(make_spec(), MACRO_LABELS).paint(update)
    assert [text for text in words.texts if text in (*MACRO_LABELS, "0.64")] == [
        "neutral",  # the state
        "surprise",  # of the model itself
        "sad",
        "0.64",
    ]


def test_a_tiny_frame_leaves_macro_scores_out() -> None:
    image = scene("gray", 160, 120)
    macro = (shows(1.0, "happy"),)
    plain = Overlay(make_spec()).paint(make_update(image, 1.0)).copy()
    tiny = Overlay(make_spec(), MACRO_LABELS).paint(make_update(image, 1.0, macro=macro))
    assert np.array_equal(plain, tiny)


def test_macro_scores_of_several_faces_are_kept_apart(words: Words) -> None:
    image = scene("gray", 640, 480)
    faces = (
        make_face((450, 180, 510, 240), face_id=3),
        make_face((240, 140, 400, 300), face_id=7),
    )
    macro = (shows(1.0, "sad", 0.61, face_id=3), shows(1.0, "happy", 0.72, face_id=7))
    painter = Overlay(make_spec(), MACRO_LABELS)
    painter.paint(make_update(image, 1.0, faces=faces, macro=macro))
    assert "face 3  neutral" in words.texts
    assert "shows sad 0.61" in words.texts
    assert "0.72" in words.texts


def test_an_event_is_a_labelled_span_on_the_timeline(words: Words) -> None:
    width, height = 640, 480
    image = scene("black", width, height)
    now_s = 20.0
    event = Event(0, now_s - 6.0, now_s - 5.8, now_s - 5.5, "surprise", 0.9)
    pictures = []
    for events in ((), (event,)):
        painter = Overlay(make_spec())
        painter.add(make_update(image, now_s - FLASH_S - 1, scores=(score(now_s - 5),)))
        painter.add(make_update(image, now_s - FLASH_S - 0.5, events=events))
        pictures.append(painter.paint(make_update(image, now_s)).astype(int))
    assert "surprise" in words.texts
    difference = np.abs(pictures[0] - pictures[1]).max(axis=2)
    rows = slice(height - 60, height - 40)  # inside the plot, below the words
    columns = np.flatnonzero(difference[rows].any(axis=0))
    pixels_per_s = (width - 16) / TIMELINE_S
    assert columns.min() == pytest.approx(8 + 4.0 * pixels_per_s, abs=3)
    assert columns.max() == pytest.approx(8 + 4.5 * pixels_per_s, abs=3)


def test_an_event_is_announced_for_two_seconds(words: Words) -> None:
    image = scene("gray", 640, 480)
    painter = Overlay(make_spec())
    event = Event(0, 5.0, 5.1, 5.31, "positive", 0.87)
    painter.paint(make_update(image, 5.5, events=(event,)))
    assert "310 ms   score 0.87" in words.texts
    words.clear()
    painter.paint(make_update(image, 5.5 + FLASH_S - 0.1))
    assert "310 ms   score 0.87" in words.texts
    words.clear()
    painter.paint(make_update(image, 5.5 + FLASH_S + 0.1))
    assert "310 ms   score 0.87" not in words.texts


def test_painting_an_update_again_changes_nothing() -> None:
    image = scene("noise", 320, 240)
    painter = Overlay(make_spec())
    event = Event(0, 0.4, 0.5, 0.6, "negative", 0.9)
    update = make_update(image, 1.0, scores=(score(0.5), score(0.9)), events=(event,))
    first = painter.paint(update, STATUS).copy()
    assert np.array_equal(first, painter.paint(update, STATUS))


def test_a_stream_that_begins_again_starts_an_empty_timeline() -> None:
    image = scene("black", 320, 240)
    painter = Overlay(make_spec())
    for second in range(60):
        painter.add(make_update(image, 100.0 + second, scores=(score(99.8 + second),)))
    again = painter.paint(make_update(image, 155.0)).copy()
    assert np.array_equal(again, Overlay(make_spec()).paint(make_update(image, 155.0)))


def test_hours_of_scores_are_shown_like_the_last_seconds() -> None:
    image = scene("black", 320, 240)
    long, short = Overlay(make_spec()), Overlay(make_spec())
    last_s = 9000 / 15
    for index in range(9001):
        update = make_update(image, index / 15, scores=(score(index / 15),))
        long.add(update)
        if last_s - index / 15 <= TIMELINE_S + 1:
            short.add(update)
    final = make_update(image, last_s)
    assert np.array_equal(long.paint(final), short.paint(final))


def test_the_largest_face_has_the_panel_and_the_others_a_tag(words: Words) -> None:
    image = scene("gray", 640, 480)
    faces = (
        make_face((450, 180, 510, 240), face_id=3),
        make_face((240, 140, 400, 300), face_id=7),
    )
    scores = (score(0.9, 0.7, 0.1, 0.1, 0.1, face_id=3), score(0.9, 0.1, 0.2, 0.3, 0.4, face_id=7))
    Overlay(make_spec()).paint(make_update(image, 1.0, faces=faces, scores=scores))
    assert "face 3  neutral  negative 0.70" in words.texts
    assert words.texts.count("face 7") == 2  # on the panel and at its box
    assert "0.40" in words.texts


def test_the_panel_moves_away_from_a_face_behind_it(words: Words) -> None:
    image = scene("gray", 640, 480)
    painter = Overlay(make_spec())
    painter.paint(make_update(image, 1.0, faces=(make_face((10, 10, 200, 200)),)))
    assert words.where("neutral")[0] > 320
    words.clear()
    painter.paint(make_update(image, 3.0, faces=(make_face((430, 10, 630, 200)),)))
    assert words.where("neutral")[0] < 320


def test_the_heat_map_stays_on_the_regions() -> None:
    image = scene("gray", 640, 480)
    attention = np.random.default_rng(0).random((3, 4, 8, 8)).astype(np.float32)
    scores = Scores(0, 0.9, (0.1, 0.1, 0.1, 0.7), 0.03, attention)
    update = make_update(image, 1.0, scores=(scores,))
    plain = Overlay(make_spec()).paint(update).copy()
    heat = Overlay(make_spec()).paint(update, heat_map=True)
    changed = (plain != heat).any(axis=2)
    left, top, right, bottom = (round(v) for v in centre_box(640, 480))
    assert changed[top:bottom, left:right].mean() > 0.4
    changed[top - 2 : bottom + 2, left - 2 : right + 2] = False
    changed[:40, 320:] = False  # the key in the corner
    assert not changed.any()


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 500),
    box=st.tuples(*[st.floats(-300, 900)] * 4),
    now_s=st.floats(0, 1e6),
    labels=st.integers(1, 12),
    macro_labels=st.integers(0, 12),
)
@settings(deadline=None, max_examples=60)
def test_any_frame_and_any_box_can_be_painted(
    width: int,
    height: int,
    box: tuple[float, float, float, float],
    now_s: float,
    labels: int,
    macro_labels: int,
) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    names = tuple(f"class {index}" for index in range(labels))
    left, right = sorted(box[::2])
    top, bottom = sorted(box[1::2])
    attention = np.ones((3, 2, 4, 4), np.float32)
    scores = tuple(
        Scores(0, now_s - back_s, (1 / labels,) * labels, 0.0, attention)
        for back_s in (5.0, 0.6, 0.3)
    )
    events = (Event(0, now_s - 9.9, now_s - 0.4, now_s - 0.2, names[0], 1.0),)
    faces = (make_face((left, top, right, bottom)),)
    shown = [f"shown {index}" for index in range(macro_labels)]
    macro = (MacroScores(0, now_s, (1 / macro_labels,) * macro_labels),) if shown else ()
    update = make_update(image, now_s, faces=faces, scores=scores, events=events, macro=macro)
    picture = Overlay(make_spec(names), shown).paint(
        update, STATUS, heat_map=True, show_help=True, recording=True, frozen=True, notice="n"
    )
    assert picture.shape == image.shape


@pytest.mark.parametrize(("width", "expected"), [(1280, "13 dropped (camera 2, model busy 11)")])
def test_the_status_is_written(width: int, expected: str, words: Words) -> None:
    Overlay(make_spec()).paint(make_update(scene("gray", width, 720), 1.0), STATUS)
    for text in ("30.0 fps in", "29.8 scored", "42 ms", expected, "CUDA", "camera 12 fps"):
        assert text in words.texts


def test_a_narrow_frame_keeps_the_total_of_drops(words: Words) -> None:
    Overlay(make_spec()).paint(make_update(scene("gray", 320, 240), 1.0), STATUS)
    assert "13 dropped" in words.texts


def test_labels_keep_their_colour_in_every_model() -> None:
    a = class_colours(("surprise", "disgust", "none"))
    b = class_colours(("none", "happiness", "disgust", "repression", "surprise"))
    assert a["surprise"] == b["surprise"]
    assert a["disgust"] == b["disgust"]
    assert a["none"] == b["none"] == GRAY


def test_a_face_at_rest_is_gray_whatever_a_model_calls_it() -> None:
    assert class_colours(MACRO_LABELS)["neutral"] == GRAY
    assert class_markers(MACRO_LABELS)["neutral"] == class_markers(LABELS)["none"] == "▬"
    both = class_colours(("neutral", "none"))
    assert both["none"] == GRAY != both["neutral"]


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "happy", "positive", "fear"]), unique=True))
def test_seven_classes_have_seven_colours_and_marks(labels: list[str]) -> None:
    labels = [*labels, "none"]
    assert len(set(class_colours(labels).values())) == len(labels)
    assert len(set(class_markers(labels).values())) == len(labels)
    assert list(class_colours(labels)) == labels


def test_every_mark_can_be_painted() -> None:
    labels = [f"class {index}" for index in range(20)] + ["none"]
    for mark in class_markers(labels).values():
        image = np.zeros((40, 40, 3), np.uint8)
        paint_mark(image, mark, 20, 20, 10, (255, 255, 255))
        rows, columns = np.nonzero(image[:, :, 0])
        assert 60 < len(rows) < 450, mark
        assert rows.min() >= 8, mark
        assert rows.max() <= 32, mark
        assert columns.min() >= 8, mark
        assert columns.max() <= 32, mark


@given(st.integers(-60, 60), st.integers(-60, 60))
@settings(deadline=None)
def test_text_at_the_edge_is_cut_off(x: int, y: int) -> None:
    picture = render_text("surprise", 12)
    large = np.zeros((300, 300, 3), np.uint8)
    large[100 + y :, 100 + x :][: picture.shape[0], : picture.shape[1]] = picture
    image = np.zeros((40, 40, 3), np.uint8)
    write(image, "surprise", x, y, 12)
    assert np.array_equal(image, large[100:140, 100:140])


def test_text_is_shortened_to_its_room() -> None:
    assert shorten("surprise", 12, 500) == "surprise"
    short = shorten("a very long label of a class", 12, 60)
    assert short.endswith("..")
    assert width_of(short, 12) <= 60
    assert shorten("surprise", 12, 3) == ""


def test_accents_become_plain_letters() -> None:
    assert np.array_equal(render_text("dégoût", 20), render_text("degout", 20))


def test_letters_are_smooth_and_as_tall_as_asked() -> None:
    picture = render_text("H", 40)
    rows = np.flatnonzero(picture[:, :, 0].max(axis=1) > 125)
    assert rows[-1] - rows[0] + 1 == pytest.approx(40 * 0.72, abs=4)
    assert len(np.unique(cv2.resize(picture, None, fx=1, fy=1))) > 8
