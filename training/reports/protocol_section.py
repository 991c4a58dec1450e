"""Tables of a grid's results, protocol by protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from realtime.drawing.palette import BLUE, VERMILLION
from realtime.reports.formatting import NOTHING
from training.evaluation.protocols import Protocol
from training.evaluation.published import (
    WHOLE,
    Published,
    base_name,
    is_number,
    published,
    published_of,
)
from training.evaluation.results import ProtocolRun
from training.evaluation.run_metrics import RUN_METRICS
from training.reports.grid_results import RecognitionResult, best_result
from training.reports.html import (
    Row,
    Tinted,
    beside,
    estimate_text,
    heading,
    joined,
    link,
    paragraph,
    percent_text,
    plots,
    small,
    span,
    table,
    tint,
)
from training.reports.plots import Dot, dots
from training.reports.run_details import dataset_title, result_cells

LEAST_SPAN = 0.1
"""Least range of UF1 that the colours of a table span, so that small differences look small."""

PALEST = 0.08
"""Least share of colour, so that even the lowest value has a coloured background."""

NAMES_IN, SHORT = 1.75, 26
"""Width for the names of runs beside a plot, in inches and in letters."""

INTERVAL_NOTE = (
    "In small letters: 95 % intervals over subjects (bootstrap). An interval without width does "
    "not mean certainty: the samples are too few to show anything else."
)
BEST_NOTE = (
    f"★: best of its column among the runs. {INTERVAL_NOTE} Runs whose intervals overlap widely "
    "cannot be distinguished with these people. In the plot, the broken line is the UF1 of always "
    "predicting the commonest class."
)
NO_INTERVAL_NOTE = (
    "There is no interval where there is only one subject, or where subjects are not named."
)
CHOSEN_NOTE = (
    "Where a row stands for several settings, it shows the one with the highest UF1 in the test "
    "itself, which makes it look a little better than it is; each setting's own value is below."
)


# One protocol.


def protocol_section(protocol: Protocol, results: Sequence[RecognitionResult]) -> list[Markup]:
    """Return the part of the page on a protocol: comparison, plots and settings."""
    own = [result for result in results if result.run.protocol == protocol.name]
    groups = _groups(own)
    compared = list(_dots(groups))
    lacks_intervals = any(result.metrics.figures["uf1"].low is None for result in own)
    has_several = len({key[:2] for key in groups}) > 1
    has_settings = any(len(group) > 1 for group in groups.values())
    return [
        heading(protocol.title),
        paragraph(protocol.statement, "" if protocol.is_subject_independent else "warning"),
        beside([_comparison(protocol, own, groups), *([plots(compared)] if compared else [])]),
        paragraph(BEST_NOTE if has_several else INTERVAL_NOTE, "faint"),
        *([paragraph(NO_INTERVAL_NOTE, "faint")] if lacks_intervals else []),
        *([paragraph(CHOSEN_NOTE, "faint")] if has_settings else []),
        *_settings(groups),
    ]


RunKey = tuple[str, str, str]
"""System, name of the run without its varied settings, and dataset."""


def _groups(results: Sequence[RecognitionResult]) -> dict[RunKey, list[RecognitionResult]]:
    """Group the runs that differ only in plain numbers, such as batch, epochs and seed."""
    groups: dict[RunKey, list[RecognitionResult]] = {}
    for result in results:
        run = result.run
        groups.setdefault((run.system, base_name(run), run.dataset), []).append(result)
    return groups


def _comparison(
    protocol: Protocol,
    results: Sequence[RecognitionResult],
    groups: Mapping[RunKey, Sequence[RecognitionResult]],
) -> Markup:
    """Return a table with one row a recipe and columns for each dataset.

    Published results stand under the row that they belong to.
    """
    datasets = list(dict.fromkeys(result.run.dataset for result in results))
    recipes = list(dict.fromkeys((system, name) for system, name, _ in groups))
    shown = {key: best for key, group in groups.items() if (best := best_result(group))}
    rows: list[Row] = []
    for recipe in recipes:
        bests = [shown.get((*recipe, dataset)) for dataset in datasets]
        size = max(len(groups.get((*recipe, dataset), [])) for dataset in datasets)
        caption = _run_caption(*recipe, next(best.run for best in bests if best), size)
        cells: list[object] = [joined((recipe[0], small(caption)))]
        for dataset, best in zip(datasets, bests, strict=True):
            top = _tops(shown, dataset) if len(recipes) > 1 else []
            if best:
                cells += result_cells(best.metrics.figures, top, best.anchor)
            else:
                cells += [NOTHING] * len(RUN_METRICS)
        rows.append(Row(cells))
        quotes = [published_of(best.run) if best else None for best in bests]
        if any(quotes):
            rows.append(_quoted_row(quotes))
    rows.append(_commonest_row(datasets, shown))
    rows += _others_rows(protocol.name, datasets, {system for system, _ in recipes})
    header = ("run", *("accuracy %", "UF1", "UAR") * len(datasets))
    above = [
        (joined((dataset_title(name), small(_tested(results, name)))), len(RUN_METRICS))
        for name in datasets
    ]
    return table(header, rows, above=above, style="long")


def _run_caption(system: str, name: str, run: ProtocolRun, size: int) -> str:
    """Format the caption under a system: name and title of the run, and the number of settings."""
    shown_name = "" if name == system else name
    caption = ": ".join(filter(None, (shown_name, run.title)))
    return "; ".join(filter(None, (caption, f"best of {size} settings" * (size > 1))))


def _tops(shown: Mapping[RunKey, RecognitionResult], dataset: str) -> list[float]:
    """Return the highest value of each of FIGURES."""
    own = [result.metrics.figures for (*_, one), result in shown.items() if one == dataset]
    return [max(metrics[name].value or 0.0 for metrics in own) for name in RUN_METRICS]


def _tested(results: Sequence[RecognitionResult], dataset: str) -> str:
    metrics = [result.metrics for result in results if result.run.dataset == dataset]
    samples = f"{span(one.samples for one in metrics)} samples"
    subjects = [one.subjects for one in metrics if one.subjects is not None]
    return f"{samples} of {span(subjects)} people tested" if subjects else f"{samples} tested"


def _quoted_row(quotes: Sequence[Published | None], system: str = "") -> Row:
    known = [one for one in quotes if one]
    experiments = sorted({f"experiment {one.experiment}" for one in known if one.experiment})
    sources = "; ".join([*experiments, *sorted({one.source for one in known})])
    cells: list[object] = [joined((system or "published", small(sources)))]
    for one in quotes:
        values = (one.accuracy_percent, one.f1, one.uar) if one else (None,) * len(RUN_METRICS)
        cells += [NOTHING if value is None else str(value) for value in values]
    return Row(cells, "quoted")


def _others_rows(protocol: str, datasets: Sequence[str], systems: Collection[str]) -> list[Row]:
    """Return rows with published results of other systems; a row has all datasets of a source."""
    quotes: dict[tuple[str, str], dict[str, Published]] = {}
    for one in published():
        is_other = one.system not in systems and one.experiment in WHOLE
        if one.protocol == protocol and one.dataset in datasets and is_other:
            quotes.setdefault((one.system, one.source), {})[one.dataset] = one
    rows = [
        _quoted_row([of_dataset.get(name) for name in datasets], system)
        for (system, _), of_dataset in quotes.items()
    ]
    return [Row(("Published of other systems under this protocol",), "section"), *rows] * bool(rows)


def _commonest_row(datasets: Sequence[str], shown: Mapping[RunKey, RecognitionResult]) -> Row:
    """Return the row of the baseline that always predicts the commonest class."""
    cells: list[object] = [joined(("no network", small("always the commonest class")))]
    for dataset in datasets:
        best = best_result(result for (*_, one), result in shown.items() if one == dataset)
        found = best.metrics.commonest if best else {}
        cells += [
            f"{100 * found[name]:.1f}" if name == "accuracy" else f"{found[name]:.3f}"
            for name in RUN_METRICS
        ]
    return Row(cells)


def _dots(groups: Mapping[RunKey, Sequence[RecognitionResult]]) -> Iterator[Markup]:
    """Yield a plot of the recipes' UF1 for each dataset that has several."""
    shown = {key: best for key, group in groups.items() if (best := best_result(group))}
    for dataset in dict.fromkeys(dataset for *_, dataset in shown):
        own = {key: result for key, result in shown.items() if key[-1] == dataset}
        top = best_result(own.values())
        if top is None or len(own) < 2:
            continue
        estimates = [result.metrics.figures["uf1"] for result in own.values()]
        commonest = top.metrics.commonest["uf1"]
        ends = [
            end for one in estimates for end in (one.value, one.low, one.high) if end is not None
        ]
        yield dots(
            f"UF1, {dataset_title(dataset)}",
            f"UF1 on {dataset_title(dataset)}",
            [
                Dot(_short(system, name), result.metrics.figures["uf1"], result is top)
                for (system, name, _), result in own.items()
            ],
            "UF1",
            (min(*ends, commonest) - 0.02, max(*ends, commonest) + 0.02),
            marked=(VERMILLION, "*"),
            lines=[(commonest, "--")],
            left_in=NAMES_IN,
        )


