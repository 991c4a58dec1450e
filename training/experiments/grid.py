"""Grids of runs: every setting on every dataset under every protocol, fold by fold.

Each finished fold is written at once, so an interrupted grid continues where it stopped; the
report is made from these files alone.

Example:

    from pathlib import Path
    from training.experiments.grid import load_grid, run_grid

    grid = load_grid("networks", changes={"training.epochs": 20})
    report = run_grid(grid, [Path("prepared")], Path("runs"), jobs=4)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from realtime.errors import KilasError
from realtime.parallel.process_pool import run_tasks
from realtime.types import UInt8Array
from training.batches.balancing import check_balance
from training.batches.samples import LeftOut, Samples
from training.evaluation.protocols import composite_note, plan_folds
from training.evaluation.results import Prediction, ProtocolRun, read_fold, write_fold
from training.experiments.folds import FoldTask, content_key, run_fold
from training.experiments.recognition_folds import samples_of
from training.experiments.spotting_folds import STATEMENT, VALIDATION_SHARE, load_sequences
from training.models.train import build_network, for_data
from training.preparation.sequence_file import open_files
from training.provenance import ensure_same_inputs, sha256_of
from training.recipe import RECIPES, load_recipe, read_toml, weights_from
from training.reports.grid_report import FacesOf, write_report

GRIDS = RECIPES / "grids"

COMPOSITE = "composite"
"""Name of the dataset of a run on several datasets at once."""

MEGC = "megc"
"""Set of classes that the composite has."""

FOLDS_PER_PROCESS = 12
"""Folds that a process trains before another process takes its place.

Each fold leaves about 30 MB behind in TensorFlow, and there may be thousands of folds.
"""

FOLDS_FOLDER = "folds"

GROUPS = 5
"""Default number of subject groups, for protocols that divide subjects into groups."""

SPOTTING_PROTOCOLS = ("loso", "leave-subjects-out")
"""Protocols that can divide whole recordings."""

_TABLES = {"title", "protocols", "folds", "classes", "set", "vary", "runs"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One recipe with some of its settings changed.

    `varied`: the changes in which it differs from the other settings of the grid.
    """

    name: str
    title: str
    recipe: str
    changes: dict[str, Any]
    varied: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """All runs of a grid, before they are combined with datasets.

    `classes`: the set of classes of each dataset for which it is not the recipe's. `folds`: number
    of subject groups, for protocols that divide subjects into groups.
    """

    title: str
    protocols: tuple[str, ...]
    settings: tuple[Setting, ...]
    classes: dict[str, str]
    folds: int


def single(recipe: str, protocol: str, changes: Mapping[str, Any]) -> Grid:
    """Return the grid of one recipe under one protocol."""
    name = Path(recipe).stem
    setting = Setting(name, "", recipe, dict(changes), {})
    return Grid(f"{name} under {protocol}", (protocol,), (setting,), {}, folds=GROUPS)


