"""Faces cut out by landmarks, by the Haar cascade, and as FER2013 has them, before the network
that ships: `python bench_face_cuts.py STILLS.npz [PICTURES]`; the file is that of
`python -m training macro prepare`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from realtime.macro.face_crops import Cut, picture_cutter
from realtime.macro.model import MacroModel
from training.macro.stills import load_stills

PART = "PublicTest"
CUTS: tuple[Cut, ...] = ("cropped", "landmarks", "haar")
SEED = 5
"""Seed of the draw of pictures."""


def main(path: Path, pictures: int) -> None:
    model, stills = MacroModel.load(), load_stills(path)
    labels = list(model.spec.labels)
    rows = np.flatnonzero(stills.usage == PART)
    rows = np.random.default_rng(SEED).choice(rows, min(pictures, len(rows)), replace=False)
    truth = pd.Series(stills.labels[rows], rows)
    scores: dict[Cut, pd.DataFrame] = {}
    for cut in CUTS:
        with picture_cutter(cut, 1, model.spec) as cut_faces:
            found = {
                row: cut_faces(cv2.cvtColor(stills.images[row], cv2.COLOR_GRAY2BGR)) for row in rows
            }
        faces = {row: some[0] for row, some in found.items() if some}
        scores[cut] = pd.DataFrame(model.run(np.stack(list(faces.values()))), list(faces), labels)
        print(f"{cut}: a face in {len(faces) / len(rows):.3f} of {len(rows)} pictures")
    in_all = set.intersection(*(set(one.index) for one in scores.values()))
    kept = {cut: one.loc[sorted(in_all)].to_numpy() for cut, one in scores.items()}
    for cut, values in kept.items():
        right = (values.argmax(axis=1) == truth[sorted(in_all)]).mean()
        print(f"{cut}: right in {right:.3f} of the {len(in_all)} where all found one")
    for one, other in itertools.combinations(CUTS, 2):
        apart = np.abs(kept[one] - kept[other]).sum(axis=1).mean() / 2
        same = (kept[one].argmax(axis=1) == kept[other].argmax(axis=1)).mean()
        print(f"{one}, {other}: {apart:.3f} of the whole apart, the same label in {same:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 800)
