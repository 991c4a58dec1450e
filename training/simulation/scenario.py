"""Scenarios of simulated clips: events and camera settings, drawn from a seed before any picture.

`plan_clip` draws a scenario, and `perform` makes the movements that follow from it. Clip i of a
seed is always the same.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from training.annotations import expression
from training.annotations.expression import AnnotatedExpression
from training.simulation import actions
from training.simulation.actions import Motion

TIME_BASE = Fraction(1, 90_000)
"""Clock of the videos, as in MPEG transport streams; frame times are multiples of it."""

FIRST_EVENT_S = 1.2
EVENT_GAP_S = 1.0
LAST_EVENT_S = 0.6
"""Rest before the first event, between events and after the last event, in seconds."""

LONG_CLIP_S = 20.0
"""Least length of clips that are like a conversation: few events, and activity that comes and
goes."""

EPISODE_S = (15.0, 20.0)
"""Shortest and longest episode of a long clip."""

FADE_S = 0.6
"""Time in which an episode's activity sets in, and dies away."""

_A_MINUTE = ((3.0, 6.0), (2.0, 4.0))
"""Least and most micro- and macro-expressions a minute in long clips."""

LONGEST_EXPOSURE_S = 1 / 30
"""Longest exposure: when it gets darker still, webcams raise their gain."""

_SIZES_WH = ((256, 256), (320, 240), (320, 320), (384, 288), (400, 400), (480, 360), (480, 480))


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of a clip in which the person, or the light, does something of a certain kind."""

    start_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class ClipScenario:
    """Scenario of a clip: all that the clip is made from.

    `name`: file name; `seed`: of all that the other fields leave open; `subject`: number of the
    person;
    `t_s`: frame times; `distractions`: kinds of other activity throughout the clip; `episodes`:
    those that come and go; `idle`: how much the person sways and blinks (1 usual); `face_px`:
    height of the face; `pose_deg`: yaw, pitch, roll; `noise`: grain at mid gray in 8-bit steps;
    `blur_px`: of the lens; `exposure_s`: how long a frame collects light, half of it after its
    time; `jpeg`: quality of the camera's own compression, 0 none; `crf`: of H.264; `skin`: tone
    0..1, the subject's if None.
    """

    name: str
    seed: tuple[int, ...]
    subject: int
    t_s: tuple[float, ...]
    events: tuple[AnnotatedExpression, ...] = ()
    distractions: tuple[str, ...] = ()
    episodes: tuple[Episode, ...] = ()
    idle: float = 1.0
    size_wh: tuple[int, int] = (320, 320)
    fps: float = 30.0
    face_px: float = 190.0
    place: tuple[float, float] = (0.5, 0.5)
    pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance_cm: float = 60.0
    noise: float = 1.5
    blur_px: float = 0.6
    jpeg: int = 0
    crf: int = 20
    exposure_s: float = 0.0
    gamma: float = 2.2
    contrast: float = 0.1
    skin: float | None = None

    @property
    def kind(self) -> str:
        """All kinds of activity, joined by +; `still` if there are none."""
        return "+".join(sorted({activity.kind for activity in self.activities})) or "still"

    @property
    def activities(self) -> tuple[Episode, ...]:
        """All activity besides the events, with its times."""
        end_s = round(self.t_s[-1], 4)
        return (*(Episode(0.0, end_s, kind) for kind in self.distractions), *self.episodes)

    def without(self, kind: str) -> ClipScenario:
        """Return the same scenario without a kind of activity."""
        return dataclasses.replace(
            self,
            distractions=tuple(other for other in self.distractions if other != kind),
            episodes=tuple(episode for episode in self.episodes if episode.kind != kind),
        )


def person_name(subject: int) -> str:
    """Return the name of a simulated person in tables; a number alone could be a user's subject."""
    return f"simulated-{subject}"


def frame_times(rng: np.random.Generator, fps: float, seconds: float) -> tuple[float, ...]:
    """Draw the times of a camera's frames: they jitter, and some are dropped."""
    count = max(2, round(seconds * fps))
    jitter = rng.choice([0.0, 0.02, 0.08, 0.2], p=[0.2, 0.4, 0.3, 0.1])
    t = (np.arange(count) + np.clip(rng.normal(0, jitter, count), -0.4, 0.4)) / fps
    keep = rng.random(count) >= rng.choice([0.0, 0.005, 0.03], p=[0.5, 0.35, 0.15])
    for _ in range(rng.poisson(0.013 * seconds)):  # stalls of the camera or of the bus
        at = int(rng.integers(0, count))
        keep[at : at + int(rng.integers(2, 5))] = False
    keep[0] = keep[-1] = True
    ticks = np.round((t[keep] - t[0]) / float(TIME_BASE)).astype(np.int64)
    return tuple((ticks / TIME_BASE.denominator).tolist())


