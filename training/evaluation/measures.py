"""Measures of spotting: found, missed and false events, and their conditions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation.metrics import Counts, Estimate, estimates, match, recognition

BELOW_POINTS = 5.0
"""Distance below the whole, in points (hundredths), from which a group is marked."""

POOR_OVERLAP, MACRO = "poor overlap", "macro-expression"
"""Causes of false events that meet a true expression; other causes are activities."""

STILL, UNKNOWN = "still", "unknown"
"""Causes of other false events: without any activity, and where no table lists activities."""

BY_EPISODE = (
    "Any other counts for all activities at its apex, by activities.csv; minutes of a kind are the "
    "sum of its episodes."
)
BY_CLIP = (
    "Any other counts for all activities of its clip, by clips.csv, since there is no "
    "activities.csv; minutes of a kind are those of the clips that show it."
)

SIMULATOR_COLUMNS = {"seed", "skin"}
"""Columns of clips.csv that only `simulate` writes; `skin` is empty where it uses photographs."""

SIMULATED_NOTE = (
    "The people in these videos are simulated. Measures on simulated people are not accuracy on "
    "people: they show only how well the model reads the simulator's faces."
)
PHOTOGRAPHED = (
    "These videos are photographs of people, moved by simulated expressions. Measures on them are "
    "not accuracy on people: the faces are real, their expressions are not."
)
RECORDED = (
    "Nothing marks these videos as simulated. The measures hold for people, cameras and labels "
    "like these."
)

EVENT_COLUMNS = ("clip", "onset_s", "apex_s", "offset_s", "label", "score")
"""Columns of the table of spotted events; `measure` adds `matched` and `cause`."""

TIMES = ("onset", "apex", "offset")


@dataclass(frozen=True, slots=True)
class Grouping:
    """Way to divide the clips or the true events into groups.

    `column`: of clips.csv or events.csv. `sort`: `continuous` numbers are divided at `edges`,
    `whole` numbers are rounded before; the first and the last bin are open, so that all numbers
    have a bin. A `category` is its own group; `units` are action units joined by +, each a group.
    `names`: of the bins, where their edges are not clear enough.
    """

    title: str
    column: str
    unit: str = ""
    edges: tuple[float, ...] = ()
    sort: Literal["continuous", "whole", "category", "units"] = "continuous"
    is_absolute: bool = False
    names: tuple[str, ...] = ()

    def groups(self, values: pd.Series) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        """Yield name and members, bool [N], of each group that has any, in order.

        Missing values belong to no group.
        """
        if self.sort == "category":
            texts = values.where(values.isna(), values.astype(str))
            for name in sorted(texts.dropna().unique()):
                yield name, (texts == name).to_numpy(bool)
        elif self.sort == "units":
            sets = [action_units(text) for text in values]
            for unit in sorted(set().union(*sets), key=lambda unit: (len(unit), unit)):
                yield f"AU {unit}", np.array([unit in units for units in sets])
        else:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
            numbers = np.abs(numbers) if self.is_absolute else numbers
            known = ~np.isnan(numbers)
            bins = np.digitize(np.round(numbers) if self.sort == "whole" else numbers, self.edges)
            for index in np.unique(bins[known]):
                yield self._bin_name(int(index)), known & (bins == index)

    def _bin_name(self, index: int) -> str:
        if self.names:
            return self.names[index]
        if index == 0:
            return f"under {self.edges[0]:g}"
        low = self.edges[index - 1]
        if index == len(self.edges):
            return f"{low:g} or more"
        high = self.edges[index]
        return f"{low:g} to {high - 1:g}" if self.sort == "whole" else f"{low:g} to {high:g}"


CLIP_GROUPINGS = (
    Grouping("Frame rate", "fps", "frames a second", (20, 30, 60, 120), "whole"),
    Grouping("Face height", "face_px", "pixels", (80, 120, 180, 250), "whole"),
    Grouping("Yaw to either side", "yaw_deg", "degrees", (5, 10, 15, 25), is_absolute=True),
    Grouping("Skin tone", "skin", edges=(1 / 3, 2 / 3), names=("lightest", "middle", "darkest")),
    Grouping("Glasses", "glasses", sort="category"),
    Grouping("Beard", "beard", sort="category"),
    Grouping("Noise", "noise", "8-bit steps at mid gray", (0.7, 1.5, 3, 4.5)),
    Grouping(
        "JPEG of the camera",
        "jpeg",
        "quality",
        (1, 80, 90),
        names=("none", "under 80", "80 to 89", "90 or more"),
    ),
    Grouping("H.264 of the file", "crf", "CRF", (18, 21, 24, 27), "whole"),
)
"""Groupings of whole clips by their content; face heights are those of clips.csv."""

EVENT_GROUPINGS = (
    Grouping("Label", "label", sort="category"),
    Grouping("Displacement", "displacement_mm", "mm of skin", (0.8, 1.2, 1.8, 2.7, 4)),
    Grouping("Intensity", "intensity", "of the full range", (0.1, 0.2, 0.3, 0.45, 0.65)),
    Grouping("Action unit", "units", sort="units"),
)
"""Groupings of true micro-expressions.

