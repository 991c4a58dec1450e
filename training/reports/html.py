"""Blocks of HTML pages that need nothing else: no script, font or picture from elsewhere.

Plots are SVG pictures inside the page, one for each question and narrow enough for a phone; wide
pages put them side by side. What is a table to begin with, such as a confusion matrix, is one,
with tinted cells: its figures can then be selected, searched and read aloud.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from realtime.drawing.palette import Rgb, class_colours, class_marks
from training.evaluation.metrics import Estimate

NOTHING = "-"
"""Stands where there is no figure."""

INK, FAINT = "#1f2328", "#57606a"

MISSED_TINT: Rgb = (120, 120, 120)
"""Of the column of what was not said to be any class."""

CSS = """
:root { color-scheme: light; --ink: #1f2328; --faint: #57606a; --line: #d8dee4; --blue: #0072b2;
  --red: #b04a00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { max-width: 44rem; margin: .5rem 0; }
a { color: #005a8d; }
.faint, caption, figcaption { color: var(--faint); }
.warning { border-left: 4px solid var(--red); background: #fff6ee; padding: .6rem .9rem;
  max-width: 44rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr));
  gap: .75rem; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile small { display: block; color: var(--faint); line-height: 1.35; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr));
  gap: 1rem 1.5rem; align-items: start; margin: 1rem 0; }
.plots img { width: 100%; max-width: 30rem; height: auto; display: block; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: start; }
.beside > * { max-width: 100%; }
.beside > .plots { flex: 0 1 24rem; min-width: min(20rem, 100%); }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top;
  white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
td small, th small { display: block; color: var(--faint); font-size: .8em; line-height: 1.2;
  font-weight: 400; }
