"""A recording that was cut off is finished, and nothing that was whole in it is lost."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from realtime.errors import RecordingError
from realtime.recording import recorder
from realtime.recording.encoders import TICKS_HZ
from realtime.recording.recorder import RecordingContents, SessionRecorder
from realtime.recording.recovery import recover_session
from realtime.session.reader import load_session
from realtime.storage import durable_file, folder_lock
from realtime.storage.durable_file import DiskFile, SyncThread, replace_file
from realtime.storage.folder_lock import LOCK_FILE, FolderLock
from realtime.types import Update
from support.builders import wait_until
from support.paths import PYTHON_PATH
from support.recordings import SPEC, rows, session_json, uneven_updates

FRAMES = 75
HOLE_BYTES = 300
VIDEOS = ("video.mp4", "clean.mp4")
TABLES = ("scores.csv", "events.csv", "conditions.csv")


def updates() -> list[Update]:
    return uneven_updates(FRAMES)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session as a kill leaves it: what the files of a running recording hold."""
    base = tmp_path_factory.mktemp("killed")
    contents = RecordingContents(keep_clean=True)
    with (
        pytest.MonkeyPatch.context() as patch,
        SessionRecorder(base / "a", SPEC, {}, None, True, contents=contents) as session,
    ):
        patch.setattr(recorder, "SESSION_EVERY_S", 0.1)
        for item in updates():
            session.write(item)
        wait_until(lambda: session_json(base / "a")["frames"] == FRAMES)  # written last of all
        shutil.copytree(base / "a", base / "killed")
    shutil.copytree(base / "a", base / "complete")
    return base / "killed"


@pytest.fixture
def killed(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "killed, 100 % für 2"))


def timestamps(folder: Path) -> list[float]:
    return [float(row["timestamp"]) for row in rows(folder)]


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def pictures(path: Path) -> list[tuple[int | None, int | None, bool, bytes]]:
    """Times, key or not, and data of each picture, as they are in the file."""
    with closing(av.open(str(path))) as container:
        stream = container.streams.video[0]
        assert stream.time_base == Fraction(1, TICKS_HZ)
        return [
            (packet.pts, packet.dts, packet.is_keyframe, bytes(packet))
            for packet in container.demux(stream)
            if packet.dts is not None
        ]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def decoded_pts(path: Path) -> list[int | None]:
    with closing(av.open(str(path))) as container:
        return [frame.pts for frame in container.decode(video=0)]


# The whole session


def test_killed_session_is_finished(killed: Path) -> None:
    before = session_json(killed)
    assert before["status"] == "recording"
    assert recover_session(killed)
    facts = session_json(killed)
    assert facts["status"] == "recovered"
    assert before["updated"] in facts["error"]
    times_s = timestamps(killed)
    assert facts["frames"] == len(times_s) > FRAMES - 20
    assert facts["duration_s"] == pytest.approx(times_s[-1] - times_s[0])
    assert facts["first_frame_s"] == times_s[0]
    assert facts["frame_rate"]["gap_median_s"] == pytest.approx(
        float(np.median(np.diff(times_s))), abs=1e-6
    )
    assert facts["events"] == len(rows(killed, "events.csv")) == 3
    assert facts["video_frames"] == len(pictures(killed / "video.mp4"))
    same = ("started", "versions", "model", "labels", "drops", "settings")
    assert {key: facts[key] for key in same} == {key: before[key] for key in same}
    held = {path.name for path in killed.iterdir()}
    assert held == {*TABLES, *VIDEOS, "session.json", "clips"}


def test_statistics_are_those_of_a_recording_that_ends_in_order(template: Path) -> None:
    complete = template.with_name("complete")
    written = session_json(complete)
    facts = written | {"status": "recording", "frames": 0, "frame_rate": None, "events": 0}
    (complete / "session.json").write_text(json.dumps(facts))
    (complete / LOCK_FILE).touch()
    assert recover_session(complete)
    for key in ("frames", "events", "first_frame_s", "video_frames"):
        assert session_json(complete)[key] == written[key]
    assert session_json(complete)["duration_s"] == pytest.approx(written["duration_s"], abs=2e-6)
    assert session_json(complete)["frame_rate"] == pytest.approx(written["frame_rate"], abs=1e-2)