No false event belongs to such a group, so only recall, class and times are meaningful there.
"""

EVENT_MEASURES = ("recall", "accuracy")


def action_units(text: object) -> set[str]:
    """Return the numbers of the action units in text: `1+2L+5*0.6` gives {1, 2, 5}."""
    if not isinstance(text, str):
        return set()
    return {token.partition("*")[0].strip().rstrip("LR") for token in text.split("+")}


@dataclass(frozen=True, slots=True)
class Timing:
    """Error of spotted times in ms.

    Median and 95th percentile of its size, and its median with its sign (`bias_ms`, positive: too
    late).
    """

    median_ms: float
    p95_ms: float
    bias_ms: float


@dataclass(frozen=True, slots=True)
class Part:
    """Measures of some clips, or of some true events.

    `figures`: fields of `metrics.Rates`. `timing`: of onset, apex and offset; empty when nothing
    was matched. `subjects`: number of subjects, None when clips.csv does not name them.
    """

    clips: int
    subjects: int | None
    minutes: float
    micro_expressions: int
    matched: int
    spotted: int
    figures: dict[str, Estimate]
    timing: dict[str, Timing]


@dataclass(frozen=True, slots=True)
class Group:
    """Group of clips or of true events.

    `points`: hundredths by which the grouping's metric lies above that of the whole; None without a
    micro-expression. `is_below`: true if it lies more than BELOW_POINTS below.
    """

    name: str
    part: Part
    points: float | None
    is_below: bool


@dataclass(frozen=True, slots=True)
class Groups:
    """All groups of a grouping. `figure`: metric that compares them, `f1` or `recall`."""

    title: str
    column: str
    unit: str
    figure: str
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class Cause:
    """Number of false events of a cause, and the minutes in which they could occur."""

    cause: str
    events: int
    minutes: float
    per_minute: Estimate


@dataclass(frozen=True, slots=True)
class EventClassMeasures:
    """Measures of a class, with missed expressions as errors."""

    label: str
    micro_expressions: int
    spotted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class EvaluationMeasures:
    """All measures that `evaluate` computes.

    `source`: a sentence on the origin of the faces. `notes`: measures that are missing, and why.
    `causes`: BY_EPISODE or BY_CLIP, a sentence on the causes of false events.
    `confusion`: rows truth, columns prediction, in the order of `classes`; `missed`: of each class.
    `errors_ms`: signed errors of the matched onsets, apexes and offsets. `about`: model, data,
    protocol, settings and commit.
    """

    source: str
    notes: list[str]
    causes: str
    whole: Part
    classes: list[EventClassMeasures]
    confusion: list[list[int]]
    missed: list[int]
    clip_groups: list[Groups]
    event_groups: list[Groups]
    false_by_cause: list[Cause]
    false_events: list[dict[str, Any]]
    missed_events: list[dict[str, Any]]
    errors_ms: dict[str, list[float]]
    about: dict[str, Any] = field(default_factory=dict)


def measure(
    clips: pd.DataFrame,
    truth: pd.DataFrame,
    spotted: pd.DataFrame,
    classes: Sequence[str],
    activities: pd.DataFrame | None = None,
) -> tuple[EvaluationMeasures, pd.DataFrame]:
    """Compute all measures; return also `spotted` with `matched` (bool) and `cause` (if false).

    `clips`: `clip, length_s`, and all columns of clips.csv; `truth`: see `read_truth`; `spotted`:
    EVENT_COLUMNS; `classes`: the labels that a micro-expression can have; `activities`: see
    `read_activities`.
    """
    notes: list[str] = []
    causes = BY_CLIP if activities is None else BY_EPISODE
    if "subject" not in clips:
        notes.append("No table names the subjects, so intervals are over clips, not people.")
    if activities is not None:
        activities = _with_stillness(clips, activities)
    elif "kind" in clips:
        activities = _throughout(clips, clips["kind"].fillna(UNKNOWN))
    else:
        notes.append("No table lists the activities in a clip, so false events have no kind.")
        activities = _throughout(clips, pd.Series(UNKNOWN, clips.index))
    micro, spotted = _pair(clips, truth, spotted, activities)
    whole = _describe(clips, micro, spotted, classes)
    false = spotted[~spotted["matched"]]

    clip_groups: list[Groups] = []
    for grouping in CLIP_GROUPINGS:
        if grouping.column in clips:
            parts = [
                (name, _of_clips(clips[members], micro, spotted, classes))
                for name, members in grouping.groups(clips[grouping.column])
            ]
            clip_groups.append(_compare(grouping, "f1", parts, whole))
    event_groups: list[Groups] = []
    for grouping in EVENT_GROUPINGS:
        if grouping.column in micro:
            parts = [
                (name, _of_events(clips, micro[members], classes))
                for name, members in grouping.groups(micro[grouping.column])
            ]
            event_groups.append(_compare(grouping, "recall", parts, whole))
    lacking = [
        grouping
        for grouping in (*CLIP_GROUPINGS, *EVENT_GROUPINGS)
        if grouping.column not in clips and grouping.column not in truth
    ]
    if lacking:
        notes.append(
            f"There are no measures by {', '.join(grouping.title for grouping in lacking)}: the "
            f"tables lack {', '.join(grouping.column for grouping in lacking)}."
        )

    counts = _counts(clips, micro, spotted, classes)
    confusion = counts.confusion.sum(axis=0).astype(int)
    missed = counts.missed.sum(axis=0).astype(int)
    recognised = recognition(confusion, missed)
    measures = EvaluationMeasures(
        source=_source(clips),
        notes=notes,
        causes=causes,
        whole=whole,
        classes=[
            EventClassMeasures(
                label,
                int(confusion[n].sum() + missed[n]),
                int(confusion[n].sum()),
                float(recognised.precision[n]),
                float(recognised.recall[n]),
                float(recognised.f1[n]),
            )
            for n, label in enumerate(classes)
        ],
        confusion=confusion.tolist(),
        missed=missed.tolist(),
        clip_groups=clip_groups,
        event_groups=event_groups,
        false_by_cause=_causes(clips, micro, truth, false, classes, activities),
        false_events=_rows(false, [*EVENT_COLUMNS, "cause"]),
        missed_events=_rows(
            micro[micro["predicted"].isna()],
            ["clip", "onset_s", "offset_s", "label", "units", "intensity", "poor_overlap"],
        ),
        errors_ms={time: micro[f"{time}_error_ms"].dropna().round(1).to_list() for time in TIMES},
    )
    return measures, spotted


def _source(clips: pd.DataFrame) -> str:
    """Return the sentence on the origin of the faces in these clips."""
    if not set(clips.columns) >= SIMULATOR_COLUMNS:
        return RECORDED
    return PHOTOGRAPHED if clips["skin"].isna().all() else SIMULATED_NOTE


def _throughout(clips: pd.DataFrame, kinds: pd.Series) -> pd.DataFrame:
    """Return activities as from `read_activities` that last for the whole of each clip.

    `kinds`: kinds of each clip's activities, joined by +.
    """
    table = clips[["clip"]].assign(start_s=0.0, end_s=clips["length_s"], kind=kinds.str.split("+"))
    return table.explode("kind", ignore_index=True)


def _with_stillness(clips: pd.DataFrame, activities: pd.DataFrame) -> pd.DataFrame:
    """Add an episode of STILL wherever a clip has no activity."""
    columns = ["clip", "start_s", "end_s", "kind"]
    episodes = sorted(activities[columns].itertuples(index=False, name=None))
    still: list[tuple[str, float, float, str]] = []
    for clip, length_s in zip(clips["clip"], clips["length_s"], strict=True):
        at_s = 0.0
        for _, start_s, end_s, _ in (episode for episode in episodes if episode[0] == clip):
            if min(start_s, length_s) > at_s:
                still.append((clip, at_s, min(start_s, length_s), STILL))
            at_s = max(at_s, end_s)
        if length_s > at_s:
            still.append((clip, at_s, length_s, STILL))
    return pd.DataFrame([*episodes, *still], columns=columns)


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows, with those of the columns that the table has, in types that JSON has."""
    present = table[[column for column in columns if column in table]]
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in present.round(4).to_dict("records")
    ]


