"""The terminal line: scores, state and events of a run without a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from realtime.display.commands import Command
from realtime.display.macro_list import MACRO_WORD
from realtime.drawing.palette import class_colours, class_markers
from realtime.printed_text import PipeConsole
from realtime.run_status import RunStatus
from realtime.spec import ModelSpec
from realtime.types import NO_FACE, Event, MacroScores, Scores, Update

_LINE_REFRESH_S = 0.1  # as often as the eye can follow numbers
_PLAIN_LINE_S = 1.0  # a log needs no more
_BAR_CELLS = 8
_BETWEEN_BARS = "   "
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class _Classes:
    """A model's labels, with their marks and styles in a terminal."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.marks = class_markers(labels)
        self._colours = class_colours(labels)

    def style(self, label: str) -> str:
        """Return the rich style of a label's colour."""
        red, green, blue = self._colours[label]
        return f"rgb({red},{green},{blue})"

    def score_texts(self, probabilities: tuple[float, ...]) -> list[str]:
        """Format each label with its score."""
        pairs = zip(self.labels, probabilities, strict=True)
        return [f"{label} {share:.2f}" for label, share in pairs]


class TerminalLine:
    """Display of a run without a window: live scores that stay in place, each event on its own
    line.

    Where the output is not a terminal, plain lines about once a second take their place.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        macro_labels: Sequence[str] = (),
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        origin_s: float | None = None,
    ) -> None:
        """Set up the display; nothing is printed yet.

        `macro_labels`: the labels of the macro-expression model; empty without it. `clock`: returns
        seconds, which time the refreshes. `origin_s`: the moment that is shown as zero; by default
        the time of the first frame.
        """
        self._classes = _Classes(spec.labels)
        self._macro_classes = _Classes(tuple(macro_labels))
        self._console = console or PipeConsole()
        self._clock = clock
        self._origin_s = origin_s
        self._scores: dict[int, Scores] = {}
        self._macro: dict[int, MacroScores] = {}
        self._next_s = float("-inf")
        self._is_waiting = False
        self._live: Live | None = None
        self._rich_bars = (self._console.encoding or "").lower().startswith("utf")

    def show(
        self, update: Update, status: RunStatus | None = None, *, recording: bool = False
    ) -> frozenset[Command]:
        """Print the events of an update and refresh the scores when it is time.

        Called like `MonitorWindow.show`. A terminal has no keys, so QUIT is the only command: when
        nobody reads any more what is printed.
        """
        self._is_waiting = False
        if self._origin_s is None:
            self._origin_s = update.frame.t_s
        self._scores.update((scores.face_id, scores) for scores in update.scores)
        self._scores = {i: s for i, s in self._scores.items() if i in update.states}
        self._macro.update((scores.face_id, scores) for scores in update.macro)
        self._macro = {i: s for i, s in self._macro.items() if i in update.states}
        for event in update.events:
            self._console.print(self._event(event, update.frame.t_s), soft_wrap=True)
        now_s = self._clock()
        if now_s >= self._next_s and self._console.is_terminal:
            self._next_s = now_s + _LINE_REFRESH_S
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(self._block(update, status, recording), refresh=True)
        elif now_s >= self._next_s:
            self._next_s = now_s + _PLAIN_LINE_S
            self._console.print(self._plain(update, status, recording), soft_wrap=True)
        return frozenset() if PipeConsole.has_reader else frozenset({Command.QUIT})

    def wait(self) -> frozenset[Command]:
        """Print, once, that no picture comes."""
        if not self._is_waiting:
            self._is_waiting = True
            self.show_notice("waiting for the camera")
        return frozenset()

    def show_notice(self, notice: str) -> None:
        """Print a short sentence on a line of its own."""
        self._console.print(notice, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the live lines; the events stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _since_start(self, t_s: float) -> float:
        return t_s - (self._origin_s or 0.0)

    def _event(self, event: Event, now_s: float) -> Text:
        onset_s, apex_s, offset_s = map(
            self._since_start, (event.onset_s, event.apex_s, event.offset_s)
        )
        line = Text(f"[{self._since_start(now_s):6.2f} s] ")
        line.append(event.label, style=f"bold {self._classes.style(event.label)}")
        line.append(
            f"  onset {onset_s:.2f} s  apex {apex_s:.2f} s  offset {offset_s:.2f} s"
            f"  {1000 * (offset_s - onset_s):.0f} ms  score {event.score:.2f}"
            f"  face {event.face_id}"
        )
        return line

    def _plain(self, update: Update, status: RunStatus | None, recording: bool) -> Text:
        """Format each face's micro scores, its macro scores and the run's status.

        Each begins a line, and goes on in the next line where the output is too narrow.
        """
        groups = []
        for face_id, state in update.states.items():
            groups.append([f"face {face_id} {state}" if len(update.states) > 1 else state])
            scores = self._scores.get(face_id)
            if scores is not None and state != "warming up":
                groups[-1] += self._classes.score_texts(scores.probabilities)
            if face_id in self._macro:
                texts = self._macro_classes.score_texts(self._macro[face_id].probabilities)
                groups.append([MACRO_WORD, *texts])
        groups = groups or [[NO_FACE]]
        run = [] if status is None else status.words()
        if status is not None and status.warning:
            run.append(status.warning)
        groups.append(run + ["REC"] * recording)
        moment = f"[{self._since_start(update.frame.t_s):6.2f} s] "
        room = self._console.width - len(moment)
        lines = [line for group in groups if group for line in _wrapped(group, room)]
        return Text(moment + ("\n" + " " * len(moment)).join(lines))

    def _block(self, update: Update, status: RunStatus | None, recording: bool) -> Group:
        """Lay out a line for the run and, for each face, its state and a bar for each class.

        Where the terminal is too low for the bars of all macro-expressions, each face gets only its
        highest.
        """
        moment = f"[{self._since_start(update.frame.t_s):6.2f} s] "
        head = Text(moment, no_wrap=True, overflow="ellipsis")
        if status is not None:
            text = "   ".join(status.words())
            if len(moment) + len(text) + 6 * recording > self._console.width:
                text = "   ".join(status.words(causes=False))
            head.append(text, style="dim")
        if recording:
            head.append("   REC", style="bold red")
        lines = [head]
        if status is not None and status.warning:
            lines.append(Text(f"! {status.warning}", style="yellow"))
        if not update.states:
            lines.append(Text(NO_FACE))
        faces = self._faces(update, all_macro=True)
        if len(lines) + len(faces) > self._console.height:
            faces = self._faces(update, all_macro=False)
        return Group(*lines, *faces)

    def _faces(self, update: Update, *, all_macro: bool) -> list[Text]:
        lines: list[Text] = []
        for face_id, state in update.states.items():
            name = f"face {face_id}  " if len(update.states) > 1 else ""
            lines.append(Text())
            lines[-1].append(f"{name}{state}", style="bold" if state == "expression" else "")
            macro = self._macro.get(face_id)
            if macro is not None and not all_macro:
                lines[-1].append_text(self._highest_macro(macro))
            scores = self._scores.get(face_id)
            if scores is not None and state != "warming up":
                lines += self._bars(self._classes, scores.probabilities)
            if macro is not None and all_macro:
                lines.append(Text(f"macro: {MACRO_WORD}", style="dim"))
                lines += self._bars(self._macro_classes, macro.probabilities)
        return lines

    def _highest_macro(self, macro: MacroScores) -> Text:
        """Format the macro-expression with the highest score."""
        label = self._macro_classes.labels[macro.highest]
        text = Text("   ").append(f"{MACRO_WORD} ", style="dim")
        text.append(f"{self._mark(self._macro_classes, label)} ", self._macro_classes.style(label))
        return text.append(f"{label} {max(macro.probabilities):.2f}")

    def _mark(self, classes: _Classes, label: str) -> str:
        return classes.marks[label] if self._rich_bars else "*"

    def _bars(self, classes: _Classes, probabilities: tuple[float, ...]) -> list[Text]:
        """Lay out the bars, as many side by side as fit into the terminal's width."""
        label_width = max(len(label) for label in classes.labels)
        cell = 2 + label_width + 1 + _BAR_CELLS + 1 + 4 + len(_BETWEEN_BARS)
        columns = max(1, (self._console.width + len(_BETWEEN_BARS)) // cell)
        lines: list[Text] = []
        for index, (label, share) in enumerate(zip(classes.labels, probabilities, strict=True)):
            if index % columns == 0:
                lines.append(Text(no_wrap=True, overflow="crop"))
            else:
                lines[-1].append(_BETWEEN_BARS)
            style = classes.style(label)
            lines[-1].append(f"{self._mark(classes, label)} ", style=style)
            lines[-1].append(f"{label:<{label_width}} ")
            lines[-1].append(self._bar(share), style=style)
            lines[-1].append(f" {share:.2f}")
        return lines

    def _bar(self, share: float) -> str:
        if not self._rich_bars:
            full = round(share * _BAR_CELLS)
            return "#" * full + "-" * (_BAR_CELLS - full)
        eighths = round(share * _BAR_CELLS * 8)
        bar = "█" * (eighths // 8)
        if eighths % 8:
            bar += _EIGHTHS[eighths % 8]
        return bar.ljust(_BAR_CELLS)


def _wrapped(texts: Sequence[str], room: int) -> list[str]:
    """Join texts with two spaces between; texts that do not fit into `room` characters go on in the
    next line, below the second text."""
    lines = [texts[0]]
    for text in texts[1:]:
        if len(lines[-1]) + 2 + len(text) > room:
            lines.append(" " * len(texts[0]))
        lines[-1] += f"  {text}"
    return lines
