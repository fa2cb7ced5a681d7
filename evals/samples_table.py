"""Scored samples as a Parquet file: one row a request, small, and readable by pandas, DuckDB and pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from evals.files import AtomicFile
from evals.records import ScoredSample
from model_adapters.contract import Failure, Timing

_TEXTS = ("row_id", "group", "content_hash", "cluster", "prompt", "prediction", "extracted", "rule")
_LISTS = ("image_hashes", "references")
_TIMES = tuple(f.name for f in fields(Timing))
_TOKENS = ("prompt_tokens", "new_tokens")


class SamplesWriter:
    """Writes a task's scored samples, a row group a batch, so that a large task is never in memory as a whole.

    Metrics, statistics and categories become columns of their own (``score:<metric>``, ``unit:<statistic>``,
    ``category:<name>``, ``timing:<stage>``); which statistics there are is taken from the first batch.

    Args:
        path: the file; it appears there, whole, when the block ends without an error.
        metrics, categories: names of all metrics and grouping columns of the task.
    """

    def __init__(self, path: Path, metrics: Sequence[str], categories: Sequence[str]) -> None:
        self._path, self._metrics, self._categories = path, metrics, categories
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._stream = self._open.enter_context(AtomicFile(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def write(self, samples: Sequence[ScoredSample]) -> None:
        """Write one batch."""
        if self._writer is None:
            units = _keys(samples, "units")
            self._schema = _schema(self._metrics, units, self._categories)
            writer = pq.ParquetWriter(self._stream, self._schema, compression="zstd")
            self._writer = self._open.enter_context(writer)
        self._writer.write_table(_table(samples, self._schema))


def write_samples(path: Path, samples: Sequence[ScoredSample]) -> None:
    """Write scored samples that are all at hand, atomically."""
    with SamplesWriter(path, _keys(samples, "scores"), _keys(samples, "categories")) as writer:
        writer.write(samples)


def _schema(metrics: Sequence[str], statistics: Sequence[str], categories: Sequence[str]) -> pa.Schema:
    texts = pa.list_(pa.string())
    return pa.schema(
        [
            *((name, pa.string()) for name in _TEXTS),
            *((name, texts) for name in _LISTS),
            *((f"score:{name}", pa.float64()) for name in metrics),
            *((f"unit:{name}", pa.list_(pa.float64())) for name in statistics),
            *((f"category:{name}", pa.string()) for name in categories),
            *((f"timing:{name}", pa.float64()) for name in _TIMES),
            *((name, pa.int64()) for name in _TOKENS),
            ("failure", pa.string()),
        ]
    )


def _table(samples: Sequence[ScoredSample], schema: pa.Schema) -> pa.Table:
    columns: dict[str, list[Any]] = {}
    for name in schema.names:
        kind, _, key = name.partition(":")
        if kind == "score":
            columns[name] = [s.scores.get(key) for s in samples]
        elif kind == "unit":
            columns[name] = [s.units.get(key) for s in samples]
        elif kind == "category":
            columns[name] = [s.categories.get(key) for s in samples]
        elif kind == "timing":
            columns[name] = [getattr(s.timing, key) for s in samples]
        elif kind == "failure":
            columns[name] = [json.dumps(asdict(s.failure)) if s.failure else None for s in samples]
        else:
            columns[name] = [getattr(s, name) for s in samples]
    try:
        return pa.table(columns, schema=schema)
    except UnicodeEncodeError:  # rare, and looking at each text for it costs more than all the rest
        return pa.table({name: _clean(values) for name, values in columns.items()}, schema=schema)


def _keys(samples: Sequence[ScoredSample], attribute: str) -> list[str]:
    return sorted({key for s in samples for key in getattr(s, attribute)})


def _clean(values: Any) -> Any:
    """The values with ``?`` for lone surrogates: Arrow's strings are UTF-8, which has none."""
    if isinstance(values, str):
        return values.encode("utf-8", "replace").decode()
    return [_clean(value) for value in values] if isinstance(values, list | tuple) else values


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
