"""Many video files, each into a session folder of its own, by several processes or a cluster.

What a session holds depends on its file, the model and the options alone, not on how many jobs
there are, nor on what else is analysed: `scores.csv` and `events.csv` are the same bytes. What is
complete is not done again, so the same call goes on where another was interrupted.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pandas as pd

from realtime.batch_folders import Wanted, is_complete, make_room
from realtime.batch_inputs import Input
from realtime.disk_file import PARTIAL
from realtime.errors import DeviceError, KilasError, ModelError, ProfileError, RecordingError
from realtime.model import DEFAULT_MODEL, Model, find_model, list_models
from realtime.pools import run_tasks
from realtime.session import Session, analyze, load_session, settings_of
from realtime.session_files import REPORT_FILE, SUMMARY_FILE
from realtime.spec import NONE_LABEL
from realtime.types import Source, Update

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of a user's share of it, that takes nothing more."""

DECIMALS = 6
"""Of the summary's figures, as in the other tables."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A file to analyse, perhaps by another process or machine, so that all paths are absolute.

    `was_complete`: before anything was begun. `options`: keyword arguments of `analyze`.
    `wanted.model_sha256`: what their model has to be.
    """

    wanted: Wanted
    folder: Path
    was_complete: bool
    options: Mapping[str, Any]
    formats: tuple[str, ...]
    report: bool
    overwrite: bool

    def __str__(self) -> str:
        return str(self.wanted.source)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a file went. `reason`: why it failed, otherwise empty. `face_share`: of the frames,
    those with a face. `events`: how many of each label."""

    status: str
    reason: str = ""
    frames: int | None = None
    duration_s: float | None = None
    face_share: float | None = None
    events: Mapping[str, int] | None = None


def analyze_batch(
    inputs: Sequence[Input],
    out: Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    options: Mapping[str, Any],
    formats: Collection[str] = (),
    report: bool = True,
    overwrite: bool = False,
    on_update: Callable[[Source, Update], None] | None = None,
) -> pd.DataFrame:
    """Analyse the files, see `find_inputs`, into session folders below `out`.

    `jobs`: processes of this machine; `scheduler`: address or file of a Dask scheduler, whose
    workers do it instead (`realtime.cluster`); they must see the same files under the same paths.
    `options`: keyword arguments of `realtime.session.analyze`, files as Path. `formats`: of the
    tables besides CSV, see `realtime.exports`. `report`: write a page for each session, and one
    for all.

    A session that is complete and was made from the same file by the same model and settings is
    skipped. One of the same file that was not completed is removed and made anew. Any other stays
    as it is and its file fails, unless `overwrite`. A file that cannot be analysed, also one that
    ends the process that tries, fails alone.

    Returns what is written to `out/summary.csv`, one row a file, in their order:

    - `file`: as it was given; `folder`: its session below `out`, with forward slashes
    - `status`: done, skipped or failed; `reason`: why it failed
    - `frames`, `duration_s`, `face_share` (of the frames, those with a face), `events`,
      `events_per_minute`, and one column `events_LABEL` for each expression; empty if failed

    Raises ModelError, DeviceError or ProfileError before any file is begun when the model or what
    it should run on or start from cannot be used, and KilasError when `out` takes nothing more or
    the cluster cannot do it. Then, and after Ctrl-C, the summary has the files that were finished.
    """
    labels, tasks = _plan(inputs, out, scheduler, options, formats, report, overwrite)
    outcomes: dict[Path, _Outcome] = {}
    waiting = []
    for task in tasks:
        has_report = (task.folder / REPORT_FILE).exists()
        if task.was_complete and not formats and (has_report or not report):
            outcomes[task.folder] = _attempt(task, lambda task: load_session(task.folder))
        else:
            waiting.append(task)

    def take(task: _Task, outcome: _Outcome) -> None:
        outcomes[task.folder] = outcome

    def write_table() -> pd.DataFrame:
        finished = [
            (one, outcomes[task.folder])
            for one, task in zip(inputs, tasks, strict=True)
            if task.folder in outcomes
        ]
        table = _table(finished, labels)
        _write_summary(table, out)
        return table

    write_table()  # fails at once where nothing can be written
    try:
        is_here = on_update is not None
        run_tasks(
            partial(_do, on_update=on_update),
            waiting,
            jobs=1 if is_here else jobs,
            scheduler=scheduler,
            description="analysing files",
            on_result=take,
            on_killed=None
            if is_here
            else lambda task, why: take(task, _Outcome("failed", f"{task} {why}")),
            bar=not is_here,
            renewed_after=None,  # a process keeps its size after the first few dozen files
            quiet=True,  # MediaPipe warns of things of its own twice a file
            done=len(outcomes),
        )
    finally:
        table = write_table()
    if report:
        from realtime.collection_report import write_collection_report

        write_collection_report(out, table)
    return table


def _plan(
    inputs: Sequence[Input],
    out: Path,
    scheduler: str | None,
    options: Mapping[str, Any],
    formats: Collection[str],
    report: bool,
    overwrite: bool,
) -> tuple[tuple[str, ...], list[_Task]]:
    """The labels of expressions, and a task for each input. Raises what the model raises."""
    named = options.get("model", DEFAULT_MODEL)
    # The workers of a cluster have devices of their own.
    model = Model.load(named, "cpu" if scheduler else options.get("device", "auto"))
    path = str(named) if str(named) in list_models() else str(model.path.absolute())
    absolute = {
        key: value.absolute() if isinstance(value, Path) else value
        for key, value in options.items()
    }
    absolute["model"] = path
    deciding: dict[str, Any] = {
        key: value for key, value in absolute.items() if key not in ("model", "device")
    }
    settings = settings_of(model.sha256, **deciding)
    tasks = []
    for one in inputs:
        folder = out.absolute() / one.folder
        wanted = Wanted(one.path.absolute(), model.sha256, settings)
        tasks.append(
            _Task(
                wanted=wanted,
                folder=folder,
                was_complete=_was_complete(folder, wanted),
                options=absolute,
                formats=tuple(formats),
                report=report,
                overwrite=overwrite,
            )
        )
    return tuple(label for label in model.spec.labels if label != NONE_LABEL), tasks


def _was_complete(folder: Path, wanted: Wanted) -> bool:
    try:
        return is_complete(folder, wanted)
    except (OSError, ValueError, RecordingError):
        return False  # the task itself says what is wrong


def _do(task: _Task, on_update: Callable[[Source, Update], None] | None) -> _Outcome:
    """Runs in a process of its own, or on a worker, one at a time."""
    cv2.setNumThreads(1)  # as in `stream.py`
    return _attempt(task, partial(_session, on_update=on_update))


def _attempt(task: _Task, session_of: Callable[[_Task], Session]) -> _Outcome:
    try:
        return _outcome("skipped" if task.was_complete else "done", session_of(task))
    except (ModelError, DeviceError, ProfileError):
        raise  # of every file
    except Exception as error:  # whatever it is, the other files are done all the same
        if _is_full(error):
            raise _no_space(task.folder) from error
        return _Outcome("failed", _reason(error))


def _session(task: _Task, on_update: Callable[[Source, Update], None] | None) -> Session:
    """The task's session, after all its files were made."""
    path = find_model(task.options["model"])
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != task.wanted.model_sha256:
        raise ModelError(
            f"The model {path} is another one than when or where the analysis was started; have "
            "the same file there and start again."
        )
    if is_complete(task.folder, task.wanted):  # perhaps by a process that ended a moment later
        session = load_session(task.folder)
    else:
        make_room(task.folder, task.wanted, overwrite=task.overwrite)
        session = analyze(task.wanted.source, task.folder, on_update=on_update, **task.options)
    if task.formats:
        from realtime.exports import export_session

        export_session(task.folder, task.formats)
    if task.report:
        from realtime.report import write_report

        write_report(task.folder)
    return session


