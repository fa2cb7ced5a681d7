"""TSV files as VLMEvalKit lays them out, read and written.

Columns: ``index`` (unique), ``image`` (base64 text, a list literal of such texts, or the index of another row that
holds the picture), or ``image_path`` instead (a path below ``images/<name>/``, or a list literal), ``question``,
options in columns named by one capital letter, ``answer`` and others. An absent option is an empty cell; "nan", "NA"
and "None" are texts. Source: VLMEvalKit docs/en/Development.md and vlmeval/dataset/image_base.py, read 2026-08.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import string
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from evals.data.pictures import LONGEST_POINTER
from evals.data.separated import read_separated
from evals.errors import DataError
from evals.files import write_atomically, write_json
from evals.records import Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.data_records import DataSpec


def tsv_places(name: str, data_root: Path, cache: Path) -> list[Path]:
    """Where a TSV may lie: in the data root (laid out as VLMEvalKit's LMUData folder), or where prefetch put it."""
    return [data_root / f"{name}.tsv", cache / "vlmevalkit" / f"{name}.tsv"]


def find_tsv(data: DataSpec, data_root: Path, cache: Path, task: str) -> Path:
    """The TSV of a task, its checksum compared with the task's.

    Raises:
        DataError: no such file, or one with another checksum; the message has both sums.
    """
    places = tsv_places(data.tsv, data_root, cache)
    for path in places:
        if path.is_file():
            if data.md5 is not None:
                check_md5(path, data.md5, cache)
            return path
    raise DataError(
        f"Task {task!r}: there is no {data.tsv}.tsv in {' or '.join(str(p.parent) for p in places)}. Fetch it with "
        f"`run_eval.py prefetch {task}`, or give the folder that holds it with --data-root."
    )


def check_md5(path: Path, expected: str, cache: Path) -> None:
    """Compare a file's md5 with the expected one; the sum of an unchanged file is worked out once.

    Raises:
        DataError: they differ; both sums are named, and nothing is downloaded or deleted.
    """
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    note = cache / "checksums" / f"{path.stem}-{key}.json"
    if note.exists():
        found = json.loads(note.read_text())["md5"]
    else:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        write_json(note, {"file": path.name, "bytes": stat.st_size, "md5": found})
    if found != expected:
        raise DataError(
            f"{path}: its md5 is {found}, but the task names {expected}. The file is incomplete or another version. "
            "Delete it and fetch it again; if upstream has changed it, look at what changed and put the new sum into "
            "the task's data.md5."
        )


def read_vlmevalkit(path: Path, cache: Path) -> tuple[pa.Table, dict[str, int]]:
    """A TSV's rows, and for each index its row number, by which rows share pictures.

    Raises:
        DataError: no column ``index``, or neither ``image`` nor ``image_path``.
    """
    table = read_separated(path, "\t", cache)
    present = table.column_names
    if "index" not in present or not {"image", "image_path"} & set(present):
        raise DataError(f"{path}: its columns are {', '.join(present)}; expected 'index', and 'image' or 'image_path'.")
    return table, {index: row for row, index in enumerate(table.column("index").to_pylist())}


def picture_column(table: pa.Table) -> str:
    """``image`` if the TSV holds pictures itself, else ``image_path``."""
    return "image" if "image" in table.column_names else "image_path"


def write_vlmevalkit(samples: Iterable[Sample], path: Path) -> int:
    """Write samples as a TSV that VLMEvalKit and this project read; returns how many.

    The row of a sample whose single picture came before names that row instead of repeating the picture. Options go to
    columns A, B, ..., several references to a list literal, other fields to columns of their names.

    Raises:
        DataError: no samples, or more options than letters.
    """
    first_with: dict[str, str] = {}
    gathered = [_row(sample, first_with) for sample in samples]
    if not gathered:
        raise DataError(f"{path}: there are no samples to write.")
    names = list(dict.fromkeys(name for row in gathered for name in row))

    def write(file: Any) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        _write_rows(text, names, gathered)
        text.detach()

    write_atomically(path, write)
    return len(gathered)


def _write_rows(file: TextIO, names: list[str], rows: list[dict[str, str]]) -> None:
    # All cells are quoted: the writer would leave a bare carriage return without quotes, and readers end the row there.
    writer = csv.DictWriter(file, names, delimiter="\t", lineterminator="\n", restval="", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    file.flush()


def _row(sample: Sample, first_with: dict[str, str]) -> dict[str, str]:
    row = {"index": sample.sample_id, "image": _image_cell(sample, first_with)}
    options = sample.fields.get("choices") or []
    if len(options) > len(string.ascii_uppercase):
        raise DataError(f"Sample {sample.sample_id!r}: {len(options)} options, but a TSV has columns A to Z only.")
    for name, value in sample.fields.items():
        if name != "choices":
            row[name] = value if isinstance(value, str) else "" if value is None else repr(value)
    row |= dict(zip(string.ascii_uppercase, options, strict=False))
    several = len(sample.references) != 1 or sample.references[0].lstrip().startswith("[")
    row["answer"] = repr(list(sample.references)) if several else sample.references[0]
    return row


def _image_cell(sample: Sample, first_with: dict[str, str]) -> str:
    pictures = [picture.sha256 for picture in sample.images]
    if len(pictures) == 1 and len(sample.sample_id) <= LONGEST_POINTER:
        before = first_with.setdefault(pictures[0], sample.sample_id)
        if before != sample.sample_id:
            return before
    encoded = [base64.b64encode(picture.read()).decode() for picture in sample.images]
    return encoded[0] if len(encoded) == 1 else repr(encoded) if encoded else ""
