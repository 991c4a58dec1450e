"""The telling part of a model's card: what the model is, what it was trained on, how well it does
and its limits."""

from __future__ import annotations

import re
from pathlib import Path

TELLING = re.compile(
    r"\b(data|trained|training|measured|metrics|analyses|weakness\w*|not tested|untested|limit\w*"
    r"|caveats|not for|use|licen[cs]e|bias\w*)\b",
    re.I,
)
"""Words in the heading of a section that belongs to the excerpt; as in the shipped cards and in the
headings of Mitchell et al. (2019), "Model Cards for Model Reporting"."""

MAX_SECTION_CHARS = 2500
"""Of a section: about a screen; whoever wants more reads the card."""

MAX_CHARS = 8000
"""Of the excerpt, which every session carries."""

CUT = "(The card says more.)"


def card_excerpt(model_path: Path) -> str | None:
    """Title and first words of the card beside a model file, and its sections on data, on what was
    measured, on limits and use, as Markdown; None if there is no card.

    Long sections end with a whole paragraph and say that there is more. Raises OSError when the
    card is there and cannot be read.
    """
    path = model_path.with_suffix(".md")
    if not path.is_file():
        return None
    opening, *sections = _sections(path.read_text(encoding="utf-8", errors="replace"))
    telling = [one for one in sections if TELLING.search(one.splitlines()[0])]
    # Tables of the opening state figures of the network, which say little to who reads a session.
    words = [part for part in opening.split("\n\n") if not part.lstrip().startswith("|")]
    parts = [_shortened("\n\n".join(words)), *(_shortened(one) for one in telling)]
    return _shortened("\n\n".join(part for part in parts if part), MAX_CHARS) or None


def _sections(text: str) -> list[str]:
    """The text before the first heading of level 2, and each such heading with what follows."""
    return [part.strip() for part in re.split(r"^(?=## )", text, flags=re.M)]


def _shortened(text: str, limit: int = MAX_SECTION_CHARS) -> str:
    """As many whole paragraphs as fit, and at least a piece of the first."""
    if len(text) <= limit:
        return text
    room = limit - len(CUT) - 2
    end = text.rfind("\n\n", 0, room)
    kept = text[:end] if end > 0 and not _is_heading(text[:end]) else text[:room]
    return f"{kept}\n\n{CUT}"


def _is_heading(text: str) -> bool:
    return "\n" not in text and text.startswith("#")
