"""Walls between the packages: who may import whom, and what importing the monitor may load."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ALLOWED: dict[str, set[str]] = {
    "realtime": {"realtime"},
    "realtime.exports": {
        "realtime.recording.live_recording.live_recording.live_recording.clip_maker",
        "realtime.storage.durable_file",
        "realtime.errors",
    }
    | {"realtime.monitor", "realtime.monitor.layout", "realtime.monitor.reader"},
    "training": {"training", "realtime"},
    "training.datasets": {"realtime", "training.simulation.actions", "training.annotations.tables"},
    "training.macro": {"training", "realtime"},
}
"""Package or module: the prefixes of Kilas that it may import, beside itself."""

FORBIDDEN: dict[str, set[str]] = {
    "training.datasets": {"realtime.web"},
    "training.macro": {"training.experiments.grid", "training.simulation.videos"},
}
"""Package or module: the prefixes that it may not import although a wider row allows them."""


def is_under(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


@cache
def modules() -> dict[str, Path]:
    """Every module and package of `realtime` and `training`, with its file."""
    found = {}
    for root in ("realtime", "training"):
        found[root] = ROOT / root / "__init__.py"
        for module in pkgutil.walk_packages([str(ROOT / root)], f"{root}."):
            spec = importlib.util.find_spec(module.name)
            assert spec is not None
            assert spec.origin is not None
            found[module.name] = Path(spec.origin)
    return found


def imports_of(source: str) -> Iterator[str]:
    """Modules of Kilas that a source text imports, at the top or within functions."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            while name and name not in modules():
                name = name.rpartition(".")[0]
            if name:
                yield name


def package_of(module: str) -> str:
    """The longest row of the table that a module belongs to."""
    return max((row for row in ALLOWED if is_under(module, row)), key=len)


def forbidden_imports(module: str, source: str) -> list[str]:
    """Imports of a source text that its package may not have."""
    package = package_of(module)
    allowed = ALLOWED[package] | {package}
    forbidden = FORBIDDEN.get(package, set())
    return [
        imported
        for imported in imports_of(source)
        if not any(is_under(imported, prefix) for prefix in allowed)
        or any(is_under(imported, prefix) for prefix in forbidden)
    ]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_its_package_may(module: str) -> None:
    assert forbidden_imports(module, modules()[module].read_text()) == []


def test_every_folder_is_looked_into() -> None:
    files = {
        path
        for root in ("realtime", "training")
        for path in (ROOT / root).rglob("*.py")
        if path.name != "__main__.py"
    }
    assert files <= set(modules().values())


@pytest.mark.parametrize(
    ("module", "line", "imported"),
    [
        (
            "realtime.exports.vtt",
            "from realtime.recording.recorder import Contents",
            "realtime.recorder",
        ),
        ("realtime.web.serve", "import training.experiments.grid", "training.experiments.grid"),
        (
            "realtime.web.serve",
            "def f():\n    from training.experiments import grid",
            "training.grid",
        ),
        ("training.datasets.samm", "from training.experiments import grid", "training.grid"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str, imported: str) -> None:
    assert forbidden_imports(module, line) == [imported]


SCRIPT = """
import sys
import realtime
from realtime.monitor import Monitor; from realtime.analysis import analyze
{extra}
banned = {{"tensorflow", "keras", "jax", "jaxlib", "training", "torch"}}
loaded = banned & {{name.partition(".")[0] for name in sys.modules}}
print(sorted(loaded))
sys.exit(bool(loaded))
"""

MAKES_A_TRACKER = """
from realtime.faces.tracker import FaceTracker
FaceTracker().close()
assert "mediapipe" in sys.modules
"""

IMPORTS_EVERYTHING = """
import importlib, pkgutil
for module in pkgutil.walk_packages(realtime.__path__, "realtime."):
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
