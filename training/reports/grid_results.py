"""Results of a grid, ranked and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.protocols import PROTOCOLS, Protocol
from training.evaluation.published import Published, published
from training.evaluation.results import FoldResult, ProtocolRun
from training.evaluation.run_metrics import RunMetrics, SpottingMetrics
from training.reports.run_details import PARTS


@dataclass(frozen=True, slots=True)
class RecognitionResult:
    """A recognition run with its metrics. `anchor`: HTML id of its place on the page."""

    run: ProtocolRun
    metrics: RunMetrics
    anchor: str

    @property
    def rank(self) -> tuple[float, ...]:
        """UF1, UAR and accuracy, by which the best run is chosen."""
        return tuple(self.metrics.figures[name].value or 0.0 for name in ("uf1", "uar", "accuracy"))

    @property
    def protocol(self) -> Protocol:
        """Protocol of the run."""
        return PROTOCOLS[self.run.protocol]

    @property
    def name(self) -> str:
        """System and name, or the name alone where it begins with the system."""
        system, name = self.run.system, self.run.name
        return name if name.startswith(system) else f"{system}, {name}"


@dataclass(frozen=True, slots=True)
class SpottingResult:
    """A spotting run with its metrics. `anchor`: HTML id of its place on the page."""

    run: ProtocolRun
    metrics: SpottingMetrics
    anchor: str


def runs_of(
    results: Sequence[RecognitionResult], spotting: Sequence[SpottingResult]
) -> list[ProtocolRun]:
    """Return the runs of all results, recognition first."""
    return [result.run for result in results] + [one.run for one in spotting]


# Contents of report.json.


def results_to_json(
    title: str,
    results: Sequence[RecognitionResult],
    unfinished: Sequence[ProtocolRun],
    notes: Sequence[str],
    spotting: Sequence[SpottingResult],
) -> dict[str, Any]:
    """Return the contents of report.json."""
    best = {result.anchor for result in best_of_each(results)}
    shown = runs_of(results, spotting)
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


def _run_json(result: RecognitionResult, *, is_best: bool) -> dict[str, Any]:
    folds = [
        _fold_json(fold) | {"right": sum(one.said == one.label for one in fold.predictions)}
        for fold in result.run.folds
    ]
    return {
        **_about_json(result.run),
        "is_best_of_dataset_and_protocol": is_best,
        **dataclasses.asdict(result.metrics),
        "folds": folds,
    }


def _spotting_json(one: SpottingResult) -> dict[str, Any]:
    return {
        **_about_json(one.run),
        **dataclasses.asdict(one.metrics),
        "folds": [_fold_json(fold) | {"history": fold.history} for fold in one.run.folds],
    }


def _about_json(run: ProtocolRun) -> dict[str, Any]:
    """Return all fields of a run but its folds."""
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
    metrics = {
        name: None if getattr(one, name) is None else float(getattr(one, name))
        for name in ("accuracy_percent", "f1", "uar", "strs")
    }
    return {**dataclasses.asdict(one), **metrics}


def best_result(results: Iterable[RecognitionResult]) -> RecognitionResult | None:
    """Return the result with the highest UF1, None where there is none."""
    return max(results, key=lambda result: result.rank, default=None)


def unseen_rank(result: RecognitionResult) -> tuple[bool, tuple[float, ...]]:
    """Return a sort key that puts results on people never seen in training above all others."""
    return result.protocol.is_subject_independent, result.rank


def best_of_each(results: Sequence[RecognitionResult]) -> list[RecognitionResult]:
    """Return the best run of each protocol and dataset."""
    found: dict[tuple[str, str], RecognitionResult] = {}
    for result in results:
        key = (result.run.protocol, result.run.dataset)
        if key not in found or result.rank > found[key].rank:
            found[key] = result
    return list(found.values())


def best_of_datasets(results: Sequence[RecognitionResult]) -> list[RecognitionResult]:
    """Return the best run of each dataset, on people never seen where there are such runs."""
    found: dict[str, RecognitionResult] = {}
    for result in sorted(best_of_each(results), key=unseen_rank):
        found[result.run.dataset] = result
    return list(found.values())
