"""A session in the formats of other programs."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from realtime.errors import RecordingError
from realtime.exports import FORMATS, export_session, has_annotations
from realtime.session.layout import EVENT_HEADER
from realtime.session.reader import load_session

LABELS = ("none", "happiness", "surprise")
HARD_LABEL = 'a "quoted" <b>&amp; --> \n\n désolé, 驚き\x01'
"""Text that a subtitle, an XML file or a table could stumble over."""

SCORE_HEADER = ("frame", "timestamp", "face_id", "success", "confidence", *LABELS, "state")
EVENT = (1, 0, 11.0, 11.1, 11.3, 0.3, "surprise", 0.876543)

Row = Sequence[object]


def score_row(frame: int, face_id: int | None = 0, state: str = "neutral") -> Row:
    """One row of scores.csv; frames are 1/10 s apart, the first at 10 s."""
    t_s = f"{10 + frame / 10:.6f}"
    if face_id is None:
        return (frame, t_s, "", 0, *[""] * (1 + len(LABELS)), "no face")
    return (frame, t_s, face_id, 1, "0.700001", "0.200000", "0.099999", "0.700001", state)


QUIET = [score_row(frame) for frame in range(30)]


def session_folder(
    folder: Path,
    scores: Sequence[Row] = QUIET,
    events: Sequence[Row] = (EVENT,),
    **facts: Any,
) -> Path:
    folder.mkdir()
    for name, header, rows in (
        ("scores.csv", SCORE_HEADER, scores),
        ("events.csv", EVENT_HEADER, events),
    ):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    about = {
        "status": "complete",
        "updated": "2026-03-01T14:05:09.123+05:30",
        "model": {"name": "test", "version": "1"},
        "labels": list(LABELS),
        "frames": len({row[0] for row in scores}),
        "duration_s": len(scores) / 10,
        "first_frame_s": 10.0,
        **facts,
    }
    (folder / "session.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


# --- all formats


def test_each_format_writes_its_files_and_names_them(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    before = set(os.listdir(folder))

    written = export_session(folder, ("eaf", "vtt", "jsonl", "parquet"))

    assert [path.name for path in written] == [
        "scores.parquet",
        "events.parquet",
        "scores.jsonl",
        "events.jsonl",
        "events.vtt",
        "events.eaf",
    ]
    assert set(os.listdir(folder)) - before == {path.name for path in written}
    assert export_session(folder, ["vtt"]) == [folder / "events.vtt"]
    assert export_session(folder, []) == []


def test_a_second_export_replaces_the_first_and_is_the_same(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    first = {path: path.read_bytes() for path in export_session(folder, FORMATS)}
    for path in first:
        if path.name != "events.eaf":
            path.write_bytes(b"old")

    assert {path: path.read_bytes() for path in export_session(folder, FORMATS)} == first


def test_what_people_have_annotated_is_never_replaced(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    export_session(folder, FORMATS)
    assert not has_annotations(folder)
    eaf, vtt = folder / "events.eaf", folder / "events.vtt"
    mine = eaf.read_bytes().replace(b"surprise", b"my own word")
    eaf.write_bytes(mine)
    vtt.write_bytes(b"old")

    assert has_annotations(folder)
    with pytest.raises(RecordingError, match=r"events\.eaf was changed by somebody.*rename it"):
        export_session(folder, FORMATS)
    assert eaf.read_bytes() == mine
    assert vtt.read_bytes() == b"old"  # nothing was written before
    export_session(folder, ["vtt"])
    assert vtt.read_bytes().startswith(b"WEBVTT")

    eaf.rename(folder / "mine.eaf")
    export_session(folder, ["eaf"])
    assert not has_annotations(folder)
    (folder / "session.json").write_text("lost")
    assert has_annotations(folder)  # for all that is known


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    with pytest.raises(ValueError, match="unknown format xlsx; known are parquet, jsonl, vtt, eaf"):
        export_session(folder, ("vtt", "xlsx"))
    assert not (folder / "events.vtt").exists()


def test_a_folder_without_a_session_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read as a session"):
        export_session(tmp_path, FORMATS)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = session_folder(tmp_path / "s")
    export_session(folder, ["vtt"])
    good = (folder / "events.vtt").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match=r"events\.vtt cannot be written \(No space left"):
        export_session(folder, ["vtt"])
    assert (folder / "events.vtt").read_bytes() == good
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize(
    "scores", [(), tuple(score_row(frame, None) for frame in range(5))], ids=["empty", "no face"]
)
def test_sessions_in_which_nothing_happened(tmp_path: Path, scores: Sequence[Row]) -> None:
    folder = session_folder(tmp_path / "s", scores, (), first_frame_s=None)
    export_session(folder, FORMATS)

    assert len(pd.read_parquet(folder / "scores.parquet", use_threads=False)) == len(scores)
    assert (folder / "events.jsonl").read_text() == ""
    assert (folder / "events.vtt").read_text().strip() == "WEBVTT"
    runs = [(0, 500, "no face")] if scores else []
    assert tiers_of(folder) == {"no face": runs}


def test_long_sessions_are_exported(tmp_path: Path) -> None:
    scores = [
        score_row(frame, frame // 50 % 2, "macro" if frame % 50 < 20 else "neutral")
        for frame in range(100_000)
    ]
    events = [(i + 1, i % 2, 10 + i, 10.1 + i, 10.3 + i, 0.3, "surprise", 0.9) for i in range(2000)]
    folder = session_folder(tmp_path / "s", scores, events)

    export_session(folder, FORMATS)

    assert len(pd.read_parquet(folder / "scores.parquet", use_threads=False)) == 100_000
    assert (folder / "scores.jsonl").read_text().count("\n") == 100_000
    assert len(tiers_of(folder)["face 1"]) == 1000


# --- tables


def test_parquet_gives_pandas_what_the_csv_files_say(tmp_path: Path) -> None:
    scores = [score_row(0), score_row(1, None), score_row(2, 1, "expression")]
    folder = session_folder(tmp_path / "s", scores)
    export_session(folder, ["parquet"])
    session = load_session(folder)

    for name, table in (("scores", session.scores), ("events", session.events)):
        read = pd.read_parquet(folder / f"{name}.parquet", use_threads=False)
        pd.testing.assert_frame_equal(read, table.astype(read.dtypes.to_dict()), check_exact=True)

    types = (
        pd.read_parquet(folder / "scores.parquet", use_threads=False).dtypes.astype(str).to_dict()
    )
    assert types["frame"] == "int64"
    assert types["face_id"] == "Int64"
    assert types["success"] == "bool"
    assert types["timestamp"] == types["confidence"] == types["surprise"] == "float64"
    assert types["state"] == "str"
    assert pd.read_parquet(folder / "events.parquet", use_threads=False).dtypes.astype(
        str
    ).to_dict() == {
        "event_id": "int64",
        "face_id": "Int64",
        **dict.fromkeys(("onset_s", "apex_s", "offset_s", "duration_s"), "float64"),
        "label": "str",
        "score": "float64",
    }


def test_columns_without_a_value_keep_their_type(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s", [score_row(0, None)], ())
    export_session(folder, ["parquet"])

    scores = pd.read_parquet(folder / "scores.parquet", use_threads=False)
    assert scores["face_id"].dtype == "Int64"
    assert scores["surprise"].dtype == "float64"
    assert (
        pd.read_parquet(folder / "events.parquet", use_threads=False)["onset_s"].dtype == "float64"
    )


def test_parquet_files_carry_the_session(tmp_path: Path) -> None:
    from pyarrow import parquet

    folder = session_folder(tmp_path / "s", note="désolé")
    export_session(folder, ["parquet"])

    for name in ("scores", "events"):
        metadata = parquet.read_schema(folder / f"{name}.parquet").metadata
        assert json.loads(metadata[b"kilas"]) == load_session(folder).facts


def test_json_lines_have_the_keys_and_the_precision_of_the_csv_files(tmp_path: Path) -> None:
    label = HARD_LABEL.replace("\x01", "\N{LINE SEPARATOR}")
    events = [(1, 0, "3600.123457", "3600.2", "3600.3", "0.176543", label, "0.876543")]
    folder = session_folder(tmp_path / "s", [score_row(0), score_row(1, None)], events)
    export_session(folder, ["jsonl"])

    face, nobody = map(json.loads, (folder / "scores.jsonl").read_text().splitlines())
    assert tuple(face) == SCORE_HEADER
    assert face == {
        "frame": 0,
        "timestamp": 10.0,
        "face_id": 0,
        "success": True,
        "confidence": 0.700001,
        "none": 0.2,
        "happiness": 0.099999,
        "surprise": 0.700001,
        "state": "neutral",
    }
    assert nobody["face_id"] is nobody["confidence"] is nobody["surprise"] is None
    assert nobody["success"] is False
    (event,) = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    assert tuple(event) == EVENT_HEADER
    assert event["label"] == label
    assert event["onset_s"] == 3600.123457
    assert event["score"] == 0.876543


# --- subtitles


def test_cues_are_in_media_time(tmp_path: Path) -> None:
    late = (2, 0, 3671.5, 3671.6, 3671.75, 0.25, "happiness", 0.5)
    folder = session_folder(tmp_path / "s", events=[late, EVENT])
    export_session(folder, ["vtt"])

    assert (folder / "events.vtt").read_text() == (
        "WEBVTT\n\n"
        "event-0001\n00:00:01.000 --> 00:00:01.300\nsurprise 0.88, 300 ms\n\n"
        "event-0002\n01:01:01.500 --> 01:01:01.750\nhappiness 0.50, 250 ms\n"
    )


def test_sessions_of_older_versions_begin_with_their_first_row(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s", first_frame_s=None)
    export_session(folder, ["vtt", "eaf"])
    assert "00:00:01.000 --> 00:00:01.300" in (folder / "events.vtt").read_text()
    assert tiers_of(folder)["face 0"] == [(1000, 1300, "surprise")]


def test_cues_name_the_face_where_there_are_several(tmp_path: Path) -> None:
    other = (2, 7, *EVENT[2:])
    folder = session_folder(tmp_path / "s", events=[EVENT, other])
    export_session(folder, ["vtt"])
    text = (folder / "events.vtt").read_text()
    assert "face 0: surprise 0.88" in text
    assert "face 7: surprise 0.88" in text


def test_no_label_breaks_the_subtitles(tmp_path: Path) -> None:
    webvtt = pytest.importorskip("webvtt")
    folder = session_folder(tmp_path / "s", events=[(*EVENT[:6], HARD_LABEL, 0.9), EVENT])
    export_session(folder, ["vtt"])

    captions = webvtt.WebVTT.read(str(folder / "events.vtt"), strict=True)
    assert len(captions) == 2
    assert "&lt;b&gt;&amp;amp; --&gt; désolé, 驚き" in captions[0].raw_text


# --- ELAN

Annotation = tuple[int, int, str]


def elan(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "events.eaf").getroot()


def tiers_of(folder: Path) -> dict[str, list[Annotation]]:
    """Annotations of each tier that has some or stands by itself: (start, end, value);
    an annotation that depends on another has its times."""
    root = elan(folder)
    slots = {
        slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"])
        for slot in root.iter("TIME_SLOT")
    }
    by_id: dict[str, Annotation] = {}
    tiers: dict[str, list[Annotation]] = {}
    for tier in root.iter("TIER"):
        tiers[tier.attrib["TIER_ID"]] = of_tier = []
        for annotation in (outer[0] for outer in tier):
            value = annotation.findtext("ANNOTATION_VALUE") or ""
            if annotation.tag == "REF_ANNOTATION":
                start_ms, end_ms, _ = by_id[annotation.attrib["ANNOTATION_REF"]]
            else:
                start_ms = slots[annotation.attrib["TIME_SLOT_REF1"]]
                end_ms = slots[annotation.attrib["TIME_SLOT_REF2"]]
            by_id[annotation.attrib["ANNOTATION_ID"]] = (start_ms, end_ms, value)
            of_tier.append((start_ms, end_ms, value))
    return tiers


def test_a_face_has_tiers_for_events_phases_scores_and_states(tmp_path: Path) -> None:
    states = ["warming up"] * 3 + ["neutral"] * 6 + ["macro"] * 4 + ["neutral"] * 2
    scores: list[Row] = [score_row(frame, 0, state) for frame, state in enumerate(states)]
    scores += [score_row(frame, None) for frame in (15, 16, 20)]
    scores += [score_row(frame, 3, "macro") for frame in (17, 18, 19, 21)]
    scores.sort(key=lambda row: row[0])  # type: ignore[arg-type, return-value]
    folder = session_folder(tmp_path / "s", scores)
    export_session(folder, ["eaf"])

    assert tiers_of(folder) == {
        "face 0": [(1000, 1300, "surprise")],
        "face 0 phases": [(1000, 1100, "onset-apex"), (1100, 1300, "apex-offset")],
        "face 0 score": [(1000, 1300, "0.876543")],
        "face 0 state": [(0, 300, "warming up"), (900, 1300, "macro")],
        "face 3": [],
        "face 3 phases": [],
        "face 3 score": [],
        "face 3 state": [(1700, 2000, "macro"), (2100, 2200, "macro")],
        "no face": [(1500, 1700, "no face"), (2000, 2100, "no face")],
    }


def test_phases_share_their_points_in_time_with_the_event(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    export_session(folder, ["eaf"])

    event, rise, fall = elan(folder).iter("ALIGNABLE_ANNOTATION")
    assert rise.attrib["TIME_SLOT_REF1"] == event.attrib["TIME_SLOT_REF1"]
    assert rise.attrib["TIME_SLOT_REF2"] == fall.attrib["TIME_SLOT_REF1"]
    assert fall.attrib["TIME_SLOT_REF2"] == event.attrib["TIME_SLOT_REF2"]


def test_videos_that_are_there_are_linked_beside_the_file(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s")
    export_session(folder, ["eaf"])
    assert elan(folder).find(".//MEDIA_DESCRIPTOR") is None
    (folder / "events.eaf").unlink()

    (folder / "video.mp4").touch()
    (folder / "clean.mp4").touch()
    export_session(folder, ["eaf"])
    linked = list(elan(folder).iter("MEDIA_DESCRIPTOR"))
    assert [one.attrib["RELATIVE_MEDIA_URL"] for one in linked] == ["./clean.mp4", "./video.mp4"]
    assert str(tmp_path) not in (folder / "events.eaf").read_text()


HARD_EVENTS = (
    (1, 0, 9.9, 10.05, 10.2, 0.3, HARD_LABEL, 0.9),  # began before the first frame
    (2, 0, 9.8, 9.85, 9.9, 0.1, "surprise", 0.9),  # and ended before it
    (3, 0, 11.0, 11.0, 11.0, 0.0, "surprise", 0.9),  # no time at all
    (4, 0, 11.0, 11.1, 11.2, 0.2, "surprise", 0.9),  # over the one before
    (5, 1, 11.1, 11.1, 11.3, 0.2, "happiness", 0.9),  # apex at the onset
    (6, 1, 12.0, 12.3, 12.3, 0.3, "happiness", 0.9),  # apex at the offset
)


def test_annotations_of_a_tier_neither_overlap_nor_are_empty(tmp_path: Path) -> None:
    folder = session_folder(tmp_path / "s", events=HARD_EVENTS)
    export_session(folder, ["eaf", "vtt"])

    tiers = tiers_of(folder)
    assert len(tiers["face 0"]) == 4
    assert len(tiers["face 1 phases"]) == 4
    for tier in tiers.values():
        edges_ms = [edge for start_ms, end_ms, _ in tier for edge in (start_ms, end_ms)]
        assert edges_ms == sorted(edges_ms)
        assert all(0 <= start_ms < end_ms for start_ms, end_ms, _ in tier)


def test_the_document_holds_together(tmp_path: Path) -> None:
    scores = [score_row(frame, frame % 3 or None, "macro") for frame in range(30)]
    folder = session_folder(tmp_path / "s", scores, HARD_EVENTS)
    (folder / "video.mp4").touch()
    export_session(folder, ["eaf"])
    root = elan(folder)

    assert {"AUTHOR", "DATE", "VERSION", "FORMAT"} <= root.attrib.keys()
    ids = [
        element.attrib[name]
        for element in root.iter()
        for name in ("ANNOTATION_ID", "TIME_SLOT_ID", "LANG_ID", "STEREOTYPE")
        if name in element.attrib
    ]
    assert len(ids) == len(set(ids))
    times_ms = [int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")]
    assert times_ms == sorted(times_ms)
    # What refers, and what it refers to.
    for reference, target in (
        ("TIME_SLOT_REF1", "TIME_SLOT_ID"),
        ("TIME_SLOT_REF2", "TIME_SLOT_ID"),
        ("ANNOTATION_REF", "ANNOTATION_ID"),
        ("PARENT_REF", "TIER_ID"),
        ("LINGUISTIC_TYPE_REF", "LINGUISTIC_TYPE_ID"),
        ("CONSTRAINTS", "STEREOTYPE"),
        ("CONTROLLED_VOCABULARY_REF", "CV_ID"),
        ("CVE_REF", "CVE_ID"),
        ("LANG_REF", "LANG_ID"),
    ):
        targets = {element.attrib[target] for element in root.iter() if target in element.attrib}
        references = {
            element.attrib[reference] for element in root.iter() if reference in element.attrib
        }
        assert references <= targets, reference
        assert references, reference
    values = {
        entry.attrib["CVE_ID"]: entry.findtext("CVE_VALUE") for entry in root.iter("CV_ENTRY_ML")
    }
    for annotation in root.iter("ALIGNABLE_ANNOTATION"):
        assert values[annotation.attrib["CVE_REF"]] == annotation.findtext("ANNOTATION_VALUE")


def test_elan_s_own_schema_accepts_it(tmp_path: Path) -> None:
    """KILAS_EAF_SCHEMA: path of EAFv3.0.xsd or EAFv2.8.xsd."""
    schema = os.environ.get("KILAS_EAF_SCHEMA")
    if not schema:
        pytest.skip("KILAS_EAF_SCHEMA does not name a copy of ELAN's EAFv3.0.xsd")
    etree = pytest.importorskip("lxml.etree")
    scores = [score_row(frame, frame % 3 or None, "macro") for frame in range(30)]
    hard = session_folder(tmp_path / "hard", scores, HARD_EVENTS)
    (hard / "video.mp4").touch()
    for folder in (hard, session_folder(tmp_path / "empty", (), ())):
        export_session(folder, ["eaf"])
        etree.XMLSchema(file=schema).assertValid(etree.parse(str(folder / "events.eaf")))


def test_pympi_reads_it(tmp_path: Path) -> None:
    pympi = pytest.importorskip("pympi")
    folder = session_folder(tmp_path / "s", events=HARD_EVENTS)
    export_session(folder, ["eaf"])

    document = pympi.Eaf(str(folder / "events.eaf"), suppress_version_warning=True)
    for name, tier in tiers_of(folder).items():
        read = document.get_annotation_data_for_tier(name)
        assert sorted(one[:3] for one in read) == sorted(tier), name
