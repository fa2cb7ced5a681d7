#!/usr/bin/env python3
"""What each technique of the OmniLMM engine brings, step by step, on three tasks; prints Markdown.

    python benchmarks/engine.py                         # easy-VQA, presence, circular options
    python benchmarks/engine.py easyvqa --harness        # by run_eval.py, journal and scoring included

The steps are measured in turn, round after round, in one process (A B C A B C ...), and the medians are compared, so
that other work on the machine disturbs all alike. CPU seconds count, of all threads; wall time beside it says what
threads add. Slow steps answer fewer questions of the same task.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

import torch  # noqa: E402

from evals.data import Subset, open_dataset  # noqa: E402
from evals.files import cache_dir  # noqa: E402
from evals.plan import make_plan  # noqa: E402
from evals.spec import find_task  # noqa: E402
from model_adapters.contract import Request  # noqa: E402
from model_adapters.omnilmm.engine import Engine, EngineOptions  # noqa: E402
from model_adapters.omnilmm.modeling import OmniLMM  # noqa: E402
from model_adapters.omnilmm.shipped import resolve_checkpoint  # noqa: E402

TASKS = ("easyvqa", "shapes_presence", "shapes_mc")
ALONE = EngineOptions(batch_size=1, vision_batch_size=1, feature_cache_mib=0.0, share_prefix=False)


@dataclass(frozen=True)
class Step:
    """One technique on top of those before it."""

    name: str
    options: EngineOptions
    dtype: str
    questions: int  # asked in a round


def steps(batch_size: int | str) -> list[Step]:
    """From the original way to all techniques together."""
    alone = replace(ALONE, original_decoding=False)
    batched = replace(ALONE, batch_size=batch_size, vision_batch_size=32)
    kept = replace(batched, feature_cache_mib=512.0)
    return [
        Step("as the original: batch 1, three beams, penalty 1.2", replace(ALONE, original_decoding=True), "bf16", 30),
        Step("batch 1, greedy, own decoder pass", alone, "bf16", 60),
        Step("batches, all prompts read whole", batched, "bf16", 600),
        Step("and each picture encoded once", kept, "bf16", 1500),
        Step("and prompts read as trees", replace(kept, share_prefix=True), "bf16", 3000),
        Step("the same in fp32", replace(kept, share_prefix=True), "fp32", 1500),
    ]


def measure(task: str, rounds: int, batch_size: int | str, checkpoint: str, share: float) -> list[str]:
    """Markdown rows of one task; ``share`` of the usual number of questions is asked in a round."""
    spec = find_task(task, "default")
    plan = make_plan(spec, open_dataset(spec, Path("data"), cache_dir(), Subset()))
    requests = [request for _, request in plan.walk(lambda _: False)]
    folder = resolve_checkpoint(checkpoint)
    models = {dtype: OmniLMM.from_checkpoint(folder, dtype=dtype, device="cpu") for dtype in ("bf16", "fp32")}
    table = steps(batch_size)
    engines = [Engine(models[step.dtype], step.options) for step in table]
    found: list[list[tuple[float, float]]] = [[] for _ in table]
    for number in range(-1, rounds):  # the first round warms up
        for step, engine, times in zip(table, engines, found, strict=True):
            asked = _part(requests, round(share * step.questions) if number >= 0 else 20, number)
            times.append(_rate(engine, asked))
    rows = [
        f"**{task}**, {len(requests):,} questions on {plan.images:,} pictures",
        "",
        "| | questions per CPU s | x | questions per s | x |",
        "|---|---|---|---|---|",
    ]
    middle = [[statistics.median(values) for values in zip(*times[1:], strict=True)] for times in found]
    for step, (cpu, wall) in zip(table, middle, strict=True):
        rows.append(
            f"| {step.name} | {cpu:,.0f} | {cpu / middle[0][0]:.1f} | {wall:,.0f} | {wall / middle[0][1]:.1f} |"
        )
    return rows


def _part(requests: list[Request], n: int, number: int) -> list[Request]:
    """Neighbouring questions, others in each round where the task has enough."""
    begin = max(0, number) * n % max(1, len(requests) - n + 1)
    return requests[begin : begin + n]


def _rate(engine: Engine, requests: list[Request]) -> tuple[float, float]:
    """Questions per CPU second and per second, features forgotten before."""
    engine.forget()
    cpu, wall = time.process_time(), time.perf_counter()
    failures = [response.failure for response in engine.generate(requests) if response.failure]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if failures:
        raise SystemExit(f"A question failed: {failures[0]}")
    return len(requests) / cpu, len(requests) / wall


def through_harness(task: str, rounds: int, checkpoint: str, original: int) -> list[str]:
    """Markdown rows of ``run_eval.py run``: requests a second of each run's own record, journal and scoring included.

    The program lets waiting compute threads sleep, which is slower where nothing else wants the cores, so the original
    way is measured with threads that spin as well.
    """
    first = ["--limit", str(original), "--mode", "reference"]
    cores = str(os.cpu_count() or 1)
    ways: dict[str, tuple[list[str], dict[str, str]]] = {
        f"--mode reference (first {original} questions)": (first, {}),
        "the same, threads spin": (first, {"OMP_WAIT_POLICY": "active"}),
        "one process": ([], {}),
        "one process, threads spin": ([], {"OMP_WAIT_POLICY": "active"}),
        f"--workers {cores}": (["--workers", cores], {}),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for way, (options, setting) in ways.items():
                out = Path(folder, f"{list(ways).index(way)}-{number}")
                command = [sys.executable, "run_eval.py", "run", task, "--checkpoint", checkpoint, "--dtype", "bf16"]
                command += [*options, "--no-report", "--quiet", "--out", str(out)]
                done = subprocess.run(
                    command, cwd=PROJECT, capture_output=True, text=True, env=environment | setting, check=False
                )
                if done.returncode:
                    raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}")
                result = json.loads((out / "results.json").read_text(encoding="utf-8"))["tasks"][task]
                rates[way].append(result["efficiency"]["requests_per_s"])
    middle = {way: statistics.median(found) for way, found in rates.items()}
    sleeping, spinning = list(middle.values())[:2]
    rows = [
        f"**{task}** by run_eval.py, medians of {rounds} rounds",
        "",
        "| run_eval.py run ... | requests per s | x --mode reference | x the same, threads spin |",
        "|---|---|---|---|",
    ]
    return rows + [
        f"| {way} | {rate:,.0f} | {rate / sleeping:.1f} | {rate / spinning:.1f} |" for way, rate in middle.items()
    ]


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=TASKS, metavar="TASK", help=f"default: {' '.join(TASKS)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (5)")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the usual questions a round, on a busy machine (1)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--batch-size", default="auto", help="rows a batch (auto)")
    parser.add_argument("--checkpoint", default="small-final")
    parser.add_argument("--harness", action="store_true", help="measure through run_eval.py instead")
    parser.add_argument("--original", type=int, default=300, help="questions of reference mode through the harness")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batch = options.batch_size if options.batch_size == "auto" else int(options.batch_size)
    today = datetime.datetime.now(datetime.UTC).date()
    threads = "" if options.harness else f" {options.threads} threads,"
    print(f"{platform.machine()}, {os.cpu_count()} cores,{threads} torch {torch.__version__}, {today}")
    for task in options.tasks:
        if options.harness:
            table = through_harness(task, options.rounds, options.checkpoint, options.original)
        else:
            table = measure(task, options.rounds, batch, options.checkpoint, options.share)
        print("\n" + "\n".join(table), flush=True)


if __name__ == "__main__":
    main()
