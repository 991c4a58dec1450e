"""The report of runs: its figures are those counted by hand, and the page says what they mean."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

pytest.importorskip("matplotlib", reason="the training extra is not installed")

from realtime.drawing.palette import Rgb
from realtime.types import UInt8Array
from training.datasets import DATASETS
from training.evaluation.measures import SIMULATED_NOTE
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.published import (
    NOT_COMPARABLE,
    SPOTTING,
    base_name,
    published,
    published_of,
    published_whole,
)
from training.evaluation.results import (
    FoldPart,
    FoldResult,
    Prediction,
    ProtocolRun,
    WatchedSequence,
)
from training.evaluation.run_metrics import (
    metrics_of_run,
    spotting_metrics_of_run,
    worst_predictions,
)
from training.reports.grid_report import FacesOf, write_report
from training.reports.html import Row, Tinted, table

LABELS = ("negative", "positive", "surprise")

Said = tuple[str, str, str]
"""Subject, true class and what was said, by their first letters."""


def prediction(number: int, said: Said, dataset: str = "casme2", sure: float = 0.8) -> Prediction:
    subject, truth, answer = said
    words = {label[0]: label for label in LABELS}
    rest = (1 - sure) / 2
    return Prediction(
        sample=number,
        dataset=dataset,
        subject=subject,
        clip=f"EP{number:02d}",
        label=words[truth],
        said=words[answer],
        probabilities=tuple(sure if label[0] == answer else rest for label in LABELS),
    )


def part(samples: int, subjects: int = 2) -> FoldPart:
    return FoldPart(samples, subjects, {"negative": samples, "positive": 0, "surprise": 0})


def fold(name: str, predictions: Sequence[Prediction], epochs: int = 3) -> FoldResult:
    falling = tuple(1 / (1 + epoch) for epoch in range(epochs))
    return FoldResult(
        fold=name,
        train=part(10),
        validation=part(0, 0),
        test=part(len(predictions)),
        predictions=tuple(predictions),
        history={"loss": falling, "accuracy": tuple(1 - one for one in falling)},
        epoch=epochs,
        seconds=60.0,
        commit="abc123",
    )


def make_run(*folds: Sequence[Said], **changes: Any) -> ProtocolRun:
    numbered = iter(range(1000))
    dataset = changes.get("dataset", "casme2")
    results = [
        fold(f"fold {n}", [prediction(next(numbered), one, dataset) for one in predictions])
        for n, predictions in enumerate(folds)
    ]
    run = ProtocolRun(
        name="experiment 14",
        title="everything",
        system="TriplePath-HA3DNet",
        dataset="casme2",
        protocol="loso",
        labels=LABELS,
        seed=7,
        data={"casme2.npz": "9f86d081"},
        settings={"training": {"batch": 64, "epochs": 3}, "samples": {"augment": True}},
        varied={},
        folds=tuple(results),
    )
    return dataclasses.replace(run, **changes)


HAND: tuple[list[Said], list[Said]] = (
    [("01", "n", "n"), ("01", "n", "p"), ("01", "p", "p")],
    [("02", "n", "n"), ("02", "p", "n"), ("02", "s", "n")],
)
"""Two folds. Pooled: negative 2 of 3 right and said 4 times, positive 1 of 2 right and said
twice, surprise 0 of 1 right and never said. UF1 = (4/7 + 2/4 + 0) / 3, UAR = (2/3 + 1/2 + 0) / 3,
accuracy 3/6."""

UF1, UAR = (4 / 7 + 2 / 4) / 3, (2 / 3 + 1 / 2) / 3


def report(folder: Path, *runs: ProtocolRun, **more: Any) -> tuple[str, dict[str, Any]]:
    """The page, and what the file of figures has."""
    path = write_report(folder, "Report", runs, **more)
    assert path == folder / "report.html"
    stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return path.read_text(encoding="utf-8"), stored


def rows_of(text: str) -> list[list[str]]:
    """The words of each cell of each row of all tables."""
    return [
        [
            re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", cell))).strip()
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    ]


def row_of(text: str, first: str) -> list[str]:
    (found,) = [row for row in rows_of(text) if row and row[0].startswith(first)]
    return found


def test_figures_by_hand() -> None:
    found = metrics_of_run(make_run(*HAND))
    value = {name: one.value for name, one in found.figures.items()}
    assert value["accuracy"] == pytest.approx(3 / 6)
    assert value["error_rate"] == pytest.approx(3 / 6)
    assert value["uf1"] == pytest.approx(UF1)
    assert value["uar"] == pytest.approx(UAR)
    assert found.confusion == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    negative, positive, surprise = found.classes
    assert (negative.samples, negative.said, negative.right) == (3, 4, 2)
    assert (negative.precision, negative.recall) == (pytest.approx(2 / 4), pytest.approx(2 / 3))
    assert positive.f1 == pytest.approx(2 / 4)
    assert (surprise.precision, surprise.recall, surprise.f1) == (None, 0.0, 0.0)
    # Always "negative": 3 of 6 right, F1 of it 6 / 9.
    assert found.commonest["accuracy"] == pytest.approx(3 / 6)
    assert found.commonest["uf1"] == pytest.approx(6 / 9 / 3)
    assert found.commonest["uar"] == pytest.approx(1 / 3)
    shares = [(one.subject, one.samples, one.right) for one in found.by_subject]
    assert shares == [("01", 3, 2), ("02", 3, 1)]


def test_the_page_and_the_file_have_these_figures(tmp_path: Path) -> None:
    text, stored = report(tmp_path, make_run(*HAND))
    (run,) = stored["runs"]
    assert run["figures"]["uf1"]["value"] == pytest.approx(UF1)
    assert run["confusion"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert run["seed"] == 7
    assert run["settings"]["training"] == {"batch": 64, "epochs": 3}
    assert [one["right"] for one in run["folds"]] == [2, 1]
    cells = [
        row for row in rows_of(text) if row[0] == "TriplePath-HA3DNet experiment 14: everything"
    ]
    assert [cell.split()[0] for cell in cells[0][1:]] == ["50.0", f"{UF1:.3f}", f"{UAR:.3f}"]
    assert row_of(text, "no network")[1:] == ["50.0", f"{6 / 9 / 3:.3f}", "0.333"]
    assert ["▼ negative", "2 67%", "1 33%", "0 0%"] in rows_of(text)
    assert ["▼ negative", "3", "4", "2", "0.500", "0.667", "0.571"] in rows_of(text)
    assert ["▲ surprise", "1", "0", "0", "-", "0.000", "0.000"] in rows_of(text)
    assert "error rate 50.0 %" in text
    assert "Never right: surprise (0 of 1)." in text
    assert ["02", "CASME II", "3", "1", "33%"] in rows_of(text)
    assert ["training", "10", "2", "10", "0", "0"] in rows_of(text)
    assert ["data, casme2.npz", "9f86d081"] in rows_of(text)
    assert ["commit", "abc123"] in rows_of(text)
    assert ["training, batch", "64"] in rows_of(text)
    assert ["training, epochs", "3"] in rows_of(text)
    assert ["seed", "7"] in rows_of(text)


def test_the_interval_is_over_people(tmp_path: Path) -> None:
    # Drawn from two people: one of them twice, or both.
    ends = metrics_of_run(make_run([("a", "n", "n")], [("b", "n", "p")])).figures["accuracy"]
    assert (ends.low, ends.high) == (0.0, 1.0)
    same = metrics_of_run(make_run([("a", "n", "n")], [("a", "n", "p")])).figures["accuracy"]
    assert (same.value, same.low, same.high) == (0.5, None, None)
    text, stored = report(tmp_path, make_run([("a", "n", "n"), ("a", "p", "n")]))
    assert stored["runs"][0]["figures"]["uf1"]["low"] is None
    assert "no interval" in text
    assert "There is no interval where" in text


def test_people_of_different_datasets_are_different_people(tmp_path: Path) -> None:
    predictions = [
        prediction(0, ("1", "n", "n"), "casme2"),
        prediction(1, ("1", "p", "n"), "samm"),
        prediction(2, ("2", "p", "p"), "samm"),
    ]
    run = make_run(dataset="composite", protocol="megc2019", folds=(fold("all", predictions),))
    found = metrics_of_run(run)
    assert found.subjects == 3
    assert found.by_dataset["casme2"]["accuracy"].value == 1.0
    assert found.by_dataset["samm"]["accuracy"].value == 0.5
    text, _ = report(tmp_path, run)
    assert row_of(text, "SAMM")[1].startswith("50.0")
    assert "LBP-TOP" in text
    assert ["STSTNet as published", "-", "0.735", "0.761"] in rows_of(text)


def test_who_is_unknown_is_not_counted_as_one(tmp_path: Path) -> None:
    run = make_run([("", "n", "n"), ("", "p", "n")], dataset="fer2013", protocol="official")
    assert metrics_of_run(run).subjects is None
    assert metrics_of_run(run).by_subject == ()
    text, stored = report(tmp_path, run)
    assert "People tested<b>unknown</b>" in text
    assert stored["runs"][0]["subjects"] is None


def test_copies_of_training_pictures_are_counted_out_too(tmp_path: Path) -> None:
    plain = make_run(*HAND, dataset="fer2013", protocol="official")
    assert (metrics_of_run(plain).copies, metrics_of_run(plain).without_copies) == (0, {})
    text, _ = report(tmp_path / "plain", plain)
    assert "exact copies" not in text
    # One of the right ones: 2 of 5 are right without it.
    first, *others = plain.folds[0].predictions
    copied = dataclasses.replace(first, is_copy=True)
    folds = (dataclasses.replace(plain.folds[0], predictions=(copied, *others)), plain.folds[1])
    run = dataclasses.replace(plain, folds=folds)
    text, stored = report(tmp_path / "copied", run)
    assert "exact copies of pictures of the dataset&#39;s part Training: 1 of 6." in text
    assert [row[1:3] for row in rows_of(text) if row[0] == "without the copies"] == [
        ["5", "40.0 33 to 50"]
    ]
    (kept,) = stored["runs"]
    assert kept["copies"] == 1
    assert kept["without_copies"]["accuracy"]["value"] == pytest.approx(2 / 5)
    assert kept["figures"]["accuracy"]["value"] == pytest.approx(3 / 6)


def test_a_test_of_nothing_but_copies_is_called_that(tmp_path: Path) -> None:
    run = make_run(HAND[0], dataset="fer2013", protocol="official")
    copies = tuple(dataclasses.replace(one, is_copy=True) for one in run.folds[0].predictions)
    run = dataclasses.replace(run, folds=(dataclasses.replace(run.folds[0], predictions=copies),))
    text, _ = report(tmp_path, run)
    assert "exact copies of pictures of the dataset&#39;s part Training: 3 of 3." in text
    assert "without the copies" not in text


def test_each_protocol_is_stated_and_the_field_comes_after_the_papers(tmp_path: Path) -> None:
    runs = [make_run(*HAND, protocol=name) for name in PROTOCOLS if name != "megc2019"]
    text, stored = report(tmp_path, *reversed(runs))
    for name, protocol in PROTOCOLS.items():
        if name == "megc2019":
            continue
        style = "" if protocol.is_subject_independent else ' class="warning"'
        assert f"<p{style}>{escape(protocol.statement)}</p>" in text
        assert stored["protocols"][name]["statement"] == protocol.statement
    places = [text.index(f"<h2>{escape(PROTOCOLS[run.protocol].title)}") for run in runs]
    independent = [PROTOCOLS[run.protocol].is_subject_independent for run in runs]
    last_of_papers = max(p for p, one in zip(places, independent, strict=True) if not one)
    assert last_of_papers < min(p for p, one in zip(places, independent, strict=True) if one)
    overview = row_of(text, "TriplePath-HA3DNet CASME II")
    assert overview[1] == "98.87 · 0.9887 Random split by sample, 80:10:10"
    assert len(overview) == 2 + len(runs)
    assert escape(NOT_COMPARABLE) in text


def test_figures_on_simulated_people_are_called_that(tmp_path: Path) -> None:
    simulated = make_run(*HAND, dataset="simulated")
    assert escape(SIMULATED_NOTE) in report(tmp_path, simulated)[0]
    assert escape(SIMULATED_NOTE) not in report(tmp_path, make_run(*HAND))[0]
    both = report(tmp_path, simulated, make_run(*HAND))[0]
    assert f"Of the dataset simulated: {escape(SIMULATED_NOTE)}" in both
    spotting = make_spotting(name="kilas", dataset="simulated")
    assert escape(SIMULATED_NOTE) in report(tmp_path, spotting)[0]


def sweep(**changes: Any) -> list[ProtocolRun]:
    """Six settings of one recipe; the more epochs and the larger the batch, the better."""
    right: list[Said] = [("01", "n", "n"), ("02", "p", "p"), ("03", "s", "s"), ("03", "n", "n")]
    runs = []
    for place, (batch, epochs) in enumerate((b, e) for b in (32, 64, 128) for e in (128, 256)):
        said = [
            (who, truth, "n" if n < 3 - place // 2 else truth)
            for n, (who, truth, _) in enumerate(right)
        ]
        runs.append(
            make_run(
                said,
                name=f"TriplePath-HA3DNet, batch {batch}, epochs {epochs}",
                title="",
                protocol="split-80-10-10",
                varied={"training.batch": batch, "training.epochs": epochs},
                **changes,
            )
        )
    return runs


def test_settings_are_one_row_and_one_small_table(tmp_path: Path) -> None:
    runs = sweep()
    text, stored = report(tmp_path, *runs)
    found = [metrics_of_run(run).figures["uf1"].value for run in runs]
    best = row_of(text, "TriplePath-HA3DNet best of 6 settings")
    assert best[2].split()[0] == f"{max(one for one in found if one):.3f}"
    cells = [row_of(text, f"batch {batch}")[1:] for batch in (32, 64, 128)]
    shown = [float(cell.split()[0]) for row in cells for cell in row]
    assert shown == [pytest.approx(one, abs=5e-4) for one in found]
    assert ["", "epochs 128", "epochs 256"] in rows_of(text)
    marked = [one["name"] for one in stored["runs"] if one["is_best_of_dataset_and_protocol"]]
    assert marked == [runs[4].name]
    assert "in the test itself" in html.unescape(text)
    # Beside it what was published of the whole system under this split, as it was printed.
    assert row_of(text, "published experiment 14; the dissertation")[1:] == ["98.87", "0.9887", "-"]


def test_the_best_of_each_column_is_marked(tmp_path: Path) -> None:
    good = make_run([("1", "n", "n"), ("2", "p", "p")], name="experiment 14")
    bad = make_run([("1", "n", "n"), ("2", "p", "n")], name="experiment 10")
    text, _ = report(tmp_path, bad, good)
    cells = {
        row[0]: row[1:] for row in rows_of(text) if row[0].startswith("TriplePath-HA3DNet exper")
    }
    assert ["★" in cell for cell in cells["TriplePath-HA3DNet experiment 14: everything"]] == [
        True
    ] * 3
    assert not any("★" in cell for cell in cells["TriplePath-HA3DNet experiment 10: everything"])
    assert "★" not in report(tmp_path, good)[0].split("<h2>Each run")[0]


@pytest.mark.parametrize(
    ("changes", "experiment"),
    [
        ({}, "14"),
        ({"name": "experiment 10"}, "10"),
        ({"name": "12, batch 64"}, "12"),
        ({"name": "batch 14", "varied": {"training.batch": 14}}, "14"),
        ({"name": "batch 10", "varied": {"training.batch": 10}}, "14"),
        ({"name": "plain", "varied": {"samples.augment": False}}, None),
        ({"name": "deep", "dataset": "simulated"}, None),
        ({"protocol": "loso"}, None),
        ({"system": "MER-3DCNN", "name": "MER-3DCNNST"}, "MER-3DCNNST"),
        ({"system": "MER-3DCNN", "name": "mer-3dcnn"}, "MER-DACWB3DCNNST"),
        ({"system": "HA-3DNet", "name": "HA-3DNet, batch 80"}, ""),
    ],
)
def test_which_published_figure_belongs_to_a_run(
    changes: dict[str, Any], experiment: str | None
) -> None:
    run = make_run(**{"protocol": "split-80-10-10", "name": "any", **changes})
    found = published_of(run)
    assert (found and found.experiment) == experiment


def test_published_figures_are_of_datasets_and_protocols_that_are_known() -> None:
    assert len(published()) == len(set(published()))
    for one in published():
        assert one.dataset in {*DATASETS, "composite"}
        assert one.protocol in {*PROTOCOLS, SPOTTING}
        assert one.accuracy_percent is None or 50 < one.accuracy_percent < 100
        assert all(figure is None or 0 < figure < 1 for figure in (one.f1, one.uar, one.strs))
    whole = published_whole("TriplePath-HA3DNet", "casme-squared")
    assert whole is not None
    assert (str(whole.accuracy_percent), str(whole.f1)) == ("94.00", "0.9400")
    assert published_whole("SOFTNet", "casme-squared") is None


def test_the_name_without_its_numbers() -> None:
    varied = {"training.batch": 64, "training.learning_rate": 0.001, "samples.augment": True}
    name = "experiment 14, batch 64, learning rate 0.001, augment True"
    assert base_name(make_run(name=name, varied=varied)) == "experiment 14, augment True"


def test_the_surest_errors_come_first() -> None:
    sure = {0: 0.6, 1: 0.9, 2: 0.99, 3: 0.7}
    predictions = [
        prediction(n, ("a", "n", "n" if n == 2 else "p"), sure=sure[n]) for n in range(4)
    ]
    run = make_run(folds=(fold("one", predictions[:2]), fold("two", predictions[2:])))
    assert [one.sample for one in worst_predictions(run)] == [1, 3, 0]
    assert [one.sample for one in worst_predictions(run, count=1)] == [1]


def faces(missing: Sequence[int] = ()) -> FacesOf:
    """Noise for every sample but the missing ones."""

    def of(run: ProtocolRun, one: Prediction) -> tuple[UInt8Array, int] | None:
        if one.sample in missing:
            return None
        noise = np.random.default_rng(one.sample).integers(0, 256, (16, 128, 128), np.uint8)
        return noise, 9

    return of


def test_wrong_clips_are_shown_of_the_best_run_on_unseen_people(tmp_path: Path) -> None:
    unseen = make_run(*HAND)
    seen = make_run([("1", "n", "n"), ("1", "p", "p"), ("9", "s", "p")], protocol="split-80-10-10")
    text, _ = report(tmp_path, seen, unseen, faces_of=faces(missing=[1]))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert captions == [
        "true ■ positive, predicted ▼ negative (0.80); subject 02, clip EP04",
        "true ▲ surprise, predicted ▼ negative (0.80); subject 02, clip EP05",
    ]
    assert text.count("data:image/webp;base64,") == 2
    for more in ({}, {"faces_of": faces(missing=range(9))}):
        assert "Confident errors" not in report(tmp_path, unseen, **more)[0]


def test_the_page_stands_alone(tmp_path: Path) -> None:
    runs = [*sweep()[:2], make_run(*HAND), make_run(*HAND, name="other <b>&", dataset="smic")]
    text, _ = report(tmp_path, *runs, faces_of=faces())
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith(("data:image/svg+xml;base64,", "data:image/webp;base64,", "#"))
    assert "url(" not in text
    assert "<script" not in text
    assert "<link" not in text
    assert len(re.findall(r'<img alt="[^"]{10,}"', text)) == text.count("<img") > 10
    anchors = re.findall(r'id="([^"]*)"', text)
    assert len(set(anchors)) == len(anchors) == len(runs)
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(anchors)
    assert text.count("<details open>") == 1
    assert text == report(tmp_path, *runs, faces_of=faces())[0]


def test_names_are_text_whatever_they_are(tmp_path: Path) -> None:
    odd = "<b>&\"'é→漢"
    run = make_run(
        [("<i>", "n", "p"), ("ü", "n", "n")],
        name=odd,
        title=odd,
        system=odd,
        dataset=odd,
        data={odd: odd},
        settings={odd: odd},
    )
    text, stored = report(tmp_path, run, notes=[odd], faces_of=faces())
    assert "<b>&" not in text
    assert "<i>" not in text
    assert escape(odd) in text
    assert stored["runs"][0]["name"] == odd
    assert stored["notes"] == [odd]


def test_nothing_finished_is_said_plainly(tmp_path: Path) -> None:
    assert "no results to report" in report(tmp_path)[0]
    text, stored = report(tmp_path, make_run())
    assert "no results to report" in text
    assert "Without a finished fold, and so not here: TriplePath-HA3DNet, experiment 14" in text
    assert stored["runs"] == []
    assert [one["name"] for one in stored["unfinished"]] == ["experiment 14"]
    text, stored = report(tmp_path, make_run(), make_run(*HAND, name="experiment 10"))
    assert "no results to report" not in text
    assert "and so not here: TriplePath-HA3DNet, experiment 14" in text
    assert [one["name"] for one in stored["runs"]] == ["experiment 10"]


def watched(
    subject: str, seconds: float, truths: Sequence[str], events: Sequence[str]
) -> WatchedSequence:
    """A clip; each interval is a class's first letter and when, in seconds, it begins."""
    words = {label[0]: label for label in LABELS}

    def intervals(told: Sequence[str]) -> tuple[tuple[float, float, str], ...]:
        return tuple((float(one[1:]), float(one[1:]) + 0.5, words[one[0]]) for one in told)

    return WatchedSequence(
        "casme-squared", subject, "1_1", seconds, intervals(truths), intervals(events)
    )


