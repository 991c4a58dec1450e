"""Tables beside labelled videos: what training cannot use is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import KilasError
from training.annotations.tables import read_activities, read_clips, read_events, read_truth

COLUMNS = "clip,onset_s,apex_s,release_s,offset_s,label,kind,intensity,units"
GOOD = "a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,6+12L*0.6"


def events_csv(folder: Path, *rows: str) -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return path


def test_events_are_read_with_their_course(tmp_path: Path) -> None:
    (event,) = read_events(events_csv(tmp_path, GOOD))["a.mp4"]
    assert (event.release_s, event.intensity, event.units) == (1.3, 0.5, "6+12L*0.6")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.mp4,1,1.2,soon,1.5,positive,micro,0.5,12", "no release"),
        ("a.mp4,1,1.2,,1.5,positive,micro,0.5,12", "no release"),
        ("a.mp4,1,1.2,1.1,1.5,positive,micro,0.5,12", "no release"),
        ("a.mp4,1,1.2,1.6,1.5,positive,micro,0.5,12", "no release"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0,12", "no intensity"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,,12", "no intensity"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,inf,12", "no intensity"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,strong,12", "no intensity"),
        ("a.mp4,1,1.2,1.3,1.5,,micro,0.5,12", "no label"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,", "unknown units"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,3", "unknown units"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,12+", "unknown units"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,12M", "unknown units"),
        ("a.mp4,1,1.2,1.3,1.5,positive,micro,0.5,12*much", "unknown units"),
        (",1,1.2,1.3,1.5,positive,micro,0.5,12", "names no clip"),
    ],
)
def test_an_event_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, row: str, said: str
) -> None:
    with pytest.raises(KilasError, match=f"Line 3 .*{said}"):
        read_events(events_csv(tmp_path, GOOD, row))


def test_an_empty_clip_cell_is_refused_in_all_tables(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text("clip,subject\na.mp4,ann\n,ben\n")
    with pytest.raises(KilasError, match=r"Line 3 of .*clips\.csv names no clip"):
        read_clips(tmp_path)
    (tmp_path / "activities.csv").write_text("clip,start_s,end_s,kind\n,1,2,speech\n")
    with pytest.raises(KilasError, match=r"Line 2 of .*activities\.csv names no clip"):
        read_activities(tmp_path)


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text("clip\na.mp4\nb.mp4\n")
    with pytest.raises(KilasError, match=r"names b\.mp4"):
        read_clips(tmp_path)


def test_a_table_without_events_is_no_error(tmp_path: Path) -> None:
    assert read_events(events_csv(tmp_path)) == {}


@pytest.mark.parametrize(
    ("header", "row", "encoding", "end"),
    [
        ("clip, onset_s, apex_s, offset_s, label", "a.mp4, 0.5, 0.7, 0.9, wink", "utf-8", "\n"),
        ("clip;onset_s;apex_s;offset_s;label", "a.mp4;0,5;0,7;0,9;wink", "utf-8-sig", "\r\n"),
        ("clip;onset_s;apex_s;offset_s;label", "a.mp4;0.5;0.7;0.9;wink", "utf-8", "\n"),
        ("clip\tonset_s\tapex_s\toffset_s\tlabel", "a.mp4\t0,5\t0.7\t0.9\twink", "utf-16", "\r\n"),
        ("Clip,Onset S,APEX_S,offset_s ,Label", "a.mp4,0.5,0.7,0.9,wink", "utf-8", "\r"),
        ("sep=;\nclip;onset_s;apex_s;offset_s;label", "a.mp4;0,5;0,7;0,9;wink", "utf-8", "\n"),
        ('"clip","onset_s",apex_s,offset_s,label', '"a.mp4","0.5",0.7,0.9,"wink"', "utf-8", "\n"),
        ("clip;onset_s;apex_s;offset_s;label;x", "a.mp4;0,5;0,7;0,9;wink;ü, ö", "cp1252", "\n"),
    ],
)
def test_tables_are_read_as_programs_of_all_countries_write_them(
    tmp_path: Path, header: str, row: str, encoding: str, end: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(f"{header}\n{row}\n".replace("\n", end).encode(encoding))
    (event,) = read_truth(path).to_dict("records")
    assert (event["clip"], event["label"], event["kind"]) == ("a.mp4", "wink", "micro")
    assert (event["onset_s"], event["apex_s"], event["offset_s"]) == (0.5, 0.7, 0.9)


@pytest.mark.parametrize("subject", ["NA", "None", "null", "007", "1.0", "nan"])
def test_text_stays_text(tmp_path: Path, subject: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "clips.csv").write_text(f"clip,subject\na.mp4,{subject}\n")
    assert read_clips(tmp_path)["subject"].tolist() == [subject]


def test_a_wrong_line_is_counted_with_the_line_that_states_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("sep=;\nclip;onset_s;apex_s;offset_s;label\na.mp4;9;1;2;wink\n")
    with pytest.raises(KilasError, match="Line 3 of"):
        read_truth(path)
