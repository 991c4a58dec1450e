"""The files that arguments mean, and the names of their session folders."""

from __future__ import annotations

import json
import os
import random
import unicodedata
from datetime import datetime
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.batch.inputs import find_inputs, find_pictures_and_videos
from realtime.errors import SourceError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def folders(*patterns: Path | str, out: Path | None = None) -> list[str]:
    return [one.folder for one in find_inputs([str(pattern) for pattern in patterns], out)]


def hold_session(folder: Path, source: Path, **stated: object) -> None:
    """Write what an analysis of `source` leaves in `folder`."""
    modified = datetime.fromtimestamp(source.stat().st_mtime).astimezone().isoformat()
    about = {"name": source.name, "bytes": source.stat().st_size, "modified": modified, **stated}
    folder.mkdir(parents=True)
    facts = {"status": "complete", "model": {}, "source": about}
    (folder / "session.json").write_text(json.dumps(facts))


def test_a_folder_means_all_videos_below_it_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/talk.mp4", "a.AVI", "b/notes.txt", "c/deep/er/x.mov", ".hidden.mp4")
    touch(tmp_path, ".cache/y.mp4")
    assert folders(tmp_path) == ["a", "b/talk", "c/deep/er/x"]
    assert find_inputs([str(tmp_path)])[0].path == tmp_path / "a.AVI"


def test_videos_of_every_kind_that_cameras_write_are_taken(tmp_path: Path) -> None:
    names = ["a.ts", "b.VOB", "c.dv", "d.3g2", "e.f4v", "f.m2ts", "g.mkv", "h.dav", "i.ogm"]
    touch(tmp_path, *names, "j.csv", "k.wav", "l.json")
    assert folders(tmp_path) == [name[0] for name in names]


