"""Counts of the evaluation, from written-down truth and events, and the report of them."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import KilasError
from realtime.inference.model import Model
from realtime.inference.onnx_file import WEIGHTS_FOLDER
from realtime.spec import SpottingSpec
from support.sources import steady, write_clip
from training.annotations.tables import read_activities, read_clips, read_truth
from training.evaluation.evaluate import evaluate, summary
from training.evaluation.measures import (
    BY_CLIP,
    BY_EPISODE,
    CLIP_GROUPINGS,
    EVENT_COLUMNS,
    MACRO,
    PHOTOGRAPHED,
    POOR_OVERLAP,
    RECORDED,
    SIMULATED_NOTE,
    STILL,
    EvaluationMeasures,
    Group,
    Grouping,
    action_units,
    measure,
)
from training.model_file import check_subjects_unseen, weights_sha256
from training.recipe import load_recipe, weights_from
from training.reports.evaluation_report import evaluation_page, write_evaluation

CLASSES = ("negative", "positive", "surprise")


def clip_table(**columns: object) -> pd.DataFrame:
    """Clips `a`, `b`, ... of one minute, one person each."""
    count = max(len(value) for value in columns.values()) if columns else 2
    names = [chr(ord("a") + n) for n in range(count)]
    return pd.DataFrame({"clip": names, "subject": names, "kind": "still"} | columns).assign(
        length_s=60.0
    )


def true_events(*rows: tuple[str, float, float, str], kind: str = "micro") -> pd.DataFrame:
    """From clip, onset, offset and label; the apex is in the middle."""
    table = pd.DataFrame(rows, columns=["clip", "onset_s", "offset_s", "label"])
    apex_s = (table["onset_s"] + table["offset_s"]) / 2
    return table.assign(apex_s=apex_s.astype(float), kind=kind)


def spotted_events(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    table = true_events(*rows).assign(score=0.9)
    return table[list(EVENT_COLUMNS)]


def group(figures: EvaluationMeasures, column: str, name: str) -> Group:
    (groups,) = [g for g in (*figures.clip_groups, *figures.event_groups) if g.column == column]
    (found,) = [one for one in groups.groups if one.name == name]
    return found


def hand_made() -> tuple[EvaluationMeasures, pd.DataFrame]:
    clips = clip_table(kind=["speech+nod", "speech"], skin=[0.1, 0.9], seed=[1, 1])
    truth = pd.concat(
        [
            true_events(
                ("a", 1.0, 1.4, "negative"),
                ("a", 3.0, 3.4, "positive"),
                ("b", 1.0, 1.4, "surprise"),
                ("b", 3.0, 3.4, "surprise"),
            ),
            true_events(("b", 10.0, 14.0, "positive"), kind="macro"),
        ]
    )
    spotted = spotted_events(
        ("a", 1.02, 1.42, "negative"),  # right, 20 ms late
        ("a", 3.3, 3.8, "positive"),  # too little overlap
        ("a", 20.0, 20.3, "positive"),  # in the middle of nothing
        ("b", 1.0, 1.36, "positive"),  # another label, apex 20 ms early
        ("b", 13.5, 13.9, "positive"),  # the end of the slow smile
    )
    return measure(clips, truth, spotted, CLASSES)


def test_figures_by_hand() -> None:
    figures, spotted = hand_made()
    whole = figures.whole
    value = {name: one.value for name, one in whole.figures.items()}
    assert (whole.micro_expressions, whole.matched, whole.spotted) == (4, 2, 5)
    assert value["precision"] == pytest.approx(2 / 5)
    assert value["recall"] == pytest.approx(2 / 4)
    assert value["f1"] == pytest.approx(4 / 9)
    assert value["false_per_minute"] == pytest.approx(3 / 2)
    assert value["accuracy"] == pytest.approx(1 / 4)
    # negative 1 of 1, positive 0 of 1 (and once said wrongly), surprise 0 of 2
    assert value["uf1"] == pytest.approx(1 / 3)
    assert value["uar"] == pytest.approx(1 / 3)
    # negative F1 1, positive (said once, never spotted) 0, surprise 0
    assert value["strs"] == pytest.approx(4 / 9 * 1 / 3)
    assert figures.confusion == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert figures.missed == [0, 1, 1]
    assert whole.timing["apex"].median_ms == pytest.approx(20)
    assert whole.timing["apex"].bias_ms == pytest.approx(0)
    assert whole.timing["offset"].bias_ms == pytest.approx(-10)
    assert spotted["matched"].tolist() == [True, False, False, True, False]
    assert spotted["cause"].tolist() == ["", POOR_OVERLAP, "nod+speech", "", MACRO]


def test_every_false_event_is_listed_and_each_kind_is_taken_for_its_own_minutes() -> None:
    figures, _ = hand_made()
    assert [one["onset_s"] for one in figures.false_events] == [3.3, 20.0, 13.5]
    by_cause = {one.cause: (one.events, one.minutes) for one in figures.false_by_cause}
    assert by_cause == {
        "nod": (1, 1.0),
        "speech": (1, 2.0),
        POOR_OVERLAP: (1, 2.0),
        MACRO: (1, 1.0),
    }
    rates = {one.cause: one.per_minute.value for one in figures.false_by_cause}
    assert rates["nod"] == pytest.approx(1.0)
    assert rates["speech"] == pytest.approx(0.5)


def activities(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["clip", "start_s", "end_s", "kind"])


def test_with_a_table_of_activities_false_events_count_for_what_went_on_at_their_apex() -> None:
    clips = clip_table(kind=["speech+turn", "still"])
    false = spotted_events(
        ("a", 5.0, 5.4, "positive"),
        ("a", 19.5, 20.7, "positive"),  # begins in the turn, and has its apex after it
        ("a", 50.0, 50.4, "positive"),
        ("b", 5.0, 5.4, "positive"),
    )
    table = activities(("a", 0.0, 30.0, "speech"), ("a", 4.0, 20.0, "turn"))
    figures, spotted = measure(clips, true_events(), false, CLASSES, table)
    assert spotted["cause"].tolist() == ["speech+turn", "speech", STILL, STILL]
    found = {one.cause: (one.events, one.minutes) for one in figures.false_by_cause}
    assert found == {
        "speech": (2, pytest.approx(30 / 60)),
        "turn": (1, pytest.approx(16 / 60)),
        STILL: (2, pytest.approx(90 / 60)),
    }
    assert BY_EPISODE in html.unescape(evaluation_page(figures))
    assert BY_CLIP in html.unescape(evaluation_page(hand_made()[0]))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 60), st.floats(0, 60), st.just("speech")),
        max_size=6,
    )
)
@settings(max_examples=10, deadline=None)
def test_stillness_is_all_the_time_in_which_nothing_goes_on(
    rows: list[tuple[str, float, float, str]],
) -> None:
    episodes = [(clip, min(a, b), max(a, b), kind) for clip, a, b, kind in rows]
    figures, _ = measure(
        clip_table(), true_events(), spotted_events(), CLASSES, activities(*episodes)
    )
    minutes = {one.cause: one.minutes for one in figures.false_by_cause}
    t_s = np.linspace(0, 60, 3001)[:-1] + 0.01
    free = [
        ~np.any([(a <= t_s) & (t_s <= b) for c, a, b, _ in episodes if c == clip] or [t_s < 0], 0)
        for clip in "ab"
    ]
    assert minutes.get(STILL, 0.0) == pytest.approx(np.mean(free) * 2, abs=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip,start_s,end_s,kind\na,1,2,nod\na,3,2,nod\n", "Line 3"),
        ("clip,start_s,end_s,kind\na,1,2,\n", "Line 2"),
        ("clip,start_s,kind\na,1,nod\n", "end_s"),
    ],
)
def test_activities_that_cannot_be_used_are_refused(tmp_path: Path, text: str, said: str) -> None:
    assert read_activities(tmp_path) is None
    (tmp_path / "activities.csv").write_text(text)
    with pytest.raises(KilasError, match=said):
        read_activities(tmp_path)


def test_what_was_missed_is_told_apart_from_what_was_spotted_too_roughly() -> None:
    figures, _ = hand_made()
    assert [(one["label"], one["poor_overlap"]) for one in figures.missed_events] == [
        ("positive", True),
        ("surprise", False),
    ]


def test_a_group_well_below_the_whole_is_marked_with_its_size() -> None:
    clips = clip_table(fps=[15.0, 30.0, 30.0, 60.0])
    truth = true_events(*((clip, 1.0, 1.4, "positive") for clip in clips["clip"]))
    spotted = spotted_events(*((clip, 1.0, 1.4, "positive") for clip in "bcd"))
    figures, _ = measure(clips, truth, spotted, CLASSES)
    slow, usual = group(figures, "fps", "under 20"), group(figures, "fps", "30 to 59")
    whole = 6 / 7
    assert slow.is_below
    assert slow.points == pytest.approx(-100 * whole)
    assert slow.part.micro_expressions == 1
    assert not usual.is_below
    assert usual.points == pytest.approx(100 * (1 - whole))
    assert "Frame rate under 20" in summary(figures)


def test_true_events_are_grouped_by_recall() -> None:
    truth = true_events(
        ("a", 1.0, 1.4, "positive"), ("a", 3.0, 3.4, "positive"), ("b", 1.0, 1.4, "negative")
    ).assign(units=["6+12", "12L", "4*0.5+7"], intensity=[0.5, 0.15, 0.5])
    spotted = spotted_events(("a", 1.0, 1.4, "positive"), ("b", 9.0, 9.4, "negative"))
    figures, _ = measure(clip_table(), truth, spotted, CLASSES)

    def recall(column: str, name: str) -> float:
        return group(figures, column, name).part.figures["recall"].value

    assert recall("units", "AU 12") == pytest.approx(1 / 2)
    assert recall("units", "AU 6") == 1.0
    assert recall("units", "AU 4") == 0.0
    assert recall("label", "positive") == pytest.approx(1 / 2)
    assert recall("intensity", "0.1 to 0.2") == 0.0


def test_units_are_read_with_sides_and_shares() -> None:
    assert action_units("1+2L+14R*0.6") == {"1", "2", "14"}
    assert action_units(float("nan")) == set()


def test_rates_are_rounded_before_they_are_grouped_and_yaw_has_no_side() -> None:
    by = {grouping.column: grouping for grouping in CLIP_GROUPINGS}
    fps = dict(by["fps"].groups(pd.Series([29.97, 15.0])))
    assert fps["30 to 59"].tolist() == [True, False]
    yaw = dict(by["yaw_deg"].groups(pd.Series([-12.0, 12.0])))
    assert yaw["10 to 15"].tolist() == [True, True]
    assert [name for name, _ in by["jpeg"].groups(pd.Series([0, 70, 95]))] == [
        "none",
        "under 80",
        "90 or more",
    ]


@given(
    st.sampled_from([one for one in CLIP_GROUPINGS if one.edges]),
    st.lists(st.floats(-500, 500) | st.just(float("nan")), min_size=1, max_size=30),
)
def test_every_number_is_in_one_group_and_no_number_in_none(
    grouping: Grouping, values: list[float]
) -> None:
    members = [chosen for _, chosen in grouping.groups(pd.Series(values))]
    memberships = np.sum([np.zeros(len(values)), *members], axis=0)
    assert memberships.tolist() == [float(not np.isnan(value)) for value in values]


def test_tables_without_the_simulators_columns_leave_groups_out_and_say_so() -> None:
    clips = clip_table().drop(columns=["subject", "kind"])
    truth = true_events(("a", 1.0, 1.4, "positive"))
    figures, _ = measure(clips, truth, spotted_events(("b", 1.0, 1.4, "positive")), CLASSES)
    assert figures.source == RECORDED
    assert figures.clip_groups == []
    assert figures.whole.subjects is None
    notes = " ".join(figures.notes)
    for word in ("fps", "yaw_deg", "skin", "units", "names the subjects", "activities in a clip"):
        assert word in notes
    assert figures.false_by_cause[0].cause == "unknown"
    assert "Label" not in notes


def test_simulated_people_are_said_to_be_simulated() -> None:
    figures, _ = hand_made()
    assert figures.source == SIMULATED_NOTE
    assert SIMULATED_NOTE in summary(figures)


def test_moved_photographs_are_not_said_to_be_simulated_people() -> None:
    clips = clip_table(skin=[np.nan, np.nan], seed=[1, 1])
    figures, _ = measure(clips, true_events(("a", 1.0, 1.4, "positive")), spotted_events(), CLASSES)
    assert figures.source == PHOTOGRAPHED
    assert "moved by simulated expressions" in summary(figures)


def test_people_whom_the_model_knows_are_refused() -> None:
    facts = {"subjects": ["ann"], "thresholds": {"f1": 0.5, "subjects": ["ben"]}}
    spec = dataclasses.replace(load_recipe("kilas").spec, provenance=facts)
    check_subjects_unseen(spec, ["cleo"], with_thresholds=True)
    with pytest.raises(KilasError, match="trained on ann"):
        check_subjects_unseen(spec, ["ann", "cleo"])
    check_subjects_unseen(spec, ["ben"])  # thresholds may be chosen anew on the same people
    with pytest.raises(KilasError, match="thresholds were chosen on ben"):
        check_subjects_unseen(spec, ["ben", "cleo"], with_thresholds=True)


def test_the_model_that_ships_is_its_recipes_and_its_figures_are_its_own() -> None:
    path = WEIGHTS_FOLDER / "kilas.onnx"
    spec, recipe = Model.load(path).spec, load_recipe("kilas")
    wanted = json.loads(json.dumps(weights_from(dataclasses.asdict(recipe))))
    assert weights_from(spec.provenance["recipe"]) == wanted
    assert spec.provenance["export"]["both_sides"] == recipe.both_sides
    measured = spec.provenance["results"]["about"]["model"]
    assert measured["weights_sha256"] == weights_sha256(path)
    assert SpottingSpec(**measured["spotting"]) == spec.spotting


def test_the_hash_of_weights_knows_weights_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    file = onnx.load(WEIGHTS_FOLDER / "kilas.onnx")
    onnx.save(file, path)
    before = weights_sha256(path)
    onnx.helper.set_model_props(file, {"kilas": "other figures"})
    onnx.save(file, path)
    assert weights_sha256(path) == before
    values = onnx.numpy_helper.to_array(file.graph.initializer[0]).copy()
    values.flat[0] += 1
    name = file.graph.initializer[0].name
    file.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, name))
    onnx.save(file, path)
    assert weights_sha256(path) != before


def test_without_a_micro_expression_only_false_events_count() -> None:
    nothing = true_events().astype({"clip": str, "label": str})
    figures, _ = measure(
        clip_table(), nothing, spotted_events(("a", 1.0, 1.3, "positive")), CLASSES
    )
    assert figures.whole.figures["f1"].value is None
    assert figures.whole.figures["false_per_minute"].value == pytest.approx(0.5)
    assert "unknown" in summary(figures)
    assert "0.50" in evaluation_page(figures)


def test_nothing_spotted_is_no_error() -> None:
    figures, spotted = measure(
        clip_table(), true_events(("a", 1.0, 1.4, "positive")), spotted_events(), CLASSES
    )
    assert len(spotted) == 0
    assert figures.whole.figures["f1"].value == 0.0
    assert figures.whole.timing == {}
    assert "<h2>Timing" not in evaluation_page(figures)


event_rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 50), st.sampled_from(CLASSES)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=8, deadline=None)
@given(event_rows, event_rows, st.randoms())
def test_figures_are_shares_inside_their_intervals_whatever_the_order(
    truth_rows: list[tuple[str, int, str]],
    spotted_rows: list[tuple[str, int, str]],
    random: Random,
) -> None:
    truth = true_events(*{(c, 1.0 * t, t + 0.4, label) for c, t, label in truth_rows})
    spotted = spotted_events(*((c, t + 0.05, t + 0.5, label) for c, t, label in spotted_rows))
    clips = clip_table(subject=["x", "x", "y", "z"])
    figures, told = measure(clips, truth, spotted, CLASSES)
    for name, one in figures.whole.figures.items():
        assert one.low is not None
        assert one.high is not None
        assert 0 <= one.low <= one.high
        assert one.high <= 1 or name == "false_per_minute"
    shuffled, _ = measure(
        clips, truth.sample(frac=1, random_state=random.randrange(99)), spotted, CLASSES
    )
    assert shuffled.whole.figures["f1"] == figures.whole.figures["f1"]
    assert sum(map(sum, figures.confusion)) + sum(figures.missed) == len(truth)
    assert len(figures.false_events) == (~told["matched"]).sum()


def test_the_page_stands_alone_and_the_files_hold_everything(tmp_path: Path) -> None:
    figures, spotted = hand_made()
    figures.missed_events[0]["clip"] = "<b>&.mp4"
    report = write_evaluation(tmp_path / "new" / "folder", figures, spotted)
    text = report.read_text(encoding="utf-8")
    assert figures.source in html.unescape(text)
    assert "<script" not in text
    assert "&lt;b&gt;&amp;.mp4" in text
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith("data:image/svg+xml")
    assert "url(" not in text
    assert len(re.findall(r'<img alt="[^"]{10,}"', text)) == text.count("<img")
    assert text.count("<img") >= 4
    assert "What was said (columns) of what was true (rows)" in text
    stored = json.loads((report.parent / "figures.json").read_text())
    assert stored["whole"]["figures"]["f1"]["value"] == pytest.approx(4 / 9)
    assert len(stored["false_events"]) == 3
    table = pd.read_csv(report.parent / "events.csv")
    assert table["matched"].sum() == 2
    assert set(EVENT_COLUMNS) <= set(table.columns)


def test_the_same_figures_make_the_same_page() -> None:
    assert evaluation_page(hand_made()[0]) == evaluation_page(hand_made()[0])


def test_labels_without_a_kind_are_micro_expressions(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("clip,onset_s,apex_s,offset_s,label\n007,1,1.2,1.4,positive\n")
    truth = read_truth(path)
    assert truth["kind"].tolist() == ["micro"]
    assert truth["clip"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip,onset_s\na,1\n", "apex_s"),
        ("clip,onset_s,apex_s,offset_s,label\na,1,2,3,x\na,3,2,1,x\n", "Line 3"),
        ("clip,onset_s,apex_s,offset_s,label\na,1,,3,x\n", "Line 2"),
        ("clip,onset_s,apex_s,offset_s,label,kind\na,1,2,3,x,tiny\n", "tiny"),
        ("", "header"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(KilasError, match=said):
        read_truth(path)


def test_without_clips_csv_every_video_is_a_clip(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.avi", "notes.txt"):
        (tmp_path / name).touch()
    assert read_clips(tmp_path)["clip"].tolist() == ["a.avi", "b.MP4"]


def test_a_folder_with_nothing_to_watch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KilasError, match="no videos"):
        read_clips(tmp_path)
    with pytest.raises(KilasError, match="no folder"):
        read_clips(tmp_path / "nowhere")
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text("clip\na.mp4\na.mp4\n")
    with pytest.raises(KilasError, match=r"Line 3 of .*clips\.csv names a\.mp4 a second time"):
        read_clips(tmp_path)


@pytest.mark.parametrize(
    ("clip", "label", "said"), [("c.mp4", "positive", "c.mp4"), ("a.mp4", "joy", "joy")]
)
def test_labels_that_fit_nothing_are_refused_before_any_video_is_watched(
    tmp_path: Path, clip: str, label: str, said: str
) -> None:
    (tmp_path / "a.mp4").touch()
    labels = tmp_path / "labels.csv"
    labels.write_text(f"clip,onset_s,apex_s,offset_s,label\n{clip},1,1.2,1.4,{label}\n")
    with pytest.raises(KilasError, match=said):
        evaluate(tmp_path, labels, "kilas", 1)


def test_labels_beyond_the_end_of_a_clip_are_refused_before_any_video_is_watched(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "a.mp4", steady(30, 60))
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,onset_s,apex_s,offset_s,label\na.mp4,1000,1200,1400,positive\n")
    with pytest.raises(KilasError, match=r"until 1400 s in a\.mp4, which ends at 2\.0 s"):
        evaluate(tmp_path, labels, "kilas", 1)
