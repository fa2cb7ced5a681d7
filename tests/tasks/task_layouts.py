"""Hand-made tables in the real column layout of every task's data set, opened through the real data layer.

``layouts/<family>.json`` has, for each task, two or three rows (``rows``), the joined table (``join``), the pool of
worked examples (``pool``), or the files of a local data set (``files``); ``like`` names a task with the same layout.
``@red`` and its like stand for pictures. What must come out is in ``expected.json``.
"""

from __future__ import annotations

import base64
import csv
import functools
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from evals.data import Dataset, open_dataset
from evals.spec import find_task
from evals.spec.catalogue import apply_preset
from evals.spec.records import TaskSpec

LAYOUTS = Path(__file__).parent / "layouts"


@functools.cache
def layouts() -> dict[str, dict[str, Any]]:
    """All layouts by task."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(LAYOUTS.glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return {
        task: found[layout["like"].rpartition("/")[2]] if "like" in layout else layout for task, layout in found.items()
    }


@functools.cache
def png(colour: str) -> bytes:
    """A small picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (12, 8), colour).save(out, "PNG")
    return out.getvalue()


_find = functools.cache(find_task)


def open_layout(task: str, preset: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[TaskSpec, Dataset]:
    """A task's data set over its layout's rows; only the download and the check of count and sum are left out."""
    spec, layout = apply_preset(_find(task), preset), layouts()[task]
    spec = replace(spec, data=replace(spec.data, expected_count=None, md5=None))
    for name, content in layout.get("files", {}).items():
        _write(folder / name, content, lines=layout.get("lines", False))
    if spec.data.source == "vlmevalkit":
        _write_tsv(folder / f"{spec.data.tsv}.tsv", layout["rows"])

    def read_hub(data: Any, configs: Sequence[str], split: str, *_: Any, **__: Any) -> pa.Table:
        join, shots = spec.data.join, spec.prompt.few_shot
        if join is not None and tuple(configs) == join.configs:
            return _table(layout["join"])
        if shots is not None and split == shots.split:
            return _table(layout["pool"])
        assert (tuple(configs), split) == (spec.data.configs, spec.data.split)
        return _table(layout["rows"])

    patch.setattr("evals.data.sources.read_hub", read_hub)
    return spec, open_dataset(spec, folder, folder / "cache")


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: _hub_cell(value) for name, value in row.items()} for row in rows])


def _hub_cell(value: Any) -> Any:
    """Pictures as the ``datasets`` library stores them, or as base64 text where the data set does so."""
    if isinstance(value, list):
        return [_hub_cell(item) for item in value]
    if isinstance(value, str) and value.startswith("@b64:"):
        return base64.b64encode(png(value.removeprefix("@b64:"))).decode()
    return {"bytes": png(value[1:]), "path": None} if isinstance(value, str) and value.startswith("@") else value


def _write(path: Path, content: Any, lines: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_bytes(png(content[1:]))
    elif lines:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_tsv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            image = row["image"]
            encoded = base64.b64encode(png(image[1:])).decode() if image.startswith("@") else image
            writer.writerow(row | {"image": encoded})
