"""Actions of a simulated face: expressions with exact timing, and all other activity.

Emotions are mixes of facial action units after EMFACS (Friesen & Ekman, "EMFACS-7", 1983) and
the labels of the micro-expression sets (CASME II, SAMM): brow and lid raise for surprise, lip
corners and cheeks for positive, the units of anger, disgust, fear, sadness and contempt for
negative. Times are seconds from the clip's first frame, intensities 0..1 of the face model's
full range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from realtime.types import Float64Array
from training.annotations.expression import (
    ACTION_UNITS,
    AnnotatedExpression,
    intensity_at,
    minimum_jerk,
)

LABELS = ("negative", "positive", "surprise")

REACH_MM: dict[str, float] = {
    "1": 4.6,
    "2": 7.1,
    "4": 4.5,
    "5": 2.3,
    "6": 7.5,
    "7": 2.5,
    "9": 8.3,
    "10": 8.3,
    "12": 11.3,
    "14": 5.1,
    "15": 4.3,
    "17": 6.4,
    "20": 7.1,
    "24": 4.1,
    "25": 2.7,
    "26": 7.0,
}
"""Distance by which each unit at full intensity moves the skin where it moves most (mean over 300
vertices of the mean face, seen from the front). Expressions are drawn by this, so that none is
invisible because its units are small."""

MICRO_MM = (1.2, 6.0)
MACRO_MM = (1.2, 14.0)
"""Weakest and strongest expression, by the distance that the skin moves where it moves most. On the
aligned face a millimetre is about 0.9 pixels, so the weakest is about the least that a person
who looks for it finds in slow motion."""

# For each label: action units (with their strength relative to the event) and how often.
MIXES: dict[str, tuple[tuple[str, float], ...]] = {
    "surprise": (
        ("1+2", 0.4),
        ("1+2+5", 0.2),
        ("1+2+26", 0.08),
        ("1+2+25", 0.05),
        ("1+2+5+26", 0.15),
        ("2", 0.08),
        ("5", 0.02),
        ("2L", 0.01),
        ("2R", 0.01),
    ),
    "positive": (
        ("12", 0.33),
        ("6+12", 0.5),
        ("6+12+25", 0.07),
        ("12+25", 0.03),
        ("6", 0.01),
        ("12L", 0.03),
        ("12R", 0.03),
    ),
    "negative": (
        ("4", 0.2),
        ("4+7", 0.13),
        ("7", 0.03),
        ("4+7+24", 0.05),
        ("4+5", 0.02),
        ("4+15", 0.05),
        ("1", 0.03),
        ("1+4", 0.03),
        ("1+4+15", 0.04),
        ("9", 0.06),
        ("4+9", 0.06),
        ("9+10", 0.04),
        ("10", 0.04),
        ("15", 0.03),
        ("15+17", 0.05),
        ("17", 0.03),
        ("1+4+20", 0.02),
        ("20", 0.03),
        ("24", 0.03),
        ("4+24", 0.03),
        ("14", 0.02),
        ("14L", 0.02),
        ("14R", 0.02),
    ),
}


def unit_weights(units: str, skew: float) -> dict[str, float]:
    """Return weights of the face model's shapes, for each half of the face, at full intensity."""
    weights: dict[str, float] = {}
    for token in units.split("+"):
        unit, _, share = token.partition("*")
        sides = unit[-1] if unit[-1] in "LR" else "LR"
        for shape, gain in ACTION_UNITS[unit.rstrip("LR")]:
            gain *= float(share or 1)
            if shape in _ONE_PIECE:
                weights[shape] = max(weights.get(shape, 0.0), gain)
                continue
            for side in sides:
                name = f"{shape}_{side}"
                tilted = gain * (1 + skew if side == "L" else 1 - skew)
                weights[name] = max(weights.get(name, 0.0), tilted)
    return weights


def reach_mm(units: str) -> float:
    """Return how far `units` at full intensity move the skin where it moves most."""
    return max(
        REACH_MM[unit.rstrip("LR")] * float(share or 1)
        for unit, _, share in (token.partition("*") for token in units.split("+"))
    )


