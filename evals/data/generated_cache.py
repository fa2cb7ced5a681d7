"""Generated data sets on disk: made once from their seed, kept as Parquet, the same on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.data.generated import generate
from evals.files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.data_records import DataSpec

RECIPE = 2  # raised whenever any generator's rows change


def generated_table(spec: DataSpec, cache: Path) -> pa.Table:
    """The table of a generated data set: from the cache, or made now and put there.

    The file's name holds generator, recipe, seed and count, so another recipe never finds an old file.

    Raises:
        DataError: unknown generator.
        StoreError: the cache folder cannot be written.
    """
    from evals.arrow_columns import read_parquet

    name, count = spec.generator or "", spec.count or 0
    key = f"{name}-recipe{RECIPE}-seed{spec.seed}-{count}"
    path = cache / "generated" / f"{key}.parquet"
    if not path.exists():
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [{"id": row.row_id, "image": row.image_bytes, **row.fields} for row in generate(name, spec.seed, count)]
        table = pa.Table.from_pylist(rows)
        write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))
    return read_parquet(path)
