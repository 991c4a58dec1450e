"""A run's events and their clips, as its page is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import av

from realtime.recording.clip_frames import BEFORE_S
from realtime.recording.clip_maker import ClipMaker
from realtime.types import Event, Update
from realtime.web.live import protocol
from realtime.web.live.outbox import Outbox
from realtime.web.live.visit_files import VisitFiles, reason

CLOSE_S = 2.0
"""How long the clips that still wait may take when a run has ended."""


class EventClips:
    """Tells the page of each event, and then of its clip.

    A clip takes about a second of a core, so none is made twice: what is recorded from before its
    onset on has its clip from the recording. `add`, `begin_recording` and `close` belong to the
    run's thread; `take_recorded` and `end_recording` may be called by any.
    """

    def __init__(
        self,
        labels: Sequence[str],
        longest_s: float,
        files: VisitFiles,
        outbox: Outbox,
        event_ids: count[int],
    ) -> None:
        """`labels`, `longest_s`: see `ClipMaker`. `event_ids`: numbers for the visit's events."""
        self._files = files
        self._outbox = outbox
        self._event_ids = event_ids
        self._maker: ClipMaker | None = ClipMaker(
            files.folder, labels, wait=False, longest_s=longest_s, on_made=self._tell
        )
        self._recorded_from_s: float | None = None  # the first frame of the recording
        self._numbers = count(1)  # of the recording's events
        self._owed: dict[int, int] = {}  # events by number, whose clips the recording makes

    def add(self, update: Update, *, is_recorded: bool) -> None:
        """Tell the update's events. `is_recorded`: whether a recording is about to have it."""
        if is_recorded and self._recorded_from_s is None:
            self._recorded_from_s = update.frame.t_s
        self._try(lambda maker: maker.add(update))
        for event in update.events:
            event_id = next(self._event_ids)
            self._outbox.put(protocol.event(event_id, event))
            self._order(event_id, event, is_recorded=is_recorded)

    def begin_recording(self) -> None:
        """A recording begins, and counts its events from 1."""
        self._recorded_from_s = None
        self._numbers = count(1)

    def take_recorded(self, folder: Path, number: int, is_there: bool) -> None:
        """The recording in `folder` has made the clip of its event `number`, or will not."""
        event_id = self._owed.pop(number, None)
        if event_id is None:
            return
        if is_there:
            try:
                self._files.copy_clip(folder, number, event_id)
            except OSError:
                is_there = False  # the disk is full, which the recording tells
        self._tell(event_id, is_there)

    def end_recording(self) -> None:
        """The recording is over, and whatever clips it has not made will not come."""
        owed, self._owed = self._owed, {}
        while owed:
            self._tell(owed.popitem()[1], is_there=False)

    def close(self) -> None:
        """Have the clips made that still wait."""
        if self._maker is not None:
            with suppress(OSError, av.FFmpegError):  # the page is told of each clip that is not
                self._maker.close(time.monotonic() + CLOSE_S)

    def _order(self, event_id: int, event: Event, *, is_recorded: bool) -> None:
        if is_recorded:
            assert self._recorded_from_s is not None
            number = next(self._numbers)
            if event.onset_s - BEFORE_S >= self._recorded_from_s:
                self._owed[number] = event_id
                return
        if not self._try(lambda maker: maker.event(event_id, event)):
            self._tell(event_id, is_there=False)

    def _try(self, step: Callable[[ClipMaker], None]) -> bool:
        """Whether there is a maker and it did this; one that fails is the last."""
        if self._maker is None:
            return False
        try:
            step(self._maker)
        except (OSError, av.FFmpegError) as error:
            self.close()
            self._maker = None
            self._outbox.put(protocol.notice(f"No more clips are made, because {reason(error)}."))
            return False
        return True

    def _tell(self, event_id: int, is_there: bool) -> None:
        paths = self._files.add_clip(event_id) if is_there else (None, None)
        self._outbox.put(protocol.clip(event_id, *paths))
