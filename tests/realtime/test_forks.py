"""Monitors and sources in processes that were made by fork, as `multiprocessing` does it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from realtime.sources.opening import DEMO_PATH
from support.paths import PYTHON_PATH

FORKING = f"""
import os
from itertools import islice
from realtime import Monitor, analyze, open_source
from realtime.errors import ForkError

def in_copy(name, function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            print(name, "ends", flush=True)
        except ForkError as error:
            print(name, "-", error, flush=True)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

def leave():
    source.__exit__(None, None, None)
    monitor.close()

def begin_anew():
    other, _ = open_source({str(DEMO_PATH)!r})
    with Monitor(live=False, macro=False) as own, other:
        assert len(list(islice(own.updates(other), 12))) == 12

for live in (False, True):
    source, _ = open_source({str(DEMO_PATH)!r}, live=live)
    with Monitor(live=live, macro=False) as monitor, source:
        updates = monitor.updates(source)
        update = next(updates)
        in_copy("resumed", lambda: next(updates))
        in_copy("updates", lambda: next(monitor.updates(source)))
        in_copy("process", lambda: monitor.process(update.frame))
        in_copy("source", lambda: next(iter(source)))
        in_copy("leave", leave)
        in_copy("anew", begin_anew)
        assert len(list(islice(updates, 12))) == 12
        print("parent goes on", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_was_opened_before_a_fork_is_refused_and_what_is_opened_after_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env=os.environ | PYTHON_PATH,
        capture_output=True,
        text=True,
        timeout=120,  # seconds; a copy that waits for a thread of its parent never ends
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 14
    for file, monitor, process, source, leave, anew, parent in (lines[:7], lines[7:]):
        for refused in (file, monitor, process, source):
            assert "was opened before this process was forked" in refused
            assert 'multiprocessing.get_context("spawn")' in refused
        assert (leave, anew, parent) == ("leave ends", "anew ends", "parent goes on")
