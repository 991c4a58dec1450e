"""Decorator of the functions that numba compiles."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(**options: Any) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function to a kernel that runs without the GIL.

    What was compiled is kept on disk: beside the code, or in the user's cache folder. Where neither
    can be written, as in a container without a home, it is compiled anew in each process, and a
    warning says so once. `options`: of `numba.njit`.

    Example:

        @kernel(fastmath=True)
        def total(values): ...
    """

    def compiled(function: Function) -> Function:
        try:
            result = numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba has found no folder that it may write
            _warn()
            result = numba.njit(nogil=True, **options)(function)
        return result  # type: ignore[no-any-return]

    return compiled


@functools.cache
def _warn() -> None:
    log.warning(
        "Compiled code cannot be kept, because neither the program's folder nor a home folder can "
        "be written, so each start takes some seconds longer; set NUMBA_CACHE_DIR to a folder of "
        "your own."
    )
