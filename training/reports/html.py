"""Blocks of training's HTML reports, which need no script, font or picture from elsewhere.

Plots are SVG pictures inside the page, one for each question and narrow enough for a phone; wide
pages put them side by side. What is a table to begin with, such as a confusion matrix, is one,
with tinted cells: its figures can then be selected, searched and read aloud.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from realtime.drawing.palette import Rgb, class_colours, class_markers, css_colour
from realtime.reports.formatting import NOTHING
from realtime.reports.html import render_html
from training.evaluation.metrics import Estimate

TEMPLATES = Path(__file__).parent / "templates"

INK, FAINT = "#1f2328", "#57606a"

MISSED_TINT: Rgb = (120, 120, 120)
"""Ground of the column of samples that were given no class."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tinted:
    """Cell of a table on a ground of its own.

    Its text is black or white, whichever stands out more, which is always at least 4.5 : 1.
    """

    text: object
    ground: Rgb


def joined(parts: Iterable[object]) -> Markup:
    """Join the parts; text that is not HTML is escaped."""
    return Markup("").join(map(escape, parts))


def page(title: str, subtitle: str, body: Iterable[Markup]) -> str:
    """Render a whole page from its blocks."""
    return render_html(
        "blocks.html", {}, {"title": title, "subtitle": subtitle, "body": list(body)}, TEMPLATES
    )


def heading(text: str, level: int = 2) -> Markup:
    return Markup(f"<h{level}>{escape(text)}</h{level}>")


def paragraph(text: object, style: str = "") -> Markup:
    return Markup(f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>")


def small(text: object) -> Markup:
    """Set text in smaller, fainter letters; in a table on a line of its own."""
    return Markup(f"<small>{escape(text)}</small>")


def link(anchor: str, text: object) -> Markup:
    """Link to the place of the page that has this `anchor`."""
    return Markup(f'<a href="#{anchor}">{escape(text)}</a>')


def details(
    summary: object, body: Iterable[Markup], *, anchor: str = "", is_open: bool = False
) -> Markup:
    """Fold a part of the page, which opens at a click, or when a link leads to its `anchor`."""
    # The anchor is inside: browsers open what a link leads into, not what it leads to.
    place = f'<div id="{anchor}">' if anchor else "<div>"
    return Markup(
        f"<details{' open' * is_open}><summary>{escape(summary)}</summary>"
        f"{place}{''.join(body)}</div></details>"
    )


def tiles(headlines: Iterable[tuple[str, str, str]]) -> Markup:
    """Show headline numbers: (number, its name, what goes with it in smaller letters)."""
    return Markup(
        '<div class="tiles">'
        + "".join(
            f'<div class="tile">{escape(name)}<b>{escape(figure)}</b>'
            f"<small>{escape(more)}</small></div>"
            for figure, name, more in headlines
        )
        + "</div>"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Row of a table.

    `style`: `marked`, `quoted` for figures of others, or `section` for a heading between rows.
    """

    cells: Sequence[object]
    style: str = ""


def table(
    header: Sequence[object],
    rows: Iterable[Row],
    *,
    style: str = "",
    above: Sequence[tuple[object, int]] = (),
    caption: str = "",
) -> Markup:
    """Build a table, which scrolls sideways where the page is narrow.

    `style`: `left` for words, `text` for sentences, which take as many lines as they need,
    `tinted` for cells that are `Tinted`, `long` where the first column holds much text. `above`:
    headings over as many columns each, after the first.
    """
    spans = "".join(
        f'<th scope="colgroup" colspan="{columns}">{escape(name)}</th>' for name, columns in above
    )
    top = f"<tr><th></th>{spans}</tr>" if above else ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = []
    for row in rows:
        if row.style == "section":
            cells = f'<td colspan="{len(header)}">{escape(row.cells[0])}</td>'
        else:
            cells = "".join(_td(cell) for cell in row.cells)
        lines.append(f'<tr class="{row.style}">{cells}</tr>' if row.style else f"<tr>{cells}</tr>")
    return Markup(
        f'<div class="scroll"><table class="{style}">'
        + (f"<caption>{escape(caption)}</caption>" if caption else "")
        + f"<thead>{top}<tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _td(cell: object) -> str:
    if not isinstance(cell, Tinted):
        return f"<td>{escape(cell)}</td>"
    ground, text = css_colour(cell.ground), "#000" if _is_light(cell.ground) else "#fff"
    return f'<td style="background:{ground};color:{text}">{escape(cell.text)}</td>'


def _is_light(colour: Rgb) -> bool:
    """Return True if black stands out from it more than white (WCAG 2 contrast of sRGB)."""
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return (luminance + 0.05) ** 2 > 1.05 * 0.05


def tint(colour: Rgb, strength: float) -> Rgb:
    """Mix white (`strength` 0) and `colour` (1)."""
    red, green, blue = (round(255 - (255 - part) * strength) for part in colour)
    return red, green, blue


def confusion_table(
    labels: Sequence[str], confusion: npt.ArrayLike, missed: Sequence[int] | None = None
) -> Markup:
    """Build a table of counts [C, C] (rows: truth, columns: prediction) and shares of their rows.

    `missed`: [C], truths that were given no class at all.
    """
    counts = np.asarray(confusion)
    if missed is not None:
        counts = np.column_stack([counts, missed])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours, marks = class_colours(labels), class_markers(labels)
    grounds = [*(colours[label] for label in labels), MISSED_TINT]
    rows = [
        Row(
            (
                f"{marks[label]} {label}",
                *(
                    Tinted(joined((n, small(f"{share:.0%}"))), tint(ground, share))
                    for n, share, ground in zip(counts[y], shares[y], grounds, strict=False)
                ),
            )
        )
        for y, label in enumerate(labels)
    ]
    said = [f"{marks[label]} {label}" for label in labels]
    return table(
        ("true", *said, *["missed"] * (missed is not None)),
        rows,
        style="tinted",
        caption="What was said (columns) of what was true (rows)",
    )


def plots(images: Iterable[Markup]) -> Markup:
    return Markup('<div class="plots">' + "".join(f"<div>{one}</div>" for one in images) + "</div>")


def beside(blocks: Iterable[Markup]) -> Markup:
    """Put blocks next to each other where the page is wide enough."""
    return Markup(f'<div class="beside">{joined(blocks)}</div>')


def estimate_text(estimate: Estimate, digits: int = 3) -> str:
    return NOTHING if estimate.value is None else f"{estimate.value:.{digits}f}"


def percent_text(estimate: Estimate) -> str:
    return NOTHING if estimate.value is None else f"{100 * estimate.value:.1f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def estimate_cell(estimate: Estimate, digits: int = 3) -> Markup:
    """Return an estimate and, fainter, its interval."""
    if estimate.low is None:
        return Markup(estimate_text(estimate, digits))
    return joined((estimate_text(estimate, digits), " ", small(interval(estimate, digits))))


def span(values: Iterable[float]) -> str:
    """Format the least and the largest of some numbers, or the number that they all are."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
