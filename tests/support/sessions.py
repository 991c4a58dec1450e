"""Session folders as the recorder writes them, made up: scores, events, conditions and clips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd

from realtime.session.layout import scores_header

LABELS = ("none", "negative", "positive", "surprise")

MACRO_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

RATE_HZ = 30.0

WARM_FRAMES = 17

CLIP_WH = (160, 160)

CLIP_FRAMES = 20


def write_session(
    folder: Path,
    *,
    seconds: float = 12.0,
    events: int = 3,
    faces: Sequence[int] = (0,),
    away_s: tuple[float, float] | None = None,
    labels: Sequence[str] = LABELS,
    macro: Sequence[str] = (),
    conditions: bool = True,
    clips: bool = True,
    facts: Mapping[str, Any] | None = None,
    seed: int = 1,
) -> Path:
    """A session in which each of `faces` shows `events` micro-expressions of the labels in turn,
    and nobody is there during `away_s`. `macro`: labels of macro-expressions, of which a face
    shows the fourth, and from the middle of its time on the last. `facts` replaces entries of
    session.json; None removes one."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    is_away = np.zeros(len(times_s), bool)
    if away_s is not None:
        is_away = (times_s >= away_s[0]) & (times_s < away_s[1])
    told = pd.concat(
        [_events(rng, face, events, seconds, labels) for face in faces]
        or [_events(rng, 0, 0, seconds, labels)]
    ).sort_values("onset_s", ignore_index=True)
    told.insert(0, "event_id", np.arange(1, len(told) + 1))
    told.to_csv(folder / "events.csv", index=False, float_format="%.6f")
    tables = [_scores(rng, face, times_s, is_away, told, labels) for face in faces]
    tables = [pd.concat([table, _macro(table, macro)], axis=1) for table in tables]
    columns = scores_header(labels, macro)
    nobody = pd.DataFrame({"frame": np.arange(len(times_s)), "timestamp": times_s})
    nobody = nobody[is_away] if faces else nobody
    nobody = nobody.assign(success=0, state="no face")
    scores = pd.concat([*tables, nobody]).reindex(columns=columns).sort_values("frame")
    scores.astype({"face_id": "Int64"}).to_csv(
        folder / "scores.csv", index=False, float_format="%.6f"
    )
    if conditions:
        pd.concat([_conditions(rng, table) for table in tables or [scores[:0]]]).to_csv(
            folder / "conditions.csv", index=False, float_format="%.3f"
        )
    if clips and len(told):
        _write_clips(folder / "clips", len(told))
    stated = _facts(times_s, len(told), labels, macro) | dict(facts or {})
    stated = {key: value for key, value in stated.items() if value is not None}
    (folder / "session.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder


def _events(
    rng: np.random.Generator, face: int, count: int, seconds: float, labels: Sequence[str]
) -> pd.DataFrame:
    starts_s = np.linspace(2.0, max(2.0, seconds - 1.0), count)
    lengths_s = rng.uniform(0.15, 0.5, count)
    shown = [label for label in labels if label != "none"]
    return pd.DataFrame(
        {
            "face_id": face,
            "onset_s": starts_s,
            "apex_s": starts_s + lengths_s / 2,
            "offset_s": starts_s + lengths_s,
            "duration_s": lengths_s,
            "label": [shown[i % len(shown)] for i in range(count)],
            "score": rng.uniform(0.7, 1.0, count),
        }
    )


def _scores(
    rng: np.random.Generator,
    face: int,
    times_s: np.ndarray,
    is_away: np.ndarray,
    events: pd.DataFrame,
    labels: Sequence[str],
) -> pd.DataFrame:
    values = {label: rng.uniform(0.0, 0.05, len(times_s)) for label in labels if label != "none"}
    for event in events[events["face_id"] == face].to_dict("records"):
        bump = np.exp(-(((times_s - event["apex_s"]) / (event["duration_s"] / 3)) ** 2))
        values[event["label"]] = np.maximum(values[event["label"]], 0.95 * bump)
    if "none" in labels:
        values["none"] = 1.0 - np.max(list(values.values()), axis=0)
    table = pd.DataFrame(values)[list(labels)]
    table = table.div(table.sum(axis=1), axis=0)
    table.insert(0, "confidence", table.max(axis=1))
    table[:WARM_FRAMES] = np.nan
    table["state"] = np.where(np.arange(len(times_s)) < WARM_FRAMES, "warming up", "neutral")
    table["frame"], table["timestamp"] = np.arange(len(times_s)), times_s
    table["face_id"], table["success"] = face, 1
    return table[~is_away]


def _macro(rows: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    values = pd.DataFrame(0.05, rows.index, [f"macro_{label}" for label in labels])
    if len(labels):
        middle, highest = len(rows) // 2, 1 - 0.05 * (len(labels) - 1)
        values.iloc[:middle, 3] = values.iloc[middle:, -1] = highest
    return values


def _conditions(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """The head turns slowly, and for the last quarter too far."""
    count = len(rows)
    return rows[["frame", "timestamp", "face_id"]].assign(
        yaw_deg=np.where(np.arange(count) < 0.75 * count, 5.0, 40.0) + rng.normal(0, 0.3, count),
        pitch_deg=rng.normal(0, 0.3, count),
        roll_deg=2.0,
        face_px=180.0,
        brightness=120.0,
        unevenness=0.05,
    )


def _write_clips(folder: Path, count: int) -> None:
    """The same little film and its stills for every event."""
    folder.mkdir()
    first = folder / "event-0001.mp4"
    with av.open(str(first), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height = CLIP_WH
        stream.pix_fmt = "yuv420p"
        for i in range(CLIP_FRAMES):
            image = np.full((*CLIP_WH[::-1], 3), 60, np.uint8)
            cv2.circle(image, (40 + 4 * i, 80), 25, (90, 160, 220), -1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        output.mux(stream.encode(None))
    cv2.imwrite(str(first.with_suffix(".png")), np.hstack([image] * 3))
    for event_id in range(2, count + 1):
        for suffix in (".mp4", ".png"):
            copy = folder / f"event-{event_id:04d}{suffix}"
            copy.write_bytes(first.with_suffix(suffix).read_bytes())


def _facts(
    times_s: np.ndarray, events: int, labels: Sequence[str], macro: Sequence[str]
) -> dict[str, Any]:
    return {
        "status": "complete",
        "started": "2026-03-01T14:05:09.120+01:00",
        "updated": "2026-03-01T14:15:09.120+01:00",
        "versions": {"python": "3.11.7", "kilas": "0.1.0"},
        "model": {
            "name": "kilas",
            "version": "0.2",
            "file": "kilas.onnx",
            "sha256": "50659a0e",
            "rate_hz": 30.0,
            "card": "# kilas.onnx\n\nIt says how much.\n\n## Data\n\nSimulated faces only.\n\n"
            "| a | b |\n|---|---|\n| 1 | 2 |",
        },
        "labels": list(labels),
        "macro": {
            "file": "kilas-macro.onnx",
            "sha256": "77a1",
            "name": "kilas-macro",
            "version": "0.1",
            "labels": list(macro),
            "card": "# kilas-macro.onnx\n\nIt looks at still pictures.",
        }
        if macro
        else None,
        "spotting": {"enter": 0.98, "leave": 0.3},
        "device": "CPU (1 thread)",
        "source": {"name": "talk.mp4", "size_wh": [640, 480], "rate_hz": 30.0, "live": False},
        "calibration": {"0": {"height": 0.04, "from_s": 0.3, "to_s": 2.3}},
        "settings": {"sensitivity": 0.5, "video": True},
        "frames": len(times_s),
        "video_frames": len(times_s),
        "drops": {"late": 3},
        "duration_s": float(times_s[-1] - times_s[0]) if len(times_s) else 0.0,
        "frame_rate": {
            "median_hz": 30.0,
            "gap_p5_s": 0.033,
            "gap_median_s": 0.033,
            "gap_p95_s": 0.034,
            "gap_max_s": 0.1,
        }
        if len(times_s) > 1
        else None,
        "events": events,
    }
