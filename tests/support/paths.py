"""Folders that tests need by their place."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

TESTS = ROOT / "tests"

PYTHON_PATH = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(TESTS)))}
"""Environment of a process that imports the code and `support`."""

SHARED_DATA = ROOT.parent / "shared" / "data"
"""Development data that is not part of the project; tests that need it skip without."""