def test_videos_become_plain_and_keep_every_picture_and_time(killed: Path) -> None:
    before = {name: pictures(killed / name) for name in VIDEOS}
    assert all(b"moof" in (killed / name).read_bytes() for name in VIDEOS)
    assert recover_session(killed)
    for name in VIDEOS:
        assert pictures(killed / name) == before[name]
        assert len(before[name]) > FRAMES - 15
        assert decoded_pts(killed / name) == [pts for pts, *_ in before[name]]
        assert b"moof" not in (killed / name).read_bytes()[-5000:]
        with closing(av.open(str(killed / name))) as container:
            stream = container.streams.video[0]
            assert stream.frames == len(before[name])
            container.seek(round(1.5 * TICKS_HZ), stream=stream)
            assert next(container.decode(stream)).time == pytest.approx(1.0, abs=0.1)


def test_a_second_time_nothing_is_left_to_do(killed: Path) -> None:
    assert recover_session(killed)
    before = files(killed)
    assert not recover_session(killed)
    assert files(killed) == before


def test_complete_session_is_not_touched(template: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(template.with_name("complete"), tmp_path / "a")
    facts = session_json(folder) | {"status": "complete"}
    (folder / "session.json").write_text(json.dumps(facts))
    (folder / "scores.csv").write_bytes(b"a table that its user\r\nhas changed")
    before = files(folder)
    assert not recover_session(folder)
    assert files(folder) == before


def test_mending_that_was_cut_off_is_mended(killed: Path) -> None:
    for name in (*VIDEOS, "session.json"):
        (killed / f"{name}.partial").write_bytes(b"half")
    assert recover_session(killed)
    held = {path.name for path in killed.iterdir()}
    assert held == {*TABLES, *VIDEOS, "session.json", "clips"}


def test_recording_without_frames(tmp_path: Path) -> None:
    with SessionRecorder(tmp_path / "a", SPEC, {}, None, True):
        folder = Path(shutil.copytree(tmp_path / "a", tmp_path / "killed"))
    assert recover_session(folder)
    facts = session_json(folder)
    assert (facts["frames"], facts["video_frames"], facts["frame_rate"]) == (0, 0, None)
    assert facts["first_frame_s"] is None


@pytest.mark.parametrize("rest", [None, b"", b'{"status": "reco', b"\0" * 900, b"[]"])
def test_session_json_that_was_lost(killed: Path, rest: bytes | None) -> None:
    before = session_json(killed)
    if rest is None:
        (killed / "session.json").unlink()
    else:
        (killed / "session.json").write_bytes(rest)
    assert recover_session(killed)
    facts = session_json(killed)
    assert facts["status"] == "recovered"
    assert "session.json was lost" in facts["error"]
    assert facts["labels"] == list(SPEC.labels)
    assert facts["frames"] == len(rows(killed))
    assert facts.keys() >= before.keys() - {"spotting", "settings", "calibration", "video"}
    assert not recover_session(killed)


@pytest.mark.parametrize("is_lost", [False, True])
def test_scores_of_macro_expressions_stay_what_they_are(tmp_path: Path, is_lost: bool) -> None:
    macro = {"name": "kilas-macro", "labels": ["happy", "neutral"]}
    folder = tmp_path / "a"
    with SessionRecorder(folder, SPEC, {"macro": macro}, None, True) as session:
        for item in updates():
            session.write(item)
    facts = session_json(folder) | {"status": "recording"}
    (folder / "session.json").write_text("" if is_lost else json.dumps(facts))
    (folder / LOCK_FILE).touch()  # as a kill leaves it
    assert recover_session(folder)
    mended = session_json(folder)
    assert mended["labels"] == list(SPEC.labels)
    assert mended["macro"]["labels"] == ["happy", "neutral"]
    assert list(load_session(folder).scores)[-3:] == ["macro_happy", "macro_neutral", "state"]


def test_failed_session_is_completed(killed: Path) -> None:
    facts = session_json(killed) | {"status": "failed", "error": "The disk was full."}
    (killed / "session.json").write_text(json.dumps(facts))
    assert recover_session(killed)
    facts = session_json(killed)
    assert (facts["status"], facts["error"]) == ("recovered", "The disk was full.")
    assert facts["video_frames"] == len(pictures(killed / "video.mp4"))


def test_failed_session_in_which_nothing_is_missing(killed: Path) -> None:
    recover_session(killed)
    facts = session_json(killed) | {"status": "failed", "error": "The camera was unplugged."}
    (killed / "session.json").write_text(json.dumps(facts))
    before = files(killed)
    assert not recover_session(killed)
    assert files(killed) == before


@pytest.mark.parametrize("content", [{}, {"scores.csv": b"subject,score\n1,2\n"}, None])
def test_folder_that_is_no_session(tmp_path: Path, content: dict[str, bytes] | None) -> None:
    folder = tmp_path / "a"
    if content is not None:
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    with pytest.raises(RecordingError, match="not a recorded session"):
        recover_session(folder)
    assert content is None or files(folder) == content


# Tables


def zeros(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(4096)


def hole(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(len(data[at : at + HOLE_BYTES])) + data[at + HOLE_BYTES :]


def foreign(data: bytes, at: int) -> bytes:
    return data[:at] + b"\xff\xd8\xff\xe0 what another file had\n here"


def cut(data: bytes, at: int) -> bytes:
    return data[:at]


@pytest.mark.parametrize("damage", [cut, zeros, hole, foreign])
@pytest.mark.parametrize("name", TABLES)
def test_whole_rows_are_kept_wherever_a_table_is_torn(
    killed: Path, name: str, damage: Callable[[bytes, int], bytes]
) -> None:
    for video in VIDEOS:
        (killed / video).unlink()
    whole = (killed / name).read_bytes()
    header, *_ = all_lines = whole.splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, all_lines)))
    facts = (killed / "session.json").read_bytes()
    for at in (0, 10, ends[0] - 1, *range(ends[0], len(whole), 1 + len(whole) // 37)):
        (killed / name).write_bytes(damage(whole, at))
        (killed / "session.json").write_bytes(facts)
        (killed / LOCK_FILE).touch()
        assert recover_session(killed)
        expected = [line for line, end in zip(all_lines, ends, strict=True) if end <= at]
        if damage is hole:
            starts = zip(all_lines, [0, *ends], strict=False)
            expected += [line for line, start in starts if start > at + HOLE_BYTES]
        if expected[:1] != [header]:
            expected.insert(0, header)
        assert lines(killed / name) == expected


def test_lost_tables_are_begun_anew(killed: Path) -> None:
    headers = [lines(killed / name)[0] for name in TABLES]
    (killed / "scores.csv").write_bytes(bytes(100))
    (killed / "events.csv").unlink()
    assert recover_session(killed)
    assert [lines(killed / name)[0] for name in TABLES] == headers
    assert session_json(killed)["frames"] == session_json(killed)["events"] == 0


def test_tables_of_other_columns_keep_their_rows(killed: Path) -> None:
    """Those of another version."""
    whole = (killed / "conditions.csv").read_bytes()
    (killed / "conditions.csv").write_bytes(b"frame,timestamp,other\n0,0.0,1\n1,0.1,2\n2,0.")
    (killed / "events.csv").unlink()
    assert whole
    assert recover_session(killed)
    left = (killed / "conditions.csv").read_bytes()
    assert left == b"frame,timestamp,other\n0,0.0,1\n1,0.1,2\n"


def test_row_without_numbers_is_told_and_left(killed: Path) -> None:
    """No kill leaves such a row, so somebody wrote it, and nobody but them may take it away."""
    for name, cell in itertools.product(("scores.csv", "events.csv"), (b"word", b"inf", b"")):
        whole = (killed / name).read_bytes()
        cells = lines(killed / name)[-1].strip().split(b",")
        with (killed / name).open("ab") as file:
            file.write(b",".join([cells[0], cell, *cells[2:]]) + b"\n")
        before = files(killed)
        with pytest.raises(RecordingError, match=name):
            recover_session(killed)
        after = files(killed)
        assert all(after[one] == before[one] for one in (*TABLES, "session.json"))
        (killed / name).write_bytes(whole)
    assert recover_session(killed)


def test_facts_that_are_no_session_s_are_told(killed: Path) -> None:
    facts = session_json(killed) | {"labels": 5}
    (killed / "session.json").write_text(json.dumps(facts))
    before = files(killed)
    with pytest.raises(RecordingError, match=r"session\.json .* 'labels' is not a list"):
        recover_session(killed)
    assert files(killed) == before


def test_name_that_is_no_text_stays_what_it_is(killed: Path) -> None:
    name = b"bad\xff.mp4".decode(errors="surrogateescape")
    facts = session_json(killed) | {"source": {"name": name}}
    (killed / "session.json").write_text(json.dumps(facts))
    assert recover_session(killed)
    assert session_json(killed)["source"] == {"name": name}


# Videos


@pytest.mark.parametrize("damage", [cut, zeros])
def test_torn_video_keeps_its_whole_fragments(
    killed: Path, damage: Callable[[bytes, int], bytes]
) -> None:
    whole = (killed / "video.mp4").read_bytes()
    before = pictures(killed / "video.mp4")
    (killed / "clean.mp4").unlink()
    facts = (killed / "session.json").read_bytes()
    ends = fragment_ends(whole)
    for at in sorted({0, 7, 40, *range(0, len(whole), 7411), *ends[-3:], ends[-2] - 1}):
        (killed / "video.mp4").write_bytes(damage(whole, at))
        (killed / "session.json").write_bytes(facts)
        (killed / LOCK_FILE).touch()
        assert recover_session(killed)
        left = pictures(killed / "video.mp4") if (killed / "video.mp4").exists() else []
        assert left == before[: len(left)]
        assert session_json(killed)["video_frames"] == len(left)
        whole_fragments = [end for end in ends if end <= at]
        if whole_fragments:
            (killed / "whole.mp4").write_bytes(whole[: whole_fragments[-1]])
            assert len(left) >= len(pictures(killed / "whole.mp4"))
        elif damage is cut:
            assert not left


def fragment_ends(video: bytes) -> list[int]:
    """Where each run of pictures ends."""
    ends, begin = [], 0
    while begin < len(video):
        end = begin + int.from_bytes(video[begin : begin + 4], "big")
        if video[begin + 4 : begin + 8] == b"mdat":
            ends.append(end)
        begin = end
    return ends


def test_pages_that_a_loss_of_power_left_empty(killed: Path) -> None:
    """Pictures that cannot be whole are not kept, nor those that build on them."""
    whole = (killed / "video.mp4").read_bytes()
    before = pictures(killed / "video.mp4")
    facts = (killed / "session.json").read_bytes()
    fewest = len(before)
    for at in range(len(whole) // 4096 * 4096 - 4096, len(whole) // 2, -3 * 4096):
        (killed / "video.mp4").write_bytes(whole[:at] + bytes(4096) + whole[at + 4096 :])
        (killed / "session.json").write_bytes(facts)
        (killed / LOCK_FILE).touch()
        assert recover_session(killed)
        left = pictures(killed / "video.mp4")
        assert len(left) < len(before)
        assert set(left) <= set(before)
        assert decoded_pts(killed / "video.mp4") == [pts for pts, *_ in left]
        follows = [before.index(b) - before.index(a) == 1 for a, b in itertools.pairwise(left)]
        keys = [is_key for *_, is_key, _ in left[1:]]
        assert all(one or key for one, key in zip(follows, keys, strict=True))
        fewest = min(fewest, len(left))
    assert fewest > len(before) / 4


def test_kill_between_index_and_first_bytes_of_a_video(killed: Path, template: Path) -> None:
    """The index of the plain file is there, but the fragments do not lead to it yet."""
    before = pictures(killed / "video.mp4")
    whole = (template.with_name("complete") / "video.mp4").read_bytes()
    index = whole[whole.rindex(b"moov") - 4 :]
    for part in (index, index[:-9]):
        (killed / "video.mp4").write_bytes((template / "video.mp4").read_bytes() + part)
        (killed / "session.json").write_bytes((template / "session.json").read_bytes())
        (killed / LOCK_FILE).touch()
        assert recover_session(killed)
        assert pictures(killed / "video.mp4") == before


def test_video_that_cannot_be_read_is_left_as_it_is(killed: Path) -> None:
    rubbish = {"video.mp4": bytes(2**21), "clean.mp4": b"\0\0\0\x10moovjunkjunk\0\0\0\x08mdat"}
    for name, data in rubbish.items():
        (killed / name).write_bytes(data)
    assert recover_session(killed)
    assert {name: (killed / name).read_bytes() for name in VIDEOS} == rubbish
    assert session_json(killed)["video_frames"] == 0
    assert session_json(killed)["frames"] > 0


# A session that somebody else writes


HOLD = """
    import sys
    from pathlib import Path
    from realtime.storage.folder_lock import FolderLock

    lock = FolderLock(Path(sys.argv[1]))
    print(lock.take(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(killed: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `killed`."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(killed)],
        env=os.environ | PYTHON_PATH,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_recording_of_another_process_is_refused_until_it_is_gone(
    killed: Path, holder: subprocess.Popen[str]
) -> None:
    before = files(killed)
    with pytest.raises(RecordingError, match="still being recorded"):
        recover_session(killed)
    assert files(killed) == before
    holder.kill()
    holder.wait()
    assert recover_session(killed)
    assert not (killed / LOCK_FILE).exists()


def test_recording_of_this_process_is_refused_and_goes_on(tmp_path: Path) -> None:
    items = updates()
    with SessionRecorder(tmp_path / "a", SPEC, {}, None, True) as session:
        for item in items[:40]:
            session.write(item)
        with pytest.raises(RecordingError, match="still being recorded"):
            recover_session(tmp_path / "a")
        for item in items[40:]:
            session.write(item)
    assert not recover_session(tmp_path / "a")
    assert session_json(tmp_path / "a")["status"] == "complete"
    assert len(pictures(tmp_path / "a" / "video.mp4")) == FRAMES
    assert not (tmp_path / "a" / LOCK_FILE).exists()


def test_file_system_without_locks(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the last change tells whether somebody may be writing."""

    def no_locks(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock, "lock_descriptor", no_locks)
    (killed / LOCK_FILE).unlink()
    with FolderLock(killed) as lock:
        assert lock.take()  # a recording goes on without
        assert not (killed / LOCK_FILE).exists()
    os.utime(killed / "session.json")
    before = files(killed)
    with pytest.raises(RecordingError, match="still being recorded"):
        recover_session(killed)
    assert files(killed) == before
    minute_ago_s = time.time() - 60
    for path in killed.iterdir():
        os.utime(path, (minute_ago_s, minute_ago_s))
    assert recover_session(killed)
    held = {path.name for path in killed.iterdir()}
    assert held == {*TABLES, *VIDEOS, "session.json", "clips"}


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_while_mending_loses_nothing(template: Path, small_disk: Path) -> None:
    folder = Path(shutil.copytree(template, small_disk / "killed"))
    with open(folder / "scores.csv", "ab") as table:
        table.write(b"999,8.1")
    before = files(folder)
    shown = pictures(folder / "video.mp4")
    with open(small_disk / "filler", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)) == 4096 and disk_free(small_disk) > 40_000:
            pass
    with pytest.raises(RecordingError, match=r"no space left .* free 1 MB .* nothing .* lost"):
        recover_session(folder)
    after = files(folder)
    assert session_json(folder)["status"] == "recording"
    assert {name: after[name] for name in VIDEOS} == {name: before[name] for name in VIDEOS}
    assert not after["scores.csv"].endswith(b"999,8.1")
    assert not any(name.endswith(".partial") for name in after)
    (small_disk / "filler").unlink()
    assert recover_session(folder)
    assert pictures(folder / "video.mp4") == shown


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize("limit", [0, 4_000, 20_000, 60_000])
def test_file_that_cannot_grow_while_mending_loses_nothing(killed: Path, limit: int) -> None:
    import resource

    before = files(killed)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RecordingError, match="no space left"):
            recover_session(killed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(killed) == before
    assert recover_session(killed)


def disk_free(folder: Path) -> int:
    usage = os.statvfs(folder)
    return usage.f_bavail * usage.f_frsize


def test_replaced_file_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    replace_file(path, b"old")
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            replace_file(path, b"new")
    assert files(tmp_path) == {"a.json": b"old"}

    def note_sync(descriptor: int) -> None:
        order.append("sync")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    replace_file(path, b"new")
    assert files(tmp_path) == {"a.json": b"new"}
    assert order == ["sync", "replace", "sync"][: 2 if os.name == "nt" else 3]


def test_first_bytes_of_a_file_change_after_its_end_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((tmp_path / "a").read_bytes())

    monkeypatch.setattr(os, "fsync", note)
    with DiskFile(tmp_path / "a") as file:
        file.append(b"free....")
        file.seek(0)
        file.write(b"mdat")
        file.seek(0, os.SEEK_END)
        file.write(b"index")
    assert synced == [b"free....index", b"mdat....index"]


def test_sync_thread_syncs_and_then_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "SYNC_EVERY_S", 0.01)
    path = tmp_path / "a"
    seen: list[bool] = []
    thread = SyncThread([lambda: seen.append(path.exists())])
    thread.replace(path, b"first")
    thread.replace(path, b"second")
    wait_until(path.exists)
    thread.stop()
    assert path.read_bytes() == b"second"
    assert not seen[0]


def test_sync_thread_tells_that_the_disk_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "SYNC_EVERY_S", 0.01)

    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    thread = SyncThread([fail])
    deadline_s = time.monotonic() + 30
    with pytest.raises(OSError, match="Input/output"):
        while time.monotonic() < deadline_s:
            thread.replace(tmp_path / "a", b"")
            time.sleep(0.01)
    with pytest.raises(OSError, match="Input/output"):
        thread.stop()


