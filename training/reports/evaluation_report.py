"""Report of an evaluation of spotting on labelled videos."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from realtime.drawing.palette import BLUE, GREEN, VERMILLION, css_colour
from realtime.reports.formatting import NOTHING, lines_of
from training.evaluation.measures import (
    BELOW_POINTS,
    TIMES,
    EvaluationMeasures,
    Group,
    Groups,
    Part,
)
from training.evaluation.metrics import MATCH_IOU
from training.reports.html import (
    INK,
    Row,
    confusion_table,
    estimate_cell,
    estimate_text,
    heading,
    interval,
    page,
    paragraph,
    plots,
    table,
    tiles,
)
from training.reports.plots import Dot, dots, plot

LONGEST_LIST = 200
"""Most rows of a list on the page; the files beside it have all rows."""


def write_evaluation(folder: Path, measures: EvaluationMeasures, spotted: pd.DataFrame) -> Path:
    """Write report.html, figures.json and events.csv into `folder`; return the page's path.

    `spotted`: the table of all spotted events, which events.csv holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(measures), indent=1, allow_nan=False)
    (folder / "figures.json").write_text(text + "\n", encoding="utf-8")
    spotted.round(4).to_csv(folder / "events.csv", index=False)
    report = folder / "report.html"
    report.write_text(evaluation_page(measures), encoding="utf-8")
    return report


def evaluation_page(measures: EvaluationMeasures) -> str:
    """Return the HTML page of an evaluation."""
    whole = measures.whole
    model = measures.about.get("model", {})
    title = f"Evaluation of {model['name']} {model['version']}" if model else "Evaluation"
    people = "" if whole.subjects is None else f" of {whole.subjects} people"
    subtitle = (
        f"{whole.micro_expressions} micro-expressions in {whole.clips} clips{people}, "
        f"{whole.minutes:.1f} minutes. In small letters: 95 % intervals."
    )
    body = [
        paragraph(measures.source, "warning"),
        *(paragraph(note, "faint") for note in measures.notes),
        _headlines(whole),
        *_classes(measures),
        *_clip_groups(measures),
        *_event_groups(measures),
        *_false_events(measures),
        *_times(measures),
        *_missed(measures),
        *_about(measures),
    ]
    return page(title, subtitle, body)


def _headlines(whole: Part) -> Markup:
    names = (
        ("f1", "Spotting F1", f"IoU at least {MATCH_IOU}"),
        ("precision", "Precision", f"{whole.matched} of {whole.spotted} spotted events"),
        ("recall", "Recall", f"{whole.matched} of {whole.micro_expressions} micro-expressions"),
        ("false_per_minute", "False events a minute", f"in all {whole.spotted - whole.matched}"),
        ("uf1", "UF1", "of the class, missed ones as errors"),
        ("uar", "UAR", "of the class, missed ones as errors"),
        ("strs", "STRS", "spot, then recognise"),
    )
    values = [
        (estimate_text(one, digits), title, f"{interval(one, digits)}; {more}")
        for name, title, more in names
        for one, digits in [(whole.figures[name], 2 if name == "false_per_minute" else 3)]
    ]
    if whole.timing:
        apex = whole.timing["apex"]
        values.append(
            (f"{apex.median_ms:.0f} ms", "Apex error", f"median; 95 % within {apex.p95_ms:.0f} ms")
        )
    return tiles(values)


def _classes(measures: EvaluationMeasures) -> list[Markup]:
    whole, labels = measures.whole, [one.label for one in measures.classes]
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
        for one in measures.classes
    ]
    header = ("class", "micro-expressions", "spotted", "precision", "recall", "F1")
    return [
        heading("Classes"),
        paragraph(
            f"Missed micro-expressions count as errors of their class. Accuracy {accuracy:.3f}, "
            f"error rate {1 - accuracy:.3f}; macro F1 is UF1."
        ),
        confusion_table(labels, measures.confusion, measures.missed),
        table(header, rows),
    ]


def _title(groups: Groups) -> str:
    return f"{groups.title}, {groups.unit}" if groups.unit else groups.title


def _interval_plot(groups: Groups, whole: Part, lowest: float) -> Markup:
    """Plot a dot with its interval for each group, against the whole."""
    reference = whole.figures[groups.figure].value
    name = "F1" if groups.figure == "f1" else "recall"
    shown = [
        Dot(
            f"{one.name}  (n {one.part.micro_expressions})",
            one.part.figures[groups.figure],
            one.is_below,
        )
        for one in groups.groups
        if one.part.micro_expressions
    ]
    return dots(
        _title(groups),
        f"{name} by {groups.title.lower()}",
        shown,
        name,
        (lowest, 1.02),
        marked=(VERMILLION, "v"),
        lines=[]
        if reference is None
        else [(reference, "-"), (reference - BELOW_POINTS / 100, "--")],
    )


def _lowest(all_groups: Sequence[Groups], whole: Part) -> float:
    """Return the left end of the axis that all plots share."""
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
            mark = Markup(f"<b>▼ {points}</b>") if group.is_below else points
            rows.append(Row((group.name, mark, *cells(group)), "marked" * group.is_below))
    return rows


