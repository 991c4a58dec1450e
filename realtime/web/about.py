"""Text of the About tab: meaning of scores, privacy, limits, the model and its device."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jinja2
from markupsafe import Markup

from realtime.inference.model import Model, device_report, list_models
from realtime.macro.model import MacroModel
from realtime.reports.formatting import counted
from realtime.reports.html import markdown
from realtime.spec import NONE_LABEL
from realtime.versions import versions
from realtime.web.limits import IDLE_S, MAX_VIDEO_S, RECORDING_S, RESUME_S

TEMPLATES = Path(__file__).parent / "templates"

WEB_PACKAGES = ("gradio", "fastapi", "starlette", "uvicorn", "websockets")
"""Packages whose versions are shown besides those that a session states."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server. `sessions`: live at the same time; `faces`: followed in each picture."""

    sessions: int
    faces: int
    upload_bytes: int


class About:
    """Content of the About tab. `html`: all but the devices. Any thread may call any method."""

    def __init__(
        self, model: Model, macro: MacroModel | None, limits: Limits, *, is_secure: bool
    ) -> None:
        """Describe a server with these models and limits, served over TLS if `is_secure`.

        `macro`: the model of macro-expressions; None: they are not scored.
        """
        self._model = model
        self._lock = threading.Lock()  # guards _devices; visitors wait for the same check
        self._devices: Markup | None = None
        self.html = _page(model, macro, limits, is_secure)

    def devices(self) -> str:
        """List the devices of the server as HTML: usable or not, and why.

        Opens the model on each, which takes seconds, once.
        """
        with self._lock:
            if self._devices is None:
                rows = Markup("").join(
                    Markup("<tr><th scope='row'>{}</th><td>{}</td></tr>").format(
                        device.device, f"usable: {device.why}" if device.usable else device.why
                    )
                    for device in device_report(self._model.path)
                )
                self._devices = Markup(
                    "<section><h2>Devices of this server</h2><table>{}</table></section>"
                ).format(rows)
            return self._devices


def duration_text(time_s: float) -> str:
    """Format a duration in its largest unit that divides it: "1 hour", "90 seconds"."""
    seconds = round(time_s)
    for unit_s, name in ((3600, "hour"), (60, "minute")):
        if seconds >= unit_s and seconds % unit_s == 0:
            return counted(seconds // unit_s, name)
    return counted(seconds, "second")


def _page(model: Model, macro: MacroModel | None, limits: Limits, is_secure: bool) -> Markup:
    spec = model.spec
    is_shipped = model.path.stem in list_models()
    found = versions()
    for package in WEB_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return Markup(
        environment.get_template("about.html").render(
            expressions=[label for label in spec.labels if label != NONE_LABEL],
            has_none=NONE_LABEL in spec.labels,
            spotting=spec.spotting,
            trained_on="It was trained on simulated faces only, not on people."
            if is_shipped
            else "It did not come with Kilas, and only whoever made it knows its training.",
            is_secure=is_secure,
            leaves=duration_text(RESUME_S),
            idle=duration_text(IDLE_S),
            limits={
                "sessions": limits.sessions,
                "faces": limits.faces,
                "recording": duration_text(RECORDING_S),
                "upload": f"{limits.upload_bytes / 2**20:.0f} MB",
                "video": duration_text(MAX_VIDEO_S),
            },
            spec=spec,
            file=model.path.name,
            sha256=model.sha256,
            device=model.device,
            device_note=model.device_note,
            macro=macro,
            versions=found,
            card=_card(model.path),
            macro_card=None if macro is None else _card(macro.path),
        )
    )


def _card(model_path: Path) -> Markup | None:
    """Return the card beside a model as HTML; None if there is none."""
    card = model_path.with_suffix(".md")
    if not card.is_file():
        return None
    return markdown(card.read_text(encoding="utf-8", errors="replace"))
