"""What holds for any unit vectors under any way of combining them: finite, symmetric, on the scale, monotone."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.metrics.base import COMBINE, Statistic
from evals.statistics import (
    benjamini_hochberg,
    difference_part,
    holm,
    interval,
    macro_mean,
    paired_difference,
    score_part,
)

WIDTHS = {"ratio": 2, "error_rate": 2, "information_lost": 3, "mme": 4} | {f"bleu_{n}": 10 for n in range(1, 5)}
VALUES = {
    "0/1": st.integers(0, 1).map(float),
    "parts": st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    "zeros": st.just(0.0),
    "large": st.just(0.0) | st.floats(1e-6, 1e12),  # a quotient by 5e-324 overflows, but no count is so small
    "counts": st.integers(0, 30).map(float),
}


def finite(*numbers: float | None) -> bool:
    return all(number is None or math.isfinite(number) for number in numbers)


@st.composite
def pairs(draw: st.DrawFn, combine: str) -> tuple[Statistic, Statistic, list[str]]:
    """Two runs' unit vectors on the same clusters; of a ratio mostly scores, whose denominators are 1."""
    n, values = draw(st.integers(0, 14)), VALUES[draw(st.sampled_from(sorted(VALUES)))]
    scale = draw(st.sampled_from([(0.0, 1.0), (0.0, math.inf), (0.0, 2000.0)]))
    better, scores = draw(st.booleans()), combine == "ratio" and draw(st.integers(0, 2)) > 0
    made = []
    for _ in range(2):
        rows = draw(
            st.lists(st.lists(values, min_size=WIDTHS[combine], max_size=WIDTHS[combine]), min_size=n, max_size=n)
        )
        vectors = np.array(rows, dtype=np.float64).reshape(n, WIDTHS[combine])
        if scores:
            vectors[:, 1] = 1.0
        made.append(Statistic("number", tuple(range(n)), vectors, combine, scale, better))
    clusters = draw(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n))
    return made[0], made[1], clusters


def test_the_table_names_every_combination() -> None:
    assert WIDTHS.keys() <= COMBINE.keys()


@pytest.mark.parametrize("combine", sorted(WIDTHS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_vectors_give_a_number_that_is_none(combine: str, data: st.DataObject) -> None:
    a, b, clusters = data.draw(pairs(combine))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        around = interval(a, clusters, resamples=60)
        there = paired_difference(a, b, clusters, resamples=60)
        back = paired_difference(b, a, clusters, resamples=60)
        whole = macro_mean([score_part("a", a, clusters), score_part("b", b, clusters)])
        change = macro_mean([difference_part("a", there.gain(), clusters)])
    assert finite(around.value, around.low, around.high, around.se)
    assert finite(
        there.value, there.low, there.high, there.se, there.effective_se, there.lower(0.05), there.upper(0.05)
    )
    assert finite(whole.value, whole.low, whole.high, whole.se, change.value, change.low, change.high, change.p)
    assert all(p is None or 0 <= p <= 1 for p in (there.p, there.p_fall, there.p_rise))
    if around.low is not None and around.high is not None:
        assert around.low <= around.high
    if there.value is None:
        assert back.value is None
        return
    assert there.value == pytest.approx(-back.value)
    if there.p is not None:
        assert (there.p, there.p_fall) == pytest.approx((back.p, back.p_rise), abs=1e-9)
    if there.method != "cluster_bca" and there.low is not None:
        slack = 1e-9 * max(1.0, abs(there.value))
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert there.low - slack <= there.value <= there.high + slack


P_VALUES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(p_values=P_VALUES, data=st.data())
def test_adjusting_keeps_the_order_and_never_claims_more(adjust, p_values, data) -> None:
    adjusted = adjust(p_values)
    assert [p is None for p in p_values] == [p is None for p in adjusted]
    known = sorted((p, q) for p, q in zip(p_values, adjusted, strict=True) if p is not None)
    assert all(p <= q + 1e-12 <= 1 + 1e-9 for p, q in known)
    assert all(one[1] <= two[1] + 1e-12 for one, two in pairwise(known) if one[0] < two[0])
    order = data.draw(st.permutations(range(len(p_values))))
    assert adjust([p_values[i] for i in order]) == [
        None if adjusted[i] is None else pytest.approx(adjusted[i]) for i in order
    ]
