"""What holds for every metric, on the cases that ship with it: order, range, intervals, failed and odd replies."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.metrics.base import Metric, Statistic
from evals.metrics.registry import METRICS, get_metric
from evals.metrics.selfcheck import VECTORS
from evals.statistics import interval, paired_difference

FILES = sorted(VECTORS.glob("*.json"))
OWN = ("prediction", "references", "score")
PIECES = [
    "是",
    "不",
    "Ａ",
    "１２",
    "A",
    "b.",
    "(C)",
    "yes",
    "no",
    "12",
    "1.0",
    "-3,000",
    "\\frac{1}{2}",
    "[1, 2]",
    "：",
    "\n",
]
TEXT = st.text(max_size=12) | st.lists(st.sampled_from(PIECES), max_size=5).map(" ".join)
Case = dict[str, Any]


def metric_of(path: Path) -> tuple[Metric, list[Case]]:
    vectors = json.loads(path.read_text(encoding="utf-8"))
    return get_metric(vectors["metric"], **vectors.get("options", {})), vectors["cases"]


def evaluated(metric: Metric, cases: list[Case]) -> tuple[list[float | None], dict[str, Statistic]]:
    names = {name for case in cases for name in case} - set(OWN)
    columns = {name: [case.get(name) for case in cases] for name in names}
    scores, found = metric.evaluate([c["prediction"] for c in cases], [c["references"] for c in cases], **columns)
    return scores, {statistic.name: statistic for statistic in found}


def blocks_of(cases: list[Case]) -> list[list[Case]]:
    """Cases that belong together: a group's rows stay beside each other, in their order."""
    blocks: dict[Any, list[Case]] = {}
    for number, case in enumerate(cases):
        blocks.setdefault(case.get("group", number), []).append(case)
    return list(blocks.values())


def test_every_metric_that_needs_no_java_has_cases() -> None:
    shipped = {json.loads(path.read_text(encoding="utf-8"))["metric"] for path in FILES}
    assert set(METRICS) - shipped == {"spice", "meteor", "coco_caption"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_samples_changes_no_number(path: Path, seed: int) -> None:
    metric, cases = metric_of(path)
    blocks = blocks_of(cases)
    random.Random(seed).shuffle(blocks)
    shuffled = [case for block in blocks for case in block]
    _, before = evaluated(metric, cases)
    scores, after = evaluated(metric, shuffled)
    assert before.keys() == after.keys()
    assert len(scores) == len(cases)
    for name, statistic in before.items():
        assert after[name].value == (value if (value := statistic.value) is None else pytest.approx(value)), name
        assert sorted(map(tuple, after[name].vectors.round(9))) == sorted(map(tuple, statistic.vectors.round(9))), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_numbers_lie_on_their_scale_within_their_intervals(path: Path) -> None:
    metric, cases = metric_of(path)
    _, found = evaluated(metric, cases)
    assert metric.headline in found
    for name, statistic in found.items():
        assert np.isfinite(statistic.vectors).all(), name
        assert len(statistic.rows) == len(statistic.vectors) == len(set(statistic.rows)), name
        if statistic.value is None:
            continue
        low, high = statistic.scale
        assert low - 1e-9 <= statistic.value <= high + 1e-9, name
        around = interval(statistic, [str(row) for row in statistic.rows], resamples=200)
        if around.low is not None and around.high is not None:
            assert low <= around.low <= around.high <= high, name
            if around.method != "cluster_bca":  # the bootstrap of a skewed statistic may leave its value outside
                assert around.low - 1e-9 <= statistic.value <= around.high + 1e-9, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_does_not_differ_from_itself(path: Path) -> None:
    metric, cases = metric_of(path)
    for statistic in evaluated(metric, cases)[1].values():
        clusters = [str(row) for row in statistic.rows]
        difference = paired_difference(statistic, statistic, clusters, resamples=0)
        assert difference.value in (None, 0.0)
        assert difference.n_changed == 0
        assert difference.p in (None, 1.0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_failed_request_has_no_score_and_spoils_no_other(path: Path) -> None:
    metric, cases = metric_of(path)
    failed = [case | {"prediction": None} | ({"extracted": None} if "extracted" in case else {}) for case in cases]
    scores, found = evaluated(metric, failed)
    assert set(scores) == {None}
    assert (
        all(statistic.value is None or not len(statistic.rows) for statistic in found.values())
        or metric.needs != "sample"
    )
    if metric.needs == "sample" and len(cases) > 1:
        whole, _ = evaluated(metric, cases)
        part, _ = evaluated(metric, [failed[0], *cases[1:]])
        assert part[0] is None
        assert part[1:] == pytest.approx(whole[1:], nan_ok=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_reply_has_a_score(path: Path, data: st.DataObject) -> None:
    """Full-width signs, formulas, control characters, nothing at all: no exception, and no number off the scale."""
    metric, cases = metric_of(path)
    cases = cases[:6]
    replies = data.draw(st.lists(TEXT | st.none(), min_size=len(cases), max_size=len(cases)))
    said = [
        case | {"prediction": reply} | ({"extracted": reply} if "extracted" in case else {})
        for case, reply in zip(cases, replies, strict=True)
    ]
    scores, found = evaluated(metric, said)
    for reply, score in zip(replies, scores, strict=True):
        assert score is None or np.isfinite(score)
        assert reply is not None or score is None
    for statistic in found.values():
        low, high = statistic.scale
        assert np.isfinite(statistic.vectors).all()
        assert statistic.value is None or low - 1e-9 <= statistic.value <= high + 1e-9
