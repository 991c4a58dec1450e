"""The lines and bars of a terminal."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from realtime.display.terminal import TerminalLine
from realtime.types import (
    Event,
    MacroScores,
    Update,
)
from support.real_window import SPEC, STATUS, tenth_update

MACRO_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
MACRO = MacroScores(0, 100.0, (0.02, 0.02, 0.02, 0.8, 0.02, 0.02, 0.1))
EVENT = Event(0, 112.10, 112.25, 112.41, "surprise", 0.91)


def terminal(*, live: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=live, width=width), written


def test_a_pipe_gets_lines_every_second_and_every_event() -> None:
    console, written = terminal(live=False)
    line = TerminalLine(SPEC, console=console, clock=iter(np.arange(0, 9, 0.1)).__next__)
    for index in range(35):
        line.show(tenth_update(index), STATUS)
    line.show(tenth_update(130, events=(EVENT,)), STATUS)
    line.close()
    lines = written.getvalue().splitlines()
    assert len([text for text in lines if "neutral" in text]) == 4
    assert "surprise 0.60" in lines[0]
    for words in ("30.0 fps in", "41 ms", "3 dropped (camera 3)", "CPU", "12 fps"):
        assert words in lines[1]
    assert lines[-1] == (
        "[ 13.00 s] surprise  onset 12.10 s  apex 12.25 s  offset 12.41 s"
        "  310 ms  score 0.91  face 0"
    )
    assert "\x1b" not in written.getvalue()


def test_no_face_is_a_word_in_the_terminal() -> None:
    console, written = terminal(live=False)
    line = TerminalLine(SPEC, console=console, clock=lambda: 0.0)
    assert line.show(tenth_update(0, state=None), recording=True) == frozenset()
    assert written.getvalue() == "[  0.00 s] no face\n           REC\n"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_bars_that_fit(width: int) -> None:
    console, written = terminal(live=True, width=width)
    line = TerminalLine(SPEC, console=console, clock=lambda: 0.0)
    line.show(tenth_update(0, events=(EVENT,)), STATUS)
    line.show(tenth_update(1), STATUS)  # too soon for another refresh
    assert written.getvalue().count("0.60") == 1
    assert "onset" in written.getvalue()
    line.close()
    plain = Console(file=io.StringIO(), width=width, record=True)
    plain.print(line._block(tenth_update(2), STATUS, False))
    rows = plain.export_text().splitlines()
    assert max(map(len, rows)) <= width
    text = "\n".join(rows)
    for words in ("neutral", "negative", "surprise", "0.60", "30.0 fps in"):
        assert words in text


def test_a_pipe_is_told_all_that_a_face_shows_on_purpose_until_it_is_gone() -> None:
    console, written = terminal(live=False, width=80)
    clock = itertools.count(0.0, 2.0).__next__
    line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=clock)
    line.show(replace(tenth_update(0, state="warming up"), macro=(MACRO,)), STATUS)
    line.show(tenth_update(1), STATUS)
    line.show(tenth_update(2, state=None), STATUS)
    line.show(tenth_update(3), STATUS)
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shows = [
        "           shows  angry 0.02  disgust 0.02  fear 0.02  happy 0.80  sad 0.02",
        "                  surprise 0.02  neutral 0.10",
    ]
    begin = "           30.0 fps in"
    assert lines[0] == "[  0.00 s] warming up"
    assert lines[1:3] == shows
    assert lines[3].startswith(begin)
    at = lines.index("[  0.10 s] neutral  negative 0.05  positive 0.10  surprise 0.60  none 0.25")
    assert lines[at + 1 : at + 3] == shows
    assert lines[at + 3].startswith(begin)
    gone = "\n".join(lines[lines.index("[  0.20 s] no face") :])
    assert "[  0.30 s] neutral" in gone
    assert "shows" not in gone


def block(line: TerminalLine, update: Update, width: int, height: int = 25) -> list[str]:
    """The lines that a terminal of that size is to hold."""
    line.show(update, STATUS)
    line.close()
    plain = Console(file=io.StringIO(), width=width, height=height, record=True)
    plain.print(line._block(update, STATUS, False))
    return [row.rstrip() for row in plain.export_text().splitlines()]


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_gets_a_bar_for_all_that_a_face_shows_on_purpose(width: int) -> None:
    console, _ = terminal(live=True, width=width)
    line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=lambda: 0.0)
    rows = block(line, replace(tenth_update(0, state="expression"), macro=(MACRO,)), width)
    assert max(map(len, rows)) <= width
    at = rows.index("macro: shows")
    assert rows.index("expression") < at
    bars = " ".join(rows[at:])
    for label, share in zip(MACRO_LABELS, MACRO.probabilities, strict=True):
        assert re.search(rf"{label} [^0-9]*{share:.2f}", bars), label
    if width == 80:
        assert rows[at + 2] == (
            "■ happy    ██████▍  0.80   ✚ sad      ▏        0.02   ▲ surprise ▏        0.02"
        )


def test_of_more_faces_than_a_terminal_has_room_for_the_highest_macro_score_is_told() -> None:
    update = tenth_update(0)
    several = replace(
        update,
        scores=tuple(replace(update.scores[0], face_id=face_id) for face_id in range(3)),
        states=dict.fromkeys(range(3), "neutral"),
        macro=tuple(replace(MACRO, face_id=face_id) for face_id in range(3)),
    )
    for height, told in ((40, "macro: shows"), (20, "neutral   shows ■ happy 0.80")):
        console = Console(file=io.StringIO(), force_terminal=True, width=80, height=height)
        line = TerminalLine(SPEC, macro_labels=MACRO_LABELS, console=console, clock=lambda: 0.0)
        rows = block(line, several, 80, height)
        assert len([row for row in rows if row.endswith(told)]) == 3
        assert len(rows) <= height


def test_bars_grow_with_the_score() -> None:
    line = TerminalLine(SPEC, console=terminal(live=True)[0])
    filled = [len(line._bar(share).rstrip()) for share in np.linspace(0, 1, 65)]
    assert filled == sorted(filled)
    assert (filled[0], filled[-1]) == (0, 8)
    assert {len(line._bar(share)) for share in np.linspace(0, 1, 65)} == {8}
