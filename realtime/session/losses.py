"""Frames of a source that were lost, and texts about them."""

from __future__ import annotations

from collections.abc import Mapping

NO_FRAMES = frozenset({"model busy", "recorder busy", "clips busy", "clip without face", "stopped"})
"""Causes in `drops` that cost no frame of the source, but scores, pictures or clips of it."""


def lost_frames(drops: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers of lost frames by cause, out of the drops of a session or a source.

    Outages, whose frames nobody can count, count once each.
    """
    return {cause: count for cause, count in drops.items() if count and cause not in NO_FRAMES}


def causes_text(drops: Mapping[str, int]) -> str:
    """Return numbers by cause as text, such as "104 damaged, 3 no time"; empty for none."""
    return ", ".join(f"{count} {cause}" for cause, count in drops.items() if count)


def losses_text(drops: Mapping[str, int], frames: int) -> str:
    """Return the lost frames as text, such as "104 of 147 frames lost (104 damaged)".

    `frames`: number of frames that were not lost. Empty if none was lost.
    """
    lost = lost_frames(drops)
    total = sum(lost.values())
    return f"{total} of {frames + total} frames lost ({causes_text(lost)})" if total else ""
