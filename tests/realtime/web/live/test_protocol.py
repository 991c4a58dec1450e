"""Messages that a page may send; all else is refused."""

from __future__ import annotations

import io
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from realtime.drawing.palette import class_markers
from realtime.inference.model import Model
from realtime.web.live import protocol
from realtime.web.live.protocol import (
    MAX_PICTURE_BYTES,
    DisplaySettings,
    Hello,
    Picture,
    ProtocolError,
    Recalibrate,
    Record,
    Set,
    Start,
    Stop,
    parse_frame,
    parse_text,
)
from support.live_server import frame, jpeg_of

JPEG = jpeg_of(np.full((80, 96, 3), 128, np.uint8))
START = {
    "type": "start",
    "model": "kilas",
    "sensitivity": 0.25,
    "classes": {"positive": 1, "surprise": 0},
    "heat_map": True,
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
kinds = st.sampled_from(["hello", "start", "set", "record", "recalibrate", "stop"])
parts = st.sampled_from(
    ["protocol", "visit", "model", "sensitivity", "classes", "heat_map", "on", "more"]
)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "hello", "protocol": 1, "visit": None}, Hello(None)),
        ({"type": "hello", "protocol": 1, "visit": "abc"}, Hello("abc")),
        (START, Start("kilas", DisplaySettings(0.25, {"positive": 1.0, "surprise": 0.0}, True))),
        ({"type": "set"}, Set(DisplaySettings())),
        ({"type": "set", "heat_map": False}, Set(DisplaySettings(heat_map=False))),
        ({"type": "record", "on": True}, Record(True)),
        ({"type": "recalibrate"}, Recalibrate()),
        ({"type": "stop"}, Stop()),
    ],
)
def test_messages_of_a_page(said: dict[str, Any], meant: object) -> None:
    assert parse_text(json.dumps(said)) == meant


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_text(text)


@given(kinds, st.dictionaries(parts, anything, max_size=4))
def test_any_message_is_understood_or_refused(kind: str, rest: dict[str, Any]) -> None:
    try:
        message = parse_text(json.dumps({"type": kind, **rest}))
    except ProtocolError:
        return
    if isinstance(message, Start | Set):
        settings = message.settings
        for share in (settings.sensitivity, *(settings.classes or {}).values()):
            assert share is None or (type(share) is float and 0 <= share <= 1)
        assert settings.heat_map in (None, True, False)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        '"hello"',
        "[" * 4000,
        '{"type": "set", "sensitivity": NaN}',
        '{"type": "set", "sensitivity": -Infinity}',
        '{"type": "set", "sensitivity": 1e999}',
        '{"type": "set", "sensitivity": %s}' % ("9" * 3000),
        '{"type": "set", "sensitivity": true}',
        '{"type": "set", "sensitivity": "0.5"}',
        '{"type": "set", "sensitivity": 1.01}',
        '{"type": "set", "classes": [0.5]}',
        '{"type": "set", "classes": {"positive": null}}',
        '{"type": "set", "classes": {"%s": 0.5}}' % ("a" * 65),
        '{"type": "set", "heat_map": 1}',
        '{"type": "record", "on": 1}',
        '{"type": "record"}',
        '{"type": "hello", "protocol": true, "visit": null}',
        '{"type": "hello", "protocol": 2, "visit": null}',
        '{"type": "hello", "protocol": 1, "visit": 7}',
        '{"type": "start", "model": ""}',
        '{"type": "stop", "now": true}',
        '{"type": ["stop"]}',
        "{}",
    ],
)
def test_what_is_not_quite_a_message_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_text(text)
    assert refused.value.code == protocol.VIOLATION


def test_long_texts_are_too_large_whatever_their_letters() -> None:
    for text in ("x" * 4097, "é" * 2100):
        with pytest.raises(ProtocolError) as refused:
            parse_text(text)
        assert refused.value.code == protocol.TOO_LARGE


def test_only_classes_of_the_model_have_a_sensitivity() -> None:
    labels = ("none", "positive")
    protocol.check_classes(DisplaySettings(classes={"positive": 0.1}), labels)
    protocol.check_classes(DisplaySettings(), labels)
    for label in ("none", "joy"):
        with pytest.raises(ProtocolError):
            protocol.check_classes(DisplaySettings(classes={label: 0.1}), labels)


