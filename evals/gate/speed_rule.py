"""The speed rule: fresh processes are the replicates, requests are not.

Two hundred requests of one process share its clocks, its memory layout and its neighbours. Pooling requests therefore
calls identical code different in a third of the cases at 1 % noise between runs (simulated); comparing runs does not.
Runs of both sides are interleaved (A B B A ...), paired with their neighbour, and the log ratios of a pair decide.
A profile has tens of quantities: they are one family, and Holm's adjustment keeps the chance that an unchanged program
is called slower in any of them at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.errors import ComparisonError
from evals.gate.rule import FAIL, INCONCLUSIVE, PASS
from evals.statistics import holm
from evals.statistics.distributions import t_cdf, t_quantile

FEWEST_PAIRS, PAIRS, MOST_PAIRS = 3, 5, 9
FEWEST_STORED = 10  # runs of a stored baseline, when none can be made beside the candidate
NOISY = 0.03  # coefficient of variation of the runs of one side above which the machine was not quiet
ALPHA = 0.05
MARGINS = {
    "ttft_ms": 0.05,
    "tpot_ms": 0.03,
    "latency_ms": 0.05,
    "e2e_ms": 0.05,
    "requests_per_s": 0.05,
    "energy_j": 0.05,
    "energy_j_per_request": 0.05,
}
HIGHER_IS_BETTER = frozenset({"requests_per_s"})


@dataclass(frozen=True, slots=True)
class SpeedFinding:
    """One quantity of candidate against baseline.

    Attributes:
        ratio: candidate / baseline, oriented so that above 1 is worse (a throughput's is baseline / candidate).
        low, high: one-sided 95 % bounds of the ratio; for a stored baseline ``high`` is its runs' prediction bound.
        p_holm: one-sided p of being slower, adjusted over the quantities that were judged together.
        margin: accepted rise, 0.05 for 5 %.
        n_pairs: pairs, or stored runs. reason: what decided.
    """

    quantity: str
    outcome: str
    ratio: float
    low: float | None
    high: float | None
    p_holm: float | None
    margin: float
    n_pairs: int
    reason: str


def schedule(pairs: int) -> str:
    """Order of the runs of both sides, each pair turned against the one before so that drift cancels: ``ABBAAB...``."""
    return "".join("AB" if pair % 2 == 0 else "BA" for pair in range(pairs))


def plain(quantity: str) -> str:
    """A quantity without the case it was measured in: ``tpot_ms`` of ``caption b1 tpot_ms``."""
    return quantity.rpartition(" ")[2]


def judge_pairs_together(
    sides: Mapping[str, tuple[Sequence[float], Sequence[float]]], margins: Mapping[str, float] | None = None
) -> tuple[SpeedFinding, ...]:
    """Judge several quantities of the same paired runs, as one family (Holm).

    Args:
        sides: quantity to (baseline, candidate), each a value a run.
        margins: accepted rise by quantity, over the defaults.
    """
    adjusted = holm([_p_pairs(quantity, *both) for quantity, both in sides.items()])
    margins = margins or {}
    return tuple(
        judge_pairs(quantity, *both, margins.get(quantity), p)
        for (quantity, both), p in zip(sides.items(), adjusted, strict=True)
    )


def judge_stored_together(sides: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> tuple[SpeedFinding, ...]:
    """Judge several quantities against stored runs, as one family (Holm); ``sides`` as for pairs."""
    adjusted = holm([_p_stored(quantity, *both) for quantity, both in sides.items()])
    return tuple(
        judge_stored(quantity, *both, p_holm=p) for (quantity, both), p in zip(sides.items(), adjusted, strict=True)
    )


def judge_pairs(
    quantity: str,
    baseline: Sequence[float],
    candidate: Sequence[float],
    margin: float | None = None,
    p_holm: float | None = None,
) -> SpeedFinding:
    """Judge paired fresh-process runs.

    Args:
        quantity: ends in a key of :data:`MARGINS`, or is any other with ``margin``.
        baseline, candidate: one positive value a run (its median over requests), pair by pair.
        margin: accepted rise; default by quantity.
        p_holm: of being slower, adjusted over the quantities that are judged together; by default this one is alone.

    Returns:
        PASS where the ratio is below 1 + margin with 95 % confidence; FAIL where it is above 1 (adjusted p below 0.05)
        and by more than half the margin; INCONCLUSIVE otherwise, or with too few or too noisy runs.

    Raises:
        ComparisonError: different numbers of runs, or a value that is not positive.
    """
    margin = MARGINS[plain(quantity)] if margin is None else margin
    logs = _log_ratios(quantity, baseline, candidate)
    pairs = len(logs)
    if pairs < FEWEST_PAIRS:
        ratio = math.exp(float(logs.mean())) if pairs else 1.0
        reason = f"{pairs} pairs of runs, at least {FEWEST_PAIRS} are needed"
        return SpeedFinding(quantity, INCONCLUSIVE, ratio, None, None, None, margin, pairs, reason)
    p = _p_pairs(quantity, baseline, candidate) if p_holm is None else p_holm
    mean, error = float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(pairs)
    half, limit = t_quantile(1 - ALPHA, pairs - 1) * error, math.log1p(margin)
    noise = max(_variation(baseline), _variation(candidate))
    if noise > NOISY:
        outcome, reason = INCONCLUSIVE, f"runs of one side vary by {noise * 100:.1f} %: the machine was not quiet"
    elif mean + half < limit:
        outcome, reason = PASS, f"slower by less than {margin * 100:.0f} % (95 % sure)"
    elif p is not None and p < ALPHA and mean > limit / 2:
        outcome, reason = FAIL, f"slower by {math.expm1(mean) * 100:.1f} %, margin {margin * 100:.0f} %"
    else:
        outcome, reason = INCONCLUSIVE, f"{pairs} pairs cannot tell; add two, up to {MOST_PAIRS}"
    ends = math.exp(mean - half), math.exp(mean + half)
    return SpeedFinding(quantity, outcome, math.exp(mean), *ends, p, margin, pairs, reason)


def judge_stored(
    quantity: str,
    stored: Sequence[float],
    candidate: Sequence[float],
    margin: float | None = None,
    p_holm: float | None = None,
) -> SpeedFinding:
    """Judge against a stored baseline of the same hardware: weaker, because the days may differ.

    The candidate's median run must lie below the prediction bound of the stored runs, median + t s sqrt(1 + 1/R) with s
    from their median absolute deviation, or within the margin; and is called slower only beyond both.

    Args:
        stored: at least ten values, one a run.
        candidate: one value a run of the candidate.
        margin, p_holm: as for pairs.
    """
    margin = MARGINS[plain(quantity)] if margin is None else margin
    runs = len(stored)
    if runs < FEWEST_STORED or not len(candidate):
        reason = f"{runs} stored runs, at least {FEWEST_STORED} are needed"
        return SpeedFinding(quantity, INCONCLUSIVE, 1.0, None, None, None, margin, runs, reason)
    p = _p_stored(quantity, stored, candidate) if p_holm is None else p_holm
    moved, spread = _moved(quantity, stored, candidate)
    bound = t_quantile(1 - ALPHA, runs - 1) * spread
    beyond, limit = p is not None and p < ALPHA, math.log1p(margin)
    if moved <= limit and not (beyond and moved > limit / 2):
        outcome, reason = PASS, f"within {margin * 100:.0f} % of the stored runs"
    elif beyond:
        outcome, reason = FAIL, f"slower by {math.expm1(moved) * 100:.1f} %, beyond what stored runs vary"
    else:
        outcome, reason = INCONCLUSIVE, "slower than the margin, but stored runs vary as much"
    return SpeedFinding(quantity, outcome, math.exp(moved), None, math.exp(bound), p, margin, runs, reason)


def _log_ratios(quantity: str, baseline: Sequence[float], candidate: Sequence[float]) -> NDArray[np.float64]:
    """Log of candidate / baseline of each pair, turned so that above 0 is worse."""
    if len(baseline) != len(candidate) or not all(value > 0 for value in (*baseline, *candidate)):
        raise ComparisonError(
            f"{quantity}: {len(baseline)} baseline and {len(candidate)} candidate runs cannot be paired. Give as many "
            "runs of each side, all with a positive value."
        )
    before, after = (np.log(np.asarray(values, dtype=np.float64)) for values in (baseline, candidate))
    return np.asarray(_worse(quantity) * (after - before))


def _p_pairs(quantity: str, baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """One-sided p of being slower: paired t on the logs; None from too few pairs."""
    logs = _log_ratios(quantity, baseline, candidate)
    if len(logs) < FEWEST_PAIRS:
        return None
    return _p_above(float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs)), len(logs) - 1)


def _moved(quantity: str, stored: Sequence[float], candidate: Sequence[float]) -> tuple[float, float]:
    """(candidate's median less the stored one in logs, above 0 is worse; error of predicting a run)."""
    logs, ours = (_worse(quantity) * np.log(np.asarray(values, dtype=float)) for values in (stored, candidate))
    centre = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - centre)))  # the factor makes the MAD a normal standard deviation
    return float(np.median(ours)) - centre, spread * math.sqrt(1 + 1 / len(logs))


def _p_stored(quantity: str, stored: Sequence[float], candidate: Sequence[float]) -> float | None:
    """One-sided p of a run that is so slow, if it were one of the stored ones; None from too few."""
    if len(stored) < FEWEST_STORED or not len(candidate):
        return None
    return _p_above(*_moved(quantity, stored, candidate), len(stored) - 1)


def _p_above(mean: float, error: float, freedom: int) -> float:
    """P(T >= mean / error) for Student's t; without any variation 0 for a rise and 1 for none."""
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return 1.0 - t_cdf(mean / error, freedom)


def _worse(quantity: str) -> float:
    """What turns a log ratio so that above 0 is worse."""
    return -1.0 if plain(quantity) in HIGHER_IS_BETTER else 1.0


def _variation(values: Sequence[float]) -> float:
    """Coefficient of variation of one side's runs."""
    array = np.asarray(values, dtype=float)
    return float(array.std(ddof=1) / array.mean())