def make_spotting(**changes: Any) -> ProtocolRun:
    """Two folds. Of 5 micro-expressions 3 are spotted, 2 of them named rightly; of 5 events 2 are
    false, in 2 minutes. Precision 3/5, recall 3/5. Of the face of s3 nothing was seen."""
    clips = [
        [watched("s1", 60.0, ["n1", "n5", "p9"], ["n1.1", "n5", "n20"])],
        [watched("s2", 60.0, ["p1"], ["n1", "s30"]), watched("s3", 0.0, ["s2"], [])],
    ]
    sides = {
        "train": FoldPart(5, 4, {"negative": 7, "positive": 6, "surprise": 5}),
        "validation": FoldPart(2, 1, {"negative": 1, "positive": 2, "surprise": 3}),
    }
    folds = tuple(
        dataclasses.replace(fold(f"fold {n}", []), watched=tuple(own), **sides)
        for n, own in enumerate(clips)
    )
    run = make_run(
        name="wide",
        title="",
        dataset="casme-squared",
        labels=("none", *LABELS),
        data={"casme-squared.npz": "2c26b46b"},
        folds=folds,
    )
    return dataclasses.replace(run, **changes)


def test_spotting_figures_by_hand() -> None:
    found = spotting_metrics_of_run(make_spotting())
    value = {name: one.value for name, one in found.figures.items()}
    assert (found.recordings, found.seconds, found.subjects) == (3, 120.0, 3)
    assert (found.truths, found.spotted, found.false) == (5, 3, 2)
    assert [value[name] for name in ("precision", "recall", "f1")] == pytest.approx([3 / 5] * 3)
    assert value["false_per_minute"] == pytest.approx(1.0)
    assert (value["accuracy"], value["error_rate"]) == (pytest.approx(2 / 5), pytest.approx(3 / 5))
    # Negative: 2 of 2 right, said 3 times; positive: 0 of 2, surprise: 0 of 1, never said.
    assert found.confusion == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert found.missed == [0, 1, 1]
    assert value["uf1"] == pytest.approx(4 / 5 / 3)
    assert value["uar"] == pytest.approx(1 / 3)
    assert value["strs"] == pytest.approx(3 / 5 * (4 / 5 / 3))
    negative, positive, _ = found.classes
    assert (negative.precision, negative.recall) == (pytest.approx(2 / 3), 1.0)
    assert (positive.samples, positive.said, positive.recall) == (2, 0, 0.0)
    told = [
        (one.subject, one.truths, one.spotted, one.right, one.false) for one in found.by_subject
    ]
    assert told == [("s1", 3, 2, 2, 1), ("s2", 1, 1, 0, 1), ("s3", 1, 0, 0, 0)]


