"""Messages to the page about a run's events and their clips."""

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
"""Longest time for the clips that still wait when a run has ended."""


class EventClips:
    """Sender of each event to the page, and then of its clip.

    A clip takes about a second of a core, so none is made twice: an event that is recorded from
    before its onset on gets its clip from the recording. `add`, `begin_recording` and `close`
    belong to the run's thread; `take_recorded` and `end_recording` may be called by any.
    """

    def __init__(
        self,
        labels: Sequence[str],
        longest_s: float,
        files: VisitFiles,
        outbox: Outbox,
        event_ids: count[int],
    ) -> None:
        """Make clips into `files`, and send messages to `outbox`.

        `labels`, `longest_s`: see `ClipMaker`. `event_ids`: numbers for the visit's events.
        """
        self._files = files
        self._outbox = outbox
        self._event_ids = event_ids
        self._maker: ClipMaker | None = ClipMaker(
            files.folder, labels, wait=False, longest_s=longest_s, on_made=self._send_clip
        )
        self._recorded_from_s: float | None = None  # the first frame of the recording
        self._numbers = count(1)  # of the recording's events
        # Events by their number in the recording that makes their clips.
        self._from_recording: dict[int, int] = {}

    def add(self, update: Update, *, is_recorded: bool) -> None:
        """Send the update's events. `is_recorded`: True if a recording is about to get it, too."""
        if is_recorded and self._recorded_from_s is None:
            self._recorded_from_s = update.frame.t_s
        self._run_maker(lambda maker: maker.add(update))
        for event in update.events:
            event_id = next(self._event_ids)
            self._outbox.put(protocol.event(event_id, event))
            self._request_clip(event_id, event, is_recorded=is_recorded)

    def begin_recording(self, before: Sequence[Update]) -> None:
        """Prepare for a new recording, which counts its events from 1.

        `before`: earlier updates with which it begins; their events have their clips already.
        """
        self._recorded_from_s = before[0].frame.t_s if before else None
        self._numbers = count(1 + sum(len(update.events) for update in before))

    def take_recorded(self, folder: Path, number: int, is_there: bool) -> None:
        """Send the clip of event `number` of the recording in `folder`.

        `is_there`: False if the recording will not make it.
        """
        event_id = self._from_recording.pop(number, None)
        if event_id is None:
            return
        if is_there:
            try:
                self._files.copy_clip(folder, number, event_id)
            except OSError:
                is_there = False  # the disk is full, which the recording reports
        self._send_clip(event_id, is_there)

    def end_recording(self) -> None:
        """Send that the clips which the ended recording has not made will not come."""
        missing, self._from_recording = self._from_recording, {}
        while missing:
            self._send_clip(missing.popitem()[1], is_there=False)

    def close(self) -> None:
        """Make the clips that still wait."""
        if self._maker is not None:
            # The page gets a message about each missing clip.
            with suppress(OSError, av.FFmpegError):
                self._maker.close(time.monotonic() + CLOSE_S)

    def _request_clip(self, event_id: int, event: Event, *, is_recorded: bool) -> None:
        if is_recorded:
            assert self._recorded_from_s is not None
            number = next(self._numbers)
            if event.onset_s - BEFORE_S >= self._recorded_from_s:
                self._from_recording[number] = event_id
                return
        if not self._run_maker(lambda maker: maker.event(event_id, event)):
            self._send_clip(event_id, is_there=False)

    def _run_maker(self, step: Callable[[ClipMaker], None]) -> bool:
        """Run a step on the clip maker and return True on success.

        After a failure there is no clip maker any more.
        """
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

    def _send_clip(self, event_id: int, is_there: bool) -> None:
        paths = self._files.add_clip(event_id) if is_there else (None, None)
        self._outbox.put(protocol.clip(event_id, *paths))
