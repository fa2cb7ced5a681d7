"""Arguments of `profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_model, add_places

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_profile(commands: Subcommands) -> None:
    """`profile`."""
    profile = add_command(commands, "profile", "measure latency, throughput, memory and energy", as_json=True)
    work = profile.add_argument_group("what is asked")
    work.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="a named scenario, `shapes` or `all` (default)"
    )
    work.add_argument("--task", action="append", default=[], metavar="TASK", help="a task's questions as they come")
    work.add_argument("--preset", default="default", help="protocol preset of --task")
    work.add_argument("--limit", type=int, help="only the first N samples of --task")
    work.add_argument("--batch", action="append", default=[], metavar="N,N", help="batch sizes (default: 1)")
    work.add_argument("--beams", type=int, default=1, metavar="N", help="beams of the decoding (default: 1, greedy)")
    how = profile.add_argument_group("how it is measured")
    how.add_argument("--repeats", type=int, metavar="N", help="fresh processes a side (default: 3; with --quick 1)")
    how.add_argument("--seconds", type=float, metavar="S", help="least length of a clean pass (default: 10)")
    how.add_argument(
        "--quick", action="store_true", help="three scenarios, short passes, one process: a look, no figure"
    )
    how.add_argument("--plan", action="store_true", help="only say what would be measured and whether it fits")
    how.add_argument("--trace", action="store_true", help="also write a trace of one batch (torch profiler)")
    how.add_argument("--memory-snapshot", action="store_true", help="also write the CUDA allocator's history")
    against = profile.add_argument_group("against a baseline, in turns A B B A")
    against.add_argument(
        "--against",
        metavar="OPTIONS",
        help='the baseline\'s model options in one text, e.g. "--checkpoint small-early"',
    )
    against.add_argument(
        "--against-code", type=Path, metavar="DIR", help="another checkout of this program, measured as the baseline"
    )
    profile.add_argument("--out", type=Path, help="folder of the results (default: profiles/MODEL)")
    add_model(profile)
    add_places(profile)
