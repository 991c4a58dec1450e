"""Wires the stages for one source: frame -> faces -> regions -> windows -> scores -> events."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from realtime.errors import ProfileError, SourceError
from realtime.faces import conditions
from realtime.faces.landmarks import view_68
from realtime.faces.tracker import FaceTracker
from realtime.forks import OpeningProcess
from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, Model
from realtime.inference.model_card import card_excerpt
from realtime.inference.worker import InferenceWorker
from realtime.macro.model import MacroChoice, MacroModel, open_macro
from realtime.macro.tracker import MacroTracker
from realtime.preprocessing import motion, regions
from realtime.preprocessing.windowing import GraySignal, WindowBuilder
from realtime.spec import ModelSpec
from realtime.spotting.face_spotter import FaceSpotter
from realtime.spotting.neutral_baseline import Baseline, baselines_to_json, load_profile
from realtime.spotting.sensitivity import USUAL, Change, Sensitivity, add_change, changes_to_json
from realtime.types import (
    Event,
    Face,
    Frame,
    MacroScores,
    RegionSample,
    Scores,
    Source,
    State,
    Update,
    Window,
)

FORGET_FACE_S = 5.0
"""A face that was away for longer has its pipeline thrown away; its identity is gone by then."""


@dataclass(slots=True)
class _FacePipeline:
    """The stages of one face, and their memory."""

    windows: WindowBuilder
    spotter: FaceSpotter
    seen_s: float
    macro: MacroTracker | None

    @property
    def state(self) -> State:
        return self.spotter.state if self.windows.is_warm else "warming up"


class Monitor:
    """Micro-expressions in a stream of frames.

    Loads the model, compiles all kernels and runs the model once, so that the first frame is as
    fast as the others. `process` takes one frame and gives what is known after it; `updates`
    does so for all frames of a source. With `live`, a frame never waits for the network: windows
    that it has no time for are counted in `drops`. Without, every window is scored.

    Several monitors, each in a thread of its own, share one network if they are given its running
    InferenceWorker as `model`: it is left open, `device` means nothing then, and the model is not
    warmed up here, since only the worker's thread may use it (call `Model.warm_up` before).

    `macro`: True to score macro-expressions too, which the spotter then knows of, or the model for
    it: its name, its file, or opened, when any number of monitors may share it. `monitor.macro` is
    that model.

    `sensitivity`, 0 to 1, moves the model's spotting thresholds; see `SpottingSpec.at`, and
    `set_sensitivity` for another one on the way.

    `profile`: a session folder, or its session.json, from which the neutral baseline of the one
    person comes; without it, each face's first calm seconds are its baseline. `baselines`:
    those that were taken, by face, the newest last.

    `blendshapes`: faces come with MediaPipe's, which takes a little longer.

    All methods belong to one thread. Use as a context manager, or call `close`.

    Example:

        source, _ = open_source("0")
        with Monitor() as monitor, source:
            for update in monitor.updates(source):
                print(update.states, update.events)

    Raises ModelError when the model cannot be loaded, DeviceError when the device that was
    asked for (`auto`, `cpu`, `cuda` or `tensorrt`) cannot be used, and ProfileError when the
    profile cannot, or when more than one face is to be followed with one.
    """

    def __init__(
        self,
        model: str | Path | InferenceWorker[Model] = DEFAULT_MODEL,
        *,
        device: Device = "auto",
        max_faces: int = 1,
        live: bool = True,
        macro: MacroChoice = True,
        sensitivity: float = USUAL,
        profile: str | Path | None = None,
        blendshapes: bool = False,
    ) -> None:
        self.model = (
            model.network
            if isinstance(model, InferenceWorker)
            else Model.load(model, device=device)
        )
        self.spec: ModelSpec = self.model.spec
        self.macro = open_macro(macro)
        self.baselines: dict[int, tuple[Baseline, ...]] = {}
        self._profile: Baseline | None = None
        if profile is not None:
            if max_faces > 1:
                raise ProfileError(
                    "A profile is of one person; follow one face with it (--max-faces 1)."
                )
            self._profile = load_profile(Path(profile), self.model.sha256)
        regions.warm_up(self.spec.sample_layout)
        if self.spec.signal == "motion":
            motion.warm_up(self.spec)
        if not isinstance(model, InferenceWorker):
            self.model.warm_up(max_faces)
        self._opening_process = OpeningProcess("The monitor")
        self._live = live
        self._max_faces = max_faces
        self._sensitivity = Sensitivity.of(self.spec, sensitivity, {})
        self._is_changed = False
        self._changes: tuple[Change, ...] = ()
        self._faces: dict[int, _FacePipeline] = {}
        with ExitStack() as opened:
            self._tracker = opened.enter_context(FaceTracker(max_faces, blendshapes=blendshapes))
            worker = (
                model
                if isinstance(model, InferenceWorker)
                else opened.enter_context(InferenceWorker(self.model))
            )
            self._client = opened.enter_context(worker.client("latest" if live else "wait"))
            self._stages = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opening_process.is_this:
            self._stages.__exit__(kind, error, trace)

    def close(self) -> None:
        """Stop the network, unless others share it, and release the models.

        May be called twice. Raises the network's error if nothing has raised it yet. In a process
        that was forked meanwhile it does nothing: all of that belongs to the other process.
        """
        if self._opening_process.is_this:
            self._stages.close()

    @property
    def macro_labels(self) -> tuple[str, ...]:
        """Labels of the scores of macro-expressions; none where they are off."""
        return () if self.macro is None else self.macro.spec.labels

    @property
    def wants_attention(self) -> bool:
        """True if scores come with the network's attention, which costs a little; may be set."""
        return self._client.want_attention

    @wants_attention.setter
    def wants_attention(self, wanted: bool) -> None:
        self._client.want_attention = wanted

    @property
    def drops(self) -> Counter[str]:
        """Numbers of windows that were not scored, by cause."""
        return self._client.drops

    def process(self, frame: Frame) -> Update:
        """Take the next frame. An error of any stage is raised here, with its own traceback.

        Raises ForkError in a process that was forked after the monitor was opened.
        """
        self._opening_process.check()
        return self._process(frame, self._tracker(frame))

    def _process(self, frame: Frame, faces: tuple[Face, ...]) -> Update:
        if self._is_changed:
            self._note_change(frame.t_s)
        windows: list[Window] = []
        if frame.after_cut:
            for pipeline in self._faces.values():
                pipeline.windows.restart()
        for face in faces:
            pipeline = self._pipeline(face, frame.t_s)
            windows += pipeline.windows.push(self._sample(frame, face))
        scores = self._client.exchange(windows)
        macro = self._score_macro(frame, faces)  # while the network works
        events = self._spot(scores)
        self._forget_absent(frame.t_s)
        return Update(
            frame=frame,
            faces=faces,
            scores=tuple(scores),
            events=tuple(events),
            states={face.face_id: self._faces[face.face_id].state for face in faces},
            conditions={face.face_id: conditions.measure(frame, face) for face in faces},
            macro=tuple(macro),
        )

    def _score_macro(self, frame: Frame, faces: Sequence[Face]) -> list[MacroScores]:
        """Score the macro-expressions of the faces that are due."""
        shown = []
        for face in faces:
            tracker = self._faces[face.face_id].macro
            if tracker is not None:
                shown.append(tracker.update(frame, face))
        return [scores for scores in shown if scores is not None]

    def updates(self, source: Source) -> Iterator[Update]:
        """Yield an update for every frame of an opened source; the last has all that was pending.

        A live source's updates come at once, and what is still being scored when it ends is not
        waited for. A file's are held back by one frame, so that its last update can have all
        that was pending; also when the file breaks, and SourceError is raised after that.

        Raises ForkError in a process that was forked after the monitor was opened.
        """
        self._opening_process.check()
        if self._live:
            for frame in source:
                yield self.process(frame)
            return
        held_back: Update | None = None
        failure: SourceError | None = None
        try:
            for frame, faces in self._with_faces(source):
                if held_back is not None:
                    yield held_back
                held_back = self._process(frame, faces)
        except SourceError as error:
            failure = error  # what could be read is finished first
        if held_back is not None:
            scores = self._client.finish()
            yield dataclasses.replace(
                held_back,
                scores=held_back.scores + tuple(scores),
                events=held_back.events + tuple(self._spot(scores)),
            )
        if failure is not None:
            raise failure

    def _with_faces(self, source: Source) -> Iterator[tuple[Frame, tuple[Face, ...]]]:
        """Yield the frames of a file with their faces.

        A thread finds the faces of the next frame while this one is worked on. SourceError is
        raised after the last frame that could be read.
        """
        failure: SourceError | None = None
        before: tuple[Frame, Future[tuple[Face, ...]]] | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="faces") as finder:
            try:
                for frame in source:
                    newest = frame, finder.submit(self._tracker, frame)
                    if before is not None:
                        yield before[0], before[1].result()
                    before = newest
            except SourceError as error:
                failure = error
            if before is not None:
                yield before[0], before[1].result()
        if failure is not None:
            raise failure

    def recalibrate(self) -> None:
        """Take each face as it is from now on for its neutral baseline."""
        self._profile = None
        for pipeline in self._faces.values():
            pipeline.windows.restart()
            pipeline.spotter.recalibrate()

    def set_sensitivity(
        self, sensitivity: float, classes: Mapping[str, float] | None = None
    ) -> None:
        """Spot as readily as this says from the next frame on; scores stay the model's own.

        `sensitivity`, 0 to 1: see `SpottingSpec.at`. `classes`: how readily each class is taken,
        0 to 1; one that is left out is `USUAL`, as the model says. A recording states what holds
        when it starts and what changes on the way. Raises ValueError, and changes nothing, for
        other numbers and for a label that is no class of the model.
        """
        changed = Sensitivity.of(self.spec, sensitivity, classes or {})
        if changed != self._sensitivity:
            self._sensitivity = changed
            self._is_changed = True
            for pipeline in self._faces.values():
                self._tune(pipeline.spotter)

    def _tune(self, spotter: FaceSpotter) -> None:
        chosen = self._sensitivity
        spotter.tune(chosen.thresholds(self.spec), chosen.factors(self.spec.labels))

    def _note_change(self, from_s: float) -> None:
        self._is_changed = False
        thresholds = self._sensitivity.thresholds(self.spec)
        self._changes = add_change(self._changes, from_s, self._sensitivity, thresholds)

    def _pipeline(self, face: Face, t_s: float) -> _FacePipeline:
        if face.face_id not in self._faces:
            spec = self.spec
            signal = GraySignal() if spec.signal == "gray" else motion.MotionSignal(spec)
            tracker = None if self.macro is None else MacroTracker(self.macro, face.face_id)
            nodes = motion.expression_nodes(spec.region_layout)
            pipeline = _FacePipeline(
                windows=WindowBuilder(spec, signal),
                spotter=FaceSpotter(spec, nodes, tracker, self._profile),
                seen_s=t_s,
                macro=tracker,
            )
            self._tune(pipeline.spotter)
            self._faces[face.face_id] = pipeline
            self._note_baselines(face.face_id)
        pipeline = self._faces[face.face_id]
        pipeline.seen_s = t_s
        return pipeline

    def _sample(self, frame: Frame, face: Face) -> RegionSample:
        return RegionSample(
            frame_id=frame.id,
            t_s=frame.t_s,
            face_id=face.face_id,
            regions=regions.extract_regions(
                frame.image_bgr,
                face.transform,
                self.spec.sample_layout,
                mask=self.spec.mask,
                points_68_xy=None if self.spec.mask == "none" else view_68(face.points_xy),
            ),
        )

    def _spot(self, scores: list[Scores]) -> list[Event]:
        events = []
        for one in scores:
            pipeline = self._faces.get(one.face_id)
            if pipeline is None:
                continue
            event = pipeline.spotter.update(one)
            if event is not None:
                events.append(event)
            self._note_baselines(one.face_id)
        return events

    def _note_baselines(self, face_id: int) -> None:
        """Keep a face's baselines, which outlast its pipeline."""
        if baselines := self._faces[face_id].spotter.baselines:
            self.baselines[face_id] = baselines

    def _forget_absent(self, now_s: float) -> None:
        for face_id, pipeline in list(self._faces.items()):
            if now_s - pipeline.seen_s > FORGET_FACE_S:
                del self._faces[face_id]

    def describe(self, source: Source) -> dict[str, Any]:
        """Return what session.json states of this monitor and its source."""
        return {
            "model": {
                "file": self.model.path.name,
                "sha256": self.model.sha256,
                "card": card_excerpt(self.model.path),
            },
            "macro": None if self.macro is None else _macro_metadata(self.macro),
            "spotting": dataclasses.asdict(self._sensitivity.thresholds(self.spec)),
            "device": self.model.device,
            "source": dataclasses.asdict(source.info) | {"live": source.live},
            "settings": monitor_settings(
                self._max_faces, self._sensitivity, self._profile, self.macro
            ),
        }

    def session_metadata(self, origin_s: float) -> dict[str, Any]:
        """Return the metadata of the run since `origin_s`: the baselines, and changes of the
        sensitivity if there were any; times from `origin_s`.

        May be called by another thread, also when the monitor is closed.
        """
        metadata: dict[str, Any] = {
            "calibration": baselines_to_json(dict(self.baselines), origin_s)
        }
        if changes := changes_to_json(self._changes, origin_s):
            metadata["sensitivity_changes"] = changes
        return metadata


def _macro_metadata(macro: MacroModel) -> dict[str, Any]:
    """Return what session.json states of the model of macro-expressions."""
    return {
        "file": macro.path.name,
        "sha256": macro.sha256,
        "name": macro.spec.name,
        "version": macro.spec.version,
        "labels": list(macro.spec.labels),
        "card": card_excerpt(macro.path),
    }


def monitor_settings(
    max_faces: int, sensitivity: Sensitivity, profile: Baseline | None, macro: MacroModel | None
) -> dict[str, Any]:
    return {
        "max_faces": max_faces,
        "macro": None if macro is None else macro.sha256,
        **sensitivity.as_settings(),
        "baseline": None if profile is None else profile.height,
    }
