"""Uploaded videos: analysed by a process of its own, for their owner alone, and removed."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from realtime.errors import KilasError
from realtime.sources.opening import DEMO_PATH
from realtime.web import limits
from realtime.web.uploads import jobs
from realtime.web.uploads.jobs import Analysed, AnalysisJobs, Finishing, Owner, Step

ANN: Owner = ("ann", "page-1")
BOB: Owner = ("bob", "page-2")


@pytest.fixture
def received(tmp_path: Path) -> Path:
    folder = tmp_path / "received"
    folder.mkdir()
    return folder


@pytest.fixture
def uploads(tmp_path: Path, received: Path) -> Iterator[AnalysisJobs]:
    made = AnalysisJobs(tmp_path / "uploads", received, device="cpu", macro=False)
    yield made
    made.close()
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The first half second of the demo."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    with av.open(str(DEMO_PATH)) as demo, av.open(str(path), "w") as short:
        pictures = [frame for frame, _ in zip(demo.decode(video=0), range(15), strict=False)]
        _encode(short, [picture.to_ndarray(format="bgr24") for picture in pictures])
    return path.read_bytes()


def _encode(container: av.container.OutputContainer, images_bgr: list[np.ndarray]) -> None:
    stream = container.add_stream("mpeg4", rate=30)
    stream.height, stream.width = images_bgr[0].shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.bit_rate = 4_000_000
    for image in images_bgr:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
    container.mux(stream.encode(None))


def _receive(received: Path, content: bytes, name: str = "me at noon.mp4") -> Path:
    path = received / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def _browser(uploads: AnalysisJobs, visitor: str) -> TestClient:
    class _As:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self._app({**scope, "state": {"visitor": visitor}}, receive, send)

    return TestClient(_As(Starlette(routes=uploads.routes)), raise_server_exceptions=True)


def test_a_video_becomes_a_session_for_its_owner_alone(
    uploads: AnalysisJobs, received: Path, short_clip: bytes, tmp_path: Path
) -> None:
    video = _receive(received, short_clip)
    assert uploads.take(ANN, video) == "me at noon.mp4"
    assert not video.exists()
    news = list(uploads.analyse(ANN))
    steps = [one for one in news if isinstance(one, Step)]
    assert steps[0].frames == 0
    assert steps[-1].frame_count == 15
    assert all(0 < (one.share or 0) <= 1 for one in steps if one.frames)
    assert isinstance(news[-2], Finishing)
    done = news[-1]
    assert isinstance(done, Analysed)
    assert done.name == "me at noon"
    assert list(tmp_path.rglob("me at noon.mp4")) == []

    ann, bob = _browser(uploads, "ann"), _browser(uploads, "bob")
    report = ann.get(done.files["report"])
    assert "me at noon" in report.text
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    scores = ann.get(done.files["scores"]).text
    assert scores.count("\n") == 16
    assert "macro" not in scores
    assert ann.get(done.files["events"]).text.startswith("event_id")
    packed = zipfile.ZipFile(io.BytesIO(ann.get(done.files["zip"]).content)).namelist()
    assert {"me at noon/report.html", "me at noon/scores.csv", "me at noon/video.mp4"} <= {*packed}
    for path in done.files.values():
        assert bob.get(path).status_code == 404
    base = done.files["report"].rpartition("/")[0]
    for name in ("session.json", "..%2F..%2Fx", "%2Fetc%2Fpasswd", "other.zip"):
        assert ann.get(f"{base}/{name}").status_code == 404

    uploads.drop(ANN)
    assert ann.get(done.files["report"]).status_code == 404


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty.mp4 is not a video"),
        (b"\0" * 9999, "empty.mp4 is not a video"),
        (DEMO_PATH.read_bytes()[:3000], "empty.mp4"),
    ],
    ids=["empty", "zeros", "cut off"],
)
def test_what_is_no_video_is_told_without_folders(
    uploads: AnalysisJobs, received: Path, content: bytes, words: str, tmp_path: Path
) -> None:
    uploads.take(ANN, _receive(received, content, "empty.mp4"))
    with pytest.raises(KilasError) as told:
        list(uploads.analyse(ANN))
    assert words in str(told.value)
    assert str(tmp_path) not in str(told.value)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_video_without_a_face_is_told(uploads: AnalysisJobs, received: Path) -> None:
    path = _receive(received, b"", "wall.mp4")
    with av.open(str(path), "w") as container:
        _encode(container, [np.full((240, 320, 3), 120, np.uint8)] * 5)
    uploads.take(ANN, path)
    with pytest.raises(KilasError, match=r"No face was found in wall\.mp4"):
        list(uploads.analyse(ANN))


def test_too_long_a_video_is_told(
    uploads: AnalysisJobs, received: Path, short_clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _receive(received, short_clip)
    monkeypatch.setattr(jobs, "MAX_VIDEO_S", 0.4)
    with pytest.raises(KilasError, match="longer than an hour"):
        jobs._check_video(path)


def test_dropping_ends_the_process_at_once(
    uploads: AnalysisJobs, received: Path, tmp_path: Path
) -> None:
    uploads.take(ANN, _receive(received, DEMO_PATH.read_bytes()))
    news = uploads.analyse(ANN)
    next(news)
    next(news)  # the first that it says itself
    (upload,) = uploads._uploads.values()
    assert upload.process is not None
    own, its = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, upload.process.pid or 0))
    assert its == min(19, own + jobs.NICENESS)
    uploads.drop(ANN)
    assert not upload.process.is_alive()
    assert [one for one in news if isinstance(one, Analysed)] == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_process_that_dies_is_told(uploads: AnalysisJobs, received: Path) -> None:
    uploads.take(ANN, _receive(received, DEMO_PATH.read_bytes()))
    news = uploads.analyse(ANN)
    next(news)
    (upload,) = uploads._uploads.values()
    assert upload.process is not None
    upload.process.kill()
    with pytest.raises(KilasError, match=r"broke off.*want of memory"):
        list(news)


def test_pages_have_one_upload_and_visitors_a_few(uploads: AnalysisJobs, received: Path) -> None:
    uploads.take(BOB, _receive(received, b"b"))
    for page in "123451":
        uploads.take(("ann", page), _receive(received, page.encode()))
    owners = [one.owner for one in uploads._uploads.values()]
    assert owners == [BOB, ("ann", "4"), ("ann", "5"), ("ann", "1")]


def test_a_file_that_is_gone_is_told(uploads: AnalysisJobs, received: Path) -> None:
    with pytest.raises(KilasError, match="choose it again"):
        uploads.take(ANN, received / "hash" / "gone.mp4")
    assert list(uploads.analyse(ANN)) == []


def test_a_page_that_cancels_before_its_turn_is_left_alone(
    uploads: AnalysisJobs, received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.take(ANN, _receive(received, b"a"))
    found = uploads._find

    def cancel_after(owner: Owner) -> object:
        upload = found(owner)
        monkeypatch.undo()
        uploads.drop(owner)
        return upload

    monkeypatch.setattr(uploads, "_find", cancel_after)
    assert list(uploads.analyse(ANN)) == []


def test_what_no_page_takes_is_removed_in_minutes(uploads: AnalysisJobs, received: Path) -> None:
    stale, coming, empty = (received / name for name in ("stale", "coming", "tmp"))
    for folder in (stale, coming):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"a")
    empty.touch()
    ago_s = time.time() - jobs.RECEIVED_S - 1
    for path in (stale / "a.mp4", stale, coming, empty):  # a.mp4 in coming was just written to
        os.utime(path, (ago_s, ago_s))
    uploads.sweep()
    assert list(received.rglob("*")) == [coming, coming / "a.mp4"]


def test_what_nobody_looks_at_for_an_hour_is_removed(uploads: AnalysisJobs, received: Path) -> None:
    uploads.take(ANN, _receive(received, b"a"))
    uploads.sweep()
    (upload,) = uploads._uploads.values()
    upload.looked_at_s -= limits.IDLE_S + 1
    uploads.sweep()
    assert not upload.folder.exists()