def _short(system: str, name: str) -> str:
    """Return a name of a run that fits beside a plot."""
    text = system if name in ("", system) else f"{system} {name.removeprefix('experiment ')}"
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _settings(groups: Mapping[RunKey, Sequence[RecognitionResult]]) -> list[Markup]:
    """Return a small tinted table of UF1 for each recipe with several settings."""
    several = {key: group for key, group in groups.items() if len(group) > 1}
    if not several:
        return []
    values = [one.rank[0] for group in several.values() for one in group]
    low, high = min(*values, max(values) - LEAST_SPAN), max(values)
    return [
        heading("Settings", 3),
        paragraph(
            f"UF1 of each setting, in small letters accuracy in %; the darker, the higher, from "
            f"{low:.3f} to {high:.3f}."
        ),
        plots(_settings_table(key, group, low, high) for key, group in several.items()),
    ]


def _settings_table(
    key: RunKey, group: Sequence[RecognitionResult], low: float, high: float
) -> Markup:
    """Return a table of settings: the last varied setting in columns, all others in rows."""
    system, name, dataset = key
    varied = [one.run.varied for one in group]
    varying = [
        setting
        for setting, value in varied[0].items()
        if is_number(value) and len({one[setting] for one in varied}) > 1
    ]
    *across, last = varying
    columns = sorted({one[last] for one in varied})
    cells: dict[tuple[Any, ...], dict[Any, Tinted]] = {}
    for one in sorted(group, key=lambda one: [one.run.varied[setting] for setting in across]):
        found = one.metrics.figures
        text = joined(
            (link(one.anchor, estimate_text(found["uf1"])), small(percent_text(found["accuracy"])))
        )
        share = PALEST + (1 - PALEST) * (one.rank[0] - low) / (high - low)
        row = cells.setdefault(tuple(one.run.varied[setting] for setting in across), {})
        row[one.run.varied[last]] = Tinted(text, tint(BLUE, share))
    rows = [
        Row(
            (
                ", ".join(f"{_setting(n)} {v}" for n, v in zip(across, values, strict=True)),
                *(row.get(column, NOTHING) for column in columns),
            )
        )
        for values, row in cells.items()
    ]
    header = ("", *(f"{_setting(last)} {value}" for value in columns))
    shown_name = "" if name == system else name
    caption = ", ".join(filter(None, (system, shown_name, dataset_title(dataset))))
    return table(header, rows, style="tinted", caption=caption)


def _setting(key: str) -> str:
    """Return the last part of a setting's name, with spaces."""
    return key.rpartition(".")[2].replace("_", " ")
