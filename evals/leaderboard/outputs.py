"""A leaderboard as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from evals.compare.records import as_json
from evals.files import write_bytes, write_json
from evals.leaderboard.records import Board, Cell, Column, Entry, Group

EFFICIENCY = (
    "requests_per_s",
    "latency_p50_ms",
    "peak_allocated_mib",
    "peak_host_mib",
    "energy_j",
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
    "profiled_tokens_per_s",
    "energy_j_per_request",
)


def board_json(board: Board) -> dict[str, Any]:
    """The board as plain JSON, with the formats of its parts in :mod:`evals.leaderboard.records`."""
    document: dict[str, Any] = {"schema_version": 1, "kind": "leaderboard"} | as_json(board)
    return document


def write_board(board: Board, folder: Path) -> None:
    """Write ``leaderboard.md``, ``.csv`` and ``.json`` to a folder."""
    write_bytes(folder / "leaderboard.md", board_markdown(board).encode())
    write_bytes(folder / "leaderboard.csv", board_csv(board).encode())
    write_json(folder / "leaderboard.json", board_json(board))


def board_csv(board: Board) -> str:
    """One row an entry; scores as they are (not percent), an unknown value is empty."""
    tasks = [column.task for column in board.columns]
    header = ["group", "rank_best", "rank_worst", "ties", "run", "model", "adapter", "dtype", "revision", "parameters"]
    header += ["imported", "control", "macro", "macro_low", "macro_high", "macro_normalised", "unranked"]
    for task in tasks:
        header += [task, f"{task}:low", f"{task}:high", f"{task}:normalised", f"{task}:coverage", f"{task}:n"]
    header += [*EFFICIENCY, "hardware", "hardware_key"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for group in board.groups:
        for entry in group.entries:
            writer.writerow(_csv_row(group, entry, tasks))
    return buffer.getvalue()


def _csv_row(group: Group, entry: Entry, tasks: list[str]) -> list[Any]:
    best, worst = entry.rank or (None, None)
    row: list[Any] = [group.key, best, worst, entry.ties, entry.run, entry.model, entry.adapter, entry.dtype]
    row += [
        entry.revision,
        entry.parameters,
        int(entry.imported),
        int(entry.control),
        entry.macro,
        entry.macro_low,
        entry.macro_high,
    ]
    row += [entry.macro_normalised, entry.unranked]
    for task in tasks:
        cell = entry.cells.get(task)
        row += [None] * 6 if cell is None else [cell.value, cell.low, cell.high, cell.normalised, cell.coverage, cell.n]
    row += [entry.efficiency.get(name) for name in EFFICIENCY]
    row += [entry.hardware, entry.hardware_key]
    return ["" if value is None else _inert(value) for value in row]


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a leading quote."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def board_markdown(board: Board) -> str:
    """The board for people: one table a group, then how to read it."""
    lines = [f"# {_cell(board.title)}", ""]
    for number, group in enumerate(board.groups, start=1):
        if len(board.groups) > 1:
            lines += [f"## Protocol {number} ({group.key})", ""]
            lines += [f"- differs: {_cell(line)}" for line in group.differs[:10]]
            lines += [""] if group.differs else []
        lines += _table(board, group)
    lines += [f"> {_cell(note)}" for note in board.notes]
    lines += ["", *_legend()]
    return "\n".join(lines) + "\n"


def _table(board: Board, group: Group) -> list[str]:
    titles = ["Rank", "Model", "Macro [95 %]", "Above chance", *(_cell(c.title) for c in board.columns)]
    titles += ["Parameters", "Type", "Requests/s", "Peak MiB", "Hardware"]
    lines = ["| " + " | ".join(titles) + " |"]
    lines.append("|:-:|---|" + "--:|" * (2 + len(board.columns)) + "--:|---|--:|--:|---|")
    lines += ["| " + " | ".join(_row(entry, board.columns)) + " |" for entry in group.entries]
    return [*lines, ""]


def _row(entry: Entry, columns: tuple[Column, ...]) -> list[str]:
    name = f"**{_cell(entry.model)}**" + (" (imported)" if entry.imported else "")
    name += " (control)" if entry.control else ""
    revision = f" <br>{_cell(entry.run)}"
    peak = entry.efficiency.get("peak_allocated_mib") or entry.efficiency.get("peak_host_mib")
    macro = _percent(entry.macro)
    if entry.macro_low is not None and entry.macro_high is not None:
        macro += f" [{_percent(entry.macro_low)}, {_percent(entry.macro_high)}]"
    return [
        _rank(entry),
        name + revision,
        macro,
        _percent(entry.macro_normalised),
        *(_score(entry.cells.get(column.task), column) for column in columns),
        _parameters(entry.parameters),
        _cell(entry.dtype or "–"),
        _number(entry.efficiency.get("requests_per_s")),
        _number(peak),
        _cell(entry.hardware or "–"),
    ]


def _rank(entry: Entry) -> str:
    if entry.rank is None:
        return f"– ({_cell(entry.unranked)})"
    best, worst = entry.rank
    place = str(best) if best == worst else f"{best}–{worst}"
    return f"{place} {entry.ties}"


def _score(cell: Cell | None, column: Column) -> str:
    if cell is None or cell.value is None:
        return "–"
    percent = column.scale[1] in (1.0, None)
    text = _percent(cell.value) if percent else f"{cell.value:.4g}"
    if cell.low is not None and cell.high is not None:
        half = (cell.high - cell.low) / 2
        text += f" ± {half * 100:.1f}" if percent else f" ± {half:.3g}"
    if cell.coverage is not None and cell.coverage < 1:
        text += f" ({cell.coverage * 100:.1f} % scored)"
    return text + (" †" if cell.few_clusters else "")


def _parameters(count: int | None) -> str:
    if not count:
        return "–"
    return f"{count / 1e9:.2f} B" if count >= 1e8 else f"{count / 1e6:.1f} M"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"  # five digits and more would get an exponent


def _legend() -> list[str]:
    return [
        "Rank is the range of places that paired tests leave possible (Holm over all pairs, 5 %); models of a table "
        "that share a letter cannot be told apart. Macro is the weighted mean of the tasks in percent of their scales, "
        "with its 95 % interval; ± is half the width of a task's own interval. Above chance is 0 at guessing and 100 "
        "at perfect. A missing task leaves no macro mean and no rank. † fewer than 20 independent clusters.",
    ]


def _cell(text: str) -> str:
    """Text that cannot leave its table cell nor become HTML."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
