"""Parallel work in several processes, with the workers of a Dask cluster as another choice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from itertools import islice
from math import inf
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from realtime.errors import KilasError

Task = TypeVar("Task")
Result = TypeVar("Result")

TASKS_AHEAD = 3
"""Tasks a process that `map_ordered` has begun and not handed over.

A slow task does not keep the other processes waiting at once, and few results are kept.
"""

QUEUED = 2
"""Tasks a process that `run_tasks` has begun: the current, and a second that follows at once."""

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Variables from which OpenMP, OpenBLAS and TensorFlow take the number of their threads."""


class ProcessKilledError(KilasError):
    """Failure of a process that was killed in the middle of its work."""


def map_all(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    jobs: int,
    description: str,
    done: int = 0,
) -> list[Result]:
    """Return all results of `map_ordered`."""
    return list(map_ordered(work, tasks, jobs, description, done))


def map_ordered(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    jobs: int,
    description: str,
    done: int = 0,
) -> Generator[Result, None, None]:
    """Run `work`, a function of a module, for every task; yield the results in the tasks' order.

    `jobs` processes do the work; a single job is done by this process itself. There are never more
    than `TASKS_AHEAD` results a process, however many tasks there are: the processes wait until
    results are taken. A progress bar shows how many were taken; `done`: how many were done before.

    An error of `work`, Ctrl-C and the end of the generator (`close`, or no more references to it)
    end all processes at once. Raises KilasError when a process was killed.
    """
    with _progress(description, done, len(tasks)) as (_, advance):
        if jobs == 1 or len(tasks) < 2:
            for task in tasks:
                yield work(task)
                advance()
            return
        upcoming = iter(tasks)
        unfinished: set[Future[Result]] = set()
        begun: deque[Future[Result]] = deque()
        with _processes(min(jobs, len(tasks))) as pool:
            while True:
                for task in islice(upcoming, TASKS_AHEAD * jobs - len(begun)):
                    begun.append(pool.submit(work, task))
                    unfinished.add(begun[-1])
                if not begun:
                    return
                _wait_for(begun[0], unfinished)
                yield begun.popleft().result()
                advance()


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    scheduler: str | None,
    description: str,
    on_result: Callable[[Task, Result], None],
    on_killed: Callable[[Task, str], None] | None = None,
    tasks_per_process: int | None = None,
    quiet: bool = False,
    bar: bool = True,
    done: int = 0,
) -> None:
    """Do tasks such as trainings and analyses, and hand over each result as soon as it is there.

    `on_result` is called in this thread, once a task, in the order in which they finish. `work`, a
    function of a module, runs in `jobs` processes of this machine, each with its share of the
    processors (few tasks for one job: in this process), or with `scheduler`, a Dask scheduler's
    address or file, on that cluster's workers (`realtime.parallel.dask_cluster`). `str(task)` names
    a task in messages. A progress bar shows how far it is, unless `bar` is False; `done`: how many
    were done before.

    `tasks_per_process`: how many tasks a process of this machine does before another takes its
    place, for work that leaves memory behind; None: any number. `quiet`: these processes' stderr is
    thrown away, for work whose libraries write useless messages there.

    An error of `work` or `on_result` and Ctrl-C end everything; results that were handed over stay.
    A process that was killed does so too, unless `on_killed` is given. Then no task is done by this
    process; those that were under way are begun anew, one at a time, and `on_killed` is called in
    this thread with the task that ends its process again, and a description ("ended its process
    ..."). The others go on.

    Raises KilasError when a process was killed and when the cluster cannot do the tasks.
    """
    with _progress(description, done, len(tasks), is_shown=bar) as (console, advance):

        def give_up(task: Task, why: str) -> None:
            assert on_killed is not None
            on_killed(task, why)
            advance()

        lose = None if on_killed is None else give_up
        is_short = tasks_per_process is None or len(tasks) <= tasks_per_process
        if scheduler is not None:
            # Here and not above: it needs a package that only clusters need.
            from realtime.parallel.dask_cluster import on_cluster

            finished = on_cluster(work, tasks, scheduler, console.out, lose)
        elif on_killed is None and (len(tasks) < 2 or (jobs == 1 and is_short)):
            finished = ((task, work(task)) for task in tasks)
        else:
            count = min(jobs, len(tasks))
            finished = _on_processes(
                work, deque(tasks), count, QUEUED, tasks_per_process, quiet, lose
            )
        with closing(finished):
            for task, result in finished:
                on_result(task, result)
                advance()


