"""Average checkpoints of one training: ``python -m tools.train_small.average OUT A:0.4 B:0.6``.

Means over the last checkpoints of a training are often better than each of them (stochastic weight averaging, Izmailov
et al. 2018, arXiv 1803.05407). All must have the same tensors; the mean is taken in float32 and stored as the first is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def average(parts: list[tuple[Path, float]], out: Path) -> None:
    """Write the weighted mean of checkpoints; the weights are divided by their sum."""
    total = sum(weight for _, weight in parts)
    shutil.copytree(parts[0][0], out, dirs_exist_ok=True)
    loaded = [(load_file(path / WEIGHTS), weight / total) for path, weight in parts]
    first = loaded[0][0]
    mean = {
        name: torch.stack([tensors[name].float() * weight for tensors, weight in loaded]).sum(0).to(value.dtype)
        for name, value in first.items()
    }
    save_file(mean, out / WEIGHTS, {"format": "pt"})


def main() -> None:
    """Read the command line and write the mean."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_small.average", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", metavar="CHECKPOINT:WEIGHT")
    arguments = parser.parse_args()
    parts = [part.rpartition(":") for part in arguments.parts]
    average([(Path(path), float(weight)) for path, _, weight in parts], arguments.out)


if __name__ == "__main__":
    main()
