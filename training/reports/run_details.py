"""Details of each run in the report of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes

from realtime.drawing.palette import BLUE, VERMILLION, class_markers, css_colour
from realtime.reports.formatting import NOTHING, counted, duration, lines_of
from training.datasets import DATASETS
from training.evaluation.metrics import Estimate
from training.evaluation.results import FoldPart, ProtocolRun
from training.evaluation.run_metrics import (
    RUN_METRICS,
    ClassMetrics,
    RunMetrics,
    SpottingMetrics,
    spots,
)
from training.reports.html import (
    INK,
    Row,
    confusion_table,
    details,
    estimate_text,
    interval,
    joined,
    link,
    listed,
    paragraph,
    percent_text,
    plots,
    small,
    span,
    table,
)
from training.reports.plots import plot

PARTS = ("train", "validation", "test")
"""Parts of a fold, in the order of the tables."""

LONGEST_LIST = 200
"""Most rows of a list on the page; report.json has all rows."""

NAMED_SUBJECTS = 30
"""Most subjects whose names fit under a plot."""

CURVE_POINTS = 80
"""Most points of a curve; more would hardly be visible, and only make the page heavy."""

ALL_POINTS, LEAST_POINTS = 600, 20
"""Most points of all thin curves of a plot together, and least points of each thin curve."""

CURVE_COLOURS = {"training": BLUE, "validation": VERMILLION}

PALE = "#fff1e5"
"""Background colour of wrong samples."""

CURVES_LEFT_IN = 0.42
"""Width for numbers on the left of a plot, in inches."""


SPOTTING_TITLES = {
    "precision": "spotting precision",
    "recall": "spotting recall",
    "f1": "spotting F1",
    "false_per_minute": "false events a minute",
    "strs": "STRS",
    "accuracy": "accuracy of the class",
    "error_rate": "error rate of the class",
    "uf1": "UF1 of the class (macro F1)",
    "uar": "UAR of the class",
    "macro_precision": "macro precision of the class",
}
"""Titles of the metrics of a spotting run."""


def dataset_title(name: str) -> str:
    """Return the usual name of a dataset."""
    return DATASETS[name].title if name in DATASETS else name


def result_cells(
    metrics: Mapping[str, Estimate], top: Sequence[float] = (), anchor: str = ""
) -> list[Markup]:
    """Return a cell for each of FIGURES.

    `top`: the best value of each column, empty without a comparison. `anchor`: HTML id that the
    first cell links to.
    """
    cells = []
    for place, name in enumerate(RUN_METRICS):
        one = metrics[name]
        text: object = percent_text(one) if name == "accuracy" else estimate_text(one)
        if top and one.value is not None and one.value >= top[place]:
            text = Markup(f"<b>★ {text}</b>")
        if anchor and not place:
            text = link(anchor, text)
        cells.append(joined((text, small(_small_interval(one, in_percent=name == "accuracy")))))
    return cells


def _small_interval(one: Estimate, *, in_percent: bool) -> str:
    if one.low is None or one.high is None:
        return "no interval"
    if in_percent:
        return f"{100 * one.low:.0f} to {100 * one.high:.0f}"
    return interval(one, 2)


def run_details(run: ProtocolRun, metrics: RunMetrics, shared: Mapping[str, str]) -> list[Markup]:
    """Return the details of a recognition run.

    `shared`: settings that all runs have in common, which are shown elsewhere.
    """
    found = metrics.figures
    people = "" if metrics.subjects is None else f" of {metrics.subjects} people"
    return [
        paragraph(
            f"{_sentence(run.title)}{metrics.samples} samples{people} were tested; error rate "
            f"{percent_text(found['error_rate'])} %, macro precision "
            f"{estimate_text(found['macro_precision'])}. UF1 {estimate_text(found['uf1'])} "
            f"({interval(found['uf1'])}), UAR {estimate_text(found['uar'])} "
            f"({interval(found['uar'])})."
        ),
        *_never_right(metrics.classes),
        plots(
            [
                confusion_table(run.labels, metrics.confusion),
                *_curves(run),
                *_subjects_plot(metrics),
            ]
        ),
        _classes(run, metrics.classes, "samples"),
        *_by_dataset(metrics),
        *_copies(metrics),
        _parts(run, run.labels, "samples", "Samples"),
        *_subjects_table(metrics),
        *_folds_table(run),
        _run_about(run, shared),
    ]


def spotting_details(run: ProtocolRun, metrics: SpottingMetrics) -> list[Markup]:
    """Return the details of a spotting run."""
    labels = [one.label for one in metrics.classes]
    curves = _curves(run)
    return [
        paragraph(
            f"{_sentence(run.title)}{counted(metrics.recordings, 'recording')} of "
            f"{metrics.subjects} people were watched, {duration(metrics.seconds)} in all. Of "
            f"{counted(metrics.truths, 'micro-expression')} {metrics.spotted} were spotted; "
            f"{counted(metrics.false, 'spotted event')} more were false. In the metrics of the "
            "class, micro-expressions that were not spotted count as errors; its precision is that "
            "of the spotted ones."
        ),
        *_never_right(metrics.classes),
        confusion_table(labels, metrics.confusion, metrics.missed),
        *([plots(curves)] if curves else []),
        table(
            ("metric", "", "95 % interval"),
            [
                Row((title, estimate_text(metrics.figures[name]), interval(metrics.figures[name])))
                for name, title in SPOTTING_TITLES.items()
            ],
        ),
        _classes(run, metrics.classes, "micro-expressions"),
        _parts(run, labels, "recordings", "Recordings, and their micro-expressions by class,"),
        *_spotted_subjects(metrics),
        *_folds_table(run),
        _run_about(run, {}),
    ]


def _sentence(title: str) -> str:
    return f"{title[0].upper()}{title[1:]}. " if title else ""


def _never_right(classes: Sequence[ClassMetrics]) -> list[Markup]:
    names = [f"{one.label} (0 of {one.samples})" for one in classes if one.recall == 0]
    return [paragraph(f"Never right: {listed(names)}.", "warning")] if names else []


def _classes(run: ProtocolRun, classes: Sequence[ClassMetrics], samples: str) -> Markup:
    marks = class_markers(run.labels)
    rows = [
        Row(
            (
                f"{marks[one.label]} {one.label}",
                one.samples,
                one.said,
                one.right,
                *(
                    NOTHING if figure is None else f"{figure:.3f}"
                    for figure in (one.precision, one.recall, one.f1)
                ),
            )
        )
        for one in classes
    ]
    header = ("class", samples, "predicted", "right", "precision", "recall", "F1")
    return table(header, rows)


def _by_dataset(metrics: RunMetrics) -> list[Markup]:
    if not metrics.by_dataset:
        return []
    rows = [
        Row((dataset_title(name), *result_cells(found)))
        for name, found in metrics.by_dataset.items()
    ]
    return [table(("tested samples of", "accuracy %", "UF1", "UAR"), rows)]


def _copies(metrics: RunMetrics) -> list[Markup]:
    """Return the metrics with and without the samples that may also have been in training."""
    if not metrics.copies:
        return []
    statement = paragraph(
        "Tested samples that are exact copies of pictures of the dataset's part Training: "
        f"{metrics.copies} of {metrics.samples}."
    )
    rows = [Row(("all", metrics.samples, *result_cells(metrics.figures)))]
    if found := metrics.without_copies:
        others = metrics.samples - metrics.copies
        rows.append(Row(("without the copies", others, *result_cells(found))))
    return [statement, table(("tested", "samples", "accuracy %", "UF1", "UAR"), rows)]


def _curves(run: ProtocolRun) -> list[Markup]:
    found = [_curve(run, name, word) for name, word in (("loss", "Loss"), ("accuracy", "Accuracy"))]
    return [one for one in found if one]


def _curve(run: ProtocolRun, name: str, word: str) -> Markup | None:
    """Plot each fold's curve thin and their median thick, for training and validation."""
    histories = {
        part: [np.array(fold.history[key]) for fold in run.folds if fold.history.get(key)]
        for part, key in (("training", name), ("validation", f"val_{name}"))
    }
    medians = {part: _median(curves) for part, curves in histories.items() if curves}
    if not medians:
        return None
    epochs = [fold.epoch for fold in run.folds]
    spread = ALL_POINTS // sum(map(len, histories.values()))
    points = min(max(spread, LEAST_POINTS), CURVE_POINTS)

    def draw(axes: Axes) -> None:
        for part, median in medians.items():
            colour = css_colour(CURVE_COLOURS[part])
            style = "-" if part == "training" else (0, (4, 1.5))
            for curve in histories[part] * (len(run.folds) > 1):
                axes.plot(*_thinned(curve, points), color=colour, lw=0.5, alpha=0.35, zorder=1)
            line = _thinned(median, CURVE_POINTS)
            axes.plot(*line, color=colour, lw=1.6, ls=style, label=part)
        axes.plot(
            sorted(set(epochs)),
            np.zeros(len(set(epochs))),
            "^",
            color=INK,
            ms=3.5,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label="tested epoch",
        )
        if name == "accuracy":
            axes.set_ylim(0, 1.02)
        else:
            every = np.concatenate([curve for curves in histories.values() for curve in curves])
            # The first epochs of a single fold must not make all other curves flat.
            axes.set_ylim(0, 1.1 * max(float(np.percentile(every, 98)), 1e-6))
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, fontsize="small", loc="best")

    ends = ", ".join(f"{part} {median[-1]:.3f}" for part, median in medians.items())
    alt = f"{word} by epoch, median of {counted(len(run.folds), 'fold')}; at the end {ends}"
    return plot(word, alt, 1.5, draw, left_in=CURVES_LEFT_IN)


