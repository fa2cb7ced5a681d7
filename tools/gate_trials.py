"""Where the gate puts checkpoints of which one tensor was disturbed: ``python -m tools.gate_trials --folder DIR``.

A baseline is made from two runs of ``small-final`` on the suite ``demo`` (another batch size in the second one). Then
normal noise of several sizes, relative to the tensor's own standard deviation, is added to one tensor, and each such
checkpoint is run and judged. Prints a Markdown table: the noise, how far the macro mean really fell, the fall that the
gate can see (80 % power), and its verdict. What is already in the folder is not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import run_eval
from model_adapters.omnilmm.shipped import resolve_checkpoint

TENSOR = "resampler.kv_proj.weight"
SIZES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 0.5)
SEED = 7


def disturbed(source: Path, target: Path, size: float) -> Path:
    """A copy of a checkpoint with noise of ``size`` standard deviations on one tensor."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    path = target / "model.safetensors"
    weights = load_file(path)
    tensor = weights[TENSOR].float()
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(SEED)) * tensor.std() * size
    weights[TENSOR] = (tensor + noise).to(weights[TENSOR].dtype)
    save_file(weights, path, {"format": "pt"})
    return target


def run(out: Path, checkpoint: str, *more: str) -> str:
    """Run the suite; returns the run's folder."""
    run_eval.main(["run", "demo", "--checkpoint", checkpoint, "--out", str(out), "--no-report", "--quiet", *more])
    return str(out)


def main() -> None:
    """Make baseline, runs and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    folder: Path = parser.parse_args().folder
    source = resolve_checkpoint("small-final")
    baseline = folder / "baseline"
    rows = []
    with redirect_stdout(StringIO()):
        runs = [run(folder / "base-1", "small-final"), run(folder / "base-2", "small-final", "--batch-size", "32")]
        if not baseline.exists():
            run_eval.main(["baseline", "create", *runs, "--name", "small-final", "--out", str(baseline)])
        for size in SIZES:
            name = f"noise-{size:g}"
            checkpoint = disturbed(source, folder / "checkpoints" / name, size)
            candidate = run(folder / name, str(checkpoint))
            run_eval.main(["gate", "--baseline", str(baseline), "--candidate", candidate, "--json"])
            rows.append((size, json.loads((folder / name / "gate" / "verdict.json").read_text())))
    print(f"Noise on `{TENSOR}`, suite demo.\n")
    print("| noise | macro change | a fall that would be seen | verdict | tasks that failed |\n|---|---|---|---|---|")
    for size, verdict in rows:
        rule = verdict["rule"]
        failed = ", ".join(task["task"] for task in rule["tasks"] if task["outcome"] == "FAIL") or "–"
        change, seen = 100 * rule["macro"]["value"], 100 * rule["detectable"]
        print(f"| {size:g} | {change:+.1f} | {seen:.1f} | {verdict['outcome']} | {failed} |")


if __name__ == "__main__":
    main()
