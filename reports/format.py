"""Numbers and times as people read them. Unknown is a dash, never zero; digits stop where the uncertainty begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Scale: TypeAlias = Sequence[float | None]  # both ends of a number's range, None where it is open

DASH = "–"
MINUS = "\u2212"
NBSP = "\u00a0"
PERCENT_SCALE = (0.0, 1.0)

_PLAIN_DECIMALS = 1  # shown where no interval says how many digits mean something
_MOST_DECIMALS = 4


def is_percent(scale: Scale) -> bool:
    """Whether numbers of this scale are shown as percent: exactly those of [0, 1]."""
    return tuple(scale) == PERCENT_SCALE


def decimals_for(half_width: float | None) -> int:
    """Decimals that an uncertainty of ``half_width`` leaves meaningful.

    The Particle Data Group's rule ("Introduction", section 5.3): keep two significant digits of the uncertainty where
    its three leading digits are 100 to 354 or 950 to 999, one otherwise.

    Args:
        half_width: half the interval's width in the unit that is shown, or None where there is no interval.

    Returns:
        0 to 4; one where there is no interval, or one of no width.
    """
    if half_width is None or not math.isfinite(half_width) or half_width <= 0:
        return _PLAIN_DECIMALS
    exponent = math.floor(math.log10(half_width))
    leading = half_width / 10.0**exponent
    digits = 2 if leading < 3.545 or leading >= 9.495 else 1
    exponent += int(leading >= 9.495)
    return min(max(digits - 1 - exponent, 0), _MOST_DECIMALS)


def number(value: float | None, decimals: int = _PLAIN_DECIMALS, signed: bool = False) -> str:
    """A number with a fixed count of decimals, thousands separated, a true minus sign; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{abs(value):,.{decimals}f}"
    if not any(digit in text for digit in "123456789"):
        return text
    if value < 0:
        return MINUS + text
    return "+" + text if signed else text


def count(value: float | None) -> str:
    """A count: ``20,000``."""
    return number(value, 0)


def shown(value: float | None, scale: Scale) -> float | None:
    """A stored number in the unit that is shown: times 100 on the percent scale."""
    if value is None:
        return None
    return value * 100 if is_percent(scale) else value


def score_decimals(low: float | None, high: float | None, scale: Scale) -> int:
    """Decimals of a score, from its interval in stored units."""
    low, high = shown(low, scale), shown(high, scale)
    return decimals_for(None if low is None or high is None else (high - low) / 2)


def score(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    scale: Scale = PERCENT_SCALE,
    *,
    signed: bool = False,
) -> str:
    """A score without its unit, rounded by its interval: ``93.4``."""
    return number(shown(value, scale), score_decimals(low, high, scale), signed)


def interval(low: float | None, high: float | None, scale: Scale = PERCENT_SCALE, *, signed: bool = False) -> str:
    """An interval in words, ``91.2 to 95.1``, rounded as its score is; a dash where either end is unknown."""
    if low is None or high is None:
        return DASH
    decimals = score_decimals(low, high, scale)
    return f"{number(shown(low, scale), decimals, signed)} to {number(shown(high, scale), decimals, signed)}"


def unit(scale: Scale) -> str:
    """What follows a score of this scale in prose: a percent sign or nothing."""
    return f"{NBSP}%" if is_percent(scale) else ""


def share(part: float | None) -> str:
    """A proportion as percent; only 1.0 itself is ``100 %`` and only 0.0 is ``0 %``."""
    if part is None:
        return DASH
    if part in (0.0, 1.0):
        return f"{part * 100:.0f}{NBSP}%"
    text = f"{part * 100:.1f}"
    if text == "100.0":
        return f">99.9{NBSP}%"
    return f"<0.1{NBSP}%" if text == "0.0" else f"{text}{NBSP}%"


def significant(value: float | None, digits: int = 3) -> str:
    """A measured quantity with a fixed count of significant digits, never in exponent form."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    return number(value, max(digits - 1 - math.floor(math.log10(abs(value))), 0))


def seconds(value: float | None) -> str:
    """A duration: ``850 ms``, ``45.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if value is None:
        return DASH
    if value < 1:
        return f"{significant(value * 1000)}{NBSP}ms"
    if value < 99.95:
        return f"{significant(value)}{NBSP}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min"


def mib(value: float | None) -> str:
    """Memory from MiB (2**20 bytes): ``512 MiB``, ``6.84 GiB``."""
    if value is None:
        return DASH
    return f"{significant(value)}{NBSP}MiB" if value < 1024 else f"{significant(value / 1024)}{NBSP}GiB"


def parameters(value: float | None) -> str:
    """A parameter count: ``5.2 M``, ``3.43 B``."""
    if value is None:
        return DASH
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{significant(value / size)}{NBSP}{letter}"
    return count(value)


def p_value(value: float | None) -> str:
    """A p value: ``0.034``, ``<0.001``."""
    if value is None:
        return DASH
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def plural(n: int, one: str, many: str = "") -> str:
    """``1 sample``, ``2,000 samples``."""
    return f"{count(n)}{NBSP}{one if n == 1 else many or one + 's'}"


def sentence_list(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
