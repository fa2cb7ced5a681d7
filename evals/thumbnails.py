"""Small copies of a run's pictures, so that its report needs no data set. Wrong and failed samples come first."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evals.data import Dataset
from evals.files import write_bytes
from evals.samples_file import SamplesFile
from evals.store import Run
from model_adapters.contract import ImageRef

MAX_SIDE = 384  # px, the larger side
BUDGET_BYTES = 12 << 20  # per run, shared evenly by its tasks
QUALITY = 80
MOST_PICTURES = 20_000  # looked at; the budget ends long before


def write_thumbnails(run: Run, datasets: Mapping[str, Dataset]) -> None:
    """Write JPEG thumbnails of as many distinct pictures as the budget allows; those already there are kept."""
    for task, dataset in datasets.items():
        write_some(run, dataset, _worst_first(run, task), BUDGET_BYTES // len(datasets))


def write_some(run: Run, dataset: Dataset, places: Iterable[int], budget_bytes: int) -> None:
    """Write thumbnails of the samples at these places, in this order, until the budget is spent."""
    for place in places:
        for image in dataset[place].images:
            path = run.path / "thumbnails" / f"{image.sha256}.jpg"
            if not path.exists() and (data := _thumbnail(image)) is not None:
                write_bytes(path, data, durable=False)
            budget_bytes -= path.stat().st_size if path.exists() else 0
        if budget_bytes <= 0:
            return


def _worst_first(run: Run, task: str) -> list[int]:
    """Places in the data set of samples that show each picture once, by the lowest score that a picture got."""
    metric = run.results["tasks"][task]["metric"]
    names = ("group", "image_hashes", f"score:{metric}")
    worst: dict[tuple[str, ...], tuple[float, int]] = {}
    place, last = -1, None
    for group, hashes, score in _rows(SamplesFile(run.scored_path(task)), names):
        place, last = place + (group != last), group
        if hashes and (tuple(hashes) in worst or len(worst) < MOST_PICTURES):
            key, rank = tuple(hashes), (-1.0 if score is None or score != score else float(score), place)
            worst[key] = min(worst.get(key, rank), rank)
    return [place for _, place in sorted(worst.values())]


def _rows(samples: SamplesFile, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Some columns row by row; few rows at a time, since a million of them would take a gigabyte."""
    for batch in samples.batches(names):
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _thumbnail(image: ImageRef) -> bytes | None:
    """A JPEG of the picture, or None where it cannot be decoded (its sample is an error record already)."""
    try:
        picture = image.open().convert("RGB")
    except OSError:
        return None
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
