"""Every event has one clip, of the run or of its recording, or the word that there is none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.types import Event, Frame, Update
from realtime.web.live import event_clips
from realtime.web.live.event_clips import EventClips
from realtime.web.live.visit_files import VisitFiles


class Maker:
    """Takes the place of the thread that makes clips."""

    def __init__(self, *args: object, on_made: Callable[[int, bool], None], **options: object):
        self.on_made = on_made
        self.ordered: list[int] = []
        self.is_full = False

    def add(self, update: Update) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")

    def event(self, event_id: int, event: Event) -> None:
        self.ordered.append(event_id)

    def close(self, until_s: float) -> None:
        while self.ordered:
            self.on_made(self.ordered.pop(), False)


class Said(list[dict[str, Any]]):
    put = list.append

    def clips(self) -> dict[int, bool]:
        told = [one for one in self if one["type"] == "clip"]
        assert len({one["id"] for one in told}) == len(told)
        return {one["id"]: one["video"] is not None for one in told}


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def clips(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> EventClips:
    monkeypatch.setattr(event_clips, "ClipMaker", Maker)
    files = VisitFiles("visit", tmp_path / "visit")
    return EventClips(("none", "joy"), 0.8, files, said, count(1))  # type: ignore[arg-type]


def maker_of(clips: EventClips) -> Maker:
    maker = clips._maker
    assert isinstance(maker, Maker)
    return maker


def update(t_s: float, onset_s: float | None = None) -> Update:
    events: tuple[Event, ...] = ()
    if onset_s is not None:
        events = (Event(0, onset_s, onset_s + 0.1, onset_s + 0.2, "joy", 0.9),)
    return Update(Frame(0, t_s, np.zeros((4, 4, 3), np.uint8)), (), (), events, {})


def recorded(folder: Path, number: int) -> Path:
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for suffix in ("mp4", "png"):
        (folder / "clips" / f"event-{number:04d}.{suffix}").write_text(f"recorded {number}")
    return folder


def test_without_a_recording_the_run_makes_the_clips(clips: EventClips, said: Said) -> None:
    clips.add(update(2.0, 1.5), is_recorded=False)
    assert maker_of(clips).ordered == [1]
    assert said[0]["type"] == "event"
    assert not said.clips()
    maker_of(clips).on_made(1, True)
    assert said.clips() == {1: True}


def test_a_recording_lends_its_clips_under_the_numbers_of_the_visit(
    clips: EventClips, said: Said, tmp_path: Path
) -> None:
    clips.add(update(1.0, 0.5), is_recorded=False)
    clips.begin_recording([])
    clips.add(update(2.0), is_recorded=True)
    clips.add(update(2.3, 2.1), is_recorded=True)  # what comes before it was not recorded
    clips.add(update(4.0, 3.5), is_recorded=True)
    assert maker_of(clips).ordered == [1, 2]
    for number in (1, 2):
        clips.take_recorded(recorded(tmp_path / "session", number), number, True)
    assert said.clips() == {3: True}
    path = tmp_path / "visit" / "clips" / "event-0003.mp4"
    assert path.read_text() == "recorded 2"


def test_what_a_recording_owes_when_it_ends_is_told(clips: EventClips, said: Said) -> None:
    clips.begin_recording([])
    clips.add(update(2.0), is_recorded=True)
    clips.add(update(4.0, 3.5), is_recorded=True)
    clips.end_recording()
    assert said.clips() == {1: False}
    clips.take_recorded(Path("late"), 1, True)
    assert said.clips() == {1: False}


def test_a_recorded_clip_that_cannot_be_copied_is_told(
    clips: EventClips, said: Said, tmp_path: Path
) -> None:
    clips.begin_recording([])
    clips.add(update(2.0), is_recorded=True)
    clips.add(update(4.0, 3.5), is_recorded=True)
    clips.take_recorded(tmp_path / "nowhere", 1, True)
    assert said.clips() == {1: False}


def test_a_full_disk_ends_the_clips_and_not_the_events(clips: EventClips, said: Said) -> None:
    clips.add(update(1.0, 0.5), is_recorded=False)
    maker_of(clips).is_full = True
    clips.add(update(2.0, 1.5), is_recorded=False)
    clips.add(update(3.0, 2.5), is_recorded=False)
    assert [one["id"] for one in said if one["type"] == "event"] == [1, 2, 3]
    assert said.clips() == {1: False, 2: False, 3: False}
    (words,) = [one["words"] for one in said if one["type"] == "notice"]
    assert "disk is full" in words
