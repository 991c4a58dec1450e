"""Reports as one HTML page that needs nothing else: no script, font or picture from elsewhere.

Plots are SVG pictures inside the page, one for each question and narrow enough for a phone; wide
pages put them side by side.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realtime.palette import BLUE, GREEN, VERMILLION, Rgb, class_colours
from training.evaluate import BELOW_POINTS, TIMES, Figures, Group, Groups, Part
from training.metrics import MATCH_IOU, Estimate

PLOT_WIDTH_IN = 3.6
"""Width of every plot; 346 CSS pixels, so that letters keep their size on a phone."""

LABELS_IN, TITLE_IN, AXIS_IN = 1.35, 0.28, 0.42
"""Room in a plot for the labels on its left, its title and what stands under its axis."""

LONGEST_LIST = 200
"""Rows of a list on the page; the files beside it have all."""

NOTHING = "-"
"""Stands where there is no figure."""

INK, FAINT = "#1f2328", "#6b7280"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "kilas",  # the same figures make the same page
}

CSS = """
:root { color-scheme: light; --ink: #1f2328; --faint: #57606a; --line: #d8dee4; --blue: #0072b2;
  --red: #b04a00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { max-width: 44rem; margin: .5rem 0; }
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
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top;
  white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
td small { display: block; color: var(--faint); font-size: .8em; line-height: 1.2; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
th:first-child, td:first-child, .text td, .text th { text-align: left; }
.text td { white-space: normal; overflow-wrap: anywhere; min-width: 4rem; }
tr.marked td { background: #fff1e5; }
.marked b { color: var(--red); }
.left td, .left th { text-align: left; }
.section td { font-weight: 600; padding-top: .8rem; }
@page { margin: 12mm; }
@media print {
  body { font-size: 11px; max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: 8.5px; }
  .plots { grid-template-columns: repeat(3, 1fr); }
  .plots img, .tile, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""


class Html(str):
    """Text that is HTML already; all other text is escaped."""


def _html(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value))


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
    return Html(f'<p class="{style}">{_html(text)}</p>' if style else f"<p>{_html(text)}</p>")


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
    """A row of a table. `style`: `marked`, or `section` for a heading between rows."""

    cells: Sequence[object]
    style: str = ""


def table(header: Sequence[str], rows: Iterable[Row], *, style: str = "") -> Html:
    """`style`: `left` for words, `text` for sentences, which take as many lines as they need;
    other tables scroll sideways where the page is narrow."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = []
    for row in rows:
        if row.style == "section":
            cells = f'<td colspan="{len(header)}">{_html(row.cells[0])}</td>'
        else:
            cells = "".join(f"<td>{_html(cell)}</td>" for cell in row.cells)
        lines.append(f'<tr class="{row.style}">{cells}</tr>' if row.style else f"<tr>{cells}</tr>")
    return Html(
        f'<div class="scroll"><table class="{style}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def plots(images: Iterable[Html]) -> Html:
    return Html('<div class="plots">' + "".join(images) + "</div>")


def plot(title: str, alt: str, height_in: float, draw: Callable[[Axes], None]) -> Html:
    """An image of what `draw` puts on one pair of axes of that height; `alt` says the same in
    words. All plots have their axes at the same place, so that they can be compared."""
    whole_in = height_in + TITLE_IN + AXIS_IN
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PLOT_WIDTH_IN, whole_in))
        left = LABELS_IN / PLOT_WIDTH_IN
        draw(figure.add_axes((left, AXIS_IN / whole_in, 0.98 - left, height_in / whole_in)))
        figure.text(0.0, 1.0, title, va="top", weight="bold", size="large")
        svg = io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(svg.getvalue()).decode()
    return Html(f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">')


def _css(colour: Rgb) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _number(estimate: Estimate, digits: int = 3) -> str:
    return NOTHING if estimate.value is None else f"{estimate.value:.{digits}f}"


def _interval(estimate: Estimate, digits: int = 3) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def _cell(estimate: Estimate, digits: int = 3) -> Html:
    """A figure and, fainter, its interval."""
    if estimate.low is None:
        return Html(_number(estimate, digits))
    return Html(f"{_number(estimate, digits)} <small>{_interval(estimate, digits)}</small>")


# What the page of an evaluation shows.


def write_evaluation(folder: Path, figures: Figures, spotted: pd.DataFrame) -> Path:
    """Write report.html, figures.json and events.csv (all spotted events) into `folder`; give
    the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(figures), indent=1, allow_nan=False)
    (folder / "figures.json").write_text(text + "\n", encoding="utf-8")
    spotted.round(4).to_csv(folder / "events.csv", index=False)
    report = folder / "report.html"
    report.write_text(evaluation_page(figures), encoding="utf-8")
    return report


def evaluation_page(figures: Figures) -> str:
    """The page of an evaluation."""
    whole = figures.whole
    model = figures.about.get("model", {})
    title = f"Evaluation of {model['name']} {model['version']}" if model else "Evaluation"
    people = "" if whole.subjects is None else f" of {whole.subjects} people"
    subtitle = (
        f"{whole.micro_expressions} micro-expressions in {whole.clips} clips{people}, "
        f"{whole.minutes:.1f} minutes. In small letters: 95 % intervals."
    )
    body = [
        paragraph(figures.source, "warning"),
        *(paragraph(note, "faint") for note in figures.notes),
        _headlines(whole),
        *_classes(figures),
        *_clip_groups(figures),
        *_event_groups(figures),
        *_false_events(figures),
        *_times(figures),
        *_missed(figures),
        *_about(figures),
    ]
    return page(title, subtitle, body)


def _headlines(whole: Part) -> Html:
    names = (
        ("f1", "Spotting F1", f"IoU at least {MATCH_IOU}"),
        ("precision", "Precision", f"{whole.matched} of {whole.spotted} spotted events"),
        ("recall", "Recall", f"{whole.matched} of {whole.micro_expressions} micro-expressions"),
        ("false_per_minute", "False events a minute", f"in all {whole.spotted - whole.matched}"),
        ("uf1", "UF1", "of the class, missed ones as errors"),
        ("uar", "UAR", "of the class, missed ones as errors"),
        ("strs", "STRS", "spot, then recognise"),
    )
    facts = [
        (_number(one, digits), title, f"{_interval(one, digits)}; {more}")
        for name, title, more in names
        for one, digits in [(whole.figures[name], 2 if name == "false_per_minute" else 3)]
    ]
    if whole.timing:
        apex = whole.timing["apex"]
        facts.append(
            (f"{apex.median_ms:.0f} ms", "Apex error", f"median; 95 % within {apex.p95_ms:.0f} ms")
        )
    return tiles(facts)


def _classes(figures: Figures) -> list[Html]:
    whole, labels = figures.whole, [one.label for one in figures.classes]
    if not whole.micro_expressions:
        return []
    accuracy = whole.figures["accuracy"].value or 0.0
    rows = [
        Row(
            (
                one.label,
                one.micro_expressions,
                one.spotted,
                f"{one.precision:.3f}",
                f"{one.recall:.3f}",
                f"{one.f1:.3f}",
            )
        )
        for one in figures.classes
    ]
    alt = "; ".join(
        f"{label}: "
        + ", ".join(f"{n} said {said}" for n, said in zip(row, labels, strict=True))
        + f", {missed} missed"
        for label, row, missed in zip(labels, figures.confusion, figures.missed, strict=True)
    )

    def draw(axes: Axes) -> None:
        counts = np.column_stack([figures.confusion, figures.missed])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        colours = class_colours(labels)
        for y, label in enumerate(labels):
            for x in range(counts.shape[1]):
                tint = colours[label] if x < len(labels) else (120, 120, 120)
                rgb = 1 - (1 - np.array(tint) / 255) * (0.06 + 0.94 * shares[y, x])
                axes.add_patch(
                    matplotlib.patches.Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=rgb)
                )
                dark = rgb @ (0.299, 0.587, 0.114) < 0.5
                text = f"{counts[y, x]}\n{shares[y, x]:.0%}"
                axes.text(x, y, text, ha="center", va="center", color="white" if dark else INK)
        axes.set_xlim(-0.5, counts.shape[1] - 0.5)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xticks(range(counts.shape[1]), [*labels, "missed"])
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("what was said")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    header = ("class", "micro-expressions", "spotted", "precision", "recall", "F1")
    return [
        heading("Which class"),
        paragraph(
            f"Missed micro-expressions count as errors of their class. Accuracy {accuracy:.3f}, "
            f"error rate {1 - accuracy:.3f}; macro F1 is UF1."
        ),
        plots([plot("Truth in rows", alt, 0.55 * len(labels), draw)]),
        table(header, rows),
    ]


def _title(groups: Groups) -> str:
    return f"{groups.title}, {groups.unit}" if groups.unit else groups.title


def _interval_plot(groups: Groups, whole: Part, lowest: float) -> Html:
    """A dot with its interval for each group, against the whole."""
    reference = whole.figures[groups.figure].value
    shown = [one for one in groups.groups if one.part.micro_expressions]
    name = "F1" if groups.figure == "f1" else "recall"

    def draw(axes: Axes) -> None:
        for y, group in enumerate(shown):
            one = group.part.figures[groups.figure]
            if one.value is None:
                continue
            colour, mark = (_css(VERMILLION), "v") if group.is_below else (_css(BLUE), "o")
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [y, y], color=colour, lw=1.6, alpha=0.55)
            axes.plot(one.value, y, mark, color=colour, ms=6)
        if reference is not None:
            axes.axvline(reference, color=INK, lw=1)
            axes.axvline(reference - BELOW_POINTS / 100, color=FAINT, lw=0.8, ls=(0, (3, 3)))
        axes.set_xlim(lowest, 1.02)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_yticks(
            range(len(shown)),
            [f"{one.name}  (n {one.part.micro_expressions})" for one in shown],
        )
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color="#e5e7eb", lw=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(name)

    alt = f"{name} by {groups.title.lower()}: " + ", ".join(
        f"{one.name} {_number(one.part.figures[groups.figure])}" for one in shown
    )
    return plot(_title(groups), alt, 0.26 * len(shown), draw)


