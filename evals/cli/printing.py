"""Tables for people on a terminal, the same as JSON with --json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import combining, east_asian_width


def print_json(value: Any) -> None:
    """One JSON document on stdout; letters beyond ASCII as escapes where stdout is not UTF-8."""
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    json.dump(value, sys.stdout, ensure_ascii=not is_utf8, indent=1, allow_nan=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table on stdout; ``right`` are the indices of columns with numbers. Where nobody sees a terminal, lines of any
    length take its place: nothing is folded."""
    if not sys.stdout.isatty():
        print(title)
        for line in _plain_lines([columns, *rows], right):
            print(line)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold", no_wrap=i in right)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def _plain_lines(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    """Rows as lines with their cells below each other, two blanks between."""
    widths = [max(map(_width, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            blank + cell if i in right else cell + blank
            for i, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Columns that a text takes; Chinese and the like take two a character."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def number(value: float | None, scale: Sequence[float | None]) -> str:
    """A score in percent where its scale is [0, 1], else as it is; a dash for unknown."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" if list(scale) == [0.0, 1.0] else f"{value:,.2f}"


def p_value(p: float | None) -> str:
    """A p value; a dash where there is none."""
    return "–" if p is None else "<1e-12" if p < 1e-12 else f"{p:.2g}"
