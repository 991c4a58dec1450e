"""Live scores on the Lab Streaming Layer.

The logic is tested with a stand-in for pylsl; what arrives, with the real one, in a process of
its own whose streams stay on this machine.
"""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from realtime.errors import KilasError
from realtime.lsl_outlet import JUMP_S, READINGS, LslOutlet
from realtime.macro.model import DEFAULT_MACRO, MacroModel, find_macro
from realtime.types import Event, MacroScores
from support.lsl import MODEL, OTHER_MODEL, SHA256, source, update
from support.paths import ROOT


class Element:
    """An element of a stream's description."""

    def __init__(self) -> None:
        self.children: list[tuple[str, Any]] = []

    def append_child(self, name: str) -> Element:
        child = Element()
        self.children.append((name, child))
        return child

    def append_child_value(self, name: str, value: str) -> None:
        self.children.append((name, value))


class Info:
    def __init__(self, name: str, kind: str, channels: int, rate: float, form: str, id_: str):
        self.name, self.kind, self.channels, self.form, self.source_id = (
            name,
            kind,
            channels,
            form,
            id_,
        )
        self.description = Element()

    def desc(self) -> Element:
        return self.description


@dataclass
class StandIn:
    """As much of pylsl as an outlet needs, with a clock that the test sets."""

    now_s: float = 1000.0
    sent: dict[str, list[tuple[list[Any], float]]] = field(default_factory=dict)
    infos: list[Info] = field(default_factory=list)
    IRREGULAR_RATE: float = 0.0
    StreamInfo: type = Info

    def local_clock(self) -> float:
        return self.now_s

    def StreamOutlet(self, info: Info) -> Any:
        self.infos.append(info)
        sent = self.sent.setdefault(info.name, [])
        return SimpleNamespace(push_sample=lambda values, stamp: sent.append((values, stamp)))

    def stamps(self) -> list[float]:
        return [stamp for _, stamp in self.sent["Kilas scores"]]


@pytest.fixture
def pylsl(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "pylsl", cast(Any, stand_in))
    return stand_in


# --- stamps


def test_samples_are_stamped_with_the_moment_that_they_speak_of(pylsl: StandIn) -> None:
    with LslOutlet(MODEL, source()) as outlet:
        # Captured at 5 s of the camera's clock, 0.04 s ago, which is 1000 s of LSL's.
        outlet.push(update(5.0, [(0, 4.8), (3, 4.9)]), 0.04)

    assert [values for values, _ in pylsl.sent["Kilas scores"]] == [
        [0, 0.25, 0.75],
        [3, 0.25, 0.75],
    ]
    np.testing.assert_allclose(pylsl.stamps(), [999.76, 999.86])


def test_an_event_is_a_marker_at_its_onset(pylsl: StandIn) -> None:
    with LslOutlet(MODEL, source()) as outlet:
        outlet.push(update(5.0, events=[Event(2, 4.0, 4.1, 4.3, "surprise", 0.876543)]), 0.0)

    ((values, stamp),) = pylsl.sent["Kilas events"]
    assert stamp == 999.0
    assert json.loads(values[0]) == {
        "face_id": 2,
        "label": "surprise",
        "score": 0.876543,
        "onset_s": 999.0,
        "apex_s": 999.1,
        "offset_s": 999.3,
    }


def test_macro_expressions_have_a_stream_of_their_own(pylsl: StandIn) -> None:
    macro = MacroModel(find_macro(DEFAULT_MACRO))
    shown = MacroScores(2, 4.9, (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1))
    with LslOutlet(MODEL, source(), macro) as outlet:
        assert set(outlet.streams) == {"Kilas scores", "Kilas events", "Kilas macro"}
        outlet.push(update(5.0, [(2, 4.8)], macro=[shown]), 0.04)

    assert pylsl.sent["Kilas macro"] == [([2, *shown.probabilities], pytest.approx(999.86))]
    assert len(pylsl.sent["Kilas scores"]) == 1
    (info,) = (one for one in pylsl.infos if one.name == "Kilas macro")
    described = dict(info.description.children)
    channels = [dict(channel.children) for _, channel in described["channels"].children]
    assert [channel["label"] for channel in channels] == ["face_id", *macro.spec.labels]
    assert info.channels == 8
    acquisition = dict(described["acquisition"].children)
    assert acquisition["model"] == "kilas-macro"
    assert acquisition["model_sha256"] == macro.sha256