def test_every_file_of_a_running_recording_reaches_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_file, "SYNC_EVERY_S", 0.01)
    synced: dict[str, set[str]] = {}
    sync = DiskFile.sync

    def note(self: DiskFile) -> None:
        sync(self)
        name = Path(str(self._file.name)).name
        synced.setdefault(name, set()).add(threading.current_thread().name)

    monkeypatch.setattr(DiskFile, "sync", note)
    contents = RecordingContents(keep_clean=True)
    with SessionRecorder(tmp_path / "a", SPEC, {}, None, True, contents=contents) as session:
        for item in updates():
            session.write(item)
        wait_until(lambda: set(synced) == {*TABLES, *VIDEOS})
    # On a thread of their own while it goes on, and once more at its end.
    assert all(threads == {"sync", "recorder"} for threads in synced.values())


# A real kill


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("after_frames", [83, 150])
def test_killed_process_loses_less_than_a_second_and_is_mended(
    tmp_path: Path, after_frames: int
) -> None:
    folder = tmp_path / "a"
    process = subprocess.Popen(
        [sys.executable, "-m", "support.recordings", str(folder)],
        env=os.environ | PYTHON_PATH,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = list(itertools.islice(process.stdout, after_frames))
        with pytest.raises(RecordingError, match="still being recorded"):
            recover_session(folder)
        process.send_signal(signal.SIGKILL)
        times_s = [float(line) for line in told + process.stdout.read().split()]
    last_s = times_s[-1] - times_s[0]
    before = {name: pictures(folder / name) for name in VIDEOS}
    assert recover_session(folder)
    assert session_json(folder)["status"] == "recovered"
    for name in VIDEOS:
        assert pictures(folder / name) == before[name]
        read_s = [float(pts or 0) / TICKS_HZ for pts in decoded_pts(folder / name)]
        assert read_s[-1] > last_s - 1
    read_s = timestamps(folder)
    kept = int(np.sum(np.array(times_s) - times_s[0] <= last_s - 1))
    np.testing.assert_allclose(
        read_s[:kept], np.array(times_s[:kept]) - times_s[0], rtol=0, atol=1e-6
    )
    assert [int(row["frame"]) for row in rows(folder)] == list(range(len(read_s)))
