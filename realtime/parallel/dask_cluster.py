"""Parallel work on a Dask cluster: the same function for many tasks, run by its workers.

A scheduler and workers are started by hand, or by the tools of a computing centre, in the same
checkout of Kilas and with the same packages as here:

    uv run --all-extras dask scheduler --no-dashboard
    uv run --all-extras dask worker tcp://HOST:8786 --nworkers 2 --nthreads 1 --no-dashboard

There are as many tasks under way as there are worker processes, whatever the number of their
threads: trainings that shared a process would share TensorFlow's state, and analyses each have
threads of their own. TensorFlow keeps about 30 MB of every training; `--lifetime 6h
--lifetime-restart` renews the workers. A process's processors are set where it is started
(TF_NUM_INTRAOP_THREADS, CUDA_VISIBLE_DEVICES). Tasks and results travel through the scheduler;
files do not. The files that a task names, such as a recipe's data or a video and the folder of its
results, must be there on every machine under the same absolute path. A task must not start
processes, which Dask's workers may not.

Dask knows no passwords: anybody who reaches a scheduler or worker can run programs there. Without
TLS (Dask's configuration, addresses tls://) that is for networks of trusted people only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from realtime.errors import KilasError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Result = TypeVar("Result")

CONNECT_S = 10.0
"""Longest time for a scheduler to answer; a running scheduler takes milliseconds."""

LOOK_S = 1.0
"""Time between two checks for workers that have joined or gone."""

GONE_S = 60.0
"""Longest time without any worker; Dask's nanny starts a new worker within seconds."""

FETCH_S = 30.0
"""Longest time to wait for a finished result.

If its worker died in between, the task begins anew.
"""

PACKAGES = (
    "av",
    "keras",
    "mediapipe",
    "numba",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "tensorflow",
)
"""Packages whose versions may change the result of a training or an analysis."""

_alone = threading.Lock()
"""Lock that keeps the tasks of a worker process from running at the same time."""


def on_cluster(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    scheduler: str,
    notify: Callable[[str], None],
    on_killed: Callable[[Task, str], None] | None = None,
) -> Generator[tuple[Task, Result], None, None]:
    """Run `work`, a function of a module, for every task; yield each task and its result.

    They come in the order in which they finish. `scheduler`: its address (tcp://HOST:PORT), or the
    file that `dask scheduler --scheduler-file` wrote. `notify` is called with a message when there
    are no workers, which is why nothing happens. The tasks of a worker that died begin anew on
    another. `str(task)` names a task in messages. `on_killed` is called with a task that has ended
    one worker after the other (the scheduler's `allowed-failures`), and a description ("ended 4
    workers ..."); the others go on.

    An error of `work` is raised here. After it, Ctrl-C or the end of the generator, tasks that have
    not begun are taken back; Dask cannot stop the others, so its workers finish them, for nobody.

    Raises KilasError when there is no such scheduler or it is lost, when scheduler or workers are
    of other versions, when a task has ended one worker after the other and there is no `on_killed`,
    and when all workers are gone and none has come back within GONE_S.
    """
    address = _address(scheduler)
    with _connected(address) as client:
        from distributed import KilledWorker

        waiting = deque(tasks)
        begun: dict[Future[Result], Task] = {}
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        checked: set[str] = set()
        alone_since_s: float | None = None
        try:
            while waiting or begun:
                workers = _workers(client, address, checked)
                if workers:
                    alone_since_s = None
                elif alone_since_s is None:
                    alone_since_s = time.monotonic()
                    notify(f"{address} has no workers; waiting for `dask worker {address}`.")
                elif begun and time.monotonic() - alone_since_s > GONE_S:
                    raise KilasError(
                        f"All workers of {address} are gone, and none has come back for "
                        f"{GONE_S:.0f} s. Their logs may show why; they were working on "
                        + ", ".join(map(str, begun.values()))
                        + "."
                    )
                # One task each: then it is clear which task ended a worker that dies.
                while waiting and len(begun) < workers:
                    future = client.submit(_on_worker, work, waiting[0], pure=False)
                    future.add_done_callback(finished.put)
                    begun[future] = waiting.popleft()
                try:
                    future = finished.get(timeout=LOOK_S)
                except Empty:
                    continue
                has_failed = future.status == "error"
                try:
                    result = future.result(FETCH_S)
                except OSError:  # a TimeoutError is one
                    if has_failed:  # then it is the task's own
                        raise
                    future.add_done_callback(finished.put)
                    continue
                except CancelledError as error:
                    raise _lost(address) from error
                except KilledWorker as error:
                    task = begun.pop(future)
                    why = (
                        f"ended {error.allowed_failures + 1} workers, one after the other, "
                        "perhaps for lack of memory; their logs may show why."
                    )
                    if on_killed is None:
                        raise KilasError(f"{task} {why}") from error
                    on_killed(task, why)
                    continue
                yield begun.pop(future), result
        finally:
            if client.status == "running":
                client.cancel(list(begun))