def load_grid(name_or_path: str, changes: Mapping[str, Any], only: Sequence[str] = ()) -> Grid:
    """Load a grid of the project by its name, or from a TOML file.

    The file has `title`, `protocols` and a [[runs]] for each recipe (`recipe`, and optionally
    `name`, `title` and `set`). Optional are [vary], lists of values of which all combinations are
    added to each run, [set], changes for all runs, and [classes].

    `changes` are made last. `only`: names of the runs to keep; all others are left out. Raises
    KilasError when the grid does not exist or does not fit.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = GRIDS / f"{name_or_path}.toml"
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in GRIDS.glob("*.toml")))
        raise KilasError(f"There is no grid {path}; the project's own are {names}.") from error
    try:
        unknown = values.keys() - _TABLES
        if unknown:
            raise KeyError(f"there is no {', '.join(sorted(unknown))}")
        vary = values.get("vary", {})
        runs = {run.get("name", run["recipe"]): run for run in values["runs"]}
        strange = set(only) - set(runs)
        if strange:
            raise KilasError(
                f"The grid {path} has no run {min(strange)}; it has {', '.join(runs)}."
            )
        if len(runs) < len(values["runs"]):
            raise KilasError(f"The grid {path} has two runs of one name; name them apart.")
        settings = []
        for name, run in runs.items():
            if only and name not in only:
                continue
            for combination in itertools.product(*vary.values()):
                varied = dict(zip(vary, combination, strict=True)) | run.get("set", {})
                full_name = ", ".join([name, *_format_values(vary, combination)])
                settings.append(
                    Setting(
                        name=full_name,
                        title=run.get("title", ""),
                        recipe=run["recipe"],
                        changes=values.get("set", {}) | varied | dict(changes),
                        varied=varied,
                    )
                )
        return Grid(
            title=values["title"],
            protocols=tuple(values["protocols"]),
            settings=tuple(settings),
            classes=values.get("classes", {}),
            folds=values.get("folds", GROUPS),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise KilasError(f"The grid {path} does not fit: {error}.") from error


def _format_values(vary: Mapping[str, Any], combination: Iterable[Any]) -> Iterator[str]:
    """Yield each varied setting with its value as text, such as "batch 16"."""
    for key, value in zip(vary, combination, strict=True):
        yield f"{key.rpartition('.')[2].replace('_', ' ')} {value}"


@dataclass(frozen=True, slots=True)
class _Data:
    """Files of one dataset that were prepared in the same way."""

    dataset: str
    rate_hz: float
    mask: str
    files: tuple[Path, ...]


def run_grid(
    grid: Grid,
    prepared: Sequence[Path],
    out: Path,
    *,
    jobs: int,
    scheduler: str | None = None,
) -> Path:
    """Run the folds that the folder `out` does not hold yet; return the path of the report.

    They run in `jobs` local processes or, with `scheduler`, on a Dask cluster whose workers see the
    same files. `prepared`: files of streams of one or several datasets, or folders of them. Raises
    KilasError before any training when a setting does not fit its data, or `out` holds runs of
    other settings or data.
    """
    console = Console()
    data, hashes = _data_of(prepared)
    plans = []
    for protocol in grid.protocols:
        for together in _together(protocol, data):
            for setting in grid.settings:
                plans.append(_plan(setting, protocol, together, grid, hashes, out))
    tasks = [task for plan in plans for task in plan.tasks]
    waiting = [task for task in tasks if not task.kept.exists()]
    console.print(f"{len(plans)} runs, {len(tasks)} folds; {len(waiting)} are to be trained.")
    try:
        run_tasks(
            run_fold,
            waiting,
            jobs=jobs,
            scheduler=scheduler,
            description="training folds",
            tasks_per_process=FOLDS_PER_PROCESS,
            on_result=lambda task, result: write_fold(task.kept, result),
            done=len(tasks) - len(waiting),
        )
    except KilasError:
        if any(_is_done(plan) for plan in plans):
            _report(grid, plans, out)  # of the finished runs
        raise
    return _report(grid, plans, out)


def _is_done(plan: _Plan) -> bool:
    return all(task.kept.exists() for task in plan.tasks)


def _report(grid: Grid, plans: Sequence[_Plan], out: Path) -> Path:
    """Write the report of all finished runs, which names the others as unfinished."""
    runs = []
    for plan in plans:
        kept = [task.kept for task in plan.tasks] if _is_done(plan) else []
        runs.append(replace(plan.run, folds=tuple(map(read_fold, kept))))
    notes = dict.fromkeys(note for plan in plans for note in plan.notes)
    return write_report(out, grid.title, runs, notes=list(notes), faces_of=_faces_of(plans))


def _together(protocol: str, data: Sequence[_Data]) -> Iterator[list[_Data]]:
    """Yield the data of each run: every dataset by itself or, for the composite, all of them."""
    if protocol == "megc2019":
        yield list(data)
        return
    for dataset in dict.fromkeys(one.dataset for one in data):
        yield [one for one in data if one.dataset == dataset]


def _faces_of(plans: Sequence[_Plan]) -> FacesOf:
    """Return a function that gives the report the pictures of a sample that is of gray faces."""
    tasks = {(p.run.dataset, p.run.protocol, p.run.name): p.tasks[0] for p in plans}

    def faces_of(run: ProtocolRun, prediction: Prediction) -> tuple[UInt8Array, int] | None:
        task = tasks[run.dataset, run.protocol, run.name]
        spec = task.recipe.spec
        if spec.signal != "gray":
            return None
        samples, _ = samples_of(task.files, *content_key(task.recipe))
        faces = samples.windows(np.array([prediction.sample]))[0]
        apex_slot = int(samples.table["apex_slot"].iloc[prediction.sample])
        return np.asarray(faces, np.uint8), apex_slot

    return faces_of


@dataclass(frozen=True, slots=True)
class _Plan:
    """A planned run: its tasks, fold by fold, and the notes on it in the report."""

    run: ProtocolRun
    tasks: tuple[FoldTask, ...]
    notes: tuple[str, ...]


def _plan(
    setting: Setting,
    protocol: str,
    data: Sequence[_Data],
    grid: Grid,
    hashes: Mapping[Path, str],
    out: Path,
) -> _Plan:
    """Plan the folds of one setting on one run's data.

    Raises KilasError when the setting does not fit the data.
    """
    dataset = COMPOSITE if protocol == "megc2019" else data[0].dataset
    classes = MEGC if protocol == "megc2019" else grid.classes.get(dataset)
    changes = ({"classes": classes} if classes else {}) | setting.changes
    recipe = load_recipe(setting.recipe, changes)
    spec = recipe.spec
    fitting = [one for one in data if (one.rate_hz, one.mask) == (spec.rate_hz, spec.mask)]
    lacking = {one.dataset for one in data} - {one.dataset for one in fitting}
    if lacking:
        raise KilasError(
            f"{setting.name} needs {min(lacking)} prepared for {spec.rate_hz:g} slots a second and "
            f"mask {spec.mask}; prepare it with --recipe {setting.recipe} --set "
            f"model.rate_hz={spec.rate_hz:g} --set model.mask={spec.mask}, or leave the run out."
        )
    files = tuple(path for one in fitting for path in one.files)
    unfit = [path.name for one in data if one not in fitting for path in one.files]
    recipe = for_data(recipe, files)
    spec = recipe.spec
    build_network(recipe)  # fails now, and not after hours, if it cannot be built
    if recipe.samples is not None:
        samples, left_out = samples_of(files, *content_key(recipe))
        table, notes = samples.table, list(_notes(samples, left_out, dataset, protocol))
        validation_share = recipe.training.validation_share
    else:
        if protocol not in SPOTTING_PROTOCOLS:
            raise KilasError(
                f"{setting.name} is a spotting recipe; whole recordings are divided by "
                f"{' or '.join(SPOTTING_PROTOCOLS)}, not by {protocol}."
            )
        table, notes = load_sequences(files, *content_key(recipe)).clips, [STATEMENT]
        validation_share = max(recipe.training.validation_share, VALIDATION_SHARE)
    settings = recipe.training
    folds = plan_folds(
        protocol,
        table,
        seed=settings.seed,
        validation_share=validation_share,
        folds=grid.folds,
    )
    if settings.epoch == "best" and not all(len(fold.validation) for fold in folds):
        raise KilasError(
            f"{protocol} has no validation part to choose the best epoch by; set "
            "training.epoch=last, or take another protocol."
        )
    if recipe.samples is not None and recipe.samples.balance != "none":
        for fold in folds:  # fails now, too, if a class cannot be balanced
            check_balance(samples.labels[fold.train], spec.labels, recipe.samples.balance)
    folder = out / FOLDS_FOLDER / dataset / protocol / _slug(setting.name)
    made_from = weights_from(asdict(recipe)) | {
        "protocol": protocol,
        "folds": len(folds),
        "data": sorted(hashes[path] for path in files),
    }
    ensure_same_inputs(folder, made_from)
    tasks = tuple(
        FoldTask(recipe, files, fold, folder / f"{number:03d}-{_slug(fold.name)}.json")
        for number, fold in enumerate(folds)
    )
    run = ProtocolRun(
        name=setting.name,
        title=setting.title,
        system=spec.architecture,
        dataset=dataset,
        protocol=protocol,
        labels=spec.labels,
        seed=settings.seed,
        data={f"{path.parent.name}/{path.name}": hashes[path] for path in files},
        settings=asdict(recipe),
        varied=setting.varied,
    )
    if unfit:
        notes.append(f"{setting.name}: prepared in another way, so left out: {', '.join(unfit)}.")
    return _Plan(run, tasks, tuple(notes))


def _notes(
    samples: Samples, left_out: Sequence[LeftOut], dataset: str, protocol: str
) -> Iterator[str]:
    """Yield the report's notes on the samples of a run."""
    for one in left_out:
        yield f"{dataset}: {one.count} micro-expressions are left out: {one.why}."
    short = samples.table["held"] > 0
    if short.any():
        yield (
            f"{dataset}: {int(short.sum())} of {len(samples)} samples come from clips that are "
            f"shorter than the window; {int(samples.table['held'].sum())} of their slots repeat "
            "the first or the last one."
        )
    if protocol == "megc2019":
        yield composite_note(samples.table)


def _slug(name: str) -> str:
    """Return a name as a file name: lower case, with hyphens for other characters."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower()


def _data_of(prepared: Sequence[Path]) -> tuple[list[_Data], dict[Path, str]]:
    """Return the files by dataset and preparation, and the hash of each file.

    The order follows their content, so that a sample has the same index in whatever order the
    files were given.
    """
    # Workers may have another working directory.
    opened = {file.path.resolve(): file for file in open_files(prepared)}
    hashes = {path: sha256_of(path) for path in opened}
    found: dict[tuple[str, float, str], list[Path]] = {}
    for path, file in sorted(opened.items(), key=lambda one: (one[1].dataset, hashes[one[0]])):
        found.setdefault((file.dataset, file.rate_hz, file.mask), []).append(path)
    return [_Data(*key, tuple(files)) for key, files in found.items()], hashes
