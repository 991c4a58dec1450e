"""Kilas on the command line: live scores, spotted micro-expressions and recordings.

The flow of the whole program is the loop in `watch`: a source gives frames, the monitor turns
each into an update, and the updates go to the screen and to the recording.
"""

from __future__ import annotations

from realtime.interrupts import exit_on_interrupt, raise_on_interrupt

if __name__ == "__main__":
    exit_on_interrupt()  # the imports below take a second or two

import math
import os
import platform
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import cv2
import typer
from rich.console import Console
from rich.table import Table

from realtime.analysis import AnalysisOptions
from realtime.batch.inputs import find_inputs
from realtime.batch.macro_scores import MAX_FACES, analyze_stills, format_summary
from realtime.batch.runner import analyze_batch
from realtime.display.commands import Command
from realtime.display.progress import FileProgress
from realtime.display.terminal import TerminalLine
from realtime.display.window import MonitorWindow, display_available
from realtime.errors import KilasError
from realtime.exports import FORMATS, export_session
from realtime.inference.devices import Device
from realtime.inference.model import DEFAULT_MODEL, device_report, list_models
from realtime.lsl_outlet import LslOutlet
from realtime.macro.face_crops import Cut
from realtime.macro.model import DEFAULT_MACRO, find_macro, list_macros
from realtime.monitor import Monitor
from realtime.printed_text import PipeConsole, escape_unprintable
from realtime.recording.live_recording import Recording
from realtime.recording.recent_updates import BEFORE_S
from realtime.recording.recorder import RecordingContents
from realtime.recording.recovery import recover_session
from realtime.run_status import RunMeter
from realtime.session.layout import REPORT_FILE, SUMMARY_FILE
from realtime.session.losses import causes_text
from realtime.sources.opening import DEMO_PATH, open_source
from realtime.sources.webcam import list_cameras
from realtime.versions import PACKAGES

SESSIONS = Path("sessions")
"""Folder of recordings unless another is named."""

