"""In what company two runs' answers were computed: batches that memory made smaller."""

from __future__ import annotations

from collections.abc import Sequence

from evals.compare.evidence import RunLike


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
