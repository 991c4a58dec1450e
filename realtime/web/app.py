"""The page: its three tabs, made with Gradio, and the application that serves them.

The Live tab's picture is Kilas's own HTML, with a socket of its own to the server; Gradio's
controls beside it only pass the visitor's settings to it, in the browser (`window.kilas.set`). The
File tab's analysis goes through Gradio's queue.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from fastapi import FastAPI
from markupsafe import Markup
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from realtime.drawing.palette import class_markers
from realtime.errors import KilasError
from realtime.reports.formatting import clock, counted, duration
from realtime.sources.video_file import VIDEO_SUFFIXES
from realtime.spec import NONE_LABEL
from realtime.web.about import About, duration_text
from realtime.web.gradio_filter import GradioPage
from realtime.web.limits import MAX_VIDEO_S
from realtime.web.theme import theme
from realtime.web.uploads.jobs import Analysed, AnalysisJobs, Finishing, Owner, Step
from realtime.web.uploads.receiver import ReceivingBlocks, UploadReceiver

ASSETS = Path(__file__).parent / "assets"

HEAD = """
<link rel="stylesheet" href="/kilas/assets/page.css">
<link rel="stylesheet" href="/kilas/assets/live.css">
<script type="module" src="/kilas/assets/live.js"></script>
"""

NEUTRAL_SENSITIVITY = 0.5
"""Sensitivity at which the model's own thresholds hold."""

SLIDER_STEP = 0.05
"""Step of the sliders; finer steps make no visible difference."""

SET_MESSAGE_JS = "(...values) => {{ window.kilas?.set({message}); }}"
"""JavaScript that a control runs in the browser; the server gets nothing from it."""


class Live(Protocol):
    """The live part of the server, as far as this module uses it."""

    @property
    def routes(self) -> Sequence[BaseRoute]: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Site:
    """Application with everything but access control.

    `close` ends what its pages hold open. Call it in the app's event loop before the server waits
    for them; it may be called again.
    """

    app: ASGIApp
    close: Callable[[], Awaitable[None]]


def build_app(
    live: Live,
    uploads: AnalysisJobs,
    about: About,
    models: Mapping[str, Sequence[str]],
    *,
    has_macro: bool,
    max_upload_bytes: int,
) -> Site:
    """Build the application from its live part, its analysis jobs and the text of its About tab.

    `models`: labels of the models on offer by their name, the default first. `has_macro`: True if
    the live part scores macro-expressions.
    """

    async def close() -> None:
        for gradio_app in gradio_apps:
            gradio_app.stop_event.set()  # ends the event streams of open pages
        await live.close()
        uploads.close()

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        await live.start()
        try:
            yield
        finally:
            await close()

    receiver = UploadReceiver(uploads.received, uploads.folder, max_video_bytes=max_upload_bytes)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    app.router.routes += [*live.routes, *uploads.routes, receiver.route]
    app.mount("/kilas/assets", StaticFiles(directory=ASSETS))
    gr.mount_gradio_app(
        app,
        _blocks(receiver, uploads, about, models, has_macro, max_upload_bytes),
        "/",
        theme=theme(),
        max_file_size=max_upload_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
    )
    mounted = [route.app for route in app.routes if isinstance(route, Mount)]
    gradio_apps = [mount for mount in mounted if isinstance(mount, gr.routes.App)]
    return Site(GradioPage(app, head=HEAD), close)


def _blocks(
    receiver: UploadReceiver,
    uploads: AnalysisJobs,
    about: About,
    models: Mapping[str, Sequence[str]],
    has_macro: bool,
    max_upload_bytes: int,
) -> gr.Blocks:
    blocks = ReceivingBlocks(receiver, title="Kilas", analytics_enabled=False)
    with blocks:
        _html(
            "<header><h1>Kilas</h1>"
            "<p>Micro-expressions: what crosses a face in a flash</p></header>",
            elem_id="kilas-head",
        )
        with gr.Tabs():
            with gr.Tab("Live", id="live"):
                _live_tab(blocks, models, has_macro)
            with gr.Tab("File", id="file"):
                _file_tab(blocks, uploads, max_upload_bytes)
            with gr.Tab("About", id="about") as tab:
                _about_tab(tab, about)
    blocks.queue(api_open=False)
    return blocks


# --- Live ------------------------------------------------------------------------------------


