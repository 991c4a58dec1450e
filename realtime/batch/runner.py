"""Analysis of many video files, each into a session folder of its own, by several processes or a
cluster.

The content of a session depends on its file, the model and the options alone, not on the number of
jobs, nor on the other files: `scores.csv` and `events.csv` are the same bytes. Complete sessions
are not made again, so the same call goes on where another was interrupted, and more files can be
added to a collection by another call.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import pandas as pd

from realtime.analysis import DEFAULT_OPTIONS, AnalysisOptions, analyze_file
from realtime.batch.inputs import Input
from realtime.batch.summary import (
    EVENT_COUNT_PREFIX,
    Row,
    collection_table,
    read_summary,
    summary_table,
    write_summary,
)
from realtime.earlier_sessions import Wanted, alone_in, is_complete, make_room, no_space
from realtime.errors import DeviceError, KilasError, ModelError, ProfileError, RecordingError
from realtime.exports import FILES, annotated, export_session, has_annotations
from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, Model, find_model, list_models
from realtime.macro.model import DEFAULT_MACRO, find_macro, list_macros
from realtime.parallel.process_pool import run_tasks
from realtime.session.layout import REPORT_FILE
from realtime.session.losses import causes_text, lost_frames
from realtime.session.reader import Session, load_session
from realtime.session.statistics import per_minute, presence
from realtime.spec import NONE_LABEL
from realtime.storage.durable_file import is_full
from realtime.types import Source, Update


@dataclass(frozen=True, slots=True)
class _Task:
    """A file to analyse, perhaps by another process or machine, so that all paths are absolute.

    `was_complete`: the session was complete before anything was begun. `model`: name or file;
    `wanted.model_sha256`: hash that it has to have.
    """

    wanted: Wanted
    folder: Path
    was_complete: bool
    model: str
    device: Device
    options: AnalysisOptions
    formats: tuple[str, ...]
    report: bool
    overwrite: bool

    def __str__(self) -> str:
        return str(self.wanted.source)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Outcome of a file's analysis.

    `reason`: the error if it failed, otherwise empty. `lost`: numbers of lost
    frames by cause. `face_share`: share of the time with a face.
    `events`: number of events of each label.
    """

    status: str
    reason: str = ""
    frames: int | None = None
    lost: Mapping[str, int] | None = None
    duration_s: float | None = None
    face_share: float | None = None
    events: Mapping[str, int] | None = None


def analyze_batch(
    inputs: Sequence[Input],
    out: Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    model: str | Path = DEFAULT_MODEL,
    device: Device = "auto",
    options: AnalysisOptions = DEFAULT_OPTIONS,
    formats: Collection[str] = (),
    report: bool = True,
    overwrite: bool = False,
    on_update: Callable[[Source, Update], None] | None = None,
) -> pd.DataFrame:
    """Analyse the files, see `find_inputs`, into session folders below `out`.

    `jobs`: number of processes on this machine; `scheduler`: address or file of a Dask scheduler,
    whose workers analyse the files instead (`realtime.parallel.dask_cluster`); they must see the
    same files under the same paths. `options.macro` may not be an opened model. `formats`: formats
    of the tables besides CSV, see `realtime.exports`. `report`: write a report for each session,
    and a report for all. `on_update`: called after each frame; `jobs` is 1 then, and no progress
    bar is shown.

    A session that is complete and was made from the same file by the same model and settings is
    skipped; formats and report that it lacks are added. A session of the same file that was not
    completed is removed and made anew. Any other session stays as it is and its file fails, unless
    `overwrite`. A file that cannot be analysed fails alone, also if it ends its process.

    `out/summary.csv`, and the report for all, have a row for each file, in the order of `folder`;
    rows of earlier calls stay as long as their folder holds a session. Returns the rows of this
    call, in the order of the files:

    - `file`: as it was given; `folder`: its session below `out`, with forward slashes
    - `status`: done, skipped or failed; `reason`: the error if it failed
    - `frames`; `lost_frames`, those that could not be read, and `lost_causes`, how many for which
      cause
    - `duration_s` (to the end of the last frame), `face_share` (share of this time with
      a face), `events`, `events_per_minute` of this time, and one column `events_LABEL` for each
      expression; empty if failed. Shares and rates are those of the session's own report.

    Raises ModelError, DeviceError or ProfileError before any file is begun when the model, its
    device or the profile cannot be used; RecordingError, also before, when another call is writing
    into `out` or its summary.csv was not written by Kilas; and KilasError when the disk of `out` is
    full or the cluster cannot do the work. Then, and after Ctrl-C, the summary has the files that
    were finished.

    Example:

        from pathlib import Path
        from realtime.batch.inputs import find_inputs
        from realtime.batch.runner import analyze_batch

        if __name__ == "__main__":  # jobs are processes that import this file
            out = Path("results")
            print(analyze_batch(find_inputs(["videos"], out), out, jobs=4))
    """
    labels, tasks = _plan(
        inputs, out, scheduler, model, device, options, formats, report, overwrite
    )
    with alone_in(out):
        earlier = read_summary(out)
        outcomes: dict[Path, _Outcome] = {}
        waiting = []
        for task in tasks:
            if task.was_complete and _missing(task) == ([], False):
                outcomes[task.folder] = _attempt(task, lambda task: load_session(task.folder))
            else:
                waiting.append(task)

        def take(task: _Task, outcome: _Outcome) -> None:
            outcomes[task.folder] = outcome

        try:
            is_here = on_update is not None
            run_tasks(
                partial(_run_task, on_update=on_update),
                waiting,
                jobs=1 if is_here else jobs,
                scheduler=scheduler,
                description="analysing files",
                on_result=take,
                on_killed=None
                if is_here
                else lambda task, why: take(task, _Outcome("failed", f"{task} {why}")),
                bar=not is_here,
                quiet=True,  # MediaPipe prints warnings about itself twice a file
                done=len(outcomes),
            )
        finally:
            rows = [
                _row(video, outcomes[task.folder], labels)
                for video, task in zip(inputs, tasks, strict=True)
                if task.folder in outcomes
            ]
            collection = collection_table(rows, earlier, labels, out)
            write_summary(collection, out)
        if report:
            from realtime.reports.batch_report import write_collection_report

            write_collection_report(out, collection)
        return summary_table(rows, labels)