def test_stamps_do_not_jitter_with_the_time_that_frames_take(pylsl: StandIn) -> None:
    random = np.random.default_rng(0)
    outlet = LslOutlet(MODEL, source())
    for frame in range(300):
        t_s = frame / 30
        age_s = float(random.uniform(0.02, 0.4))
        late_s = float(random.exponential(0.001))  # between the reading of one clock and the other
        pylsl.now_s = 1000 + t_s + age_s + late_s
        outlet.push(update(t_s, [(0, t_s - 0.2)]), age_s)

    steps_s = np.diff(pylsl.stamps())[READINGS:]
    np.testing.assert_allclose(steps_s, 1 / 30, atol=2e-4)
    assert pylsl.stamps()[-1] == pytest.approx(1000 + 299 / 30 - 0.2, abs=0.002)


def test_stamps_follow_clocks_that_drift_apart(pylsl: StandIn) -> None:
    outlet = LslOutlet(MODEL, source())
    for frame in range(3000):
        t_s = frame / 30
        pylsl.now_s = 1000 + t_s * 1.0001
        outlet.push(update(t_s, [(0, t_s)]), 0.0)
    assert pylsl.stamps()[-1] == pytest.approx(pylsl.now_s, abs=0.001)


@pytest.mark.parametrize("jump_s", [-20.0, -2 * JUMP_S, 2 * JUMP_S, 20.0])
def test_a_clock_that_jumps_is_followed_at_once(pylsl: StandIn, jump_s: float) -> None:
    outlet = LslOutlet(MODEL, source())
    for frame in range(60):
        pylsl.now_s = 1000 + frame / 30
        t_s = frame / 30 + (jump_s if frame >= 40 else 0)
        outlet.push(update(t_s, [(0, t_s)]), 0.0)
    np.testing.assert_allclose(pylsl.stamps(), 1000 + np.arange(60) / 30)


def test_nothing_is_sent_before_an_age_is_known(pylsl: StandIn) -> None:
    outlet = LslOutlet(MODEL, source())
    outlet.push(update(1.0, [(0, 0.9)]), None)
    assert pylsl.stamps() == []
    outlet.push(update(1.1, [(0, 1.0)]), 0.0)
    outlet.push(update(1.2, [(0, 1.1)]), None)
    np.testing.assert_allclose(pylsl.stamps(), [999.9, 1000.0])


# --- what the streams say of themselves


def test_the_streams_describe_their_channels_and_the_model(pylsl: StandIn) -> None:
    LslOutlet(MODEL, source())

    scores, events = pylsl.infos
    assert (scores.name, scores.kind, scores.channels, scores.form) == (
        "Kilas scores",
        "Expression",
        3,
        "float32",
    )
    assert (events.name, events.kind, events.channels, events.form) == (
        "Kilas events",
        "Markers",
        1,
        "string",
    )
    described = dict(scores.description.children)
    channels = [dict(channel.children) for _, channel in described["channels"].children]
    assert [channel["label"] for channel in channels] == ["face_id", "none", "surprise"]
    assert [channel["unit"] for channel in channels] == ["number", "probability", "probability"]
    assert dict(described["acquisition"].children)["model_sha256"] == SHA256


def test_a_source_id_is_the_same_after_a_restart_and_for_nothing_else(pylsl: StandIn) -> None:
    LslOutlet(MODEL, source())
    LslOutlet(MODEL, source())
    LslOutlet(MODEL, source("camera 1"))
    LslOutlet(OTHER_MODEL, source())

    first, second, other_camera, other_model = pylsl.infos[::2]
    assert first.source_id == second.source_id
    assert len({info.source_id for info in pylsl.infos}) == 6
    assert "camera" not in other_camera.source_id + other_model.source_id


# --- what cannot be


def test_a_file_that_is_analyzed_is_refused(pylsl: StandIn) -> None:
    with pytest.raises(KilasError, match="use `watch`, which plays it at its own speed"):
        LslOutlet(MODEL, source("film.mp4", live=False))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ImportError("No module named 'pylsl'"), r"`uv run --extra lsl stream\.py --lsl`"),
        (RuntimeError("LSL binary library file was not found."), "liblsl was not found"),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    real_import = builtins.__import__

    def without_pylsl(name: str, *rest: Any) -> Any:
        if name == "pylsl":
            raise error
        return real_import(name, *rest)

    monkeypatch.delitem(sys.modules, "pylsl", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_pylsl)
    with pytest.raises(KilasError, match=remedy):
        LslOutlet(MODEL, source())


