"""Arguments of `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_model, add_places

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_doctor(commands: Subcommands) -> None:
    """`doctor`."""
    doctor = add_command(commands, "doctor", "check this installation and machine, or a model", as_json=True)
    doctor.add_argument("--scorers", action="store_true", help="check all metrics and extractors on shipped cases")
    noise = doctor.add_argument_group("how often a model's answers change with the batch they are asked in")
    noise.add_argument("--determinism", action="store_true", help="measure it; batches are --batch-size (16)")
    noise.add_argument("--task", action="append", metavar="TASK|FILE", help="on this task; may be given several times")
    noise.add_argument("--preset", help="protocol preset for all tasks")
    noise.add_argument("--limit", type=int, default=64, metavar="N", help="requests of each task (64)")
    noise.add_argument(
        "--out", type=Path, metavar="FILE", help="write the noise floor here, for baseline create --noise"
    )
    add_places(doctor)
    add_model(doctor)
