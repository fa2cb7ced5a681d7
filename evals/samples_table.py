"""Scored samples as a Parquet file: one row a request, small, and readable by pandas, DuckDB and pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evals.files import write_atomically
from evals.records import ScoredSample
from model_adapters.contract import Failure, Timing

_TEXTS = ("row_id", "group", "content_hash", "cluster", "prompt", "prediction", "extracted", "rule")
_TIMES = tuple(f.name for f in fields(Timing))


def write_samples(path: Path, samples: Sequence[ScoredSample]) -> None:
    """Write scored samples atomically. Metrics, statistics and categories become columns of their own
    (``score:<metric>``, ``unit:<statistic>``, ``category:<name>``, ``timing:<stage>``)."""
    columns: dict[str, pa.Array] = {
        name: pa.array([_clean(getattr(s, name)) for s in samples], pa.string()) for name in _TEXTS
    }
    columns["image_hashes"] = pa.array([list(s.image_hashes) for s in samples], pa.list_(pa.string()))
    columns["references"] = pa.array([[_clean(r) for r in s.references] for s in samples], pa.list_(pa.string()))
    for name in _keys(samples, "scores"):
        columns[f"score:{name}"] = pa.array([s.scores.get(name) for s in samples], pa.float64())
    for name in _keys(samples, "units"):
        rows = [list(s.units[name]) if name in s.units else None for s in samples]
        columns[f"unit:{name}"] = pa.array(rows, pa.list_(pa.float64()))
    for name in _keys(samples, "categories"):
        columns[f"category:{name}"] = pa.array([s.categories.get(name) for s in samples], pa.string())
    for name in _TIMES:
        columns[f"timing:{name}"] = pa.array([getattr(s.timing, name) for s in samples], pa.float64())
    for name in ("prompt_tokens", "new_tokens"):
        columns[name] = pa.array([getattr(s, name) for s in samples], pa.int64())
    failures = [json.dumps(asdict(s.failure)) if s.failure else None for s in samples]
    columns["failure"] = pa.array(failures, pa.string())
    table = pa.table(columns)
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))


def _keys(samples: Sequence[ScoredSample], attribute: str) -> list[str]:
    return sorted({key for s in samples for key in getattr(s, attribute)})


def _clean(text: str | None) -> str | None:
    """Arrow strings are UTF-8, which has no lone surrogates."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Some columns by name: float and integer columns without nulls as numpy arrays, everything else as lists."""
    table = pq.read_table(path, columns=list(names))
    columns: dict[str, Any] = {}
    for name in names:
        column = table.column(name)
        plain = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        columns[name] = column.to_numpy() if plain and not column.null_count else column.to_pylist()
    return columns


def read_samples(path: Path) -> list[ScoredSample]:
    """All rows of a samples file, as records."""
    table = pq.read_table(path)
    data = {name: table.column(name).to_pylist() for name in table.column_names}

    def group(prefix: str) -> dict[str, list[Any]]:
        return {name.removeprefix(prefix): data[name] for name in data if name.startswith(prefix)}

    scores, units, categories, times = group("score:"), group("unit:"), group("category:"), group("timing:")
    return [
        ScoredSample(
            **{name: data[name][i] for name in _TEXTS},
            image_hashes=tuple(data["image_hashes"][i]),
            references=tuple(data["references"][i]),
            scores={name: column[i] for name, column in scores.items()},
            units={name: tuple(column[i]) for name, column in units.items() if column[i] is not None},
            categories={name: column[i] for name, column in categories.items() if column[i] is not None},
            timing=Timing(**{name: column[i] for name, column in times.items()}),
            prompt_tokens=data["prompt_tokens"][i],
            new_tokens=data["new_tokens"][i],
            failure=Failure(**json.loads(data["failure"][i])) if data["failure"][i] else None,
        )
        for i in range(table.num_rows)
    ]
