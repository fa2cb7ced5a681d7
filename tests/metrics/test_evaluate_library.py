"""Our metrics as modules of the `evaluate` library, and a local metric of that library as one of ours."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from evals.errors import SpecError
from evals.metrics import get_metric

pytest.importorskip("evaluate")

from evals.metrics.as_evaluate import as_evaluate

LOCAL = '''
import datasets
import evaluate


class LengthMatch(evaluate.Metric):
    """Share of predictions as long as their reference."""

    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="length", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        same = [len(p) == len(r) for p, r in zip(predictions, references)]
        return {"length_match": sum(same) / len(same)}
'''


def test_our_metric_gives_the_same_number_through_the_library() -> None:
    module = as_evaluate("anls")
    assert module.compute(predictions=["cat", "dgo"], references=[["Cat"], ["dog", "cow"]]) == get_metric(
        "anls"
    ).compute(["cat", "dgo"], [["Cat"], ["dog", "cow"]])


def test_a_local_metric_of_the_library_can_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "length_match"
    folder.mkdir()
    (folder / "length_match.py").write_text(textwrap.dedent(LOCAL), encoding="utf-8")
    metric = get_metric(f"evaluate:{folder}")
    assert metric.headline == "length_match"
    assert metric.compute(["abc", "d", None], [["xyz"], ["uv"], ["w"]]) == {"length_match": 0.5}
    assert metric.score_samples(["abc", "d", None], [["xyz"], ["uv"], ["w"]]) == [1.0, 0.0, None]
    assert metric.statistics(["abc", "d", None], [["xyz"], ["uv"], ["w"]])[0].value == 0.5


def test_a_metric_that_is_nowhere_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="local path"):
        get_metric(f"evaluate:{tmp_path / 'none'}")
