"""Work for a Dask cluster: schedulers and workers on this machine, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import KilasError
from realtime.parallel import dask_cluster
from realtime.parallel.process_pool import run_tasks
from support.paths import ROOT, TESTS

Task = tuple[Path, int]
"""A folder for what the work leaves, and a number."""

pytestmark = pytest.mark.timeout(90)


class Machines:
    """A scheduler and workers as `dask scheduler` and `dask worker` start them."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._environment = environment
        self.processes = [self._start("dask_scheduler", "--port", "0")]
        while not (self.file.exists() and self.file.read_text()):
            assert self.processes[0].poll() is None, self.logs()
            time.sleep(0.02)

    def add_worker(self, *path: Path, threads: int = 1) -> subprocess.Popen[bytes]:
        """`path`: where it finds Python's modules before it looks for Kilas's."""
        threads_ = ("--nthreads", str(threads))
        worker = self._start("dask_worker", "--no-nanny", *threads_, path=path)
        self.processes.append(worker)
        return worker

    def _start(
        self, what: str, *arguments: str, path: Sequence[Path] = ()
    ) -> subprocess.Popen[bytes]:
        environment = {"PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT, TESTS]))}
        log = self.folder / f"{time.monotonic_ns()}.log"
        options = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        options += ("--scheduler-file", str(self.file))
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{what}", *options, *arguments],
                env=os.environ | environment | self._environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A scheduler that gives a task up after two workers."""
    machines = Machines(
        tmp_path_factory.mktemp("scheduler"), DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1"
    )
    yield machines
    machines.stop()


@pytest.fixture
def machines(scheduler: Machines) -> Iterator[Machines]:
    """The scheduler without workers; those of a test are gone after it."""
    yield scheduler
    for worker in scheduler.processes[1:]:
        worker.kill()
        worker.wait()
    del scheduler.processes[1:]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster that no test harms."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("workers")),
    ) as local:
        yield local.scheduler_address


def run(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    scheduler: str | Path,
    on_result: Callable[[Any, Any], None] = lambda task, result: None,
) -> None:
    run_tasks(
        work, tasks, jobs=1, scheduler=str(scheduler), description="trying", on_result=on_result
    )


def square(number: int) -> int:
    return number * number


def leave_own_process(task: Task) -> int:
    """Number 0 goes on when there is a file `go`."""
    folder, number = task
    (folder / f"{number}-{os.getpid()}").touch()
    while number == 0 and not (folder / "go").exists():
        time.sleep(0.02)
    return os.getpid()


def meet(task: Task) -> int:
    """Goes on when two have begun: the first two are done by two processes."""
    folder, number = task
    (folder / f"{number}-{os.getpid()}").touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.02)
    return os.getpid()


def refuse_three(task: Task) -> int:
    folder, number = task
    (folder / str(number)).touch()
    if number == 3:
        raise KilasError("no such recipe")
    return number


def take_too_long(_: int) -> int:
    raise TimeoutError("the work's own")


def die_at_one(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def press_ctrl_c(process: int | None) -> None:
    if process is not None:
        os.kill(process, signal.SIGINT)
    time.sleep(0.5)


def span(_: int) -> tuple[int, float, float]:
    """The process, and when it began and ended."""
    begin_s = time.monotonic()
    time.sleep(0.1)
    return os.getpid(), begin_s, time.monotonic()


def test_every_task_is_done_once(two_workers: str) -> None:
    found: list[tuple[int, int]] = []
    run(square, range(30), two_workers, lambda *pair: found.append(pair))
    assert sorted(found) == [(number, number * number) for number in range(30)]
    run(square, [], two_workers)


def test_results_are_handed_over_as_they_finish(two_workers: str, tmp_path: Path) -> None:
    found: list[int] = []

    def take(task: Task, _: int) -> None:
        found.append(task[1])
        if len(found) == 4:
            (tmp_path / "go").touch()

    run(leave_own_process, list(product([tmp_path], range(5))), two_workers, take)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[-1] == 0


def test_an_error_keeps_its_type_and_ends_the_rest(two_workers: str, tmp_path: Path) -> None:
    found: list[int] = []
    tasks = list(product([tmp_path], range(30)))
    with pytest.raises(KilasError, match="no such recipe"):
        run(refuse_three, tasks, two_workers, lambda task, _: found.append(task[1]))
    assert 3 not in found
    assert len(list(tmp_path.iterdir())) <= len(found) + 2
    with pytest.raises(TimeoutError, match="the work's own"):
        run(take_too_long, range(2), two_workers)


def test_an_error_of_whoever_takes_the_results_ends_the_rest(
    two_workers: str, tmp_path: Path
) -> None:
    def take(task: Task, result: int) -> None:
        raise OSError("disk full")

    tasks = list(product([tmp_path], range(1, 30)))
    with pytest.raises(OSError, match="disk full"):
        run(leave_own_process, tasks, two_workers, take)
    assert len(list(tmp_path.iterdir())) <= 2


def test_ctrl_c_ends_the_waiting(two_workers: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(press_ctrl_c, [os.getpid(), *[None] * 20], two_workers)
    run(square, range(3), two_workers)  # the workers are still of use


def test_a_killed_workers_task_is_done_by_another(machines: Machines, tmp_path: Path) -> None:
    for _ in range(2):
        machines.add_worker()
    found: dict[int, list[int]] = {number: [] for number in range(6)}
    killed: list[int] = []

    def take(task: Task, process: int) -> None:
        found[task[1]].append(process)
        if not killed:
            while not (at_work := list(tmp_path.glob("0-*"))):
                time.sleep(0.02)
            killed.append(int(at_work[0].name.removeprefix("0-")))
            assert killed[0] != process
            os.kill(killed[0], signal.SIGKILL)
            (tmp_path / "go").touch()

    run(leave_own_process, list(product([tmp_path], range(6))), machines.file, take)
    assert [len(processes) for processes in found.values()] == [1] * 6
    assert killed[0] not in found[0]
    assert len(list(tmp_path.glob("0-*"))) == 2


def test_a_result_that_died_with_its_worker_is_made_again(
    machines: Machines, tmp_path: Path
) -> None:
    for _ in range(2):
        machines.add_worker()
    found: dict[int, list[int]] = {number: [] for number in range(1, 5)}
    killed: list[int] = []

    def take(task: Task, process: int) -> None:
        found[task[1]].append(process)
        if not killed:
            time.sleep(0.3)  # the other has finished its task by now
            killed.extend({int(file.name[2:]) for file in tmp_path.iterdir()} - {process})
            os.kill(killed[0], signal.SIGKILL)

    run(meet, list(product([tmp_path], found)), machines.file, take)
    assert [len(processes) for processes in found.values()] == [1] * 4
    assert len(killed) == 1


def test_a_task_that_ends_every_worker_is_named(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "FETCH_S", 3.0)  # of a task whose result died with its worker
    for _ in range(2):
        machines.add_worker()
    with pytest.raises(KilasError, match=r"^1 ended 2 workers"):
        run(die_at_one, range(4), machines.file)


def test_the_others_go_on_after_a_task_that_ended_every_worker(machines: Machines) -> None:
    for _ in range(4):
        machines.add_worker()
    found: list[int] = []
    killed: list[tuple[int, str]] = []
    run_tasks(
        die_at_one,
        range(8),
        jobs=1,
        scheduler=str(machines.file),
        description="dying",
        on_result=lambda task, _: found.append(task),
        on_killed=lambda *pair: killed.append(pair),
    )
    assert sorted(found) == [0, 2, 3, 4, 5, 6, 7]
    assert [task for task, _ in killed] == [1]
    assert killed[0][1].startswith("ended 2 workers")


def test_waiting_for_workers_is_said(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_cluster, "GONE_S", 0.5)
    late = threading.Timer(1.5, machines.add_worker)  # later than GONE_S: none was there before
    late.start()
    with pytest.raises(KilasError, match=r"none has come back .* on 1\."):
        run(die_at_one, range(2), machines.file)
    late.join()
    assert "has no workers; waiting for `dask worker tcp://127.0.0.1:" in capsys.readouterr().out


def test_a_lost_scheduler_ends_the_waiting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    machines = Machines(tmp_path)
    try:
        machines.add_worker()
        tasks = [(tmp_path, 1), (tmp_path, 0)]
        with pytest.raises(KilasError, match="is gone; start it"):
            run(leave_own_process, tasks, machines.file, lambda *_: machines.processes[0].kill())
    finally:
        machines.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_a_process_trains_one_network_at_a_time(machines: Machines) -> None:
    """Two runs share a worker that could do two tasks at once."""
    machines.add_worker(threads=2)
    spans: list[tuple[int, float, float]] = []

    def grid() -> None:
        run(span, range(4), machines.file, lambda _, result: spans.append(result))

    other = threading.Thread(target=grid)
    other.start()
    grid()
    other.join()
    assert len(spans) == 8
    assert len({process for process, _, _ in spans}) == 1
    spans.sort(key=lambda span: span[1])
    assert all(a[2] <= b[1] for a, b in pairwise(spans))


def test_a_worker_of_another_kilas_is_refused(machines: Machines, tmp_path: Path) -> None:
    for room in ("realtime", "training"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.pyc"))
    with (tmp_path / "training" / "train.py").open("a") as code:
        code.write("# a line more\n")
    machines.add_worker(tmp_path)
    with pytest.raises(KilasError, match=r"The worker tcp.* other versions .*\(Kilas \w+ instead"):
        run(square, range(3), machines.file)


def test_a_worker_without_kilas_is_refused(machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "realtime.py").touch()
    machines.add_worker(tmp_path)
    with pytest.raises(KilasError, match="cannot run Kilas"):
        run(square, range(3), machines.file)


def test_a_scheduler_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(KilasError, match=f"No scheduler answers at tcp://127.0.0.1:{port}"):
            run(square, [1], f"tcp://127.0.0.1:{port}")
    for wrong in (f"tcp://127.0.0.1:{port}", "tcp://127.0.0.1", "pigeon://127.0.0.1:1"):
        with pytest.raises(KilasError, match="No scheduler answers"):
            run(square, [1], wrong)
    with pytest.raises(KilasError, match=r"no scheduler file 127\.0\.0\.1:8786; an address begins"):
        run(square, [1], "127.0.0.1:8786")
    (tmp_path / "notes.txt").write_text("{}")
    with pytest.raises(KilasError, match=r"notes\.txt is no file that"):
        run(square, [1], tmp_path / "notes.txt")


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(KilasError, match="uv sync --all-extras"):
        run(square, [1], "tcp://127.0.0.1:1")


def test_a_program_that_runs_an_event_loop_is_told_the_same() -> None:
    async def in_a_notebook() -> None:
        with pytest.raises(KilasError, match="No scheduler answers"):
            run(square, [1], "tcp://127.0.0.1:1")

    asyncio.run(in_a_notebook())
