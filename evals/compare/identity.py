"""Whether two results may be compared: the parts of a run's identity that must match, and those allowed to differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.differences import differences
from evals.errors import ComparisonError, SpecError, did_you_mean

PARTS = ("task", "data", "prompt", "generation", "scorer")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A part in which a task differs between two results, and how: ``num_beams: 1 → 3``."""

    task: str
    part: str
    detail: str


def check_allowed(allow: Collection[str]) -> None:
    """Refuse a name that is no part of an identity, with the nearest one."""
    for name in allow:
        if name not in PARTS:
            hint = did_you_mean(name, PARTS)
            raise SpecError(f"--allow {name}: no such part of an identity.{hint} Parts are {', '.join(PARTS)}.")


def mismatches(ours: Mapping[str, Any], theirs: Mapping[str, Any], tasks: Sequence[str]) -> list[Mismatch]:
    """Every part in which the given tasks differ.

    Args:
        ours, theirs: by task name, its identity: one entry for each of :data:`PARTS`.
    """
    found = []
    for task in tasks:
        for part in PARTS:
            lines = differences({part: ours[task].get(part)}, {part: theirs[task].get(part)})
            if lines:
                found.append(Mismatch(task, part, "; ".join(lines)))
    return found


def require_comparable(found: Sequence[Mismatch], allow: Collection[str], a: str, b: str) -> None:
    """Raise :class:`ComparisonError` naming every part that differs and is not allowed to."""
    check_allowed(allow)
    refused = [m for m in found if m.part not in allow]
    if refused:
        listed = "; ".join(f"task {m.task}: {m.part} differs ({m.detail})" for m in refused[:8])
        more = f"; and {len(refused) - 8} more" if len(refused) > 8 else ""
        parts = ",".join(dict.fromkeys(m.part for m in refused))
        again = (
            " score both again (`run_eval.py score`) if only the scorer's version differs;" if "scorer" in parts else ""
        )
        raise ComparisonError(
            f"{a} and {b} must not be compared: {listed}{more}. Run both with the same settings;{again} or, if this is "
            f"the difference that you want to measure, say so with --allow {parts}."
        )
