"""Work for several processes: its order, and how it ends when something goes wrong."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl

from realtime.errors import KilasError
from realtime.parallel.process_pool import TASKS_AHEAD, THREADS, map_all, map_ordered, run_tasks
from support.paths import ROOT


def square_late(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number * number


def die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return number


def refuse(number: int) -> int:
    if number == 0:
        raise KilasError("no such video")
    time.sleep(60.0)
    return number


def sleep_from_two_on(number: int) -> int:
    time.sleep(0.0 if number < 2 else 300.0)
    return number


def die_at_four(task: tuple[Path, int]) -> int:
    """Number 4 does so when the results of the others are files."""
    folder, number = task
    if number == 4:
        while len(list(folder.iterdir())) < 4:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def first_waits_to_go(task: tuple[Path, int]) -> int:
    folder, number = task
    while number == 0 and not (folder / "go").exists():
        time.sleep(0.02)
    return number


def die_at_two(number: int) -> tuple[int, int]:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def own_process(_: int) -> int:
    return os.getpid()


def leave_a_file(task: tuple[Path, int]) -> int:
    folder, number = task
    (folder / str(number)).touch()
    return number


def threads_of_libraries(_: int) -> tuple[list[str | None], int]:
    """Return the number in the environment, and the one that NumPy's OpenBLAS took from it."""
    import numpy as np

    assert np.ones(1).sum() == 1.0
    pools = threadpoolctl.threadpool_info()
    return [os.environ.get(name) for name in THREADS], max(pool["num_threads"] for pool in pools)


def run(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    on_result: Callable[[Any, Any], None],
    jobs: int = 2,
) -> None:
    run_tasks(work, tasks, jobs=jobs, scheduler=None, description="trying", on_result=on_result)


def start_sleepers(folder: Path) -> subprocess.Popen[str]:
    """A program whose two processes leave a file `started-NUMBER` each and sleep."""
    script = folder / "sleepers.py"
    script.write_text(
        "import pathlib, sys, time\n"
        "from realtime.parallel.process_pool import map_all\n"
        "def sleep(number):\n"
        "    (pathlib.Path(sys.argv[1]) / f'started-{number}').touch()\n"
        "    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    map_all(sleep, range(4), 2, 'sleeping')\n"
    )
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    assert map_all(square_late, range(5), jobs, "squaring") == [0, 1, 4, 9, 16]


def test_no_tasks_need_no_process() -> None:
    assert map_all(die, [], 2, "dying", done=3) == []


@pytest.mark.timeout(60)
def test_a_killed_process_is_said_and_ends_the_others() -> None:
    with pytest.raises(KilasError, match="fewer --jobs"):
        map_all(die, range(6), 2, "dying")
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(40)
def test_an_error_ends_all_processes_at_once() -> None:
    with pytest.raises(KilasError, match="no such video"):
        map_all(refuse, range(4), 2, "refusing")
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(60)
def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    """A whole process group gets the signal, as from a terminal."""
    process = start_sleepers(tmp_path)
    try:
        while len(list(tmp_path.glob("started-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        # Ends only when nobody can write any more, so when all processes are gone.
        said, _ = process.communicate(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert said.count("KeyboardInterrupt") == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("jobs", "bound"), [(1, 1), (2, 2 * TASKS_AHEAD)])
def test_few_results_exist_before_they_are_taken(tmp_path: Path, jobs: int, bound: int) -> None:
    tasks = list(product([tmp_path], range(12)))
    results = map_ordered(leave_a_file, tasks, jobs, "leaving")
    for taken, result in enumerate(results):
        assert result == taken
        most = min(bound + taken, len(tasks))
        while len(list(tmp_path.iterdir())) < most:
            time.sleep(0.01)
        if taken < 3:
            time.sleep(0.2)  # one too many would be there by now
        assert len(list(tmp_path.iterdir())) == most


@pytest.mark.timeout(40)
def test_whoever_stops_early_ends_all_processes_at_once() -> None:
    for number in map_ordered(sleep_from_two_on, range(8), 2, "sleeping"):
        if number == 1:
            break
    assert multiprocessing.active_children() == []

    def take(number: int, _: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(sleep_from_two_on, range(8), take)
    assert multiprocessing.active_children() == []


def test_another_pool_goes_on_when_one_ends() -> None:
    first = map_ordered(square_late, range(5), 2, "squaring")
    assert next(first) == 0
    second = map_ordered(square_late, range(5), 2, "squaring")
    assert next(second) == 0
    second.close()
    assert list(first) == [1, 4, 9, 16]


@pytest.mark.timeout(40)
def test_an_error_does_not_wait_for_the_tasks_before_it() -> None:
    with pytest.raises(KilasError, match="no such video"):
        list(map_ordered(refuse, [1, 0], 2, "refusing"))


@pytest.mark.timeout(40)
def test_results_are_handed_over_as_they_finish(tmp_path: Path) -> None:
    found: list[tuple[int, int]] = []

    def take(task: tuple[Path, int], result: int) -> None:
        found.append((task[1], result))
        if len(found) == 4:
            (tmp_path / "go").touch()

    run(first_waits_to_go, list(product([tmp_path], range(5))), take)
    assert sorted(found) == [(number, number) for number in range(5)]
    assert found[-1] == (0, 0)


def test_one_job_is_done_here() -> None:
    found: dict[int, int] = {}
    run(own_process, range(3), found.__setitem__, jobs=1)
    assert found == dict.fromkeys(range(3), os.getpid())


@pytest.mark.timeout(60)
def test_what_was_handed_over_before_a_process_was_killed_stays(tmp_path: Path) -> None:
    def keep(task: tuple[Path, int], result: int) -> None:
        (tmp_path / str(result)).touch()

    with pytest.raises(KilasError, match="fewer --jobs"):
        run(die_at_four, list(product([tmp_path], range(5))), keep)
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "2", "3"}
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(90)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_ends_its_process_is_found_and_the_others_go_on(jobs: int) -> None:
    found: list[int] = []
    killed: list[tuple[int, str]] = []
    run_tasks(
        die_at_two,
        range(8),
        jobs=jobs,
        scheduler=None,
        description="dying",
        on_result=lambda task, _: found.append(task),
        on_killed=lambda *pair: killed.append(pair),
    )
    assert sorted(found) == [0, 1, 3, 4, 5, 6, 7]
    assert [task for task, _ in killed] == [2]
    assert killed[0][1].startswith("ended its process")


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("tasks_per_process", "processes"), [(2, 3), (None, 1)])
def test_processes_are_renewed_as_often_as_asked_for(
    tasks_per_process: int | None, processes: int
) -> None:
    found: dict[int, int] = {}
    run_tasks(
        own_process,
        range(5),
        jobs=1,
        scheduler=None,
        description="looking",
        on_result=found.__setitem__,
        on_killed=lambda task, why: pytest.fail(why),
        tasks_per_process=tasks_per_process,
    )
    assert len(set(found.values())) == processes
    assert os.getpid() not in found.values()


@pytest.mark.timeout(60)
def test_processes_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    process = start_sleepers(tmp_path)
    try:
        while len(list(tmp_path.glob("started-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        # Ends only when nobody can write any more, so when all processes are gone.
        process.communicate(timeout=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_trainings_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    found = {}
    run(threads_of_libraries, range(2), found.__setitem__)
    assert found == dict.fromkeys(range(2), (["1"] * len(THREADS), 1))
    # Other work is left as it is.
    assert map_all(threads_of_libraries, range(2), 2, "looking")[0][0] == [None] * len(THREADS)
