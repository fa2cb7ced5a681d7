"""What `run`, `score`, `import` and `plan` print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.cli.printing import number, print_json, print_table
from evals.store import Run

# Parts of licence names that forbid some uses, or of sets whose licence nobody states.
RESTRICTED = ("-nc", "-nd", "research", "unknown")


def show_results(run: Run, *, as_json: bool) -> None:
    """A run's headline scores with intervals, coverage and unread answers."""
    results = run.results
    if as_json:
        print_json(results)
        return
    rows = []
    for name, task in results["tasks"].items():
        headline = task["statistics"][task["headline"]]
        scale = headline["scale"]
        interval = f"[{number(headline['low'], scale)}, {number(headline['high'], scale)}]"
        rate = task["efficiency"]["requests_per_s"]
        rows.append(
            [
                name,
                task["headline"],
                number(headline["value"], scale),
                interval,
                f"{task['n']:,}",
                f"{100 * task['coverage']:.1f}" if task["coverage"] is not None else "–",
                f"{task['parse_failures']:,}",
                number(task["chance"], scale),
                f"{rate:,.0f}" if rate else "–",
            ]
        )
    columns = ["task", "score of", "score", "95 % interval", "n", "coverage %", "unread", "chance", "requests/s"]
    print_table(f"{run.manifest['run_id']} · {results['model'].get('model')}", columns, rows, range(2, 9))
    if results["macro"] and results["macro"]["value"] is not None:
        macro = results["macro"]
        low, high = number(macro["low"], (0, 1)), number(macro["high"], (0, 1))
        print(f"macro average {number(macro['value'], [0.0, 1.0])} [{low}, {high}]")
    print(f"run directory: {run.path}", file=sys.stderr)


def show_plan(items: Sequence[Any], data_root: Path, cache: Path, *, as_json: bool) -> None:
    """Samples, requests and picture encodings of what was chosen, and what of it is not on this machine."""
    from evals.data import open_dataset
    from evals.data.prefetch import missing_parts
    from evals.data.sources import Places
    from evals.plan import make_plan

    rows = []
    for item in items:
        missing = missing_parts(item.spec, Places(data_root, cache))
        if missing and item.spec.data.source == "hub":  # opening it would start a download
            print(f"{item.spec.name}: not on this machine: {'; '.join(missing)}. See prefetch.", file=sys.stderr)
            continue
        plan = make_plan(item.spec, open_dataset(item.spec, data_root, cache, item.subset))
        rows.append(
            {
                "task": item.spec.name,
                "preset": item.preset,
                "protocol": item.spec.protocol,
                "samples": len(plan.dataset),
                "subset": plan.dataset.subset,
                "requests": plan.requests,
                "images": plan.images,
                "encodings_saved": plan.encodings_saved,
                "licence": item.spec.licence,
            }
        )
    if as_json:
        print_json(rows)
        return
    columns = ["task", "preset", "protocol", "samples", "subset", "requests", "images", "encodings saved", "licence"]
    cells = [[f"{v:,}" if isinstance(v, int) else str(v or "–") for v in row.values()] for row in rows]
    print_table("plan", columns, cells, (3, 5, 6, 7))
    for item in items:
        if any(word in item.spec.licence.lower() for word in RESTRICTED):
            print(f"note: {item.spec.name} has the licence {item.spec.licence}; see {item.spec.home}.", file=sys.stderr)
