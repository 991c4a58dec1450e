"""Access to the server: hosts, origins, cookies, the login and the headers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from realtime.web import access
from realtime.web.access import SMALL_BODY_BYTES, AccessMiddleware, Account

HOST = "http://127.0.0.1:7860"
SOCKET = "ws://127.0.0.1:7860/kilas/socket"
MAX_UPLOAD_BYTES = 3 * 2**20


async def _visitor(request: Request) -> Response:
    return PlainTextResponse(request.state.visitor)


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _own_policy(request: Request) -> Response:
    return PlainTextResponse("x", headers={"content-security-policy": "default-src 'none'"})


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.state.visitor)
    await websocket.close()


def _browser(
    base_url: str = HOST, *, account: Account | None = None, names: tuple[str, ...] = ()
) -> TestClient:
    inside = Starlette(
        routes=[
            Route("/", _visitor),
            Route("/who", _visitor),
            Route("/gradio_api/upload", _length, methods=["POST"]),
            Route("/length", _length, methods=["POST"]),
            Route("/report", _own_policy),
            WebSocketRoute("/kilas/socket", _socket),
        ]
    )
    app = AccessMiddleware(
        inside,
        names=names,
        port=7860,
        is_secure=base_url.startswith("https"),
        account=account,
        max_upload_bytes=MAX_UPLOAD_BYTES,
    )
    return TestClient(app, base_url, follow_redirects=False)


def test_the_first_page_makes_a_visitor_whom_requests_and_sockets_know() -> None:
    browser = _browser()
    visitor = browser.get("/").text
    assert len(visitor) >= 20
    assert browser.get("/").text == browser.get("/who").text == visitor
    with browser.websocket_connect(SOCKET, headers={"origin": HOST}) as socket:
        assert socket.receive_text() == visitor
    assert _browser().get("/").text != visitor


def test_the_cookie_is_kept_from_scripts_and_other_sites() -> None:
    cookie = _browser().get("/").headers["set-cookie"].lower()
    assert cookie.startswith("kilas-7860=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert "secure" in _browser("https://127.0.0.1").get("/").headers["set-cookie"].lower()


def test_nothing_but_the_page_answers_to_who_has_no_cookie() -> None:
    assert _browser().get("/who").status_code == 401


def test_a_made_up_cookie_is_worth_nothing() -> None:
    browser = _browser()
    visitor = browser.get("/").text
    _, _, signature = browser.cookies["kilas-7860"].partition(".")
    for forged in (visitor, f"{visitor}.", f"other.{signature}", f"{visitor}.{signature[:-1]}é"):
        headers = {b"cookie": f"kilas-7860={forged}".encode()}
        answer = _browser().get("/who", headers=headers)
        assert answer.status_code == 401
    # It was signed by another server than this one, such as the one before a restart.
    cookie = f"kilas-7860={browser.cookies['kilas-7860']}"
    assert _browser().get("/who", headers={"cookie": cookie}).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:80", "[::1]:7860", "192.168.1.7"])
def test_addresses_and_localhost_are_answered(host: str) -> None:
    assert _browser().get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:7860", "127.0.0.1.evil.example", "", "[::1"]
)
def test_another_name_is_not_answered(host: str) -> None:
    answer = _browser().get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers


def test_the_name_that_was_given_is_answered() -> None:
    answer = _browser(names=("Lab.example",)).get("/", headers={"host": "lab.example:7860"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:7860", "null", ""]
)
def test_other_origins_get_nothing(origin: str) -> None:
    browser = _browser()
    browser.get("/")
    headers = {"origin": origin}
    assert browser.post("/length", content=b"x", headers=headers).status_code == 403
    assert browser.get("/who", headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect(SOCKET, headers=headers),
    ):
        pass


def test_the_own_origin_and_none_may_send() -> None:
    browser = _browser()
    browser.get("/")
    assert browser.post("/length", content=b"x", headers={"origin": HOST}).text == "1"
    assert browser.post("/length", content=b"x").text == "1"


def test_a_socket_needs_an_origin_and_a_cookie() -> None:
    browser = _browser()
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect(SOCKET, headers={"origin": HOST}),
    ):
        pass
    browser.get("/")
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect(SOCKET):
        pass


def test_without_the_login_there_is_only_its_page() -> None:
    browser = _browser(account=Account("lab", "s3cret"))
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/who").status_code == 401
    assert "set-cookie" not in browser.get("/login").headers
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect(SOCKET, headers={"origin": HOST}),
    ):
        pass


def test_the_right_password_opens() -> None:
    browser = _browser(account=Account("lab", "pass: wörd&"))
    answer = browser.post("/login", data={"user": "lab", "password": "pass: wörd&"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    with browser.websocket_connect(SOCKET, headers={"origin": HOST}) as socket:
        assert socket.receive_text() == browser.get("/who").text


@pytest.mark.parametrize(
    "fields", [{}, {"user": "lab"}, {"user": "lab", "password": "S3cret"}, {"password": "s3cret"}]
)
def test_a_wrong_password_is_told_slowly(
    fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(time_s: float) -> None:
        waited.append(time_s)

    monkeypatch.setattr(access.asyncio, "sleep", sleep)
    browser = _browser(account=Account("lab", "s3cret"))
    answer = browser.post("/login", data=fields)
    assert answer.status_code == 403
    assert 'role="alert">That is not the name and password' in answer.text
    assert waited == [access.WRONG_PASSWORD_S]
    assert browser.get("/who").status_code == 401


def test_while_a_wrong_password_is_slowed_no_other_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser = _browser(account=Account("lab", "s3cret"))
    meanwhile: list[int] = []
    right = {"user": "lab", "password": "s3cret"}

    async def sleep(_: float) -> None:
        answer = await asyncio.to_thread(browser.post, "/login", data=right)
        meanwhile.append(answer.status_code)

    monkeypatch.setattr(access.asyncio, "sleep", sleep)
    browser.post("/login", data={"user": "lab", "password": "guess"})
    assert meanwhile == [429]
    assert browser.post("/login", data=right).status_code == 303


def test_of_guesses_at_the_same_time_one_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if all of them are held back until they can be sent at once."""
    doors_ = AccessMiddleware(
        Starlette(),
        names=(),
        port=7860,
        is_secure=False,
        account=Account("lab", "s3cret"),
        max_upload_bytes=MAX_UPLOAD_BYTES,
    )
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/login",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:7860")],
        "client": ("10.0.0.7", 1),
    }

    async def guess(password: str, together: asyncio.Barrier) -> int:
        status = 0

        async def receive() -> dict[str, object]:
            await together.wait()
            return {"type": "http.request", "body": f"user=lab&password={password}".encode()}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        await doors_(dict(scope), receive, send)  # type: ignore[arg-type]
        return status

    async def guess_all() -> list[int]:
        together = asyncio.Barrier(5)
        passwords = ("a", "b", "c", "d", "s3cret")
        return await asyncio.gather(*(guess(password, together) for password in passwords))

    monkeypatch.setattr(access, "WRONG_PASSWORD_S", 0.2)
    assert sorted(asyncio.run(guess_all())) in (
        [403, 429, 429, 429, 429],
        [303, 403, 429, 429, 429],
    )


def test_what_is_too_large_is_told() -> None:
    browser = _browser()
    browser.get("/")
    for path, limit in (("/length", SMALL_BODY_BYTES), ("/gradio_api/upload", MAX_UPLOAD_BYTES)):
        assert browser.post(path, content=bytes(limit)).text == str(limit)
        for content in (bytes(limit + 2**20), iter([bytes(limit + 2**20)])):  # iter: no length
            answer = browser.post(path, content=content)
            assert answer.status_code == 413
            assert f"larger than {limit // 2**20} MB" in answer.text


def test_every_answer_says_what_browsers_may_do_with_it() -> None:
    browser = _browser()
    for answer in (browser.get("/"), browser.get("/none"), _browser().get("/who")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["permissions-policy"].startswith("camera=(self)")
        assert answer.headers["cache-control"] == "no-store"
    assert browser.get("/assets/x.js").headers["cache-control"] == "no-cache"


def test_a_page_with_a_policy_of_its_own_keeps_it() -> None:
    browser = _browser()
    browser.get("/")
    assert browser.get("/report").headers["content-security-policy"] == "default-src 'none'"