def _lowest(all_groups: Sequence[Groups], whole: Part) -> float:
    """Left end of an axis that all plots share."""
    values = [whole.figures[groups.figure] for groups in all_groups]
    values += [g.part.figures[groups.figure] for groups in all_groups for g in groups.groups]
    ends = [one.value if one.low is None else one.low for one in values if one.value is not None]
    return max(-0.02, math.floor(min(ends, default=0.0) * 10) / 10 - 0.02)


def _group_rows(
    all_groups: Sequence[Groups], cells: Callable[[Group], Sequence[object]]
) -> list[Row]:
    rows: list[Row] = []
    for groups in all_groups:
        rows.append(Row((_title(groups),), "section"))
        for group in groups.groups:
            points = NOTHING if group.points is None else f"{group.points:+.1f}"
            mark = Html(f"<b>▼ {points}</b>") if group.is_below else points
            rows.append(Row((group.name, mark, *cells(group)), "marked" * group.is_below))
    return rows


def _apex(part: Part) -> str:
    apex = part.timing.get("apex")
    if apex is None:
        return NOTHING
    return Html(f"{apex.median_ms:.0f} <small>95 %: {apex.p95_ms:.0f}</small>")


def _below(all_groups: Sequence[Groups]) -> Html:
    names = [
        f"{groups.title} {one.name} (n {one.part.micro_expressions})"
        for groups in all_groups
        for one in groups.groups
        if one.is_below
    ]
    if not names:
        return paragraph(f"No group is more than {BELOW_POINTS:g} points below the whole.")
    return paragraph(
        f"More than {BELOW_POINTS:g} points below the whole, marked ▼: {'; '.join(names)}."
    )


