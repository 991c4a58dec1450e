"""FER2013: the competition's table, and folders of pictures by class."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.errors import KilasError, SourceError
from support.dataset_layouts import Cells, still, write_fer2013, write_fer2013_folders
from training.datasets import read_dataset
from training.datasets.fer2013 import read_still
from training.datasets.records import StillFile, StillRow


def test_each_line_is_a_clip_of_one_still(tmp_path: Path) -> None:
    write_fer2013(tmp_path, stills=21)
    found = read_dataset("fer2013", tmp_path)
    assert len(found.clips) == len(found.table) == 21
    assert found.table["emotion"].tolist()[:7] == [
        *("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    ]
    assert found.table["usage"].tolist() == (
        ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
    )
    assert {one.subject for one in found.clips} == {""}
    assert found.clips[3].clip == "00005"
    assert found.skipped == ()


def test_stills_are_read_one_by_one_in_any_order(tmp_path: Path) -> None:
    write_fer2013(tmp_path, stills=9)
    clips = read_dataset("fer2013", tmp_path).clips
    for number in (8, 0, 4):
        picture = read_still(clips[number].frames)
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, still(number))


def test_the_table_itself_may_be_given(tmp_path: Path) -> None:
    write_fer2013(tmp_path)
    assert len(read_dataset("fer2013", tmp_path / "fer2013.csv").table) == 21


def test_other_line_ends_quotes_columns_and_names(tmp_path: Path) -> None:
    lines = ["emotion, Usage, pixels"]
    for number in range(3):
        pixels = " ".join(map(str, still(number).ravel()))
        lines.append(f'{number}, Training,"{pixels}"')
    (tmp_path / "icml_face_data.csv").write_bytes(
        b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\r\n"
    )
    found = read_dataset("fer2013", tmp_path)
    for number, clip in enumerate(found.clips):
        assert np.array_equal(read_still(clip.frames), still(number))
    assert len(found.clips) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixels": "1 2 3"}, "pixels are not 2304 numbers from 0 to 255; the line is damaged"),
        ({"pixels": " ".join(["1"] * 2303 + ["256"])}, "pixels are not 2304 numbers"),
        ({"pixels": " ".join(["1"] * 2303 + ["x"])}, "pixels are not 2304 numbers"),
        ({"pixels": " ".join(["1"] * 2305)}, "pixels are not 2304 numbers"),
        ({"emotion": 7}, "the emotion '7' is none of angry, disgust, fear"),
        ({"emotion": "bored"}, "the emotion 'bored' is none of angry"),
        ({"Usage": "Trainig"}, "Usage is 'Trainig', which is no part of FER2013; correct"),
    ],
)
def test_a_line_that_cannot_be_is_skipped(change: Cells, said: str, tmp_path: Path) -> None:
    write_fer2013(tmp_path, edit=lambda rows: rows[4].update(change))
    found = read_dataset("fer2013", tmp_path)
    (skip,) = found.skipped
    assert skip.where == "fer2013.csv, row 6"
    assert skip.why.startswith(said)
    assert len(found.clips) == 20
    assert np.array_equal(read_still(found.clips[4].frames), still(5))


def test_a_line_that_is_cut_off_is_skipped(tmp_path: Path) -> None:
    write_fer2013(tmp_path)
    whole = (tmp_path / "fer2013.csv").read_bytes()
    (tmp_path / "fer2013.csv").write_bytes(whole[:-100])
    (skip,) = read_dataset("fer2013", tmp_path).skipped
    assert skip.where == "fer2013.csv, row 22"
    assert skip.why == "there are 2 cells; the line is cut off, get the file again"


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("emotion,pixels\n0,1 2 3\n")
    with pytest.raises(KilasError, match=r"has no column Usage; .* emotion,pixels,Usage"):
        read_dataset("fer2013", tmp_path)


def test_no_line_left_is_refused(tmp_path: Path) -> None:
    write_fer2013(tmp_path, edit=lambda rows: [row.update(pixels="1") for row in rows])
    with pytest.raises(KilasError, match=r"No row of .*fer2013\.csv is left, 21 cannot be used"):
        read_dataset("fer2013", tmp_path)


def test_copies_of_training_stills_in_other_parts_are_marked(tmp_path: Path) -> None:
    def edit(rows: list[Cells]) -> None:
        rows[8]["pixels"] = rows[2]["pixels"]
        rows[3]["pixels"] = rows[2]["pixels"]
        rows[20]["pixels"] = rows[19]["pixels"]

    write_fer2013(tmp_path, edit=edit)
    found = read_dataset("fer2013", tmp_path)
    assert found.table["clip"][found.table["is_copy"]].tolist() == ["00010"]
    assert found.table["is_copy"].dtype == bool
    assert found.notes == ("Stills of other parts that are exact copies of stills of Training: 1.",)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_copy_is_known_by_its_pixels_whatever_the_format(channels: int, tmp_path: Path) -> None:
    shape = (48, 48, channels)
    one, other = (np.random.default_rng(n).integers(0, 256, shape, np.uint8) for n in range(2))
    for name, image in (
        ("train/happy/a.png", one),
        ("test/happy/a.bmp", one),
        ("test/sad/b.tiff", one),
        ("test/sad/c.png", other),
        ("train/fear/d.png", one),
        ("train/fear/flat.png", one.reshape(24, 96, channels)),
        ("test/fear/e.png", other.reshape(24, 96, channels)),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), image)
    # What cannot be read is no copy of what cannot be read either.
    for name in ("train/sad/x.png", "test/sad/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    found = read_dataset("fer2013", tmp_path)
    assert set(found.table["clip"][found.table["is_copy"]]) == {
        "test/happy/a.bmp",
        "test/sad/b.tiff",
    }
    assert found.table["is_copy"].dtype == bool
    assert len(found.table) == 9


def test_odd_entries_are_named_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_fer2013_folders(root)
    happy = root / "train" / "happy"
    (happy / "dead.png").symlink_to(tmp_path / "nowhere.png")
    (happy / "x.png").mkdir()
    (happy / "moving.GIF").write_bytes(b"GIF89a")
    (happy / "phone.heic").write_bytes(b"")
    (happy / "notes.txt").write_bytes(b"")
    (happy / ".hidden.gif").write_bytes(b"")
    (root / "fer2013.csv").mkdir()
    (root / "icml_face_data.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "elsewhere").mkdir()
    (root / "train" / "linked").symlink_to(tmp_path / "elsewhere")
    found = read_dataset("fer2013", root)
    assert len(found.clips) == 28
    gone = "there is no file behind it; put the file in its place"
    link = "it is a link to a folder, which is not followed; put the folder in its place"
    assert sorted((one.where, one.why) for one in found.skipped) == sorted(
        [
            ("train/happy/dead.png", gone),
            (
                "train/happy/x.png",
                "it is a folder, called like a picture; put the picture in its place",
            ),
            ("train/happy/moving.GIF", ".GIF pictures are not read; save it as PNG"),
            ("train/happy/phone.heic", ".heic pictures are not read; save it as PNG"),
            (str(root / "icml_face_data.csv"), gone),
            (str(root / "train" / "linked"), link),
        ]
    )


def test_a_table_within_a_folder_of_its_name_is_read(tmp_path: Path) -> None:
    write_fer2013(tmp_path / "fer2013.csv")
    (tmp_path / "icml_face_data.csv").symlink_to(tmp_path / "nowhere.csv")
    found = read_dataset("fer2013", tmp_path)
    assert len(found.table) == 21
    (skip,) = found.skipped
    assert skip.where == str(tmp_path / "icml_face_data.csv")
    (tmp_path / "fer2013.csv" / "fer2013.csv").unlink()
    with pytest.raises(KilasError, match=r"1 cannot be used: .*icml_face_data\.csv: there is no f"):
        read_dataset("fer2013", tmp_path)


def test_folders_without_a_class_count_their_pictures_only(tmp_path: Path) -> None:
    write_fer2013_folders(tmp_path / "all.png")
    found = read_dataset("fer2013", tmp_path)
    assert len(found.clips) == 28
    assert found.skipped == ()


def test_pictures_by_class(tmp_path: Path) -> None:
    write_fer2013_folders(tmp_path, each=2)
    found = read_dataset("fer2013", tmp_path)
    assert len(found.clips) == 28
    by_usage = found.table.groupby("usage")["emotion"].value_counts()
    assert set(by_usage) == {2}
    assert set(found.table["usage"]) == {"Training", "Test"}
    last = found.clips[-1]
    assert isinstance(last.frames, StillFile)
    assert last.clip == "train/surprise/Train_51.png"
    assert np.array_equal(read_still(last.frames), still(51))
    assert found.skipped == ()
    assert found.notes == (
        "Stills of other parts that are exact copies of stills of Training: 14.",
    )


def test_folders_of_classes_alone_and_in_other_words(tmp_path: Path) -> None:
    write_fer2013_folders(tmp_path / "all")
    root = tmp_path / "root"
    shutil.copytree(tmp_path / "all" / "train", root)
    (root / "happy").rename(root / "Happiness")
    (root / "angry").rename(root / "0")
    found = read_dataset("fer2013", root)
    assert set(found.table["usage"]) == {""}
    assert found.table["emotion"].value_counts().to_dict() == dict.fromkeys(
        ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), 2
    )


def test_a_folder_of_another_class_is_skipped_as_one(tmp_path: Path) -> None:
    write_fer2013_folders(tmp_path)
    (tmp_path / "train" / "sad").rename(tmp_path / "train" / "contempt")
    found = read_dataset("fer2013", tmp_path)
    (skip,) = found.skipped
    assert skip.where == f"{tmp_path / 'train' / 'contempt'}, 2 pictures"
    assert skip.why.startswith("the emotion 'contempt' is none of angry")


def test_a_still_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"a\.png cannot be read as a picture; copy it again"):
        read_still(StillFile(tmp_path / "a.png"))
    assert cv2.imwrite(str(tmp_path / "b.jpg"), still(0))
    whole = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2])
    for gone in ("b.jpg", "c.jpg"):
        with pytest.raises(SourceError, match=f"{gone} cannot be read as a picture; copy it"):
            read_still(StillFile(tmp_path / gone))
    write_fer2013(tmp_path)
    with pytest.raises(SourceError, match="has changed while it was used"):
        read_still(StillRow(tmp_path / "fer2013.csv", 3))
    with pytest.raises(SourceError, match="cannot be read"):
        read_still(StillRow(tmp_path / "gone.csv", 0))


def test_the_development_copy_has_the_copies_that_are_known(
    shared_data: Path, tmp_path: Path
) -> None:
    """280 stills of PublicTest are copies of stills of Training: all that can be, and as many."""
    with np.load(shared_data / "fer2013_dev.npz", allow_pickle=False) as data:
        pictures, emotions, usages = data["X"], data["y"], data["usage"].astype(str)
    keys = [picture.tobytes() for picture in pictures]
    trained = {key for key, usage in zip(keys, usages, strict=True) if usage == "Training"}
    copied = [n for n, key in enumerate(keys) if usages[n] != "Training" and key in trained]
    assert len(copied) == 280
    chosen = copied[:20] + [
        n for n, key in enumerate(keys) if key in {keys[m] for m in copied[:20]}
    ]

    def edit(rows: list[Cells]) -> None:
        for row, number in zip(rows, sorted(set(chosen)), strict=True):
            row["emotion"], row["Usage"] = emotions[number], usages[number]

    order = sorted(set(chosen))
    write_fer2013(
        tmp_path, stills=len(order), picture=lambda place: pictures[order[place]], edit=edit
    )
    found = read_dataset("fer2013", tmp_path)
    assert found.table["is_copy"].sum() == sum(usages[n] != "Training" for n in order)