def _apex(part: Part) -> str:
    apex = part.timing.get("apex")
    if apex is None:
        return NOTHING
    return Markup(f"{apex.median_ms:.0f} <small>95 %: {apex.p95_ms:.0f}</small>")


def _below(all_groups: Sequence[Groups]) -> Markup:
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


def _clip_groups(measures: EvaluationMeasures) -> list[Markup]:
    if not measures.clip_groups:
        return []
    whole = measures.whole

    def cells(group: Group) -> Sequence[object]:
        part, f = group.part, group.part.figures
        return (
            part.micro_expressions,
            *(estimate_cell(f[name]) for name in ("f1", "precision", "recall")),
            estimate_cell(f["false_per_minute"], 2),
            *(estimate_cell(f[name]) for name in ("uf1", "uar", "strs")),
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
        lowest = _lowest(measures.clip_groups, whole)
        images = [_interval_plot(groups, whole, lowest) for groups in measures.clip_groups]
    return [
        heading("Groups of clips"),
        paragraph(
            "A dot is the metric of a group, the bar its interval, n its number of "
            "micro-expressions; the line is the metric of the whole, the broken line lies "
            f"{BELOW_POINTS:g} points below it. An interval without width, at 0 or at 1, does not "
            "mean certainty: n is too small to show anything else."
        ),
        _below(measures.clip_groups),
        plots(images),
        table(header, _group_rows(measures.clip_groups, cells)),
    ]


def _event_groups(measures: EvaluationMeasures) -> list[Markup]:
    if not measures.event_groups or not measures.whole.micro_expressions:
        return []
    whole = measures.whole

    def cells(group: Group) -> Sequence[object]:
        part, f = group.part, group.part.figures
        return (
            part.micro_expressions,
            part.matched,
            estimate_cell(f["recall"]),
            estimate_cell(f["accuracy"]),
            _apex(part),
        )

    header = ("group", "recall points", "n", "spotted", "recall", "rightly named", "apex ms")
    lowest = _lowest(measures.event_groups, whole)
    return [
        heading("Groups of micro-expressions"),
        paragraph(
            "False events belong to none of these groups, so recall is compared. “Rightly named”: "
            "spotted with the right label."
        ),
        _below(measures.event_groups),
        plots(_interval_plot(groups, whole, lowest) for groups in measures.event_groups),
        table(header, _group_rows(measures.event_groups, cells)),
    ]


def _false_events(measures: EvaluationMeasures) -> list[Markup]:
    causes = measures.false_by_cause

    def draw(axes: Axes) -> None:
        for y, one in enumerate(causes):
            rate = one.per_minute
            axes.barh(y, rate.value or 0.0, color=css_colour(BLUE), height=0.62, alpha=0.85)
            if rate.low is not None and rate.high is not None:
                axes.plot([rate.low, rate.high], [y, y], color=INK, lw=1)
        axes.set_ylim(len(causes) - 0.4, -0.6)
        axes.set_yticks(range(len(causes)), [f"{one.cause}  ({one.events})" for one in causes])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(left=0)
        axes.set_xlabel("events in each such minute")

    alt = "False events a minute: " + ", ".join(
        f"{one.cause} {estimate_text(one.per_minute, 2)}" for one in causes
    )
    listed = measures.false_events[:LONGEST_LIST]
    rest = len(measures.false_events) - len(listed)
    return [
        heading("False events"),
        paragraph(
            "A false event that meets a true micro-expression has the cause “poor overlap”; an "
            "event that meets a macro-expression has the macro-expression as its cause. For both, "
            f"minutes are those of the clips that have such expressions. {measures.causes}"
        ),
        plots([plot("By cause", alt, 0.24 * len(causes), draw)] if causes else []),
        table(
            ("cause", "events", "minutes", "a minute"),
            [
                Row((one.cause, one.events, f"{one.minutes:.1f}", estimate_cell(one.per_minute, 2)))
                for one in causes
            ],
        ),
        heading("All false events", 3),
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


def _times(measures: EvaluationMeasures) -> list[Markup]:
    timing = measures.whole.timing
    if not timing:
        return []
    errors_ms = np.array(measures.errors_ms["apex"])
    edge_ms = 20 * np.ceil(max(60.0, float(np.percentile(np.abs(errors_ms), 99))) / 20)

    def draw(axes: Axes) -> None:
        bins = np.arange(-edge_ms, edge_ms + 1, 10)
        axes.hist(np.clip(errors_ms, -edge_ms, edge_ms), bins.tolist(), color=css_colour(GREEN))
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
        heading("Timing"),
        plots([plot("Error of the apex", alt, 1.6, draw)]),
        table(("error, ms", "median size", "95 % within", "median, + too late"), rows),
    ]


def _missed(measures: EvaluationMeasures) -> list[Markup]:
    listed = measures.missed_events[:LONGEST_LIST]
    if not listed:
        return []
    rest = len(measures.missed_events) - len(listed)
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


def _about(measures: EvaluationMeasures) -> list[Markup]:
    rows = [Row((name, value)) for name, value in lines_of(measures.about)]
    if not rows:
        return []
    return [heading("How it was measured"), table(("setting", "value"), rows, style="text")]
