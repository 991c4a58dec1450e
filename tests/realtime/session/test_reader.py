"""A session folder is read as it was written; what is damaged in it is told in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from realtime.errors import RecordingError
from realtime.exports import FORMATS, export_session
from realtime.reports.session_report import write_report
from realtime.session.reader import FACTS_SHAPE, REQUIRED, load_session, read_conditions
from support.sessions import LABELS, write_session

TABLES = ("scores.csv", "events.csv", "conditions.csv")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "session"
    return write_session(folder, seconds=4.0, events=2, clips=False)


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "session"))


def read(folder: Path) -> None:
    """All that programs read of a session."""
    load_session(folder)
    read_conditions(folder)


def refused(folder: Path, name: str) -> str:
    """The sentence about the damaged file `name`."""
    with pytest.raises(RecordingError) as caught:
        read(folder)
    text = str(caught.value)
    assert name in text
    assert str(folder) in text
    assert "\n" not in text
    return text


# Tables


def test_tables_have_their_types(folder: Path) -> None:
    with (folder / "scores.csv").open("a") as file:
        file.write("999,40.0,,0,,,,,,no face\n")
    session = load_session(folder)
    assert session.scores["face_id"].isna().iloc[-1]
    types = session.scores.dtypes.astype(str)
    assert list(types[["frame", "timestamp", "face_id", "success", "state"]]) == [
        "int64",
        "float64",
        "Int64",
        "bool",
        "object",
    ]
    assert set(types[list(LABELS)]) == {"float64"}
    assert str(session.events["event_id"].dtype) == "int64"
    conditions = read_conditions(folder)
    assert conditions is not None
    assert np.isfinite(conditions["yaw_deg"]).all()


def test_columns_of_others_stay(folder: Path) -> None:
    events = pd.read_csv(folder / "events.csv")
    events.assign(coder=["A", "B"]).to_csv(folder / "events.csv", index=False)
    assert load_session(folder).events["coder"].tolist() == ["A", "B"]


def test_tables_without_rows(folder: Path) -> None:
    for name in TABLES:
        header = (folder / name).read_text().splitlines()[0]
        (folder / name).write_text(header + "\n")
    session = load_session(folder)
    assert len(session.scores) == len(session.events) == 0


def with_cell(cell: str) -> Callable[[bytes], bytes]:
    """The first row with `cell` in each place."""

    def damage(whole: bytes) -> bytes:
        header, row, *_ = whole.decode().splitlines()
        return f"{header}\n{','.join([cell] * len(row.split(',')))}\n".encode()

    return damage


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"\n\n",
        lambda whole: b"hello\n1,2,3\n",
        lambda whole: b"\xff\xfe\0bin",
        lambda whole: b"\0" * 500,
        lambda whole: whole[: whole.rindex(b",")],
        lambda whole: whole + b"1,2,3,4,5,6,7,8,9,10,11,12,13\n",
        lambda whole: whole.splitlines()[0] + b"\n" + b",".join([b"1"] * 20) + b"\n",
        with_cell("abc"),
        with_cell(""),
        with_cell("inf"),
        with_cell("nan"),
        with_cell("1e300"),
        with_cell("0.5"),
    ],
)
def test_damaged_table_is_told(folder: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    refused(folder, name)


@pytest.mark.parametrize("name", ["session.json", "scores.csv", "events.csv"])
def test_missing_file_is_told(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert "choose a folder that a recording has written" in refused(folder, name)


def test_conditions_may_be_missing(folder: Path) -> None:
    (folder / "conditions.csv").unlink()
    assert read_conditions(folder) is None
    assert write_report(folder).is_file()


# session.json


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"5", b"{", b"{}", b'{"frames": NaN}', b"\xff", b"[" * 100_000],
)
def test_session_json_of_something_else_is_told(folder: Path, content: bytes) -> None:
    (folder / "session.json").write_bytes(content)
    refused(folder, "session.json")


def misfits() -> Iterator[tuple[str, Any]]:
    """Dotted keys, and values that they cannot have."""
    values: list[Any] = [None, 5, "x", [1], {"a": {"b": []}}, True, float("nan"), 10**400]
    fitting: dict[Any, list[Any]] = {str: ["x"], int: [5], float: [5], bool: [True], None: [None]}
    for key, shape in FACTS_SHAPE.items():
        choices = shape if isinstance(shape, tuple) else (shape,)
        for value in values:
            kinds = [one if one is None or isinstance(one, type) else type(one) for one in choices]
            simple = [good for kind in kinds for good in fitting.get(kind, [])]
            if any(good is value for good in simple) or (dict in kinds and value == values[4]):
                continue
            yield key, value
    inner: dict[str, list[Any]] = {
        "model.rate_hz": ["x", [1], {}, True],
        "model.card": [1, [1], {}],
        "source.name": [None, 1, [1]],
        "source.live": [None, 1, "x"],
        "drops.late": [None, 0.5, "x", [], {}, True],
        "frame_rate.gap_p95_s": ["x", [], {}],
        "labels": [["a", 1], ["a", "a"], ["state"], ["frame", "a"]],
    }
    for key, wrong in inner.items():
        yield from ((key, value) for value in wrong)


@pytest.mark.parametrize(("key", "value"), misfits(), ids=repr)
def test_a_fact_of_another_kind_is_told(folder: Path, key: str, value: Any) -> None:
    facts = json.loads((folder / "session.json").read_text())
    *outer, last = key.split(".")
    inner = facts
    for name in outer:
        inner = inner[name]
    inner[last] = value
    (folder / "session.json").write_text(json.dumps(facts))
    text = refused(folder, "session.json")
    assert key == "labels" or f"{last!r}" in text


def test_labels_without_a_column_are_told(folder: Path) -> None:
    facts = json.loads((folder / "session.json").read_text())
    facts["labels"].append("anger")
    (folder / "session.json").write_text(json.dumps(facts))
    assert "no column 'anger'" in refused(folder, "scores.csv")


def test_the_sentence_says_what_a_value_should_be(folder: Path) -> None:
    facts = json.loads((folder / "session.json").read_text())
    for key, value, expected in (
        ("first_frame_s", "soon", "'first_frame_s' is not a number or null"),
        ("drops", {"late": 1.5}, "'late' is not a whole number"),
        ("labels", ["a", 1], "an entry of 'labels' is not text"),
        ("frame_rate", [], "'frame_rate' is not an object or null"),
    ):
        (folder / "session.json").write_text(json.dumps(facts | {key: value}))
        assert expected in refused(folder, "session.json")


# What reading lets through, writing takes


def written(folder: Path, facts: dict[str, Any]) -> None:
    """Report and exports of the session with other facts."""
    (folder / "session.json").write_text(json.dumps(facts))
    assert write_report(folder).is_file()
    assert all(path.is_file() for path in export_session(folder, FORMATS))


def empty(shape: Any) -> Any:
    """Null, or the least that a fact of this shape can be."""
    if isinstance(shape, tuple):
        return None
    return shape() if isinstance(shape, type) else type(shape)()


@pytest.mark.parametrize(
    "facts",
    [
        {"source": {"name": "bad\udcff.mp4", "rate_hz": None}},
        {"updated": "\udcff yesterday", "error": "\udcff", "status": "failed"},
        {key: empty(shape) for key, shape in FACTS_SHAPE.items()},
    ],
    ids=["name", "stamp", "empty"],
)
def test_facts_that_are_read_can_be_reported_and_exported(
    folder: Path, facts: dict[str, Any]
) -> None:
    whole = json.loads((folder / "session.json").read_text()) | facts
    written(folder, whole)
    eaf = (folder / "events.eaf").read_text(encoding="utf-8")
    assert re.search(r'DATE="\d{4}-\d\d-\d\dT[0-9:.]+[+-]\d\d:\d\d"', eaf)
    # The same session gives the same document, so that one that was changed can be told.
    export_session(folder, FORMATS)


def test_facts_that_are_not_there_are_not_needed(folder: Path) -> None:
    whole = json.loads((folder / "session.json").read_text())
    written(folder, {key: whole[key] for key in REQUIRED})
