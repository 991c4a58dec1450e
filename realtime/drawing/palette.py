"""One colour and one mark for each class, the same in the window, the page, report and plots.

The colours of Okabe and Ito (2008, "Color Universal Design") are used, which people with any
common colour vision can distinguish. A colour never stands alone: the mark or the label goes with
it.
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

# The order in which classes without a colour of their own take the free colours: first those that
# differ most from the rest and from a dark background.
_COLOURS = (SKY_BLUE, ORANGE, GREEN, YELLOW, VERMILLION, PURPLE, BLUE)
_MARKS = ("▲", "●", "◆", "■", "▼", "★", "✚")
_REST_MARK = "▬"
_REST_LABELS = (NONE_LABEL, "neutral")
"""Labels that models use for a face at rest; the first that a model has counts."""

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
    """Return the colour (red, green, blue; 0 to 255) of each label.

    A face at rest, `none` or, without it, `neutral`, is gray. A common emotion has its own colour
    unless a label before it in `labels` took it; the rest get the colours that are left. From the
    eighth class on colours come again in lighter tints, and only label and mark are sure to
    distinguish two classes.
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


def class_markers(labels: Sequence[str]) -> dict[str, str]:
    """Return the mark of each label: one character, "▬" for a face at rest; each colour has its own
    shape."""
    shapes = dict(zip(_COLOURS, _MARKS, strict=True))
    shapes |= {_tint(colour): mark for colour, mark in zip(_COLOURS, _MARKS, strict=True)}
    shapes[GRAY] = _REST_MARK
    return {label: shapes[colour] for label, colour in class_colours(labels).items()}


def _tint(colour: Rgb) -> Rgb:
    """Return the colour half way to white."""
    red, green, blue = colour
    return ((red + 255) // 2, (green + 255) // 2, (blue + 255) // 2)


def colours_bgr(labels: tuple[str, ...]) -> dict[str, Bgr]:
    """Return the colour (blue, green, red; 0 to 255) of each label."""
    return {
        label: (blue, green, red) for label, (red, green, blue) in class_colours(labels).items()
    }


def css_colour(colour: Rgb) -> str:
    """Format a colour for CSS: `#56b4e9`."""
    return "#" + "".join(f"{part:02x}" for part in colour)
