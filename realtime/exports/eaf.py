"""Events as annotations for ELAN (Max Planck Institute for Psycholinguistics), which people who
code videos use: the ELAN Annotation Format, version 3.0.

A face has these tiers:

    face 0          an annotation for each event: its label
    face 0 phases   each event in two parts: `onset-apex` and `apex-offset`
    face 0 score    each event's score
    face 0 state    when the face could not be judged, or showed an expression too long to be a
                    micro-expression: `warming up`, `macro`

The tier `no face` has an annotation wherever no face was found. Phases share the time slots of
their event, and score and phases depend on it, so that they move with it in ELAN. Labels, phases
and states are controlled vocabularies.

The document is written here and not by pympi, whose annotations can neither share time slots
nor refer to a vocabulary, and whose dates are not valid in time zones that are no whole hours.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pandas as pd

from realtime.exports.media_time import MediaEvent, first_frame_s, media_events
from realtime.session.reader import Session
from realtime.types import NO_FACE

VERSION = "3.0"

SCHEMA_ATTRIBUTE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
SCHEMA = f"http://www.mpi.nl/tools/elan/EAFv{VERSION}.xsd"

PHASES = ("onset-apex", "apex-offset")

STATES = ("warming up", "macro")
"""States of a face that show where to look again; the others follow from the events."""

UNKNOWN_DATE = "1970-01-01T00:00:00+00:00"
"""Date, which ELAN requires, for a session that states none. It is not the date of the export, so
that the same session gives the same document every time."""

LANGUAGE = {
    "LANG_ID": "und",
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_LABEL": "undetermined (und)",
}
"""ELAN's own entry for a vocabulary without a language; each entry must have a language."""

_TYPES = {
    # name: constraint, vocabulary
    "expression": (None, "labels"),
    "phase": ("Time_Subdivision", "phases"),
    "score": ("Symbolic_Association", None),
    "state": (None, "states"),
}
"""ELAN's linguistic types: properties that all tiers of a kind share."""

_CONSTRAINTS = {
    "Time_Subdivision": "The annotations divide the one that they depend on, without gaps.",
    "Symbolic_Association": "One annotation for each annotation that it depends on.",
}
"""Descriptions of ELAN's constraints, which readers of the format require."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold in any way."""

Run = tuple[int, int, str]
"""Start and end in milliseconds of media time, and a value."""


def elan_document(session: Session, videos: Sequence[str]) -> bytes:
    """Return the .eaf file of a session. `videos`: names of the videos beside the file."""
    labels = [*session.facts.get("labels", ()), *session.events["label"]]
    model = session.facts.get("model", {})
    document = _Document(
        author=f"Kilas, model {model.get('name', '?')} {model.get('version', '?')}",
        vocabularies={
            "labels": list(dict.fromkeys(_clean(str(label)) for label in labels)),
            "phases": PHASES,
            "states": (*STATES, NO_FACE),
        },
    )
    events: dict[int, list[MediaEvent]] = defaultdict(list)
    for event in media_events(session):
        events[event.face_id].append(event)
    runs = _state_runs(session)
    seen = session.scores["face_id"].dropna().unique()
    for face_id in sorted({*map(int, seen), *events}):
        face = f"face {face_id}"
        document.add_tier(face, "expression", face)
        document.add_tier(f"{face} phases", "phase", face, parent=face)
        document.add_tier(f"{face} score", "score", face, parent=face)
        document.add_tier(f"{face} state", "state", face)
        for event in events[face_id]:
            document.add_event(face, event)
        document.add_runs(f"{face} state", runs.get(face_id, ()))
    document.add_tier(NO_FACE, "state")
    document.add_runs(NO_FACE, runs.get(None, ()))
    return document.to_bytes(_date(session.facts.get("updated")), videos)


def _date(stamp: str | None) -> str:
    """Format a moment as ISO 8601 with milliseconds; UNKNOWN_DATE if it is no such moment."""
    try:
        return datetime.fromisoformat(stamp or "").isoformat(timespec="milliseconds")
    except ValueError:
        return UNKNOWN_DATE


