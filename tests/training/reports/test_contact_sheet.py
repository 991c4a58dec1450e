"""Contact sheets: which samples, which of their slots, and what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.drawing.palette import class_colours
from realtime.types import UInt8Array
from training.reports.contact_sheet import (
    CAPTIONS_PX,
    GAIN,
    MARGIN_PX,
    SLOTS,
    STRIP_PX,
    TILE_PX,
    UNCHANGED,
    chosen_slots,
    difference,
    draw_sheet,
    pick,
    strip,
)

CLASSES = ("negative", "positive", "surprise")


def ramp(slots: int = 16) -> UInt8Array:
    """Faces that are all of one gray level, 10 more from slot to slot."""
    levels = (10 * np.arange(slots) + 20).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None], (slots, 128, 128)).copy()


def tile_levels(row: UInt8Array) -> list[int]:
    """Gray level of each picture in a row, from the left."""
    line = row[TILE_PX // 2].astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[255], line, [255]])))
    starts, ends = edges[:-1], edges[1:]
    return [int(line[a]) for a, b in zip(starts, ends, strict=True) if b - a == TILE_PX]


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_slots_are_in_order_with_the_first_the_apex_and_the_last(case: tuple[int, int]) -> None:
    slots, apex = case
    chosen = chosen_slots(slots, apex)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(SLOTS, slots)
    assert {0, apex, slots - 1} <= set(chosen)


def test_what_became_brighter_is_bright_and_amplified() -> None:
    faces = np.full((3, 128, 128), 100, np.uint8)
    faces[1, 40:60, 40:60] += 5
    faces[1, 80:100, 80:100] -= 5
    found = difference(faces, 1)
    assert found[50, 50] == UNCHANGED + 5 * GAIN
    assert found[90, 90] == UNCHANGED - 5 * GAIN
    assert found[10, 10] == UNCHANGED
    assert (difference(faces, 2) == UNCHANGED).all()


def test_a_large_difference_does_not_wrap_around() -> None:
    faces = np.zeros((2, 128, 128), np.uint8)
    faces[1] = 255
    assert (difference(faces, 1) == 255).all()
    assert (difference(faces[::-1], 1) == 0).all()


def test_a_row_has_the_slots_in_order_and_then_the_difference() -> None:
    faces = ramp()
    row = strip(faces, apex_slot=9)
    assert row.shape[0] == STRIP_PX
    # The difference of 90 levels, amplified, is as white as the ground, so it is no tile here.
    assert tile_levels(row) == [20 + 10 * slot for slot in chosen_slots(16, 9)]
    assert tile_levels(strip(ramp() // 16, 9))[-1] == UNCHANGED + 5 * GAIN


def test_the_apex_is_underlined_and_nothing_else() -> None:
    row = strip(ramp(), apex_slot=9)
    place = chosen_slots(16, 9).index(9)
    underline = np.flatnonzero(row[-1] == 0)
    assert len(underline) == TILE_PX
    assert underline[0] == place * (TILE_PX + 3)
    assert (row[-1][row[-1] != 0] == 255).all()


def test_as_many_subjects_as_there_are() -> None:
    labels = ["a", "a", "a", "b", "a", "b"]
    subjects = ["1", "1", "2", "3", "3", "3"]
    assert pick(labels, subjects, per_class=3) == [0, 2, 4, 3, 5]
    assert pick(labels, subjects, per_class=1) == [0, 3]
    assert pick(labels, subjects, per_class=9) == [0, 1, 2, 4, 3, 5]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("1234")), max_size=30),
    st.integers(1, 5),
)
def test_no_subject_comes_twice_before_all_came_once(
    samples: list[tuple[str, str]], per_class: int
) -> None:
    labels, subjects = [one[0] for one in samples], [one[1] for one in samples]
    picked = pick(labels, subjects, per_class)
    assert len(set(picked)) == len(picked)
    for label in set(labels):
        own = [subjects[index] for index in picked if labels[index] == label]
        known = {subject for one, subject in samples if one == label}
        assert len(own) == min(per_class, labels.count(label))
        assert len(set(own)) == min(len(known), len(own))


def sheet(count: int = 3, caption: str = "s01\nEP01") -> UInt8Array:
    labels = [CLASSES[n % 2] for n in range(count)]
    return draw_sheet("Title", CLASSES, [ramp()] * count, [9] * count, labels, [caption] * count)


def test_a_sheet_has_each_class_in_its_colour_and_a_row_a_sample() -> None:
    image = sheet(3)
    assert image.dtype == np.uint8
    for label in CLASSES:  # also the one without a sample
        colour = class_colours(CLASSES)[label][::-1]
        assert (image == colour).all(axis=2).any(), label
    assert sheet(4).shape[0] - image.shape[0] == pytest.approx(STRIP_PX, abs=10)
    # The first pictures are under each other.
    assert (image[:, MARGIN_PX + CAPTIONS_PX + 5] == 20).all(axis=1).sum() == 3 * TILE_PX


def test_captions_are_written_to_the_left_and_never_over_the_pictures() -> None:
    plain, long = sheet(caption=""), sheet(caption="a very long name of a clip " * 4 + "\nä→é")
    changed = np.flatnonzero((plain != long).any(axis=(0, 2)))
    assert len(changed)
    row = strip(ramp(), 9)
    left = plain.shape[1] - row.shape[1] - MARGIN_PX
    assert changed.max() < left