def _clip_groups(figures: Figures) -> list[Html]:
    if not figures.clip_groups:
        return []
    whole = figures.whole

    def cells(group: Group) -> Sequence[object]:
        part, f = group.part, group.part.figures
        return (
            part.micro_expressions,
            *(_cell(f[name]) for name in ("f1", "precision", "recall")),
            _cell(f["false_per_minute"], 2),
            *(_cell(f[name]) for name in ("uf1", "uar", "strs")),
            _apex(part),
            part.clips,
            NOTHING if part.subjects is None else part.subjects,
            f"{part.minutes:.1f}",
        )

    header = (
        *("group", "F1 points", "n", "F1", "precision", "recall", "false a minute"),
        *("UF1", "UAR", "STRS", "apex ms", "clips", "people", "minutes"),
    )
    images = []
    if whole.micro_expressions:
        lowest = _lowest(figures.clip_groups, whole)
        images = [_interval_plot(groups, whole, lowest) for groups in figures.clip_groups]
    return [
        heading("By what the clips show"),
        paragraph(
            f"A dot is a group's figure, the bar its interval, n its micro-expressions; the line "
            f"is the whole, the broken line {BELOW_POINTS:g} points below it. An interval without "
            "width, at 0 or at 1, is no certainty: nothing else was seen among n."
        ),
        _below(figures.clip_groups),
        plots(images),
        table(header, _group_rows(figures.clip_groups, cells)),
    ]


def _event_groups(figures: Figures) -> list[Html]:
    if not figures.event_groups or not figures.whole.micro_expressions:
        return []
    whole = figures.whole

    def cells(group: Group) -> Sequence[object]:
        part, f = group.part, group.part.figures
        return (
            part.micro_expressions,
            part.matched,
            _cell(f["recall"]),
            _cell(f["accuracy"]),
            _apex(part),
        )

    header = ("group", "recall points", "n", "spotted", "recall", "rightly named", "apex ms")
    lowest = _lowest(figures.event_groups, whole)
    return [
        heading("By the micro-expressions themselves"),
        paragraph(
            "False events belong to none of these groups, so recall is compared. What was spotted "
            "with the right label is rightly named."
        ),
        _below(figures.event_groups),
        plots(_interval_plot(groups, whole, lowest) for groups in figures.event_groups),
        table(header, _group_rows(figures.event_groups, cells)),
    ]