def _outcome(status: str, session: Session) -> _Outcome:
    scores = session.scores
    frames = int(scores["frame"].nunique())
    with_face = int(scores.loc[scores["success"] == 1, "frame"].nunique())
    return _Outcome(
        status,
        frames=session.facts["frames"],
        duration_s=session.facts["duration_s"],
        face_share=with_face / frames if frames else None,
        events=Counter(map(str, session.events["label"])),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, KilasError):
        return str(error)
    if isinstance(error, MemoryError):
        return "The memory was not enough; try again with fewer --jobs."
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'} cannot be used ({error.strerror}); check its folder."
    return f"{type(error).__name__}: {error}; please report it with this text."


def _is_full(error: BaseException | None) -> bool:
    """Whether this, or what it came from, is for want of space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def _no_space(folder: Path) -> KilasError:
    return KilasError(
        f"There is no space left for {folder}; free some and start the same again: what is "
        "complete is not done again."
    )


def _table(finished: Sequence[tuple[Input, _Outcome]], labels: Sequence[str]) -> pd.DataFrame:
    rows = []
    for one, outcome in finished:
        row: dict[str, Any] = {
            "file": one.path.as_posix(),
            "folder": one.folder,
            "status": outcome.status,
            "reason": outcome.reason,
            "frames": outcome.frames,
            "duration_s": outcome.duration_s,
            "face_share": outcome.face_share,
        }
        if outcome.events is not None:
            row["events"] = sum(outcome.events.values())
            if outcome.duration_s:
                row["events_per_minute"] = 60 * row["events"] / outcome.duration_s
            row |= {f"events_{label}": outcome.events.get(label, 0) for label in labels}
        rows.append(row)
    by_label = [f"events_{label}" for label in labels]
    columns = ["file", "folder", "status", "reason", "frames", "duration_s", "face_share"]
    columns += ["events", "events_per_minute", *by_label]
    table = pd.DataFrame(rows, columns=columns)
    fractions = ("duration_s", "face_share", "events_per_minute")
    counts = ("frames", "events", *by_label)
    types = dict.fromkeys(counts, "Int64") | dict.fromkeys(fractions, "float64")
    return table.astype(types).round(dict.fromkeys(fractions, DECIMALS))


def _write_summary(table: pd.DataFrame, out: Path) -> None:
    """Replaced as a whole. A file's name that is no text is written with backslashes."""
    content = table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")
    path = out / SUMMARY_FILE
    unfinished = path.with_name(f"{SUMMARY_FILE}{PARTIAL}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        if error.errno in FULL:
            raise _no_space(out) from error
        raise RecordingError(
            f"{path} cannot be written ({error.strerror}); choose another --out."
        ) from error