MOST_BEFORE_S = 60.0
"""Most seconds before a recording that can be asked for; more would not fit into the memory."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Real-time micro-expression monitor. Without a command: watch. "
    "`--debug` with any command shows the traceback of an error that ends it.",
)
console = PipeConsole(highlight=False, markup=False, soft_wrap=True)

SourceName = Annotated[
    str, typer.Option(help="auto, a camera's number, a video file, a URL, or demo.")
]
ModelName = Annotated[str, typer.Option(help="A model's name, or an .onnx file.")]
DeviceName = Annotated[Device, typer.Option(help="Device that runs the model.")]
Macro = Annotated[
    str,
    typer.Option(
        metavar="[on|off|NAME|FILE]",
        help="Score macro-expressions too, with the model that ships, or with another model: "
        "its name, or an .onnx file.",
    ),
]
MaxFaces = Annotated[int, typer.Option(min=1, help="Faces that are followed at a time.")]
Sensitivity = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="0 spots only the clearest micro-expressions, 1 all that may be some.",
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option(help="Session folder of the same person; its neutral baseline is used."),
]
Video = Annotated[bool, typer.Option(help="Keep the annotated video.")]
KeepClean = Annotated[bool, typer.Option(help="Keep the video without annotations, too.")]
BlurFaces = Annotated[bool, typer.Option(help="Hide the followed faces in all that is kept.")]
Clips = Annotated[bool, typer.Option(help="Keep each event in slow motion.")]
Blendshapes = Annotated[
    bool, typer.Option("--blendshapes", help="Keep MediaPipe's 52 blendshapes of each frame.")
]
Before = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=MOST_BEFORE_S,
        help="Seconds that a recording also keeps from before it was asked for (key r, Record).",
    ),
]
Report = Annotated[bool, typer.Option(help="Write report.html.")]
Formats = Annotated[
    str,
    typer.Option("--format", help="Besides CSV, with commas between: parquet, jsonl, vtt, eaf."),
]

MOST_LISTED = 10
"""Files with lost frames that are listed one by one; all are in summary.csv."""

OF_MACRO = ("faces", "cropped")
OF_MICRO = (
    *("device", "macro", "sensitivity", "profile", "video", "keep_clean", "blur_faces", "clips"),
    *("blendshapes", "formats", "report", "jobs", "scheduler", "overwrite"),
)
"""Options of `analyze` that only one of its tasks has."""


@app.command()
def watch(
    source: SourceName = "auto",
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "auto",
    record: Annotated[
        Path | None, typer.Option(help="Record from the start, into a new folder in this one.")
    ] = None,
    before: Before = BEFORE_S,
    video: Video = True,
    keep_clean: KeepClean = False,
    blur_faces: BlurFaces = False,
    clips: Clips = True,
    blendshapes: Blendshapes = False,
    formats: Formats = "",
    report: Report = True,
    profile: Profile = None,
    lsl: Annotated[
        bool, typer.Option(help="Send scores and events over the Lab Streaming Layer.")
    ] = False,
    window: Annotated[bool, typer.Option(help="Show the picture in a window.")] = True,
    macro: Macro = "on",
    max_faces: MaxFaces = 1,
    sensitivity: Sensitivity = 0.5,
    duration: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so many seconds.")
    ] = None,
) -> None:
    """Show live scores and events of a camera, stream or file, in a window or in the terminal."""
    contents = parse_contents(video, keep_clean, blur_faces, clips, blendshapes)
    wanted_formats = parse_formats(formats)
    wanted_macro = parse_macro(macro)
    in_window = window and display_available()
    frames, why = open_source(source, live=True, loop_demo=in_window)
    with ExitStack() as opened:
        monitor = opened.enter_context(
            Monitor(
                model,
                device=device,
                max_faces=max_faces,
                macro=wanted_macro,
                sensitivity=sensitivity,
                profile=profile,
                blendshapes=blendshapes,
            )
        )
        macro_model = monitor.macro.spec.name if monitor.macro is not None else "none"
        console.print(
            f"{why} Model {monitor.spec.name} on {monitor.model.device}, {macro_model} for "
            "macro-expressions."
        )
        if monitor.model.device_note:
            console.print("No graphics card is used; `stream.py info` says why.", style="dim")
        opened.enter_context(frames)
        folder = record or SESSIONS
        screen = (
            MonitorWindow(
                monitor.spec,
                folder,
                macro_labels=monitor.macro_labels,
                has_attention=monitor.model.has_attention,
                may_save=contents.video and not contents.blur_faces,
            )
            if in_window
            else TerminalLine(monitor.spec, macro_labels=monitor.macro_labels)
        )
        recording = opened.enter_context(
            Recording(
                monitor,
                frames,
                folder,
                screen.show_notice,
                contents=contents,
                formats=wanted_formats,
                report=report,
                before_s=before,
            )
        )
        opened.callback(screen.close)  # before the recording is finished, which takes a moment
        if record is not None:
            recording.start()
        outlet = (
            opened.enter_context(LslOutlet(monitor.model, frames, monitor.macro)) if lsl else None
        )
        if outlet is not None:
            console.print(f"On the Lab Streaming Layer: {', '.join(outlet.streams)}.")
        frames.on_idle = lambda: frames.stop() if Command.QUIT in screen.wait() else None
        meter = RunMeter(frames, monitor.spec.rate_hz, monitor.model.device, lambda: monitor.drops)
        ends_s = math.inf

        with suppress(KeyboardInterrupt):
            for update in monitor.updates(frames):
                commands = screen.show(update, meter.measure(update), recording=recording.is_on)
                meter.shown(update)
                recording.write(update)
                if outlet is not None:
                    outlet.push(update, frames.age_s(update.frame))
                if Command.RECORD in commands:
                    recording.toggle()
                if Command.HEAT_MAP in commands:
                    monitor.wants_attention = not monitor.wants_attention
                if Command.RECALIBRATE in commands:
                    monitor.recalibrate()
                    screen.show_notice("keep a neutral face for 2 s")
                if duration is not None:
                    ends_s = min(ends_s, update.frame.t_s + duration)
                if Command.QUIT in commands or update.frame.t_s >= ends_s:
                    break
    if lost := causes_text(Counter(frames.drops) + monitor.drops):
        console.print(f"Lost on the way: {lost}.", style="yellow")
    for folder in recording.folders:
        shown = folder / REPORT_FILE
        console.print(f"Recorded {shown if shown.exists() else folder}.")
    if recording.failure is not None:
        raise recording.failure


@app.command("analyze")
def analyze_files(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(help="Files, folders or patterns: videos; with --task macro also pictures."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for one session folder a file; with --task macro for tables."),
    ] = SESSIONS,
    task: Annotated[
        Literal["micro", "macro"],
        typer.Option(help="macro: only macro-expressions, of every picture and frame."),
    ] = "micro",
    faces: Annotated[
        Literal["landmarks", "haar"],
        typer.Option(help="With --task macro: how faces are found and cut out."),
    ] = "landmarks",
    cropped: Annotated[
        bool, typer.Option("--cropped", help="With --task macro: each picture is a face already.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            help="A model's name, or an .onnx file; with --task macro a model of macro-expressions "
            f"({DEFAULT_MACRO} unless given)."
        ),
    ] = DEFAULT_MODEL,
    device: DeviceName = "auto",
    max_faces: Annotated[
        int,
        typer.Option(
            min=1,
            help="Faces that are followed at a time; with --task macro the largest of a picture or "
            f"frame ({MAX_FACES} unless given).",
        ),
    ] = 1,
    macro: Macro = "on",
    sensitivity: Sensitivity = 0.5,
    profile: Profile = None,
    video: Video = True,
    keep_clean: KeepClean = False,
    blur_faces: BlurFaces = False,
    clips: Clips = True,
    blendshapes: Blendshapes = False,
    formats: Formats = "",
    report: Report = True,
    jobs: Annotated[int, typer.Option(min=1, help="Processes of this machine.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask cluster's scheduler: its address or file.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Replace sessions made with other settings.")
    ] = False,
) -> None:
    """Analyze every frame of video files, as fast as it goes; a file that is done is skipped.

    With --task macro also pictures, and all of them are scored again.
    """
    _refuse_unused(context, task, cropped)
    if task == "macro":
        named = model if _is_given(context, "model") else DEFAULT_MACRO
        most = max_faces if _is_given(context, "max_faces") else MAX_FACES
        _analyze_stills(files, out, "cropped" if cropped else faces, most, named)
        return
    contents = parse_contents(video, keep_clean, blur_faces, clips, blendshapes)
    options = AnalysisOptions(max_faces, parse_macro(macro), sensitivity, profile, contents)
    wanted_formats = parse_formats(formats)
    inputs = find_inputs(files, out)
    with FileProgress(console=console) as progress:
        table = analyze_batch(
            inputs,
            out,
            jobs=jobs,
            scheduler=scheduler,
            model=model,
            device=device,
            options=options,
            formats=wanted_formats,
            report=report,
            overwrite=overwrite,
            # Progress counts the frames of a single file, or the files of many.
            on_update=progress.advance if len(inputs) == 1 and scheduler is None else None,
        )
    for row in table.itertuples():
        if row.status == "failed":
            console.print(f"{row.file}: {row.reason}", style="red")
    damaged = table[table["lost_frames"] > 0]
    for row in damaged.head(MOST_LISTED).itertuples():
        console.print(f"{row.file}: frames lost: {row.lost_causes}", style="yellow")
    counts = table["status"].value_counts()
    phrases = [
        ", ".join(
            f"{counts[status]} {status}"
            for status in ("done", "skipped", "failed")
            if status in counts
        ),
        f"{int(table['events'].sum())} events in all",
    ]
    if len(damaged):
        lost = int(damaged["lost_frames"].sum())
        phrases.append(f"{lost} frames lost in {len(damaged)} of {len(table)} files")
    console.print("; ".join([*phrases, str(out / SUMMARY_FILE)]))
    if counts.get("failed", 0):
        raise typer.Exit(1)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_unused(context: typer.Context, task: str, cropped: bool) -> None:
    """Raise BadParameter for options of `analyze` that were given and would change nothing."""
    unused = {f"--task {task}": OF_MACRO if task == "micro" else OF_MICRO}
    if cropped:
        unused["--cropped"] = ("faces", "max_faces")
    for mode, names in unused.items():
        for parameter in context.command.params:
            if parameter.name in names and _is_given(context, parameter.name):
                option = "/".join((*parameter.opts, *parameter.secondary_opts))
                raise typer.BadParameter(f"{mode} makes no use of {option}; leave one of them out.")


def _analyze_stills(files: list[str], out: Path, cut: Cut, max_faces: int, model: str) -> None:
    with FileProgress(console=console) as progress:
        summary = analyze_stills(
            files, out, faces=cut, max_faces=max_faces, model=model, on_update=progress.advance
        )
    console.print(format_summary(summary))
    if summary.failures:
        raise typer.Exit(1)


@app.command("report")
def make_report(
    session: Annotated[Path, typer.Argument(help="A session folder.")],
    formats: Formats = "",
    report: Report = True,
) -> None:
    """Recover a session that was cut off, and write its report and exports again."""
    wanted = parse_formats(formats)
    if recover_session(session):
        console.print(f"{session} was cut off, and holds now what was recorded until then.")
    if report:
        from realtime.reports.session_report import write_report

        console.print(str(write_report(session)))
    if wanted:
        export_session(session, wanted)


def parse_contents(
    video: bool, keep_clean: bool, blur_faces: bool, clips: bool, blendshapes: bool
) -> RecordingContents:
    """Return the contents of a session; raise BadParameter if they cannot be had together."""
    try:
        return RecordingContents(video, keep_clean, blur_faces, clips, blendshapes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the formats that a text names, with commas between them.

    Raises BadParameter for a format that does not exist.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)} is not among {', '.join(FORMATS)}", param_hint="--format"
        )
    return names


def parse_macro(text: str) -> bool | str:
    """Return True or False for on and off, and else the name or file of a model.

    Raises ModelError for a model that is not found.
    """
    if text in ("on", "off"):
        return text == "on"
    find_macro(text)
    return text


@app.command()
def web(
    host: Annotated[str, typer.Option(help="Address or name to serve at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 7860,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A further name by which browsers call this machine; may be repeated."),
    ] = None,
    auth: Annotated[
        str,
        typer.Option(
            envvar="KILAS_AUTH",
            metavar="USER:PASSWORD",
            help="Login that every visitor has to give. The variable keeps it out of the list of "
            "processes.",
        ),
    ] = "",
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let everybody in who reaches --host.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate for https, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "auto",
    max_sessions: Annotated[
        int | None, typer.Option(min=1, help="Live at a time; unless given, one a processor.")
    ] = None,
    max_faces: MaxFaces = 1,
    before: Before = BEFORE_S,
    macro: Macro = "on",
    max_upload: Annotated[int, typer.Option(min=1, help="MB of an uploaded video.")] = 500,
    open_browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = False,
) -> None:
    """Serve the page for the browser: live scores of visitors' cameras, reports of their videos."""
    # Here and not above: it takes a second that no other command needs.
    from realtime.web.access import Account
    from realtime.web.serve import Settings, is_loopback, offered_models, serve

    if not host:
        raise typer.BadParameter("give an address or a name of this machine", param_hint="--host")
    user, _, password = auth.partition(":")
    if auth and no_auth:
        raise typer.BadParameter("--auth and --no-auth cannot be had together")
    if auth and not (user and password):
        raise typer.BadParameter(
            "give a name and a password with a colon between", param_hint="--auth"
        )
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key belong together")
    if not is_loopback(host):
        if not auth and not no_auth:
            raise typer.BadParameter(
                f"{host} is reached from other machines: ask for a login with --auth "
                "USER:PASSWORD, or let everybody in with --no-auth"
            )
        if tls_cert is None:
            console.print(
                "Without --tls-cert and --tls-key, browsers of other machines give no camera: they "
                "do so over https only, or at localhost."
            )
    settings = Settings(
        host=host,
        port=port,
        names=tuple(name or ()),
        account=Account(user, password) if auth else None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        models=offered_models(model),
        device=device,
        macro=parse_macro(macro),
        max_sessions=max_sessions or os.cpu_count() or 1,
        max_faces=max_faces,
        before_s=before,
        max_upload_mb=max_upload,
        open_browser=open_browser,
    )
    serve(settings, console.print)


