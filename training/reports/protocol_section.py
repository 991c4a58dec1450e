"""Tables of a grid's results, protocol by protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from realtime.drawing.palette import BLUE, VERMILLION
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
from training.evaluation.run_metrics import FIGURES
from training.reports.grid_results import RecognitionResult, best_result
from training.reports.html import (
    NOTHING,
    Html,
    Row,
    Tinted,
    beside,
    heading,
    joined,
    link,
    number,
    paragraph,
    percent,
    plots,
    small,
    span,
    table,
    tint,
)
from training.reports.plots import Dot, dots
from training.reports.run_details import dataset_title, result_cells

LEAST_SPAN = 0.1
"""Of the colours of a table of settings, in UF1: smaller differences are to look small."""

PALEST = 0.08
"""Of those colours: even the lowest figure has a ground."""

NAMES_IN, SHORT = 1.75, 26
"""Room for the names of runs beside a plot, and how many letters that is."""

INTERVAL_NOTE = (
    "In small letters: 95 % intervals over subjects (bootstrap). One without width is no "
    "certainty: nothing else was seen among so few."
)
BEST_NOTE = (
    f"★ the best of its column among the runs. {INTERVAL_NOTE} Runs whose intervals overlap widely "
    "cannot be told apart with these people. In the plot, the broken line is the UF1 of always "
    "saying the commonest class."
)
NO_INTERVAL_NOTE = (
    "There is no interval where there is only one subject, or nothing says who is who."
)
CHOSEN_NOTE = (
    "Where a row stands for several settings, it shows the one with the highest UF1 in the test "
    "itself, which flatters it a little; each setting's own figure is below."
)


# One protocol.


def protocol_section(protocol: Protocol, results: Sequence[RecognitionResult]) -> list[Html]:
    own = [result for result in results if result.run.protocol == protocol.name]
    groups = _groups(own)
    compared = list(_dots(groups))
    lacks_intervals = any(result.figures.figures["uf1"].low is None for result in own)
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
"""System, what the run is called without what its settings add, and dataset."""


def _groups(results: Sequence[RecognitionResult]) -> dict[RunKey, list[RecognitionResult]]:
    """Runs that differ in nothing but plain numbers (batch, epochs, seed) belong together."""
    groups: dict[RunKey, list[RecognitionResult]] = {}
    for result in results:
        run = result.run
        groups.setdefault((run.system, base_name(run), run.dataset), []).append(result)
    return groups


def _comparison(
    protocol: Protocol,
    results: Sequence[RecognitionResult],
    groups: Mapping[RunKey, Sequence[RecognitionResult]],
) -> Html:
    """A row a recipe, columns for each dataset; published figures under the row they belong to."""
    datasets = list(dict.fromkeys(result.run.dataset for result in results))
    recipes = list(dict.fromkeys((system, name) for system, name, _ in groups))
    shown = {key: best for key, group in groups.items() if (best := best_result(group))}
    rows: list[Row] = []
    for recipe in recipes:
        bests = [shown.get((*recipe, dataset)) for dataset in datasets]
        size = max(len(groups.get((*recipe, dataset), [])) for dataset in datasets)
        words = _words(*recipe, next(best.run for best in bests if best), size)
        cells: list[object] = [joined((recipe[0], small(words)))]
        for dataset, best in zip(datasets, bests, strict=True):
            top = _tops(shown, dataset) if len(recipes) > 1 else []
            if best:
                cells += result_cells(best.figures.figures, top, best.anchor)
            else:
                cells += [NOTHING] * len(FIGURES)
        rows.append(Row(cells))
        quotes = [published_of(best.run) if best else None for best in bests]
        if any(quotes):
            rows.append(_quoted_row(quotes))
    rows.append(_commonest_row(datasets, shown))
    rows += _others_rows(protocol.name, datasets, {system for system, _ in recipes})
    header = ("run", *("accuracy %", "UF1", "UAR") * len(datasets))
    above = [
        (joined((dataset_title(name), small(_tested(results, name)))), len(FIGURES))
        for name in datasets
    ]
    return table(header, rows, above=above, style="long")


def _words(system: str, name: str, run: ProtocolRun, size: int) -> str:
    """What stands under a system: which of its runs it is."""
    told = "" if name == system else name
    words = ": ".join(filter(None, (told, run.title)))
    return "; ".join(filter(None, (words, f"best of {size} settings" * (size > 1))))


def _tops(shown: Mapping[RunKey, RecognitionResult], dataset: str) -> list[float]:
    """The highest of each of FIGURES."""
    own = [result.figures.figures for (*_, one), result in shown.items() if one == dataset]
    return [max(figures[name].value or 0.0 for figures in own) for name in FIGURES]


def _tested(results: Sequence[RecognitionResult], dataset: str) -> str:
    figures = [result.figures for result in results if result.run.dataset == dataset]
    samples = f"{span(one.samples for one in figures)} samples"
    subjects = [one.subjects for one in figures if one.subjects is not None]
    return f"{samples} of {span(subjects)} people tested" if subjects else f"{samples} tested"


def _quoted_row(quotes: Sequence[Published | None], system: str = "") -> Row:
    known = [one for one in quotes if one]
    experiments = sorted({f"experiment {one.experiment}" for one in known if one.experiment})
    words = "; ".join([*experiments, *sorted({one.source for one in known})])
    cells: list[object] = [joined((system or "published", small(words)))]
    for one in quotes:
        figures = (one.accuracy_percent, one.f1, one.uar) if one else (None,) * len(FIGURES)
        cells += [NOTHING if figure is None else str(figure) for figure in figures]
    return Row(cells, "quoted")


def _others_rows(protocol: str, datasets: Sequence[str], systems: Collection[str]) -> list[Row]:
    """What was published of other systems than these; a row has all datasets of a source."""
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
    """What a network has to be better than."""
    cells: list[object] = [joined(("no network", small("always the commonest class")))]
    for dataset in datasets:
        best = best_result(result for (*_, one), result in shown.items() if one == dataset)
        found = best.figures.commonest if best else {}
        cells += [
            f"{100 * found[name]:.1f}" if name == "accuracy" else f"{found[name]:.3f}"
            for name in FIGURES
        ]
    return Row(cells)


def _dots(groups: Mapping[RunKey, Sequence[RecognitionResult]]) -> Iterator[Html]:
    """UF1 of the recipes beside each other, where a dataset has several."""
    shown = {key: best for key, group in groups.items() if (best := best_result(group))}
    for dataset in dict.fromkeys(dataset for *_, dataset in shown):
        own = {key: result for key, result in shown.items() if key[-1] == dataset}
        top = best_result(own.values())
        if top is None or len(own) < 2:
            continue
        figures = [result.figures.figures["uf1"] for result in own.values()]
        commonest = top.figures.commonest["uf1"]
        ends = [end for one in figures for end in (one.value, one.low, one.high) if end is not None]
        yield dots(
            f"UF1, {dataset_title(dataset)}",
            f"UF1 on {dataset_title(dataset)}",
            [
                Dot(_short(system, name), result.figures.figures["uf1"], result is top)
                for (system, name, _), result in own.items()
            ],
            "UF1",
            (min(*ends, commonest) - 0.02, max(*ends, commonest) + 0.02),
            marked=(VERMILLION, "*"),
            lines=[(commonest, "--")],
            left_in=NAMES_IN,
        )


def _short(system: str, name: str) -> str:
    """What fits beside a plot."""
    text = system if name in ("", system) else f"{system} {name.removeprefix('experiment ')}"
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _settings(groups: Mapping[RunKey, Sequence[RecognitionResult]]) -> list[Html]:
    """A small tinted table of UF1 for each recipe with several settings."""
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
) -> Html:
    """The last setting that varies in columns, all others in rows."""
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
        found = one.figures.figures
        text = joined((link(one.anchor, number(found["uf1"])), small(percent(found["accuracy"]))))
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
    told = "" if name == system else name
    caption = ", ".join(filter(None, (system, told, dataset_title(dataset))))
    return table(header, rows, style="tinted", caption=caption)


def _setting(key: str) -> str:
    """The last part of a setting's name, in words."""
    return key.rpartition(".")[2].replace("_", " ")
