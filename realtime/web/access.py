"""Access control, which every request and every WebSocket passes before anything else.

A page of another site in the same browser can send requests to this server, also to one that only
this machine reaches. So the Host has to be a name that the server answers to (a foreign name could
be pointed at this machine), what comes from a page has to come from this server's own, and every
visitor is known by a cookie that no other site's page makes the browser send.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

import jinja2
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.web.limits import FORM_ROOM_BYTES
from realtime.web.paths import LOGIN_PATH, PAGE_PATH, UPLOAD_PATH
from realtime.web.security_headers import add_headers, policy

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})

WRONG_PASSWORD_S = 2.0
"""Time that a wrong password takes, and in which no other from that address is checked: an address
has about 43,000 guesses a day."""

SMALL_BODY_BYTES = 2**20
"""Largest body of any request but an upload: settings and a login take some hundred bytes."""

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Account:
    """Name and password with which everybody logs in."""

    user: str
    password: str

    def fits(self, user: str, password: str) -> bool:
        """Return True if both are right; takes the same time wherever they differ."""
        fits_user = secrets.compare_digest(user.encode(), self.user.encode())
        fits_password = secrets.compare_digest(password.encode(), self.password.encode())
        return fits_user and fits_password


class AccessMiddleware:
    """ASGI middleware around the whole server, for HTTP and WebSockets.

    `scope["state"]["visitor"]` names the visitor to the wrapped app: a random text that stays the
    same as long as the browser runs. With an account, only the login page answers to anybody else;
    without, everybody who opens the page gets a cookie. A WebSocket without a known cookie, or from
    another origin, is refused before it is accepted (403).

    The cookie holds the visitor and a signature with a key that only this process knows. So nobody
    can make one up, nothing is kept for those who come, and it ends with the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        names: Iterable[str],
        port: int,
        is_secure: bool,
        account: Account | None,
        max_upload_bytes: int,
    ) -> None:
        """Wrap `app`, which is served at `port`, over TLS if `is_secure`.

        `names`: hosts that this server answers to besides localhost and any address. `account`:
        the login that is asked for; None: everybody may come in. `max_upload_bytes`: size of the
        largest video.
        """
        self._app = app
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}
        self._cookie = f"kilas-{port}"  # cookies are shared by all ports of a host
        self._is_secure = is_secure
        self._account = account
        self._max_upload_bytes = max_upload_bytes
        self._key = secrets.token_bytes(32)
        self._guessing: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        visitor = self._visitor(connection)
        refusal = self._refusal(connection)
        if scope["type"] == "websocket":
            if refusal is not None or visitor is None or "origin" not in connection.headers:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(_with_visitor(scope, visitor), receive, send)
            return

        send = add_headers(scope["path"], send)
        limit = self._max_body_bytes(scope["path"])
        body = _LimitedBody(receive, limit)
        is_page = scope["path"] == PAGE_PATH and scope["method"] in ("GET", "HEAD")
        if refusal is not None:
            answer: Response | None = refusal
        elif int(connection.headers.get("content-length") or 0) > limit:
            answer = self._too_large(scope["path"])
        elif scope["path"] == LOGIN_PATH and self._account is not None:
            answer = await self._login(Request(scope, body), self._account)
        elif visitor is not None:
            answer = None
        elif is_page and self._account is None:
            visitor, answer = secrets.token_urlsafe(16), None
            send = self._set_cookie(visitor, send)
        elif is_page:
            answer = RedirectResponse(LOGIN_PATH, 303)
        else:
            answer = PlainTextResponse("Open the page of Kilas first, or load it again.", 401)
        if answer is not None:
            await answer(scope, receive, send)
            return
        assert visitor is not None
        await self._forward(_with_visitor(scope, visitor), body, send)

    async def _forward(self, scope: Scope, body: _LimitedBody, send: Send) -> None:
        """Call the wrapped app; answer 413 when the body is larger than allowed."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            # The wrapped app takes too large a body for an error of its own, and answers so.
            if has_begun or not body.is_exceeded:
                has_begun = True
                await send(message)

        with contextlib.suppress(_TooLargeError):
            await self._app(scope, body, watched)
        if body.is_exceeded and not has_begun:
            await self._too_large(scope["path"])(scope, body, send)

    def _refusal(self, connection: HTTPConnection) -> Response | None:
        """Return the refusal of a wrong Host or Origin; None if both are in order."""
        host = connection.headers.get("host", "").lower()
        if not self._answers_to(_name_of(host)):
            return PlainTextResponse(
                "This server does not answer to that name; use its address, or start it with "
                "--host and the name.",
                421,
            )
        scheme = "https" if connection.scope["scheme"] in ("https", "wss") else "http"
        origin = connection.headers.get("origin")
        if origin is not None and origin.lower() != f"{scheme}://{host}":
            return PlainTextResponse("Pages of other sites may not use this server.", 403)
        return None

    def _answers_to(self, name: str) -> bool:
        """Return True if the server is known by this name, or it is an IP address.

        Any address will do: only a name can be pointed at this machine by somebody else.
        """
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _visitor(self, connection: HTTPConnection) -> str | None:
        """Return the visitor in the cookie if this server has signed it, else None."""
        visitor, _, signature = connection.cookies.get(self._cookie, "").partition(".")
        is_known = secrets.compare_digest(signature.encode(), self._signature(visitor).encode())
        return visitor if is_known else None

    def _signature(self, visitor: str) -> str:
        return hmac.digest(self._key, visitor.encode(), "sha256").hex()

    def _set_cookie(self, visitor: str, send: Send) -> Send:
        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", self._new_cookie(visitor))
            await send(message)

        return with_cookie

    def _new_cookie(self, visitor: str) -> str:
        cookie = SimpleCookie({self._cookie: f"{visitor}.{self._signature(visitor)}"})
        morsel = cookie[self._cookie]
        morsel["path"], morsel["samesite"] = "/", "Strict"
        morsel["httponly"], morsel["secure"] = True, self._is_secure
        return morsel.OutputString()

    async def _login(self, request: Request, account: Account) -> Response:
        if request.method in ("GET", "HEAD"):
            return _login_page("", 200)
        if request.method != "POST":
            return PlainTextResponse("The login takes GET and POST.", 405)
        try:
            fields = parse_qs((await request.body()).decode(errors="replace"))
        except _TooLargeError:
            return self._too_large(LOGIN_PATH)
        user, password = (fields.get(name, [""])[0] for name in ("user", "password"))
        # From here to the note of a wrong password nothing is waited for: of many that
        # are sent at a time, only 1 is compared.
        address = request.client.host if request.client else ""
        if address in self._guessing:
            return _login_page("A wrong password came a moment ago; wait two seconds.", 429)
        if account.fits(user, password):
            answer = RedirectResponse(PAGE_PATH, 303)
            answer.headers["set-cookie"] = self._new_cookie(secrets.token_urlsafe(16))
            return answer
        self._guessing.add(address)
        try:
            await asyncio.sleep(WRONG_PASSWORD_S)
        finally:
            self._guessing.discard(address)
        return _login_page("That is not the name and password of this server; try again.", 403)

    def _max_body_bytes(self, path: str) -> int:
        is_upload = path == UPLOAD_PATH
        return self._max_upload_bytes + FORM_ROOM_BYTES if is_upload else SMALL_BODY_BYTES

    def _too_large(self, path: str) -> Response:
        limit = self._max_upload_bytes if path == UPLOAD_PATH else SMALL_BODY_BYTES
        return PlainTextResponse(
            f"This is larger than {limit / 2**20:.0f} MB, the most that is taken here; choose "
            "a shorter or smaller video.",
            413,
        )


class _TooLargeError(Exception):
    """A request's body is larger than allowed."""


class _LimitedBody:
    """A request's `receive` that raises _TooLargeError when more than `limit` bytes come."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.is_exceeded = False
        self._receive = receive
        self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.is_exceeded = True
            raise _TooLargeError
        return message


def _with_visitor(scope: Scope, visitor: str) -> Scope:
    return {**scope, "state": {**scope.get("state", {}), "visitor": visitor}}


def _name_of(host: str) -> str:
    """Return the host's name or address without port and brackets."""
    if host.startswith("[") and "]" in host:
        return host[1 : host.index("]")]
    return host.partition(":")[0]


@cache
def _login_template() -> jinja2.Template:
    source = (TEMPLATES / "login.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True).from_string(source)


def _login_page(message: str, status: int) -> Response:
    strict = policy(default_src="'none'", script_src="'none'", frame_ancestors="'none'")
    return HTMLResponse(
        _login_template().render(words=message), status, {"content-security-policy": strict}
    )
