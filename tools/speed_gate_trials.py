"""How often the speed gate cries wolf, and how often it hears one: ``python -m tools.speed_gate_trials``.

A profile is judged by many quantities at once. Here both sides' processes are drawn from log-normal noise around the
same level, or around one that is slower, and judged by the gate's own rule. Part of the noise is shared by all
quantities of a process (it ran while the machine was slower), the rest is each quantity's own. Prints Markdown tables:
the share of verdicts with each quantity for itself, with Bonferroni's levels, and with Holm's adjustment (the gate's).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.gate.rule import FAIL, INCONCLUSIVE, PASS
from evals.gate.speed_rule import (
    SpeedFinding,
    judge_pairs,
    judge_pairs_together,
    judge_stored,
    judge_stored_together,
)

TAGS = ("e2e_ms", "ttft_ms", "tpot_ms", "requests_per_s")
Sides = Mapping[str, tuple[list[float], list[float]]]
Rule = Callable[[Sides], Sequence[SpeedFinding]]


@dataclass(frozen=True)
class Setting:
    """One line of a table.

    Attributes:
        quantities: judged together.
        pairs: of processes; against stored runs, the candidate's processes.
        noise: between processes, as a share; shared: of its variance, the part that all quantities of a process share.
        slower: factor of those that are slower; how_many: of the quantities are.
    """

    quantities: int
    pairs: int = 5
    noise: float = 0.01
    shared: float = 0.0
    slower: float = 1.0
    how_many: int = 0


def draw(setting: Setting, seed: int, stored: int = 0) -> dict[str, tuple[list[float], list[float]]]:
    """Both sides of one trial; ``stored`` runs of the baseline instead of as many as pairs."""
    rng = np.random.default_rng(seed)
    sides = []
    for runs in (stored or setting.pairs, setting.pairs):
        common = np.sqrt(setting.shared) * rng.normal(0, setting.noise, (runs, 1))
        own = np.sqrt(1 - setting.shared) * rng.normal(0, setting.noise, (runs, setting.quantities))
        sides.append(np.exp(common + own))
    for index in range(setting.how_many):
        rate = TAGS[index % len(TAGS)] == "requests_per_s"
        sides[1][:, index] *= 1 / setting.slower if rate else setting.slower
    named = [f"case {i} {TAGS[i % len(TAGS)]}" for i in range(setting.quantities)]
    return {name: (sides[0][:, i].tolist(), sides[1][:, i].tolist()) for i, name in enumerate(named)}


def alone(sides: Sides) -> list[SpeedFinding]:
    """Each pair of sides for itself."""
    return [judge_pairs(name, *both) for name, both in sides.items()]


def bonferroni(sides: Sides) -> list[SpeedFinding]:
    """Each held to a level of 5 % over their number."""
    return [
        judge_pairs(name, *both, p_holm=min(1.0, (f.p_holm or 0.0) * len(sides)))
        for f, (name, both) in zip(alone(sides), sides.items(), strict=True)
    ]


def stored_alone(sides: Sides) -> list[SpeedFinding]:
    """Each against its stored runs, for itself."""
    return [judge_stored(name, *both) for name, both in sides.items()]


PAIRED: Mapping[str, Rule] = {"alone": alone, "Bonferroni": bonferroni, "Holm": judge_pairs_together}
STORED: Mapping[str, Rule] = {"alone": stored_alone, "Holm": judge_stored_together}


def outcome(findings: Sequence[SpeedFinding]) -> str:
    """The verdict that findings add up to."""
    found = {finding.outcome for finding in findings}
    return FAIL if FAIL in found else PASS if found == {PASS} else INCONCLUSIVE


def rates(rule: Rule, setting: Setting, runs: int, stored: int = 0) -> dict[str, float]:
    """Shares of the verdicts over ``runs`` trials."""
    found = [outcome(rule(draw(setting, seed, stored))) for seed in range(runs)]
    return {name: found.count(name) / runs for name in (FAIL, PASS, INCONCLUSIVE)}


SAME = [
    Setting(k, noise=noise, shared=shared)
    for noise in (0.01, 0.02)
    for k in (1, 4, 12, 34)
    for shared in ((0.0, 0.8) if k > 1 else (0.0,))
]
NINE = [Setting(k, pairs=9, noise=0.02, shared=shared) for k in (4, 12, 34) for shared in (0.0, 0.8)]
SLOWER = [
    Setting(12, slower=1.05, how_many=12),
    Setting(12, slower=1.05, how_many=1),
    Setting(34, slower=1.05, how_many=1),
    Setting(34, slower=1.10, how_many=1),
    Setting(34, slower=1.10, how_many=34),
    Setting(34, pairs=9, slower=1.05, how_many=1),
    Setting(12, noise=0.02, slower=1.10, how_many=1),
    Setting(12, noise=0.02, pairs=9, slower=1.10, how_many=1),
]


def table(title: str, settings: Sequence[Setting], rules: Mapping[str, Rule], runs: int, stored: int = 0) -> None:
    """Print one table."""
    heads = [f"FAIL, {name}" for name in rules]
    columns = ["quantities", "slower", "pairs", "noise", "shared", *heads, "PASS", "INCONCLUSIVE"]
    print(f"{title}, {runs:,} trials a line\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for setting in settings:
        found = {name: rates(rule, setting, runs, stored) for name, rule in rules.items()}
        last = found[list(rules)[-1]]
        slower = "none" if not setting.how_many else f"{setting.how_many} by {(setting.slower - 1) * 100:.0f} %"
        cells = [str(setting.quantities), slower, str(setting.pairs), f"{setting.noise:.0%}", f"{setting.shared:.0%}"]
        cells += [f"{one[FAIL]:.1%}" for one in found.values()] + [f"{last[PASS]:.1%}", f"{last[INCONCLUSIVE]:.1%}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    runs: int = parser.parse_args().trials
    table("Pairs of fresh processes, unchanged", SAME, PAIRED, runs)
    table("Nine pairs, unchanged", NINE, PAIRED, runs)
    table("Pairs of fresh processes, slower", SLOWER, PAIRED, runs)
    table("Against 10 stored runs, unchanged", SAME, STORED, runs, stored=10)
    table("Against 10 stored runs, slower", SLOWER[2:5], STORED, runs, stored=10)


if __name__ == "__main__":
    main()
