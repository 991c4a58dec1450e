"""Numbers, times and settings as text."""

from __future__ import annotations

MANY_HOURS = 100
"""Hours from which `duration` drops the minutes."""

NOTHING = "-"
"""Text in the place of a number that is not known."""


def clock(t_s: float | None, digits: int = 3) -> str:
    """Format a moment as minutes and seconds, with hours where there are some."""
    if t_s is None or t_s != t_s:
        return NOTHING
    sign = "-" if t_s < 0 else ""
    ticks = round(abs(t_s) * 10**digits)
    seconds, part = divmod(ticks, 10**digits)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else str(minutes)
    return f"{sign}{head}:{seconds:02d}" + (f".{part:0{digits}d}" if digits else "")


def duration(time_s: float | None) -> str:
    """Format a length of time, as in "2 min 5 s"."""
    if time_s is None or time_s != time_s:
        return NOTHING
    if time_s < 60:
        return f"{time_s:.3g} s"
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= MANY_HOURS:
        return f"{hours:,} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def number(value: float | None, digits: int = 2) -> str:
    """Format a number with commas between thousands."""
    return NOTHING if value is None or value != value else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share, 0 to 1, as in "12.5 %"."""
    return NOTHING if share is None or share != share else f"{100 * share:.{digits}f} %"


def counted(count: int, word: str) -> str:
    """Format a count with its word, as in "1 clip" and "1,000 clips"."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def lines_of(value: object, name: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings to lines of `a, b` and their value."""
    if isinstance(value, dict) and (value or not name):
        return [
            line
            for key, inner in value.items()
            for line in lines_of(inner, f"{name}, {key}" if name else str(key))
        ]
    if isinstance(value, dict | list | tuple):
        return [(name, ", ".join(map(_word, value)) or "none")]
    return [(name, _word(value))]


def _word(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
