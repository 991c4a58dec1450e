"""Speed and memory of `prepare`: `python bench_prepare.py [CLIPS] [ROUNDS]`.

CLIPS (a multiple of 4) and four times as many short clips of 60 JPEG pictures of 640 by 480 with a
face. Each figure comes from a process of its own, so that none has the peak of another's memory;
one and two jobs take turns, so what else the machine does disturbs both. Goals: two jobs are at
least 1.6 times as fast as one, and memory does not grow with the number of clips.
"""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

FRAMES = 60
SUBJECT_CLIPS = 4

FACTOR = 4
"""Clips of the larger dataset for each of the smaller. The difference of the two also tells the
speed without the start of the processes, which takes seconds."""

JOBS = (1, 2)

MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10
"""`getrusage` counts bytes on macOS, kilobytes elsewhere."""


def write_clips(root: Path, clips: int) -> None:
    """In the layout of SMIC-HS. The face moves a little where an expression is shown."""
    import skimage.data

    from support.dataset_layouts import Image, Shot, write_smic

    face = cv2.resize(skimage.data.astronaut()[:300, 40:440, ::-1], (640, 480))

    def draw(shot: Shot) -> Image:
        return np.roll(face, round(4 * shot.strength), axis=0)

    subjects = clips // SUBJECT_CLIPS
    write_smic(root, subjects=subjects, clips=SUBJECT_CLIPS, frames=FRAMES, picture=draw)


def measure(root: Path, jobs: int) -> None:
    """Prepare a dataset in this process; print what it took."""
    from training.preparation.prepare import prepare
    from training.recipe import load_recipe

    spec = load_recipe("triplepath-ha3dnet").spec
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        summary = prepare("smic", root, Path(folder, "smic.npz"), spec, jobs)
        taken_s = time.perf_counter() - began_s
    peaks_mb = [
        resource.getrusage(whose).ru_maxrss / MAXRSS_PER_MB
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(json.dumps([summary.clips, taken_s, *peaks_mb]))


def measured(root: Path, jobs: int) -> tuple[int, float, float, float]:
    """Clips with a face, seconds, and peaks in MB of the process and of its largest child."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(root), str(jobs)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    clips, taken_s, own_mb, child_mb = json.loads(done.stdout.splitlines()[-1])
    return clips, taken_s, own_mb, child_mb


def main(clips: int, rounds: int) -> None:
    sizes = (clips, FACTOR * clips)
    taken_s: dict[tuple[int, int], list[float]] = {}
    peaks_mb: dict[tuple[int, int], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            write_clips(Path(folder, str(size)), size)
        for _ in range(rounds):
            for size, jobs in itertools.product(sizes, JOBS):
                seen, seconds, own_mb, child_mb = measured(Path(folder, str(size)), jobs)
                assert seen == size, f"a face was found in {seen} of {size} clips"
                taken_s.setdefault((size, jobs), []).append(seconds)
                peaks_mb[size, jobs] = own_mb, child_mb
                print(f"{size} clips, jobs {jobs}: {seconds:.1f} s")
    few, many = sizes
    steady_s = {
        jobs: np.subtract(taken_s[many, jobs], taken_s[few, jobs]).tolist() for jobs in JOBS
    }
    for jobs in JOBS:
        whole = FRAMES * many / statistics.median(taken_s[many, jobs])
        steady = FRAMES * (many - few) / statistics.median(steady_s[jobs])
        print(
            f"jobs {jobs}: {whole:.0f} pictures a second, {steady:.0f} once the processes have "
            "started"
        )
    one, two = JOBS
    print(f"two jobs are {ratio(taken_s[many, one], taken_s[many, two])} times as fast as one,")
    print(f"{ratio(steady_s[one], steady_s[two])} times once the processes have started")
    for jobs in JOBS:
        names = ("parent", "largest child") if jobs > 1 else ("the process",)
        for place, name in enumerate(names):
            less, more = (peaks_mb[size, jobs][place] for size in sizes)
            print(
                f"jobs {jobs}, {name}: peak {less:.0f} MB with {few} clips, {more:.0f} MB with "
                f"{many}"
            )


def ratio(ones_s: list[float], twos_s: list[float]) -> str:
    ratios = [one / two for one, two in zip(ones_s, twos_s, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        arguments = [int(argument) for argument in sys.argv[1:]]
        main(*arguments, *(32, 3)[len(arguments) :])