th small { white-space: nowrap; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
th:first-child, td:first-child, .text td, .text th { text-align: left; }
th[colspan] { text-align: left; border-left: 1px solid var(--line); padding-left: .5rem; }
.long td:first-child { white-space: normal; min-width: 9rem; max-width: 15rem; }
.text td { white-space: normal; overflow-wrap: anywhere; min-width: 4rem; }
tr.marked td { background: #fff1e5; }
.marked b { color: var(--red); }
.left td, .left th { text-align: left; }
.section td { font-weight: 600; padding-top: .8rem; }
tr.quoted td { background: #f3f4f6; color: #454c54; font-style: italic; }
tr.quoted td small { color: #57606a; }
.tinted td { text-align: center; padding: .35rem .7rem; border: 2px solid #fff; }
.tinted th { padding: .25rem .5rem; border: 0; font-weight: 400; text-align: center; }
.tinted th:first-child, .tinted td:first-child { text-align: left; padding-left: 0; }
.tinted td[style] { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.tinted td[style] small, .tinted td[style] a { color: inherit; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .875rem; max-width: 44rem; }
details { border-bottom: 1px solid var(--line); }
details > summary { cursor: pointer; padding: .45rem 0; }
details[open] > summary { font-weight: 600; }
details details { border: 0; }
@page { margin: 12mm; }
@media print {
  html { font-size: 11px; }
  body { font-size: 1rem; max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: 8.5px; }
  .plots { grid-template-columns: repeat(3, 1fr); }
  .beside > .plots { grid-template-columns: 1fr; }
  .plots img, .tile, tr, figure { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
}
"""


class Html(str):
    """Text that is HTML already; all other text is escaped."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tinted:
    """A cell of a table on a ground of its own; its text is black or white, whichever stands out
    more, which is always at least 4.5 : 1."""

    text: object
    ground: Rgb


def html(value: object) -> str:
    """`value` as HTML: as it is, or escaped."""
    return value if isinstance(value, Html) else escape(str(value))


def joined(parts: Iterable[object]) -> Html:
    """The parts one after the other; what is not HTML is escaped."""
    return Html("".join(html(part) for part in parts))


def page(title: str, subtitle: str, body: Iterable[Html]) -> str:
    """A whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="faint">{escape(subtitle)}</p>\n'
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> Html:
    return Html(f"<h{level}>{escape(text)}</h{level}>")


def paragraph(text: object, style: str = "") -> Html:
    return Html(f'<p class="{style}">{html(text)}</p>' if style else f"<p>{html(text)}</p>")


def small(text: object) -> Html:
    """In smaller, fainter letters; in a table on a line of its own."""
    return Html(f"<small>{html(text)}</small>")


def link(anchor: str, text: object) -> Html:
    """To the place of the page that has this `anchor`."""
    return Html(f'<a href="#{anchor}">{html(text)}</a>')


def details(
    summary: object, body: Iterable[Html], *, anchor: str = "", is_open: bool = False
) -> Html:
    """A part of the page that opens at a click, and when a link leads to its `anchor`."""
    # The anchor is inside: browsers open what a link leads into, not what it leads to.
    place = f'<div id="{anchor}">' if anchor else "<div>"
    return Html(
        f"<details{' open' * is_open}><summary>{html(summary)}</summary>"
        f"{place}{''.join(body)}</div></details>"
    )


def tiles(facts: Iterable[tuple[str, str, str]]) -> Html:
    """Headline figures: (figure, what it is, in smaller letters what goes with it)."""
    return Html(
        '<div class="tiles">'
        + "".join(
            f'<div class="tile">{escape(name)}<b>{escape(figure)}</b>'
            f"<small>{escape(more)}</small></div>"
            for figure, name, more in facts
        )
        + "</div>"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. `style`: `marked`, `quoted` for figures of others, or `section` for a
    heading between rows."""

    cells: Sequence[object]
    style: str = ""


def table(
    header: Sequence[object],
    rows: Iterable[Row],
    *,
    style: str = "",
    above: Sequence[tuple[object, int]] = (),
    caption: str = "",
) -> Html:
    """`style`: `left` for words, `text` for sentences, which take as many lines as they need,
    `tinted` for cells that are `Tinted`, `long` where the first column has much to say; other
    tables scroll sideways where the page is narrow.
    `above`: headings over as many columns each, after the first."""
    spans = "".join(
        f'<th scope="colgroup" colspan="{columns}">{html(name)}</th>' for name, columns in above
    )
    top = f"<tr><th></th>{spans}</tr>" if above else ""
    head = "".join(f'<th scope="col">{html(name)}</th>' for name in header)
    lines = []
    for row in rows:
        if row.style == "section":
            cells = f'<td colspan="{len(header)}">{html(row.cells[0])}</td>'
        else:
            cells = "".join(_td(cell) for cell in row.cells)
        lines.append(f'<tr class="{row.style}">{cells}</tr>' if row.style else f"<tr>{cells}</tr>")
    return Html(
        f'<div class="scroll"><table class="{style}">'
        + (f"<caption>{escape(caption)}</caption>" if caption else "")
        + f"<thead>{top}<tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _td(cell: object) -> str:
    if not isinstance(cell, Tinted):
        return f"<td>{html(cell)}</td>"
    ground, text = css_colour(cell.ground), "#000" if _is_light(cell.ground) else "#fff"
    return f'<td style="background:{ground};color:{text}">{html(cell.text)}</td>'


def _is_light(colour: Rgb) -> bool:
    """Whether black stands out from it more than white does (WCAG 2 contrast of sRGB)."""
    parts = np.array(colour) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return (luminance + 0.05) ** 2 > 1.05 * 0.05


def tint(colour: Rgb, strength: float) -> Rgb:
    """Between white (0) and `colour` (1)."""
    red, green, blue = (round(255 - (255 - part) * strength) for part in colour)
    return red, green, blue


def confusion_table(
    labels: Sequence[str], confusion: npt.ArrayLike, missed: Sequence[int] | None = None
) -> Html:
    """Counts [C, C] (rows: truth, columns: said) and shares of their rows. `missed`: [C], truths
    that were said to be nothing at all."""
    counts = np.asarray(confusion)
    if missed is not None:
        counts = np.column_stack([counts, missed])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours, marks = class_colours(labels), class_marks(labels)
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


def plots(images: Iterable[Html]) -> Html:
    return Html('<div class="plots">' + "".join(f"<div>{one}</div>" for one in images) + "</div>")


def beside(blocks: Iterable[Html]) -> Html:
    """Blocks next to each other where the page is wide enough."""
    return Html(f'<div class="beside">{joined(blocks)}</div>')


def css_colour(colour: Rgb) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def number(estimate: Estimate, digits: int = 3) -> str:
    return NOTHING if estimate.value is None else f"{estimate.value:.{digits}f}"


def percent(estimate: Estimate) -> str:
    return NOTHING if estimate.value is None else f"{100 * estimate.value:.1f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def figure_cell(estimate: Estimate, digits: int = 3) -> Html:
    """A figure and, fainter, its interval."""
    if estimate.low is None:
        return Html(number(estimate, digits))
    return joined((number(estimate, digits), " ", small(interval(estimate, digits))))


def span(values: Iterable[float]) -> str:
    """The least and the largest of some numbers, or the one that they all are."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def lines_of(value: object, name: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as lines `a, b` and their values; the innermost share a line."""
    if isinstance(value, dict):
        if name and not any(isinstance(inner, (dict, list, tuple)) for inner in value.values()):
            yield name, "; ".join(f"{key} {_word(inner)}" for key, inner in value.items()) or "none"
            return
        for key, inner in value.items():
            yield from lines_of(inner, f"{name}, {key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        yield name, ", ".join(_word(one) for one in value) or "none"
    else:
        yield name, _word(value)


def _word(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
