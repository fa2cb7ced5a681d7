"""What `run`, `presets`, `score`, `import` and `plan` print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.cli.printing import number, print_json, print_table
from evals.store import Run

if TYPE_CHECKING:
    from evals.merge import Merged
    from evals.sensitivity import PresetScore, Sensitivity

SHOWN_IDS = 5
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
    kept = sum(task["efficiency"].get("from_cache", 0) for task in results["tasks"].values())
    if kept:
        print(f"{kept:,} answers came from the response cache; times are those of the others.", file=sys.stderr)
    print(f"run directory: {run.path}", file=sys.stderr)


def show_shard(run: Run, exit_code: int) -> int:
    """What became of one shard; returns its exit code."""
    print(f"{run.manifest['shard']}: {run.manifest['status']}. run directory: {run.path}", file=sys.stderr)
    print("When all shards are complete: run_eval.py merge RUN-shard-* --out RUN", file=sys.stderr)
    return exit_code


def show_merged(merged: Merged) -> None:
    """What was found in the shards of a run."""
    for task, counts in merged.tasks.items():
        notes = [f"{counts.answers:,} of {counts.requests:,} answers"]
        notes += [f"{counts.twice:,} in several shards with the same answer"] if counts.twice else []
        if counts.conflicts:
            shown = ", ".join(counts.conflicts[:SHOWN_IDS])
            notes.append(f"{counts.n_conflicts:,} with different answers, the last shard's counts ({shown})")
        if counts.missing:
            notes.append(f"{counts.n_missing:,} missing ({', '.join(counts.missing[:SHOWN_IDS])})")
        print(f"{task}: {'; '.join(notes)}", file=sys.stderr)
    for shard in merged.absent:
        print(f"{shard} is not among the runs given.", file=sys.stderr)


def show_plan(items: Sequence[Any], data_root: Path, cache: Path, runs_dir: Path, *, as_json: bool) -> None:
    """Samples, requests and picture encodings of what was chosen, the time it took in an earlier run, and what of it is
    not on this machine."""
    from evals.data import open_dataset
    from evals.data.prefetch import missing_parts
    from evals.data.sources import Places
    from evals.estimate import earlier_rates
    from evals.plan import make_plan

    rows, absent, rates = [], [], earlier_rates(runs_dir)
    for item in items:
        missing = missing_parts(item.spec, Places(data_root, cache))
        if missing and item.spec.data.source == "hub":  # opening it would start a download
            print(f"{item.spec.name}: not on this machine: {'; '.join(missing)}. See prefetch.", file=sys.stderr)
            absent.append({"task": item.spec.name, "preset": item.preset, "missing": missing})
            continue
        plan = make_plan(item.spec, open_dataset(item.spec, data_root, cache, item.subset))
        rate = rates.get(item.spec.name)
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
                "prefills_saved": plan.prefills_saved,
                "estimated_s": plan.requests / rate.requests_per_s if rate else None,
                "estimated_from": f"{rate.run_id} ({rate.model})" if rate else None,
                "licence": item.spec.licence,
            }
        )
    if as_json:
        print_json([*rows, *absent])
        return
    if not rows:
        return
    titles = {"encodings_saved": "encodings saved", "prefills_saved": "prefixes saved"}
    titles |= {"estimated_s": "estimated s", "estimated_from": "as in run"}
    columns = [titles.get(name, name) for name in rows[0]]
    print_table("plan", columns, [[_cell(value) for value in row.values()] for row in rows], (3, 5, 6, 7, 8, 9))
    for item in items:
        if any(word in item.spec.licence.lower() for word in RESTRICTED):
            print(f"note: {item.spec.name} has the licence {item.spec.licence}; see {item.spec.home}.", file=sys.stderr)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "–")


def show_sensitivity(found: Sensitivity, *, as_json: bool) -> None:
    """Each preset's score, its paired difference from the first preset's, and how far the scores lie apart."""
    from evals.sensitivity import sensitivity_json

    if as_json:
        print_json(sensitivity_json(found))
        return
    columns = ["task", "preset", "score of", "score", "95 % interval", "unread %", "less the first", "95 % interval"]
    print_table("presets", [*columns, "p (Holm)", "same answers %"], map(_preset_row, found.scores), range(3, 10))
    for task, spread in found.spread.items():
        scale = next(score.scale for score in found.scores if score.task == task)
        if spread is not None:
            print(f"{task}: the scores of these presets lie {number(spread, scale)} apart.")


def _preset_row(score: PresetScore) -> list[str]:
    def interval(low: float | None, high: float | None) -> str:
        return "–" if low is None else f"[{number(low, score.scale)}, {number(high, score.scale)}]"

    return [
        score.task,
        score.preset,
        score.statistic,
        number(score.value, score.scale),
        interval(score.low, score.high),
        number(score.unread, (0.0, 1.0)),
        number(score.difference, score.scale),
        interval(score.difference_low, score.difference_high),
        "–" if score.p_holm is None else f"{score.p_holm:.2g}",
        number(score.agreement, (0.0, 1.0)),
    ]
