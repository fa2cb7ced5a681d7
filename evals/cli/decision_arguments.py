"""Arguments of `compare`, `leaderboard`, `baseline` and `gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_publishing

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_compare(commands: Subcommands) -> None:
    """`compare`."""
    compare = add_command(commands, "compare", "paired differences, flips and verdicts between runs", as_json=True)
    compare.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run directories, the baseline first; or two profiles"
    )
    compare.add_argument(
        "--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so"
    )
    compare.add_argument("--out", type=Path, help="folder for comparison.html and comparison.md")
    add_publishing(compare)


def add_decisions(commands: Subcommands) -> None:
    """`leaderboard`, `baseline` and `gate`."""
    board = add_command(commands, "leaderboard", "rank runs as far as their differences can be told", as_json=True)
    board.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run directories, imported ones included")
    board.add_argument("--suite", help="suite whose tasks and weights make the macro average (default: all tasks)")
    board.add_argument("--title", default="Leaderboard", help="heading")
    board.add_argument("--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so")
    board.add_argument("--out", type=Path, help="folder for leaderboard.html, .md, .csv and .json")
    add_publishing(board, serve=False)
    board.add_argument("--update", type=Path, metavar="DIR", help="keep the leaderboard in this folder; runs are added")

    baseline = add_command(commands, "baseline", "make or update the baseline that a gate compares with")
    baseline.add_argument("action", choices=("create", "update", "speed"), help="speed: keep profiles' times")
    baseline.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="runs of one model, two at least; speed: profiles"
    )
    baseline.add_argument("--name", help="the baseline's name (create)")
    baseline.add_argument("--out", type=Path, required=True, help="the baseline's folder")
    baseline.add_argument("--single", metavar="REASON", help="why one run must do")
    baseline.add_argument("--noise", type=Path, metavar="FILE", help="noise floor that `doctor --determinism` wrote")
    baseline.add_argument("--margin", action="append", default=[], metavar="NAME=VALUE", help="0.01 is one point")

    gate = add_command(commands, "gate", "pass, fail or inconclusive: a candidate run against a baseline", as_json=True)
    gate.add_argument(
        "--baseline",
        type=Path,
        nargs="+",
        required=True,
        help="folder that `baseline` made; with --perf also runs or profiles",
    )
    gate.add_argument(
        "--candidate", type=Path, nargs="+", required=True, metavar="RUN", help="run directory, or profile"
    )
    gate.add_argument(
        "--perf", action="store_true", help="judge speed: interleaved runs or profiles, or a stored speed"
    )
    gate.add_argument("--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so")
    gate.add_argument(
        "--extend",
        action="store_true",
        help="if inconclusive, ask the candidate as many more samples as would settle it",
    )
    gate.add_argument("--strict", action="store_true", help="each task must pass on its own")
    gate.add_argument("--out", type=Path, help="folder for the verdict's files (default: RUN/gate)")