_ONE_PIECE = frozenset(
    ("jawOpen", "mouthShrugLower", "mouthShrugUpper", "mouthRollLower", "mouthRollUpper")
)


LABEL_ODDS = (0.42, 0.29, 0.29)
"""Share of the events that have each of LABELS."""

MICRO_S = (0.17, 0.5)
"""Shortest and longest micro-expression (Yan et al., "How fast are the leaked facial expressions",
2013)."""


def draw_event(
    rng: np.random.Generator, kind: str, longest_s: float, evenness: float = 0.0
) -> AnnotatedExpression:
    """Draw a random event that starts at 0 and lasts at most `longest_s`.

    `evenness`: 0 draws mixes as often as they occur; 1 draws each as often as any other, of
    whatever label."""
    mixes = [(label, units) for label in LABELS for units, _ in MIXES[label]]
    odds = np.array(
        [
            of_label * share / sum(other for _, other in MIXES[label])
            for label, of_label in zip(LABELS, LABEL_ODDS, strict=True)
            for _, share in MIXES[label]
        ]
    ) ** (1.0 - evenness)
    label, units = mixes[rng.choice(len(mixes), p=odds / odds.sum())]
    if "+" in units and rng.random() < 0.6:  # faces do not raise all units equally
        tokens = units.split("+")
        full = int(rng.integers(len(tokens)))
        units = "+".join(
            token if index == full else f"{token}*{rng.uniform(0.4, 1.0):.2f}"
            for index, token in enumerate(tokens)
        )
    weakest, strongest = MICRO_MM if kind == "micro" else MACRO_MM
    wanted_mm = float(np.exp(rng.uniform(np.log(weakest), np.log(strongest))))
    intensity = min(1.0, wanted_mm / reach_mm(units))
    if kind == "micro":
        total = min(longest_s, float(rng.uniform(*MICRO_S)))
        hold = total * float(rng.uniform(0.02, 0.3))
        rise = (total - hold) * float(rng.uniform(0.32, 0.58))
    else:
        total = min(longest_s, float(rng.uniform(0.8, 4.0)))
        if rng.random() < 0.4:  # as fast as a micro-expression, but it stays
            rise = float(rng.uniform(0.08, 0.25))
            hold = total - rise - float(rng.uniform(0.1, 0.35))
        else:
            rise = total * float(rng.uniform(0.25, 0.5))
            hold = (total - rise) * float(rng.uniform(0.2, 0.7))
    return AnnotatedExpression(
        onset_s=0.0,
        apex_s=rise,
        release_s=rise + hold,
        offset_s=total,
        label=label,
        kind=kind,
        intensity=intensity,
        units=units,
        skew=float(np.clip(rng.normal(0, 0.1), -0.3, 0.3)),
    )


@dataclass(frozen=True, slots=True)
class Motion:
    """Movements of a person, frame by frame, at the times `t_s` float64 [N].

    `weights` float64 [N, K]: shapes of the face model; `gaze_deg` [N, 2]: turn of the eyes to the
    picture's right and up; `angles_deg` [N, 3]: yaw, pitch, roll;
    `offset_cm` [N, 3]: right, up, to the camera; `key_gain`, `key_turn`, `gain` [N]: strength
    and turn (radians) of the main light, exposure; `hand` [N, 4]: x, y in face heights from the
    face's middle, angle in radians and presence 0 or 1 of a hand before the face.
    """

    t_s: Float64Array
    names: tuple[str, ...]
    weights: Float64Array
    gaze_deg: Float64Array
    angles_deg: Float64Array
    offset_cm: Float64Array
    key_gain: Float64Array
    key_turn: Float64Array
    gain: Float64Array
    hand: Float64Array

    def add(self, shape: str, values: Float64Array) -> None:
        """Add values [N] to the weights of a shape."""
        self.weights[:, self.names.index(shape)] += values

    def add_pair(self, shape: str, values: Float64Array) -> None:
        """Add values [N] to the weights of a shape on both halves of the face."""
        self.add(f"{shape}_L", values)
        self.add(f"{shape}_R", values)