def test_spotting_stands_beside_what_was_published(tmp_path: Path) -> None:
    text, stored = report(tmp_path, make_spotting(system="Kilas"))
    assert "no results to report" not in text
    row = row_of(text, "Kilas wide, CAS(ME)², Leave one subject out")
    assert [cell.split()[0] for cell in row[1:]] == ["0.600", "0.600", "0.600", "0.160", "1.00"]
    assert row_of(text, "SOFTNet")[1] == "0.117"
    assert row_of(text, "MEAN")[4] == "0.081"
    assert escape(PROTOCOLS["loso"].statement) in text
    assert stored["runs"] == []
    assert {one["system"] for one in stored["published"]} > {"SOFTNet", "MEAN"}


def test_a_run_that_spots_is_told_as_whole_as_one_that_recognises(tmp_path: Path) -> None:
    run = make_spotting()
    text, stored = report(tmp_path, run)
    rows = rows_of(text)
    assert "3 recordings of 3 people were watched" in text
    assert "Of 5 micro-expressions 3 were spotted; 2 spotted events more were false." in text
    assert ["true", "▼ negative", "■ positive", "▲ surprise", "missed"] in rows
    assert ["■ positive", "1 50%", "0 0%", "0 0%", "1 50%"] in rows
    assert ["▼ negative", "2", "3", "2", "0.667", "1.000", "0.800"] in rows
    low, high = (
        getattr(spotting_metrics_of_run(run).figures["uar"], end) for end in ("low", "high")
    )
    assert ["UAR of the class", "0.333", f"{low:.3f} to {high:.3f}"] in rows
    assert row_of(text, "error rate of the class")[1] == "0.600"
    assert ["part", "recordings", "people", "▼ negative", "■ positive", "▲ surprise"] in rows
    assert ["validation", "2", "1", "1", "2", "3"] in rows
    assert ["s1", "CAS(ME)²", "3", "2", "2", "1", "0.667"] in rows
    assert ["fold 1", "5", "2", "0", "3", "1 min 0 s"] in rows
    assert ["tested epoch", "3"] in rows
    assert "Loss by epoch, median of 2 folds" in text
    for line in (["seed", "7"], ["commit", "abc123"], ["data, casme-squared.npz", "2c26b46b"]):
        assert line in rows
    assert ["training, batch", "64"] in rows
    assert ["training, epochs", "3"] in rows

    (one,) = stored["spotting"]
    assert (one["name"], one["seed"], one["settings"]) == ("wide", 7, run.settings)
    assert one["figures"]["strs"]["value"] == pytest.approx(0.16)
    assert one["figures"]["uar"]["low"] == low
    assert (one["confusion"][1], one["missed"]) == ([1, 0, 0], [0, 1, 1])
    assert one["by_subject"][0]["spotted"] == 2
    assert one["classes"][0]["recall"] == 1.0
    first = one["folds"][0]
    assert (first["epoch"], first["commit"]) == (3, "abc123")
    assert first["train"]["classes"]["surprise"] == 5
    assert first["history"]["loss"] == list(run.folds[0].history["loss"])


