"""Getting a task's data onto this machine, so that it runs without a network afterwards."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evals.data.hub import is_prepared, read_hub
from evals.data.sources import Places, open_stored
from evals.data.vlmevalkit import check_md5, tsv_places
from evals.errors import DataError
from evals.files import write_atomically

if TYPE_CHECKING:
    from evals.spec.records import TaskSpec

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was done for one task: ``state`` is ``there already``, ``fetched`` or ``generated``."""

    task: str
    rows: int
    state: str


def missing_parts(spec: TaskSpec, places: Places) -> list[str]:
    """What of a task's data is not on this machine, in words; empty if it can run without a network."""
    data = spec.data
    if data.source == "hub":
        return [
            f"{data.id}{f' ({config})' if config else ''}, split {split}"
            for configs, split in _hub_parts(spec)
            for config in configs or ("",)
            if not is_prepared(data, (config,) if config else (), split, places.cache)
        ]
    if data.source == "vlmevalkit":
        found = any(path.is_file() for path in tsv_places(data.tsv, places.data_root, places.cache))
        return [] if found else [f"{data.tsv}.tsv"]
    if data.source in ("table", "imagefolder", "webdataset"):
        return [f"{pattern} below {places.data_root}" for pattern in data.files if not _exists(places, pattern)]
    return []


def _exists(places: Places, pattern: str) -> bool:
    return (
        any(True for _ in places.data_root.glob(pattern)) if "*" in pattern else (places.data_root / pattern).exists()
    )


def _hub_parts(spec: TaskSpec) -> list[tuple[Sequence[str], str]]:
    """Configurations and split of each table that a hub task reads."""
    data, join, shots = spec.data, spec.data.join, spec.prompt.few_shot
    parts: list[tuple[Sequence[str], str]] = [(data.configs, data.split)]
    if join is not None and not join.files:
        parts.append((join.configs, join.split or data.split))
    if shots is not None and (shots.split or shots.configs):
        parts.append((shots.configs or data.configs, shots.split or data.split))
    return parts


def prefetch(spec: TaskSpec, places: Places) -> Fetched:
    """Download and prepare what a task needs, and check it as a run would.

    Raises:
        DataError: it cannot be had, or is not what the task says; nothing partial is kept.
    """
    missing = missing_parts(spec, places)
    if missing and spec.data.source == "vlmevalkit":
        download_tsv(spec, places)
    for configs, split in _hub_parts(spec) if spec.data.source == "hub" else ():
        read_hub(spec.data, configs, split, places.cache, spec.name)
    rows = open_stored(spec, places).table.num_rows
    state = "generated" if spec.data.source == "generated" else "fetched" if missing else "there already"
    return Fetched(spec.name, rows, state)


def download_tsv(spec: TaskSpec, places: Places) -> Path:
    """Fetch a VLMEvalKit TSV to the cache folder and compare its checksum; one attempt, never a loop.

    Raises:
        DataError: no address, no network, or another checksum than the task's (the file is then removed).
    """
    data, target = spec.data, tsv_places(spec.data.tsv, places.data_root, places.cache)[-1]
    if data.url is None or not data.url.startswith("https://"):
        raise DataError(
            f"Task {spec.name!r} names no https address for {data.tsv}.tsv. Put the file into {places.data_root}."
        )

    url = data.url

    def write(file: BinaryIO) -> None:
        try:
            _copy(url, file)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise DataError(
                f"Task {spec.name!r}: {url} cannot be fetched ({error}). Without a network, put {data.tsv}.tsv into "
                f"{places.data_root}."
            ) from error

    write_atomically(target, write)
    if data.md5 is not None:
        try:
            check_md5(target, data.md5, places.cache)
        except DataError:
            target.unlink(missing_ok=True)
            raise
    return target


def _copy(url: str, file: BinaryIO) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "omnilmm-eval"})  # noqa: S310 - https only, see above
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=ssl.create_default_context()) as answer:  # noqa: S310
        expected = int(answer.headers.get("Content-Length") or 0)
        written = 0
        while block := answer.read(CHUNK_BYTES):
            written += file.write(block)
    if expected and written != expected:
        raise DataError(f"{url}: the connection ended after {written:,} of {expected:,} bytes. Try again.")
