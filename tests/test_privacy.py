"""Nothing is sent: no library that is used here asks for a host, or is told where to send to."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.demo_clip import copy_beginning
from support.paths import ROOT

STRACE = shutil.which("strace")


def can_trace() -> bool:
    """Return True if processes may be watched here, which containers can forbid."""
    if STRACE is None:
        return False
    tried = subprocess.run([STRACE, "-qq", "-e", "trace=none", "true"], capture_output=True)
    return tried.returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not watch processes")
@pytest.mark.parametrize(
    "command",
    [
        ["analyze", "{clip}", "--out", "{out}"],
        ["--source", "{clip}", "--no-window", "--record", "{out}"],
    ],
)
def test_no_host_is_asked_for_and_no_connection_is_made(command: list[str], tmp_path: Path) -> None:
    clip = copy_beginning(tmp_path / "clip.mp4", 1.5)
    calls = tmp_path / "calls.txt"
    arguments = [part.format(clip=clip, out=tmp_path / "out") for part in command]
    # ONNX Runtime sends nothing of itself in continuous integration.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    watched = [str(STRACE), "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    done = subprocess.run(
        [*watched, "-o", calls, sys.executable, "stream.py", *arguments],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    traced = calls.read_text()
    assert [line for line in traced.splitlines() if "AF_INET" in line] == []
    assert not list(tmp_path.rglob("*deviceid*"))


def test_onnx_runtime_is_loaded_where_it_is_told_to_send_nothing() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for folder in ("realtime", "training")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(
            name.partition(".")[0] == "onnxruntime"
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        )
    }
    assert importing == {"realtime/onnx_runtime.py"}
