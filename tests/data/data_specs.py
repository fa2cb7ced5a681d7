"""Small tasks over files in a test's folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from evals.data import Dataset, Subset, open_dataset
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec

BASE: dict[str, Any] = {
    "schema": 1,
    "name": "unit",
    "title": "Unit test",
    "version": 1,
    "family": "vqa",
    "description": "",
    "data": {"source": "table", "files": ["rows.jsonl"]},
    "columns": {"images": [], "fields": {"question": "question"}},
    "metrics": [{"name": "exact_match"}],
}


def task(**parts: Any) -> TaskSpec:
    """The base task with parts replaced; mappings are merged one level deep."""
    merged = {key: {**BASE[key], **value} if isinstance(BASE.get(key), dict) else value for key, value in parts.items()}
    return build_stored(TaskSpec, BASE | merged)


def opened(spec: TaskSpec, root: Path, subset: Subset = Subset()) -> Dataset:
    """The task's data set, with the cache beside its files."""
    return open_dataset(spec, root, root / "cache", subset)


def png(colour: str = "red", size: tuple[int, int] = (12, 8)) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()
