"""Folders that tests need by their place."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

TESTS = ROOT / "tests"
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Development data that is not part of the project; tests that need it skip without."""
