"""Multiple choice: plain and circular accuracy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.metrics.registry import get_metric

ANSWERS = st.sampled_from([None, "A", "b", "C ", "", "cat"])


def test_a_reply_is_right_if_it_equals_a_reference_in_either_case() -> None:
    metric = get_metric("multiple_choice")
    assert metric.score_samples(["B", "b", " B\n", "B.", "C"], [["B"]] * 5) == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_extracted_values_replace_predictions_and_unparsed_is_wrong_but_a_failed_request_has_no_score() -> None:
    metric = get_metric("multiple_choice")
    scores = metric.score_samples(["The answer is B", "hm", None], [["B"], ["A"], ["A"]], extracted=["B", None, None])
    assert scores == [1.0, 0.0, None]
    assert metric.compute(["(B)", None], [["B"], ["B"]], extracted=["B", None]) == {"accuracy": 1.0}


def test_circular_needs_every_rotation_right() -> None:
    got = get_metric("circular").compute(
        ["A", "B", "A", "B"], [["A"], ["B"], ["A"], ["A"]], group=["q1", "q1", "q2", "q2"]
    )
    assert got == {"circular": 0.5, "vanilla": 1.0, "rows": 0.75}


def test_rotations_need_not_stand_side_by_side() -> None:
    statistics = get_metric("circular").statistics(
        ["A", "A", "B", "C"], [["A"], ["A"], ["B"], ["B"]], group=[7, 8, 7, 8]
    )
    assert statistics[0].rows == (0, 1)
    assert statistics[0].vectors.tolist() == [[1.0, 1.0], [0.0, 1.0]]


def test_a_failed_rotation_leaves_the_group_unknown_unless_another_one_is_wrong() -> None:
    metric = get_metric("circular")
    failed = metric.statistics(["A", None, None, "B"], [["A"], ["B"], ["A"], ["A"]], group=[1, 1, 2, 2])
    assert failed[0].rows == (2,)
    assert failed[0].value == 0.0


def test_a_group_without_all_its_rotations_has_no_circular_score() -> None:
    metric = get_metric("circular")
    got = metric.compute(["A", "B", "A"], [["A"], ["B"], ["A"]], group=[1, 1, 2], rotations=[2, 2, 2])
    assert got == {"circular": 1.0, "vanilla": 1.0, "rows": 1.0}
    assert metric.statistics(["A"], [["A"]], group=[2], rotations=[2])[0].rows == ()
    assert metric.compute(["A"], [["A"]], group=[2])["circular"] == 1.0


def test_a_group_with_more_rows_than_options_is_an_error() -> None:
    with pytest.raises(DataError, match=r"group 'q' has 3 rows .* 2 options .* duplicated"):
        get_metric("circular").compute(["A"] * 3, [["A"]] * 3, group=["q"] * 3, choices=[["cat", "dog"]] * 3)


@pytest.mark.parametrize(
    ("references", "columns", "message"),
    [
        ([["A"]], {"group": [1, 1]}, "predictions 2, references 1, group 2"),
        ([["A"], []], {"group": [1, 1]}, "row 1 is empty"),
        (["A", "B"], {"group": [1, 1]}, "row 0 are 'A'"),
        ([["A"], ["B"]], {}, "needs the column"),
    ],
)
def test_bad_input_is_named(references: list[list[str]], columns: dict[str, list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        get_metric("circular").compute(["A", "B"], references, **columns)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ANSWERS, st.sampled_from("ABC"), st.integers(0, 3)), max_size=12))
def test_circular_is_never_above_vanilla_on_known_groups(rows: list[tuple[str | None, str, int]]) -> None:
    predictions = [p for p, _, _ in rows]
    references = [[r] for _, r, _ in rows]
    got = get_metric("circular").compute(predictions, references, group=[g for _, _, g in rows])
    assert all(value is None or 0 <= value <= 1 for value in got.values())
    if None not in predictions and rows:
        assert got["circular"] <= got["vanilla"]  # type: ignore[operator]
