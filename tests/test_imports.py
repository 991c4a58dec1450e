"""What importing the monitor may cost, looked at from a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import realtime
from realtime import Monitor, analyze
{extra}
banned = {{"tensorflow", "keras", "jax", "jaxlib", "training", "torch"}}
loaded = banned & {{name.partition(".")[0] for name in sys.modules}}
print(sorted(loaded))
sys.exit(bool(loaded))
"""

MAKES_A_TRACKER = """
from realtime.landmarks import FaceTracker
FaceTracker().close()
assert "mediapipe" in sys.modules
"""

IMPORTS_EVERYTHING = """
import importlib, pkgutil
for module in pkgutil.iter_modules(realtime.__path__, "realtime."):
    importlib.import_module(module.name)
import stream
"""


@pytest.mark.parametrize("extra", ["", IMPORTS_EVERYTHING, MAKES_A_TRACKER])
def test_the_monitor_loads_no_training_library(extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(extra=extra)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_is_quick_because_it_loads_nothing() -> None:
    script = "import sys, realtime; print('numpy' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
