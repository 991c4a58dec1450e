"""Time that making the batches adds to an epoch: `python bench_input.py [ROUNDS]`.

TriplePath-HA3DNet on 256 gray samples, fed by `SampleBatches` and by arrays that were put together
before. The two take turns, so what else the machine does disturbs both. Where there is much of
that, the processor's time tells more: it is what was worked, not how long it took.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import keras
import numpy as np

from realtime.spec import FACE_SIZE
from training.batches.augmentation import Augmentation
from training.batches.sample_batches import SampleBatches
from training.models import architectures, devices
from training.recipe import load_recipe

SAMPLES = 256
BATCH = 32


class Timer(keras.callbacks.Callback):
    """Seconds of the last epoch, by the clock and of all cores."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began_s = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now_s = time.perf_counter(), time.process_time()
        self.taken_s = [now - began for now, began in zip(now_s, self._began_s, strict=True)]


def main(rounds: int) -> None:
    devices.make_deterministic(1)
    spec = load_recipe("triplepath-ha3dnet").spec
    random = np.random.default_rng(0)
    slots = random.integers(0, 256, (SAMPLES * spec.frames, FACE_SIZE, FACE_SIZE), np.uint8)
    index = np.arange(len(slots)).reshape(SAMPLES, spec.frames)
    labels = np.arange(SAMPLES) % len(spec.labels)

    def batches(augmentation: Augmentation | None) -> tuple[SampleBatches]:
        return (
            SampleBatches(
                slots, index, labels, spec, BATCH, shuffle=True, augmentation=augmentation
            ),
        )

    feeds = {
        "arrays": (random.integers(0, 256, (SAMPLES, *spec.window_shape), np.uint8), labels),
        "batches": batches(None),
        "augmented as in training": batches(Augmentation()),
        "every sample augmented": batches(Augmentation(share=1)),
    }
    networks = {"by itself": {}, "with the shipped model's sizes": load_recipe("kilas").network}
    for name, arguments in networks.items():
        network = architectures.build(spec, **arguments)
        network.compile("adam", "sparse_categorical_crossentropy")
        timer = Timer()
        taken_s: dict[str, list[list[float]]] = {feed: [] for feed in feeds}
        for number in range(rounds + 1):
            for feed, data in feeds.items():
                # The first epoch of each call also pays for its start.
                network.fit(
                    *data,
                    batch_size=BATCH if feed == "arrays" else None,
                    epochs=2,
                    shuffle=False,
                    verbose=0,
                    callbacks=[timer],
                )
                if number > 0:  # the first round compiles
                    taken_s[feed].append(timer.taken_s)
        print(f"TriplePath-HA3DNet {name}, an epoch:")
        medians = {
            feed: [statistics.median(own) for own in zip(*taken, strict=True)]
            for feed, taken in taken_s.items()
        }
        for feed, (clock_s, processor_s) in medians.items():
            clock, processor = np.divide(medians[feed], medians["arrays"])
            print(
                f"  {feed:24} {clock_s:6.2f} s by the clock, {clock:.3f} of arrays; "
                f"{processor_s:6.2f} s of the processor, {processor:.3f} of arrays"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
