"""Report of an evaluation on still pictures: HTML page, JSON file and summary."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes

from realtime.drawing.palette import BLUE, css_colour
from realtime.reports.formatting import NOTHING, counted, lines_of
from training.evaluation.metrics import Estimate
from training.macro.evaluate import STILL_METRICS, PartMetrics, StillMetrics
from training.provenance import write_json
from training.reports.html import (
    FAINT,
    INK,
    Row,
    beside,
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
from training.reports.plots import plot

EVALUATION_FILE, REPORT_FILE = "evaluation.json", "report.html"

TITLES = {"accuracy": "Accuracy", "uf1": "UF1 (macro F1)", "uar": "UAR"}

LEFT_IN = 0.5  # room for the numbers beside a plot


def write_report(folder: Path, metrics: StillMetrics) -> Path:
    """Write evaluation.json and report.html into `folder`; return the page's path."""
    values = dataclasses.asdict(metrics)
    for part, one in zip(values["parts"], metrics.parts, strict=True):
        part["reliability"] = [bin_._asdict() for bin_ in one.reliability]
    write_json(folder / EVALUATION_FILE, values)
    report = folder / REPORT_FILE
    report.write_text(report_page(metrics), encoding="utf-8")
    return report


def summary(metrics: StillMetrics) -> str:
    """Format a summary with one line a part."""
    lines = []
    for part in metrics.parts:
        accuracy = part.figures["accuracy"]
        items = [
            f"{part.name}: accuracy {estimate_text(accuracy)} ({interval(accuracy)}) of "
            f"{counted(part.pictures, 'picture')}",
            f"UF1 {estimate_text(part.figures['uf1'])}, UAR {estimate_text(part.figures['uar'])}",
            f"calibration error {part.calibration_error:.3f}",
        ]
        if part.without_copies is not None:
            items.append(
                f"without copies accuracy {estimate_text(part.without_copies['accuracy'])}"
            )
        lines.append("; ".join((*items, *_cautions(part))) + ".")
    lines.append(f"{metrics.ms_a_face:.2f} ms a face on one core.")
    return "\n".join((*lines, *metrics.notes))


def report_page(metrics: StillMetrics) -> str:
    """Return the HTML page of an evaluation."""
    model = metrics.about["model"]
    body = [paragraph(note, "warning") for note in metrics.notes]
    body += [block for part in metrics.parts for block in _part(part, metrics)]
    body += [
        heading("How it was measured"),
        paragraph(
            "The pictures do not name their people, so intervals are by bootstrap over pictures; "
            "several pictures of one person would make them wider."
        ),
        table(("setting", "value"), [Row(line) for line in lines_of(metrics.about)], style="text"),
    ]
    return page(
        f"{model['name']} {model['version']} on still pictures",
        f"{metrics.ms_a_face:.2f} ms a face on one core (median); the file has "
        f"{model['bytes'] / 1e6:.2f} MB. In small letters: 95 % intervals.",
        body,
    )


def _cautions(part: PartMetrics) -> list[str]:
    """Return the reasons why a part's metrics look better than they are."""
    cautions = []
    if part.trained_on:
        cautions.append(f"{part.trained_on} of these pictures were trained on")
    if part.temperature_chosen_here:
        halves = "" if part.by_halves is None else f" (by halves {part.by_halves:.3f})"
        cautions.append(f"the temperature was chosen on these pictures{halves}")
    return cautions


def _part(part: PartMetrics, metrics: StillMetrics) -> list[Markup]:
    cautions = _cautions(part)
    values = [
        (estimate_text(one), TITLES[name], interval(one))
        for name in STILL_METRICS
        for one in [part.figures[name]]
    ]
    values += [
        (f"{part.calibration_error:.3f}", "Calibration error", "ECE, 15 bins"),
        (f"{part.log_loss:.3f}", "Log loss", "nats a picture"),
        (f"{part.commonest:.3f}", "Commonest class", "accuracy of always predicting it"),
    ]
    return [
        heading(f"{part.name}: {counted(part.pictures, 'picture')}"),
        *([paragraph(f"Beware: {'; '.join(cautions)}.", "warning")] if cautions else []),
        tiles(values),
        *_copies(part),
        *_halves(part),
        confusion_table(metrics.labels, part.confusion),
        table(
            ("class", "pictures", "predicted", "precision", "recall"),
            [
                Row((one.label, one.pictures, one.said, _share(one.precision), _share(one.recall)))
                for one in part.classes
            ],
        ),
        beside([plots([_reliability_plot(part)]), _reliability_table(part)]),
    ]


def _copies(part: PartMetrics) -> list[Markup]:
    if part.trained_on is None or part.copies is None:
        return []
    seen = part.trained_on + part.copies
    if not seen:
        return [paragraph("None of these pictures was trained on, nor an exact copy of it.")]
    statement = (
        f"Trained on: {part.trained_on}; exact copies of pictures that were trained on: "
        f"{part.copies}."
    )
    if part.without_copies is None:
        return [paragraph(statement)]
    rows = [
        Row(
            (
                title,
                *(estimate_cell(one[name]) for name in STILL_METRICS),
                estimate_cell(Estimate(error)),
            )
        )
        for title, one, error in (
            ("all", part.figures, part.calibration_error),
            (f"without these {seen}", part.without_copies, part.calibration_error_without_copies),
        )
    ]
    return [
        paragraph(statement),
        table(("pictures", *(TITLES[name] for name in STILL_METRICS), "calibration error"), rows),
    ]


def _halves(part: PartMetrics) -> list[Markup]:
    if part.by_halves is None:
        return []
    return [
        paragraph(
            "The temperature was chosen on pictures of this part. Chosen on one half and measured "
            f"on the other, both ways, the calibration error is {part.by_halves:.3f} in the mean; "
            "a half has fewer pictures, which makes it somewhat larger."
        )
    ]


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _reliability_plot(part: PartMetrics) -> Markup:
    bins = part.reliability

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, lw=0.9, ls="--")
        most = max(one.pictures for one in bins)
        axes.plot([one.score for one in bins], [one.right for one in bins], color=INK, lw=0.8)
        axes.scatter(
            [one.score for one in bins],
            [one.right for one in bins],
            s=[8 + 60 * one.pictures / most for one in bins],
            color=css_colour(BLUE),
            zorder=3,
        )
        axes.set_xlim(0, 1.03)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("highest score; larger dots: more pictures")
        axes.set_ylabel("share that is right")

    points = ", ".join(f"{one.right:.2f} at {one.score:.2f}" for one in bins)
    alt = f"Share that is right: {points}"
    return plot("Calibration of the scores", alt, 2.4, draw, LEFT_IN)


def _reliability_table(part: PartMetrics) -> Markup:
    return table(
        ("score from", "mean score", "right", "pictures"),
        [
            Row((f"{one.least:.3f}", f"{one.score:.3f}", f"{one.right:.3f}", one.pictures))
            for one in part.reliability
        ],
    )
