"""What `show` and `prefetch` print."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.cards import DataFacts, card_rows, look_at_data, published_row
from evals.cli.printing import print_json, print_table
from evals.data.prefetch import missing_parts, prefetch
from evals.data.sources import Places
from evals.errors import DataError
from evals.spec.records import TaskSpec

if TYPE_CHECKING:
    from model_adapters.contract import ModelAdapter


def show_card(
    spec: TaskSpec, data_root: Path, cache: Path, adapter: ModelAdapter | None = None, *, as_json: bool
) -> None:
    """A task's card; with counts and an example where its data is on this machine. Nothing is downloaded."""
    missing = missing_parts(spec, Places(data_root, cache))
    facts = None if missing else look_at_data(spec, data_root, cache, adapter)
    if as_json:
        print_json(_card_json(spec, missing, facts))
        return
    print_table(f"{spec.name}: {spec.title}", ["", ""], card_rows(spec))
    print(f"\n{spec.description.strip()}\n\nprompt template:\n{_indented(spec.prompt.template)}")
    if spec.published:
        rows = [published_row(result) for result in spec.published]
        print()
        print_table("published", list(rows[0]), [[str(value) for value in row.values()] for row in rows], (1,))
    if facts is None:
        print(f"\nnot on this machine: {'; '.join(missing)}. Fetch it with `run_eval.py prefetch {spec.name}`.")
    else:
        _print_facts(facts)


def _print_facts(facts: DataFacts) -> None:
    print(f"\n{facts.samples:,} samples, {facts.requests:,} requests")
    if facts.several_pictures:
        print(f"{facts.several_pictures:,} samples have several pictures")
    for side, spread in (("width", facts.widths), ("height", facts.heights)):
        if spread is not None:
            print(f"{side} of the first pictures, px: {spread[0]:,} to {spread[2]:,}, median {spread[1]:,}")
    tokens = "" if facts.prompt_tokens is None else f" ({facts.prompt_tokens} tokens)"
    print(f"\nsample {facts.example_id}, asked{tokens}:\n{_indented(facts.prompt)}")
    print(f"references: {' | '.join(facts.references)}")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _card_json(spec: TaskSpec, missing: list[str], facts: DataFacts | None) -> dict[str, Any]:
    return {
        "task": spec.name,
        "title": spec.title,
        "description": spec.description.strip(),
        "facts": dict(card_rows(spec)),
        "template": spec.prompt.template,
        "published": [asdict(result) for result in spec.published],
        "missing": missing,
        "data": None if facts is None else asdict(facts),
    }


def show_prefetch(specs: list[TaskSpec], data_root: Path, cache: Path) -> int:
    """Fetch tasks one by one, going on after a failure; returns 0 if all are there, 2 otherwise."""
    failed = 0
    for spec in specs:
        try:
            fetched = prefetch(spec, Places(data_root, cache))
        except DataError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{fetched.task}: {fetched.state}, {fetched.rows:,} rows")
    print(f"{len(specs) - failed} of {len(specs)} tasks can run without a network")
    return 2 if failed else 0
