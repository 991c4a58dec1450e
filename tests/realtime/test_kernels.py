"""Compiled functions, also where nothing can be kept on disk."""

from __future__ import annotations

import logging
from typing import Any

import numba
import pytest

from realtime import kernels
from realtime.kernels import kernel


def test_without_a_folder_to_write_functions_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compile_function = numba.njit

    def njit(*functions: Any, cache: bool = False, **options: Any) -> Any:
        if cache and options.get("nogil"):
            raise RuntimeError("cannot cache function: no locator available")
        return compile_function(*functions, cache=cache, **options)

    monkeypatch.setattr(numba, "njit", njit)
    kernels._warn.cache_clear()

    @kernel()
    def doubled(value: float) -> float:
        return 2 * value

    @kernel(fastmath=True)
    def halved(value: float) -> float:
        return value / 2

    assert (doubled(3.0), halved(3.0)) == (6.0, 1.5)
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "set NUMBA_CACHE_DIR" in warned[0].getMessage()
