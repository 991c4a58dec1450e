"""Matplotlib figures as inline pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realtime.drawing.palette import BLUE, Rgb, css_colour
from realtime.types import UInt8Array
from training.evaluation.metrics import Estimate
from training.reports.html import FAINT, INK, estimate_text

PLOT_WIDTH_IN = 3.6
"""Width of every plot: 346 CSS pixels, so that letters keep their size on a phone."""

LABELS_IN, TITLE_IN, AXIS_IN = 1.35, 0.28, 0.42
"""Room in a plot for the labels on its left, its title and the text under its axis."""

WEBP_QUALITY = 70
"""Quality of pictures of faces: nothing is seen to be missing, at a tenth of the bytes."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",  # letters, not their outlines: a third of the bytes
    "svg.hashsalt": "kilas",  # the same figures make the same page
}


def plot(
    title: str, alt: str, height_in: float, draw: Callable[[Axes], None], left_in: float = LABELS_IN
) -> Markup:
    """Render what `draw` puts on one pair of axes of that height; `alt` is the same as text.

    `left_in`: room for labels on the left; plots with the same room have their axes at the same
    place, so that they can be compared.
    """
    whole_in = height_in + TITLE_IN + AXIS_IN
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PLOT_WIDTH_IN, whole_in))
        left = left_in / PLOT_WIDTH_IN
        axes = figure.add_axes((left, AXIS_IN / whole_in, 0.98 - left, height_in / whole_in))
        draw(axes)
        figure.text(0.0, 1.0, title, va="top", weight="bold", size="large")
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", metadata=_NO_METADATA)
    return _image("svg+xml", _slim(svg.getvalue()), alt)


_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def _slim(svg: bytes) -> bytes:
    """Halve the bytes of a picture: no space between its elements, paths to a tenth of a point."""

    def slim(path: re.Match[bytes]) -> bytes:
        text = re.sub(rb"\s+", b" ", re.sub(rb"(\.\d)\d+", rb"\1", path[0]))
        is_straight = not re.search(rb"[A-KN-Zz]", text)  # after M, lines need no letter
        return text.replace(b" L ", b" ") if is_straight else text

    return re.sub(rb'\sd="[^"]*"', slim, re.sub(rb">\s+<", b"><", svg))


@dataclasses.dataclass(frozen=True, slots=True)
class Dot:
    """Dot of a plot. `is_marked`: it stands out, in another colour and shape."""

    name: str
    figure: Estimate
    is_marked: bool = False


def dots(
    title: str,
    alt: str,
    shown: Sequence[Dot],
    xlabel: str,
    limits: tuple[float, float],
    *,
    marked: tuple[Rgb, str],
    lines: Sequence[tuple[float, str]] = (),
    left_in: float = LABELS_IN,
) -> Markup:
    """Plot a dot with its interval for each estimate, under each other.

    `marked`: colour and shape of marked dots. `lines`: places and styles of vertical lines.
    """

    def draw(axes: Axes) -> None:
        for y, dot in enumerate(shown):
            one = dot.figure
            if one.value is None:
                continue
            colour, shape = marked if dot.is_marked else (BLUE, "o")
            if one.low is not None and one.high is not None:
                ends = [one.low, one.high]
                axes.plot(ends, [y, y], color=css_colour(colour), lw=1.6, alpha=0.55)
            axes.plot(one.value, y, shape, color=css_colour(colour), ms=6)
        for x, style in lines:
            axes.axvline(x, color=INK if style == "-" else FAINT, lw=0.9, ls=style)
        axes.set_xlim(*limits)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_yticks(range(len(shown)), [dot.name for dot in shown])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color="#e5e7eb", lw=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(xlabel)

    words = ", ".join(f"{dot.name} {estimate_text(dot.figure)}" for dot in shown)
    return plot(title, f"{alt}: {words}", 0.26 * len(shown), draw, left_in)


def picture(image: UInt8Array, alt: str, caption: object) -> Markup:
    """Show a picture, gray [H, W] or BGR [H, W, 3], with its text."""
    _, data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    return Markup(
        f"<figure>{_image('webp', data.tobytes(), alt)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _image(kind: str, data: bytes, alt: str) -> Markup:
    text = base64.b64encode(data).decode()
    return Markup(f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{text}">')