def exposure_time(rng: np.random.Generator, fps: float, noise: float) -> float:
    """Draw the seconds that a frame collects light.

    They are a share of the time between two frames, larger in rooms so dark that the picture is
    noisy too."""
    share = min(0.95, rng.uniform(0.1, 0.5) + 0.1 * noise * rng.uniform(0.5, 1.0))
    return round(float(min(share / fps, LONGEST_EXPOSURE_S)), 5)


def place_events(rng: np.random.Generator, seconds: float) -> tuple[AnnotatedExpression, ...]:
    """Draw random events that are far enough apart.

    There are two to four in a clip of seconds, a few a minute in a longer clip."""
    if seconds < LONG_CLIP_S:
        kinds = list(rng.choice(["micro", "macro"], int(rng.integers(2, 5)), p=[0.75, 0.25]))
    else:
        micro, macro = (round(rng.uniform(*many) * seconds / 60) for many in _A_MINUTE)
        kinds = list(rng.permutation(["micro"] * max(1, micro) + ["macro"] * macro))
    room = seconds - FIRST_EVENT_S - LAST_EVENT_S
    drawn: list[AnnotatedExpression] = []
    used = 0.0
    for kind in kinds:
        left = room - used - (EVENT_GAP_S if drawn else 0.0)
        if left < 0.5:
            break
        event = actions.draw_event(rng, str(kind) if left > 0.9 else "micro", left)
        drawn.append(event)
        used += event.offset_s + (EVENT_GAP_S if len(drawn) > 1 else 0.0)
    order = rng.permutation(len(drawn))
    slack = np.diff(
        np.sort(np.concatenate([[0.0], rng.uniform(0, max(room - used, 0), len(drawn))]))
    )
    placed, at = [], FIRST_EVENT_S
    for gap, index in zip(slack, order, strict=True):
        at += float(gap)
        placed.append(shifted(drawn[index], at))
        at = placed[-1].offset_s + EVENT_GAP_S
    return tuple(placed)


def draw_kinds(rng: np.random.Generator, odds: tuple[float, ...]) -> tuple[str, ...]:
    """Draw the kinds of activity that go on at a time; `odds` of 0, 1, 2 and more kinds."""
    kinds = list(actions.DISTRACTIONS)
    count = int(rng.choice(len(odds), p=odds))
    # Speech and head turns are what live monitors meet most, so they come twice as often.
    weight = np.array([2.0 if kind in ("speech", "turn", "gaze") else 1.0 for kind in kinds])
    chosen = rng.choice(len(kinds), count, replace=False, p=weight / weight.sum())
    return tuple(kinds[i] for i in sorted(chosen))


def place_episodes(rng: np.random.Generator, seconds: float) -> tuple[Episode, ...]:
    """Draw the other activity of a long clip: another set of kinds every 15 to 20 s.

    Most people talk most of the time."""
    talks = rng.random() < 0.75
    episodes, start_s = [], 0.0
    while start_s < seconds:
        end_s = start_s + rng.uniform(*EPISODE_S)
        if seconds - end_s < EPISODE_S[0] / 2:
            end_s = seconds
        kinds = set(draw_kinds(rng, (0.2, 0.45, 0.25, 0.1)))
        if talks and rng.random() < 0.85:
            kinds = (kinds - {"chew"}) | {"speech"}
        stretch = (round(start_s, 3), round(end_s, 3))
        episodes += [Episode(*stretch, kind) for kind in sorted(kinds)]
        start_s = end_s
    return tuple(episodes)


def shifted(event: AnnotatedExpression, by_s: float) -> AnnotatedExpression:
    """Return the same event `by_s` later, with times that events.csv states exactly."""
    times = {
        name: round(getattr(event, name) + by_s, 4)
        for name in ("onset_s", "apex_s", "release_s", "offset_s")
    }
    return dataclasses.replace(event, **times, intensity=round(event.intensity, 4))