def still(t_s: Float64Array, names: tuple[str, ...]) -> Motion:
    """Return the motion of a person who does nothing at all."""
    n = len(t_s)
    return Motion(
        t_s=t_s,
        names=names,
        weights=np.zeros((n, len(names))),
        gaze_deg=np.zeros((n, 2)),
        angles_deg=np.zeros((n, 3)),
        offset_cm=np.zeros((n, 3)),
        key_gain=np.ones(n),
        key_turn=np.zeros(n),
        gain=np.ones(n),
        hand=np.zeros((n, 4)),
    )


def play_event(motion: Motion, event: AnnotatedExpression) -> None:
    """Add an expression to the weights of a motion."""
    course = intensity_at(event, motion.t_s)
    for shape, gain in unit_weights(event.units, event.skew).items():
        motion.add(shape, gain * course)


def _wander(
    rng: np.random.Generator, t_s: Float64Array, low_hz: float, high_hz: float
) -> Float64Array:
    """Draw a smooth random course of unit variance with frequencies in the given range."""
    count = 6
    frequency = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count))
    phase = rng.uniform(0, 2 * np.pi, count)
    size = rng.uniform(0.5, 1.0, count)
    waves = np.sin(2 * np.pi * np.outer(t_s, frequency) + phase) @ size
    course: Float64Array = waves / np.sqrt((size**2).sum() / 2)
    return course


def _pulse(t_s: Float64Array, at: float, rise: float, hold: float, fall: float) -> Float64Array:
    """Return a course of 0 that from `at` on rises to 1, is held, and falls back; times in s."""
    up = minimum_jerk((t_s - at) / rise)
    course: Float64Array = up * (1 - minimum_jerk((t_s - at - rise - hold) / fall))
    return course


def _starts(rng: np.random.Generator, end_s: float, every: tuple[float, float]) -> list[float]:
    """Draw random times, `every` (shortest, longest) seconds apart."""
    times, t = [], float(rng.uniform(0.2, every[1]))
    while t < end_s:
        times.append(t)
        t += float(rng.uniform(*every))
    return times


def _sides(rng: np.random.Generator) -> str:
    """Draw a side of the face: L or R."""
    return str(rng.choice(["L", "R"]))


def sway(rng: np.random.Generator, motion: Motion, level: float = 1.0) -> None:
    """Add the small movements of someone who sits still: head, eyes, breath."""
    t = motion.t_s
    for axis, size in enumerate((0.9, 0.6, 0.5)):
        motion.angles_deg[:, axis] += (
            level * size * rng.uniform(0.3, 1.3) * _wander(rng, t, 0.08, 0.5)
        )
        motion.offset_cm[:, axis] += (
            level * 0.25 * rng.uniform(0.3, 1.3) * _wander(rng, t, 0.08, 0.4)
        )
        motion.angles_deg[:, axis] += level * 0.05 * _wander(rng, t, 2, 6)
    motion.offset_cm[:, 1] += level * 0.06 * np.sin(2 * np.pi * rng.uniform(0.2, 0.35) * t)
    _look(motion, 1.2 * _wander(rng, t, 0.3, 2), 0.8 * _wander(rng, t, 0.3, 2))


def _look(motion: Motion, right_deg: Float64Array, up_deg: Float64Array) -> None:
    """Turn the eyes, and the lids with them as far as 30 degrees at weight 1."""
    motion.gaze_deg[:, 0] += right_deg
    motion.gaze_deg[:, 1] += up_deg
    right, up = right_deg / 30.0, up_deg / 25.0
    motion.add("eyeLookOut_L", np.clip(right, 0, 1))
    motion.add("eyeLookIn_R", np.clip(right, 0, 1))
    motion.add("eyeLookIn_L", np.clip(-right, 0, 1))
    motion.add("eyeLookOut_R", np.clip(-right, 0, 1))
    motion.add_pair("eyeLookUp", np.clip(up, 0, 1))
    motion.add_pair("eyeLookDown", np.clip(-up, 0, 1))


