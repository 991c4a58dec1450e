"""Inspection of prepared data as a recipe sees them: counts, and a contact sheet of samples."""

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
    """Format the counts of prepared data; with `sheet`, draw some samples of each class.

    `sheet`: the picture file to write. Raises KilasError when the data do not fit the recipe, the
    recipe does not recognise gray faces, or the picture cannot be written.

    Example:

        from pathlib import Path
        from training.recipe import load_recipe
        from training.reports.inspection import inspect

        recipe = load_recipe("triplepath-ha3dnet")
        print(inspect([Path("casme2.npz")], recipe, Path("sheet.png")))
    """
    if recipe.samples is None or recipe.spec.signal != "gray":
        raise KilasError(
            "Only recipes that recognise gray faces have samples to look at; give such a recipe "
            "with --recipe, for example triplepath-ha3dnet."
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
        f"{len(samples)} samples; emotions in rows, classes in columns:",
        counts.to_string(),
        *_format_people(table["person"]),
        *(f"Left out: {one.count}, {one.why}." for one in left_out),
    ]
    if sheet is not None:
        _draw(samples, recipe, sheet)
        lines.append(f"The contact sheet is {sheet}.")
    return "\n".join(lines)


def _format_people(person: pd.Series) -> Iterator[str]:
    """Yield lines on the subjects. person: subject of each sample, empty where unknown."""
    if unnamed := int((person == "").sum()):
        yield f"{unnamed} samples do not name their subject."
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
    except (OSError, cv2.error):  # OpenCV's error: it has no writer for the suffix
        is_written = False
    if not is_written:
        raise KilasError(
            f"{sheet} cannot be written; give a .png or .jpg in a folder that you may write to."
        )
