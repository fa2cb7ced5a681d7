"""A leaderboard as frozen records; :func:`evals.compare.as_json` turns them into JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One task of the board. ``scale`` ends are None where open; ``chance`` None where not stated."""

    task: str
    title: str
    statistic: str
    scale: tuple[float | None, float | None]
    higher_is_better: bool
    weight: float
    chance: float | None
    family: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One model on one task.

    Attributes:
        value, low, high: in the statistic's own units.
        normalised: (score - chance) / (1 - chance) on the unit scale, at least 0; the score itself without a chance.
        coverage: share of samples that were scored; below 1 ``all_wrong`` and ``all_right`` bound the value.
        subset: what part of the task's data was taken; None for all of it.
    """

    value: float | None
    low: float | None
    high: float | None
    normalised: float | None
    n: int
    coverage: float | None
    all_wrong: float | None
    all_right: float | None
    few_clusters: bool
    subset: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One run on the board.

    Attributes:
        model: name for people; identity: the adapter's whole identity.
        imported: scored from published predictions or replayed answers, so without efficiency.
        control: no model's answers but a floor or a ceiling: shown, and never ranked.
        cells: by task; a missing task has no entry and is in ``missing``.
        macro, macro_low, macro_high: in parts of the scale; None with a missing task.
        macro_normalised: the weighted mean of the normalised cells.
        rank: (best, worst) place among the group's ranked entries that corrected paired tests leave possible.
        ties: letters; entries of a group that share one cannot be told apart.
        unranked: why there is no rank; empty where there is one.
        efficiency: latency, throughput, memory and energy, to be read within one ``hardware_key`` only.
    """

    run: str
    model: str
    identity: dict[str, Any]
    adapter: str | None
    dtype: str | None
    revision: str | None
    parameters: int | None
    imported: bool
    control: bool
    created: str | None
    cells: dict[str, Cell]
    missing: tuple[str, ...]
    macro: float | None
    macro_low: float | None
    macro_high: float | None
    macro_normalised: float | None
    rank: tuple[int, int] | None
    ties: str
    unranked: str
    efficiency: dict[str, float | None]
    hardware_key: str | None
    hardware: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one protocol and data, best first; only these are ranked together.

    ``key`` hashes the identities that agree; ``differs`` says how it differs from the first group, one line a part.
    """

    key: str
    entries: tuple[Entry, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A leaderboard.

    Attributes:
        allowed: identity parts in which entries of a group may differ, as the reader was told to expect.
        notes: what a reader must know, in sentences.
    """

    title: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    allowed: tuple[str, ...]
    notes: tuple[str, ...]
