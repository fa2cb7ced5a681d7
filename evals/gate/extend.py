"""What an inconclusive gate would have to ask further: more of the baseline's samples, in a fixed random order."""

from __future__ import annotations

import hashlib
import math

from evals.compare.evidence import CONTENT_DIGITS, RunLike, load_evidence
from evals.errors import ComparisonError
from evals.gate.baseline import Baseline
from evals.gate.verdict import Verdict


def require_part(baseline: Baseline, candidate: RunLike) -> None:
    """Raise :class:`ComparisonError` unless all that the candidate was asked is in the baseline: then it is a part of
    the same data, and the paired differences over it are sound."""
    for task in baseline.run.results["tasks"]:
        if task not in candidate.results["tasks"]:
            continue  # judging names what is missing
        held = {row[:CONTENT_DIGITS] for row in baseline.run.columns(task, ["content_hash"])["content_hash"]}
        foreign = [row for row, content in load_evidence(candidate, task).ids if content[:CONTENT_DIGITS] not in held]
        if foreign:
            raise ComparisonError(
                f"Task {task!r}: {len(foreign)} samples of {candidate.manifest['run_id']} are not in baseline "
                f"{baseline.name}, for example {foreign[0]!r}. A gate extends a candidate that was asked a part of the "
                "baseline's samples; run it on the baseline's data."
            )


def samples_to_ask(baseline: Baseline, candidate: RunLike, verdict: Verdict) -> dict[str, tuple[str, ...]]:
    """For each task the sample ids that the extended candidate is asked: its own, and as many more in proportion as
    the verdict needs, as far as the baseline has them. Empty where there are no more.

    The order of further samples is that of the SHA-256 of their ids: the same everywhere, and no selection.
    """
    if verdict.samples_needed is None:
        return {}
    factor, chosen, more = verdict.samples_needed / verdict.samples, {}, 0
    for task in baseline.run.results["tasks"]:
        is_circular = candidate.manifest["tasks"][task]["spec"]["protocol"] == "circular"
        held = _samples(baseline.run.columns(task, ["row_id"])["row_id"], is_circular)
        asked = _samples(candidate.columns(task, ["row_id"])["row_id"], is_circular)
        own = set(asked)
        further = sorted((s for s in held if s not in own), key=lambda s: hashlib.sha256(s.encode()).digest())
        taken = further[: math.ceil(len(asked) * factor) - len(asked)]
        chosen[task] = (*asked, *taken)
        more += len(taken)
    return chosen if more else {}


def _samples(row_ids: list[str], is_circular: bool) -> list[str]:
    """Sample ids of rows, each once; a circular sample has a row ``id#k`` for each rotation."""
    return list(dict.fromkeys(row.rpartition("#")[0] if is_circular else row for row in row_ids))
