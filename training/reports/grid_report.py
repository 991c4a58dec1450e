"""Report of trained and tested runs: an HTML page, and a JSON file with all metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from realtime.drawing.palette import class_markers
from realtime.reports.formatting import NOTHING, counted, duration
from realtime.types import UInt8Array
from training.evaluation.measures import SIMULATED_NOTE
from training.evaluation.protocols import PROTOCOLS, Protocol
from training.evaluation.published import (
    NOT_COMPARABLE,
    SPOTTING,
    Published,
    published,
    published_whole,
)
from training.evaluation.results import Prediction, ProtocolRun
from training.evaluation.run_metrics import (
    confidence,
    metrics_of_run,
    predictions_of,
    spots,
    spotting_metrics_of_run,
    worst_predictions,
)
from training.preparation.sequence_file import SIMULATED_DATASET
from training.provenance import write_json
from training.reports.contact_sheet import GAIN, strip
from training.reports.grid_results import (
    RecognitionResult,
    SpottingResult,
    best_of_datasets,
    best_of_each,
    best_result,
    results_to_json,
    runs_of,
    unseen_rank,
)
from training.reports.html import (
    Row,
    details,
    estimate_cell,
    estimate_text,
    heading,
    interval,
    joined,
    link,
    listed,
    page,
    paragraph,
    percent_text,
    small,
    table,
    tiles,
)
from training.reports.plots import picture
from training.reports.protocol_section import INTERVAL_NOTE, NO_INTERVAL_NOTE, protocol_section
from training.reports.run_details import (
    dataset_title,
    run_details,
    shared_settings,
    spotting_details,
)

FacesOf = Callable[[ProtocolRun, Prediction], tuple[UInt8Array, int] | None]
"""Function from a run and a prediction to the sample's aligned faces and its apex slot.