def _state_runs(session: Session) -> dict[int | None, list[Run]]:
    """Return the runs of each face in one of `STATES`, and, under None, the runs without a face.

    In the order of time. A run lasts to the frame after it, the last frame as long as the frame
    before it.
    """
    scores = session.scores
    frame_of_row, frames = pd.factorize(scores["frame"])
    if len(frames) < 2:
        return {}
    times_s = scores["timestamp"].to_numpy(float)[np.unique(frame_of_row, return_index=True)[1]]
    edges_s = np.append(times_s, 2 * times_s[-1] - times_s[-2]) - first_frame_s(session)
    edges_ms = np.maximum(0, np.rint(edges_s * 1000)).astype(int)

    is_nobody = scores["face_id"].isna()
    is_exported = scores["state"].isin(STATES) & ~is_nobody
    is_exported |= scores["state"].eq(NO_FACE) & is_nobody
    exported = scores.assign(frame=frame_of_row)[is_exported]
    by_face: Iterable[tuple[Any, pd.DataFrame]] = exported.groupby("face_id", dropna=False)
    return {
        None if pd.isna(face_id) else int(face_id): list(
            _runs(rows["frame"].to_numpy(int), rows["state"].to_numpy(object), edges_ms)
        )
        for face_id, rows in by_face
    }


def _runs(
    frame: npt.NDArray[np.int_], state: npt.NDArray[np.object_], edges_ms: npt.NDArray[np.int_]
) -> Iterator[Run]:
    """Join neighbouring frames [N] of the same state [N] to runs.

    `edges_ms`: the frames' beginnings, and the end of the last.
    """
    is_new = np.ones(len(frame), bool)
    is_new[1:] = (np.diff(frame) != 1) | (state[1:] != state[:-1])
    is_last = np.roll(is_new, -1)  # a run ends before the next one, and with the last row
    for first, last in zip(np.flatnonzero(is_new), np.flatnonzero(is_last), strict=True):
        start_ms, end_ms = int(edges_ms[frame[first]]), int(edges_ms[frame[last] + 1])
        if start_ms < end_ms:
            yield start_ms, end_ms, str(state[first])


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