def _false_events(figures: Figures) -> list[Html]:
    causes = figures.false_by_cause

    def draw(axes: Axes) -> None:
        for y, one in enumerate(causes):
            rate = one.per_minute
            axes.barh(y, rate.value or 0.0, color=_css(BLUE), height=0.62, alpha=0.85)
            if rate.low is not None and rate.high is not None:
                axes.plot([rate.low, rate.high], [y, y], color=INK, lw=1)
        axes.set_ylim(len(causes) - 0.4, -0.6)
        axes.set_yticks(range(len(causes)), [f"{one.cause}  ({one.events})" for one in causes])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(left=0)
        axes.set_xlabel("events in each such minute")

    alt = "False events a minute: " + ", ".join(
        f"{one.cause} {_number(one.per_minute, 2)}" for one in causes
    )
    listed = figures.false_events[:LONGEST_LIST]
    rest = len(figures.false_events) - len(listed)
    return [
        heading("False events"),
        paragraph(
            "A false event that meets a true micro-expression has poor overlap; one that meets a "
            "macro-expression has that as its cause; minutes are those of the clips that have "
            f"such expressions. {figures.causes}"
        ),
        plots([plot("By what went on", alt, 0.24 * len(causes), draw)] if causes else []),
        table(
            ("cause", "events", "minutes", "a minute"),
            [
                Row((one.cause, one.events, f"{one.minutes:.1f}", _cell(one.per_minute, 2)))
                for one in causes
            ],
        ),
        heading("Each of them", 3),
        table(
            ("clip", "onset s", "offset s", "label", "score", "cause"),
            [
                Row(
                    (
                        one["clip"],
                        f"{one['onset_s']:.2f}",
                        f"{one['offset_s']:.2f}",
                        one["label"],
                        f"{one['score']:.2f}",
                        one["cause"],
                    )
                )
                for one in listed
            ],
            style="left",
        )
        if listed
        else paragraph("There is none."),
        *([paragraph(f"{rest} more are in figures.json.", "faint")] if rest else []),
    ]


def _times(figures: Figures) -> list[Html]:
    timing = figures.whole.timing
    if not timing:
        return []
    errors_ms = np.array(figures.errors_ms["apex"])
    edge_ms = 20 * np.ceil(max(60.0, float(np.percentile(np.abs(errors_ms), 99))) / 20)

    def draw(axes: Axes) -> None:
        bins = np.arange(-edge_ms, edge_ms + 1, 10)
        axes.hist(np.clip(errors_ms, -edge_ms, edge_ms), bins.tolist(), color=_css(GREEN))
        axes.axvline(0, color=INK, lw=1)
        axes.set_xlabel("ms; to the right: spotted too late")
        axes.set_ylabel("micro-expressions")

    alt = (
        f"Histogram of the apex error: median size {timing['apex'].median_ms:.0f} ms, "
        f"95 % within {timing['apex'].p95_ms:.0f} ms"
    )
    rows = [
        Row((name, f"{one.median_ms:.0f}", f"{one.p95_ms:.0f}", f"{one.bias_ms:+.0f}"))
        for name in TIMES
        for one in [timing[name]]
    ]
    return [
        heading("When"),
        plots([plot("Error of the apex", alt, 1.6, draw)]),
        table(("error, ms", "median size", "95 % within", "median, + too late"), rows),
    ]


def _missed(figures: Figures) -> list[Html]:
    listed = figures.missed_events[:LONGEST_LIST]
    if not listed:
        return []
    rest = len(figures.missed_events) - len(listed)
    extra = [name for name in ("units", "intensity") if name in listed[0]]
    rows = [
        Row(
            (
                one["clip"],
                f"{one['onset_s']:.2f}",
                f"{one['offset_s']:.2f}",
                one["label"],
                *(NOTHING if one[name] is None else one[name] for name in extra),
                "poor overlap" if one["poor_overlap"] else "nothing spotted",
            )
        )
        for one in listed
    ]
    return [
        heading("Missed micro-expressions"),
        table(("clip", "onset s", "offset s", "label", *extra, "why"), rows, style="left"),
        *([paragraph(f"{rest} more are in figures.json.", "faint")] if rest else []),
    ]


def _about(figures: Figures) -> list[Html]:
    rows = [Row((name, value)) for name, value in _flat(figures.about)]
    if not rows:
        return []
    return [heading("How it was measured"), table(("setting", "value"), rows, style="text")]


def _flat(value: object, name: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as lines `a, b` and their values; the innermost share a line."""
    if isinstance(value, dict):
        if name and not any(isinstance(inner, (dict, list, tuple)) for inner in value.values()):
            yield name, "; ".join(f"{key} {inner}" for key, inner in value.items()) or "none"
            return
        for key, inner in value.items():
            yield from _flat(inner, f"{name}, {key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        yield name, ", ".join(str(one) for one in value) or "none"
    else:
        yield name, "none" if value is None else str(value)
