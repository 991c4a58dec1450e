"""One colour and one mark for each class, the same in the window, the page, report and plots.

The colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any
common colour vision can tell apart. A colour never stands alone: the mark or the word goes
with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from realtime.spec import NONE_LABEL

Bgr = tuple[int, int, int]
SHADOW: Bgr = (20, 20, 20)
LIGHT: Bgr = (235, 235, 235)
DIM: Bgr = (125, 125, 125)
TRACK: Bgr = (84, 84, 84)
RECORD_RED: Bgr = (60, 60, 235)
AMBER: Bgr = (0, 159, 230)


Rgb = tuple[int, int, int]

ORANGE: Rgb = (230, 159, 0)
SKY_BLUE: Rgb = (86, 180, 233)
GREEN: Rgb = (0, 158, 115)
YELLOW: Rgb = (240, 228, 66)
BLUE: Rgb = (0, 114, 178)
VERMILLION: Rgb = (213, 94, 0)
PURPLE: Rgb = (204, 121, 167)
GRAY: Rgb = (170, 170, 170)

# The order in which classes that have no place of their own take what is free: first what
# differs most from the rest and from a dark ground.
_COLOURS = (SKY_BLUE, ORANGE, GREEN, YELLOW, VERMILLION, PURPLE, BLUE)
_MARKS = ("▲", "●", "◆", "■", "▼", "★", "✚")
_REST_MARK = "▬"
_REST_LABELS = (NONE_LABEL, "neutral")
"""What models call a face at rest; the first that a model has is its own."""

# Emotions that datasets and models name again and again keep one colour in every model.
_HOME: dict[str, Rgb] = {
    "surprise": SKY_BLUE,
    "positive": YELLOW,
    "happiness": YELLOW,
    "happy": YELLOW,
    "negative": VERMILLION,
    "anger": VERMILLION,
    "angry": VERMILLION,
    "disgust": GREEN,
    "fear": PURPLE,
    "sadness": BLUE,
    "sad": BLUE,
    "contempt": ORANGE,
    "repression": ORANGE,
    "others": ORANGE,
    "other": ORANGE,
}


def class_colours(labels: Sequence[str]) -> dict[str, Rgb]:
    """Colour (red, green, blue; 0 to 255) of each label.

    A face at rest, `none` or, without it, `neutral`, is gray. A common emotion has its own
    colour unless a label before it in `labels` took it; the rest share out what is left. From the
    eighth class on colours come again in lighter tints, and only word and mark are sure to tell
    two classes apart.
    """
    at_rest = next((label for label in _REST_LABELS if label in labels), None)
    taken: dict[str, Rgb] = {} if at_rest is None else {at_rest: GRAY}
    for label in labels:
        home = _HOME.get(label.lower())
        if home is not None and home not in taken.values():
            taken[label] = home
    free = [colour for colour in _COLOURS if colour not in taken.values()]
    free += [_tint(colour) for colour in _COLOURS]
    for label in labels:
        if label not in taken:
            taken[label] = free.pop(0) if len(free) > 1 else free[0]
    return {label: taken[label] for label in labels}


def class_marks(labels: Sequence[str]) -> dict[str, str]:
    """Mark of each label: one character, "▬" for a face at rest; each colour has its own shape."""
    shapes = dict(zip(_COLOURS, _MARKS, strict=True))
    shapes |= {_tint(colour): mark for colour, mark in zip(_COLOURS, _MARKS, strict=True)}
    shapes[GRAY] = _REST_MARK
    return {label: shapes[colour] for label, colour in class_colours(labels).items()}


def _tint(colour: Rgb) -> Rgb:
    """Half way to white."""
    red, green, blue = colour
    return ((red + 255) // 2, (green + 255) // 2, (blue + 255) // 2)


def colours_bgr(labels: tuple[str, ...]) -> dict[str, Bgr]:
    return {
        label: (blue, green, red) for label, (red, green, blue) in class_colours(labels).items()
    }


def css_colour(colour: Rgb) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
