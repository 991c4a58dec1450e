"""The same work for many, done by several processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from realtime.errors import KilasError

Task = TypeVar("Task")
Result = TypeVar("Result")


def for_all(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    jobs: int,
    description: str,
    done: int = 0,
) -> list[Result]:
    """What `work`, a function of a module, makes of every task in `jobs` processes, in the order
    of the tasks; one job is done by this process itself.

    A progress bar shows how far it is; `done`: how many were done before. An error of `work` and
    Ctrl-C end all processes at once. Raises KilasError when a process was killed.
    """
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=done + len(tasks), completed=done)
        if jobs == 1 or len(tasks) < 2:
            results: list[Result] = []
            for task in tasks:
                results.append(work(task))
                progress.advance(bar)
            return results
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(
            min(jobs, len(tasks)), multiprocessing.get_context("spawn"), _start_process
        )
        try:
            futures = [pool.submit(work, task) for task in tasks]
            for future in as_completed(futures):
                future.result()
                progress.advance(bar)
            return [future.result() for future in futures]
        except BaseException as error:
            # Nobody waits any more for what is still under way.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise KilasError(
                    "A process was killed, perhaps for want of memory; try again with fewer --jobs."
                ) from error
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _start_process() -> None:
    # The processes share the cores already; OpenCV's threads would only get in their way.
    cv2.setNumThreads(1)
    # A terminal sends Ctrl-C to all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
