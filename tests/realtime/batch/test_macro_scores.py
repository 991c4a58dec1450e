"""Macro-expressions in pictures and videos, and the tables about them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from realtime.batch.macro_scores import MAX_FACES, StillsSummary, analyze_stills, format_summary
from realtime.earlier_sessions import Wanted, make_room
from realtime.errors import KilasError, ModelError, RecordingError, SourceError
from realtime.macro.face_crops import Cut
from realtime.macro.model import MacroModel
from realtime.sources.images import read_picture
from stream import app
from support.paths import ROOT

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def head(astronaut_bgr: Picture) -> Picture:
    """uint8 [240, 240, 3]: a woman who smiles."""
    return np.ascontiguousarray(astronaut_bgr[10:250, 105:345])


def save(path: Path, image: npt.NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def save_video(path: Path, pictures: Sequence[Picture], rate_hz: int = 10) -> Path:
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def run(
    out: Path, *inputs: Path | str, faces: Cut = "landmarks", max_faces: int = MAX_FACES
) -> StillsSummary:
    return analyze_stills(list(map(str, inputs)), out, faces=faces, max_faces=max_faces)


def table_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path / "scores.csv", keep_default_na=True)


def by_file(out: Path) -> dict[str, str]:
    """The rows of a table without its first column, by that."""
    lines = (out / "scores.csv").read_text().splitlines()[1:]
    return {line.partition(",")[0]: line.partition(",")[2] for line in lines}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, head: Picture) -> Path:
    """A folder with all kinds of pictures."""
    folder = tmp_path_factory.mktemp("mixed")
    save(folder / "face10.png", head)
    save(folder / "face9.jpg", head)
    save(folder / "deep" / "gray.pgm", cv2.cvtColor(head, cv2.COLOR_BGR2GRAY))
    save(folder / "deep" / "16bit.png", head.astype(np.uint16) * 257)
    save(folder / "deep" / "rgba.png", cv2.cvtColor(head, cv2.COLOR_BGR2BGRA))
    save(folder / "deep" / "big.tif", cv2.resize(head, None, fx=6, fy=6))
    turned = Image.fromarray(np.rot90(head[..., ::-1]).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter clockwise
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    tight = cv2.resize(head[50:185, 55:190], (48, 48), interpolation=cv2.INTER_AREA)
    save(folder / "tight.bmp", tight)
    save(folder / "wall.png", np.full((120, 160, 3), 127, np.uint8))
    save(folder / "dot.png", np.zeros((1, 1), np.uint8))
    (folder / "cut.jpg").write_bytes((folder / "face9.jpg").read_bytes()[:200])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("no picture")
    save(folder / ".hidden.png", head)
    return folder


def test_every_picture_of_a_folder_has_its_row(
    mixed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    summary = run(tmp_path, mixed)
    table = table_of(tmp_path)
    assert list(table) == ["file", "face_id", "success", *LABELS, "label"]
    assert list(table["file"]) == [  # in the order in which people count
        *("cut.jpg", "deep/16bit.png", "deep/big.tif", "deep/gray.pgm", "deep/rgba.png"),
        *("dot.png", "empty.png", "face9.jpg", "face10.png", "tight.bmp", "turned.jpg"),
        "wall.png",
    ]
    has_face = table["success"] == 1
    assert set(table["file"][~has_face]) == {"cut.jpg", "dot.png", "empty.png", "wall.png"}
    assert table[~has_face].drop(columns=["file", "success"]).isna().all(axis=None)
    found = table[has_face]
    assert (found["face_id"] == 0).all()
    np.testing.assert_allclose(found[LABELS].sum(axis=1), 1.0, atol=1e-5)
    assert (found["label"] == "happy").all(), "she smiles, however the picture is stored"
    assert (found["label"] == found[LABELS].idxmax(axis=1)).all()

    assert (summary.pictures, summary.videos, summary.faces) == (10, 0, 8)
    assert summary.without_face == ("dot.png", "wall.png")
    assert len(summary.failures) == 2
    assert all("cannot be read as a picture" in failure for failure in summary.failures)
    words = format_summary(summary)
    assert "10 pictures, 8 faces; 2 without a face (dot.png, wall.png)" in words
    assert "2 could not be read" in words
    assert str(mixed / "empty.png") in words
    assert "12/12" in capfd.readouterr().out


def test_scores_do_not_depend_on_what_else_there_is_nor_on_the_order(
    mixed: Path, tmp_path: Path
) -> None:
    run(tmp_path / "all", mixed)
    whole = by_file(tmp_path / "all")
    names = ["face10.png", "wall.png", "tight.bmp", "turned.jpg", "face9.jpg"]
    random.Random(1).shuffle(names)
    run(tmp_path / "some", *(mixed / name for name in names))
    some = by_file(tmp_path / "some")
    assert list(some) == [(mixed / name).as_posix() for name in names]
    assert {Path(name).name: row for name, row in some.items()} == {
        name: whole[name] for name in names
    }


def test_a_cropped_picture_is_a_face_as_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    faces = rng.integers(0, 256, (3, 48, 48), np.uint8)
    save(tmp_path / "in" / "a.png", faces[0])
    save(tmp_path / "in" / "b.png", np.repeat(faces[1][..., None], 3, axis=2))
    wide = np.zeros((96, 140), np.uint8)
    wide[:, 22:118] = np.kron(faces[2], np.ones((2, 2), np.uint8))
    save(tmp_path / "in" / "c.png", wide)  # of which the middle counts
    summary = run(tmp_path / "out", tmp_path / "in", faces="cropped")
    assert (summary.pictures, summary.faces) == (3, 3)
    table = table_of(tmp_path / "out")
    np.testing.assert_allclose(table[LABELS], MacroModel.load().run(faces), atol=1e-6)
    assert (table["face_id"] == 0).all()


def test_several_faces_are_told_apart_by_their_size(tmp_path: Path, head: Picture) -> None:
    both = np.full((300, 900, 3), 150, np.uint8)
    both[20:260, 630:870] = head
    both[50:170, 40:160] = cv2.resize(head, (120, 120), interpolation=cv2.INTER_AREA)
    path = save(tmp_path / "both.png", both)
    for faces in ("landmarks", "haar"):
        out = tmp_path / faces
        assert run(out, path, faces=faces).faces == 2  # type: ignore[arg-type]
        table = table_of(out)
        assert list(table["face_id"]) == [0, 1]
        assert set(table["file"]) == {path.as_posix()}
    options = ["--task", "macro", str(path), "--out", str(tmp_path / "command")]
    for more, rows in (([], 2), (["--max-faces", "1"], 1)):
        assert CliRunner().invoke(app, ["analyze", *options, *more]).exit_code == 0
        assert len(table_of(tmp_path / "command")) == rows
    alone = save(tmp_path / "alone.png", both[:, 450:])
    run(tmp_path / "one", alone)
    scores = table_of(tmp_path / "one")[LABELS].to_numpy()[0]
    np.testing.assert_allclose(
        table_of(tmp_path / "landmarks")[LABELS].to_numpy()[0], scores, atol=0.15
    )


def test_pictures_of_one_name_are_called_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        save(tmp_path / folder / "a.png", np.full((48, 48), 9, np.uint8))
    out = tmp_path / "out"
    run(out, tmp_path / "one", tmp_path / "two", tmp_path / "one" / "a.png", faces="cropped")
    assert list(table_of(out)["file"]) == [
        (tmp_path / folder / "a.png").as_posix() for folder in ("one", "two")
    ]


def test_every_frame_of_a_video_is_scored_with_its_time(tmp_path: Path, head: Picture) -> None:
    nobody = np.full_like(head, 100)
    video = save_video(tmp_path / "talk.mp4", [head] * 4 + [nobody] * 3)
    save_video(tmp_path / "wall.mp4", [nobody] * 3)
    save(tmp_path / "still.png", head)
    (tmp_path / "bad.mp4").write_bytes(b"this is no video")
    out = tmp_path / "out"
    summary = run(out, tmp_path)
    assert (summary.pictures, summary.videos, summary.faces) == (1, 2, 5)
    assert summary.without_face == ((tmp_path / "wall.mp4").as_posix(),)
    (failure,) = summary.failures
    assert "bad.mp4 is not a video" in failure
    assert summary.tables == tuple(out / one / "scores.csv" for one in ("", "talk", "wall"))
    assert not (out / "bad").exists()

    table = table_of(out / "talk")
    assert list(table) == ["file", "frame", "timestamp", "face_id", "success", *LABELS, "label"]
    assert set(table["file"]) == {video.as_posix()}
    assert list(table["frame"]) == list(range(7))
    np.testing.assert_allclose(table["timestamp"], np.arange(7) / 10, atol=1e-6)
    assert list(table["success"]) == [1, 1, 1, 1, 0, 0, 0]
    assert (table["label"][:4] == "happy").all()
    assert table["label"][4:].isna().all()
    still = table_of(out)[LABELS].to_numpy()[0]
    np.testing.assert_allclose(table[LABELS].to_numpy()[0], still, atol=0.1)
    assert (table_of(out / "wall")["success"] == 0).all()


def test_of_a_video_that_cannot_be_read_any_more_no_table_is_left(
    tmp_path: Path, head: Picture
) -> None:
    video = save_video(tmp_path / "a.mp4", [head] * 3)
    out = tmp_path / "out"
    assert run(out, video).videos == 1
    assert (out / "a" / "scores.csv").exists()
    video.write_bytes(b"no video")
    summary = run(out, video)
    assert (summary.videos, len(summary.failures)) == (0, 1)
    assert not (out / "a" / "scores.csv").exists()


def test_a_picture_with_an_unusual_ending_is_one(tmp_path: Path, head: Picture) -> None:
    jpeg = save(tmp_path / "a.jpg", head)
    in_folder = jpeg.rename(tmp_path / "a.jfif")
    unusual = tmp_path / "face"
    unusual.write_bytes(in_folder.read_bytes())
    assert run(tmp_path / "out", tmp_path).pictures == 1
    summary = run(tmp_path / "out", in_folder, unusual)
    assert (summary.pictures, summary.videos, summary.faces) == (2, 0, 2)


def test_pictures_of_formats_that_are_not_read_are_told(tmp_path: Path, head: Picture) -> None:
    folder = tmp_path / "in"
    save(folder / "astro.jpg", head)
    Image.fromarray(head[..., ::-1].copy()).save(folder / "pal.gif")
    for name in ("b.AVIF", "phone.heic", "raw.dng"):
        # Whatever is in it: of a raw file OpenCV would read the preview.
        (folder / name).write_bytes((folder / "astro.jpg").read_bytes())
    out = tmp_path / "out"
    summary = run(out, folder)
    table = table_of(out)
    assert list(table["file"]) == ["astro.jpg", "b.AVIF", "pal.gif", "phone.heic", "raw.dng"]
    assert list(table["success"]) == [1, 0, 0, 0, 0]
    assert (summary.pictures, summary.videos, summary.faces) == (1, 0, 1)
    assert summary.failures[2] == (
        f"{folder / 'phone.heic'} has a format that is not supported; save it as JPEG or PNG."
    )
    assert len(summary.failures) == 4
    assert summary.without_face == ()
    named = run(tmp_path / "named", folder / "pal.gif")
    assert (named.videos, len(named.failures)) == (0, 1)
    assert list(table_of(tmp_path / "named")["success"]) == [0]


@pytest.mark.parametrize("ending", ["tif", "webp", "png"])
def test_a_file_of_several_pictures_is_refused(tmp_path: Path, head: Picture, ending: str) -> None:
    first = Image.fromarray(head[..., ::-1].copy())
    path = tmp_path / f"pages.{ending}"
    first.save(path, save_all=True, append_images=[first.rotate(180)])
    summary = run(tmp_path / "out", path)
    assert summary.failures == (f"{path} holds several pictures; save each as a file of its own.",)
    assert list(table_of(tmp_path / "out")["success"]) == [0]


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_of_every_format_is_honoured(
    tmp_path: Path, head: Picture, ending: str, tag: int
) -> None:
    picture = Image.fromarray(head[20:110, :, ::-1].copy())
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"turned.{ending}"
    picture.save(path, exif=exif, quality=95)
    with Image.open(path) as saved:
        shown = np.asarray(ImageOps.exif_transpose(saved).convert("RGB"))[..., ::-1]
    found = read_picture(path)
    assert found is not None
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).mean() < 4


def test_a_picture_of_one_gray_level_shows_nothing(tmp_path: Path) -> None:
    save(tmp_path / "in" / "dot.png", np.array([[[90, 20, 200]]], np.uint8))
    save(tmp_path / "in" / "flat.png", np.full((48, 48), 9, np.uint8))
    nearly = np.full((48, 48), 9, np.uint8)
    nearly[20, 20] = 10
    save(tmp_path / "in" / "nearly.png", nearly)
    frames = [np.repeat(one[..., None], 3, axis=2) for one in (nearly * 0, nearly * 20)]
    save_video(tmp_path / "in" / "talk.mp4", frames)
    summary = run(tmp_path / "out", tmp_path / "in", faces="cropped")
    table = table_of(tmp_path / "out")
    assert list(table["success"]) == [0, 0, 1]
    assert table.loc[:1, [*LABELS, "label"]].isna().all(axis=None)
    assert list(table_of(tmp_path / "out" / "talk")["success"]) == [0, 1]
    assert summary.without_face == ("dot.png", "flat.png")


def test_one_video_tells_every_frame(tmp_path: Path, head: Picture) -> None:
    video = save_video(tmp_path / "talk.mp4", [head] * 3)
    times_s: list[float] = []
    analyze_stills(
        [str(video)],
        tmp_path / "out",
        faces="haar",
        on_update=lambda source, update: times_s.append(update.frame.t_s),
    )
    np.testing.assert_allclose(times_s, [0.0, 0.1, 0.2], atol=1e-6)
    assert list(table_of(tmp_path / "out" / "talk")["face_id"]) == [0, 0, 0]


def test_a_table_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", np.full((48, 48), 9, np.uint8))
    video = save_video(tmp_path / "talk.mp4", [np.zeros((48, 48, 3), np.uint8)])
    run(tmp_path, picture, faces="cropped")
    run(tmp_path, picture, faces="cropped")  # its own is made anew
    for table, one in ((tmp_path / "scores.csv", picture), (tmp_path / "talk/scores.csv", video)):
        table.parent.mkdir(exist_ok=True)
        table.write_text("frame,timestamp,face_id,success\n0,0,0,1\n")  # a session's
        with pytest.raises(RecordingError, match=r"would be replaced; choose another --out"):
            run(tmp_path, one, faces="cropped")
        assert table.read_text().startswith("frame,timestamp")


def test_a_video_that_is_called_like_a_table_has_a_folder_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", np.full((48, 48), 9, np.uint8))
    save_video(tmp_path / "in" / "scores.csv.mp4", [np.zeros((48, 48, 3), np.uint8)])
    out = tmp_path / "out"
    summary = run(out, tmp_path / "in", faces="cropped")
    assert summary.tables == (out / "scores.csv", out / "scores.csv.mp4" / "scores.csv")


def test_a_session_does_not_go_into_a_folder_with_a_table(tmp_path: Path) -> None:
    video = save_video(tmp_path / "talk.mp4", [np.zeros((48, 48, 3), np.uint8)])
    run(tmp_path, video, faces="cropped")
    wanted = Wanted(video, "0" * 64, {})
    for overwrite in (False, True):
        with pytest.raises(RecordingError, match="holds a table of `analyze --task macro`; choose"):
            make_room(tmp_path / "talk", wanted, overwrite=overwrite)
    assert len(table_of(tmp_path / "talk")) == 1


def test_what_is_broken_off_leaves_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.png", np.eye(48, dtype=np.uint8))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MacroModel, "run", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", tmp_path, faces="cropped")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that takes no files")
def test_a_table_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: Picture
) -> None:
    def score(*_: object) -> None:
        pytest.fail("faces were scored")

    monkeypatch.setattr(MacroModel, "run", score)
    picture = save(tmp_path / "a.png", head)
    video = save_video(tmp_path / "talk.mp4", [head] * 2)
    for one in (picture, video):
        with pytest.raises(RecordingError, match=r"cannot be written .*choose another --out"):
            run(Path("/proc"), one, faces="cropped")


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png", np.full((48, 48), 9, np.uint8))
    out = tmp_path / "out"
    with pytest.raises(SourceError, match="no file or folder"):
        run(out, tmp_path / "b.png")
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match="holds no picture or video"):
        run(out, tmp_path / "none")
    with pytest.raises(ModelError, match="no model of macro"):
        analyze_stills([str(picture)], out, model="kilas")
    with pytest.raises(KilasError, match=r"cannot be written .*choose another --out"):
        run(picture, picture, faces="cropped")


def test_a_picture_is_read_as_it_is_shown(mixed: Path, head: Picture) -> None:
    for name in ("face10.png", "deep/16bit.png", "deep/rgba.png"):
        np.testing.assert_array_equal(read_picture(mixed / name), head)
    turned = read_picture(mixed / "turned.jpg")
    assert turned is not None
    assert np.abs(turned.astype(int) - head).mean() < 4
    assert read_picture(mixed / "missing.png") is None
    assert read_picture(mixed) is None


def stream(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "stream.py"), "analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
        timeout=150,
    )


def test_the_command_does_what_it_can_and_says_what_it_could_not(
    mixed: Path, tmp_path: Path
) -> None:
    done = stream("--task", "macro", mixed, "--out", tmp_path)
    assert done.returncode == 1, done.stderr
    assert "cut.jpg cannot be read as a picture" in done.stdout
    assert "10 pictures, 8 faces" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(table_of(tmp_path)) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "macro", "--no-clips"], "--task macro makes no use of --clips/--no-clips"),
        (["--task", "macro", "--format", "vtt"], "--task macro makes no use of --format"),
        (["--task", "macro", "--macro", "on"], "--task macro makes no use of --macro"),
        (["--cropped"], "--task micro makes no use of --cropped"),
        (["--faces", "haar"], "--task micro makes no use of --faces"),
        (["--task", "macro", "--cropped", "--faces", "haar"], "--cropped makes no use of --faces"),
        (["--task", "macro", "--cropped", "--max-faces", "2"], "makes no use of --max-faces"),
    ],
)
def test_options_that_would_change_nothing_are_refused(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["analyze", "x.png", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in result.output


def test_cropped_pictures_by_the_command(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.png", np.full((48, 48), 9, np.uint8))
    arguments = ["--task", "macro", str(tmp_path / "in"), "--cropped", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["analyze", *arguments])
    assert result.exit_code == 0, result.output
    assert list(table_of(tmp_path)["file"]) == ["a.png"]
