"""The web server of `stream.py web`, which runs until Ctrl-C."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import signal
import socket
import ssl
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from realtime.errors import KilasError
from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, list_models
from realtime.macro.model import open_macro
from realtime.web.access import LOOPBACK_NAMES, AccessMiddleware, Account
from realtime.web.live.model_pool import ModelPool
from realtime.web.live.protocol import FRAME_HEAD, MAX_PICTURE_BYTES

if TYPE_CHECKING:
    from realtime.web.app import Site

WILDCARDS = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of this machine."""

CUT_OFF_S = 1
"""Longest wait for unfinished answers at the end of the server, such as an upload."""

PING_S, PONG_S = 5.0, 10.0
"""Time between two pings of a page, and longest wait for its answer: a network that is gone is
noticed in 15 s, and until then a page that comes back on another network has to wait."""

UNREACHABLE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Environment variables that keep Gradio and its dependencies from requests to other hosts."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the server.

    `names`: host names by which it is known besides `host`. `tls_cert`, `tls_key`: PEM files;
    None: no TLS. `models`: names and paths, the default first; see `offered_models`. `macro`: True
    if macro-expressions are scored too, or the model for it, by name or path.
    """

    host: str
    port: int
    names: tuple[str, ...]
    account: Account | None
    tls_cert: Path | None
    tls_key: Path | None
    models: tuple[str | Path, ...]
    device: Device
    macro: bool | str
    max_sessions: int
    max_faces: int
    before_s: float
    max_upload_mb: int
    open_browser: bool


def offered_models(model: str) -> tuple[str | Path, ...]:
    """Return the requested model, followed by the other models that ship with Kilas."""
    others = sorted(list_models(), key=lambda name: (name != DEFAULT_MODEL, name))
    return (model, *(name for name in others if name != Path(model).stem))


def is_loopback(host: str) -> bool:
    """Return True if only this machine itself can reach a server at that host."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() in LOOPBACK_NAMES


def serve(settings: Settings, show_message: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM.

    `show_message` gets the page's address once it can be opened. Call it in the main thread, once
    in a process. Raises KilasError when it cannot be started,
    ModelError and DeviceError included.
    """
    is_secure = settings.tls_cert is not None
    if is_secure:
        _check_certificate(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        _listening(settings.host, settings.port) as listener,
        tempfile.TemporaryDirectory(prefix="kilas-web-", ignore_cleanup_errors=True) as folder,
    ):
        port = listener.getsockname()[1]
        with _site(settings, Path(folder), is_secure) as site:
            guarded_app = AccessMiddleware(
                site.app,
                names=(*_names(settings.host), *settings.names),
                port=port,
                is_secure=is_secure,
                account=settings.account,
                max_upload_bytes=settings.max_upload_mb * 2**20,
            )
            config = uvicorn.Config(
                guarded_app,
                ws="websockets-sansio",
                ws_max_size=MAX_PICTURE_BYTES + FRAME_HEAD.size,
                ws_per_message_deflate=False,  # pictures are JPEG, which nothing makes smaller
                ws_ping_interval=PING_S,
                ws_ping_timeout=PONG_S,
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                timeout_graceful_shutdown=CUT_OFF_S,
            )
            address = _address((*settings.names, settings.host)[0], port, is_secure)

            def ready() -> None:
                show_message(f"Kilas is at {address}; Ctrl-C ends it.")
                if settings.open_browser:
                    webbrowser.open(address)

            _Server(config, ready, site.close).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Uvicorn server that reports when it is ready, and ends open streams before it shuts down."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._close = close

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What is cut off from here on is cut off on purpose, so it is not logged.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await self._close()
        await super().shutdown(sockets)


@contextmanager
def _site(settings: Settings, folder: Path, is_secure: bool) -> Iterator[Site]:
    """Open everything behind access control; all that it writes goes below `folder`."""
    received = folder / "received"
    received.mkdir()
    os.environ |= UNREACHABLE | {"GRADIO_TEMP_DIR": str(received)}
    if not os.access(os.path.expanduser("~"), os.W_OK):
        # Else Matplotlib, which MediaPipe loads, would use a folder that is gone before it ends.
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    tempfile.tempdir = str(folder)
    macro = open_macro(settings.macro)
    models = ModelPool(settings.models, device=settings.device, macro=macro)
    try:
        opened = {name: models.get(name).network for name in models.names}
        # Here and not above: Gradio reads the variables when it is loaded, and takes seconds, which
        # a wrong model need not wait for.
        from realtime.web.about import About, Limits
        from realtime.web.app import build_app
        from realtime.web.live.service import LiveService
        from realtime.web.uploads.jobs import AnalysisJobs

        default = opened[models.names[0]]
        visits = folder / "visits"
        visits.mkdir()
        upload_bytes = settings.max_upload_mb * 2**20
        yield build_app(
            LiveService(
                models,
                visits,
                max_sessions=settings.max_sessions,
                max_faces=settings.max_faces,
                before_s=settings.before_s,
            ),
            AnalysisJobs(
                folder / "uploads",
                received,
                model=settings.models[0],
                device=settings.device,
                max_faces=settings.max_faces,
                macro=settings.macro,
            ),
            About(
                default,
                macro,
                Limits(settings.max_sessions, settings.max_faces, upload_bytes),
                is_secure=is_secure,
            ),
            {name: model.spec.labels for name, model in opened.items()},
            has_macro=macro is not None,
            max_upload_bytes=upload_bytes,
        )
    finally:
        models.close()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open a socket that listens. Raises KilasError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise KilasError(f"This machine has no address {host}; give another --host.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise KilasError(
                f"Port {port} of {host} is in use; end what uses it, or give another --port."
            ) from error
        raise KilasError(
            f"Nothing can be served at {host}, port {port} ({error.strerror}); give another "
            "--host or --port."
        ) from error
    with listener:
        yield listener


def _check_certificate(settings: Settings) -> None:
    """Check that TLS works with the certificate and its key. Raises KilasError."""
    assert settings.tls_cert is not None
    try:
        # An empty password, so that nobody is asked for one in the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert, settings.tls_key, password=""
        )
    except ssl.SSLError as error:
        raise KilasError(
            f"{settings.tls_cert} and its key cannot be used for TLS ({error.reason or error}); "
            "give a certificate and its key without a password, both as PEM."
        ) from error
    except OSError as error:
        raise KilasError(
            f"The certificate {settings.tls_cert} or its key cannot be read ({error.strerror}); "
            "check --tls-cert and --tls-key."
        ) from error


def _names(host: str) -> tuple[str, ...]:
    """Return the names by which this machine is known, besides its addresses."""
    own = socket.gethostname()
    return (host,) if host not in WILDCARDS else (own, f"{own}.local")


def _address(host: str, port: int, is_secure: bool) -> str:
    name = socket.gethostname() if host in WILDCARDS else host
    return f"http{'s' * is_secure}://{f'[{name}]' if ':' in name else name}:{port}"
