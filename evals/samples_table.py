"""Scored samples as a Parquet file: one row a request, small, and readable by pandas, DuckDB and pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from evals.arrow_columns import as_numpy, lists, numbers, read_parquet, texts
from evals.errors import StoreError
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
    text, number = pa.large_string(), pa.float64()
    return pa.schema(
        [
            *((name, text) for name in _TEXTS),
            *((name, pa.large_list(text)) for name in _LISTS),
            *((f"score:{name}", number) for name in metrics),
            *((f"unit:{name}", pa.large_list(number)) for name in statistics),
            *((f"category:{name}", text) for name in categories),
            *((f"timing:{name}", number) for name in _TIMES),
            *((name, pa.int64()) for name in _TOKENS),
            ("cost", number),
            ("failure", text),
        ]
    )


def _table(samples: Sequence[ScoredSample], schema: pa.Schema) -> pa.Table:
    arrays = [_array(_values(samples, field.name), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(samples: Sequence[ScoredSample], column: str) -> list[Any]:
    kind, _, key = column.partition(":")
    match kind:
        case "score":
            return [s.scores.get(key) for s in samples]
        case "unit":
            return [s.units.get(key) for s in samples]
        case "category":
            return [s.categories.get(key) for s in samples]
        case "timing":
            return [getattr(s.timing, key) for s in samples]
        case "failure":
            return [json.dumps(asdict(s.failure)) if s.failure else None for s in samples]
        case _:
            return [getattr(s, column) for s in samples]


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_large_string(kind):
        return texts(values)
    return lists(values, kind) if pa.types.is_large_list(kind) else numbers(values, kind)


def _keys(samples: Sequence[ScoredSample], attribute: str) -> list[str]:
    return sorted({key for s in samples for key in getattr(s, attribute)})


@contextmanager
def as_store_error(path: Path) -> Iterator[None]:
    """Turns what reading a damaged samples file raises into :class:`StoreError`, with the remedy."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}). Run `run_eval.py score {path.parent.parent}` to make it from the "
            "answers."
        ) from error


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Some columns by name: float and integer columns without nulls as numpy arrays, everything else as lists.

    Raises:
        StoreError: the file is damaged, or lacks a column.
    """
    with as_store_error(path):
        table = read_parquet(path, names)
        table.select(names)
    columns: dict[str, Any] = {}
    for name in names:
        column = table.column(name)
        plain = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        columns[name] = as_numpy(column) if plain and not column.null_count else column.to_pylist()
    return columns


def read_samples(path: Path) -> list[ScoredSample]:
    """All rows of a samples file, as records. Raises :class:`StoreError` as :func:`read_columns` does."""
    with as_store_error(path):
        return records(read_parquet(path))


def records(table: pa.Table) -> list[ScoredSample]:
    """The rows of a samples file's table, all columns of it, as records."""
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
            cost=data["cost"][i] if "cost" in data else None,  # files of earlier versions have none
            failure=Failure(**json.loads(data["failure"][i])) if data["failure"][i] else None,
        )
        for i in range(table.num_rows)
    ]
