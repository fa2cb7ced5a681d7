"""What a sample of this size can see, and how large it must be: normal approximations around a measured error.

Sources: Miller 2024 (arXiv 2411.00640) section 5; for 0/1 scores the paired variance is the discordance less the
squared difference, so the error under "no difference" is sqrt(discordance / n).
"""

from __future__ import annotations

import math

from evals.statistics.distributions import normal_quantile


def detectable_effect(se: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2) -> float:
    """Smallest true difference that a test at ``alpha`` finds with probability ``power``.

    Args:
        se: standard error of the difference.
        alpha, power: in (0, 1).
        sides: 2 for "differs", 1 for "is worse by no more than" (non-inferiority).
    """
    return (normal_quantile(1 - alpha / sides) + normal_quantile(power)) * se


def sample_size(
    discordance: float, effect: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> int | None:
    """Units needed to find ``effect`` where a share ``discordance`` of the 0/1 answers differs.

    For graded scores give the variance of the paired difference instead. None for an effect of 0.
    """
    if effect == 0:
        return None
    z = normal_quantile(1 - alpha / sides) + normal_quantile(power)
    return math.ceil(z * z * discordance / (effect * effect) - 1e-9)


def units_needed(
    n_units: int, se: float, effect: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> int | None:
    """Units needed for ``effect``, from the error measured on ``n_units``; errors fall with the root of the units."""
    if effect == 0 or n_units == 0:
        return None
    ratio = detectable_effect(se, alpha=alpha, power=power, sides=sides) / effect
    return math.ceil(n_units * ratio * ratio - 1e-9)
