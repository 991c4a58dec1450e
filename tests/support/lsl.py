"""A model, a source and updates for streams on the Lab Streaming Layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np

from realtime.inference.model import Model
from realtime.types import Event, MacroScores, Source, SourceInfo, Update
from support.builders import make_scores, make_spec, make_update

SPEC = make_spec(labels=("none", "surprise"), frames=6)
SHA256 = "0123456789abcdef" * 4
MODEL, OTHER_MODEL = (
    cast(Model, SimpleNamespace(spec=SPEC, sha256=sha256)) for sha256 in (SHA256, SHA256[::-1])
)
IMAGE = np.zeros((4, 4, 3), np.uint8)


def source(name: str = "camera 0", live: bool = True) -> Source:
    stand_in = SimpleNamespace(live=live, drops=Counter(), info=SourceInfo(name, (4, 4)))
    return cast(Source, stand_in)


def update(
    t_s: float,
    scores: Sequence[tuple[int, float]] = (),
    events: Sequence[Event] = (),
    macro: Sequence[MacroScores] = (),
) -> Update:
    """`scores`: face and time."""
    return make_update(
        0,
        t_s,
        IMAGE,
        scores=[
            make_scores(at_s, 0.25, 0.75, face_id=face_id, latency_s=0.01)
            for face_id, at_s in scores
        ],
        events=events,
        macro=macro,
    )
