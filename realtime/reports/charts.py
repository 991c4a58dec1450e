"""Parts that all charts share: axes, tooltips, and charts as JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.models import Plot
from bokeh.plotting import figure

INK, FAINT, LINE = "#1f2328", "#57606a", "#d8dee4"
FONT = "system-ui, sans-serif"

AXIS_PX = 52
"""Height in pixels of a chart's axis, besides its drawing area."""


def tooltip(rows: Sequence[tuple[str, str]]) -> str:
    """Return the HTML of a tooltip with a row for each name and value.

    Values hold Bokeh's placeholders. It is HTML because Bokeh's own names are too pale to be read.
    """
    lines = "".join(
        f'<tr><th style="text-align: right; padding-right: 6px">{_plain(name)}</th>'
        f'<td style="color: {INK}">{value}</td></tr>'
        for name, value in rows
    )
    return f'<table style="font: 12px {FONT}; color: {FAINT}">{lines}</table>'


def _plain(name: str) -> str:
    """Return a name with HTML and Bokeh's placeholders escaped."""
    return html.escape(name).replace("@", "&#64;").replace("$", "&#36;")


def drawn_in(places: Mapping[str, Plot]) -> dict[str, Any]:
    """Return charts as JSON for `charts.js`, each for the element whose id is its key."""
    document = Document()
    with document.models.freeze():  # else each chart makes Bokeh search all the others again
        for plot in places.values():
            document.add_root(plot)
    roots = {plot.id: place for place, plot in places.items()}
    return {
        "docs": {"charts": json.loads(serialize_json(document.to_json(deferred=False)))},
        "items": [{"docid": "charts", "roots": roots, "root_ids": list(roots)}],
    }


def new_plot(height_px: int, **kwargs: Any) -> figure:
    """Make an empty chart in the page's style; `height_px`: height of its drawing area."""
    kwargs |= {
        "height": height_px + AXIS_PX,
        "sizing_mode": "stretch_width",
        "toolbar_location": None,
        "tools": "",
        "lod_threshold": None,
        "outline_line_color": LINE,
    }
    plot = figure(**kwargs)
    plot.toolbar.logo = None
    plot.xgrid.grid_line_color = plot.ygrid.grid_line_color = "#eaeef2"
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = FAINT
        axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = INK
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
    return plot
