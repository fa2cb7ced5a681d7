"""Tables in csv and tsv, every cell the text that is written. Large ones are copied to Arrow once and mapped from then.

A VLMEvalKit TSV holds gigabytes of base64 text; the copy lets a run start at once and keeps the rows on disk.
"""

from __future__ import annotations

import csv
import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evals.data.arrow_files import BATCH_BYTES, COPY_FROM_BYTES, arrow_copy
from evals.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_CELL = 1 << 30  # characters


def read_separated(path: Path, delimiter: str, cache: Path) -> pa.Table:
    """All rows of a file, each cell as text.

    Args:
        cache: folder for the Arrow copy of a file of more than 64 MiB; it is made anew when the file changes.

    Raises:
        DataError: a row with another number of cells than the header, with its line; a file that is not text.
    """
    import pyarrow as pa

    if path.stat().st_size < COPY_FROM_BYTES:
        return pa.Table.from_batches(list(_batches(path, delimiter)), schema=_schema(path, delimiter))
    return arrow_copy(path, cache, _schema(path, delimiter), _batches(path, delimiter))


def _schema(path: Path, delimiter: str) -> pa.Schema:
    import pyarrow as pa

    header = next(_rows(path, delimiter), None)
    if header is None:
        raise DataError(f"{path} is empty; expected a header line with the column names.")
    names = header[1]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: the header names the column {twice!r} twice. Rename one of them.")
    return pa.schema([(name, pa.large_string()) for name in names])


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The file's rows, the header first, each with the line that it ends in."""
    # The reader's limit is one for the process; setting it is the only way to read cells of more than 128 KiB.
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except UnicodeDecodeError:
            raise not_utf8(path) from None
        except csv.Error as error:
            raise DataError(
                f"{path}:{reader.line_num} cannot be read: {error}. A cell that begins with a quote must end with one, "
                "and quotes within it are doubled. Correct the line, or fetch the file again if it is cut off."
            ) from error


def not_utf8(path: Path) -> DataError:
    """What to say of a text file that is not UTF-8: the first line that is not, and how to convert the file."""
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        number, line = next(((n, line) for n, line in enumerate(file, 1) if not _is_utf8(line)), (1, b""))
    encoding = "UTF-16" if start in (b"\xff\xfe", b"\xfe\xff") else "GB18030" if _is_gb18030(line) else "ENCODING"
    return DataError(
        f"{path}:{number} is not UTF-8 text. Is the file complete? If it is in another encoding, convert it: "
        f"iconv -f {encoding} -t UTF-8 {shlex.quote(path.name)} > NEW"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_gb18030(line: bytes) -> bool:
    try:
        return any("\u4e00" <= c <= "\u9fff" for c in line.decode("gb18030"))
    except UnicodeDecodeError:
        return False


def _batches(path: Path, delimiter: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema = _schema(path, delimiter)
    names, rows = schema.names, itertools.islice(_rows(path, delimiter), 1, None)
    gathered: list[list[str]] = []
    size = 0
    for line, row in rows:
        if len(row) != len(names):
            raise DataError(
                f"{path}:{line}: found {len(row)} cells, expected {len(names)} ({', '.join(names)[:200]}). "
                "The file is cut off or a quote is missing; fetch it again."
            )
        gathered.append(row)
        size += sum(map(len, row))
        if size >= BATCH_BYTES:
            yield pa.record_batch([list(cells) for cells in zip(*gathered, strict=True)], schema=schema)
            gathered, size = [], 0
    columns = [list(cells) for cells in zip(*gathered, strict=True)] or [[] for _ in names]
    yield pa.record_batch(columns, schema=schema)
