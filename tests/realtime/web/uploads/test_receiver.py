"""Receiving videos: one a request, within the room there is, and no other file is ever taken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import Message

from realtime.web.uploads import receiver
from realtime.web.uploads.receiver import ReceivingBlocks, UploadReceiver

MAX_VIDEO_BYTES = 2**20


@pytest.fixture
def received(tmp_path: Path) -> Path:
    for name in ("received", "kept"):
        (tmp_path / name).mkdir()
    return tmp_path / "received"


@pytest.fixture
def inbox(received: Path) -> UploadReceiver:
    return UploadReceiver(received, received.parent / "kept", max_video_bytes=MAX_VIDEO_BYTES)


@pytest.fixture
def browser(inbox: UploadReceiver) -> TestClient:
    return TestClient(Starlette(routes=[inbox.route]))


def _send(browser: TestClient, *names: str, content: bytes = b"moving") -> Any:
    return browser.post("/gradio_api/upload", files=[("files", (name, content)) for name in names])


def test_the_same_video_of_two_visitors_is_two_files(
    inbox: UploadReceiver, browser: TestClient
) -> None:
    paths = [_send(browser, "me at noon.mp4").json()[0] for _ in "ab"]
    assert paths[0] != paths[1]
    for path in paths:
        assert inbox.holds(path)
        assert Path(path).read_bytes() == b"moving"
        assert Path(path).name == "me at noon.mp4"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("...mp4", "video.mp4"),
        ("../../etc/a.mp4", "etca.mp4"),
        ("a" * 300 + ".mp4", "a" * 200 + ".mp4"),
        ("\N{GRINNING FACE} é.mp4", "\N{GRINNING FACE} é.mp4"),
    ],
)
def test_names_become_names_of_files(browser: TestClient, sent: str, name: str) -> None:
    (path,) = _send(browser, sent).json()
    assert Path(path).name == name


def test_what_is_not_one_file_is_refused_and_leaves_nothing(
    browser: TestClient, received: Path
) -> None:
    answers = [
        _send(browser, "a.mp4", "b.mp4"),
        browser.post("/gradio_api/upload", data={"files": "text"}, files={"x": ("x.mp4", b"x")}),
        browser.post("/gradio_api/upload", content=b"x"),
        browser.post("/gradio_api/upload", files={"other": ("x.mp4", b"x")}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 4
    assert _send(browser, "a.mp4", content=bytes(MAX_VIDEO_BYTES + 1)).status_code == 413
    assert list(received.iterdir()) == []


def test_one_that_breaks_off_leaves_nothing(inbox: UploadReceiver, received: Path) -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nhalf'
    told: list[Message] = [
        {"type": "http.request", "body": head, "more_body": True},
        {"type": "http.disconnect"},
    ]
    there = []

    async def receive() -> Message:
        there.append(len(list(received.iterdir())))
        return told.pop(0)

    async def send(_: Message) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/gradio_api/upload",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=b")],
    }
    asyncio.run(Starlette(routes=[inbox.route])(scope, receive, send))
    assert there[-1] == 1
    assert list(received.iterdir()) == []


def test_no_more_is_taken_than_there_is_room_for(
    browser: TestClient, received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "LEAST_ROOM_BYTES", 0)
    session = received.parent / "kept" / "session"
    session.mkdir()
    (session / "video.mp4").write_bytes(bytes(MAX_VIDEO_BYTES // 2))  # counts as MIN_BYTES
    sent = [_send(browser, "small.mp4") for _ in range(receiver.ROOM_UPLOADS)]
    assert [answer.status_code for answer in sent] == [200] * (receiver.ROOM_UPLOADS - 1) + [507]
    assert "no room for another video" in sent[-1].text
    Path(sent[0].json()[0]).unlink()
    Path(sent[0].json()[0]).parent.rmdir()
    assert _send(browser, "small.mp4").status_code == 200


def test_the_disk_is_never_filled(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _send(browser, "a.mp4").status_code == 200
    monkeypatch.setattr(receiver, "FREE_BYTES", 2**62)
    assert _send(browser, "a.mp4").status_code == 507


def _strange_paths(received: Path) -> list[str]:
    outside = received.parent / "outside.mp4"
    outside.write_bytes(b"secret")
    for folder in ("link", "linked", "pipe"):
        (received / folder).mkdir()
    (received / "link" / "a.mp4").symlink_to(outside)
    (received / "linked").rmdir()
    (received / "linked").symlink_to(received.parent)
    os.mkfifo(received / "pipe" / "a.mp4")
    return [
        str(outside),
        str(received / "link" / "a.mp4"),
        str(received / "linked" / "outside.mp4"),
        str(received / "pipe" / "a.mp4"),
        str(received / "link" / ".." / ".." / "outside.mp4"),
        str(received / ".." / "outside.mp4"),
        str(received / "gone" / "a.mp4"),
        str(received),
        "/dev/zero",
        "https://example.org/a.mp4",
        "a\0.mp4",
        "",
    ]


def _file(path: str) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _hidden(path: str) -> Sequence[object]:
    """Places of an input in which Gradio looks for files."""
    return [_file(path), [_file(path)], {"a": _file(path)}, {**_file("x"), "b": {"path": path}}]


def test_events_get_no_file_but_those_received(
    inbox: UploadReceiver, browser: TestClient, received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[object] = []

    async def go_on(self: gr.Blocks, fn: object, inputs: list[Any], *_: object) -> list[Any]:
        reached.append(inputs)
        return inputs

    monkeypatch.setattr(gr.Blocks, "preprocess_data", go_on)
    blocks = ReceivingBlocks(inbox, analytics_enabled=False)
    for path in _strange_paths(received):
        for given in _hidden(path):
            with pytest.raises(gr.Error, match="choose it again"):
                asyncio.run(blocks.preprocess_data(None, ["all", given], None))
    assert reached == []
    (path,) = _send(browser, "a.mp4").json()
    asyncio.run(blocks.preprocess_data(None, [_file(path), 0.5, None], None))
    assert len(reached) == 1