def _pair(
    clips: pd.DataFrame, truth: pd.DataFrame, spotted: pd.DataFrame, activities: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match true micro-expressions and spotted events.

    Returns the true micro-expressions with `predicted` (the label of the matched event, or none),
    `poor_overlap` and the errors of their times, and the spotted events with `matched` and
    `cause`.
    """
    micro = truth[truth["kind"] == "micro"].reset_index(drop=True)
    macro = truth[truth["kind"] == "macro"]
    spotted = spotted.reset_index(drop=True)
    predicted: list[str | None] = [None] * len(micro)
    errors_ms = np.full((len(micro), len(TIMES)), np.nan)
    poor_overlap = np.zeros(len(micro), bool)
    matched = np.zeros(len(spotted), bool)
    cause = [""] * len(spotted)
    true_rows = micro.groupby("clip").indices
    spotted_rows = spotted.groupby("clip").indices
    macro_rows = macro.groupby("clip").indices
    active_rows = activities.groupby("clip").indices
    none = np.empty(0, np.int64)
    true_times, spotted_times = _times_s(micro), _times_s(spotted)
    macro_times = _times_s(macro)
    for clip in clips["clip"]:
        own, events = true_rows.get(clip, none), spotted_rows.get(clip, none)
        slow = macro_times[macro_rows.get(clip, none)][:, [0, 2]]
        spans, intervals = true_times[own][:, [0, 2]], spotted_times[events][:, [0, 2]]
        for i, j in match([(a, b) for a, b in spans], [(a, b) for a, b in intervals]):
            predicted[own[i]] = spotted["label"].iloc[events[j]]
            matched[events[j]] = True
            errors_ms[own[i]] = (spotted_times[events[j]] - true_times[own[i]]) * 1e3
        for i, span in zip(own, spans, strict=True):
            poor_overlap[i] = predicted[i] is None and _meets(span, intervals)
        for j, interval in zip(events, intervals, strict=True):
            if not matched[j]:
                met = [(POOR_OVERLAP, spans), (MACRO, slow)]
                active = activities.iloc[active_rows.get(clip, none)]
                kinds = _kinds_at(active, spotted_times[j, 1])
                cause[j] = next((name for name, has in met if _meets(interval, has)), kinds)
    errors = {f"{time}_error_ms": errors_ms[:, n] for n, time in enumerate(TIMES)}
    return (
        micro.assign(
            predicted=pd.Series(predicted, dtype=object), poor_overlap=poor_overlap, **errors
        ),
        spotted.assign(matched=matched, cause=cause),
    )


def _times_s(events: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return onset, apex and offset of each event, float64 [N, 3]."""
    return events[[f"{time}_s" for time in TIMES]].to_numpy(np.float64)


def _kinds_at(activities: pd.DataFrame, t_s: float) -> str:
    """Return the kinds of the activities at a moment of their clip, joined by +."""
    is_on = (activities["start_s"] <= t_s) & (t_s <= activities["end_s"])
    return "+".join(sorted(set(activities["kind"][is_on])))


def _meets(interval: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> bool:
    """Return True if an interval, [2], shares time with any of the others, [N, 2]."""
    shared = np.minimum(others[:, 1], interval[1]) - np.maximum(others[:, 0], interval[0])
    return bool((shared > 0).any())


def _counts(
    clips: pd.DataFrame, micro: pd.DataFrame, spotted: pd.DataFrame, classes: Sequence[str]
) -> Counts:
    """Count the events in each of the clips, to which all events belong."""

    def places(names: Sequence[str], wanted: pd.Series) -> npt.NDArray[np.intp]:
        return pd.Index(list(names)).get_indexer(pd.Index(wanted))

    names = clips["clip"].to_list()
    confusion = np.zeros((len(clips), len(classes), len(classes)))
    missed = np.zeros((len(clips), len(classes)))
    found, lost = micro[micro["predicted"].notna()], micro[micro["predicted"].isna()]
    truths, predicted = places(classes, found["label"]), places(classes, found["predicted"])
    np.add.at(confusion, (places(names, found["clip"]), truths, predicted), 1)
    np.add.at(missed, (places(names, lost["clip"]), places(classes, lost["label"])), 1)
    false = places(names, spotted["clip"][~spotted["matched"].astype(bool)])
    return Counts(
        confusion=confusion,
        missed=missed,
        false=np.bincount(false, minlength=len(clips)).astype(float),
        seconds=clips["length_s"].to_numpy(float),
    )


def _describe(
    clips: pd.DataFrame, micro: pd.DataFrame, spotted: pd.DataFrame, classes: Sequence[str]
) -> Part:
    """Compute the measures of these clips, to which all events belong."""
    # A clip without a subject counts as a person of its own.
    names = clips["subject"].fillna(clips["clip"]) if "subject" in clips else clips["clip"]
    subjects = names.astype(str).to_numpy(str)
    matched = micro[micro["predicted"].notna()]
    timing: dict[str, Timing] = {}
    if len(matched):
        for time in TIMES:
            errors_ms = matched[f"{time}_error_ms"].to_numpy(float)
            size_ms = np.abs(errors_ms)
            timing[time] = Timing(
                median_ms=float(np.median(size_ms)),
                p95_ms=float(np.percentile(size_ms, 95)),
                bias_ms=float(np.median(errors_ms)),
            )
    return Part(
        clips=len(clips),
        subjects=len(np.unique(subjects)) if "subject" in clips else None,
        minutes=float(clips["length_s"].sum() / 60),
        micro_expressions=len(micro),
        matched=len(matched),
        spotted=len(spotted),
        figures=estimates(_counts(clips, micro, spotted, classes), subjects),
        timing=timing,
    )


def _of_clips(
    clips: pd.DataFrame, micro: pd.DataFrame, spotted: pd.DataFrame, classes: Sequence[str]
) -> Part:
    """Compute the measures of these clips, whatever other clips the events belong to."""
    return _describe(
        clips,
        micro[micro["clip"].isin(clips["clip"])],
        spotted[spotted["clip"].isin(clips["clip"])],
        classes,
    )


def _of_events(clips: pd.DataFrame, micro: pd.DataFrame, classes: Sequence[str]) -> Part:
    """Compute the measures of these true events, to which no false event belongs."""
    nothing = pd.DataFrame({"clip": [], "matched": []})
    own = clips[clips["clip"].isin(micro["clip"])]
    part = _describe(own, micro, nothing, classes)
    kept = {name: part.figures[name] for name in EVENT_MEASURES}
    return dataclasses.replace(part, spotted=part.matched, figures=kept)


def _compare(
    grouping: Grouping, metric: str, parts: Sequence[tuple[str, Part]], whole: Part
) -> Groups:
    reference = whole.figures[metric].value
    groups: list[Group] = []
    for name, part in parts:
        value = part.figures[metric].value
        points = None if value is None or reference is None else 100 * (value - reference)
        groups.append(Group(name, part, points, points is not None and points < -BELOW_POINTS))
    return Groups(grouping.title, grouping.column, grouping.unit, metric, groups)


def _causes(
    clips: pd.DataFrame,
    micro: pd.DataFrame,
    truth: pd.DataFrame,
    false: pd.DataFrame,
    classes: Sequence[str],
    activities: pd.DataFrame,
) -> list[Cause]:
    """Count false events by cause, most a minute first.

    Each is counted in the clips that had the expression, or in the episodes of the activity.
    """
    length_s = clips["length_s"]
    macro = truth["clip"][truth["kind"] == "macro"]
    chosen = [
        (POOR_OVERLAP, length_s.where(clips["clip"].isin(micro["clip"]), 0.0)),
        (MACRO, length_s.where(clips["clip"].isin(macro), 0.0)),
    ]
    for kind, episodes in activities.groupby("kind"):
        by_clip = (episodes["end_s"] - episodes["start_s"]).groupby(episodes["clip"]).sum()
        chosen.append((str(kind), clips["clip"].map(by_clip).fillna(0.0)))
    kinds = [cause.split("+") for cause in false["cause"]]
    causes: list[Cause] = []
    for name, seconds in chosen:
        shown = clips.assign(length_s=seconds)[seconds > 0]
        if len(shown):
            events = false[np.array([name in own for own in kinds], bool)]
            part = _describe(shown, micro[:0], events, classes)
            rate = part.figures["false_per_minute"]
            causes.append(Cause(name, len(events), part.minutes, rate))
    return sorted(causes, key=lambda cause: -(cause.per_minute.value or 0.0))