def _plan(
    inputs: Sequence[Input],
    out: Path,
    scheduler: str | None,
    name: str | Path,
    device: Device,
    options: AnalysisOptions,
    formats: Collection[str],
    report: bool,
    overwrite: bool,
) -> tuple[tuple[str, ...], list[_Task]]:
    """Return the labels of expressions, and a task for each input.

    Raises the errors of `Model.load` and `AnalysisOptions.settings`.
    """
    # The workers of a cluster have devices of their own.
    model = Model.load(name, "cpu" if scheduler else device)
    path = str(name) if str(name) in list_models() else str(model.path.absolute())
    if options.profile is not None:
        options = dataclasses.replace(options, profile=Path(options.profile).absolute())
    if options.macro:
        macro = DEFAULT_MACRO if options.macro is True else str(options.macro)
        # A shipped model is passed by name, since it lies elsewhere on another machine.
        macro = macro if macro in list_macros() else str(Path(macro).absolute())
        options = dataclasses.replace(options, macro=macro)
    settings = options.settings(model.sha256)
    tasks = []
    for video in inputs:
        folder = out.absolute() / video.folder
        wanted = Wanted(video.path.absolute(), model.sha256, settings)
        tasks.append(
            _Task(
                wanted=wanted,
                folder=folder,
                was_complete=_was_complete(folder, wanted),
                model=path,
                device=device,
                options=options,
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
        return False  # the task itself raises the error


def _run_task(task: _Task, on_update: Callable[[Source, Update], None] | None) -> _Outcome:
    """Analyse one file; runs in a process of its own, or on a worker, one task at a time."""
    cv2.setNumThreads(1)  # as in `stream.py`
    return _attempt(task, partial(_session, on_update=on_update))


def _attempt(task: _Task, session_of: Callable[[_Task], Session]) -> _Outcome:
    try:
        return _outcome("skipped" if task.was_complete else "done", session_of(task))
    except (ModelError, DeviceError, ProfileError):
        raise  # every file would fail
    except Exception as error:  # whatever it is, the other files are done all the same
        if is_full(error):
            raise no_space(task.folder) from error
        return _Outcome("failed", _reason(error))


def _session(task: _Task, on_update: Callable[[Source, Update], None] | None) -> Session:
    """Make all files of the task's session that are missing, and return the session."""
    _check_model(find_model(task.model), task.wanted.model_sha256)
    if (sha256 := task.wanted.settings["macro"]) is not None:
        _check_model(find_macro(str(task.options.macro)), sha256)
    if is_complete(task.folder, task.wanted):  # perhaps by a process that ended a moment later
        session = load_session(task.folder)
        formats, needs_report = _missing(task)
    else:
        # Checked before the work rather than after it.
        if "eaf" in task.formats and has_annotations(task.folder):
            raise annotated(task.folder)
        formats, needs_report = list(task.formats), task.report
        make_room(task.folder, task.wanted, overwrite=task.overwrite)
        session = analyze_file(
            task.wanted.source, task.folder, task.model, task.device, task.options, on_update
        )
    if formats:
        export_session(task.folder, formats)
    if needs_report:
        from realtime.reports.session_report import write_report

        write_report(task.folder)
    return session


def _check_model(path: Path, sha256: str) -> None:
    """Raise ModelError if a model's file has changed since the call."""
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(
            f"The model {path} is not the file with which the analysis was started; put the same "
            "file there and start again."
        )


def _missing(task: _Task) -> tuple[list[str], bool]:
    """Return the formats of which a file is missing, and True if the report is missing.

    Files that are there are left alone: people may have added to them.
    """
    formats = [
        name for name in task.formats if not all((task.folder / f).exists() for f in FILES[name])
    ]
    return formats, task.report and not (task.folder / REPORT_FILE).exists()


def _outcome(status: str, session: Session) -> _Outcome:
    seen = presence(session.scores)
    return _Outcome(
        status,
        frames=int(session.scores["frame"].nunique()),
        lost=lost_frames(session.facts.get("drops", {})),
        duration_s=seen.total_s,
        face_share=seen.with_face_s / seen.total_s if seen.total_s else None,
        events=Counter(map(str, session.events["label"])),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, KilasError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory; try again with fewer --jobs."
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'} cannot be used ({error.strerror}); check its folder."
    return f"{type(error).__name__}: {error}; please report it with this text."


def _row(video: Input, outcome: _Outcome, labels: Sequence[str]) -> Row:
    row: Row = {
        "file": video.path.as_posix(),
        "folder": video.folder,
        "status": outcome.status,
        "reason": outcome.reason,
        "frames": outcome.frames,
        "lost_frames": None if outcome.lost is None else sum(outcome.lost.values()),
        "lost_causes": causes_text(outcome.lost or {}),
        "duration_s": outcome.duration_s,
        "face_share": outcome.face_share,
    }
    if outcome.events is not None:
        row["events"] = sum(outcome.events.values())
        row["events_per_minute"] = per_minute(row["events"], outcome.duration_s or 0.0)
        row |= {f"{EVENT_COUNT_PREFIX}{label}": outcome.events.get(label, 0) for label in labels}
    return row
