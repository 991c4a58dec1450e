"""Charts of a session's report: scores by face, conditions and frame gaps, drawn by Bokeh.

An hour has more scores than can be drawn at once. The page holds them as binary numbers, and
`timeline.js` draws the mean and the highest score of the frames that share a pixel, so that no peak
is lost. Bokeh's callbacks in JavaScript are not used, since they
would need `eval`, which the page's policy forbids.

Charts over time share one axis in milliseconds, the unit of Bokeh's axes of time.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    DatetimeTickFormatter,
    FixedTicker,
    HoverTool,
    PanTool,
    Plot,
    Range1d,
    RangeTool,
    WheelZoomTool,
)
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from realtime.drawing.palette import (
    BLUE,
    ORANGE,
    PURPLE,
    Rgb,
    class_colours,
    class_markers,
    css_colour,
)
from realtime.faces.conditions import BRIGHT, DARK, SMALL_PX, TURNED_DEG
from realtime.reports.charts import FAINT, FONT, INK, drawn_in, new_plot, tooltip
from realtime.session.layout import MACRO_PREFIX
from realtime.session.statistics import FaceStatistics, Stretch
from realtime.spec import NONE_LABEL
from realtime.types import NO_FACE, Float64Array

MS = 1000.0

HOUR_S = 3600.0

LANE_PX = 44
"""Height of one label's lane in pixels: enough to see a peak and its foot apart."""

MACRO_LANE_PX = 28
"""Height of a macro-expression's lane in pixels: scores have no peaks, and there are more lanes."""

LANE_FILL = 0.86
"""Share of a lane that a score of 1 fills."""

SHADE = 0.55
"""Share of a class's colour in the edge of its area, so that yellow stands out from the page."""

EVENT_ALPHA = 0.14
"""Opacity of an event's span behind the scores."""

MARKS_LANE = 0.55
"""Height of the strip above the lanes that holds the events' marks, in lanes."""

LEFT_PX = 104
"""Width for the names on the left, the same in all charts over time, so that moments align."""

NAME_CHARS = 12
"""Most characters of a label's name beside its lane; the table of labels has all of it."""

OVERVIEW_BINS = 1200
"""Most bins of the overview: about a pixel each."""

LEVEL_DEG = 45.0
"""Least range of the chart of head pose, so that a still head looks still."""

CONDITION_S = 0.2
"""Shortest bin of the charts of conditions: the head moves little in it, and jitter is averaged."""

MAX_CONDITION_BINS = 4000
"""Most bins of the charts of conditions; longer sessions have longer bins."""

CONTEXT_MS = 200.0
"""Shortest time that a chart shows: half of a micro-expression."""

GAP_BINS = 50
"""Bars of the chart of gaps: with 50, the usual gap, at a quarter of the axis, is mid-bar."""

LONG_GAP = 4.0
"""Longest gap between frames in usual gaps; longer gaps share the last bar."""

# Look of stretches behind the scores: fill, hatch, colour of the hatch.
BANDS = {
    NO_FACE: ("#d0d7de", "/", "#8c959f"),
    "warming up": ("#eaeef2", ".", "#8c959f"),
    "macro": ("#fdf0dc", "\\", "#b08a4a"),
}

ANGLES = (("yaw", BLUE, "solid"), ("pitch", ORANGE, "dashed"), ("roll", PURPLE, "dotdash"))
"""Angles of the head: name, colour and dash of each line."""

_BOKEH_MARKERS = {
    "▲": "triangle",
    "●": "circle",
    "◆": "diamond",
    "■": "square",
    "▼": "inverted_triangle",
    "★": "star",
    "✚": "plus",
    "▬": "dash",
}


def condition_bin_s(session_s: float) -> float:
    """Return the seconds over which a point in the charts of head and light is the mean."""
    return max(CONDITION_S, session_s / MAX_CONDITION_BINS)