def _thinned(
    curve: npt.NDArray[np.float64], points: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return at most `points` epochs, numbered from 1, and the curve's values there."""
    shown = np.unique(np.linspace(0, len(curve) - 1, points).round().astype(np.int64))
    return shown + 1, curve[shown]


def _median(curves: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the median, at each epoch, of the folds that were still trained then."""
    whole = np.full((len(curves), max(map(len, curves))), np.nan)
    for row, curve in zip(whole, curves, strict=True):
        row[: len(curve)] = curve
    median: npt.NDArray[np.float64] = np.nanmedian(whole, axis=0)
    return median


def _subjects_plot(metrics: RunMetrics) -> list[Markup]:
    subjects = metrics.by_subject
    if len(subjects) < 2:
        return []
    right = np.array([one.right for one in subjects])
    samples = np.array([one.samples for one in subjects])

    def draw(axes: Axes) -> None:
        edges = np.arange(len(subjects) + 1) - 0.5
        axes.stairs(right, edges, fill=True, color=css_colour(BLUE), label="right")
        axes.stairs(
            samples,
            edges,
            baseline=right,
            fill=True,
            facecolor=PALE,
            edgecolor=css_colour(VERMILLION),
            hatch="////",
            lw=0,
            label="wrong",
        )
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.25 * samples.max())
        axes.set_ylabel("samples")
        if len(subjects) <= NAMED_SUBJECTS:
            names = [one.subject for one in subjects]
            axes.set_xticks(range(len(subjects)), names, rotation=90, fontsize="x-small")
        else:
            axes.set_xticks([])
            axes.set_xlabel(f"{len(subjects)} subjects, the best first")
        axes.tick_params(axis="x", length=0)
        axes.legend(frameon=False, fontsize="small", ncols=2, loc="upper right")

    shares = right / samples
    alt = (
        f"Right and wrong samples of {len(subjects)} subjects: share of right ones from "
        f"{shares.min():.0%} to {shares.max():.0%}, median {np.median(shares):.0%}"
    )
    return [plot("Each subject", alt, 1.5, draw, left_in=CURVES_LEFT_IN)]


def _subjects_table(metrics: RunMetrics) -> list[Markup]:
    if not metrics.by_subject:
        return []
    shown = metrics.by_subject[:LONGEST_LIST]
    rows = [
        Row(
            (
                one.subject,
                dataset_title(one.dataset),
                one.samples,
                one.right,
                f"{one.right / one.samples:.0%}",
            )
        )
        for one in shown
    ]
    header = ("subject", "dataset", "samples", "right", "share")
    return [details("Each subject", [table(header, rows), *_rest(metrics.by_subject, shown)])]


def _rest(whole: Sequence[object], shown: Sequence[object]) -> list[Markup]:
    rest = len(whole) - len(shown)
    return [paragraph(f"{rest} more are in report.json.", "faint")] if rest else []


def _spotted_subjects(metrics: SpottingMetrics) -> list[Markup]:
    shown = metrics.by_subject[:LONGEST_LIST]
    rows = [
        Row(
            (
                one.subject,
                dataset_title(one.dataset),
                one.truths,
                one.spotted,
                one.right,
                one.false,
                f"{one.f1:.3f}",
            )
        )
        for one in shown
    ]
    header = ("subject", "dataset", "micro-expressions", "spotted", "named rightly", "false", "F1")
    return [details("Each subject", [table(header, rows), *_rest(metrics.by_subject, shown)])]


def _parts(run: ProtocolRun, labels: Sequence[str], samples: str, counted_are: str) -> Markup:
    """Return a table of the samples, people and classes of each part.

    With several folds it shows the least and the greatest number.
    """
    titles = {"train": "training", "validation": "validation", "test": "test"}
    several = len(run.folds) > 1
    rows = []
    for name in PARTS:
        parts: list[FoldPart] = [getattr(fold, name) for fold in run.folds]
        cells = [
            span(one.samples for one in parts),
            span(one.subjects for one in parts),
            *(span(one.classes.get(label, 0) for one in parts) for label in labels),
        ]
        rows.append(Row((titles[name], *cells)))
    where = f"in the parts of each of {len(run.folds)} folds" if several else "in each part"
    marks = class_markers(labels)
    header = ("part", samples, "people", *(f"{marks[one]} {one}" for one in labels))
    return table(header, rows, caption=f"{counted_are} {where}")


def _folds_table(run: ProtocolRun) -> list[Markup]:
    if len(run.folds) < 2:
        return []
    shown = run.folds[:LONGEST_LIST]
    has_predictions = not spots(run)
    rows = [
        Row(
            (
                fold.fold,
                fold.train.samples,
                fold.validation.samples,
                fold.test.samples,
                *[sum(one.said == one.label for one in fold.predictions)] * has_predictions,
                fold.epoch,
                duration(fold.seconds),
            )
        )
        for fold in shown
    ]
    right = ["right"] * has_predictions
    header = ("fold", "training", "validation", "test", *right, "tested epoch", "time")
    return [details("Each fold", [table(header, rows), *_rest(run.folds, shown)])]


def settings_of(run: ProtocolRun) -> dict[str, str]:
    """Return the data, seed, commit and settings of a run, as text by name."""
    return {
        **{f"data, {key}": value for key, value in run.data.items()},
        "seed": str(run.seed),
        "commit": ", ".join(sorted({fold.commit for fold in run.folds})),
        **dict(lines_of(run.settings)),
    }


def shared_settings(runs: Sequence[ProtocolRun]) -> dict[str, str]:
    """Return the settings that all of several runs have in common."""
    if len(runs) < 2:
        return {}
    first, *others = map(settings_of, runs)
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }


def _run_about(run: ProtocolRun, shared: Mapping[str, str]) -> Markup:
    epochs = [fold.epoch for fold in run.folds]
    seconds = [fold.seconds for fold in run.folds]
    rows = [
        ("tested epoch", span(epochs)),
        ("training time", duration(sum(seconds))),
        *(line for line in settings_of(run).items() if line[0] not in shared),
    ]
    caption = (
        "Settings of this run only; the others are under “How they were made”" if shared else ""
    )
    return details(
        "How it was made",
        [table(("setting", "value"), [Row(one) for one in rows], style="text", caption=caption)],
    )
