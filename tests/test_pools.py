"""Work for several processes: its order, and how it ends when something goes wrong."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from realtime.errors import KilasError
from training.pools import for_all


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


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    assert for_all(square_late, range(5), jobs, "squaring") == [0, 1, 4, 9, 16]


def test_no_tasks_need_no_process() -> None:
    assert for_all(die, [], 2, "dying", done=3) == []


@pytest.mark.timeout(60)
def test_a_killed_process_is_said_and_ends_the_others() -> None:
    with pytest.raises(KilasError, match="fewer --jobs"):
        for_all(die, range(6), 2, "dying")
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(40)
def test_an_error_ends_all_processes_at_once() -> None:
    with pytest.raises(KilasError, match="no such video"):
        for_all(refuse, range(4), 2, "refusing")
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(60)
def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    """A whole process group gets the signal, as from a terminal."""
    script = tmp_path / "sleepers.py"
    script.write_text(
        "import pathlib, sys, time\n"
        "from training.pools import for_all\n"
        "def sleep(number):\n"
        "    (pathlib.Path(sys.argv[1]) / f'started-{number}').touch()\n"
        "    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    for_all(sleep, range(4), 2, 'sleeping')\n"
    )
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(root)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
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