@dataclass(slots=True)
class Charts:
    """Charts of one page that share an axis of time.

    `places`: charts by the id of the element that each is drawn in. `tracks`: the scores that
    `timeline.js` draws.
    """

    start_s: float
    end_s: float
    places: dict[str, Plot] = field(default_factory=dict)
    tracks: list[dict[str, Any]] = field(default_factory=list)
    time_ms: Range1d = field(init=False)

    def __post_init__(self) -> None:
        start_ms, end_ms = self.start_s * MS, max(self.end_s * MS, self.start_s * MS + CONTEXT_MS)
        self.time_ms = Range1d(
            start=start_ms,
            end=end_ms,
            bounds=(start_ms, end_ms),
            min_interval=CONTEXT_MS,
            max_interval=end_ms - start_ms,
            name="time",
        )

    @property
    def clock(self) -> str:
        """Bokeh's format of a time."""
        return "%H:%M:%S" if self.end_s >= HOUR_S else "%M:%S"

    def data(self) -> dict[str, Any]:
        """Return the data for the page's scripts, as JSON."""
        return drawn_in(self.places) | {"tracks": self.tracks}

    def add_scores(
        self,
        place: str,
        labels: Sequence[str],
        scores: pd.DataFrame,
        events: pd.DataFrame,
        face: FaceStatistics,
        hole_s: float,
    ) -> None:
        """Add the scores of one face, a lane for each label.

        Its events are spans over the lanes with a mark above, its stretches bands behind.
        """
        lanes = len(labels)
        plot = self._over_time(
            round(LANE_PX * (lanes + MARKS_LANE)), (-lanes + 0.9, 1 + MARKS_LANE)
        )
        _bands(plot, face.stretches, -lanes, 1 + MARKS_LANE)
        _events(plot, events, -lanes + 1, 1 + MARKS_LANE)
        colours, marks = class_colours(labels), class_markers(labels)
        _marks(plot, events, labels, colours, marks, 1 + MARKS_LANE / 2, size=11)
        spans = _event_spans(events, marks)
        self._add_lanes(place, plot, labels, labels, scores, spans, hole_s)

    def add_macro(
        self,
        place: str,
        macro_labels: Sequence[str],
        labels: Sequence[str],
        scores: pd.DataFrame,
        events: pd.DataFrame,
        face: FaceStatistics,
        hole_s: float,
    ) -> None:
        """Add the macro-expressions of one face, a lower lane for each.

        Its events, which are of `labels`, are spans over the lanes. These scores need no window: no
        stretch is warming up.
        """
        lanes = len(macro_labels)
        plot = self._over_time(MACRO_LANE_PX * lanes, (-lanes + 0.9, 1.0))
        shown = [part for part in face.stretches if part.state != "warming up"]
        _bands(plot, shown, -lanes, 1.0)
        _events(plot, events, -lanes + 1, 1.0)
        columns = [MACRO_PREFIX + label for label in macro_labels]
        spans = _event_spans(events, class_markers(labels))
        self._add_lanes(place, plot, macro_labels, columns, scores, spans, hole_s)

    def _add_lanes(
        self,
        place: str,
        plot: figure,
        labels: Sequence[str],
        columns: Sequence[str],
        scores: pd.DataFrame,
        spans: list[dict[str, Any]],
        hole_s: float,
    ) -> None:
        """Add the lanes of `columns` of the scores, which `timeline.js` draws."""
        lanes = len(labels)
        colours, marks = class_colours(labels), class_markers(labels)
        drawn = ("mean", "high", "said")
        fields = ["t", "event", *(f"{kind}{i}" for kind in drawn for i in range(lanes))]
        source = ColumnDataSource({field: [] for field in fields}, name=place)
        for i, label in enumerate(labels):
            colour = css_colour(colours[label])
            plot.varea("t", -i, f"high{i}", source=source, color=colour, alpha=0.4)
            plot.varea("t", -i, f"mean{i}", source=source, color=colour)
            outline = plot.line(
                "t", f"high{i}", source=source, color=_shade(colours[label]), line_width=0.8
            )
            if i == 0:
                plot.add_tools(
                    HoverTool(
                        renderers=[outline],
                        mode="vline",
                        point_policy="follow_mouse",
                        attachment="horizontal",
                        tooltips=tooltip(
                            [
                                ("time", f"@t{{{self.clock}.%3N}}"),
                                *(
                                    (f"{marks[name]} {name}", f"@said{j}")
                                    for j, name in enumerate(labels)
                                ),
                                ("event", "@event"),
                            ]
                        ),
                        formatters={"@t": "datetime"},
                    )
                )
        middles = [LANE_FILL / 2 - i for i in range(lanes)]
        plot.yaxis.ticker = middles
        plot.yaxis.major_tick_line_color = None
        plot.ygrid.ticker = FixedTicker(ticks=[-i for i in range(lanes)])
        plot.yaxis.major_label_overrides = {
            middles[i]: f"{marks[label]} {_short(label)}" for i, label in enumerate(labels)
        }
        self.places[place] = plot
        self.tracks.append(_track(place, columns, scores, spans, hole_s))

    def add_overview(
        self, place: str, labels: Sequence[str], scores: pd.DataFrame, events: pd.DataFrame
    ) -> None:
        """Add the highest score of any expression over the whole session.

        It has a handle for the time that the other charts show.
        """
        plot = self._over_time(34, (0, 1.5), is_overview=True)
        shown = [label for label in labels if label != NONE_LABEL]
        highest = scores[shown].max(axis=1).to_numpy(np.float64)
        times_s = scores["timestamp"].to_numpy(np.float64)
        edges_s, highs = _binned_max(times_s, highest, self.start_s, self.end_s)
        source = ColumnDataSource({"t": edges_s * MS, "high": highs})
        plot.varea("t", 0, "high", source=source, color="#9aa4af")
        colours, marks = class_colours(labels), class_markers(labels)
        _marks(plot, events, labels, colours, marks, 1.25, size=6)
        plot.yaxis.visible = plot.ygrid.visible = False
        tool = RangeTool(x_range=self.time_ms)
        tool.overlay.fill_color = css_colour(BLUE)
        tool.overlay.fill_alpha = 0.12
        tool.overlay.line_color = css_colour(BLUE)
        tool.overlay.line_alpha = 1
        plot.add_tools(tool)
        self.places[place] = plot

    def add_conditions(self, place: str, conditions: pd.DataFrame) -> None:
        """Add three charts of one face: `place`-head, `place`-light and `place`-size."""
        table = _binned_mean(conditions, self.start_s, self.end_s)
        source = ColumnDataSource(
            {"t": table.index.to_numpy() * MS}
            | {str(name): table[name].to_numpy() for name in table.columns}
        )
        angles_deg = table[["yaw_deg", "pitch_deg", "roll_deg"]].to_numpy()
        limit = float(np.nanmax(np.abs(angles_deg), initial=LEVEL_DEG))
        head = self._over_time(142, (-limit, limit))
        head.add_layout(_outside(bottom=TURNED_DEG))
        head.add_layout(_outside(top=-TURNED_DEG))
        moment = ("time", f"@t{{{self.clock}.%1N}}")
        lines = [
            head.line(
                "t",
                f"{name}_deg",
                source=source,
                color=css_colour(colour),
                line_dash=dash,
                line_width=1.6,
                legend_label=name,
            )
            for name, colour, dash in ANGLES
        ]
        head.yaxis.axis_label = "degrees"
        _legend_above(head)
        angles = [(name, f"@{name}_deg{{0.0}}°") for name, *_ in ANGLES]
        _hover(head, lines[0], [moment, *angles])
        light = self._over_time(100, (0, 255))
        light.add_layout(_outside(top=DARK))
        light.add_layout(_outside(bottom=BRIGHT))
        line = light.line("t", "brightness", source=source, color=css_colour(BLUE), line_width=1.6)
        light.yaxis.axis_label = "mean gray"
        _hover(
            light,
            line,
            [moment, ("mean gray", "@brightness{0}"), ("unevenness", "@unevenness{0.00}")],
        )
        widest_px = float(np.nanmax(table["face_px"].to_numpy(), initial=SMALL_PX))
        size = self._over_time(100, (0, 1.15 * widest_px))
        size.add_layout(_outside(top=SMALL_PX))
        line = size.line("t", "face_px", source=source, color=css_colour(BLUE), line_width=1.6)
        size.yaxis.axis_label = "pixels"
        _hover(size, line, [moment, ("width", "@face_px{0} px")])
        self.places |= {f"{place}-head": head, f"{place}-light": light, f"{place}-size": size}

    def add_gaps(self, place: str, times_s: Float64Array, model_hz: float | None) -> None:
        """Add the distribution of times from one frame to the next."""
        gaps_ms = np.diff(times_s) * MS
        top_ms = LONG_GAP * float(np.median(gaps_ms))
        counts, edges_ms = np.histogram(
            np.minimum(gaps_ms, top_ms * (1 - 1e-6)), GAP_BINS, (0.0, max(top_ms, 1.0))
        )
        plot = new_plot(
            150,
            x_range=Range1d(start=0.0, end=float(edges_ms[-1])),
            y_range=Range1d(start=0.5, end=2.0 * max(1, int(counts.max()))),
            y_axis_type="log",
        )
        filled = counts > 0
        source = ColumnDataSource(
            {
                "left": edges_ms[:-1][filled],
                "right": edges_ms[1:][filled],
                "count": counts[filled],
            }
        )
        bars = plot.quad(
            left="left",
            right="right",
            top="count",
            bottom=0.5,
            source=source,
            color=css_colour(BLUE),
            line_color="white",
        )
        if model_hz:
            plot.add_layout(
                Span(location=MS / model_hz, dimension="height", line_color=INK, line_dash="dashed")
            )
        plot.xaxis.axis_label = "milliseconds from one frame to the next"
        plot.yaxis.axis_label = "frames"
        plot.add_tools(
            HoverTool(
                renderers=[bars],
                tooltips=tooltip([("gap", "@left{0.0} to @right{0.0} ms"), ("frames", "@count")]),
            )
        )
        self.places[place] = plot

    def _over_time(
        self,
        height_px: int,
        limits: tuple[float, float],
        *,
        is_overview: bool = False,
    ) -> figure:
        whole = Range1d(start=self.time_ms.start, end=self.time_ms.end)
        plot = new_plot(
            height_px,
            x_range=whole if is_overview else self.time_ms,
            y_range=Range1d(start=limits[0], end=limits[1]),
            x_axis_type="datetime",
        )
        # `days` is also the beginning, which Bokeh takes for midnight.
        units = ("seconds", "minsec", "minutes", "hourmin", "hours", "days")
        formats: dict[str, Any] = dict.fromkeys(units, self.clock)
        formats["milliseconds"] = f"{self.clock}.%3N"
        plot.xaxis.formatter = DatetimeTickFormatter(**formats)
        if not is_overview:
            drag = PanTool(dimensions="width")
            # The wheel alone still scrolls the page.
            wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
            plot.add_tools(drag, wheel)
            plot.toolbar.active_drag, plot.toolbar.active_scroll = drag, wheel
        plot.min_border_left = LEFT_PX
        return plot


