"""`stream.py web` as a user starts it: what it answers, refuses and leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.sync.client import connect

import stream
from realtime.errors import KilasError
from support.paths import ROOT

COMMAND_LINE = ROOT / "stream.py"

MAX_UPLOAD_MB = 2

START_S, END_S = 60, 20
"""Generous: they only keep a test from waiting for ever."""

ONLY_LOOPBACK = """
import runpy, socket, sys

connect = socket.socket.connect
def guarded(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
        print(f"ASKED {address}", file=sys.stderr, flush=True)
        raise OSError("no network")
    return connect(self, address)

look_up = socket.getaddrinfo
def known(host, *more, **options):
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        print(f"ASKED {host}", file=sys.stderr, flush=True)
        raise socket.gaierror("no network")
    return look_up(host, *more, **options)

socket.socket.connect = socket.socket.connect_ex = guarded
socket.getaddrinfo = known
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script that reaches no network, and tells what it asked for there."""


@dataclass(slots=True)
class _Server:
    process: subprocess.Popen[str]
    url: str
    errors: Path

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(END_S)


@contextlib.contextmanager
def _server(folder: Path, *options: str) -> Iterator[_Server]:
    """A server on a free port. `folder`: where it puts what it needs for a while."""
    guard = folder / "guard.py"
    guard.write_text(ONLY_LOOPBACK)
    command = [sys.executable, str(guard), str(COMMAND_LINE), "web", "--port", "0"]
    command += ["--device", "cpu", "--max-upload", str(MAX_UPLOAD_MB), *options]
    errors = folder / "errors.txt"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        ) as process,
    ):
        assert process.stdout is not None
        watch = threading.Timer(START_S, process.kill)
        watch.start()
        try:
            said = process.stdout.readline()
            watch.cancel()
            ready = re.fullmatch(r"Kilas is at (http://\S+); Ctrl-C ends it\.\n", said)
            assert ready, said + errors.read_text()
            yield _Server(process, ready[1], errors)
        finally:
            watch.cancel()
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Server]:
    with _server(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.end() == 0


@pytest.fixture
def browser(server: _Server) -> Iterator[httpx.Client]:
    """That has opened the page."""
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/").status_code == 200
        yield client


def test_the_page_and_all_that_it_loads_at_start_is_on_this_host(browser: httpx.Client) -> None:
    page = browser.get("/").text
    assert "<title>Gradio</title>" not in page
    asked = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"', page)
    assert {"/kilas/assets/live.js", "/kilas/assets/page.css"} <= set(asked)
    assert not [url for url in asked if re.match(r"(?:[a-z]+:)?//", url)]
    assert not re.search(r"og:image|twitter:|manifest\.json|fonts\.g", page)
    texts = [browser.get(url).raise_for_status().text for url in asked]
    texts.append(browser.get("/theme.css").text)
    for text in texts:
        # What a style sheet or a module loads by itself; fetches of scripts are for a browser.
        loads = re.findall(r"url\(\s*['\"]?(https?:)?//|@import|\bfrom\s*['\"]https?:", text)
        assert loads == []


def test_only_scripts_of_the_page_itself_run(browser: httpx.Client) -> None:
    answer = browser.get("/")
    policy = answer.headers["content-security-policy"]
    (nonce,) = re.findall(r"script-src 'self' 'nonce-([^']+)' 'unsafe-eval';", policy)
    scripts = re.findall(r"<script\b[^>]*", answer.text)
    assert len(scripts) > 3
    assert all(f'nonce="{nonce}"' in one for one in scripts)
    assert nonce not in browser.get("/").text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/runs",
        "/gradio_api/run/predict",
        "/config",
        "/docs",
        "/openapi.json",
        "/monitoring",
        "/kilas/uploads/x/report.html",
        "/kilas/assets/../app.py",
    ],
)
def test_what_the_page_does_not_need_is_not_there(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_other_names_and_pages_are_refused(server: _Server, browser: httpx.Client) -> None:
    assert httpx.get(server.url, headers={"host": "evil.example"}).status_code == 421
    answer = browser.post("/gradio_api/queue/join", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert httpx.post(f"{server.url}/gradio_api/queue/join").status_code == 401
    assert "server" not in browser.get("/").headers


def _greet(server: _Server, cookie: str | None, origin: str) -> None:
    headers = {} if cookie is None else {"cookie": cookie}
    url = f"{server.url.replace('http', 'ws')}/kilas/socket"
    with connect(url, origin=origin, additional_headers=headers) as live:  # type: ignore[arg-type]
        live.send('{"type": "hello", "protocol": 1, "visit": null}')
        assert '"welcome"' in str(live.recv(5))


def test_the_socket_knows_visitors_of_this_origin_alone(
    server: _Server, browser: httpx.Client
) -> None:
    ((name, value),) = browser.cookies.items()
    cookie = f"{name}={value}"
    _greet(server, cookie, server.url)
    for refused in ((cookie, "http://evil.example"), (None, server.url), ("x=y", server.url)):
        with pytest.raises(Exception, match="HTTP 403"):
            _greet(server, *refused)


def test_an_upload_that_is_too_large_is_told(browser: httpx.Client) -> None:
    video = {"files": ("big.mp4", bytes((MAX_UPLOAD_MB + 1) * 2**20))}
    answer = browser.post("/gradio_api/upload", files=video)
    assert answer.status_code == 413
    assert f"larger than {MAX_UPLOAD_MB} MB" in answer.text
    small = {"files": ("small.mp4", bytes(1000))}
    assert browser.post("/gradio_api/upload", files=small).status_code == 200


def _outcome(browser: httpx.Client, fn_index: int, data: list[object]) -> dict[str, Any]:
    """Call an event of the page and return its answers."""
    event = {"fn_index": fn_index, "data": data, "session_hash": secrets.token_hex(6)}
    browser.post("/gradio_api/queue/join", json=event).raise_for_status()
    with browser.stream("GET", f"/gradio_api/queue/data?session_hash={event['session_hash']}") as s:
        told = (json.loads(line[len("data: ") :]) for line in s.iter_lines() if line)
        return next(one for one in told if one["msg"] == "process_completed")


def _file(path: str) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "url": path}


def _events(browser: httpx.Client) -> list[dict[str, Any]]:
    """The page's, each with the components that it takes as `inputs`."""
    (config,) = re.findall(r"window\.gradio_config = (.*?);</script>", browser.get("/").text)
    return [one for one in json.loads(config)["dependencies"] if one["inputs"]]


def test_no_event_takes_a_file_that_was_not_uploaded(
    server: _Server, browser: httpx.Client
) -> None:
    (received,) = server.errors.parent.glob("kilas-web-*/received")
    (received / "folder").mkdir()
    link = received / "folder" / "link.mp4"
    link.symlink_to(COMMAND_LINE)
    events = _events(browser)
    assert len(events) > 5
    before = sorted(received.rglob("*"))
    for path in (str(COMMAND_LINE), "/dev/zero", str(link), "https://example.org/a.mp4"):
        for event in events:
            outcome = _outcome(browser, event["id"], [_file(path)] * len(event["inputs"]))
            assert outcome["output"]["error"].endswith("choose it again.")
    assert sorted(received.rglob("*")) == before
    assert "ASKED" not in server.errors.read_text()
    link.unlink()
    link.parent.rmdir()


def test_two_visitors_send_the_same_video(server: _Server) -> None:
    with (
        httpx.Client(base_url=server.url) as ann,
        httpx.Client(base_url=server.url) as bob,
    ):
        (take,) = [one for one in _events(ann) if one["targets"][0][1] == "upload"]
        assert bob.get("/").status_code == 200
        video = {"files": ("same.mp4", b"same")}
        sent = [(one, one.post("/gradio_api/upload", files=video).json()) for one in (ann, bob)]
        for visitor, (path,) in sent:
            outcome = _outcome(visitor, take["id"], [_file(path)])
            assert "same.mp4 is here" in json.dumps(outcome["output"])


def test_login_and_an_end_with_everything_open(tmp_path: Path) -> None:
    """Ctrl-C with a page, a socket and an upload open: status 0, nothing told, nothing left."""
    with (
        _server(tmp_path, "--auth", "lab:s3cret") as server,
        httpx.Client(base_url=server.url) as browser,
    ):
        assert browser.get("/").headers["location"] == "/login"
        assert 'name="password"' in browser.get("/login").text
        assert browser.get("/kilas/assets/live.js").status_code == 401
        browser.post("/login", data={"user": "lab", "password": "s3cret"})
        assert browser.get("/").status_code == 200

        ((name, value),) = browser.cookies.items()
        cookie = f"{name}={value}"
        host, port = server.url.removeprefix("http://").split(":")
        begun = (
            f"POST /gradio_api/upload HTTP/1.1\r\nhost: {host}:{port}\r\ncookie: {cookie}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 900000\r\n\r\n"
            '--b\r\ncontent-disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nhalf'
        )
        listening = browser.build_request("GET", "/gradio_api/heartbeat/page")
        page = browser.send(listening, stream=True)
        assert next(page.iter_bytes()).startswith(b"data")
        with (
            socket.create_connection((host, int(port))) as uploading,
            connect(
                f"ws://{host}:{port}/kilas/socket",
                origin=server.url,  # type: ignore[arg-type]
                additional_headers={"cookie": cookie},
            ) as live,
        ):
            live.send('{"type": "hello", "protocol": 1, "visit": null}')
            live.recv(5)
            uploading.sendall(begun.encode())
            assert list(tmp_path.glob("kilas-web-*"))
            assert server.end(signal.SIGTERM) == 0
        page.close()
        told = server.errors.read_text()
    assert "Traceback" not in told
    assert "ASKED" not in told
    assert list(tmp_path.glob("kilas-web-*")) == []


def test_nothing_is_asked_of_the_network(server: _Server, browser: httpx.Client) -> None:
    browser.get("/")
    assert "ASKED" not in server.errors.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "--no-auth"),
        (("--auth", "nopassword"), "a name and a password"),
        (("--auth", "a:b", "--no-auth"), "cannot be had together"),
        (("--tls-cert", "x.pem"), "belong together"),
    ],
)
def test_wrong_use_is_told(options: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(stream.app, ["web", *options], env={"COLUMNS": "300"})
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


def test_wrong_certificates_are_told(tmp_path: Path) -> None:
    pem = tmp_path / "cert.pem"
    options = ["web", "--tls-cert", str(pem), "--tls-key", str(pem)]
    done = CliRunner().invoke(stream.app, options)
    assert isinstance(done.exception, KilasError)
    assert "cannot be read" in str(done.exception)
    pem.write_text("no certificate")
    done = CliRunner().invoke(stream.app, options)
    assert "cannot be used for TLS" in str(done.exception)


def _refused(*options: str) -> str:
    """Run the command, which ends with status 1, and return its stderr."""
    done = subprocess.run(
        [sys.executable, str(COMMAND_LINE), "web", *options],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = _refused("--port", str(port))
    assert (
        told == f"Port {port} of 127.0.0.1 is in use; end what uses it, or give another --port.\n"
    )


def test_a_wrong_model_is_told() -> None:
    assert _refused("--port", "0", "--model", "none").startswith("There is no model 'none'")