def blink(rng: np.random.Generator, motion: Motion, at: float, sides: str = "LR") -> None:
    """Add a blink that begins at `at`, of both eyes or a single eye."""
    close, shut, open_ = rng.uniform(0.06, 0.1), rng.uniform(0.01, 0.06), rng.uniform(0.12, 0.22)
    depth = rng.uniform(0.75, 1.0)
    for side in sides:
        course = depth * _pulse(motion.t_s, at, close, shut, open_)
        motion.add(f"eyeBlink_{side}", course)
        motion.add(f"browDown_{side}", 0.03 * course)
        motion.add(f"cheekSquint_{side}", 0.06 * course)


def blinks(rng: np.random.Generator, motion: Motion, every: tuple[float, float] = (2, 7)) -> None:
    """Add blinks, `every` (shortest, longest) seconds."""
    for at in _starts(rng, motion.t_s[-1], every):
        blink(rng, motion, at)


def many_blinks(rng: np.random.Generator, motion: Motion) -> None:
    """Add blinks that come much more often than usual."""
    blinks(rng, motion, (0.25, 1.2))


def winks(rng: np.random.Generator, motion: Motion) -> None:
    """Add blinks of a single eye, with the cheek lifted."""
    for at in _starts(rng, motion.t_s[-1], (1.0, 2.5)):
        side = _sides(rng)
        course = _pulse(
            motion.t_s, at, rng.uniform(0.07, 0.16), rng.uniform(0.02, 0.35), rng.uniform(0.1, 0.25)
        )
        other = "R" if side == "L" else "L"
        motion.add(f"eyeBlink_{side}", rng.uniform(0.8, 1.0) * course)
        motion.add(f"eyeBlink_{other}", rng.uniform(0, 0.2) * course)
        motion.add(f"cheekSquint_{side}", rng.uniform(0.1, 0.6) * course)


def gaze(rng: np.random.Generator, motion: Motion) -> None:
    """Add saccades with fixations between them, and now and then a slow pursuit."""
    t = motion.t_s
    right, up = np.zeros_like(t), np.zeros_like(t)
    x = y = 0.0
    for at in _starts(rng, t[-1], (0.2, 1.3)):
        back = rng.random() < 0.3
        nx, ny = (0.0, 0.0) if back else (rng.normal(0, 13), rng.normal(0, 8))
        nx, ny = float(np.clip(nx, -28, 28)), float(np.clip(ny, -18, 15))
        span = rng.uniform(0.3, 1.0) if rng.random() < 0.15 else 0.025 + 0.002 * abs(nx - x)
        step = minimum_jerk((t - at) / span)
        right += (nx - x) * step
        up += (ny - y) * step
        x, y = nx, ny
        if rng.random() < 0.15:
            blink(rng, motion, at)
    _look(motion, right, up)
    motion.angles_deg[:, 0] += 0.12 * right
    motion.angles_deg[:, 1] += 0.08 * up


# Visemes: lip and jaw shapes of a few groups of sounds.
_VISEMES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.30},
    {"jawOpen": 0.18, "mouthStretch_L": 0.25, "mouthStretch_R": 0.25},
    {"jawOpen": 0.14, "mouthFunnel": 0.45},
    {"jawOpen": 0.06, "mouthPucker": 0.55},
    {"mouthPress_L": 0.4, "mouthPress_R": 0.4, "mouthRollLower": 0.2, "mouthRollUpper": 0.2},
    {
        "jawOpen": 0.08,
        "mouthLowerDown_L": 0.35,
        "mouthLowerDown_R": 0.35,
        "mouthUpperUp_L": 0.15,
        "mouthUpperUp_R": 0.15,
    },
    {"jawOpen": 0.05, "mouthRollLower": 0.45},
)


def speech(rng: np.random.Generator, motion: Motion) -> None:
    """Add phrases of syllables with pauses, and the head moving along."""
    t = motion.t_s
    size = rng.uniform(0.5, 1.3)
    at = float(rng.uniform(0, 1.0))
    while at < t[-1]:
        phrase_end = at + rng.uniform(0.5, 3.0)
        while at < phrase_end:
            span = rng.uniform(0.12, 0.3)
            course = size * rng.uniform(0.4, 1.2) * _pulse(t, at, span * 0.5, 0.02, span * 0.7)
            for shape, gain in _VISEMES[rng.integers(len(_VISEMES))].items():
                motion.add(shape, gain * course)
            at += span * rng.uniform(0.75, 1.0)
        at += rng.uniform(0.2, 1.2)
    for axis, turn in enumerate((1.2, 1.5, 0.8)):
        motion.angles_deg[:, axis] += turn * rng.uniform(0.2, 1.2) * _wander(rng, t, 0.4, 2.0)