class _Document:
    """Builder of an ELAN document.

    ELAN's files name points in time, and annotations refer to them. Here an annotation has its
    own points until the end, because the file lists all of them in the order of time.
    """

    def __init__(self, author: str, vocabularies: dict[str, Sequence[str]]) -> None:
        self._author = _clean(author)
        self._vocabularies = vocabularies
        self._entries = {
            name: {value: f"{name}-{number}" for number, value in enumerate(values)}
            for name, values in vocabularies.items()
        }
        self._tiers: dict[str, ElementTree.Element] = {}
        self._annotations = 0
        self._slots: list[tuple[int, list[tuple[ElementTree.Element, str]]]] = []

    def add_tier(
        self, name: str, kind: str, participant: str | None = None, parent: str | None = None
    ) -> None:
        """Add an empty tier.

        `kind`: one of the types. `participant`: name of the face. `parent`: the tier that it
        depends on.
        """
        attributes = {
            "TIER_ID": name,
            "PARTICIPANT": participant,
            "ANNOTATOR": self._author,
            "LINGUISTIC_TYPE_REF": kind,
            "PARENT_REF": parent,
        }
        self._tiers[name] = ElementTree.Element("TIER", _stated(attributes))

    def add_event(self, face: str, event: MediaEvent) -> None:
        """Add an event to the tier `face`, with its phases and score."""
        whole = self._add(face, "ALIGNABLE_ANNOTATION", _clean(event.label))
        phases = [self._add(f"{face} phases", "ALIGNABLE_ANNOTATION", phase) for phase in PHASES]
        self._slots += [
            (event.onset_ms, [(whole, "TIME_SLOT_REF1"), (phases[0], "TIME_SLOT_REF1")]),
            (event.apex_ms, [(phases[0], "TIME_SLOT_REF2"), (phases[1], "TIME_SLOT_REF1")]),
            (event.offset_ms, [(whole, "TIME_SLOT_REF2"), (phases[1], "TIME_SLOT_REF2")]),
        ]
        self._add(f"{face} score", "REF_ANNOTATION", f"{event.score:.6f}").set(
            "ANNOTATION_REF", whole.attrib["ANNOTATION_ID"]
        )

    def add_runs(self, tier: str, runs: Iterable[Run]) -> None:
        """Add an annotation for each run."""
        for start_ms, end_ms, value in runs:
            annotation = self._add(tier, "ALIGNABLE_ANNOTATION", value)
            self._slots.append((start_ms, [(annotation, "TIME_SLOT_REF1")]))
            self._slots.append((end_ms, [(annotation, "TIME_SLOT_REF2")]))

    def _add(self, tier: str, tag: str, value: str) -> ElementTree.Element:
        self._annotations += 1
        attributes = {"ANNOTATION_ID": f"a{self._annotations}"}
        _, vocabulary = _TYPES[self._tiers[tier].attrib["LINGUISTIC_TYPE_REF"]]
        if vocabulary is not None:
            attributes["CVE_REF"] = self._entries[vocabulary][value]
        outer = ElementTree.SubElement(self._tiers[tier], "ANNOTATION")
        annotation = ElementTree.SubElement(outer, tag, attributes)
        ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = value
        return annotation

    def to_bytes(self, date: str, videos: Sequence[str]) -> bytes:
        """Write the document as XML.

        `date`: ISO 8601, with the time zone. `videos`: names of the videos beside the file.
        """
        root = ElementTree.Element(
            "ANNOTATION_DOCUMENT",
            {
                "AUTHOR": self._author,
                "DATE": date,
                "FORMAT": VERSION,
                "VERSION": VERSION,
                SCHEMA_ATTRIBUTE: SCHEMA,
            },
        )
        header = ElementTree.SubElement(root, "HEADER", {"TIME_UNITS": "milliseconds"})
        for video in videos:
            # Relative, so that the folder can be moved and shows no user's name.
            url = f"./{video}"
            ElementTree.SubElement(
                header,
                "MEDIA_DESCRIPTOR",
                {"MEDIA_URL": url, "RELATIVE_MEDIA_URL": url, "MIME_TYPE": "video/mp4"},
            )
        # ELAN goes on counting from here.
        last_id = ElementTree.SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"})
        last_id.text = str(self._annotations)

        time_order = ElementTree.SubElement(root, "TIME_ORDER")
        in_order = sorted(self._slots, key=lambda slot: slot[0])
        for number, (t_ms, references) in enumerate(in_order, start=1):
            slot = {"TIME_SLOT_ID": f"ts{number}", "TIME_VALUE": str(t_ms)}
            ElementTree.SubElement(time_order, "TIME_SLOT", slot)
            for annotation, attribute in references:
                annotation.set(attribute, slot["TIME_SLOT_ID"])

        root.extend(self._tiers.values())
        root.extend(_types())
        ElementTree.SubElement(root, "LANGUAGE", LANGUAGE)
        for name, meaning in _CONSTRAINTS.items():
            constraint = {"STEREOTYPE": name, "DESCRIPTION": meaning}
            ElementTree.SubElement(root, "CONSTRAINT", constraint)
        for name, values in self._vocabularies.items():
            vocabulary = ElementTree.SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": name})
            for value in values:
                entry = ElementTree.SubElement(
                    vocabulary, "CV_ENTRY_ML", {"CVE_ID": self._entries[name][value]}
                )
                ElementTree.SubElement(
                    entry, "CVE_VALUE", {"LANG_REF": LANGUAGE["LANG_ID"]}
                ).text = value
        ElementTree.indent(root)
        content: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
        return content


def _types() -> Iterator[ElementTree.Element]:
    for name, (constraint, vocabulary) in _TYPES.items():
        attributes = {
            "LINGUISTIC_TYPE_ID": name,
            "TIME_ALIGNABLE": str(constraint != "Symbolic_Association").lower(),
            "GRAPHIC_REFERENCES": "false",
            "CONSTRAINTS": constraint,
            "CONTROLLED_VOCABULARY_REF": vocabulary,
        }
        yield ElementTree.Element("LINGUISTIC_TYPE", _stated(attributes))


def _stated(attributes: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value is not None}
