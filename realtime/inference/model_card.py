"""Excerpt of a model's card: what the model is, its training, its results and its limits."""

from __future__ import annotations

import re
from pathlib import Path

EXCERPT_HEADINGS = re.compile(
    r"\b(data|trained|training|measured|metrics|analyses|weakness\w*|not tested|untested|limit\w*"
    r"|caveats|not for|use|licen[cs]e|bias\w*)\b",
    re.I,
)
"""Pattern of the headings whose sections belong to the excerpt.

Its terms are those of the shipped cards and of the headings of Mitchell et al. (2019), "Model Cards
for Model Reporting".
"""

MAX_SECTION_CHARS = 2500
"""Largest length of a section: about a screen; the card itself has the rest."""

MAX_CHARS = 8000
"""Largest length of the excerpt, which every session carries."""

CUT = "(The card says more.)"
"""Sentence at the end of a shortened section."""


def card_excerpt(model_path: Path) -> str | None:
    """Return an excerpt of the card beside a model file as Markdown; None if there is no card.

    It has the title and the introduction, and the sections on data, on measured results, on limits
    and use. Long sections end with a whole paragraph and a note that there is more. Raises OSError
    when the card is there and cannot be read.
    """
    path = model_path.with_suffix(".md")
    if not path.is_file():
        return None
    opening, *sections = _sections(path.read_text(encoding="utf-8", errors="replace"))
    chosen = [part for part in sections if EXCERPT_HEADINGS.search(part.splitlines()[0])]
    # Tables of the opening hold numbers of the network, which help no reader of a session.
    paragraphs = [part for part in opening.split("\n\n") if not part.lstrip().startswith("|")]
    parts = [_shortened("\n\n".join(paragraphs)), *map(_shortened, chosen)]
    return _shortened("\n\n".join(part for part in parts if part), MAX_CHARS) or None


def _sections(text: str) -> list[str]:
    """Return the text before the first heading of level 2, and each such heading with its text."""
    return [part.strip() for part in re.split(r"^(?=## )", text, flags=re.M)]


def _shortened(text: str, limit: int = MAX_SECTION_CHARS) -> str:
    """Return as many whole paragraphs as fit, and at least a part of the first."""
    if len(text) <= limit:
        return text
    room = limit - len(CUT) - 2
    end = text.rfind("\n\n", 0, room)
    kept = text[:end] if end > 0 and not _is_heading(text[:end]) else text[:room]
    return f"{kept}\n\n{CUT}"


def _is_heading(text: str) -> bool:
    """Return True if the text is nothing but a heading."""
    return "\n" not in text and text.startswith("#")