def test_a_network_that_refuses_is_said(pylsl: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(info: Info) -> Any:
        raise RuntimeError("could not create stream outlet.")

    monkeypatch.setattr(pylsl, "StreamOutlet", refuse)
    with pytest.raises(KilasError, match="check that this machine has a network"):
        LslOutlet(MODEL, source())


# --- the real thing


def in_a_process(folder: Path, body: str) -> None:
    """Run `body` where LSL finds only what is on this machine and of this test."""
    pytest.importorskip("pylsl")
    config = folder / "lsl_api.cfg"
    config.write_text(
        "[multicast]\nResolveScope = machine\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = kilas-test-{os.getpid()}\n"
        "[log]\nlevel = -2\n"
    )
    head = """
    import json, sys, time
    import pylsl
    sys.path[:0] = [".", "tests"]
    from realtime.lsl_outlet import LslOutlet
    from realtime.macro.model import DEFAULT_MACRO, MacroModel, find_macro
    from realtime.types import Event, MacroScores
    from support.lsl import MODEL, SHA256, source, update

    def opened(name, recover=False):
        found = pylsl.resolve_byprop("name", name, 1, 20.0)
        assert found, f"{name} was not found"
        inlet = pylsl.StreamInlet(found[0], recover=recover)
        inlet.open_stream(20.0)
        return inlet

    """
    script = textwrap.dedent(head) + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LSLAPICFG": str(config)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_inlets_get_what_was_pushed(tmp_path: Path) -> None:
    in_a_process(
        tmp_path,
        """
        macro_model = MacroModel(find_macro(DEFAULT_MACRO))
        with LslOutlet(MODEL, source(), macro_model) as outlet:
            scores, events = opened("Kilas scores"), opened("Kilas events")
            macro = opened("Kilas macro")
            label = 'désolé 驚き "<&'
            now_s = time.monotonic()
            event = Event(3, now_s - 1, now_s - 0.9, now_s - 0.7, label, 0.5)
            shown = MacroScores(3, now_s - 0.25, (0.5, 0.0, 0.0, 0.25, 0.0, 0.0, 0.25))
            sent = update(now_s, [(3, now_s - 0.5)], [event], [shown])
            outlet.push(sent, time.monotonic() - now_s)

            values, stamp = scores.pull_sample(20.0)
            assert values == [3, 0.25, 0.75]
            lab_s = pylsl.local_clock() - (time.monotonic() - now_s)
            assert abs(stamp - (lab_s - 0.5)) < 0.01
            values, stamp = macro.pull_sample(20.0)
            assert values == [3, *shown.probabilities]
            assert abs(stamp - (lab_s - 0.25)) < 0.01
            (text,), stamp = events.pull_sample(20.0)
            marker = json.loads(text)
            assert marker["label"] == label
            assert abs(marker["onset_s"] - stamp) < 1e-5
            assert abs(stamp - (lab_s - 1)) < 0.01

            info = scores.info()
            channel = info.desc().child("channels").child("channel")
            labels = []
            while not channel.empty():
                labels.append(channel.child_value("label"))
                channel = channel.next_sibling()
            assert labels == ["face_id", "none", "surprise"]
            assert info.type() == "Expression" and info.nominal_srate() == 0
            acquisition = info.desc().child("acquisition")
            assert acquisition.child_value("model_sha256") == SHA256
        """,
    )


def test_listeners_that_do_not_listen_are_lost_or_come_late_hold_nothing_up(
    tmp_path: Path,
) -> None:
    in_a_process(
        tmp_path,
        """
        def push(outlet, count):
            for number in range(count):
                t_s = time.monotonic()
                outlet.push(update(t_s, [(number, t_s)]), time.monotonic() - t_s)

        outlet = LslOutlet(MODEL, source())
        push(outlet, 5000)                     # nobody listens
        idle = opened("Kilas scores")          # listens, and never takes a sample
        lost = opened("Kilas scores")
        push(outlet, 5000)
        lost.close_stream()
        del lost
        push(outlet, 5000)
        late = opened("Kilas scores")
        push(outlet, 100)
        got = [late.pull_sample(20.0)[0][0] for _ in range(100)]
        assert got == list(range(100)), got
        outlet.close()
        outlet.close()
        assert not pylsl.resolve_byprop("name", "Kilas scores", 1, 1.0)
        """,
    )


def test_a_listener_finds_a_run_again_that_was_restarted(tmp_path: Path) -> None:
    in_a_process(
        tmp_path,
        """
        outlet = LslOutlet(MODEL, source())
        listener = opened("Kilas scores", recover=True)
        outlet.close()
        with LslOutlet(MODEL, source()) as outlet:
            values = None
            while values is None:
                outlet.push(update(5.0, [(7, 5.0)]), 0.0)
                values, _ = listener.pull_sample(0.1)
            assert values == [7, 0.25, 0.75]
        """,
    )
