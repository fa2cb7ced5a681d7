"""What a model makes of the options' letters: how often each was right and chosen, how well it is found, its prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.run_tables import score_cells
from reports.tables import Column, Table, count_cell, number_cell, table, text_cell

_PERCENT = {"scale": (0.0, 1.0)}


def option_table(name: str, task: Mapping[str, Any]) -> Table | None:
    """One row a letter; None where the task has no options."""
    found = task.get("options")
    if not found or not found.get("letters"):
        return None
    rows = []
    for letter, row in found["letters"].items():
        recall = {"value": row["recall"], "low": row["low"], "high": row["high"]}
        shares = [count_cell(row["right"]), count_cell(row["chosen"]), *score_cells(_PERCENT | recall)]
        rows.append([text_cell(letter), *shares, number_cell(row["prior"], fmt.share(row["prior"]))])
    columns = [
        Column("Option", numeric=False),
        Column("Right", hint="rows in which this letter is the right one"),
        Column("Chosen", hint="rows in which the model chose it"),
        Column("Found", hint="share of the rows with this right answer that are answered rightly (recall)"),
        Column("95 % interval", hint="Wilson interval; rows are taken as independent"),
        Column("Prior", hint="mean probability of the letter over all rows; only under the likelihood protocol"),
    ]
    return table(f"{name}-options", "Options by letter", columns, rows, align=(3,), note=_note(found))


def _note(found: Mapping[str, Any]) -> str:
    spread = found.get("recall_std")
    if spread is None:
        return ""
    return (
        f"A model without position bias finds right answers equally well at every letter. Here the shares found have a "
        f"standard deviation of {fmt.number(100 * spread)} points (RStd, arXiv 2309.03882)."
    )
