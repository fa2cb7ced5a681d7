#!/usr/bin/env python3
"""What the harness itself costs: CPU seconds, memory and disk of runs whose model computes nothing.

    python benchmarks/harness.py                 # 1, 2,000 and 20,000 samples, the commands, and a bare loop
    python benchmarks/harness.py --samples 200000  # that many in the place of 20,000
    python benchmarks/harness.py --million       # 1,000,000 samples as well, and their report (minutes)

Multiple-choice questions on 500 pictures of 336 x 336, made here from a seed. CPU seconds (user and system, of the
process and its children) are compared, not wall time, since they hardly depend on what else a machine does. The
peers' figures were measured by their own official interfaces on a machine of the same kind (two cores) with the same
task; they are constants here, so that they need not be installed.

Modules are compiled to bytecode as after anybody's first command, whatever PYTHONDONTWRITEBYTECODE says here. `report`
is measured twice: where its figures are drawn, and where they are found in the cache folder (a fresh one of this
benchmark's own), as after a run that wrote its report.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PICTURES, SIDE = 500, 336
OPTIONS = ("red", "green", "blue", "yellow")
DRAWN, FOUND = "figures drawn", "figures found"

# CPU s for 1, 2,000 and 20,000 samples, peak MB at 20,000: measured 2026-11-23 on two cores, each peer's own command.
PEERS = {
    "VLMEvalKit": (9.7, 34.9, 688.0, 4485),
    "lmms-eval": (9.3, 9.1, 12.3, 666),
    "lm-eval": (8.1, 45.6, None, None),
    "inspect_ai": (2.9, 30.2, 517.0, 693),
    "evalscope": (4.6, 5.2, 13.2, 562),
    "HELM": (3.3, 6.5, 40.0, 1851),
}

# The least that looking at pictures costs: read, decode and squash each once, as any model's preprocessing does.
LOOK = 448
LOOK_LOOP = """
import sys
from pathlib import Path
from PIL import Image
for path in Path(sys.argv[1]).iterdir():
    Image.open(path).convert("RGB").resize((int(sys.argv[2]),) * 2)
"""

# The floor: append an answer to a file and score it, nothing else.
BARE_LOOP = """
import json, sys
with open(sys.argv[1]) as rows, open(sys.argv[2], "w") as out:
    right = n = 0
    for line in rows:
        row = json.loads(line)
        out.write(json.dumps({"id": row["id"], "text": "A"}) + "\\n")
        right, n = right + (row["answer"] == "A"), n + 1
print(right / n)
"""


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    cpu_s: float
    peak_mb: float


# A process starts with the memory of the one that it was forked from, so commands are started by a small one.
STARTER = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6]))
"""


def measure(command: Sequence[str | Path]) -> Cost:
    """Run a command to its end; CPU seconds and peak resident memory as the kernel counted them."""
    starter = [sys.executable, "-S", "-c", STARTER, *map(str, command)]
    done = subprocess.run(starter, capture_output=True, text=True, cwd=PROJECT, check=True)
    code, cpu_s, peak_mb = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {code}: {done.stderr}")
    return Cost(cpu_s, peak_mb)


def best(command: Sequence[str | Path], repeats: int, before: Callable[[], object] = lambda: None) -> Cost:
    """The cheapest of several runs, each after a call of ``before``: the command's cost when nothing disturbs it."""

    def once() -> Cost:
        before()
        return measure(command)

    return min((once() for _ in range(repeats)), key=lambda cost: cost.cpu_s)


