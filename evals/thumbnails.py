"""Small copies of a run's pictures, so that its report needs no data set. Wrong and failed samples come first."""

from __future__ import annotations

import io
from collections.abc import Mapping

from evals.plan import TaskPlan
from evals.records import ScoredSample
from evals.store import Run
from model_adapters.contract import ImageRef

MAX_SIDE = 384  # px, the larger side
BUDGET_BYTES = 12 << 20  # per run, shared evenly by its tasks
QUALITY = 80


def write_thumbnails(run: Run, plans: Mapping[str, TaskPlan]) -> None:
    """Write JPEG thumbnails of as many distinct pictures as the budget allows; those already there are kept."""
    folder = run.path / "thumbnails"
    folder.mkdir(exist_ok=True)
    for task, plan in plans.items():
        left = BUDGET_BYTES // len(plans)
        places = {step.request_id: step.index for step in plan.steps}
        seen: set[str] = set()
        for sample in sorted(run.samples(task), key=_worst_first):
            if left <= 0:
                break
            if seen.issuperset(sample.image_hashes):
                continue
            for image in plan.dataset[places[sample.row_id]].images:
                seen.add(image.sha256)
                path = folder / f"{image.sha256}.jpg"
                if not path.exists() and (data := _thumbnail(image)) is not None:
                    path.write_bytes(data)
                left -= path.stat().st_size if path.exists() else 0


def _worst_first(sample: ScoredSample) -> float:
    return min((-1.0 if score is None else score for score in sample.scores.values()), default=-1.0)


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
