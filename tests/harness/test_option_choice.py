"""Position bias and option priors: what a model makes of the letters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.option_choice import OptionTally
from evals.records import Answer, Question
from model_adapters.contract import Failure


def question(right: str, number: int = 0) -> Question:
    return Question(f"q{number}", f"q{number}", "00", "c", "?", (), (right,), {}, {})


def answer(scores: tuple[float, ...] | None = None, failure: Failure | None = None) -> Answer:
    return Answer("q", "q", "00", "", choice_scores=scores, failure=failure)


def tally(rows: list[tuple[str, str | None]]) -> OptionTally:
    found = OptionTally()
    found.add([question(right) for right, _ in rows], [chosen for _, chosen in rows], [answer()] * len(rows))
    return found


def test_a_model_that_always_says_a_has_all_its_recall_there() -> None:
    found = tally([("A", "A"), ("B", "A"), ("C", "A"), ("D", "A")]).result()
    assert {letter: row["chosen"] for letter, row in found["letters"].items()} == {"A": 4, "B": 0, "C": 0, "D": 0}
    assert {letter: row["recall"] for letter, row in found["letters"].items()} == {"A": 1, "B": 0, "C": 0, "D": 0}
    assert found["recall_std"] == pytest.approx(math.sqrt(3) / 4)


def test_an_even_model_has_no_spread() -> None:
    found = tally([("A", "A"), ("A", "B"), ("B", "B"), ("B", "A")]).result()
    assert found["recall_std"] == 0.0
    assert found["letters"]["A"] | {"low": None, "high": None} == {
        **{"right": 2, "chosen": 2, "recall": 0.5, "low": None, "high": None, "prior": None}
    }


def test_unread_answers_choose_no_letter_and_failed_requests_count_nowhere() -> None:
    found = tally([("A", None), ("A", "A")])
    found.add([question("B")], [None], [answer(failure=Failure("OSError", "truncated"))])
    found.add([question("B")], [None], [None])
    assert found.result()["letters"].keys() == {"A"}
    assert found.result()["letters"]["A"]["right"] == 2
    assert found.result()["letters"]["A"]["chosen"] == 1
    assert found.result()["recall_std"] is None


def test_priors_are_mean_probabilities_of_the_letters_that_were_offered() -> None:
    found = OptionTally()
    found.add([question("A"), question("B")], ["A", "A"], [answer((0.0, 0.0)), answer((math.log(2), 0.0, 0.0))])
    letters = found.result()["letters"]
    assert letters["A"]["prior"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert letters["B"]["prior"] == pytest.approx((1 / 2 + 1 / 4) / 2)


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["A", "B", "C", "D", None])), max_size=40))
def test_counts_add_up(rows: list[tuple[str, str | None]]) -> None:
    letters = tally(rows).result()["letters"]
    assert sum(row["right"] for row in letters.values()) == len(rows)
    assert sum(row["chosen"] for row in letters.values()) == sum(chosen is not None for _, chosen in rows)
    for row in letters.values():
        assert row["recall"] is None or 0 <= row["low"] <= row["recall"] <= row["high"] <= 1
