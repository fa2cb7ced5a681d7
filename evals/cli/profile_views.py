"""What `profile` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from evals.cli.printing import p_value, print_json, print_table

if TYPE_CHECKING:
    from evals.compare.profiles import ProfileComparison
    from evals.perf.fit import Fit
    from evals.perf.profile import Profiled
    from evals.perf.stored import Profile

SHOWN = ("ttft_ms", "tpot_ms", "e2e_ms", "samples_per_s", "tokens_per_s", "energy_j_per_request")


def show_profiled(profiled: Profiled, *, as_json: bool) -> None:
    """A profile's main numbers, and with a baseline the verdict."""
    if as_json:
        print_json(profiled.profile.document)
        return
    if profiled.baseline is not None:
        show_profile(profiled.baseline)
    show_profile(profiled.profile)
    if profiled.verdict is not None:
        print(profiled.verdict.sentence)


def show_profile(profile: Profile) -> None:
    """One line a case; then flags, notes and where the rest is."""
    document = profile.document
    units = document["metrics"]
    columns = ["case", *(f"{units[tag]['title']} {units[tag]['unit']}" for tag in SHOWN)]
    rows = [[case["name"], *(_cell(case["metrics"][tag]) for tag in SHOWN)] for case in document["cases"]]
    print_table(f"{profile.name} · {document['model'].get('model')}", columns, rows, range(1, len(columns)))
    once = document["process"]
    facts = [f"{units[tag]['title'].lower()} {_cell(once[tag])} {units[tag]['unit']}" for tag in once]
    print(f"once a process: {'; '.join(facts)}")
    for case in document["cases"]:
        if case["skipped"]:
            print(f"{case['name']}: not measured: {case['skipped']}")
    for flag in document["flags"]:
        print(f"{flag['severity']}: {flag['detail']}")
    print(f"profile: {profile.path}", file=sys.stderr)


def show_profile_comparison(found: ProfileComparison, *, as_json: bool) -> None:
    """Each case's ratios with intervals."""
    if as_json:
        from dataclasses import asdict

        print_json(asdict(found))
        return
    rows = []
    for r in found.ratios:
        interval = "–" if r.low is None or r.high is None else f"[{r.low:.3f}, {r.high:.3f}]"
        rows.append(
            [
                r.case,
                r.quantity,
                f"{r.a:,.4g}",
                f"{r.b:,.4g}",
                f"{r.ratio:.3f}",
                interval,
                p_value(r.p_holm),
                r.verdict or "–",
            ]
        )
    columns = ["case", "quantity", "A", "B", "B / A", "95 % interval", "p (Holm)", "verdict"]
    print_table(f"A {found.a} · B {found.b} · hardware {found.hardware_key}", columns, rows, range(2, 7))
    for note in found.notes:
        print(f"note: {note}")


def show_fit(fit: Fit, *, as_json: bool) -> int:
    """What would fit; returns 2 where not even one request does."""
    if as_json:
        from evals.perf.document import fit_json

        print_json(fit_json(fit))
    else:
        facts = [
            ("device", fit.device),
            ("weights MiB", fit.weights_mib),
            ("keys and values a row MiB", fit.kv_mib_per_row),
            ("activations a row MiB", fit.activation_mib_per_row),
            ("once, MiB", fit.fixed_mib),
            ("free MiB", fit.free_mib),
            ("largest batch", fit.largest_batch),
        ]
        facts += [(f"batch {batch} MiB", mib) for batch, mib in fit.batch_mib.items()]
        print_table("estimated before loading", ["", ""], [[name, _plain(value)] for name, value in facts], (1,))
        if fit.reason:
            print(f"not known: {fit.reason}")
    return 2 if fit.largest_batch == 0 else 0


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _cell(summary: dict[str, Any]) -> str:
    value, low, high = summary["value"], summary["low"], summary["high"]
    if value is None:
        return "–"
    digits = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if low is None or high is None:
        return digits
    return f"{digits} [{low:,.3g}, {high:,.3g}]" if abs(value) < 1000 else f"{digits} [{low:,.0f}, {high:,.0f}]"
