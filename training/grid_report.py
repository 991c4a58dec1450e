"""The report of trained and tested runs: one page, and one file with all its figures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.drawing.palette import BLUE, VERMILLION, class_marks
from realtime.types import UInt8Array
from training.contact_sheet import GAIN, strip
from training.evaluate import SIMULATED
from training.page import (
    NOTHING,
    Dot,
    Html,
    Row,
    Tinted,
    beside,
    counted,
    details,
    dots,
    duration,
    figure_cell,
    heading,
    interval,
    joined,
    link,
    listed,
    number,
    page,
    paragraph,
    percent,
    picture,
    plots,
    small,
    span,
    table,
    tiles,
    tint,
)
from training.preparation.sequence_file import SIMULATED as SIMULATED_DATASET
from training.protocols import PROTOCOLS, Protocol
from training.provenance import write_json
from training.published import (
    NOT_COMPARABLE,
    SPOTTING,
    WHOLE,
    Published,
    base_name,
    is_number,
    published,
    published_of,
    published_whole,
)
from training.results import FoldResult, Prediction, Run
from training.run_details import (
    PARTS,
    dataset_title,
    result_cells,
    run_details,
    shared_settings,
    spotting_details,
)
from training.run_figures import (
    FIGURES,
    RunFigures,
    SpottingFigures,
    confidence,
    predictions_of,
    run_figures,
    spots,
    spotting_figures,
    worst_predictions,
)

FacesOf = Callable[[Run, Prediction], tuple[UInt8Array, int] | None]
"""The aligned faces of a sample, uint8 [T, H, W], and which of them is the apex; None where they
cannot be had."""

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


@dataclass(frozen=True, slots=True)
class Result:
    """A run beside its figures. `anchor`: of its place on the page."""

    run: Run
    figures: RunFigures
    anchor: str

    @property
    def rank(self) -> tuple[float, ...]:
        """What the best is chosen by."""
        return tuple(self.figures.figures[name].value or 0.0 for name in ("uf1", "uar", "accuracy"))

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[self.run.protocol]

    @property
    def name(self) -> str:
        """System and name; the name alone where it begins with the system."""
        system, name = self.run.system, self.run.name
        return name if name.startswith(system) else f"{system}, {name}"


@dataclass(frozen=True, slots=True)
class Spotting:
    """A run that spots beside its figures. `anchor`: of its place on the page."""

    run: Run
    figures: SpottingFigures
    anchor: str


def write_report(
    folder: Path,
    title: str,
    runs: Sequence[Run],
    *,
    notes: Sequence[str] = (),
    faces_of: FacesOf | None = None,
) -> Path:
    """Write report.html and report.json into `folder`; give the page's path.

    `runs`: those that spot have a part of the page of their own. `notes`: sentences for the top of
    the page, such as what was left out. `faces_of`: where the pictures of wrongly named clips come
    from; there are none without it. Runs without a finished fold are named and left out.
    """
    finished = [run for run in runs if run.folds]
    unfinished = [run for run in runs if not run.folds]
    # What comes first is what can be compared with the papers, then what the field asks for.
    finished.sort(key=lambda run: PROTOCOLS[run.protocol].is_subject_independent)
    results = [
        Result(run, run_figures(run), f"run-{place}")
        for place, run in enumerate((run for run in finished if not spots(run)), start=1)
    ]
    spotting = [
        Spotting(run, spotting_figures(run), f"spotting-{place}")
        for place, run in enumerate((run for run in finished if spots(run)), start=1)
    ]
    write_json(folder / "report.json", _as_json(title, results, unfinished, notes, spotting))
    report = folder / "report.html"
    text = _page(title, results, unfinished, notes, faces_of, spotting)
    report.write_text(text, encoding="utf-8")
    return report


def _runs(results: Sequence[Result], spotting: Sequence[Spotting]) -> list[Run]:
    return [result.run for result in results] + [one.run for one in spotting]


# What report.json holds.


def _as_json(
    title: str,
    results: Sequence[Result],
    unfinished: Sequence[Run],
    notes: Sequence[str],
    spotting: Sequence[Spotting],
) -> dict[str, Any]:
    best = {result.anchor for result in _best_of_each(results)}
    shown = _runs(results, spotting)
    datasets = {run.dataset for run in shown}
    return {
        "title": title,
        "notes": list(notes),
        "protocols": {
            name: dataclasses.asdict(PROTOCOLS[name])
            for name in dict.fromkeys(run.protocol for run in shown)
        },
        "runs": [_run_json(result, is_best=result.anchor in best) for result in results],
        "unfinished": [
            {
                "name": run.name,
                "system": run.system,
                "dataset": run.dataset,
                "protocol": run.protocol,
            }
            for run in unfinished
        ],
        "spotting": [_spotting_json(one) for one in spotting],
        "published": [_published_json(one) for one in published() if one.dataset in datasets],
    }


def _run_json(result: Result, *, is_best: bool) -> dict[str, Any]:
    folds = [
        _fold_json(fold) | {"right": sum(one.said == one.label for one in fold.predictions)}
        for fold in result.run.folds
    ]
    return {
        **_about_json(result.run),
        "is_best_of_dataset_and_protocol": is_best,
        **dataclasses.asdict(result.figures),
        "folds": folds,
    }


def _spotting_json(one: Spotting) -> dict[str, Any]:
    return {
        **_about_json(one.run),
        **dataclasses.asdict(one.figures),
        "folds": [_fold_json(fold) | {"history": fold.history} for fold in one.run.folds],
    }


def _about_json(run: Run) -> dict[str, Any]:
    """All of a run but its folds."""
    return {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name != "folds"
    }


def _fold_json(fold: FoldResult) -> dict[str, Any]:
    return {
        "fold": fold.fold,
        **{name: dataclasses.asdict(getattr(fold, name)) for name in PARTS},
        "epoch": fold.epoch,
        "seconds": fold.seconds,
        "commit": fold.commit,
    }


def _published_json(one: Published) -> dict[str, Any]:
    figures = {
        name: None if getattr(one, name) is None else float(getattr(one, name))
        for name in ("accuracy_percent", "f1", "uar", "strs")
    }
    return {**dataclasses.asdict(one), **figures}


# What report.html shows.


def _page(
    title: str,
    results: Sequence[Result],
    unfinished: Sequence[Run],
    notes: Sequence[str],
    faces_of: FacesOf | None,
    spotting: Sequence[Spotting],
) -> str:
    protocols = list(dict.fromkeys(result.run.protocol for result in results))
    body = [
        *_warnings(results, spotting),
        *_unfinished(unfinished, has_any=bool(results or spotting)),
        *([_headlines(results)] if results else []),
        *(paragraph(note, "faint") for note in notes),
        *_overview(results, protocols),
        *(block for name in protocols for block in _protocol(PROTOCOLS[name], results)),
        *_spotting(spotting),
        *_worst(results, faces_of),
        *_each_run(results),
        *_about(results),
    ]
    return page(title, _subtitle(results, spotting), body)


def _subtitle(results: Sequence[Result], spotting: Sequence[Spotting]) -> str:
    shown = _runs(results, spotting)
    systems = list(dict.fromkeys(run.system for run in shown))
    datasets = list(dict.fromkeys(dataset_title(run.dataset) for run in shown))
    return f"{listed(systems)} on {listed(datasets)}." if shown else ""


def _warnings(results: Sequence[Result], spotting: Sequence[Spotting]) -> list[Html]:
    datasets = [{one.dataset for one in predictions_of(result.run)} for result in results]
    datasets += [{one.run.dataset} for one in spotting]
    simulated = [SIMULATED_DATASET in some for some in datasets]
    if not any(simulated):
        return []
    which = "" if all(simulated) else f"Of the dataset {SIMULATED_DATASET}: "
    return [paragraph(which + SIMULATED, "warning")]


def _unfinished(unfinished: Sequence[Run], *, has_any: bool) -> list[Html]:
    found = []
    if not has_any:
        found.append(paragraph("No run has a finished fold, so there are no figures to report."))
    if unfinished:
        names = "; ".join(
            f"{run.system}, {run.name}, {dataset_title(run.dataset)}, {run.protocol}"
            for run in unfinished
        )
        found.append(paragraph(f"Without a finished fold, and so not here: {names}.", "warning"))
    return found


def _headlines(results: Sequence[Result]) -> Html:
    runs = [result.run for result in results]
    folds = [fold for run in runs for fold in run.folds]
    # One dataset's samples have the same numbers in all its runs.
    samples = {
        (run.dataset, one.dataset, one.subject, one.clip, one.sample)
        for run in runs
        for one in predictions_of(run)
    }
    subjects = {(dataset, subject) for _, dataset, subject, _, _ in samples if subject}
    datasets = len({run.dataset for run in runs})
    protocols = len({run.protocol for run in runs})
    facts = [
        (str(len(runs)), "Runs", f"of {counted(len({run.system for run in runs}), 'system')}"),
        (str(len(folds)), "Networks trained", "one for each fold of a run"),
        (str(len(samples)), "Samples tested", f"of {counted(datasets, 'dataset')}"),
        (str(len(subjects)) if subjects else "unknown", "People tested", ""),
        (str(protocols), "Protocol" if protocols == 1 else "Protocols", ""),
        (duration(sum(fold.seconds for fold in folds)), "Training time", "of all folds together"),
    ]
    return tiles(facts)


def _best(results: Iterable[Result]) -> Result | None:
    return max(results, key=lambda result: result.rank, default=None)


def _unseen_rank(result: Result) -> tuple[bool, tuple[float, ...]]:
    """Figures on people never seen go before all others."""
    return result.protocol.is_subject_independent, result.rank


def _best_of_each(results: Sequence[Result]) -> list[Result]:
    """The best run of each protocol and dataset."""
    found: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.run.protocol, result.run.dataset)
        if key not in found or result.rank > found[key].rank:
            found[key] = result
    return list(found.values())


def _best_of_datasets(results: Sequence[Result]) -> list[Result]:
    """The best run of each dataset, on people never seen where there are such runs."""
    found: dict[str, Result] = {}
    for result in sorted(_best_of_each(results), key=_unseen_rank):
        found[result.run.dataset] = result
    return list(found.values())


def _overview(results: Sequence[Result], protocols: Sequence[str]) -> list[Html]:
    """The same system under each protocol, beside what was published of it."""
    pairs = list(dict.fromkeys((result.run.system, result.run.dataset) for result in results))
    quoted = {pair: published_whole(*pair) for pair in pairs}
    is_quoted = any(quoted.values())
    if len(protocols) < 2 and not is_quoted:
        return []
    rows = []
    for pair in pairs:
        own = [one for one in results if (one.run.system, one.run.dataset) == pair]
        bests = [_best(one for one in own if one.run.protocol == name) for name in protocols]
        theirs = quoted[pair]
        rows.append(
            Row(
                (
                    joined((pair[0], small(dataset_title(pair[1])))),
                    *[NOTHING if theirs is None else _quote(theirs)] * is_quoted,
                    *(NOTHING if best is None else _overview_cell(best) for best in bests),
                )
            )
        )
    header = (
        "system",
        *[joined(("published", small("by its authors")))] * is_quoted,
        *(
            joined((PROTOCOLS[name].title, small(_independence(PROTOCOLS[name]))))
            for name in protocols
        ),
    )
    return [
        heading("The same systems under each protocol"),
        paragraph(
            "In each cell: accuracy in %, macro F1 (UF1), and in small letters its 95 % interval "
            "over subjects. Of several runs, the one with the highest UF1 in the test."
        ),
        table(header, rows),
        *([paragraph(NOT_COMPARABLE, "faint")] if is_quoted else []),
    ]


def _independence(protocol: Protocol) -> str:
    if protocol.is_subject_independent:
        return "people never seen in training"
    return "not subject-independent"


def _overview_cell(result: Result) -> Html:
    found = result.figures.figures
    text = f"{percent(found['accuracy'])} · {number(found['uf1'])}"
    return joined((link(result.anchor, text), small(interval(found["uf1"], 2))))


def _quote(one: Published) -> Html:
    figures = (one.accuracy_percent, one.f1)
    text = " · ".join(NOTHING if figure is None else str(figure) for figure in figures)
    return joined((text, small(PROTOCOLS[one.protocol].title)))


# One protocol.


def _protocol(protocol: Protocol, results: Sequence[Result]) -> list[Html]:
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


Group = tuple[str, str, str]
"""System, what the run is called without what its settings add, and dataset."""


def _groups(results: Sequence[Result]) -> dict[Group, list[Result]]:
    """Runs that differ in nothing but plain numbers (batch, epochs, seed) belong together."""
    groups: dict[Group, list[Result]] = {}
    for result in results:
        run = result.run
        groups.setdefault((run.system, base_name(run), run.dataset), []).append(result)
    return groups


def _comparison(
    protocol: Protocol, results: Sequence[Result], groups: Mapping[Group, Sequence[Result]]
) -> Html:
    """A row a recipe, columns for each dataset; published figures under the row they belong to."""
    datasets = list(dict.fromkeys(result.run.dataset for result in results))
    recipes = list(dict.fromkeys((system, name) for system, name, _ in groups))
    shown = {key: best for key, group in groups.items() if (best := _best(group))}
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


def _words(system: str, name: str, run: Run, size: int) -> str:
    """What stands under a system: which of its runs it is."""
    told = "" if name == system else name
    words = ": ".join(filter(None, (told, run.title)))
    return "; ".join(filter(None, (words, f"best of {size} settings" * (size > 1))))


def _tops(shown: Mapping[Group, Result], dataset: str) -> list[float]:
    """The highest of each of FIGURES."""
    own = [result.figures.figures for (*_, one), result in shown.items() if one == dataset]
    return [max(figures[name].value or 0.0 for figures in own) for name in FIGURES]


def _tested(results: Sequence[Result], dataset: str) -> str:
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


def _commonest_row(datasets: Sequence[str], shown: Mapping[Group, Result]) -> Row:
    """What a network has to be better than."""
    cells: list[object] = [joined(("no network", small("always the commonest class")))]
    for dataset in datasets:
        best = _best(result for (*_, one), result in shown.items() if one == dataset)
        found = best.figures.commonest if best else {}
        cells += [
            f"{100 * found[name]:.1f}" if name == "accuracy" else f"{found[name]:.3f}"
            for name in FIGURES
        ]
    return Row(cells)


def _dots(groups: Mapping[Group, Sequence[Result]]) -> Iterator[Html]:
    """UF1 of the recipes beside each other, where a dataset has several."""
    shown = {key: best for key, group in groups.items() if (best := _best(group))}
    for dataset in dict.fromkeys(dataset for *_, dataset in shown):
        own = {key: result for key, result in shown.items() if key[-1] == dataset}
        top = _best(own.values())
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


def _settings(groups: Mapping[Group, Sequence[Result]]) -> list[Html]:
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


def _settings_table(key: Group, group: Sequence[Result], low: float, high: float) -> Html:
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


# What was spotted, and what was wrong.


def _spotting(spotting: Sequence[Spotting]) -> list[Html]:
    """All runs that spot, beside what was published, and each of them."""
    if not spotting:
        return []
    names = {"f1": 3, "precision": 3, "recall": 3, "strs": 3, "false_per_minute": 2}
    rows = [
        Row(
            (
                joined((link(one.anchor, one.run.system), small(_spotting_words(one.run)))),
                *(figure_cell(one.figures.figures[name], digits) for name, digits in names.items()),
            )
        )
        for one in spotting
    ]
    datasets = {one.run.dataset for one in spotting}
    rows += [
        Row(
            (
                joined((one.system, small(f"{dataset_title(one.dataset)}; {one.source}"))),
                *(_printed(getattr(one, name, None)) for name in names),
            ),
            "quoted",
        )
        for one in published()
        if one.protocol == SPOTTING and one.dataset in datasets
    ]
    protocols = dict.fromkeys(one.run.protocol for one in spotting)
    statements = [f"{PROTOCOLS[name].title}: {PROTOCOLS[name].statement}" for name in protocols]
    lacks_intervals = any(one.figures.subjects < 2 for one in spotting)
    return [
        heading("Spotting"),
        *(paragraph(statement) for statement in statements),
        paragraph(
            "F1 of spotted intervals that overlap a true one by at least half; STRS is that times "
            "the macro F1 of their classes."
        ),
        table(
            ("system", "F1", "precision", "recall", "STRS", "false a minute"), rows, style="long"
        ),
        paragraph(INTERVAL_NOTE, "faint"),
        *([paragraph(NO_INTERVAL_NOTE, "faint")] if lacks_intervals else []),
        *(
            details(
                f"{one.run.system}, {_spotting_words(one.run)}: "
                f"spotting F1 {number(one.figures.figures['f1'])}, "
                f"STRS {number(one.figures.figures['strs'])}",
                spotting_details(one.run, one.figures),
                anchor=one.anchor,
                is_open=len(spotting) == 1,
            )
            for one in spotting
        ),
    ]


def _spotting_words(run: Run) -> str:
    name = "" if run.name == run.system else run.name
    title = PROTOCOLS[run.protocol].title
    return ", ".join(filter(None, (name, dataset_title(run.dataset), title)))


def _printed(figure: object) -> str:
    return NOTHING if figure is None else str(figure)


def _worst(results: Sequence[Result], faces_of: FacesOf | None) -> list[Html]:
    if faces_of is None:
        return []
    blocks: list[Html] = []
    for result in _best_of_datasets(results):
        run, marks = result.run, class_marks(result.run.labels)
        pictures = []
        for one in worst_predictions(run):
            found = faces_of(run, one)
            if found is None:
                continue
            words = (
                f"true {marks[one.label]} {one.label}, said {marks[one.said]} {one.said} "
                f"({confidence(run, one):.2f}); {_whose(one)}clip {one.clip}"
            )
            pictures.append(picture(strip(*found), f"Aligned face around the apex: {words}", words))
        if pictures:
            where = f"{result.name}, {dataset_title(run.dataset)}, {result.protocol.title}"
            blocks += [heading(where, 3), *pictures]
    if not blocks:
        return []
    return [
        heading("Wrong, and sure of it"),
        paragraph(
            "Of the best run of each dataset, tested on people never seen where there are such "
            "runs, the samples that were named wrongly with the highest probability. In order of "
            "time, the apex underlined; last: what changed from the first picture to the apex, "
            f"{GAIN} times as strong."
        ),
        *blocks,
    ]


def _whose(one: Prediction) -> str:
    return f"subject {one.subject}, " if one.subject else ""


# Each run.


def _each_run(results: Sequence[Result]) -> list[Html]:
    if not results:
        return []
    best = {result.anchor for result in _best_of_each(results)}
    opened = max(results, key=_unseen_rank)
    shared = shared_settings([result.run for result in results])
    blocks = [
        heading("Each run"),
        paragraph("★ the best of its dataset under its protocol, by UF1. A click opens a run."),
    ]
    order = list(dict.fromkeys(map(_place, results)))
    ordered = sorted(results, key=lambda result: order.index(_place(result)))
    for (dataset, protocol), group in itertools.groupby(ordered, _place):
        blocks.append(heading(f"{dataset}, {protocol}", 3))
        for result in group:
            found = result.figures.figures
            summary = (
                f"{'★ ' * (result.anchor in best)}{result.name}: UF1 {number(found['uf1'])}, "
                f"UAR {number(found['uar'])}, accuracy {percent(found['accuracy'])} %"
            )
            body = run_details(result.run, result.figures, shared)
            is_open = result is opened
            blocks.append(details(summary, body, anchor=result.anchor, is_open=is_open))
    return blocks


def _place(result: Result) -> tuple[str, str]:
    """Dataset and protocol, in words."""
    return dataset_title(result.run.dataset), result.protocol.title


def _about(results: Sequence[Result]) -> list[Html]:
    shared = shared_settings([result.run for result in results])
    if not shared:
        return []
    return [
        heading("How they were made"),
        paragraph("What all runs have in common; what is a run's own stands with it."),
        table(("setting", "value"), [Row(line) for line in shared.items()], style="text"),
    ]
