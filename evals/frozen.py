"""A run without its answers: what paired statistics need of it, small enough for git.

``scores.jsonl.gz`` holds one line a unit: ids, cluster number, unit vector, categories and the answer's hash. A
:class:`FrozenRun` made from it is read like a run by comparisons, leaderboards and gates. Baselines and leaderboard
folders are such files beside a document that says what they are.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.compare.evidence import Evidence, RunLike, load_evidence
from evals.errors import StoreError
from evals.files import write_bytes

_KEPT_MANIFEST = ("schema_version", "run_id", "suite", "created", "status", "identity", "environment", "imported")


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run as a document and its score columns; satisfies :class:`evals.compare.evidence.RunLike`."""

    path: Path
    manifest: dict[str, Any]
    results: dict[str, Any]
    scores: Mapping[str, Mapping[str, list[Any]]]

    def columns(self, task: str, names: Sequence[str]) -> dict[str, Any]:
        """Some columns of a task by the names of the samples file."""
        held = self.scores[task]
        empty = [None] * len(held["row_id"])
        return {name: held.get(name, empty) for name in names}


def kept_manifest(run: RunLike) -> dict[str, Any]:
    """The part of a manifest that identifies a result."""
    return {key: run.manifest[key] for key in _KEPT_MANIFEST if key in run.manifest}


def write_scores(path: Path, run: RunLike, tasks: Sequence[str]) -> str:
    """Write the units of some tasks; the same run gives the same bytes.

    Returns:
        sha256 of the file.
    """
    clusters: dict[str, int] = {}
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as packed:
        for task in tasks:
            for line in _lines(load_evidence(run, task).compact(), clusters):
                packed.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    data = buffer.getvalue()
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _lines(evidence: Evidence, clusters: dict[str, int]) -> Iterator[dict[str, Any]]:
    """One JSON object a unit; clusters are numbered over all tasks, so shared images stay shared."""
    for i, (row, content) in enumerate(evidence.ids):
        yield {
            "task": evidence.task,
            "row": row,
            "content": content,
            "cluster": clusters.setdefault(evidence.clusters[i], len(clusters)),
            "unit": evidence.statistic.vectors[i].tolist(),
            "answer": evidence.answers[i],
            "categories": {name: column[i] for name, column in evidence.categories.items() if column[i] is not None},
        }


def read_scores(path: Path, sha256: str, results: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Score columns by task.

    Args:
        sha256: what the file's bytes must hash to.
        results: results.json's ``tasks``, for the headline's name and the grouping columns.

    Raises:
        StoreError: the file is missing, was changed, or is not a score file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist. Restore it from version control, or create it again.") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise StoreError(
            f"{path} was changed: its sha256 is {found[:12]}…, the document beside it says {sha256[:12]}…. "
            "Restore it from version control, or create it again from runs."
        )
    columns: dict[str, dict[str, list[Any]]] = {}
    with gzip.open(io.BytesIO(data), "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            _append(columns, row, results[row["task"]])
    return columns


def _append(columns: dict[str, dict[str, list[Any]]], row: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    values = {
        "row_id": row["row"],
        "content_hash": row["content"],
        "cluster": row["cluster"],
        "extracted": row["answer"],
        "prediction": row["answer"],
        f"unit:{result['headline']}": row["unit"],
    }
    values |= {f"category:{name}": row["categories"].get(name) for name in result["categories"]}
    held = columns.setdefault(row["task"], {name: [] for name in values})
    for name, value in values.items():
        held[name].append(value)