def _live_tab(blocks: gr.Blocks, models: Mapping[str, Sequence[str]], has_macro: bool) -> None:
    names = list(models)
    expressions = {
        name: [label for label in labels if label != NONE_LABEL] for name, labels in models.items()
    }
    all_labels = list(dict.fromkeys(label for labels in expressions.values() for label in labels))
    marks = {mark for labels in models.values() for mark in class_markers(labels).items()}
    with gr.Row(elem_classes="kilas-live"):
        with gr.Column(scale=4, min_width=320):
            # The page has to keep room for macro-expressions before the first message.
            _html(
                (ASSETS / "live.html").read_text(encoding="utf-8"),
                elem_classes="kilas-has-macro" if has_macro else None,
            )
        with gr.Column(scale=1, min_width=240):
            model = gr.Dropdown(names, value=names[0], label="Model", elem_id="kilas-model")
            sensitivity = gr.Slider(
                0,
                1,
                NEUTRAL_SENSITIVITY,
                step=SLIDER_STEP,
                label="Sensitivity",
                info="0 reports only the clearest expressions, 1 everything that may be one.",
                buttons=[],
                elem_id="kilas-sensitivity",
            )
            heat_map = gr.Checkbox(
                False,
                label="Heat map",
                info="Where the network looks.",
                elem_id="kilas-heat-map",
            )
            with gr.Accordion("Classes", open=False, elem_id="kilas-classes"):
                _html(
                    "<p class='kilas-faint'>How easily each class is reported; 0.5: as the "
                    "model is set.</p>"
                )
                sliders = [
                    gr.Slider(
                        0,
                        1,
                        NEUTRAL_SENSITIVITY,
                        step=SLIDER_STEP,
                        label=f"{dict(marks).get(label, '')} {label}".strip(),
                        buttons=[],
                        visible=label in expressions[names[0]],
                        elem_id=f"kilas-class-{position}",
                    )
                    for position, label in enumerate(all_labels)
                ]

    # The handlers hold the labels of each model, so only the values of its sliders are sent.
    classes = (
        f"Object.fromEntries({json.dumps(all_labels)}.map((label, i) => [label, values[i + 1]])"
        f".filter(([label]) => ({json.dumps(expressions)})[values[0]].includes(label)))"
    )
    _send_settings(sensitivity.change, [sensitivity], "{sensitivity: values[0]}")
    _send_settings(heat_map.change, [heat_map], "{heat_map: values[0]}")
    for slider in sliders:
        _send_settings(slider.change, [model, *sliders], f"{{classes: {classes}}}")
    everything = (
        "{model: values[0], sensitivity: values.at(-2), heat_map: values.at(-1), "
        f"classes: {classes}}}"
    )
    controls = [model, *sliders, sensitivity, heat_map]
    _send_settings(blocks.load, controls, everything)
    _send_settings(model.change, controls, everything)
    if len(names) > 1:
        model.change(
            fn=None,
            inputs=model,
            outputs=sliders,
            js=f"(model) => {json.dumps(all_labels)}.map((label) => ({{__type__: 'update', "
            f"visible: ({json.dumps(expressions)})[model].includes(label)}}))",
            api_visibility="private",
        )


def _send_settings(
    event: Callable[..., object], inputs: Sequence[gr.Component], message: str
) -> None:
    event(
        fn=None,
        inputs=list(inputs),
        js=SET_MESSAGE_JS.format(message=message),
        api_visibility="private",
    )


# --- File ------------------------------------------------------------------------------------


