"""The same work for many tasks, done by the workers of a Dask cluster.

A scheduler and workers are started by hand, or by what a computing centre has for it, in the same
checkout of Kilas and with the same packages as here:

    uv run --all-extras dask scheduler --no-dashboard
    uv run --all-extras dask worker tcp://HOST:8786 --nworkers 2 --nthreads 1 --no-dashboard

There are as many tasks under way as there are worker processes, whatever the number of their
threads: trainings that shared a process would share TensorFlow's state, and analyses each have
threads of their own. TensorFlow keeps about 30 MB of every training; `--lifetime 6h
--lifetime-restart` renews the workers. A process's processors are shared out by who starts it
(TF_NUM_INTRAOP_THREADS, CUDA_VISIBLE_DEVICES). Tasks and results travel through the scheduler;
files do not. What a task names, a recipe's data or a video and the folder of its results, must be
there on every machine under the same absolute path. A task must not start processes, which Dask's
workers may not.

Dask knows no passwords: whoever reaches a scheduler or worker can run programs there. Without TLS
(Dask's configuration, addresses tls://) that is for networks of trusted people only.
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
"""How long a scheduler may take to answer; one that is there takes milliseconds."""

LOOK_S = 1.0
"""How often to look for workers that have joined or gone."""

GONE_S = 60.0
"""How long tasks may be without any worker; Dask's nanny starts a new one within seconds."""

FETCH_S = 30.0
"""How long to wait for a finished result. If its worker died in between, the task begins anew."""

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
"""Packages whose versions may change what a training or an analysis gives."""

_alone = threading.Lock()


def on_cluster(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    scheduler: str,
    say: Callable[[str], None],
    on_killed: Callable[[Task, str], None] | None = None,
) -> Generator[tuple[Task, Result], None, None]:
    """Every task and what `work`, a function of a module, makes of it, in the order in which they
    finish.

    `scheduler`: its address (tcp://HOST:PORT), or the file that `dask scheduler --scheduler-file`
    wrote. `say` is told when there are no workers and why nothing happens. The tasks of a worker
    that died begin anew on another. `str(task)` names a task in messages. `on_killed` is called
    with a task that has ended one worker after the other (the scheduler's `allowed-failures`), and
    what can be said of it ("ended 4 workers ..."); the others go on.

    An error of `work` is raised here. It, Ctrl-C and the end of the generator take back what has
    not begun; Dask cannot stop what has, so its workers finish it, for nobody.

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
                    say(f"{address} has no workers; waiting for `dask worker {address}`.")
                elif begun and time.monotonic() - alone_since_s > GONE_S:
                    raise KilasError(
                        f"All workers of {address} are gone, and none has come back for "
                        f"{GONE_S:.0f} s. Their logs may say why; they were at "
                        + ", ".join(map(str, begun.values()))
                        + "."
                    )
                # One each: a worker that dies then casts suspicion on no other task.
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
                        "perhaps for want of memory; their logs may say why."
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
    """How many worker processes there are. Those that are not among the checked ones have their
    versions checked, and are added to them."""
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
    return KilasError(f"The scheduler {address} is gone; start it and its workers again.")


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of a scheduler that has the versions that are here."""
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
    except (OSError, ValueError, MemoryError) as error:  # the last: it takes other talk for sizes
        raise KilasError(
            f"No scheduler answers at {address}; start one with `dask scheduler`."
        ) from error
    # A lost scheduler is said here, without the tracebacks that Dask logs.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with Client(address, timeout=CONNECT_S, set_as_default=False) as client:
        try:
            found = client.run_on_scheduler(_versions)
        except (ImportError, AttributeError) as error:
            found = error
        _check_versions(f"The scheduler {address}", found)
        yield client


async def _greet(address: str) -> None:
    """Shake hands with a scheduler: a client would wait without end for one that is silent."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, **Security().get_connection_args("client"))
    await comm.close()


def _address(scheduler: str) -> str:
    """The address itself, or the one that a scheduler's file says."""
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
    """Runs on a worker: one task at a time in its process."""
    with _alone:
        return work(task)


def _check_versions(who: str, found: Mapping[str, str] | Exception) -> None:
    """`found`: what `_versions` gave there, or why it could not be called."""
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
            f"{who} has other versions than this machine ({', '.join(others)}); start it anew "
            "where they are the same."
        )


@cache
def _versions() -> dict[str, str]:
    """What decides what a task gives: Python, packages, and Kilas's own code by its hash."""
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
