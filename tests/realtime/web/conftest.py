"""Fixtures of the live part's tests: a running server, and the network behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime.macro.model import MacroModel
from realtime.web.live.model_pool import ModelPool
from support.live_server import LiveServer


@pytest.fixture(scope="session")
def models() -> Iterator[ModelPool]:
    models = ModelPool(macro=MacroModel.load())
    yield models
    models.close()


@pytest.fixture
def serve(models: ModelPool, tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Makes servers, each with a folder of its own, that are closed after the test."""
    running: list[LiveServer] = []

    def start(**options: Any) -> LiveServer:
        folder = tmp_path / f"visits-{len(running)}"
        folder.mkdir()
        server = LiveServer(models, folder, **{"max_sessions": 4, **options})
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)
