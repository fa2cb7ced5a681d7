"""A leaderboard that lives in git: entries keep their scores, so newcomers are ranked against runs that are gone.

entries/<run>.json               identity and results of one run
entries/<run>.scores.jsonl.gz    its scores, unit by unit
leaderboard.json, .csv, README.md   the board of all entries, written again at every update
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.compare.evidence import RunLike
from evals.errors import StoreError
from evals.files import write_bytes, write_json
from evals.frozen import FrozenRun, kept_manifest, read_scores, write_scores
from evals.leaderboard.board import build_board
from evals.leaderboard.outputs import board_csv, board_json, board_markdown
from evals.leaderboard.records import Board
from evals.perf.attached import measured_speed

SCHEMA_VERSION = 1
_DROPPED = ("published", "tables")  # of a task's results: shown in a run's own report


def update_folder(
    folder: Path,
    runs: Sequence[RunLike],
    *,
    title: str = "Leaderboard",
    weights: Mapping[str, float] | None = None,
    allow: Collection[str] = (),
) -> Board:
    """Add runs to a leaderboard folder (a run of the same id is replaced) and write its files again.

    The same entries give the same bytes, so that a diff shows what changed.

    Raises:
        StoreError: an entry is damaged, or the folder cannot be written.
        ComparisonError, SpecError: as :func:`evals.leaderboard.board.build_board`; nothing is written then.
    """
    there = read_folder(folder)
    kept = {run.manifest["run_id"]: run for run in there}
    merged: dict[str, RunLike] = {**kept, **{run.manifest["run_id"]: run for run in runs}}
    board = build_board([merged[name] for name in sorted(merged)], title=title, weights=weights, allow=allow)
    for run in runs:
        written = _write_entry(folder / "entries", run)
        for old in there:  # an entry under another name, as older versions gave it
            if old.manifest["run_id"] == run.manifest["run_id"] and old.path != written:
                for path in (old.path, _scores_path(old.path)):
                    path.unlink(missing_ok=True)
    write_json(folder / "leaderboard.json", board_json(board))
    write_bytes(folder / "leaderboard.csv", board_csv(board).encode())
    write_bytes(folder / "README.md", board_markdown(board).encode())
    return board


def read_folder(folder: Path) -> list[FrozenRun]:
    """All entries of a leaderboard folder, by name; none where it does not exist yet."""
    return [_read_entry(path) for path in sorted((folder / "entries").glob("*.json"))]


def _slug(run_id: str) -> str:
    """A name for a run's files: letters of any script stay, and two runs never share one."""
    slug = re.sub(r"[^\w.-]", "-", run_id)
    return slug if slug == run_id else f"{slug}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def _scores_path(entry: Path) -> Path:
    return entry.with_name(entry.name.removesuffix(".json") + ".scores.jsonl.gz")


def _write_entry(entries: Path, run: RunLike) -> Path:
    name = _slug(run.manifest["run_id"])
    tasks = list(run.results["tasks"])
    path = entries / f"{name}.json"
    sha256 = write_scores(_scores_path(path), run, tasks)
    results = {task: _kept(result) for task, result in run.results["tasks"].items()}
    efficiency = dict(run.results.get("efficiency") or {})
    if speed := measured_speed(run):
        efficiency["profile"] = speed
    document = {
        "schema_version": SCHEMA_VERSION,
        "scores_sha256": sha256,
        "manifest": kept_manifest(run),
        "results": {"tasks": results, "efficiency": efficiency},
    }
    write_json(path, document)
    return path


def _kept(result: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in result.items() if key not in _DROPPED}
    return kept | {"categories": {name: {} for name in result.get("categories", {})}}


def _read_entry(path: Path) -> FrozenRun:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is not valid JSON ({error}). Restore it from version control.") from error
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION}. Use the version of the "
            "program that wrote it, or add the run again."
        )
    scores = read_scores(_scores_path(path), document["scores_sha256"], document["results"]["tasks"])
    return FrozenRun(path, document["manifest"], document["results"], scores)
