"""What prepared data hold, as a recipe sees them: counts, and a picture of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from realtime.errors import KilasError
from training.batches.samples import Samples, read_samples
from training.evaluation.protocols import people
from training.models.train import for_data
from training.preparation.sequence_file import load_files
from training.recipe import Recipe
from training.reports.contact_sheet import draw_sheet, pick


def inspect(prepared: Sequence[Path], recipe: Recipe, sheet: Path | None) -> str:
    """Counts in words; with `sheet`, draw some samples of each class into that picture.

    Raises KilasError when the data do not fit the recipe, it does not recognise gray faces, or
    the picture cannot be written.
    """
    if recipe.samples is None or recipe.spec.signal != "gray":
        raise KilasError(
            "Only recipes that recognise gray faces have samples to look at; give one of those, "
            "such as triplepath-ha3dnet."
        )
    lines = []
    for file in load_files(prepared, recipe.spec):
        table = file.table
        kinds = ", ".join(f"{count} {kind}" for kind, count in table["kind"].value_counts().items())
        estimated = int(table["apex_estimated"].sum())
        slots = sum(len(one.t_s) for one in file.streams)
        lines.append(
            f"{file.path}: {file.dataset}, {kinds}; {slots} slots of {1 / file.rate_hz:.3f} s in "
            f"{len(file.streams)} streams, mask {file.mask}; {estimated} apexes are estimated."
        )
    recipe = for_data(recipe, prepared)
    samples, left_out = read_samples(prepared, recipe.spec, recipe.classes)
    table = samples.table.assign(person=people(samples.table))
    counts = pd.crosstab([table["dataset"], table["emotion"]], table["label"], margins=True)
    lines += [
        f"{len(samples)} samples; a row an emotion, a column a class:",
        counts.to_string(),
        *_tell_people(table["person"]),
        *(f"Left out: {one.count}, {one.why}." for one in left_out),
    ]
    if sheet is not None:
        _draw(samples, recipe, sheet)
        lines.append(f"The contact sheet is {sheet}.")
    return "\n".join(lines)


def _tell_people(person: pd.Series) -> Iterator[str]:
    """person: of each sample, empty where nobody is named."""
    if unnamed := int((person == "").sum()):
        yield f"{unnamed} samples do not say whom they show."
    each = person[person != ""].value_counts()
    if len(each):
        yield (
            f"{len(each)} subjects with {each.min()} to {each.max()} samples each, "
            f"{each.median():g} at the median."
        )


def _draw(samples: Samples, recipe: Recipe, sheet: Path) -> None:
    spec, table = recipe.spec, samples.table
    chosen = pick(table["label"].tolist(), people(table).tolist())
    windows = samples.windows(np.array(chosen))
    rows = table.iloc[chosen]
    picture = draw_sheet(
        f"{', '.join(dict.fromkeys(table['dataset']))}: {len(samples)} samples",
        spec.labels,
        list(np.asarray(windows, np.uint8)),
        rows["apex_slot"].tolist(),
        rows["label"].tolist(),
        [f"{row.subject}\n{row.clip}\n{row.emotion}" for row in rows.itertuples()],
    )
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        is_written = cv2.imwrite(str(sheet), picture)
    except (OSError, cv2.error):  # of OpenCV: it has no writer for the suffix
        is_written = False
    if not is_written:
        raise KilasError(f"{sheet} cannot be written; give a .png or .jpg in a folder of yours.")
