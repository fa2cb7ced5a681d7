"""MME: scores per category on the official scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.metrics.base import COMBINE
from evals.metrics.mme import CATEGORIES
from evals.metrics.registry import get_metric

FOUR = {"category": ["existence", "existence", "existence", "existence"], "group": ["1.jpg", "1.jpg", "2.jpg", "2.jpg"]}
LABELS = [["Yes"], ["No"], ["Yes"], ["No"]]


def test_a_category_scores_accuracy_plus_share_of_images_with_both_right() -> None:
    got = get_metric("mme").compute(["Yes", "No", "Yes", "Yes"], LABELS, **FOUR)
    assert got["existence"] == pytest.approx(75 + 50)
    assert got["total"] == got["perception"] == got["existence"]
    assert got["cognition"] is None
    assert got["accuracy"] == 0.75
    assert got["accuracy_plus"] == 0.5


def test_totals_add_up_over_categories() -> None:
    columns = {"category": ["OCR", "OCR", "code_reasoning", "code_reasoning"], "group": ["a", "a", "a", "a"]}
    got = get_metric("mme").compute(["yes", "no", "yes", "other"], LABELS, **columns)
    assert got["OCR"] == 200.0
    assert got["code_reasoning"] == 50.0
    assert (got["perception"], got["cognition"], got["total"]) == (200.0, 50.0, 250.0)


def test_scales_are_the_official_ones() -> None:
    scales = {s.name: s.scale for s in get_metric("mme").statistics(["Yes"] * 4, LABELS, **FOUR)}
    assert scales["total"] == (0.0, 2800.0)
    assert scales["perception"] == (0.0, 2000.0)
    assert scales["cognition"] == (0.0, 800.0)
    assert scales["existence"] == (0.0, 200.0)
    assert scales["accuracy"] == (0.0, 1.0)


def test_a_failed_question_leaves_accuracy_plus_of_its_image_unknown_unless_the_other_is_wrong() -> None:
    unknown = get_metric("mme").compute(["Yes", "No", "Yes", None], LABELS, **FOUR)
    assert unknown["existence"] == pytest.approx(100 + 100)
    settled = get_metric("mme").compute(["Yes", "No", "No", None], LABELS, **FOUR)
    assert settled["existence"] == pytest.approx(200 / 3 + 50)


def test_single_questions_have_no_score_but_an_accuracy() -> None:
    got = get_metric("mme").compute(["Yes"], [["Yes"]], category=["count"], group=["1"])
    assert got["count"] is None
    assert got["accuracy"] == 1.0


def test_a_third_question_on_an_image_and_an_unknown_category_are_named() -> None:
    with pytest.raises(DataError, match=r"image 'x' of category 'count' has 3 questions \(rows 0 to 2\)"):
        get_metric("mme").compute(["Yes"] * 3, [["Yes"]] * 3, category=["count"] * 3, group=["x"] * 3)
    with pytest.raises(DataError, match=r"'ocr' is no MME category\. Did you mean 'OCR'"):
        get_metric("mme").compute(["Yes"], [["Yes"]], category=["ocr"], group=["x"])


def test_a_resample_without_a_category_counts_it_as_nothing() -> None:
    totals = np.array([[3.0, 4.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 8])
    assert COMBINE["mme"](totals).tolist() == pytest.approx([125.0, np.nan], nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CATEGORIES), st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=8)
)
def test_scores_stay_on_their_scale(images: list[tuple[str, str, str]]) -> None:
    predictions = [reply for _, first, second in images for reply in (first, second)]
    category = [name for name, _, _ in images for _ in range(2)]
    group = [i for i in range(len(images)) for _ in range(2)]
    statistics = get_metric("mme").statistics(
        predictions, [["Yes"], ["No"]] * len(images), category=category, group=group
    )
    for statistic in statistics:
        assert statistic.value is None or statistic.scale[0] <= statistic.value <= statistic.scale[1]
    named = {s.name: s.value for s in statistics}
    assert named["total"] == pytest.approx((named["perception"] or 0) + (named["cognition"] or 0))
