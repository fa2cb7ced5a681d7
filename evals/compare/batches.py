"""In what company two runs' answers were computed: batches that memory made smaller, and batches of different sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.compare.evidence import RunLike

EXACT_ENOUGH = ("float32", "float64", "fp32", None)  # None: a server's, of which nothing is known
MEASURE = "`doctor --determinism` measures how often"


def halved_to(run: RunLike, task: str) -> int | None:
    """The batch size that a task of a run ended with because memory was full; None where it never was."""
    halvings = run.results["tasks"][task].get("batch_halved") or []
    return int(halvings[-1]["batch_size"]) if halvings else None


def halving_notes(runs: Sequence[RunLike], task: str) -> list[str]:
    """Why a task's speed is not compared; nothing where it can be."""
    halved = [(run.manifest["run_id"], size) for run in runs if (size := halved_to(run, task)) is not None]
    return [
        f"{task}: speed is not compared: memory was full in {name}, which went on in batches of {size}"
        for name, size in halved
    ]


def usual_batch(result: Mapping[str, Any]) -> int | None:
    """The batch size in which most answers of a task were computed; None where it was not measured.

    Args:
        result: the task's part of results.json, or what a baseline keeps of it.
    """
    if "usual_batch" in result:
        return None if result["usual_batch"] is None else int(result["usual_batch"])
    sizes = (result.get("efficiency") or {}).get("batch_sizes") or {}
    return max(map(int, sizes), key=lambda size: (sizes[str(size)], size), default=None)


def rounding_notes(a: RunLike, b: RunLike, tasks: Sequence[str]) -> list[str]:
    """Tasks whose answers were computed in batches of different sizes and a short number format, which alone can change
    some of them; nothing where both runs computed in float32."""
    formats = _short_formats([a, b])
    if not formats:
        return []
    lines = []
    for task in tasks:
        one, two = (usual_batch(run.results["tasks"][task]) for run in (a, b))
        if one is not None and two is not None and one != two:
            lines.append(
                f"{task}: answered in batches of {one} and {two} in {formats}, which alone can change some answers; "
                f"{MEASURE}"
            )
    return lines


def board_note(runs: Sequence[RunLike]) -> str:
    """The same of all runs of a leaderboard in one sentence; empty where nothing needs to be said."""
    sizes: dict[int, list[str]] = {}
    for run in runs:
        for size in {usual_batch(result) for result in run.results["tasks"].values()} - {None}:
            sizes.setdefault(int(size or 0), []).append(run.manifest["run_id"])
    formats = _short_formats(runs)
    if not formats or not any(set(names) != set(next(iter(sizes.values()))) for names in sizes.values()):
        return ""
    listed = "; ".join(f"{size}: {', '.join(names)}" for size, names in sorted(sizes.items()))
    return (
        f"Entries were answered in batches of different sizes ({listed}), some of them in {formats}: that alone can "
        f"change some answers; {MEASURE}."
    )


def _short_formats(runs: Sequence[RunLike]) -> str:
    found = {run.manifest["identity"]["model"].get("dtype") for run in runs}
    return " and ".join(sorted(str(dtype) for dtype in found if dtype not in EXACT_ENOUGH))