def _bands(plot: figure, stretches: Sequence[Stretch], bottom: float, top: float) -> None:
    for state, (fill, hatch, hatch_colour) in BANDS.items():
        shown = [part for part in stretches if part.state == state]
        if shown:
            plot.quad(
                left=[part.start_s * MS for part in shown],
                right=[part.end_s * MS for part in shown],
                bottom=bottom,
                top=top,
                fill_color=fill,
                line_color=None,
                hatch_pattern=hatch,
                hatch_color=hatch_colour,
                hatch_weight=0.6,
                hatch_scale=8,
                level="underlay",
            )


def _events(plot: figure, events: pd.DataFrame, bottom: float, top: float) -> None:
    if len(events):
        plot.quad(
            left=events["onset_s"].to_numpy() * MS,
            right=events["offset_s"].to_numpy() * MS,
            bottom=bottom,
            top=top,
            fill_color=INK,
            fill_alpha=EVENT_ALPHA,
            line_color=None,
            level="underlay",
        )


def _marks(
    plot: figure,
    events: pd.DataFrame,
    labels: Sequence[str],
    colours: dict[str, Rgb],
    marks: dict[str, str],
    y: float,
    size: float,
) -> None:
    for label in labels:
        own = events[events["label"] == label]
        if len(own):
            plot.scatter(
                own["apex_s"].to_numpy() * MS,
                y,
                marker=_BOKEH_MARKERS[marks[label]],
                size=size,
                fill_color=css_colour(colours[label]),
                line_color=INK,
                line_width=0.8,
            )