def plan_clip(
    seed: int, index: int, seconds: float, first_subject: int, subjects: int
) -> ClipScenario:
    """Draw the scenario of clip `index`; about one in three short clips has no event.

    The person is one of `subjects` people, who are numbered from `first_subject`.

    Example:
        scenario = plan_clip(seed=0, index=3, seconds=6.0, first_subject=0, subjects=10)
    """
    rng = np.random.default_rng([seed, index])
    subject = first_subject + int(rng.integers(subjects))
    with_events = rng.random() < 0.66 or seconds >= LONG_CLIP_S
    events = place_events(rng, seconds) if with_events else ()
    kinds = draw_kinds(rng, (0.45, 0.45, 0.1) if with_events else (0.06, 0.6, 0.24, 0.1))
    is_long = seconds >= LONG_CLIP_S
    fps = float(
        rng.choice(
            [15, 20, 24, 25, 30, 50, 60, 90, 100, 120, 150, 200],
            p=[0.05, 0.06, 0.04, 0.13, 0.4, 0.07, 0.1, 0.03, 0.03, 0.03, 0.02, 0.04],
        )
    )
    face_px = float(rng.uniform(150, 250))
    if rng.random() < 0.35:
        face_px = float(np.exp(rng.uniform(np.log(80), np.log(400))))
    noise = float(rng.choice([0.4, 1.0, 2.0, 3.5, 5.0], p=[0.2, 0.3, 0.3, 0.14, 0.06]))
    fitting = [size for size in _SIZES_WH if min(size) >= 1.15 * face_px]
    size_wh = fitting[min(int(rng.integers(3)), len(fitting) - 1)]
    return ClipScenario(
        name=f"clip_{index:05d}.mp4",
        seed=(seed, index, 1),
        subject=subject,
        t_s=frame_times(rng, fps, seconds),
        events=events,
        distractions=() if is_long else kinds,
        episodes=place_episodes(rng, seconds) if is_long else (),
        idle=float(rng.choice([0.3, 1.0, 1.7])),
        size_wh=size_wh,
        fps=fps,
        face_px=round(face_px, 1),
        place=_place(rng, size_wh, face_px),
        pose_deg=(
            # Most people face the camera, yet every angle occurs often enough to be measured.
            float(rng.uniform(-20, 20) if rng.random() < 0.6 else rng.normal(0, 5)),
            float(np.clip(rng.normal(0, 5), -12, 12)),
            float(np.clip(rng.normal(0, 3), -10, 10)),
        ),
        distance_cm=float(np.exp(rng.uniform(np.log(38), np.log(95)))),
        noise=noise,
        exposure_s=exposure_time(rng, fps, noise),
        blur_px=round(float(rng.uniform(0.3, 1.0)), 3),
        jpeg=int(rng.choice([0, 95, 85, 70], p=[0.5, 0.2, 0.2, 0.1])),
        crf=int(rng.choice([16, 19, 22, 25, 29], p=[0.1, 0.25, 0.3, 0.25, 0.1])),
        gamma=round(float(rng.uniform(1.9, 2.5)), 3),
        contrast=round(float(rng.uniform(0.0, 0.25)), 3),
    )


def _place(
    rng: np.random.Generator, size_wh: tuple[int, int], face_px: float
) -> tuple[float, float]:
    """Draw where the middle of the face lies, as a share of the picture: inside, with a margin."""
    free = [max(0.0, (side - 1.12 * face_px) / side / 2) for side in size_wh]
    x, y = (0.5 + float(np.clip(rng.normal(0, 0.4), -1, 1)) * half for half in free)
    return x, y


def perform(scenario: ClipScenario, names: tuple[str, ...]) -> Motion:
    """Make the person's movements in each frame, for the shapes `names` of a face model."""
    rng = np.random.default_rng([*scenario.seed, 2])
    motion = actions.still(np.array(scenario.t_s), names)
    if scenario.idle > 0:
        actions.sway(rng, motion, scenario.idle)
        if "blinks" not in scenario.distractions:
            actions.blinks(rng, motion)
    actions.distract(rng, motion, scenario.distractions)
    for episode in scenario.episodes:
        _play_episode(rng, motion, episode)
    motion.angles_deg[:] += scenario.pose_deg
    motion.angles_deg[:] = np.clip(motion.angles_deg, (-30, -22, -20), (30, 22, 20))
    for event in scenario.events:
        actions.play_event(motion, event)
    np.clip(motion.weights, 0, 1, out=motion.weights)
    return motion


def _play_episode(rng: np.random.Generator, motion: Motion, episode: Episode) -> None:
    """Add an activity that sets in at its start and dies away at its end."""
    first, last = np.searchsorted(motion.t_s, (episode.start_s, episode.end_s))
    if first == last:
        return
    rows = slice(first, last)
    t_s = motion.t_s[rows] - episode.start_s
    part = actions.still(t_s, motion.names)
    actions.distract(rng, part, (episode.kind,))
    rest_s = episode.end_s - episode.start_s - t_s
    level = expression.minimum_jerk(t_s / FADE_S) * expression.minimum_jerk(rest_s / FADE_S)
    motion.weights[rows] += level[:, None] * part.weights
    motion.gaze_deg[rows] += level[:, None] * part.gaze_deg
    motion.angles_deg[rows] += level[:, None] * part.angles_deg
    motion.offset_cm[rows] += level[:, None] * part.offset_cm
    motion.key_gain[rows] *= part.key_gain**level
    motion.key_turn[rows] += level * part.key_turn
    motion.gain[rows] *= part.gain**level
    part.hand[:, 1] += 2 * (1 - level)  # out of the picture
    shown = part.hand[:, 3] == 1
    motion.hand[rows][shown] = part.hand[shown]