def chew(rng: np.random.Generator, motion: Motion) -> None:
    """Add chewing, with pauses."""
    t = motion.t_s
    rate = rng.uniform(1.0, 2.2)
    on = np.zeros_like(t)
    for at in _starts(rng, t[-1], (5.0, 8.0)):
        on += _pulse(t, at, 0.4, rng.uniform(1.5, 3.5), 0.4)
    beat = np.clip(np.sin(2 * np.pi * rate * t), 0, 1)
    motion.add("jawOpen", rng.uniform(0.05, 0.16) * beat * on)
    motion.add("mouthPress_L", 0.25 * (1 - beat) * on)
    motion.add("mouthPress_R", 0.25 * (1 - beat) * on)
    motion.add("jawLeft", rng.uniform(-0.2, 0.2) * np.cos(2 * np.pi * rate * t) * on)


def swallow(rng: np.random.Generator, motion: Motion) -> None:
    """Add swallowing: pressed lips and a small nod."""
    for at in _starts(rng, motion.t_s[-1], (1.5, 3.5)):
        course = _pulse(
            motion.t_s, at, rng.uniform(0.2, 0.4), rng.uniform(0.05, 0.3), rng.uniform(0.25, 0.5)
        )
        motion.add_pair("mouthPress", rng.uniform(0.05, 0.3) * course)
        motion.add("mouthShrugLower", rng.uniform(0.0, 0.15) * course)
        motion.angles_deg[:, 1] += rng.uniform(-1.5, 1.5) * course


def lips(rng: np.random.Generator, motion: Motion) -> None:
    """Add licking and rolling in of the lips, and moving of the jaw aside."""
    for at in _starts(rng, motion.t_s[-1], (1.2, 3.0)):
        course = _pulse(
            motion.t_s, at, rng.uniform(0.15, 0.4), rng.uniform(0.05, 0.6), rng.uniform(0.15, 0.5)
        )
        shape = str(rng.choice(["mouthRollLower", "mouthRollUpper", "both", "jaw", "mouth"]))
        if shape == "both":
            motion.add("mouthRollLower", rng.uniform(0.2, 0.7) * course)
            motion.add("mouthRollUpper", rng.uniform(0.2, 0.7) * course)
        elif shape in ("jaw", "mouth"):
            side = str(rng.choice(["Left", "Right"]))
            motion.add(f"{shape}{side}", rng.uniform(0.1, 0.4) * course)
        else:
            motion.add(shape, rng.uniform(0.2, 0.8) * course)


def jitter(rng: np.random.Generator, motion: Motion) -> None:
    """Add the shaking of a head, or of a camera."""
    for axis in range(3):
        motion.angles_deg[:, axis] += rng.uniform(0.1, 0.6) * _wander(rng, motion.t_s, 2, 8)
        motion.offset_cm[:, axis] += rng.uniform(0.02, 0.15) * _wander(rng, motion.t_s, 2, 9)


def nods(rng: np.random.Generator, motion: Motion) -> None:
    """Add nods, and now and then shakes of the head."""
    for at in _starts(rng, motion.t_s[-1], (1.5, 3.5)):
        span = rng.uniform(0.5, 1.5)
        rate = rng.uniform(1.0, 2.8)
        wave = np.sin(2 * np.pi * rate * (motion.t_s - at)) * _pulse(motion.t_s, at, 0.2, span, 0.4)
        axis = 1 if rng.random() < 0.7 else 0
        motion.angles_deg[:, axis] += rng.uniform(2, 9) * wave


