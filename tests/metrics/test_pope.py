"""POPE: the official reading of an answer, and the classifier numbers."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.extract.registry import get_extractor
from evals.metrics.registry import get_metric


def test_every_golden_answer_is_read_as_the_official_script_reads_it(shared: Path) -> None:
    cases = json.loads((shared / "golden/pope.json").read_text())["parse_cases"]
    read = get_extractor("pope")
    assert {c["id"]: read(c["prediction"])[0] for c in cases} == {c["id"]: c["score"] for c in cases}


def test_numbers_follow_their_definitions() -> None:
    # two hits, one false alarm, one miss, one correct rejection
    got = get_metric("pope").compute(
        ["Yes", "Yes, it is", "yes", "No", "no"], [["yes"], ["yes"], ["no"], ["yes"], ["no"]]
    )
    assert got == pytest.approx({"f1": 2 / 3, "accuracy": 0.6, "precision": 2 / 3, "recall": 2 / 3, "yes_ratio": 0.6})


def test_unparsed_under_another_extractor_is_wrong_and_not_a_yes() -> None:
    got = get_metric("pope").compute(["?", "?", "Yes"], [["yes"], ["no"], ["yes"]], extracted=[None, None, "Yes"])
    assert got == pytest.approx({"f1": 2 / 3, "accuracy": 1 / 3, "precision": 1.0, "recall": 0.5, "yes_ratio": 1 / 3})


def test_undefined_numbers_are_none() -> None:
    got = get_metric("pope").compute(["No", None], [["no"], ["yes"]])
    assert got == {"f1": None, "accuracy": 1.0, "precision": None, "recall": None, "yes_ratio": 0.0}


def test_labels_other_than_yes_and_no_are_named() -> None:
    with pytest.raises(DataError, match="row 1: reference 'maybe' is none of yes, no"):
        get_metric("pope").compute(["Yes", "Yes"], [["Yes"], ["maybe"]])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=12)), st.sampled_from(["yes", "no"])), max_size=10))
def test_numbers_stay_in_range_for_any_reply(rows: list[tuple[str | None, str]]) -> None:
    got = get_metric("pope").compute([p for p, _ in rows], [[r] for _, r in rows])
    assert all(value is None or 0 <= value <= 1 for value in got.values())