def make_pictures(folder: Path) -> None:
    """Noise in 8 x 8 blocks, so that JPEG has something to do."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(PICTURES):
        blocks = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / f"{i:03d}.jpg", quality=90)


def make_task(folder: Path, n: int) -> Path:
    """A task of ``n`` questions: its table as Parquet (and as lines, for the bare loop) and its YAML."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = f"bench{n}"
    with pq.ParquetWriter(folder / f"{name}.parquet", make_rows(0, 1).schema) as writer:
        for start in range(0, n, 50_000):
            writer.write_table(make_rows(start, min(start + 50_000, n)))
    if n <= 20_000:
        rows: pa.Table = pq.read_table(folder / f"{name}.parquet")
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    spec = {
        **{"schema": 1, "name": name, "title": "Benchmark", "version": 1, "family": "multiple_choice"},
        "description": "Questions that a model need not look at.",
        "data": {"source": "table", "files": [f"{name}.parquet"], "image_root": "images"},
        "columns": {"choices": ["choices"], "fields": {"question": "question", "category": "category"}},
        "prompt": {"template": "{question}\n{options}"},
        "protocol": "vanilla",
        "extractor": "robust",
        "metrics": [{"name": "multiple_choice"}],
        "categories": ["category"],
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(spec))
    return path


def make_rows(start: int, end: int):  # type: ignore[no-untyped-def]  # pyarrow is imported where it is needed
    """Rows ``start`` to ``end`` of the benchmark's table."""
    import pyarrow as pa

    return pa.table(
        {
            "id": [f"q{i:07d}" for i in range(start, end)],
            "image": [f"{i % PICTURES:03d}.jpg" for i in range(start, end)],
            "question": [f"Which of these four words fits picture {i} best?" for i in range(start, end)],
            "choices": [list(OPTIONS) for _ in range(start, end)],
            "answer": ["ABCD"[(i * 7) % 4] for i in range(start, end)],
            "category": [f"c{i % 5}" for i in range(start, end)],
        }
    )


def disk_bytes(run: Path) -> tuple[int, int]:
    """Bytes of a run's answers, and of everything else in it."""
    sizes = {path: path.stat().st_size for path in run.rglob("*") if path.is_file()}
    answers = sum(size for path, size in sizes.items() if path.parent.name == "responses")
    return answers, sum(sizes.values()) - answers


def run_table(folder: Path, sizes: Sequence[int], repeats: int) -> list[str]:
    """Markdown rows: our runs of each size, the bare loop, and the peers."""
    tasks = {n: make_task(folder, n) for n in sizes}
    rows = ["| CPU s for samples | " + " | ".join(f"{n:,}" for n in sizes) + " | peak MB | disk beside answers |"]
    rows.append("|---" * (len(sizes) + 3) + "|")
    costs: list[Cost] = []
    for n, task in tasks.items():
        place = [
            "--data-root",
            folder,
            "--cache-dir",
            folder / "cache",
            "--no-report",
            "--quiet",
            "--new",
            "--out",
            folder / f"run{n}",
        ]
        costs.append(best([sys.executable, "run_eval.py", "run", task, "--model", "null", *place], repeats))
    _, beside = disk_bytes(folder / f"run{sizes[-1]}")
    cells = " | ".join(f"**{cost.cpu_s:.2f}**" for cost in costs)
    rows.append(f"| this project | {cells} | {costs[-1].peak_mb:.0f} | {beside / sizes[-1]:.0f} bytes a sample |")
    small = [n for n in sizes if n <= 20_000]
    if not small:
        return rows
    loops = [
        best([sys.executable, "-c", BARE_LOOP, folder / f"bench{n}.jsonl", folder / "loop.jsonl"], repeats)
        for n in small
    ]
    blank = " | –" * (len(sizes) - len(small))
    cells = " | ".join(f"{cost.cpu_s:.2f}" for cost in loops)
    rows.append(f"| a bare loop: append and score | {cells}{blank} | {loops[-1].peak_mb:.0f} | – |")
    for peer, (*times, peak_there) in PEERS.items():
        peak = peak_there if 20_000 in sizes else None  # that is where it was measured
        cells = " | ".join("does not fit" if time is None else f"{time:g}" for time in times[: len(small)])
        rows.append(f"| {peer} (published) | {cells}{blank} | {'–' if peak is None else peak} | |")
    return rows


