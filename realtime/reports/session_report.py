"""Report of a session: `report.html`, a self-contained page made from the session folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from realtime.errors import RecordingError
from realtime.reports.formatting import NOTHING, counted, duration, lines_of, number, percent
from realtime.reports.html import bokeh_script, chips, inline_script, markdown, write_html
from realtime.reports.session_charts import Charts, condition_bin_s
from realtime.reports.session_media import Media, Stills, why_no_media
from realtime.run_status import TOO_SLOW
from realtime.session.layout import CLIPS_FOLDER, MACRO_PREFIX, REPORT_FILE
from realtime.session.losses import losses_text, lost_frames
from realtime.session.reader import Session, load_session, macro_labels, read_conditions
from realtime.session.statistics import (
    ROUNDING_S,
    FaceStatistics,
    Float64Array,
    Presence,
    Warned,
    condition_shares,
    face_statistics,
    frame_times,
    hole_s,
    label_statistics,
    per_minute,
    presence,
)
from realtime.spec import NONE_LABEL

SCRIPTS = ("charts", "timeline", "clips")

MAX_CHARTED_FACES = 4
"""Most faces with charts: more would push the events off the screen, and two to three people are
filmed together."""

MAX_ABSENCES = 5
"""Most absences of faces that are listed."""

WARNED_SHARE = 0.05
"""Least share of a face's frames outside of a condition's bounds that gets a warning, 1 event in
20; smaller shares are in the table alone."""

STEADY = 1.5
"""Most usual gaps in the 95th percentile of gaps: beyond, 1 frame in 20 is missing or late."""

MANY_LOST = 0.01
"""Share of lost frames from which the report warns of it: an expression of 0.1 s lasts 3 frames."""

DROP_MEANINGS = {
    "late": "frames of the camera that came while others were worked on",
    "model busy": "moments that were not scored, since the network was not done with those before",
    "recorder busy": "pictures that the video lacks; their scores are there",
    "clips busy": "clips that there was no time for",
    "clip without face": "events of whose face no picture was kept",
    "damaged": "frames of the file that cannot be decoded",
    "no time": "frames of the file without a time",
    "before time 0": "frames of the file before its beginning, which players do not show either",
    "time not increasing": "frames of the file that go back in time",
    "clock changed": "times that another recording begins in the file",
    "camera lost": "times that the camera was gone",
    "connection lost": "times that the connection was gone",
    "stopped": "moments that still waited to be scored at the end",
}


@dataclass(frozen=True, slots=True)
class _Status:
    title: str
    meaning: str
    error: str | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """Macro-expression of a face: a label and its score, at one moment or the mean over all.

    `share`: part of the time in which it was the highest, 0 to 1; None for one moment.
    """

    chip: Markup
    score: float
    share: float | None = None


@dataclass(frozen=True, slots=True)
class _Event:
    """Row of the table of events.

    `clip` and `stills` are None where there are none; `why_no_clip` and `why_no_stills` give the
    reason. `shown`: the macro-expression at the apex; None where it is not known.
    """

    event_id: int
    face_id: int
    label: str
    chip: Markup
    score: float
    onset_s: float
    apex_s: float
    offset_s: float
    duration_s: float
    shown: _Shown | None
    clip: str | None
    why_no_clip: str
    stills: Stills | None
    why_no_stills: str


@dataclass(frozen=True, slots=True)
class _Face:
    """Face with charts.

    `warned`: None where its conditions are not known. `shown`: one entry for each
    macro-expression; empty where none were scored.
    """

    figures: FaceStatistics
    warned: list[Warned] | None
    shown: list[_Shown]


def write_report(folder: Path) -> Path:
    """Write `report.html` into a session folder, whole or not at all; replace an older report.

    Raises RecordingError when the folder holds no session or cannot be written.
    """
    session = load_session(folder)
    conditions = read_conditions(folder)
    path = folder / REPORT_FILE
    try:
        write_html(
            path,
            "report.html",
            {"bokeh": bokeh_script(), **{name: inline_script(f"{name}.js") for name in SCRIPTS}},
            **_content(folder, session, conditions),
        )
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be written ({error.strerror}); free some space or change its rights."
        ) from error
    return path


def _content(folder: Path, session: Session, conditions: pd.DataFrame | None) -> dict[str, object]:
    metadata, scores = session.facts, session.scores
    events = session.events.sort_values("onset_s")
    labels = [label for label in metadata["labels"] if label in scores.columns]
    expressions = [label for label in labels if label != NONE_LABEL]
    times_s = frame_times(scores)
    seen = presence(scores)
    all_faces = face_statistics(scores, events)
    charted = all_faces[:MAX_CHARTED_FACES]
    macro = metadata.get("macro") or {}
    macro_scores = _MacroTable(scores, macro_labels(metadata), times_s)
    faces = [
        _Face(face, _warned(conditions, face), macro_scores.over_all(face.face_id))
        for face in charted
    ]
    charts = _charts(
        labels, macro_scores.labels, scores, events, conditions, faces, times_s, metadata
    )
    rows = _event_rows(folder, events, labels, macro_scores, metadata)
    card, macro_card = metadata.get("model", {}).get("card"), macro.get("card")
    return {
        "name": metadata.get("source", {}).get("name") or folder.name,
        "subtitle": _subtitle(metadata, seen),
        "status": _status(metadata),
        "tiles": _tiles(metadata, events, seen),
        "labels": labels,
        "faces": faces,
        "macro_name": " ".join(filter(None, (macro.get("name"), macro.get("version")))),
        "has_macro": bool(macro_scores.labels),
        "all_faces": all_faces,
        "more_faces": len(all_faces) - len(charted),
        "many_faces": len(all_faces) > 1,
        "charts": charts.data() if charts.places else None,
        "charted": bool(charted),
        "no_timeline": "No face was found in any frame."
        if len(times_s)
        else "The session has no frames.",
        "events": rows,
        "media_note": _media_note(rows),
        "no_events": "No micro-expression was spotted."
        if NONE_LABEL in labels or not labels
        else "This model has no label for a face at rest, so it gives scores and no events.",
        "rates": [
            (chip, of_label)
            for chip, of_label in zip(
                chips(labels).values(), label_statistics(labels, events, seen), strict=True
            )
            if of_label.label in expressions
        ],
        "rate_face": per_minute(len(events), seen.with_face_s),
        "rate_all": per_minute(len(events), seen.total_s),
        "presence": seen,
        "shares": _shares(seen),
        "absences": seen.absences[:MAX_ABSENCES],
        "conditions_known": conditions is not None and len(conditions) > 0,
        "condition_warnings": _condition_warnings(faces),
        "condition_bin_s": condition_bin_s(seen.total_s),
        "frame_lines": _frame_lines(metadata),
        "frame_warnings": _frame_warnings(metadata),
        "drops": [
            (cause, count, DROP_MEANINGS.get(cause, ""))
            for cause, count in metadata.get("drops", {}).items()
        ],
        "has_gaps": "gaps" in charts.places,
        "model_hz": _model_hz(metadata),
        "model_lines": lines_of(
            {key: value for key, value in metadata.get("model", {}).items() if key != "card"}
            | {"labels": labels, "runs on": metadata.get("device")}
        ),
        "macro_lines": lines_of({key: value for key, value in macro.items() if key != "card"}),
        "source_lines": lines_of(metadata.get("source", {})),
        "setting_lines": lines_of(metadata.get("settings") or {}),
        "spotting_lines": lines_of(metadata.get("spotting") or {}),
        "change_lines": _change_lines(metadata),
        "calibration_lines": _calibration_lines(metadata),
        "version_lines": lines_of(metadata.get("versions") or {}),
        "card": markdown(card) if card else None,
        "macro_card": markdown(macro_card) if macro_card else None,
    }


def _charts(
    labels: Sequence[str],
    macro: Sequence[str],
    scores: pd.DataFrame,
    events: pd.DataFrame,
    conditions: pd.DataFrame | None,
    faces: Sequence[_Face],
    times_s: Float64Array,
    metadata: Mapping[str, Any],
) -> Charts:
    charts = Charts(
        start_s=float(times_s[0]) if len(times_s) else 0.0,
        end_s=float(times_s[-1]) if len(times_s) else 0.0,
    )
    every_hole_s = hole_s(times_s)
    for i, face in enumerate(faces):
        statistics = face.figures
        own_scores = scores[scores["face_id"] == statistics.face_id]
        own_events = events[events["face_id"] == statistics.face_id]
        charts.add_scores(f"scores-{i}", labels, own_scores, own_events, statistics, every_hole_s)
        if face.shown:
            charts.add_macro(
                f"macro-{i}", macro, labels, own_scores, own_events, statistics, every_hole_s
            )
    if faces:
        charts.add_overview("overview", labels, scores, events)
    for i, face in enumerate(faces):
        if conditions is not None and face.warned is not None:
            own = conditions[conditions["face_id"] == face.figures.face_id]
            charts.add_conditions(f"conditions-{i}", own)
    if len(times_s) > 1:
        charts.add_gaps("gaps", times_s, _model_hz(metadata))
    return charts


def _subtitle(metadata: Mapping[str, Any], seen: Presence) -> str:
    started = metadata.get("started")
    parts = [
        _date(started) if started else "",
        duration(metadata.get("duration_s", seen.total_s)),
        "live" if metadata.get("source", {}).get("live") else "",
        counted(metadata.get("frames", 0), "frame"),
        metadata.get("status", ""),
    ]
    return " · ".join(filter(None, parts))


def _date(stamp: str) -> str:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{moment.day} {moment:%B %Y, %H:%M %Z}".strip()


def _status(metadata: Mapping[str, Any]) -> _Status | None:
    """Return the notice about a session that did not end in order; None if it did."""
    updated = metadata.get("updated")
    until = f" The numbers are as of {_date(updated)}." if updated else ""
    title, meaning = {
        "recording": (
            "This session is still being recorded, or its recorder was killed.",
            f"Tables and numbers may end before the recording does.{until}",
        ),
        "failed": (
            "This session ended with an error.",
            "What was recorded until then is whole and counted here; what came after is missing.",
        ),
        "recovered": (
            "This session was cut off and has been recovered.",
            "Its recorder was killed, or the power failed. About the last second is missing, so "
            "may be clips, and counts of dropped frames may be too low.",
        ),
    }.get(metadata.get("status", ""), ("", ""))
    return _Status(title, meaning, metadata.get("error")) if title else None


def _tiles(
    metadata: Mapping[str, Any], events: pd.DataFrame, seen: Presence
) -> list[tuple[str, str, str]]:
    rate = metadata.get("frame_rate") or {}
    drops = metadata.get("drops", {})
    share = _shares(seen)["with_face"]
    per_face = per_minute(len(events), seen.with_face_s)
    return [
        ("Events", f"{len(events):,}", "spotted micro-expressions"),
        (
            "Events a minute",
            number(per_face, 1),
            f"of time with a face; {number(per_minute(len(events), seen.total_s), 1)} of all time",
        ),
        (
            "Time with a face",
            percent(share, 0),
            f"{duration(seen.with_face_s)} of {duration(seen.total_s)}",
        ),
        ("Frame rate", number(rate.get("median_hz"), 1), "frames a second at the median"),
        (
            "Left out",
            f"{sum(drops.values()):,}",
            ", ".join(f"{count:,} {cause}" for cause, count in drops.items()) or "nothing",
        ),
    ]


def _shares(seen: Presence) -> dict[str, float | None]:
    def share(part_s: float) -> float | None:
        return part_s / seen.total_s if seen.total_s > 0 else None

    return {
        "with_face": share(seen.with_face_s),
        "without_face": share(seen.without_face_s),
        "unseen": share(seen.unseen_s),
    }


def _warned(conditions: pd.DataFrame | None, face: FaceStatistics) -> list[Warned] | None:
    if conditions is None:
        return None
    own = conditions[conditions["face_id"] == face.face_id]
    return condition_shares(own) if len(own) else None


def _condition_warnings(faces: Sequence[_Face]) -> list[str]:
    texts = []
    for face in faces:
        found = [
            f"{warned.name} in {percent(warned.share, 0)} of its frames ({warned.bound})"
            for warned in face.warned or ()
            if warned.share >= WARNED_SHARE
        ]
        if found:
            whose = "The face" if len(faces) == 1 else f"Face {face.figures.face_id}"
            texts.append(f"{whose}: {'; '.join(found)}. Read the scores of such moments with care.")
    return texts


def _model_hz(metadata: Mapping[str, Any]) -> float | None:
    """Return the slots a second of the model's clock; None if the session does not state them."""
    rate_hz = metadata.get("model", {}).get("rate_hz")
    return float(rate_hz) if rate_hz else None