def test_later_settings_win() -> None:
    first = DisplaySettings(0.1, {"positive": 0.2}, None)
    assert first.then(DisplaySettings(heat_map=False)) == DisplaySettings(
        0.1, {"positive": 0.2}, False
    )
    assert first.then(DisplaySettings(0.0, {})) == DisplaySettings(0.0, {}, None)


def test_a_frame() -> None:
    assert parse_frame(frame(3, 12.5, JPEG, missed=1, replaced=2)) == Picture(
        3, 12.5, 1, 2, (96, 80), JPEG
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_frame(data)


@given(st.integers(0, len(JPEG) - 1), st.integers(0, 255), st.integers(1, len(JPEG)))
def test_a_damaged_picture_is_taken_or_refused(at: int, value: int, length: int) -> None:
    damaged = bytearray(JPEG)
    damaged[at] = value
    try:
        picture = parse_frame(frame(0, 0.0, bytes(damaged[:length])))
    except ProtocolError:
        return
    assert max(picture.size_wh) <= 1920


@pytest.mark.parametrize("t_ms", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_times_that_no_page_has(t_ms: float) -> None:
    with pytest.raises(ProtocolError):
        parse_frame(frame(0, t_ms, JPEG))


@pytest.mark.parametrize("size_wh", [(1920, 1080), (1080, 1920), (64, 64), (1001, 77)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_size_is_read_from_the_head(size_wh: tuple[int, int], mode: str) -> None:
    for options in ({}, {"subsampling": 0}, {"optimize": True}, {"exif": b"Exif\0\0" + b"x" * 999}):
        jpeg = saved(Image.new(mode, size_wh), "JPEG", **options)
        assert parse_frame(frame(0, 0.0, jpeg)).size_wh == size_wh


def test_too_large_pictures() -> None:
    for size_wh in ((1921, 100), (100, 1921), (1920, 1081), (65500, 65500)):
        head = b"\xff\xd8" + struct.pack(">HHBHHB", 0xFFC0, 11, 8, size_wh[1], size_wh[0], 1)
        with pytest.raises(ProtocolError) as refused:
            parse_frame(frame(0, 0.0, head + b"\x01\x11\x00"))
        assert refused.value.code == protocol.TOO_LARGE
    with pytest.raises(ProtocolError) as refused:
        parse_frame(frame(0, 0.0, JPEG + bytes(MAX_PICTURE_BYTES)))
    assert refused.value.code == protocol.TOO_LARGE


def test_pictures_that_browsers_do_not_make_of_a_canvas() -> None:
    image = Image.new("RGB", (96, 80))
    others = [
        saved(image, "JPEG", progressive=True),
        saved(Image.new("CMYK", (96, 80)), "JPEG"),
        saved(Image.new("RGB", (32, 80)), "JPEG"),
        saved(image, "PNG"),
        saved(image, "GIF"),
        saved(image, "WEBP"),
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 300_000 + JPEG[2:],  # as many comments as fit
        # Marks without a length, of which decoders read on at once: another head would follow.
        *(
            b"\xff\xd8\xff" + bytes([mark]) + b"\x00\x08" + bytes(6) + JPEG[2:]
            for mark in (1, 0xD0)
        ),
        b"\xff\xd8\xff\xfe\x00\x01" + JPEG[2:],
    ]
    for data in others:
        with pytest.raises(ProtocolError) as refused:
            parse_frame(frame(0, 0.0, data))
        assert refused.value.code == protocol.VIOLATION


def test_a_page_is_told_of_macro_expressions_where_they_are_scored() -> None:
    spec = Model.load("kilas", "cpu").spec
    labels = ("happy", "sad", "neutral")
    on = protocol.started(spec, labels, "kilas", "CPU", has_attention=True)
    off = protocol.started(spec, None, "kilas", "CPU", has_attention=True)
    assert on["macro"]["labels"] == list(on["macro"]["colours"]) == list(labels)
    assert on["macro"]["marks"] == class_markers(labels)
    assert off["macro"] is None
    assert on | {"macro": None} == off


def test_numbers_that_are_none_do_not_leave_the_server() -> None:
    with pytest.raises(ValueError, match="JSON"):
        protocol.encode({"type": "update", "t_ms": math.nan})
