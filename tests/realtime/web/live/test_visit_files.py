"""The files of one visit, and that nothing else can be had by them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from realtime.web.live.visit_files import CLIPS_KEPT, SESSIONS_KEPT, VisitFiles


def make_clip(files: VisitFiles, event_id: int) -> None:
    folder = files.folder / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("mp4", "png"):
        (folder / f"event-{event_id:04d}.{suffix}").write_text(str(event_id))


def make_session(files: VisitFiles, name: str) -> Path:
    session = files.sessions_folder / name
    (session / "clips").mkdir(parents=True)
    (session / "clips" / "event-0001.mp4").write_bytes(b"film")
    (session / "scores.csv").write_text("a,b\n" * 1000)
    (session / "recording.lock").touch()
    return session


def test_clips_are_found_by_their_names_and_the_oldest_go(tmp_path: Path) -> None:
    files = VisitFiles("visit", tmp_path / "visit")
    for event_id in range(1, CLIPS_KEPT + 3):
        make_clip(files, event_id)
        video, still = files.add_clip(event_id)
    assert video == f"/kilas/visits/visit/clips/event-{CLIPS_KEPT + 2:04d}.mp4"
    assert still.endswith(".png")
    assert files.find("clips", "event-0002.mp4") is None
    kept = files.find("clips", "event-0003.png")
    assert kept is not None
    assert kept.read_text() == "3"
    assert len(list((files.folder / "clips").iterdir())) == 2 * CLIPS_KEPT


def test_a_session_is_packed_and_its_folder_removed(tmp_path: Path) -> None:
    files = VisitFiles("visit", tmp_path / "visit")
    session = make_session(files, "2026-01-02_03-04-05")
    url = files.add_session(session)
    assert url == "/kilas/visits/visit/sessions/2026-01-02_03-04-05.zip"
    assert not session.exists()
    packed = files.find("sessions", url.rpartition("/")[2])
    assert packed is not None
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == [
            "2026-01-02_03-04-05/clips/event-0001.mp4",
            "2026-01-02_03-04-05/scores.csv",
        ]
        assert archive.testzip() is None
    files.remove()
    assert not files.folder.exists()
    assert files.find("sessions", packed.name) is None


def test_a_zip_is_there_wholly_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = VisitFiles("visit", tmp_path / "visit")
    session = make_session(files, "one")

    def is_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", is_full)
    with pytest.raises(OSError, match="No space"):
        files.add_session(session)
    assert [path.name for path in files.sessions_folder.iterdir()] == ["one"]
    assert files.find("sessions", "one.zip") is None


def test_the_number_of_recordings_is_bounded(tmp_path: Path) -> None:
    files = VisitFiles("visit", tmp_path / "visit")
    for number in range(SESSIONS_KEPT):
        assert not files.is_full
        files.add_session(make_session(files, str(number)))
    assert files.is_full


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("clips", "../../secret"),
        ("clips", "/etc/passwd"),
        ("clips", "event-0001.mp4.partial"),
        ("sessions", "event-0001.mp4"),
        ("..", "event-0001.mp4"),
        ("clips", ""),
    ],
)
def test_only_what_was_added_is_found(kind: str, name: str, tmp_path: Path) -> None:
    files = VisitFiles("visit", tmp_path / "visit")
    make_clip(files, 1)
    files.add_clip(1)
    (tmp_path / "secret").touch()
    assert files.find(kind, name) is None
