"""Content security policy and the other headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
"""Directives of the Content-Security-Policy: a page may load from and send to this server alone."""

HEADERS = {
    "x-content-type-options": "nosniff",
    # Not no-referrer: browsers would then hide the origin of a form, too.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

PROGRAM_PATHS = ("/assets/", "/static/", "/kilas/assets/")
"""Paths of program files, the same for everybody: a browser may keep them, but must revalidate."""


def policy(**changes: str) -> str:
    """Return the Content-Security-Policy of a page. `changes`: directives, with _ instead of -."""
    rules = POLICY | {name.replace("_", "-"): value for name, value in changes.items()}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def add_headers(path: str, send: Send) -> Send:
    """Return a `send` that adds the security headers of `path` to its answer.

    A policy or cache control that the answer already has is kept.
    """
    cache_control = "no-cache" if path.startswith(PROGRAM_PATHS) else "no-store"

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", policy())
            headers.setdefault("cache-control", cache_control)
        await send(message)

    return with_headers
