"""The table of options by letter."""

from __future__ import annotations

from reports.option_tables import option_table
from reports.tables import to_markdown

LETTER = {"right": 4, "chosen": 8, "recall": 1.0, "low": 0.51, "high": 1.0, "prior": 0.625}


def test_each_letter_has_its_counts_recall_and_prior() -> None:
    letters = {"A": LETTER, "B": LETTER | {"chosen": 0, "recall": 0.0, "low": 0.0, "high": 0.49, "prior": None}}
    found = option_table("t", {"options": {"letters": letters, "recall_std": 0.5}})
    assert found is not None
    cells = [[cell.text for cell in row] for row in found.rows]
    assert [row[0] for row in cells] == ["A", "B"]
    assert cells[0][1:3] == ["4", "8"]
    assert cells[1][-1] == "–"
    assert "standard deviation of 50.0 points" in to_markdown(found)


def test_a_task_without_options_has_no_table() -> None:
    assert option_table("t", {"options": None}) is None
    assert option_table("t", {}) is None
    assert option_table("t", {"options": {"letters": {}, "recall_std": None}}) is None