def _on_processes(
    work: Callable[[Task], Result],
    waiting: deque[Task],
    count: int,
    queued: int,
    tasks_per_process: int | None,
    quiet: bool,
    on_killed: Callable[[Task, str], None] | None,
) -> Generator[tuple[Task, Result], None, None]:
    """Run the waiting tasks in `count` processes; yield each task and its result.

    After a process was killed, the tasks that were under way run again, one at a time, to find the
    task that ends its process; `on_killed` is called with it.
    """
    size = None if tasks_per_process is None else tasks_per_process * count
    while waiting:
        begun: dict[Future[Result], Task] = {}
        try:
            yield from _on_pool(work, waiting, count, queued, size, quiet, begun)
        except ProcessKilledError:
            if on_killed is None:
                raise
            suspects = deque(begun.values())
            if len(suspects) == 1:
                on_killed(
                    suspects[0],
                    "ended its process, perhaps for lack of memory; please report it if there was "
                    "enough.",
                )
            else:
                yield from _on_processes(work, suspects, 1, 1, None, quiet, on_killed)


def _on_pool(
    work: Callable[[Task], Result],
    waiting: deque[Task],
    count: int,
    queued: int,
    size: int | None,
    quiet: bool,
    begun: dict[Future[Result], Task],
) -> Generator[tuple[Task, Result], None, None]:
    """Run the first `size` of the waiting tasks in one pool; yield each task and its result.

    `begun`, empty at first: tasks that were taken out of `waiting` and are not handed over.
    """
    left = len(waiting) if size is None else min(size, len(waiting))
    with _processes(count, max(1, (os.cpu_count() or 1) // count), quiet) as pool:
        while True:
            while left and len(begun) < queued * count:
                future = pool.submit(work, waiting[0])
                begun[future] = waiting.popleft()
                left -= 1
            if not begun:
                return
            finished, _ = wait(begun, return_when=FIRST_COMPLETED)
            # An error ends everything, but not before what finished with it is handed over.
            for future in sorted(finished, key=lambda future: future.exception() is not None):
                result = future.result()
                yield begun.pop(future), result


def _wait_for(future: Future[Result], unfinished: set[Future[Result]]) -> None:
    """Wait until a future is finished, and remove those that have finished from the set.

    Raises the error of any of them.
    """
    while future in unfinished:
        finished, _ = wait(unfinished, return_when=FIRST_COMPLETED)
        unfinished -= finished
        for one in finished:
            one.result()


@contextmanager
def _progress(
    description: str, done: int, count: int, *, is_shown: bool = True
) -> Iterator[tuple[Console, Callable[[], None]]]:
    """Show a bar over all tasks; yield its console and the function to call when a task is done."""
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    # The time left follows from all tasks so far: some take longer than the usual half minute.
    with Progress(*columns, speed_estimate_period=inf, disable=not is_shown) as progress:
        bar = progress.add_task("", total=done + count, completed=done)
        progress.advance(bar, 0)  # the tasks that finish first have taken time, too
        yield progress.console, lambda: progress.advance(bar)


@contextmanager
def _processes(
    count: int, threads: int | None = None, quiet: bool = False
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that end at once when the block is left by an error.

    `threads`: how many each of a process's libraries may use; None: as many as they like.
    """
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, spawn, start_process, (threads, quiet))
    try:
        yield pool
    except BaseException as error:
        # Nobody waits any more for what is still under way. (Python 3.14: terminate_workers)
        for process in list(pool._processes.values()):
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise ProcessKilledError(
                "A process was killed, perhaps for lack of memory; try again with fewer --jobs."
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def start_process(threads: int | None, quiet: bool) -> None:
    """Prepare a worker process, before its first task.

    `threads`: how many its libraries may use, None: as they like. `quiet`: throw its stderr away.
    The process ends with its parent, and not with Ctrl-C.
    """
    if threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
        # By default TensorFlow takes a graphics card's whole memory for one process.
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    # After the variables: it brings NumPy, and libraries read them when they are loaded.
    import cv2

    # The processes share the cores already; OpenCV's threads would only get in their way.
    cv2.setNumThreads(1)
    # A terminal sends Ctrl-C to all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if quiet:
        # The descriptor itself: libraries in C++ do not ask for `sys.stderr`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _end_with_parent() -> None:
    """Wait for the parent's end, then end this process.

    A process whose parent was killed would wait for tasks for ever, with all its memory.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