@app.command()
def bench(
    file: Annotated[Path, typer.Argument(help="A video with a face.")] = DEMO_PATH,
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "auto",
) -> None:
    """Measure this machine's speed, stage by stage and end to end."""
    from realtime.benchmark import bench as measure

    with console.status(f"measuring on {file.name}"):
        result = measure(file, model, device)
    table = Table("stage", "median ms", "95 % ms", title=f"{file.name}, model on {result.device}")
    for stage in result.stages:
        table.add_row(stage.name, f"{stage.median_ms:.2f}", f"{stage.p95_ms:.2f}")
    console.print(table)
    console.print(
        f"decode and MediaPipe landmarks alone: {result.bare_fps:.0f} frames a second\n"
        f"analyze, with network, video and tables: {result.analyze_fps:.0f} frames a second\n"
        f"ratio: {result.ratio:.2f}\n"
        f"macro-expressions add {100 * result.macro_share:.1f} % to what the live path takes\n"
        f"live, {result.live.name}: median {result.live.median_ms:.0f} ms, "
        f"95 % {result.live.p95_ms:.0f} ms, {result.live_drops.total()} dropped"
    )


@app.command()
def info() -> None:
    """List versions, cameras, models, and devices with the reason why one is not usable."""
    console.print(f"Python {platform.python_version()} on {platform.platform()}")
    for distribution in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            console.print(f"  {distribution} {metadata.version(distribution)}")
    console.print("Cameras:")
    cameras = list_cameras()
    for camera in cameras:
        console.print(f"  {camera.index}  {camera.name}  {camera.problem or ''}")
    if not cameras:
        console.print("  none found")
    console.print("Models:")
    for name in list_models():
        console.print(f"  {name}{' (default)' if name == DEFAULT_MODEL else ''}")
    console.print("Models of macro-expressions:")
    for name in list_macros():
        console.print(f"  {name}{' (default)' if name == DEFAULT_MACRO else ''}")
    console.print("Devices:")
    for status in device_report():
        console.print(f"  {status.device}: {'usable' if status.usable else status.why}")


def main() -> None:
    """Run the command line: status 0 on success, 2 on wrong use, 1 on failure."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if not arguments or (arguments[0].startswith("-") and arguments[0] != "--help"):
        arguments.insert(0, "watch")
    raise_on_interrupt()
    escape_unprintable()
    # OpenCV's own threads would only take the cores from the stages, which run side by side.
    cv2.setNumThreads(1)
    try:
        app(arguments)
    except KilasError as error:
        if "--debug" in sys.argv:
            raise
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
            str(error), style="red"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
