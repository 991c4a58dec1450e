"""Walls between the packages: who may import whom, and what importing the monitor may load."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from support.paths import ROOT

BASIS = {"realtime.types", "realtime.errors", "realtime.spec"}
STAGES = {
    "realtime.sources",
    "realtime.faces",
    "realtime.preprocessing",
    "realtime.inference",
    "realtime.spotting",
    "realtime.macro",
}

REPORTED = {"realtime", "training.datasets", "training.recipe", "training.preparation"} | {
    "training.batches",
    "training.models",
    "training.evaluation",
    "training.provenance",
}

ALLOWED: dict[str, set[str]] = {
    "realtime": set(),
    "realtime.types": set(),
    "realtime.errors": set(),
    "realtime.versions": set(),
    "realtime.native_log": set(),
    "realtime.interrupts": set(),
    "realtime.printed_text": set(),
    "realtime.onnx_runtime": set(),
    "realtime.kernels": set(),
    "realtime.forks": {"realtime.errors"},
    "realtime.storage": set(),
    "realtime.spec": {"realtime.errors"},
    # The stages of the data, in its order. They do not know each other, but for what they hand on.
    "realtime.sources": {"realtime.types", "realtime.errors", "realtime.forks"},
    "realtime.faces": {"realtime.types", "realtime.errors", "realtime.native_log"},
    "realtime.preprocessing": {"realtime.types", "realtime.spec", "realtime.kernels"},
    "realtime.inference": BASIS | {"realtime.onnx_runtime"},
    "realtime.spotting": BASIS | {"realtime.session.layout"},
    "realtime.macro": BASIS | {"realtime.faces", "realtime.inference", "realtime.onnx_runtime"},
    "realtime.monitor": BASIS | {"realtime.forks"} | STAGES - {"realtime.sources"},
    "realtime.run_status": {"realtime.types", "realtime.faces.conditions"},
    # What is shown and kept of a run.
    "realtime.drawing": {"realtime.types", "realtime.spec"},
    "realtime.display": BASIS
    | {"realtime.drawing", "realtime.run_status", "realtime.printed_text"},
    "realtime.session": {"realtime.types", "realtime.errors", "realtime.faces.conditions"},
    "realtime.recording": BASIS
    | {"realtime.storage", "realtime.versions", "realtime.session", "realtime.drawing"},
    "realtime.recording.painting": {"realtime.monitor", "realtime.display", "realtime.recording"},
    "realtime.recording.live_recording": {"realtime.monitor", "realtime.recording"}
    | {"realtime.errors", "realtime.types", "realtime.versions"},
    "realtime.earlier_sessions": {"realtime.errors", "realtime.storage"}
    | {"realtime.session", "realtime.exports"},
    "realtime.analysis": STAGES
    | {
        "realtime.types",
        "realtime.errors",
        "realtime.earlier_sessions",
        "realtime.monitor",
        "realtime.session",
        "realtime.recording",
    },
    "realtime.reports": BASIS
    | {"realtime.storage"}
    | {"realtime.session", "realtime.drawing", "realtime.run_status", "realtime.faces.conditions"},
    "realtime.exports": {"realtime.types", "realtime.errors"}
    | {"realtime.storage", "realtime.session"},
    "realtime.lsl_outlet": {"realtime.types", "realtime.errors"}
    | {"realtime.inference", "realtime.macro"},
    # What is built on all of it.
    "realtime.parallel": {"realtime.errors"},
    "realtime.batch": {"realtime"},
    "realtime.web": {"realtime"},
    "realtime.benchmark": {"realtime"},
    # Training, in the order of its data; it may import all of realtime.
    "training": set(),
    "training.annotations": {"realtime"},
    "training.rendering": {"realtime"},
    "training.model_file": {"realtime"},
    "training.options": {"realtime"},
    "training.provenance": {"realtime"},
    "training.tensorflow_start": {"realtime"},
    "training.datasets": {"realtime", "training.annotations"},
    "training.recipe": {"realtime", "training.datasets"},
    "training.preparation": {"realtime", "training.annotations", "training.datasets"},
    "training.batches": {"realtime", "training.annotations", "training.datasets"}
    | {"training.preparation", "training.recipe"},
    "training.simulation": {"realtime", "training.annotations", "training.rendering"}
    | {"training.preparation", "training.provenance"},
    "training.evaluation": {"realtime", "training.annotations", "training.model_file"}
    | {"training.provenance"},
    "training.models": {"realtime", "training.batches", "training.datasets"}
    | {"training.evaluation", "training.preparation", "training.recipe"}
    | {"training.provenance", "training.model_file"},
    "training.reports": REPORTED,
    "training.experiments": REPORTED | {"training.reports"},
    "training.macro": REPORTED
    | {"training.reports", "training.options", "training.tensorflow_start"},
    "training.reproduce": {"realtime", "training"},
    "training.__main__": {"realtime", "training"},
}
"""Package or module: the prefixes of Kilas that it may import, beside itself."""

FORBIDDEN: dict[str, set[str]] = {
    "realtime.batch": {"realtime.web", "realtime.benchmark"},
    "realtime.web": {"realtime.batch", "realtime.benchmark"},
    "realtime.web.live": {"realtime.web.uploads", "realtime.web.app", "realtime.web.serve"}
    | {"realtime.web.access", "realtime.web.about"},
    "realtime.web.uploads": {"realtime.web.live", "realtime.web.app", "realtime.web.serve"}
    | {"realtime.web.access", "realtime.web.about"},
}
"""Package: the prefixes that it may not import although the table above allows wider ones."""


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


def heavy_imports(source: str) -> set[str]:
    """Libraries of training, and programs, that a source text imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names & {"tensorflow", "keras", "jax", "torch", "training", "stream"}


