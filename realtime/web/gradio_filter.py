"""Filter in front of Gradio: only its page and what that page requests reach a browser.

From the page, what names other hosts is removed. Gradio also brings a proxy, a page about its
programming interface, a code editor and more. None of them is part of this page, so none of them
answers.
"""

from __future__ import annotations

import re
import secrets

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.web.paths import PAGE_PATH, UPLOAD_PATH
from realtime.web.security_headers import policy

OWN_PATHS = "/kilas/"
"""Path of Kilas's own pages and files; everything below passes unchanged."""

GRADIO_PATHS = (
    "/assets/",
    "/static/",
    "/theme.css",
    "/favicon.ico",
    "/gradio_api/startup-events",
    "/gradio_api/heartbeat/",
    "/gradio_api/queue/",
    "/gradio_api/cancel",
    "/gradio_api/reset",
    "/gradio_api/upload_progress",
    UPLOAD_PATH,
)
"""Paths that the page of Gradio 6.31 requests while it is used, found from a browser's requests;
a path that ends with / stands for all below."""

FOREIGN = re.compile(
    rb'<meta\s[^>]*(?:property="og:|name="twitter:)[^>]*>|<link rel="manifest"[^>]*>'
)
"""Tags with pictures and addresses for social networks, or a description of an app to install."""


class GradioPage:
    """ASGI middleware around the application that Gradio is mounted in.

    The page gets a Content-Security-Policy that lets only its own scripts run, by a nonce, and
    `head`, HTML for its head, before Gradio's own scripts. Gradio compiles the small JavaScript
    functions of its event handlers in the browser, so its page may do that (`unsafe-eval`).
    """

    def __init__(self, app: ASGIApp, *, head: str) -> None:
        self._app = app
        self._head = head.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or path.startswith(OWN_PATHS):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and path == PAGE_PATH:
            await self._app(scope, receive, self._with_changes(send))
        elif scope["type"] == "http" and _is_gradio_path(path):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _with_changes(self, send: Send) -> Send:
        """Return a `send` that passes on the changed page once it has come whole."""
        start: Message = {}
        body = bytearray()

        async def changed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            nonce = secrets.token_urlsafe(16)
            page = self._own_page(bytes(body), nonce)
            replaced = {b"content-length": str(len(page)).encode()} if page else {}
            replaced[b"content-security-policy"] = policy(
                script_src=f"'self' 'nonce-{nonce}' 'unsafe-eval'"
            ).encode()
            kept = [header for header in start["headers"] if header[0].lower() not in replaced]
            await send({**start, "headers": [*kept, *replaced.items()]})
            await send({"type": "http.response.body", "body": page})

        return changed

    def _own_page(self, page: bytes, nonce: str) -> bytes:
        page = FOREIGN.sub(b"", page)
        page = page.replace(b"<style>", self._head + b"<style>", 1)
        return page.replace(b"<script", f'<script nonce="{nonce}"'.encode())


def _is_gradio_path(path: str) -> bool:
    return any(
        path.startswith(known) if known.endswith("/") else path == known for known in GRADIO_PATHS
    )