def look_table(folder: Path, n: int, repeats: int) -> list[str]:
    """Markdown rows: what it costs more when the model looks at each picture once, beside doing just that."""
    place = ["--data-root", folder, "--cache-dir", folder / "cache", "--no-report", "--quiet", "--new"]
    run = [sys.executable, "run_eval.py", "run", folder / f"bench{n}.yaml", "--model", "null", *place]
    bare = [sys.executable, "-c", LOOK_LOOP, folder / "images", str(LOOK)]
    idle = [sys.executable, "-c", "pass"]
    blind, looking, loop, nothing = (
        best(command, repeats).cpu_s
        for command in (
            [*run, "--out", folder / "blind"],
            [*run, "-o", f"look={LOOK}", "--out", folder / "looking"],
            bare,
            idle,
        )
    )
    more, least = looking - blind, loop - nothing
    return [
        f"| {n:,} questions on {PICTURES} pictures of {SIDE} x {SIDE} | CPU s |",
        "|---|---|",
        f"| not looking at pictures | {blind:.2f} |",
        f"| decoding each once and squashing it to {LOOK} x {LOOK} | {looking:.2f} |",
        f"| the difference | {more:.2f} |",
        f"| a bare loop that only decodes and squashes each once | {least:.2f} |",
        f"| more than that | {100 * (more / least - 1):.0f} % |",
    ]


def command_table(folder: Path, n: int, repeats: int) -> list[str]:
    """Markdown rows: what the commands around a finished run cost."""
    run = folder / f"run{n}"
    one = folder / "run1"
    commands: dict[str, list[str | Path]] = {
        "--help": ["--help"],
        "list": ["list"],
        "validate": ["validate"],
        "validate --quick": ["validate", "--quick"],
        "score, 1 sample": ["score", one],
        f"report, 1 sample, {DRAWN}": ["report", one, "--out", folder / "report1"],
        f"report, 1 sample, {FOUND}": ["report", one, "--out", folder / "report1"],
        "compare, 1 sample": ["compare", one, one],
        f"score, {n:,} samples": ["score", run],
        f"compare, {n:,} samples": ["compare", run, run],
        f"report, {n:,} samples, {DRAWN}": ["report", run, "--out", folder / "report"],
        f"report, {n:,} samples, {FOUND}": ["report", run, "--out", folder / "report"],
    }

    def forget_figures() -> None:
        shutil.rmtree(folder / "xdg" / "omnilmm-eval" / "figures", ignore_errors=True)

    rows = ["| command | CPU s | peak MB |", "|---|---|---|"]
    for name, arguments in commands.items():
        before = forget_figures if name.endswith(DRAWN) else lambda: None
        cost = best([sys.executable, "run_eval.py", *arguments], repeats, before)
        rows.append(f"| {name} | {cost.cpu_s:.2f} | {cost.peak_mb:.0f} |")
    return rows


def main() -> None:
    """Measure and print the two tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--million", action="store_true", help="1,000,000 samples as well (minutes)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the cheapest counts (3)")
    parser.add_argument("--samples", type=int, default=20_000, help="samples of the largest run (20,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["XDG_CACHE_HOME"] = str(folder / "xdg")
        make_pictures(folder / "images")
        print("\n".join(run_table(folder, (1, 2_000, options.samples), options.repeats)), end="\n\n", flush=True)
        print("\n".join(look_table(folder, options.samples, options.repeats)), end="\n\n", flush=True)
        print("\n".join(command_table(folder, options.samples, options.repeats)), flush=True)
        if options.million:
            print()
            print("\n".join(run_table(folder, (1_000_000,), 1)), flush=True)
            cost = measure([sys.executable, "run_eval.py", "report", folder / "run1000000"])
            print(f"| report, 1,000,000 samples | {cost.cpu_s:.2f} | {cost.peak_mb:.0f} |")


if __name__ == "__main__":
    main()
