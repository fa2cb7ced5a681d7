"""A samples file read where it is needed: some rows, or some columns a part at a time, never the whole of it."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evals.arrow_columns import positions
from evals.records import ScoredSample
from evals.samples_table import as_store_error, records

_KEPT_PARTS = 4  # row groups held decoded: a reader who steps back and forth meets them again
_BATCH_ROWS = 65_536


class SamplesFile:
    """A scored task on disk, memory-mapped. Threads may share it.

    Args:
        path: as :class:`evals.samples_table.SamplesWriter` writes it.

    Raises:
        StoreError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        with as_store_error(path):
            self._file = pq.ParquetFile(path, memory_map=True)
        metadata = self._file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64).tolist()
        self._kept: dict[int, pa.Table] = {}
        self._lock = threading.Lock()
        self.column_names: list[str] = self._file.schema_arrow.names

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns in the order of the rows, at most 65,536 rows at a time."""
        with self._lock:
            parts = range(self._file.metadata.num_row_groups)
        for part in parts:
            with self._lock:
                table = self._file.read_row_group(part, columns=list(columns), use_threads=False)
            yield from table.to_batches(max_chunksize=_BATCH_ROWS)

    def column(self, name: str) -> pa.ChunkedArray:
        """One whole column."""
        with self._lock:
            return self._file.read(columns=[name]).column(name)

    def rows(self, indices: Sequence[int]) -> list[ScoredSample]:
        """The rows of some indices, in the order given; only the row groups that hold them are read."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for place, index in enumerate(indices):
            part = bisect_right(self._starts, index) - 1
            wanted.setdefault(part, []).append((place, index - self._starts[part]))
        found: dict[int, ScoredSample] = {}
        for part, places in wanted.items():
            taken = self._part(part).take(positions([offset for _, offset in places]))
            found |= {place: row for (place, _), row in zip(places, records(taken), strict=True)}
        return [found[place] for place in range(len(indices))]

    def _part(self, part: int) -> pa.Table:
        with self._lock:
            table = self._kept.pop(part, None)
            if table is None:
                table = self._file.read_row_group(part, use_threads=False)
            self._kept[part] = table
            while len(self._kept) > _KEPT_PARTS:
                self._kept.pop(next(iter(self._kept)))
            return table


def as_mask(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """A column of truth values without nulls."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [np.from_dlpack(chunk.cast("uint8")).astype(bool) for chunk in chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def as_floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of numbers; null is NaN."""
    import pyarrow.compute as pc

    values = np.full(len(column), np.nan)
    values[as_mask(pc.is_valid(column))] = _known(column)
    return values


def _known(column: pa.ChunkedArray) -> NDArray[Any]:
    parts = [np.from_dlpack(chunk) for chunk in column.drop_null().chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0)
