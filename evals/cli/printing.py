"""Tables for people on a terminal, the same as JSON with --json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table on stdout; ``right`` are the indices of columns with numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold", no_wrap=i in right)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; do not fold tables that go to a file
    console.print(table)


def number(value: float | None, scale: Sequence[float | None]) -> str:
    """A score in percent where its scale is [0, 1], else as it is; a dash for unknown."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" if list(scale) == [0.0, 1.0] else f"{value:,.2f}"