def turns(rng: np.random.Generator, motion: Motion) -> None:
    """Add turns of the head to a side and back."""
    for at in _starts(rng, motion.t_s[-1], (2.0, 3.5)):
        course = _pulse(
            motion.t_s, at, rng.uniform(0.35, 1.2), rng.uniform(0, 1.2), rng.uniform(0.35, 1.2)
        )
        motion.angles_deg[:, 0] += rng.choice([-1, 1]) * rng.uniform(7, 25) * course
        motion.angles_deg[:, 1] += rng.normal(0, 4) * course
        motion.angles_deg[:, 2] += rng.normal(0, 3) * course


def moves(rng: np.random.Generator, motion: Motion) -> None:
    """Shift the whole person, or let the person lean in or back."""
    for at in _starts(rng, motion.t_s[-1], (1.5, 3.0)):
        course = _pulse(
            motion.t_s, at, rng.uniform(0.4, 1.2), rng.uniform(0, 1.5), rng.uniform(0.4, 1.2)
        )
        motion.offset_cm[:] += course[:, None] * rng.normal(0, (1.8, 1.0, 3.0))


def light(rng: np.random.Generator, motion: Motion) -> None:
    """Let the main light grow, fade or go round, as when a screen or a cloud changes."""
    for at in _starts(rng, motion.t_s[-1], (1.0, 2.5)):
        step = minimum_jerk((motion.t_s - at) / rng.choice([0.05, 0.2, 0.6, 1.5]))
        motion.key_gain[:] *= np.exp(rng.normal(0, 0.3) * step)
        motion.key_turn[:] += rng.normal(0, 0.35) * step


def flicker(rng: np.random.Generator, motion: Motion) -> None:
    """Add a steady flicker of the brightness."""
    rate = np.exp(rng.uniform(np.log(0.7), np.log(14)))
    wave = np.sin(2 * np.pi * rate * motion.t_s + rng.uniform(0, 6))
    motion.gain[:] *= 1 + rng.uniform(0.015, 0.09) * wave


def exposure(rng: np.random.Generator, motion: Motion) -> None:
    """Add automatic exposure that hunts: quick steps, then back in a slow ramp."""
    for at in _starts(rng, motion.t_s[-1], (0.8, 2.5)):
        step = minimum_jerk((motion.t_s - at) / rng.choice([0.04, 0.15, 0.5]))
        back = minimum_jerk((motion.t_s - at - 0.6) / rng.uniform(0.5, 2))
        motion.gain[:] *= np.exp(rng.normal(0, 0.2) * step * (1 - rng.random() * back))


def hands(rng: np.random.Generator, motion: Motion) -> None:
    """Let a hand pass before the face or touch it."""
    t = motion.t_s
    for at in _starts(rng, t[-1], (2.0, 4.0)):
        rise, hold, fall = rng.uniform(0.3, 0.7), rng.uniform(0.1, 1.0), rng.uniform(0.3, 0.7)
        near = _pulse(t, at, rise, hold, fall)
        side = rng.choice([-1.0, 1.0])
        target = np.array([side * rng.uniform(0.0, 0.4), rng.uniform(-0.45, 0.35)])
        away = np.array([side * rng.uniform(0.5, 1.3), 1.5])
        shown = (t >= at) & (t < at + rise + hold + fall)
        place = away + (target - away) * near[:, None]
        motion.hand[shown, :2] = place[shown]
        motion.hand[shown, 2] = (-side * rng.uniform(0.1, 0.9) * near)[shown]
        motion.hand[shown, 3] = 1


DISTRACTIONS: dict[str, Callable[[np.random.Generator, Motion], None]] = {
    "blinks": many_blinks,
    "wink": winks,
    "gaze": gaze,
    "speech": speech,
    "chew": chew,
    "swallow": swallow,
    "lips": lips,
    "jitter": jitter,
    "nod": nods,
    "turn": turns,
    "translate": moves,
    "light": light,
    "flicker": flicker,
    "exposure": exposure,
    "hand": hands,
}
"""Kinds of activity that are not expressions; every clip also sways and blinks a little."""


def distract(rng: np.random.Generator, motion: Motion, kinds: Sequence[str]) -> None:
    """Add these kinds of activity to a motion."""
    for kind in kinds:
        DISTRACTIONS[kind](rng, motion)
