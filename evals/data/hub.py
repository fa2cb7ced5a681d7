"""Data sets of the Hugging Face hub, and folders and shards that the ``datasets`` library reads, as Arrow tables.

What was once prepared is found again by a small note beside it, so that later runs map the Arrow files straight away:
no network, and no import of ``datasets`` (which takes seconds).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.arrow_files import mapped
from evals.data.tables import concatenate, find_files
from evals.errors import DataError
from evals.files import write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from evals.spec.data_records import DataSpec

CONFIG_COLUMN = "config"


def read_hub(
    data: DataSpec, configs: Sequence[str], split: str, cache: Path, task: str, limit: int | None = None
) -> pa.Table:
    """Rows of a hub data set: prepared earlier, or downloaded and prepared now.

    Args:
        configs: its configurations; none stands for the default one. With several, a column ``config`` names each.
        limit: for a streamed data set: read only so many rows.

    Raises:
        DataError: not found under its id or any alias, gated, no such revision, configuration or split, no network.
    """
    import pyarrow as pa

    if split in data.hidden_splits:
        raise DataError(
            f"Task {task!r}: split {split!r} of {data.id} has no public answers ({data.hidden_splits[split]}). "
            "Use a split with answers, or write predictions for upload from a run on it elsewhere."
        )
    if data.streaming:
        return _stream(data, configs, split, task, limit)
    tables = []
    for config in configs or ("",):
        table = _prepared(data, config, split, cache)
        if table is None:
            table = _prepare(data, config, split, cache, task)
        if len(configs) > 1:
            table = table.append_column(CONFIG_COLUMN, pa.array([config] * table.num_rows))
        tables.append(table)
    return concatenate(tables, task)


def is_prepared(data: DataSpec, configs: Sequence[str], split: str, cache: Path) -> bool:
    """Whether all parts are on disk, whole."""
    return all(_arrow_files(data, config, split, cache) is not None for config in configs or ("",))


def read_packaged(data: DataSpec, data_root: Path, cache: Path, task: str) -> pa.Table:
    """An image folder (column ``image``, and ``label`` with the folder's name) or webdataset shards."""
    root = data_root.resolve()
    if data.source == "imagefolder":
        folder = (root / data.files[0]).resolve()
        if not folder.is_relative_to(root) or not folder.is_dir():
            raise DataError(f"Task {task!r}: there is no folder {data.files[0]!r} below the data root {data_root}.")
        where: dict[str, Any] = {"data_dir": str(folder)}
    else:
        where = {"data_files": [str(path) for path in find_files(data.files, data_root, task)]}
    with _Errors(f"Task {task!r}: {data.source} {', '.join(data.files)}"):
        import datasets

        datasets.disable_progress_bars()
        loaded = datasets.load_dataset(data.source, split="train", cache_dir=str(cache / "hub"), **where)
    return _labelled(_table(loaded), loaded.features)


def _labelled(table: pa.Table, features: Mapping[str, Any]) -> pa.Table:
    """Class numbers replaced by their names."""
    import pyarrow as pa

    for name, feature in features.items():
        if names := getattr(feature, "names", None):
            words = pa.array([None if i is None else names[i] for i in table.column(name).to_pylist()])
            table = table.set_column(table.column_names.index(name), name, words)
    return table


def _table(loaded: Any) -> pa.Table:
    return (loaded.flatten_indices() if loaded._indices is not None else loaded).data.table


def _note(data: DataSpec, config: str, split: str, cache: Path) -> Path:
    parts = [data.id, data.revision or "newest", config, split]
    key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
    return cache / "hub" / "prepared" / f"{data.id.replace('/', '--')}-{key}.json"


def _arrow_files(data: DataSpec, config: str, split: str, cache: Path) -> list[Path] | None:
    """The prepared Arrow files; None where there are none, or one is gone or has another size."""
    note = _note(data, config, split, cache)
    if not note.exists():
        return None
    known = json.loads(note.read_text(encoding="utf-8"))["files"]
    paths = [(cache / "hub" / file["path"], file["bytes"]) for file in known]
    if any(not path.is_file() or path.stat().st_size != size for path, size in paths):
        return None
    return [path for path, _ in paths]


def _prepared(data: DataSpec, config: str, split: str, cache: Path) -> pa.Table | None:
    import pyarrow as pa

    files = _arrow_files(data, config, split, cache)
    if files is None:
        return None
    return pa.concat_tables([pa.ipc.open_stream(mapped(path)).read_all() for path in files])


def _prepare(data: DataSpec, config: str, split: str, cache: Path, task: str) -> pa.Table:
    """Download and prepare one part under its first id that exists, and note where it lies."""
    refused: list[str] = []
    # A copy that is noted but not whole any more is built anew from what was downloaded.
    again = "reuse_cache_if_exists" if _note(data, config, split, cache).exists() else "reuse_dataset_if_exists"
    for name in (data.id, *data.aliases):
        try:
            with _Errors(f"Task {task!r}: {name}{f' ({config})' if config else ''}, split {split!r}"):
                import datasets

                loaded = datasets.load_dataset(
                    name,
                    config or None,
                    split=split,
                    revision=data.revision,
                    cache_dir=str(cache / "hub"),
                    download_mode=again,
                )
        except _NotFoundError as error:
            refused.append(str(error))
            continue
        root = (cache / "hub").resolve()
        files = [Path(file["filename"]).resolve() for file in loaded.cache_files]
        if files and all(path.is_relative_to(root) for path in files):
            listed = [{"path": str(path.relative_to(root)), "bytes": path.stat().st_size} for path in files]
            write_json(_note(data, config, split, cache), {"id": name, "rows": len(loaded), "files": listed})
        return _table(loaded)
    raise DataError("\n".join(refused))


def _stream(data: DataSpec, configs: Sequence[str], split: str, task: str, limit: int | None) -> pa.Table:
    import pyarrow as pa

    if limit is None or len(configs) > 1:
        raise DataError(f"Task {task!r} streams its rows: give --limit, and one configuration at the most.")
    with _Errors(f"Task {task!r}: {data.id}, split {split!r}, streamed"):
        import datasets

        config = configs[0] if configs else None
        rows = datasets.load_dataset(data.id, config, split=split, revision=data.revision, streaming=True)
        for name, feature in (rows.features or {}).items():
            if isinstance(feature, datasets.Image):
                rows = rows.cast_column(name, datasets.Image(decode=False))
        return pa.Table.from_pylist(list(itertools.islice(rows, limit)))


class _NotFoundError(DataError):
    """A data set is not there under one of its ids; another may be."""


class _Errors:
    """Turns what ``datasets`` and the hub's client raise into one paragraph with the remedy."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DataError) or not isinstance(error, Exception):
            return
        chain = list(_chain(error))
        names = {type(link).__name__ for link in chain} | {base.__name__ for x in chain for base in type(x).__mro__}
        if not names & {"OSError", "ValueError", "RuntimeError", "HTTPError", "DatasetsError", "TarError"}:
            return
        text = "; ".join(dict.fromkeys(" ".join(str(link).split())[:300] for link in chain))
        if "GatedRepoError" in names or "gated" in text.lower():
            raise DataError(
                f"{self._what}: the data set is gated. Accept its terms on the hub with your account, log in with "
                "`hf auth login`, and run again."
            ) from error
        if "RevisionNotFoundError" in names or "nvalid rev id" in text:
            raise DataError(
                f"{self._what}: the revision that the task names does not exist ({text}). Correct data.revision."
            ) from error
        if names & {"DatasetNotFoundError", "RepositoryNotFoundError"} and not names & {"ConnectionError"}:
            raise _NotFoundError(f"{self._what}: there is no such data set, or it is private ({text}).") from error
        if names & {"ConnectionError", "ConnectError", "TimeoutException", "OfflineModeIsEnabled", "gaierror"}:
            raise DataError(
                f"{self._what}: it is not on disk and the hub cannot be reached ({text}). Run `run_eval.py prefetch` "
                "where there is a network, and take the cache folder with you (--cache-dir)."
            ) from error
        if "nknown split" in text or "BuilderConfig" in text or "Config name is missing" in text:
            raise DataError(f"{self._what}: {text}. Correct data.configs or data.split.") from error
        raise DataError(
            f"{self._what}: it cannot be read ({text}). If a file is damaged or half downloaded, delete it and fetch "
            "again; nothing of this attempt is used."
        ) from error


def _chain(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
