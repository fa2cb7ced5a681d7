"""Write a checkpoint of random weights in the original layout, in the size that a config.json says.

    python tools/make_weights.py CONFIG_FOLDER TARGET_FOLDER [--seed 0]

CONFIG_FOLDER holds config.json and tokenizer.model (and may hold the weight index of the released checkpoint, which
then says what goes into which file). The full size takes 6.9 GB of disk. It answers nonsense; it is for memory and
speed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.random_weights import write_random_checkpoint


def main() -> int:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description="Write a checkpoint of random weights in the original layout.")
    parser.add_argument("source", type=Path, help="folder with config.json and tokenizer.model")
    parser.add_argument("target", type=Path, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    options = parser.parse_args()
    try:
        folder = write_random_checkpoint(options.source, options.target, options.seed)
    except AdapterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    total = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    print(f"{folder}: {total / 1e9:.2f} GB of random weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
