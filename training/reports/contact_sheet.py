"""Contact sheet: samples as rows of small pictures, as the networks get them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from realtime.drawing.palette import Rgb, class_colours
from realtime.drawing.text import render_text, shorten
from realtime.types import UInt8Array

SLOTS = 8
"""Most pictures in a row; more would be too small for a page."""

TILE_PX = 112
"""Side of a picture; a row then fits on a page of usual width."""

GAP_PX = 3

STRIP_PX = TILE_PX + 6
"""Height of a row, with the line under the apex."""

GAIN = 6
"""Factor of the amplified difference.

A micro-expression moves an edge of the face by about a pixel, which changes some 10 of 255 gray
levels there.
"""

SMOOTHING_PX = 1.0
"""Blur of the difference before it is amplified; without it camera noise would be visible."""

UNCHANGED = 128
"""Gray level of the difference where nothing changed."""

PER_CLASS = 6
"""Most samples of a class on a sheet."""

MARGIN_PX, CAPTIONS_PX, HEADER_PX, TEXT_PX = 16, 180, 34, 15
"""Layout of a sheet: margin, width of the captions, height of a class's header, text height."""

INK, PALE_INK = 225, 165
"""Gray levels by which letters are darker than white: contrast 15 : 1 and 6 : 1."""


def chosen_slots(slots: int, apex_slot: int) -> list[int]:
    """Choose at most SLOTS of a sample's slots, evenly spread, with first, apex and last slot."""
    spread = np.linspace(0, slots - 1, min(SLOTS, slots)).round().astype(int)
    if apex_slot not in spread:
        inner = spread[1:-1]
        inner[np.abs(inner - apex_slot).argmin()] = apex_slot
    return [int(slot) for slot in spread]


def difference(faces: UInt8Array, apex_slot: int) -> UInt8Array:
    """Return apex minus first slot, amplified GAIN times around mid gray: uint8 [H, W].

    faces: uint8 [T, H, W]. Places that became brighter are brighter than mid gray.
    """
    change = faces[apex_slot].astype(np.float32) - faces[0].astype(np.float32)
    smooth = cv2.GaussianBlur(change, (0, 0), SMOOTHING_PX)
    amplified: UInt8Array = np.clip(UNCHANGED + GAIN * smooth, 0, 255).astype(np.uint8)
    return amplified


def strip(faces: UInt8Array, apex_slot: int) -> UInt8Array:
    """Draw a sample as a row: up to SLOTS of its slots, and the difference up to the apex.

    faces: uint8 [T, H, W]. The apex is underlined. Result: uint8 [STRIP_PX, W].
    """
    slots = chosen_slots(len(faces), apex_slot)
    tiles = [_tile(faces[slot], is_apex=slot == apex_slot) for slot in slots]
    gap = np.full((STRIP_PX, GAP_PX), 255, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)]
    # A wider gap separates the difference.
    return np.hstack([*parts, gap, gap, _tile(difference(faces, apex_slot), is_apex=False)])


def _tile(face: UInt8Array, *, is_apex: bool) -> UInt8Array:
    tile = np.full((STRIP_PX, TILE_PX), 255, np.uint8)
    tile[:TILE_PX] = cv2.resize(face, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    if is_apex:
        tile[TILE_PX + 2 :] = 0
    return tile


def pick(labels: Sequence[str], subjects: Sequence[str], per_class: int = PER_CLASS) -> list[int]:
    """Choose up to `per_class` samples of each class, of as many subjects as possible.

    The first sample of each subject is taken, then the second of each, and so on. Returns indices;
    those of a class are in ascending order.
    """
    picked: list[int] = []
    for label in dict.fromkeys(labels):
        seen: dict[str, int] = {}
        order: list[tuple[int, int]] = []
        for index, (one, subject) in enumerate(zip(labels, subjects, strict=True)):
            if one == label:
                order.append((seen.get(subject, 0), index))
                seen[subject] = seen.get(subject, 0) + 1
        picked += sorted(index for _, index in sorted(order)[:per_class])
    return picked


def draw_sheet(
    title: str,
    classes: Sequence[str],
    faces: Sequence[UInt8Array],
    apex_slots: Sequence[int],
    labels: Sequence[str],
    captions: Sequence[str],
) -> UInt8Array:
    """Draw samples under their classes, on white: uint8 BGR [H, W, 3].

    faces: N samples, uint8 [T, h, w] each; apex_slots: [N]; labels: [N], each in `classes`, whose
    order gives the colours; captions: [N], one or more lines each, such as subject and clip. The
    header of a class shows how many samples follow, or that there are none.
    """
    rows = [strip(one, slot) for one, slot in zip(faces, apex_slots, strict=True)]
    widest = max([row.shape[1] for row in rows], default=SLOTS * TILE_PX)
    width = CAPTIONS_PX + widest + 2 * MARGIN_PX
    legend = (
        "In order of time, the apex underlined. Last: apex minus first picture, "
        f"{GAIN} times as strong; gray is unchanged."
    )
    blocks = [_line(width, title, TEXT_PX + 5), _line(width, legend, TEXT_PX - 1, PALE_INK)]
    colours = class_colours(classes)
    for label in classes:
        members = [index for index, one in enumerate(labels) if one == label]
        blocks.append(_header(width, f"{label}  ({len(members) or 'none'} shown)", colours[label]))
        blocks += [_sample(width, rows[index], captions[index]) for index in members]
    margin = np.full((MARGIN_PX, width, 3), 255, np.uint8)
    return np.vstack([margin, *blocks, margin])


def _line(width: int, text: str, size_px: int, ink: int = INK) -> UInt8Array:
    line = np.full((2 * size_px, width, 3), 255, np.uint8)
    _letter(line, text, MARGIN_PX, size_px // 3, size_px, ink)
    return line


def _header(width: int, text: str, colour: Rgb) -> UInt8Array:
    header = np.full((HEADER_PX + MARGIN_PX // 2, width, 3), 255, np.uint8)
    bar = header[MARGIN_PX // 2 : HEADER_PX, MARGIN_PX : width - MARGIN_PX]
    bar[-3:] = colour[::-1]
    bar[:, :10] = colour[::-1]
    _letter(header, text, MARGIN_PX + 18, MARGIN_PX // 2 + 2, TEXT_PX + 1, INK)
    return header


def _sample(width: int, row: UInt8Array, caption: str) -> UInt8Array:
    block = np.full((STRIP_PX + GAP_PX, width, 3), 255, np.uint8)
    left = MARGIN_PX + CAPTIONS_PX
    block[:STRIP_PX, left : left + row.shape[1]] = row[:, :, None]
    for number, text in enumerate(caption.splitlines()):
        fitting = shorten(text, TEXT_PX, CAPTIONS_PX - 2 * GAP_PX)
        y = 8 + number * round(1.4 * TEXT_PX)
        _letter(block, fitting, MARGIN_PX, y, TEXT_PX, INK if not number else PALE_INK)
    return block


def _letter(image: UInt8Array, text: str, x: int, y: int, size_px: int, ink: int) -> None:
    """Draw dark letters on white; parts outside the image are cut off."""
    picture = render_text(text, size_px, ink)
    target = image[y : y + picture.shape[0], x : x + picture.shape[1]]
    np.minimum(target, 255 - picture[: target.shape[0], : target.shape[1]], out=target)
