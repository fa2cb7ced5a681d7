"""What the rows of a task say beyond its scores: percentiles, distributions, and who was mistaken for whom."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.statistics.quantiles import rank_below

PERCENTILES = (50, 90, 99)
MOST_LABELS = 8  # a confusion table of more is no longer read
UNPARSED_LABEL = "unparsed"
_STEPS = 200  # points of a drawn distribution


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile with its distribution-free interval; an end is None where the sample is too small to give it."""

    percent: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each right answer (row) was answered with each label (column)."""

    labels: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def percentile(ordered: Sequence[float], percent: int, confidence: float = 0.95) -> Percentile:
    """A percentile of sorted values and the interval between two order statistics.

    The value is the order statistic of rank ceil(n q). The number of values below the true quantile is Binomial(n, q),
    so the order statistics whose ranks leave at most (1 - confidence) / 2 on either side bound it for any distribution
    (David and Nagaraja, Order Statistics, section 7.1).

    Args:
        ordered: values in ascending order, at least one.
        percent: in 1 to 99.
        confidence: coverage that the interval has at least.
    """
    n, q = len(ordered), percent / 100
    tail = (1 - confidence) / 2
    value = ordered[max(math.ceil(n * q), 1) - 1]
    low_rank, high_rank = rank_below(n, q, tail), n + 1 - rank_below(n, 1 - q, tail)
    low = ordered[low_rank - 1] if low_rank >= 1 else None
    return Percentile(percent, value, low, ordered[high_rank - 1] if high_rank <= n else None)


def distribution(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The empirical distribution function as steps: values, and the share of all values that are not above each.

    At most 200 points, evenly spaced in rank, the smallest and the largest included.
    """
    ordered = sorted(values)  # at once where they are in order
    n = len(ordered)
    steps = min(n, _STEPS)
    ranks = sorted({round(1 + i * (n - 1) / max(steps - 1, 1)) for i in range(steps)}) if n else []
    return [ordered[rank - 1] for rank in ranks], [rank / n for rank in ranks]


def confusion(pairs: Iterable[tuple[str, str | None, int]]) -> Confusion | None:
    """The confusion table of a task whose answers come from a few labels; None where it would say nothing.

    Args:
        pairs: right answer, extracted answer (None where unparsed) and how often the two met, in any order.

    Returns:
        None unless there are 2 to 8 different right answers.
    """
    counts: Counter[tuple[str, str | None]] = Counter()
    for reference, said, count in pairs:
        counts[reference, said] += count
    labels = tuple(sorted({reference for reference, _ in counts}))
    folded = {label.casefold(): label for label in labels}
    if not 2 <= len(labels) <= MOST_LABELS or len(folded) < len(labels):
        return None
    found: Counter[tuple[str, str]] = Counter()
    for (reference, said), count in counts.items():
        found[reference, UNPARSED_LABEL if said is None else folded.get(said.casefold(), "other")] += count
    extra = tuple(label for label in ("other", UNPARSED_LABEL) if any(answer == label for _, answer in found))
    answers = labels + tuple(label for label in extra if label not in labels)
    return Confusion(labels, answers, tuple(tuple(found[label, answer] for answer in answers) for label in labels))