Faces: uint8 [T, H, W]. The function returns None where there are no pictures.
"""


def write_report(
    folder: Path,
    title: str,
    runs: Sequence[ProtocolRun],
    *,
    notes: Sequence[str] = (),
    faces_of: FacesOf | None = None,
) -> Path:
    """Write report.html and report.json into `folder`; return the page's path.

    `runs`: recognition runs and spotting runs; the latter have their own part of the page. Runs
    without a finished fold are named and left out. `notes`: sentences for the top of the page, such
    as what was left out. `faces_of`: source of the pictures of wrongly named clips; without it the
    page has none.
    """
    finished = [run for run in runs if run.folds]
    unfinished = [run for run in runs if not run.folds]
    # First the protocols of the papers, for comparison, then the subject-independent protocols.
    finished.sort(key=lambda run: PROTOCOLS[run.protocol].is_subject_independent)
    results = [
        RecognitionResult(run, metrics_of_run(run), f"run-{place}")
        for place, run in enumerate((run for run in finished if not spots(run)), start=1)
    ]
    spotting = [
        SpottingResult(run, spotting_metrics_of_run(run), f"spotting-{place}")
        for place, run in enumerate((run for run in finished if spots(run)), start=1)
    ]
    write_json(folder / "report.json", results_to_json(title, results, unfinished, notes, spotting))
    report = folder / "report.html"
    text = _page(title, results, unfinished, notes, faces_of, spotting)
    report.write_text(text, encoding="utf-8")
    return report


# Contents of report.html.


def _page(
    title: str,
    results: Sequence[RecognitionResult],
    unfinished: Sequence[ProtocolRun],
    notes: Sequence[str],
    faces_of: FacesOf | None,
    spotting: Sequence[SpottingResult],
) -> str:
    protocols = list(dict.fromkeys(result.run.protocol for result in results))
    body = [
        *_warnings(results, spotting),
        *_unfinished(unfinished, has_any=bool(results or spotting)),
        *([_headlines(results)] if results else []),
        *(paragraph(note, "faint") for note in notes),
        *_overview(results, protocols),
        *(block for name in protocols for block in protocol_section(PROTOCOLS[name], results)),
        *_spotting(spotting),
        *_worst(results, faces_of),
        *_each_run(results),
        *_about(results),
    ]
    return page(title, _subtitle(results, spotting), body)


def _subtitle(results: Sequence[RecognitionResult], spotting: Sequence[SpottingResult]) -> str:
    shown = runs_of(results, spotting)
    systems = list(dict.fromkeys(run.system for run in shown))
    datasets = list(dict.fromkeys(dataset_title(run.dataset) for run in shown))
    return f"{listed(systems)} on {listed(datasets)}." if shown else ""


def _warnings(
    results: Sequence[RecognitionResult], spotting: Sequence[SpottingResult]
) -> list[Markup]:
    datasets = [{one.dataset for one in predictions_of(result.run)} for result in results]
    datasets += [{one.run.dataset} for one in spotting]
    simulated = [SIMULATED_DATASET in some for some in datasets]
    if not any(simulated):
        return []
    which = "" if all(simulated) else f"Of the dataset {SIMULATED_DATASET}: "
    return [paragraph(which + SIMULATED_NOTE, "warning")]


def _unfinished(unfinished: Sequence[ProtocolRun], *, has_any: bool) -> list[Markup]:
    found = []
    if not has_any:
        found.append(paragraph("No run has a finished fold, so there are no results to report."))
    if unfinished:
        names = "; ".join(
            f"{run.system}, {run.name}, {dataset_title(run.dataset)}, {run.protocol}"
            for run in unfinished
        )
        found.append(paragraph(f"Without a finished fold, and so not here: {names}.", "warning"))
    return found


def _headlines(results: Sequence[RecognitionResult]) -> Markup:
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
    values = [
        (str(len(runs)), "Runs", f"of {counted(len({run.system for run in runs}), 'system')}"),
        (str(len(folds)), "Networks trained", "one for each fold of a run"),
        (str(len(samples)), "Samples tested", f"of {counted(datasets, 'dataset')}"),
        (str(len(subjects)) if subjects else "unknown", "People tested", ""),
        (str(protocols), "Protocol" if protocols == 1 else "Protocols", ""),
        (duration(sum(fold.seconds for fold in folds)), "Training time", "of all folds together"),
    ]
    return tiles(values)


def _overview(results: Sequence[RecognitionResult], protocols: Sequence[str]) -> list[Markup]:
    """Compare the same systems under each protocol, and with published results."""
    pairs = list(dict.fromkeys((result.run.system, result.run.dataset) for result in results))
    quoted = {pair: published_whole(*pair) for pair in pairs}
    is_quoted = any(quoted.values())
    if len(protocols) < 2 and not is_quoted:
        return []
    rows = []
    for pair in pairs:
        own = [one for one in results if (one.run.system, one.run.dataset) == pair]
        bests = [best_result(one for one in own if one.run.protocol == name) for name in protocols]
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


def _overview_cell(result: RecognitionResult) -> Markup:
    found = result.metrics.figures
    text = f"{percent_text(found['accuracy'])} · {estimate_text(found['uf1'])}"
    return joined((link(result.anchor, text), small(interval(found["uf1"], 2))))


def _quote(one: Published) -> Markup:
    values = (one.accuracy_percent, one.f1)
    text = " · ".join(NOTHING if value is None else str(value) for value in values)
    return joined((text, small(PROTOCOLS[one.protocol].title)))


# Spotting, and confident errors.


def _spotting(spotting: Sequence[SpottingResult]) -> list[Markup]:
    """Compare all spotting runs with published results, and show each run's details."""
    if not spotting:
        return []
    names = {"f1": 3, "precision": 3, "recall": 3, "strs": 3, "false_per_minute": 2}
    rows = [
        Row(
            (
                joined((link(one.anchor, one.run.system), small(_spotting_title(one.run)))),
                *(
                    estimate_cell(one.metrics.figures[name], digits)
                    for name, digits in names.items()
                ),
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
    lacks_intervals = any(one.metrics.subjects < 2 for one in spotting)
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
                f"{one.run.system}, {_spotting_title(one.run)}: "
                f"spotting F1 {estimate_text(one.metrics.figures['f1'])}, "
                f"STRS {estimate_text(one.metrics.figures['strs'])}",
                spotting_details(one.run, one.metrics),
                anchor=one.anchor,
                is_open=len(spotting) == 1,
            )
            for one in spotting
        ),
    ]


