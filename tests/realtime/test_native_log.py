"""Notes of C++ libraries are dropped from stderr; everything else stays."""

from __future__ import annotations

import os

import pytest

from realtime.native_log import STDERR, without_native_log


def test_notes_are_dropped_and_other_lines_follow(capfd: pytest.CaptureFixture[str]) -> None:
    with without_native_log():
        os.write(STDERR, b"W0000 00:00:17.6 123 graph.cc:45] a note\na real problem\n")
        os.write(STDERR, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
    os.write(STDERR, b"W0000 after the block\n")
    assert capfd.readouterr().err == "a real problem\nW0000 after the block\n"


def test_an_error_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), without_native_log():
        raise ValueError("broken")
    os.write(STDERR, b"still there\n")
    assert capfd.readouterr().err == "still there\n"
