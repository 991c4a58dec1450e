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
"""What a page of this server may load and where it may send: this server and nothing else."""

HEADERS = {
    "x-content-type-options": "nosniff",
    # Not no-referrer: browsers would then hide the origin of a form, too.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

PROGRAM_PATHS = ("/assets/", "/static/", "/kilas/assets/")
"""Files of the program, the same for everybody, which a browser may keep if it asks again."""


def policy(**changes: str) -> str:
    """The Content-Security-Policy of a page. `changes`: directives, with _ instead of -."""
    rules = POLICY | {name.replace("_", "-"): value for name, value in changes.items()}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def add_headers(path: str, send: Send) -> Send:
    """Every answer says what a browser may do with it; one that says so itself is left alone."""
    keeping = "no-cache" if path.startswith(PROGRAM_PATHS) else "no-store"

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", policy())
            headers.setdefault("cache-control", keeping)
        await send(message)

    return with_headers