def _file_tab(blocks: gr.Blocks, uploads: AnalysisJobs, max_upload_bytes: int) -> None:
    _html(
        "<p>Drop a video of a face here: every frame of it is looked at, and "
        "you get a report of each micro-expression. The video is removed as soon as it has been "
        "analysed, the report when you leave the page. "
        f"At most {max_upload_bytes / 2**20:.0f} MB and {duration_text(MAX_VIDEO_S)}.</p>",
        elem_id="kilas-lead",
    )
    video = gr.File(
        file_types=["video", *VIDEO_SUFFIXES],
        label="Video",
        show_label=False,
        height=160,
        elem_id="kilas-upload",
    )
    status = _html(elem_id="kilas-status")
    cancel = gr.Button("Cancel", size="sm", visible=False, elem_id="kilas-cancel")
    result = _html(elem_id="kilas-result")
    shown = [video, status, cancel, result]

    def take(received: str, request: gr.Request) -> list[Any]:
        try:
            name = uploads.take(_owner(request), Path(received))
        except KilasError as error:
            return _ready_for_next(_failure(str(error)))
        return [gr.update(visible=False), _waiting(name), gr.update(visible=True), ""]

    def analyse(request: gr.Request) -> Iterator[list[Any]]:
        try:
            for progress in uploads.analyse(_owner(request)):
                if isinstance(progress, Analysed):
                    yield _ready_for_next(_summary(progress), _report(progress))
                else:
                    yield [gr.skip(), _progress(progress), gr.skip(), gr.skip()]
        except KilasError as error:
            yield _ready_for_next(_failure(str(error)))

    def stop(request: gr.Request) -> list[Any]:
        uploads.drop(_owner(request))
        return _ready_for_next("<p class='kilas-note'>Cancelled; the video was removed.</p>")

    def leave(request: gr.Request) -> None:
        uploads.drop(_owner(request))

    taken = video.upload(
        take, video, shown, concurrency_limit=None, show_progress="hidden", api_visibility="private"
    )
    taken.then(
        analyse,
        None,
        shown,
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=status,
        # The next video may come before the page knows that the cancelled analysis has ended.
        trigger_mode="always_last",
        api_visibility="private",
    )
    cancel.click(
        stop,
        None,
        shown,
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    blocks.unload(leave)


def _html(value: str = "", elem_id: str | None = None, elem_classes: str | None = None) -> gr.HTML:
    """Return an HTML component without Gradio's own text style."""
    return gr.HTML(value, apply_default_css=False, elem_id=elem_id, elem_classes=elem_classes)


def _owner(request: gr.Request) -> Owner:
    return request.state.visitor, request.session_hash or ""


def _ready_for_next(status: str, result: str = "") -> list[Any]:
    """Return the state of the File tab's components in which it takes the next video."""
    return [gr.update(value=None, visible=True), status, gr.update(visible=False), result]


def _waiting(name: str) -> str:
    return Markup("<p class='kilas-note'>{} is here and waits for its turn.</p>").format(name)


def _failure(message: str) -> str:
    return Markup("<p class='kilas-failure' role='alert'>{}</p>").format(message)


def _progress(step: Step | Finishing) -> str:
    if isinstance(step, Finishing):
        return "<p class='kilas-note'>The report is being made …</p>"
    if not step.frames:
        return "<p class='kilas-note'>Getting ready …</p>"
    frames = counted(step.frames, "frame")
    if step.frame_count:
        frames = f"{step.frames:,} of {counted(step.frame_count, 'frame')}"
    times = clock(step.t_s, 0)
    if step.duration_s:
        times = f"{times} of {clock(step.duration_s, 0)}"
    left = "" if step.left_s is None else f"about {duration(max(1.0, round(step.left_s)))} left"
    value = Markup("") if step.share is None else Markup(' value="{:.3f}"').format(step.share)
    return Markup(
        "<div class='kilas-progress'><progress max='1'{} aria-label='Analysis'></progress>"
        "<p><span>{}</span><span>{}</span><span>{}</span></p></div>"
    ).format(value, frames, times, left)


def _summary(done: Analysed) -> str:
    found = counted(done.event_count, "micro-expression")
    lost = Markup("<p class='kilas-notice'>{}.</p>").format(done.losses) if done.losses else ""
    return Markup(
        "<div class='kilas-done'><p role='status'><strong>{}</strong>: {} found.</p>{}"
        "<p class='kilas-files'><a href='{zip}' download>Everything (zip)</a>"
        "<a href='{scores}' download>Scores (CSV)</a><a href='{events}' download>Events (CSV)</a>"
        "<a href='{report}' target='_blank' rel='noopener'>Report in a tab of its own</a></p></div>"
    ).format(done.name, found, lost, **done.files)


def _report(done: Analysed) -> str:
    return Markup(
        "<iframe class='kilas-report' src='{}' title='Report of {}' "
        "sandbox='allow-scripts allow-downloads'></iframe>"
    ).format(done.files["report"], done.name)


# --- About -----------------------------------------------------------------------------------


def _about_tab(tab: gr.Tab, about: About) -> None:
    with gr.Column(elem_id="kilas-about"):
        _html(about.html)
        devices = _html("<p class='kilas-faint'>The devices are being checked …</p>")
    tab.select(
        about.devices,
        None,
        devices,
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
