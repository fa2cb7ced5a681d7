"""Judge scores that were given elsewhere."""

import pytest

from evals.errors import DataError, SpecError
from evals.metrics.registry import get_metric


def test_the_mean_of_marks_is_on_a_scale_of_one() -> None:
    metric = get_metric("judge_score", maximum=10)
    assert metric.score_samples(["a", "b", None, "d"], [["x"]] * 4, judgement=[5, "10", 3, None]) == [
        0.5,
        1.0,
        None,
        None,
    ]
    assert metric.compute(["a", "b"], [["x"]] * 2, judgement=[5, 10]) == {"score": 0.75}


def test_llava_bench_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    got = get_metric("llava_bench").compute(
        ["a", "b", "c"], [["x"]] * 3, model_score=[8, 2, -1], reference_score=[8, 10, -1]
    )
    assert got == pytest.approx({"relative": 10 / 18, "model": 0.5, "reference": 0.9})


def test_llava_bench_without_marks_has_no_numbers() -> None:
    got = get_metric("llava_bench").compute([None], [["x"]], model_score=[8], reference_score=[8])
    assert got == {"relative": None, "model": None, "reference": None}


@pytest.mark.parametrize("mark", [11, -2, "good", float("nan")])
def test_marks_outside_the_scale_are_named(mark: object) -> None:
    with pytest.raises(DataError, match=r"row 0: column 'judgement' is .* expected a number from 0 to 10"):
        get_metric("judge_score", maximum=10).compute(["a"], [["x"]], judgement=[mark])


def test_a_maximum_must_be_positive() -> None:
    with pytest.raises(SpecError, match="expected a positive number"):
        get_metric("judge_score", maximum=0)
