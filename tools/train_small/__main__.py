"""Command line of the training: ``python -m tools.train_small --folder runs/small``.

Everything that is already in the folder (tokenizer, stage 1, a half-done stage 2) is gone on with, so the same command
resumes a stopped training.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tools.train_small import parallel, stage1, stage2
from tools.train_small.build_tokenizer import build_tokenizer

STAGE1_STEPS = 3000
STAGE2_STEPS = 8000
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
    parser.add_argument("--start-from", type=Path, metavar="CHECKPOINT", help="begin stage 2 with these weights")
    parser.add_argument("--start-step", type=int, default=0, help="the step of stage 2 that --start-from stands for")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder / "tokenizer.model"
    if arguments.start_from:
        shutil.copyfile(arguments.start_from / tokenizer.name, tokenizer)
    else:
        if not tokenizer.exists():
            build_tokenizer(tokenizer, arguments.seed)
        parallel.launch(stage1.train, arguments.processes, str(folder), arguments.stage1_steps, arguments.seed)
    plan = stage2.Plan(
        str(folder),
        arguments.stage2_steps,
        arguments.seed,
        arguments.early_step,
        str(arguments.start_from) if arguments.start_from else None,
        arguments.start_step,
    )
    parallel.launch(stage2.train, arguments.processes, plan)


if __name__ == "__main__":
    main()
