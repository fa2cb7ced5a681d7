"""Command line of the training: ``python -m tools.train_small --folder runs/small``.

Everything that is already in the folder (tokenizer, stage 1, a half-done stage 2) is gone on with, so the same command
resumes a stopped training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.train_small import parallel, stage1, stage2
from tools.train_small.build_tokenizer import build_tokenizer

STAGE1_STEPS = 3000
STAGE2_STEPS = 4000
EARLY_STEP = 1200


def main() -> None:
    """Train from nothing to two exported checkpoints."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_small", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="holds tokenizer, states, log and checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (default 1)")
    parser.add_argument("--processes", type=int, default=2, help="one thread each (default 2)")
    parser.add_argument("--stage1-steps", type=int, default=STAGE1_STEPS)
    parser.add_argument("--stage2-steps", type=int, default=STAGE2_STEPS)
    parser.add_argument("--early-step", type=int, default=EARLY_STEP, help="step exported as small-early")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.model").exists():
        build_tokenizer(folder / "tokenizer.model", arguments.seed)
    stage1_plan = (str(folder), arguments.stage1_steps, arguments.seed)
    parallel.launch(stage1.train, arguments.processes, *stage1_plan)
    plan = stage2.Plan(str(folder), arguments.stage2_steps, arguments.seed, arguments.early_step)
    parallel.launch(stage2.train, arguments.processes, plan)


if __name__ == "__main__":
    main()