def _legend_above(plot: figure) -> None:
    legend = plot.legend[0]
    plot.center.remove(legend)
    plot.add_layout(legend, "above")
    legend.orientation = "horizontal"
    legend.border_line_color = None
    legend.label_text_font, legend.label_text_font_size = FONT, "12px"


def _hover(plot: figure, line: GlyphRenderer, rows: list[tuple[str, str]]) -> None:
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            point_policy="follow_mouse",
            tooltips=tooltip(rows),
            formatters={"@t": "datetime"},
        ),
        CrosshairTool(dimensions="height", line_color=FAINT, line_alpha=0.5),
    )


def _outside(**bounds: Any) -> BoxAnnotation:
    """Return the shaded area in which a condition makes scores doubtful."""
    return BoxAnnotation(
        fill_color="#f6dfd0", fill_alpha=0.6, line_color=None, level="underlay", **bounds
    )


def _shade(colour: Rgb) -> str:
    """Return the same colour, darker."""
    red, green, blue = (round(SHADE * part) for part in colour)
    return css_colour((red, green, blue))


def _short(label: str) -> str:
    return label if len(label) <= NAME_CHARS else label[: NAME_CHARS - 1] + "…"


def _track(
    place: str,
    columns: Sequence[str],
    scores: pd.DataFrame,
    spans: list[dict[str, Any]],
    hole_s: float,
) -> dict[str, Any]:
    """Return the scores of one face as `timeline.js` reads them.

    Times are float64 [N] in milliseconds, scores float32 [C, N]; frames without scores are left
    out. `spans`: see `_event_spans`.
    """
    scored = scores.dropna(subset=list(columns))
    return {
        "source": place,
        "lanes": len(columns),
        "fill": LANE_FILL,
        "hole_ms": hole_s * MS,
        "t": _base64(scored["timestamp"].to_numpy("<f8") * MS),
        "scores": _base64(scored[list(columns)].to_numpy("<f4").T),
        "events": spans,
    }