def _workers(client: Client, address: str, checked: set[str]) -> int:
    """Return the number of worker processes, and check the versions of new ones.

    Workers that pass are added to `checked`.
    """
    if client.status != "running":
        raise _lost(address)
    try:
        workers = set(client.nthreads())
        if new := workers - checked:
            answers = client.run(_versions, workers=list(new), on_error="return")
            for worker, found in answers.items():
                if not isinstance(found, OSError):  # it has gone already
                    _check_versions(f"The worker {worker}", found)
                    checked.add(worker)
    except OSError as error:
        raise _lost(address) from error
    return len(workers)


def _lost(address: str) -> KilasError:
    """Return the error for a scheduler that is gone."""
    return KilasError(f"The scheduler {address} is gone; start it and its workers again.")


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """Yield a client of a scheduler that has the same versions as this machine."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise KilasError(
            "A Dask cluster needs a package that is missing; install it: uv sync --all-extras"
        ) from error
    try:
        # On a thread of its own: the caller's may run an event loop, as notebooks do.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, asyncio.wait_for(_greet(address), CONNECT_S)).result()
    except (OSError, ValueError, MemoryError) as error:  # MemoryError: not Dask's protocol
        raise KilasError(
            f"No scheduler answers at {address}; start one with `dask scheduler`."
        ) from error
    # A lost scheduler is reported here, without the tracebacks that Dask logs.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with Client(address, timeout=CONNECT_S, set_as_default=False) as client:
        try:
            found = client.run_on_scheduler(_versions)
        except (ImportError, AttributeError) as error:
            found = error
        _check_versions(f"The scheduler {address}", found)
        yield client


async def _greet(address: str) -> None:
    """Shake hands with a scheduler: a client would wait without end for a silent scheduler."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, **Security().get_connection_args("client"))
    await comm.close()


def _address(scheduler: str) -> str:
    """Return the address itself, or the address in a scheduler's file."""
    if "://" in scheduler:
        return scheduler
    try:
        address = json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"]
    except FileNotFoundError as error:
        raise KilasError(
            f"There is no scheduler file {scheduler}; an address begins with tcp://"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise KilasError(
            f"{scheduler} is no file that `dask scheduler --scheduler-file` wrote."
        ) from error
    return str(address)


def _on_worker(work: Callable[[Task], Result], task: Task) -> Result:
    """Run a task on a worker, one at a time in its process."""
    with _alone:
        return work(task)


def _check_versions(who: str, found: Mapping[str, str] | Exception) -> None:
    """Check that `found` is the same as the versions here; raise KilasError if not.

    `found`: the result of `_versions` there, or the error of calling it. `who`: the process, for
    the message.
    """
    if isinstance(found, Exception):
        raise KilasError(
            f"{who} cannot run Kilas ({found}); start it in a checkout with the same "
            "packages as here."
        ) from found
    others = [
        f"{name} {found[name]} instead of {wanted}"
        for name, wanted in _versions().items()
        if found[name] != wanted
    ]
    if others:
        raise KilasError(
            f"{who} has other versions than this machine ({', '.join(others)}); install "
            "the same versions there and start it again."
        )


@cache
def _versions() -> dict[str, str]:
    """Return the versions that decide the result of a task.

    They are those of Python and of the packages, and the hash of Kilas's own code.
    """
    root = Path(__file__).resolve().parents[2]
    code = hashlib.sha256()
    for file in sorted([*root.glob("realtime/**/*.py"), *root.glob("training/**/*.py")]):
        code.update(f"{file.relative_to(root).as_posix()}\n{file.read_text('utf-8')}".encode())
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found | {"Kilas": code.hexdigest()[:12]}