@pytest.mark.parametrize("module", sorted(name for name in modules() if is_under(name, "realtime")))
def test_the_monitor_imports_no_training_library_even_late(module: str) -> None:
    assert heavy_imports(modules()[module].read_text()) == set()
    assert heavy_imports("def f():\n    import keras.layers") == {"keras"}


def package_of(module: str) -> str:
    """The longest row of the table that a module belongs to."""
    return max((row for row in ALLOWED if is_under(module, row)), key=len)


def forbidden_imports(module: str, source: str) -> list[str]:
    """Imports of a source text that its package may not have."""
    package = package_of(module)
    allowed = ALLOWED[package] | {package}
    forbidden = {
        wall for row, walls in FORBIDDEN.items() if is_under(module, row) for wall in walls
    }
    return [
        imported
        for imported in imports_of(source)
        if not any(is_under(imported, prefix) for prefix in allowed)
        or any(is_under(imported, prefix) for prefix in forbidden)
    ]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_its_package_may(module: str) -> None:
    assert forbidden_imports(module, modules()[module].read_text()) == []


def test_every_file_is_looked_into_and_every_row_is_a_place() -> None:
    files = {path for root in ("realtime", "training") for path in (ROOT / root).rglob("*.py")}
    assert files == set(modules().values())
    assert ALLOWED.keys() | FORBIDDEN.keys() <= modules().keys()
    roots = {"realtime", "training"}
    assert [name for name in modules() if name not in roots and package_of(name) in roots] == []


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a circle, or none."""
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_by_way_of_others() -> None:
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    imports = {
        name: set(imports_of(path.read_text())) - {name} - packages
        for name, path in modules().items()
        if name not in packages
    }
    assert circle(imports) == []
    assert circle(imports | {"realtime.types": {"realtime.web.app"}}) != []


@pytest.mark.parametrize(
    ("module", "line", "imported"),
    [
        ("realtime.faces.tracker", "from realtime import monitor", "realtime.monitor"),
        ("realtime.exports.vtt", "import realtime.monitor", "realtime.monitor"),
        ("realtime.recording.tables", "import realtime.display.window", "realtime.display.window"),
        ("realtime.web.live.run", "import realtime.web.uploads.jobs", "realtime.web.uploads.jobs"),
        ("realtime.web.serve", "def f():\n    from training import recipe", "training.recipe"),
        ("realtime.batch.runner", "if x:\n    import realtime.web.app", "realtime.web.app"),
        ("training.datasets.samm", "from training import recipe", "training.recipe"),
        ("training.reports.html", "from training.macro import train", "training.macro.train"),
        ("training.experiments.grid", "import training.rendering", "training.rendering"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str, imported: str) -> None:
    assert forbidden_imports(module, line) == [imported]


RIDDLES = ("Of", "What", "Which", "Whether", "Who", "How")
"""First words of docstrings that have to be decoded."""


def python_files() -> list[Path]:
    return [ROOT / "stream.py"] + [
        path
        for folder in ("realtime", "training", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_docstring_begins_with_a_riddle(path: Path) -> None:
    found = [
        node.value.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and node.value.value.split(" ")[0] in RIDDLES
    ]
    assert found == []


def test_files_and_folders_stay_small() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in modules().values()}
    assert {path: size for path, size in sizes.items() if size > 600} == {}
    folders = Counter(path.parent for path in modules().values())
    assert {folder: count for folder, count in folders.items() if count > 20} == {}


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
