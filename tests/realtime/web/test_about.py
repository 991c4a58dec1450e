"""Contents of the About tab."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realtime.inference.model import DeviceStatus, Model
from realtime.macro.model import DEFAULT_MACRO, MACRO_FOLDER, MacroModel
from realtime.web import about
from realtime.web.about import About, Limits, duration_text

LIMITS = Limits(sessions=7, faces=2, upload_bytes=300 * 2**20)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load("kilas", "cpu")


def test_it_says_what_scores_are_not_and_what_is_kept(model: Model) -> None:
    html = About(model, None, LIMITS, is_secure=True).html
    for words in ("trained on simulated faces only", "Not for decisions about people", "Privacy"):
        assert words in html
    assert "negative, positive, surprise, or for none" in html
    assert "not encrypted" not in html
    assert "not encrypted" in About(model, None, LIMITS, is_secure=False).html


def test_it_holds_the_whole_card_and_no_link(model: Model) -> None:
    html = About(model, None, LIMITS, is_secure=True).html
    assert html.count("Measured on simulated people") == 1
    assert "Not tested" in html
    assert "<table>" in html
    assert "<a " not in html
    assert "<script" not in html


def test_it_names_model_versions_and_limits(model: Model) -> None:
    html = About(model, None, LIMITS, is_secure=True).html
    for words in (model.sha256, model.device, "gradio", "mediapipe", "300 MB", "7; whoever"):
        assert words in html


def test_a_model_of_somebody_else_is_not_said_to_be_ours(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "theirs.onnx"
    shutil.copy(model.path, path)
    path.with_suffix(".md").write_text("# Theirs <script>alert(1)</script>\n\n![x](http://x/y)\n")
    html = About(Model.load(path, "cpu"), None, LIMITS, is_secure=True).html
    assert "did not come with Kilas" in html
    assert "simulated faces only" not in html
    assert "<script" not in html
    assert "<img" not in html
    path.with_suffix(".md").unlink()
    html = About(Model.load(path, "cpu"), None, LIMITS, is_secure=True).html
    assert "There is no model card" in html


def test_macro_expressions_are_explained_where_they_are_scored(
    model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "faces.onnx"
    shutil.copy(MACRO_FOLDER / f"{DEFAULT_MACRO}.onnx", path)
    macro = MacroModel.load(path)
    html = About(model, macro, LIMITS, is_secure=True).html
    for words in ("angry, disgust, fear", "faces.onnx", macro.sha256, "There is no model card"):
        assert words in html
    path.with_suffix(".md").write_text("# Faces\n\nTrained on photographs.\n")
    html = About(model, macro, LIMITS, is_secure=True).html
    assert "Trained on photographs." in html
    assert "There is no model card" not in html
    assert "<strong>macro-expression" not in About(model, None, LIMITS, is_secure=True).html


def test_devices_are_looked_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    report = about.device_report

    def counted(path: Path) -> list[DeviceStatus]:
        calls.append(path)
        return report(path)

    monkeypatch.setattr(about, "device_report", counted)
    page = About(model, None, LIMITS, is_secure=True)
    assert not calls
    assert page.devices() == page.devices()
    assert calls == [model.path]
    assert "usable: CPU" in page.devices()
    assert "tensorrt" in page.devices()


@pytest.mark.parametrize(
    ("time_s", "words"),
    [(1.0, "1 second"), (60.0, "1 minute"), (90.0, "90 seconds"), (7200.0, "2 hours")],
)
def test_times_are_told_in_whole_units(time_s: float, words: str) -> None:
    assert duration_text(time_s) == words
