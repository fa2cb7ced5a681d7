"""What `doctor` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from evals.doctor import Check
    from evals.plan import TaskPlan
    from model_adapters.contract import ModelAdapter


def show_checks(checks: Sequence[Check], *, as_json: bool) -> int:
    """How the scorers did on their shipped cases; returns 0 if all agree, 2 otherwise."""
    wrong = [check for check in checks if check.differences or not check.checked]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [[c.kind, c.name, f"{c.checked}", "differs" if c in wrong else "equal", c.source] for c in checks]
        print_table("scorers", ["kind", "name", "cases", "result", "equals"], rows, (2,))
        for check in wrong:
            for difference in check.differences:
                print(f"{check.name}: {difference}")
        print(f"{len(checks)} checked, {len(wrong)} differ")
    return 2 if wrong else 0


def show_noise(
    plans: Sequence[TaskPlan],
    load: Callable[[], ModelAdapter],
    requests: int,
    batch_size: int,
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Ask in several ways, and how often answers and scores changed."""
    from evals.determinism import floor_json, measure_noise, write_floor

    adapter = load()
    try:
        floors = [measure_noise(plan, adapter, requests=requests, batch_size=batch_size) for plan in plans]
        document = floor_json(floors, adapter)
    finally:
        adapter.close()
    if out is not None:
        write_floor(out, document)
        print(f"noise floor: {out}", file=sys.stderr)
    if as_json:
        print_json(document)
        return 0
    rows = [
        [floor.task, way.way, f"{floor.n:,}", *(f"{100 * v:.2f}" for v in (way.answers_changed, way.discordance))]
        for floor in floors
        for way in floor.ways
    ]
    print_table(
        "against one at a time", ["task", "asked in", "n", "answers changed %", "scores changed %"], rows, (2, 3, 4)
    )
    return 0


def show_machine(environment: dict[str, Any], devices: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """This machine and installation."""
    from evals.perf.abilities import abilities, card_state

    able, cards = abilities(devices), card_state(devices)
    if as_json:
        known = {"environment": environment, "devices": list(devices), "cards": cards}
        print_json(known | {"measurable": [asdict(one) for one in able]})
        return
    facts = environment["hardware"] | {"python": environment["python"], "system": environment["system"]}
    rows = [[name, str(value)] for name, value in (facts | environment["libraries"]).items() if value is not None]
    print_table("environment", ["", ""], rows)
    print_table(
        "devices",
        ["device", "name", "memory MiB", "free MiB", "native bf16"],
        [
            [
                d["device"],
                d["name"],
                "–" if d["memory_mib"] is None else f"{d['memory_mib']:,.0f}",
                "–" if d["free_mib"] is None else f"{d['free_mib']:,.0f}",
                "unknown" if d["bf16"] is None else "yes" if d["bf16"] else "no",
            ]
            for d in devices
        ],
        (2, 3),
    )
    for card in cards:
        rows = [[name, str(value)] for name, value in card.items() if value is not None]
        print_table(f"card {card['device']}", ["", ""], rows)
    rows = [[one.quantity, "yes" if one.possible else "no", one.detail] for one in able]
    print_table("what profile can measure here", ["quantity", "", "how, or why not"], rows)
