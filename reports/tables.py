"""A table once, written four ways: HTML (by the templates), Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports import format as fmt
from reports.markdown import escape as escape_markdown

_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",  # these three print as other characters in LaTeX's oldest font encoding, its default
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        fmt.MINUS: "$-$",
        fmt.NBSP: "~",
        fmt.DASH: "--",
        "±": r"$\pm$",
        "\n": " ",
    }
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what is read.
        sort: what the column is sorted by; None sorts last in both directions.
        pad: invisible characters after the text that line up the decimal points of a column.
        title: the number in full, shown on hover.
        tone: ``good``, ``bad`` or ``muted``; never the only carrier of a meaning.
        href: a link within the page.
        plot: a value and the ends of its interval in percent, drawn small below the text that says the same.
    """

    text: str
    sort: float | str | None = None
    pad: str = ""
    title: str = ""
    tone: str = ""
    href: str = ""
    plot: tuple[float | None, float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head, whether it holds numbers (right-aligned), what it means, and the group it hides with."""

    label: str
    numeric: bool = True
    hint: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption. The first column holds the row heads; the footer stays below when it is sorted."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    footer: tuple[tuple[Cell, ...], ...] = ()

    @property
    def lines(self) -> tuple[tuple[Cell, ...], ...]:
        """All rows, the footer last."""
        return self.rows + self.footer


def text_cell(text: str | None, **more: Any) -> Cell:
    """A cell of words."""
    return Cell(text or fmt.DASH, sort=(text or "").casefold() or None, **more)


def number_cell(value: float | None, text: str, **more: Any) -> Cell:
    """A cell of a number: ``text`` is what is shown, ``value`` what is sorted by and shown in full on hover."""
    return Cell(text, sort=value, title="" if value is None else f"{value:.6g}", **more)


def count_cell(value: float | None, *, quiet_zero: bool = False, **more: Any) -> Cell:
    """A cell of a count; zeros that are good news can be muted."""
    tone = "muted" if quiet_zero and not value else ""
    return Cell(fmt.count(value), sort=value, tone=more.pop("tone", tone), **more)


def align_decimals(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one column with ``pad`` set so that their decimal points stand under each other."""
    fractions = [text.partition(".")[2] if "." in (text := cell.text) else "" for cell in cells]
    numeric = [any(ch.isdigit() for ch in cell.text) for cell in cells]
    widest = max((len(f) for f, isnum in zip(fractions, numeric, strict=True) if isnum), default=0)
    aligned = []
    for cell, fraction, isnum in zip(cells, fractions, numeric, strict=True):
        missing = widest - len(fraction)
        pad = "" if not isnum or not missing else "0" * missing if fraction else "." + "0" * missing
        aligned.append(replace(cell, pad=pad))
    return aligned


def table(
    name: str,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    note: str = "",
    align: Sequence[int] = (),
    footer: Iterable[Sequence[Cell]] = (),
) -> Table:
    """Build a table; ``align`` names the columns whose decimal points shall line up."""
    body = [list(row) for row in rows]
    grid = body + [list(row) for row in footer]
    for index in align:
        for row, cell in zip(grid, align_decimals([row[index] for row in grid]), strict=True):
            row[index] = cell
    frozen = tuple(tuple(row) for row in grid)
    return Table(name, caption, tuple(columns), frozen[: len(body)], note, frozen[len(body) :])


def to_markdown(source: Table) -> str:
    """A GitHub table with its caption in bold above and its note below."""
    lines = [f"**{escape_markdown(source.caption)}**", ""]
    lines.append("| " + " | ".join(escape_markdown(column.label) for column in source.columns) + " |")
    lines.append("|" + "|".join(" ---: " if column.numeric else " --- " for column in source.columns) + "|")
    lines.extend("| " + " | ".join(escape_markdown(cell.text) for cell in row) + " |" for row in source.lines)
    if source.note:
        lines += ["", escape_markdown(source.note)]
    return "\n".join(lines) + "\n"


def to_latex(source: Table) -> str:
    """A booktabs table for a paper; needs ``\\usepackage{booktabs}``."""
    align = "".join("r" if column.numeric else "l" for column in source.columns)

    def line(texts: Iterable[str]) -> str:
        return " & ".join(text.translate(_LATEX_ESCAPES) for text in texts) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{source.caption.translate(_LATEX_ESCAPES)}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            "    " + line(column.label for column in source.columns),
            r"    \midrule",
            *("    " + line(cell.text for cell in row) for row in source.lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV: numbers in full, unknown as an empty field.

    Text that a spreadsheet would take for a formula gets a leading apostrophe: names may come from other people's data.
    """

    def field(value: Any) -> Any:
        if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
            return "'" + value
        return "" if value is None else value

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([field(value) for value in row] for row in rows)
    return buffer.getvalue()
