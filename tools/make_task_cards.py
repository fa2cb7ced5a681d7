#!/usr/bin/env python3
"""Writes the cards of all tasks to docs/tasks.md; with --check says whether they are current and writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from evals.cards import catalogue_markdown  # noqa: E402
from evals.spec import find_task, task_names  # noqa: E402

CARDS = PROJECT / "docs" / "tasks.md"


def main(arguments: list[str]) -> int:
    """Write or check the file; returns 1 if it is not current."""
    text = catalogue_markdown([find_task(name) for name in task_names()])
    if "--check" in arguments:
        current = CARDS.exists() and CARDS.read_text(encoding="utf-8") == text
        print(
            f"{CARDS.relative_to(PROJECT)} is {'current' if current else 'out of date; run tools/make_task_cards.py'}"
        )
        return 0 if current else 1
    CARDS.write_text(text, encoding="utf-8")
    print(f"{CARDS.relative_to(PROJECT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
