#!/usr/bin/env python3
"""What executors cost: a model that computes nothing, asked in this process, by worker processes, and by Ray actors.

    python benchmarks/executors.py                      # 20,000 samples
    python benchmarks/executors.py --samples 300000     # does memory stay as it is?

The task is that of benchmarks/harness.py. CPU seconds are of all processes of a run (Ray's own servers, which outlive
their parent, are not counted); memory is the largest single process's. What comes out is the price of dealing work out,
since there is no work; with a model that computes, it is paid beside the computing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import PROJECT, best, make_pictures, make_task

EXECUTORS: dict[str, list[str]] = {
    "in-process": [],
    "--workers 1": ["--workers", "1"],
    "--workers 2": ["--workers", "2"],
    "--executor ray --workers 2": ["--executor", "ray", "--workers", "2"],
}


def main() -> None:
    """Print one line an executor."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--samples", type=int, default=20_000)
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--without-ray", action="store_true")
    asked = options.parse_args()
    print(f"{asked.samples:,} samples\n\n| executor | CPU s | largest process, MB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder / "images")
        task = make_task(folder, asked.samples)
        for executor, flags in EXECUTORS.items():
            if asked.without_ray and "ray" in executor:
                continue
            place = ["--data-root", folder, "--runs-dir", folder / "runs", "--new", "--no-report", "--quiet"]
            command = [sys.executable, PROJECT / "run_eval.py", "run", task, "--model", "null", *place, *flags]
            cost = best(command, asked.repeats)
            print(f"| {executor} | {cost.cpu_s:.1f} | {cost.peak_mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
