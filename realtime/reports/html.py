"""Self-contained HTML pages: nothing is requested, and only the scripts written here run.

What comes from files is escaped by Jinja. As a second lock the page's Content-Security-Policy
allows no connection at all, and no script but those whose hash it states: whatever a name or an
error text holds, it is never run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from realtime.drawing.palette import class_colours, class_markers, css_colour
from realtime.reports.formatting import clock, counted, duration, number, percent
from realtime.storage.durable_file import replace_file

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the templates, their style and their scripts."""


def write_html(path: Path, template: str, scripts: Mapping[str, str], **values: object) -> None:
    """Write a page whole or not at all; see `render_html`.

    Bytes of a file name that are no text are shown as their escape. Raises OSError.
    """
    text = render_html(template, scripts, values)
    replace_file(path, text.encode(errors="backslashreplace"))


def render_html(
    template: str,
    scripts: Mapping[str, str],
    values: Mapping[str, object],
    templates: Path = TEMPLATES,
) -> str:
    """Render a page from a template in the folder `templates`, with the style `page.css` there.

    `scripts`: JavaScript by the name that the template has for it; `values`: everything else that
    the template names.
    """
    return (
        _environment(templates)
        .get_template(template)
        .render(
            policy=_policy(scripts.values()),
            scripts={name: Markup(text) for name, text in scripts.items()},
            **values,
        )
    )


def inline_script(name: str) -> str:
    """Return one of the project's own scripts."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def bokeh_script() -> str:
    """Return BokehJS without widgets, tables and WebGL."""
    from bokeh.resources import Resources

    library, *_ = Resources(mode="inline", components=["bokeh"]).js_raw  # then: a log level
    return library


def markdown(text: str) -> Markup:
    """Render Markdown without links, pictures and HTML of its own, headings two levels down."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.disable(["link", "image", "autolink", "html_block", "html_inline", "reference"])
    tokens = reader.parse(text)
    for token in tokens:
        if token.tag in ("h1", "h2", "h3", "h4"):
            token.tag = f"h{int(token.tag[1]) + 2}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def chips(labels: Sequence[str]) -> dict[str, Markup]:
    """Return each label with its mark on the class's own colour."""
    colours, marks = class_colours(labels), class_markers(labels)
    return {
        label: Markup('<span class="chip"><i style="background:{}">{}</i> {}</span>').format(
            css_colour(colours[label]), marks[label], label
        )
        for label in labels
    }


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "media-src blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _environment(templates: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "clock": clock,
        "duration": duration,
        "number": number,
        "percent": percent,
        "counted": counted,
    }
    environment.filters.update(filters)
    # Bokeh reads documents in order: what is referred to comes first.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.globals["style"] = Markup((templates / "page.css").read_text(encoding="utf-8"))
    return environment
