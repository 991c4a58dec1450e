"""Numbers, times and settings as text."""

from __future__ import annotations

MANY_HOURS = 100
"""Of which nobody wants the minutes."""

NOTHING = "-"
"""Stands where there is no figure."""


def clock(t_s: float | None, digits: int = 3) -> str:
    """A moment: minutes and seconds, with hours where there are some."""
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
    """A length of time in words."""
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
    return NOTHING if value is None or value != value else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    return NOTHING if share is None or share != share else f"{100 * share:.{digits}f} %"


def counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def lines_of(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines of `a, b` and their value."""
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