def test_runs_that_spot_leave_those_that_recognise_as_they_are(tmp_path: Path) -> None:
    run = make_run(*HAND)
    alone, _ = report(tmp_path, run)
    text, stored = report(tmp_path, make_spotting(), run)
    assert (len(stored["runs"]), len(stored["spotting"])) == (1, 1)
    assert alone.partition("<body>")[2].partition("<h2>Each run")[0].partition("</p>")[2] in text
    assert alone.partition("<h2>Each run")[2].partition("</body>")[0] in text
    anchors = re.findall(r'id="([^"]*)"', text)
    assert len(set(anchors)) == len(anchors) == 2
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(anchors)
    text, stored = report(tmp_path, run, make_spotting(folds=()))
    assert "and so not here: TriplePath-HA3DNet, wide, CAS(ME)²" in text
    assert stored["spotting"] == []


def long_run(folds: int, epochs: int = 256) -> ProtocolRun:
    """A run with noisy curves and many people, under the name of their number."""
    random = np.random.default_rng(folds)
    numbered = iter(range(10_000))
    made = []
    for n in range(folds):
        said: list[Said] = [
            (f"s{n}-{who}", "nps"[random.integers(3)], "nps"[random.integers(3)])
            for who in range(40 // folds + 1)
            for _ in range(3)
        ]
        one = fold(f"group {n}", [prediction(next(numbered), each) for each in said])
        curves = {
            name: tuple(random.uniform(0, 1, epochs).round(4).tolist())
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
        }
        made.append(dataclasses.replace(one, history=curves, epoch=int(random.integers(1, epochs))))
    return make_run(name=f"folds {folds}", folds=tuple(made))


def test_sixty_runs_of_five_folds_are_no_heavy_page(tmp_path: Path) -> None:
    one, _ = report(tmp_path, long_run(5))
    three, _ = report(tmp_path, *(dataclasses.replace(long_run(5), name=name) for name in "abc"))
    assert (len(three) - len(one)) / 2 * 60 < 5e6
    assert "Loss by epoch, median of 5 folds" in one


def test_curves_of_one_fold_and_of_sixty_eight(tmp_path: Path) -> None:
    text, _ = report(tmp_path, long_run(1), long_run(68))
    assert "Loss by epoch, median of 1 fold;" in text
    assert "Accuracy by epoch, median of 68 folds;" in text
    assert (
        rows_of(text).count(
            ["fold", "training", "validation", "test", "right", "tested epoch", "time"]
        )
        == 1
    )
    bare = dataclasses.replace(fold("x", [prediction(0, HAND[0][0])]), history={})
    assert "by epoch" not in report(tmp_path, make_run(folds=(bare,)))[0]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_letters_stand_out_from_any_ground(colour: Rgb) -> None:
    text = table(("a",), [Row((Tinted("x", colour),))])
    (ground, letters) = re.findall(r"background:#(\w{6});color:#(\w{3})", text)[0]
    assert ground == "".join(f"{part:02x}" for part in colour)

    def luminance(parts: Sequence[float]) -> float:
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(
        (luminance([part / 255 for part in colour]), 1.0 if letters == "fff" else 0.0), reverse=True
    )
    assert (light + 0.05) / (dark + 0.05) >= 4.5