def _frame_lines(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    rate = metadata.get("frame_rate") or {}
    model_hz = _model_hz(metadata)
    nominal_hz = metadata.get("source", {}).get("rate_hz")
    lines = [
        ("frames", f"{metadata.get('frames', 0):,}"),
        ("frames in the video", f"{metadata.get('video_frames', 0):,}"),
        ("rate at the median", _with_unit(rate.get("median_hz"), 2, "a second")),
        ("rate that the source states", _with_unit(nominal_hz, 2, "a second")),
        ("rate of the model's clock", _with_unit(model_hz, 2, "a second")),
    ]
    for name, key in (
        ("shortest twentieth of gaps, up to", "gap_p5_s"),
        ("gap at the median", "gap_median_s"),
        ("longest twentieth of gaps, from", "gap_p95_s"),
        ("longest gap", "gap_max_s"),
    ):
        gap_s = rate.get(key)
        lines.append((name, NOTHING if gap_s is None else f"{1000 * gap_s:,.1f} ms"))
    return lines


def _with_unit(value: float | None, digits: int, unit: str) -> str:
    return NOTHING if value is None else f"{number(value, digits)} {unit}"


def _frame_warnings(metadata: Mapping[str, Any]) -> list[str]:
    rate = metadata.get("frame_rate") or {}
    median_hz, model_hz = rate.get("median_hz"), _model_hz(metadata)
    texts = []
    if median_hz and model_hz and median_hz < TOO_SLOW * model_hz:
        texts.append(
            f"The source gave {median_hz:.1f} frames a second, the model wants {model_hz:g}: most "
            "of what it saw was interpolated, and short expressions may have been missed."
        )
    usual_s, long_s = rate.get("gap_median_s"), rate.get("gap_p95_s")
    if usual_s is not None and long_s is not None and long_s > STEADY * usual_s:
        texts.append(
            f"The frames did not come steadily: one gap in twenty is longer than "
            f"{1000 * long_s:.0f} ms, the usual one is {1000 * usual_s:.0f} ms."
        )
    lost = lost_frames(metadata.get("drops", {}))
    frames = metadata.get("frames") or 0
    if sum(lost.values()) > MANY_LOST * frames:
        texts.append(
            f"{losses_text(lost, frames)}: an expression may lie in what is missing, and scores "
            "beside it compare faces that are further apart."
        )
    return texts


def _change_lines(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List later changes of the sensitivity, each with the time from which it holds."""
    changes = metadata.get("sensitivity_changes") or []
    return [
        line
        for change in changes
        for line in lines_of(
            {key: value for key, value in change.items() if key != "from_s"},
            f"from {number(change.get('from_s'))} s",
        )
    ]


def _calibration_lines(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the calibrated rest of each face."""
    calibration = metadata.get("calibration") or {}
    return lines_of(
        {f"face {key}" if key.isdigit() else key: value for key, value in calibration.items()}
    )


class _MacroTable:
    """Scores of macro-expressions by face. `labels`: of those that were scored; may be empty."""

    def __init__(self, scores: pd.DataFrame, labels: Sequence[str], times_s: Float64Array) -> None:
        self.labels = labels
        self._chips = list(chips(labels).values())
        self._times_s = times_s
        self._hole_s = hole_s(times_s)
        columns = [MACRO_PREFIX + label for label in labels]
        scored = scores.dropna(subset=columns) if labels else scores[:0]
        self._of_face = {
            face_id: (own["timestamp"].to_numpy(np.float64), own[columns].to_numpy(np.float64))
            for face_id, own in scored.groupby("face_id")
        }

    def over_all(self, face_id: int) -> list[_Shown]:
        """Return a face's mean for each label; an empty list where it has no scores.

        A frame lasts until the next frame, unless there is a hole between them.
        """
        if face_id not in self._of_face:
            return []
        own_s, values = self._of_face[face_id]
        gaps_s = np.diff(self._times_s, append=self._times_s[-1])
        gaps_s[-1] = np.median(gaps_s)
        held_s = np.clip(gaps_s[np.searchsorted(self._times_s, own_s)], ROUNDING_S, self._hole_s)
        means = np.average(values, axis=0, weights=held_s)
        shares = np.bincount(values.argmax(axis=1), held_s, len(self.labels)) / held_s.sum()
        return [
            _Shown(chip, float(mean), float(share))
            for chip, mean, share in zip(self._chips, means, shares, strict=True)
        ]

    def at(self, face_id: int, t_s: float) -> _Shown | None:
        """Return the highest macro-expression of a face at one moment; None if not known."""
        if face_id not in self._of_face:
            return None
        own_s, values = self._of_face[face_id]
        nearest = int(np.abs(own_s - t_s).argmin())
        if abs(own_s[nearest] - t_s) > self._hole_s:
            return None
        highest = int(values[nearest].argmax())
        return _Shown(self._chips[highest], float(values[nearest, highest]))


def _event_rows(
    folder: Path,
    events: pd.DataFrame,
    labels: Sequence[str],
    macro_scores: _MacroTable,
    metadata: Mapping[str, Any],
) -> list[_Event]:
    chip_of = chips([*labels, *sorted(set(map(str, events["label"])) - set(labels))])
    media = Media(folder / CLIPS_FOLDER)
    for event_id in events.sort_values("score", ascending=False)["event_id"]:
        media.take(int(event_id))
    why = why_no_media(metadata)
    rows = []
    for event in events.to_dict("records"):
        event_id, label = int(event["event_id"]), str(event["label"])
        clip, stills = media.clips.get(event_id), media.stills.get(event_id)
        rows.append(
            _Event(
                event_id=event_id,
                face_id=int(event["face_id"]),
                label=label,
                chip=chip_of[label],
                score=event["score"],
                onset_s=event["onset_s"],
                apex_s=event["apex_s"],
                offset_s=event["offset_s"],
                duration_s=event["duration_s"],
                shown=macro_scores.at(int(event["face_id"]), event["apex_s"]),
                clip=clip,
                why_no_clip="" if clip else media.clips_left_out.get(event_id, why),
                stills=stills,
                why_no_stills="" if stills else media.stills_left_out.get(event_id, why),
            )
        )
    return rows


def _media_note(rows: Sequence[_Event]) -> str:
    """Return the reason why no event has a clip or stills, for above the table, if all share it."""
    reasons = {row.why_no_clip for row in rows if not row.clip}
    if len(reasons) == 1 and not any(row.clip or row.stills for row in rows):
        return f"Clips and stills: {reasons.pop()}"
    return ""
