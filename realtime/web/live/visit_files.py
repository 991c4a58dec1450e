"""The files of one visit: clips of its events and its recordings."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from realtime.session.layout import CLIPS_FOLDER, clip_stem
from realtime.storage.durable_file import is_full
from realtime.web.paths import VISITS_PATH
from realtime.web.session_zip import pack

CLIPS_KEPT = 200
"""Most clips of one visit; older ones are removed. A clip and its stills take about 0.4 MB."""

SESSIONS_KEPT = 8
"""Most recordings of one visit, each at most 30 minutes long; then no other can be started."""

SESSIONS_FOLDER = "sessions"

CLIP_SUFFIXES = (".mp4", ".png")
"""Suffixes of a clip and its stills."""


class VisitFiles:
    """Files of one visit on disk, and the paths under which its page finds them.

    Any thread may call its methods. Only files that were added are ever found, whatever the path.
    """

    def __init__(self, visit_id: str, folder: Path) -> None:
        """Keep files in `folder`, the visit's own; it is made with its first file."""
        self.folder = folder
        self.sessions_folder = folder / SESSIONS_FOLDER
        self._root = f"{VISITS_PATH}/{visit_id}"
        self._lock = threading.Lock()  # guards what follows
        self._clips: dict[str, Path] = {}
        self._sessions: dict[str, Path] = {}

    @property
    def is_full(self) -> bool:
        """True if there are as many recordings as may be kept."""
        with self._lock:
            return len(self._sessions) >= SESSIONS_KEPT

    def add_clip(self, event_id: int) -> tuple[str, str]:
        """Add an event's clip and stills from the visit's clips folder; return their paths.

        Removes the oldest ones beyond `CLIPS_KEPT`.
        """
        names = [f"{clip_stem(event_id)}{suffix}" for suffix in CLIP_SUFFIXES]
        with self._lock:
            for name in names:
                self._clips[name] = self.folder / CLIPS_FOLDER / name
            while len(self._clips) > 2 * CLIPS_KEPT:
                self._clips.pop(next(iter(self._clips))).unlink(missing_ok=True)
        video, still = (f"{self._root}/{CLIPS_FOLDER}/{name}" for name in names)
        return video, still

    def copy_clip(self, session: Path, number: int, event_id: int) -> None:
        """Copy the clip and stills of a session's event `number` as those of `event_id`.

        They are found once `add_clip` has added them. Raises OSError.
        """
        clips = self.folder / CLIPS_FOLDER
        clips.mkdir(parents=True, exist_ok=True)
        for suffix in CLIP_SUFFIXES:
            shutil.copyfile(
                session / CLIPS_FOLDER / f"{clip_stem(number)}{suffix}",
                clips / f"{clip_stem(event_id)}{suffix}",
            )

    def add_session(self, session: Path) -> str:
        """Pack a finished session folder, remove it, and return the zip's path.

        Raises OSError when the disk is full or broken; the session folder stays then.
        """
        packed = session.with_name(f"{session.name}.zip")
        pack(session, packed)
        shutil.rmtree(session)
        with self._lock:
            self._sessions[packed.name] = packed
        return f"{self._root}/{SESSIONS_FOLDER}/{packed.name}"

    def find(self, kind: str, name: str) -> Path | None:
        """Return the file for the last two parts of its path; None if there is none."""
        kinds = {CLIPS_FOLDER: self._clips, SESSIONS_FOLDER: self._sessions}
        with self._lock:
            return kinds.get(kind, {}).get(name)

    def remove(self) -> None:
        """Remove all files of the visit."""
        with self._lock:
            self._clips.clear()
            self._sessions.clear()
        # A file that cannot be removed can no longer be found either.
        shutil.rmtree(self.folder, ignore_errors=True)


def reason(error: BaseException | None) -> str:
    """Return why something could not be written, without a name of the server's folders."""
    if is_full(error):
        return "the server's disk is full"
    return "the server could not write it to its disk"
