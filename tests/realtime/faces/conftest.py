"""Trackers that are closed after the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from realtime.faces.tracker import FaceTracker


@pytest.fixture(scope="module")
def start_tracker() -> Iterator[Callable[[], FaceTracker]]:
    trackers: list[FaceTracker] = []

    def start() -> FaceTracker:
        trackers.append(FaceTracker())
        return trackers[-1]

    yield start
    for tracker in trackers:
        tracker.close()