def test_a_file_may_be_named_by_its_address(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4")
    assert folders((tmp_path / "a b.mp4").as_uri(), tmp_path / "a b.mp4") == ["a b"]
    assert folders(tmp_path.as_uri()) == ["a b"]


def test_videos_that_kilas_made_are_left_out_of_folders_and_globs(tmp_path: Path) -> None:
    touch(tmp_path, "s/session.json", "s/video.mp4", "s/clean.mp4", "s/clips/event-0001.mp4")
    touch(tmp_path, "s/phone.mp4", "mine/video.mp4", "mine/clips/one.mp4")
    assert folders(tmp_path) == ["mine/clips/one", "mine/video", "s/phone"]
    assert sorted(folders(tmp_path / "**" / "*.mp4")) == ["one", "phone", "video"]
    assert folders(tmp_path / "s" / "video.mp4") == ["video"]  # asked for by its name


def test_a_glob_is_what_its_matches_are(tmp_path: Path) -> None:
    touch(tmp_path, "p1/a.mp4", "p1/notes.txt", "p2/b.mp4", "p2/deep/c.mkv", "p2/d.dat")
    assert folders(tmp_path / "p1" / "*") == ["a"]
    assert folders(tmp_path / "p*") == folders(tmp_path / "p1", tmp_path / "p2")
    assert folders(tmp_path / "**" / "*") == ["a", "b", "c"]
    assert folders(tmp_path / "**" / "*.dat") == ["d"]  # an ending that was asked for
    touch(tmp_path, "take[1].mp4", "take1.mp4")
    assert folders(tmp_path / "take[1].mp4") == ["take[1]"]  # the file itself


def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt")
    for pattern, words in {
        tmp_path / "talk.mp4": "no file or folder .*talk",
        tmp_path / "empty": "holds no video",
        tmp_path / "*.mp4": r"No video file matches .*\*\.mp4",
    }.items():
        with pytest.raises(SourceError, match=words):
            find_inputs([str(pattern)])


def test_an_empty_name_does_not_mean_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "talk.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="name of a file to analyze is empty"):
        find_inputs([""])


def test_a_file_that_is_named_twice_is_meant_once(tmp_path: Path) -> None:
    touch(tmp_path, "day/talk.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "day" / "talk.mp4")
    for patterns in (
        (tmp_path / "day" / "talk.mp4", tmp_path / "day" / ".." / "day" / "talk.mp4"),
        (tmp_path / "day", tmp_path),
        (tmp_path, tmp_path / "day"),
    ):
        inputs = find_inputs([str(pattern) for pattern in patterns])
        assert len(inputs) == 1
    assert folders(tmp_path, tmp_path / "day") == folders(tmp_path / "day", tmp_path)


def test_names_that_would_be_one_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "talk.mp4", "talk.avi", "a/x.mp4", "b/x.mp4", "y.mp4", "u/a/z.mp4", "v/a/z.mp4")
    assert folders(tmp_path / "talk.mp4", tmp_path / "talk.avi") == ["talk.mp4", "talk.avi"]
    assert folders(tmp_path / "b/x.mp4", tmp_path / "y.mp4", tmp_path / "a/x.mp4") == [
        "b/x.mp4",
        "y",
        "a/x.mp4",
    ]
    assert folders(tmp_path / "u/a/z.mp4", tmp_path / "v/a/z.mp4") == ["u/a/z.mp4", "v/a/z.mp4"]
    assert folders(tmp_path / "u", tmp_path / "v") == ["u/a/z.mp4", "v/a/z.mp4"]


def test_file_systems_that_ignore_case_are_thought_of(tmp_path: Path) -> None:
    touch(tmp_path, "Talk.mp4", "talk.mp4")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system ignores case")
    names = folders(tmp_path)
    assert len({name.casefold() for name in names}) == 2


def test_no_session_lies_in_another(tmp_path: Path) -> None:
    touch(tmp_path, "talk.mp4", "talk/clips.mp4")
    assert folders(tmp_path) == ["talk/clips", "talk.mp4"]
    touch(tmp_path, "mine/summary.csv.mp4")
    assert folders(tmp_path / "mine") == ["summary.csv.mp4"]  # beside summary.csv itself


def test_a_session_that_is_there_keeps_its_name_when_files_are_added(tmp_path: Path) -> None:
    out, study = tmp_path / "out", tmp_path / "study"
    touch(study, "a.mkv")
    assert folders(study, out=out) == ["a"]
    hold_session(out / "a", study / "a.mkv")
    touch(study, "a.mp4", "a/b.mp4")
    assert folders(study, out=out) == ["study/a/b.mp4", "a", "a.mp4"]
    assert folders(study / "a.mp4", study / "a.mkv", out=out) == ["a.mp4", "a"]
    assert folders(study) == ["a/b", "a.mkv", "a.mp4"]


@pytest.mark.parametrize(
    "stated",
    [
        {"name": "b.mkv"},
        {"bytes": 5},
        {"modified": "2020-01-01T00:00:00+00:00"},
        {"modified": 5},
        {"modified": None},
        {"bytes": "many"},
    ],
)
def test_a_session_of_another_file_or_none_gives_no_name(
    tmp_path: Path, stated: dict[str, object]
) -> None:
    touch(tmp_path, "study/a.mkv", "study/a.mp4")
    hold_session(tmp_path / "out" / "a", tmp_path / "study" / "a.mkv", **stated)
    assert folders(tmp_path / "study", out=tmp_path / "out") == ["a.mkv", "a.mp4"]


def test_copies_of_a_file_share_no_session(tmp_path: Path) -> None:
    out = tmp_path / "out"
    touch(tmp_path, "u/a.mp4", "v/a.mp4")
    for folder in "uv":
        os.utime(tmp_path / folder / "a.mp4", (1e9, 1e9))
    hold_session(out / "a", tmp_path / "v" / "a.mp4")
    assert folders(tmp_path / "u", tmp_path / "v", out=out) == ["a", "a.mp4"]
    assert folders(tmp_path / "v", tmp_path / "u", out=out) == ["a.mp4", "a"]


NAMES = st.sampled_from(
    ["a", "b", "A", "con", "a.", "é", "e\u0301", "x?y", "x:y", " ", "a b", "x..y"]
)
FILES = st.builds(
    lambda parts, suffix: "/".join(parts) + suffix,
    st.lists(NAMES, min_size=1, max_size=3),
    st.sampled_from([".mp4", ".avi"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FILES, min_size=1, max_size=8, unique=True), st.integers(0, 2**16), st.booleans())
def test_names_are_different_valid_and_do_not_depend_on_the_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[str], seed: int, as_folder: bool
) -> None:
    base = tmp_path_factory.mktemp("files")
    touch(base, *files)
    patterns = [str(base / file) for file in files] + [str(base)] * as_folder
    found = {one.path.resolve(): one.folder for one in find_inputs(patterns)}
    assert len(found) == len(files)
    keys = {unicodedata.normalize("NFC", name.casefold()) for name in found.values()}
    assert len(keys) == len(files)
    for name in found.values():
        assert not set('<>:"\\|?*') & set(name)
        for part in PurePosixPath(name).parts:
            assert part == part.rstrip(". ")
            assert part.split(".")[0].casefold() not in ("con", "")
        above = {str(one).casefold() for one in PurePosixPath(name).parents}
        assert not above & {key for key in keys if key != "."}
    random.Random(seed).shuffle(patterns)
    again = {one.path.resolve(): one.folder for one in find_inputs(patterns)}
    assert again == found


def test_pictures_and_videos_are_told_apart_and_counted_as_people_do(tmp_path: Path) -> None:
    touch(tmp_path, "s10.PNG", "s9.jpeg", "b/s1.tif", "b/talk.mp4", "notes.txt", ".x.png")
    touch(tmp_path, "old/session.json", "old/video.mp4", "old/clips/event-0001.png")
    pictures, videos = find_pictures_and_videos([str(tmp_path)])
    assert [one.name for one in pictures] == ["b/s1.tif", "s9.jpeg", "s10.PNG"]
    assert [one.folder for one in videos] == ["b/talk"]
    (alone,), none = find_pictures_and_videos([str(tmp_path / "b" / "s1.tif")])
    assert alone.name == (tmp_path / "b" / "s1.tif").as_posix()
    assert none == []
    matches, _ = find_pictures_and_videos([str(tmp_path / "s*")])
    assert [one.path.name for one in matches] == ["s9.jpeg", "s10.PNG"]


def test_pictures_of_formats_that_are_not_read_are_pictures_all_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "phone.HEIC", "still.gif", "talk.mp4", "notes.txt")
    for patterns in (
        [tmp_path],
        [tmp_path / "*"],
        [tmp_path / "phone.HEIC", tmp_path / "still.gif"],
    ):
        pictures, _ = find_pictures_and_videos([str(one) for one in patterns])
        assert [one.path.name for one in pictures] == ["phone.HEIC", "still.gif"]
    assert folders(tmp_path) == ["talk"]


def test_no_two_pictures_have_one_name(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.png", "one/b.png", "two/a.png")
    patterns = [str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "one" / "b.png")]
    pictures, _ = find_pictures_and_videos(patterns)
    assert [one.name for one in pictures] == [
        (tmp_path / name).as_posix() for name in ("one/a.png", "one/b.png", "two/a.png")
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no picture or video"):
        find_pictures_and_videos([str(tmp_path / "one"), str(tmp_path / "empty")])