def _event_spans(events: pd.DataFrame, marks: dict[str, str]) -> list[dict[str, Any]]:
    """Return the time of each event, in milliseconds, and its text at the pointer."""
    return [
        {
            "from": event["onset_s"] * MS,
            "to": event["offset_s"] * MS,
            "text": f"#{event['event_id']} {marks.get(event['label'], '')} {event['label']} "
            f"{event['score']:.2f}",
        }
        for event in events.to_dict("records")
    ]


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _binned_max(
    times_s: Float64Array, values: Float64Array, start_s: float, end_s: float
) -> tuple[Float64Array, Float64Array]:
    """Return middles and highest values of equal bins; bins without a value are 0."""
    is_there = np.isfinite(values)
    count = min(OVERVIEW_BINS, max(1, int(is_there.sum()) // 2))  # a few scores in each
    edges_s = np.linspace(start_s, max(end_s, start_s + 1e-3), count + 1)
    bins = np.clip(np.searchsorted(edges_s, times_s[is_there], "right") - 1, 0, count - 1)
    highs = np.full(count, -np.inf)
    np.maximum.at(highs, bins, values[is_there])
    return (edges_s[1:] + edges_s[:-1]) / 2, np.where(np.isfinite(highs), highs, 0.0)


def _binned_mean(conditions: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame:
    """Return means of equal bins, indexed by their middles; empty bins are NaN: lines break.

    Rows outside of `start_s` to `end_s`, the time of the charts, are left out.
    """
    bin_s = condition_bin_s(end_s - start_s)
    bins = ((conditions["timestamp"] - start_s) // bin_s).astype(int)
    values = conditions.drop(columns=["frame", "timestamp", "face_id"])
    means = values.groupby(bins).mean()
    means = means.reindex(range(int((end_s - start_s) // bin_s) + 1))
    means.index = start_s + (means.index + 0.5) * bin_s
    return means
