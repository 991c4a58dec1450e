"""Report over many sessions, `report.html`: what was done or failed, and how rates compare."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from realtime.drawing.palette import BLUE, css_colour
from realtime.errors import RecordingError
from realtime.reports.charts import drawn_in, new_plot, tooltip
from realtime.reports.formatting import counted, duration, number
from realtime.reports.html import bokeh_script, inline_script, write_html
from realtime.session.layout import REPORT_FILE

EVENTS_PREFIX = "events_"
"""Prefix of the columns that hold a label's count."""

ORDER = ("failed", "done", "skipped")
"""Statuses in the order of the table: what a reader has to act on comes first."""

MAX_SHOWN = 500
"""Most rows that are shown at once: a browser takes seconds to lay out ten thousand. The others are
found by searching, sorting, or showing all."""

RATE_BINS = 30
"""Bars of the histogram of rates, each a few pixels wide."""

CHART_PX = 180


def write_collection_report(out: Path, table: pd.DataFrame) -> Path:
    """Write `report.html` into `out` over the sessions of a batch, whole or not at all.

    `table`: a row a file with the columns `file`, `folder` (relative to `out`), `status` (`done`,
    `skipped` or `failed`), `reason`, `frames`, `lost_frames`, `lost_causes`, `duration_s`,
    `face_share` (0 to 1), `events`, `events_per_minute` and, for each label, `events_<label>`;
    numbers may be missing. A session's own report is linked where it is there. Raises
    RecordingError when the page cannot be written.
    """
    path = out / REPORT_FILE
    scripts = {name: inline_script(f"{name}.js") for name in ("charts", "sorting")}
    try:
        write_html(
            path, "collection.html", {"bokeh": bokeh_script(), **scripts}, **_content(out, table)
        )
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be written ({error.strerror}); free some space or change its rights."
        ) from error
    return path


def _content(out: Path, table: pd.DataFrame) -> dict[str, object]:
    labels = [
        str(name).removeprefix(EVENTS_PREFIX)
        for name in table.columns
        if str(name).startswith(EVENTS_PREFIX) and name != "events_per_minute"
    ]
    failed = table[table["status"] == "failed"]
    read = table[table["status"] != "failed"]
    total_s, total_events = float(read["duration_s"].sum()), int(read["events"].sum())
    lost = read["lost_frames"].fillna(0)
    face_s = float((read["duration_s"] * read["face_share"]).sum())
    return {
        "title": f"{counted(len(table), 'session')} in {out.resolve().name or out}",
        "counts": ", ".join(
            f"{(table['status'] == status).sum():,} {status}"
            for status in ORDER
            if (table["status"] == status).any()
        ),
        "tiles": [
            ("Sessions", f"{len(read):,}", f"{len(failed):,} failed besides"),
            ("Recorded", duration(total_s), f"{int(read['frames'].sum()):,} frames"),
            (
                "Lost",
                f"{int(lost.sum()):,}",
                f"frames, in {counted(int((lost > 0).sum()), 'session')}",
            ),
            ("With a face", duration(face_s), "of all that was recorded"),
            ("Events", f"{total_events:,}", "spotted micro-expressions"),
            (
                "Events a minute",
                number(60 * total_events / total_s if total_s else None),
                "of all that was recorded",
            ),
        ],
        "labels": labels,
        "totals": [int(read[EVENTS_PREFIX + label].sum()) for label in labels],
        "failures": failed[["file", "reason"]].to_dict("records"),
        "max_shown": MAX_SHOWN,
        "rows": _rows(out, table, labels),
        "charts": _charts(read) if read["events_per_minute"].notna().any() else None,
    }


def _rows(out: Path, table: pd.DataFrame, labels: Sequence[str]) -> list[dict[str, Any]]:
    def place(record: Mapping[Hashable, Any]) -> tuple[int, str]:
        return ORDER.index(record["status"]), record["file"]

    rows = []
    # Not by pandas, which sorts no name that is no text.
    for record in sorted(table.to_dict("records"), key=place):
        row = {str(key): None if pd.isna(value) else value for key, value in record.items()}
        row["labels"] = [row[EVENTS_PREFIX + label] for label in labels]
        row["link"] = _link(out, row["folder"])
        rows.append(row)
    return rows


def _link(out: Path, folder: str | None) -> str | None:
    """Return the address of a session's report, relative to the page; None where there is none."""
    if not folder:
        return None
    report = PurePosixPath(Path(folder).as_posix()) / REPORT_FILE
    # A name with a colon would be read as an address of another kind.
    return f"./{quote(str(report), errors='surrogateescape')}" if (out / report).is_file() else None


def _charts(read: pd.DataFrame) -> dict[str, Any]:
    """Draw the distribution of rates, and rates against the share of time with a face."""
    shown = read.dropna(subset=["events_per_minute"])
    rates = shown["events_per_minute"].to_numpy(np.float64)
    counts, edges = np.histogram(rates, RATE_BINS, (0.0, max(1.0, float(rates.max()))))
    return drawn_in({"rates": _histogram(counts, edges), "rates-by-face": _scatter(shown)})


def _histogram(counts: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> figure:
    plot = new_plot(CHART_PX, y_range=Range1d(start=0, end=1.1 * max(1, int(counts.max()))))
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "count": counts})
    bars = plot.quad(
        left="left",
        right="right",
        top="count",
        bottom=0,
        source=source,
        color=css_colour(BLUE),
        line_color="white",
    )
    plot.xaxis.axis_label, plot.yaxis.axis_label = "events a minute", "sessions"
    tooltips = [("events a minute", "@left{0.0} to @right{0.0}"), ("sessions", "@count")]
    plot.add_tools(HoverTool(renderers=[bars], tooltips=tooltip(tooltips)))
    return plot


def _scatter(shown: pd.DataFrame) -> figure:
    plot = new_plot(CHART_PX, x_range=Range1d(start=-2, end=102))
    source = ColumnDataSource(
        {
            "face": 100 * shown["face_share"].to_numpy(np.float64),
            "rate": shown["events_per_minute"].to_numpy(np.float64),
            "file": [str(file) for file in shown["file"]],
        }
    )
    dots = plot.scatter(
        "face",
        "rate",
        source=source,
        size=6,
        fill_color=css_colour(BLUE),
        fill_alpha=0.5,
        line_color=None,
    )
    plot.xaxis.axis_label, plot.yaxis.axis_label = "time with a face, %", "events a minute"
    tooltips = [("file", "@file"), ("events a minute", "@rate{0.0}"), ("with a face", "@face{0} %")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tooltip(tooltips), limit=5))
    return plot
