"""Large tables on disk: copied to Arrow once, mapped from then on, and kept out of this process's memory.

The pages of a mapped file count as memory of the process once they were touched, although the operating system could
take them back. Whoever reads a large table from end to end lets go of them on the way.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from evals.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

COPY_FROM_BYTES = 64 << 20
COPY_FROM_ROWS = 200_000
BATCH_BYTES = 32 << 20
BATCH_ROWS = 65_536

_mapped: WeakSet[mmap.mmap] = WeakSet()


def mapped(path: Path) -> pa.Buffer:
    """A file's bytes, read when they are looked at."""
    import pyarrow as pa

    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    _mapped.add(pages)
    return pa.py_buffer(pages)


def let_go_of_mapped_files() -> None:
    """Take all mapped pages out of this process, which are read again when they are looked at, and with them the memory
    that Arrow holds in reserve."""
    import pyarrow as pa

    for pages in list(_mapped):
        pages.madvise(mmap.MADV_DONTNEED)
    pa.default_memory_pool().release_unused()


def arrow_copy(path: Path, cache: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """A file's rows from its Arrow copy, which is made where it is not there or the file has changed.

    Raises:
        StoreError: the cache folder cannot be written.
    """
    import pyarrow as pa

    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = cache / "tables" / f"{path.stem}-{key}.arrow"
    if not copy.exists():

        def write(file: Any) -> None:
            with pa.ipc.new_file(file, schema) as out:
                for batch in batches:
                    out.write_batch(batch)

        write_atomically(copy, write)
        let_go_of_mapped_files()
    return pa.ipc.open_file(mapped(copy)).read_all()


def read_stored_parquet(path: Path, cache: Path) -> pa.Table:
    """A Parquet file's table: in memory where it is small, else from an Arrow copy in the cache folder."""
    import pyarrow.parquet as pq

    from evals.arrow_columns import read_parquet

    with pq.ParquetFile(path, memory_map=True) as file:
        about = file.metadata
        size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if about.num_rows < COPY_FROM_ROWS and size < COPY_FROM_BYTES:
            return read_parquet(path)
        rows = min(BATCH_ROWS, max(1, BATCH_BYTES * about.num_rows // size))
        # Arrow keeps what its threads have allocated, so a copy made by several of them would cost 40 MB from then on.
        batches = file.iter_batches(batch_size=rows, use_threads=False)
        return arrow_copy(path, cache, file.schema_arrow, batches)