def _spotting_title(run: ProtocolRun) -> str:
    name = "" if run.name == run.system else run.name
    title = PROTOCOLS[run.protocol].title
    return ", ".join(filter(None, (name, dataset_title(run.dataset), title)))


def _printed(figure: object) -> str:
    return NOTHING if figure is None else str(figure)


def _worst(results: Sequence[RecognitionResult], faces_of: FacesOf | None) -> list[Markup]:
    if faces_of is None:
        return []
    blocks: list[Markup] = []
    for result in best_of_datasets(results):
        run, marks = result.run, class_markers(result.run.labels)
        pictures = []
        for one in worst_predictions(run):
            found = faces_of(run, one)
            if found is None:
                continue
            caption = (
                f"true {marks[one.label]} {one.label}, predicted {marks[one.said]} {one.said} "
                f"({confidence(run, one):.2f}); {_whose(one)}clip {one.clip}"
            )
            pictures.append(
                picture(strip(*found), f"Aligned face around the apex: {caption}", caption)
            )
        if pictures:
            where = f"{result.name}, {dataset_title(run.dataset)}, {result.protocol.title}"
            blocks += [heading(where, 3), *pictures]
    if not blocks:
        return []
    return [
        heading("Confident errors"),
        paragraph(
            "The samples with a wrong class of the highest probability, from the best run of each "
            "dataset; runs tested on people never seen in training come first. In order of time, "
            "the apex underlined; last: the difference between the first picture and the apex, "
            f"{GAIN} times as strong."
        ),
        *blocks,
    ]


def _whose(one: Prediction) -> str:
    return f"subject {one.subject}, " if one.subject else ""


# Each run.


def _each_run(results: Sequence[RecognitionResult]) -> list[Markup]:
    if not results:
        return []
    best = {result.anchor for result in best_of_each(results)}
    opened = max(results, key=unseen_rank)
    shared = shared_settings([result.run for result in results])
    blocks = [
        heading("Each run"),
        paragraph("★: best run of its dataset under its protocol, by UF1. Click a run to open it."),
    ]
    order = list(dict.fromkeys(map(_place, results)))
    ordered = sorted(results, key=lambda result: order.index(_place(result)))
    for (dataset, protocol), group in itertools.groupby(ordered, _place):
        blocks.append(heading(f"{dataset}, {protocol}", 3))
        for result in group:
            found = result.metrics.figures
            summary = (
                f"{'★ ' * (result.anchor in best)}{result.name}: "
                f"UF1 {estimate_text(found['uf1'])}, UAR {estimate_text(found['uar'])}, "
                f"accuracy {percent_text(found['accuracy'])} %"
            )
            body = run_details(result.run, result.metrics, shared)
            is_open = result is opened
            blocks.append(details(summary, body, anchor=result.anchor, is_open=is_open))
    return blocks


def _place(result: RecognitionResult) -> tuple[str, str]:
    """Return the titles of dataset and protocol."""
    return dataset_title(result.run.dataset), result.protocol.title


def _about(results: Sequence[RecognitionResult]) -> list[Markup]:
    shared = shared_settings([result.run for result in results])
    if not shared:
        return []
    return [
        heading("How they were made"),
        paragraph("Settings that all runs have in common; each run lists its own settings."),
        table(("setting", "value"), [Row(line) for line in shared.items()], style="text"),
    ]
