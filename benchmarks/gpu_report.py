#!/usr/bin/env python3
"""The whole GPU programme of OmniLMM-3B in one go: speed, memory, energy, distance to the limits, parity.

    python benchmarks/gpu_report.py --out gpu_report                # the real configuration, random bf16 weights, CUDA
    python benchmarks/gpu_report.py --out small --small --device cpu   # a small model: is the script whole?

Needs torch, transformers and what they bring, nothing else: without Pillow the pictures come decoded and squashed, and
the report says so; without nvidia-ml-py the driver's own library tells energy, clocks and versions. Writes
OUT/gpu_report.json and OUT/gpu_report.md; each scenario is written down as soon as it is measured. Within 10 minutes on
an H200-class card: --seconds bounds the window of each scenario, and variants for which no time is left are skipped and
said.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import hashlib
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program does: waiting threads leave the cores to others

import torch  # noqa: E402
import transformers  # noqa: E402

from benchmarks.gpu_card import card_of  # noqa: E402
from benchmarks.gpu_limits import Peaks, limits_of, peaks_of  # noqa: E402
from benchmarks.gpu_parity import parity  # noqa: E402
from benchmarks.gpu_scenarios import SCENARIOS, Scenario, requests, small_scenarios  # noqa: E402
from benchmarks.gpu_variants import Variant, reached_peaks, variants  # noqa: E402
from evals.perf.nvml import THROTTLED, Nvml, reason_names  # noqa: E402
from model_adapters.contract import Response  # noqa: E402
from model_adapters.omnilmm.config import OmniLMMConfig  # noqa: E402
from model_adapters.omnilmm.engine import Engine, EngineOptions  # noqa: E402
from model_adapters.omnilmm.modeling import OmniLMM  # noqa: E402
from model_adapters.omnilmm.random_weights import write_random_checkpoint  # noqa: E402
from model_adapters.omnilmm.shipped import resolve_checkpoint  # noqa: E402

MIB = 2**20
ORIGINAL = EngineOptions(
    batch_size=1, vision_batch_size=1, feature_cache_mib=0.0, share_prefix=False, original_decoding=True
)


def run_scenario(
    scenario: Scenario,
    model: OmniLMM,
    seconds: float,
    card: Nvml | None = None,
    options: EngineOptions | None = None,
    prepare: Callable[[Engine], None] = lambda engine: None,
) -> dict[str, Any]:
    """Warm up, then answer for at least ``seconds``; whole batches only.

    Args:
        card: asked for energy and clocks.
        options, prepare: of the engine, where a variant differs.
    """
    if options is None:
        options = ORIGINAL if scenario.is_original else EngineOptions(batch_size=scenario.batch)
    engine = Engine(model, options)
    engine.ignore_end = True
    prepare(engine)
    try:
        return _measured(engine, scenario, model, seconds, card)
    finally:
        engine.close()
        del engine
        gc.collect()  # recorded steps and buffers go before the next scenario's peaks are read
        torch.cuda.empty_cache()


def _measured(engine: Engine, scenario: Scenario, model: OmniLMM, seconds: float, card: Nvml | None) -> dict[str, Any]:
    device = model.device
    answer: Callable[..., Iterator[Response]] = engine.score_choices if scenario.by_likelihood else engine.generate
    stream = requests(scenario, model, seed=1)

    def ask(batches: int) -> list[Response]:
        return list(answer(itertools.islice(stream, batches * scenario.batch)))

    warm = ask(2)
    start = time.perf_counter()
    ask(1)
    one_batch_s = time.perf_counter() - start
    _settle(device)
    energy_mj, begin = card.energy_mj() if card else None, time.perf_counter()
    responses: list[Response] = []
    while time.perf_counter() - begin < seconds and not any(r.failure for r in warm):
        left_s = seconds - (time.perf_counter() - begin)
        responses += ask(max(1, min(64, int(left_s / max(one_batch_s, 1e-4)))))
    wall_s = time.perf_counter() - begin
    spent_mj = card.energy_mj() if card else None
    failed = [r.failure for r in (*warm, *responses) if r.failure]
    if failed:
        raise RuntimeError(f"{len(failed)} requests failed, e.g. {failed[0].type}: {failed[0].message}")
    now = card.sample() if card else None
    return {
        "scenario": asdict(scenario),
        "requests": len(responses),
        "wall_s": wall_s,
        "samples_per_s": len(responses) / wall_s,
        "first_answers": [hashlib.sha256(r.text.encode()).hexdigest()[:12] for r in _by_id(warm)],
        "prompt_tokens": _median([r.usage.prompt_tokens for r in responses]),
        "new_tokens_per_s": sum(r.usage.new_tokens or 0 for r in responses) / wall_s,
        "ttft_ms": _median([r.timing.ttft_ms for r in responses]) if scenario.batch == 1 else None,
        "tpot_ms": _median([r.timing.tpot_ms for r in responses]),
        "stages_ms": {
            stage: _mean([getattr(r.timing, stage) for r in responses])
            for stage in ("image_ms", "vision_ms", "prefill_ms", "decode_ms")
        },
        "smallest_batch": min(r.timing.batch_size or 0 for r in responses),
        "energy_j_per_sample": _energy(energy_mj, spent_mj, wall_s, len(responses)),
        "memory_mib": memory_of(device),
        "sm_mhz": now.sm_mhz if now else None,
        "temperature_c": now.temperature_c if now else None,
        "throttled_by": reason_names(now.reasons & THROTTLED) if now and now.reasons is not None else None,
    }


def _energy(before: float | None, after: float | None, wall_s: float, n: int) -> float | None:
    """J per sample; null from windows below 10 s, where the counter's steps would count, and after a reset."""
    if before is None or after is None or after < before or wall_s < 10:
        return None
    return (after - before) / 1000 / n


def _by_id(responses: list[Response]) -> list[Response]:
    return sorted(responses, key=lambda response: response.request_id)


def _median(values: list[Any]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return float(known[len(known) // 2]) if known else None


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def memory_of(device: torch.device) -> dict[str, float] | None:
    """Peaks of CUDA's allocator since the warm-up, MiB; null on other devices."""
    if device.type != "cuda":
        return None
    return {
        "peak_allocated": torch.cuda.max_memory_allocated(device) / MIB,
        "peak_reserved": torch.cuda.max_memory_reserved(device) / MIB,
    }


def environment(model: OmniLMM, load_s: float, card: Nvml | None, no_card: str) -> dict[str, Any]:
    """Machine, card, versions, and what was loaded."""
    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "device": str(model.device),
        "device_name": None,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pictures": "decoded and squashed already: image decoding is not measured here",
        "load_s": load_s,
        "card": card.record() if card else None,
        "no_card": no_card,
        "peaks_reached_here": None,
    }
    if model.device.type == "cuda":
        properties = torch.cuda.get_device_properties(model.device)
        found |= {
            "device_name": properties.name,
            "device_memory_mib": properties.total_memory / MIB,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "graphs": True,
            "peaks_reached_here": reached_peaks(model.device),
        }
    return found


def make_checkpoint(config: Path | None, folder: Path) -> Path:
    """Random bf16 weights of the real configuration; without a config folder, the sizes are built in and the tokenizer
    is the small checkpoint's, since speed does not depend on it."""
    if config is None:
        config = folder / "config"
        config.mkdir()
        (config / "config.json").write_text(json.dumps(OmniLMMConfig().to_dict()))
        (config / "tokenizer.model").write_bytes((resolve_checkpoint("small-final") / "tokenizer.model").read_bytes())
    return write_random_checkpoint(config, folder / "weights")


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    env = report["environment"]
    lines = [
        f"# OmniLMM on {env['device_name'] or env['device']}",
        "",
        f"{env['date']}, driver {(env['card'] or {}).get('driver') or 'unknown'}, torch {env['torch']}, transformers "
        f"{env['transformers']}, {env['dtype']}, {env['parameters'] / 1e9:.2f} B parameters (random weights), loaded "
        f"in {env['load_s']:.1f} s. {_peaks_said(report)}".rstrip(),
        "",
        "| scenario | samples/s | computed limit | share | x original | TTFT ms (limit) | TPOT ms (limit) | peak MiB | "
        "J a sample |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["scenarios"]:
        if row.get("error"):
            lines.append(f"| {row['scenario']['name']} | {row['error']} | | | | | | | |")
            continue
        memory = (row["memory_mib"] or {}).get("peak_allocated")
        cells = [
            f"{row['samples_per_s']:.4g}",
            _cell(row["limit_per_s"], ".4g"),
            _cell(row["share_of_limit"], ".0%"),
            _cell(row["times_original"], ".1f"),
            _cell(row["ttft_ms"], ".2f", row["ttft_limit_ms"]),
            _cell(row["tpot_ms"], ".2f", row["tpot_limit_ms"]),
            _cell(memory, ".0f"),
            _cell(row["energy_j_per_sample"], ".2f"),
        ]
        lines.append(f"| {row['scenario']['name']} | {' | '.join(cells)} |")
    lines += ["", "## Parity", "", "| check | found |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in report["parity"].items()]
    lines += [
        "",
        "## Variants",
        "",
        "| what | variant | found | against the first | results |",
        "|---|---|---|---|---|",
    ]
    for one in report["variants"]:
        found = one["skipped"] or f"{one['value']:.4g} {one['unit']}"
        lines.append(
            f"| {one['group']} | {one['name']} | {found} | {_cell(one['ratio'], '.3f')} | {one['same'] or '–'} |"
        )
    if not env["device"].startswith("cuda"):
        lines += ["", "On this device nothing is recorded: those lines are the same steps, run one by one."]
    if held := [row["scenario"]["name"] for row in report["scenarios"] if row.get("throttled_by")]:
        lines += ["", f"**Clocks were held down** by heat or supply after: {', '.join(held)}. Measure again."]
    return "\n".join(lines) + "\n"


def _cell(value: float | None, form: str, limit: float | None = None) -> str:
    beside = "" if limit is None or value is None else f" ({format(limit, form)})"
    return "–" if value is None else format(value, form) + beside


def _peaks_said(report: dict[str, Any]) -> str:
    """Which peaks the limits are computed with, and what this card reached in a product and a copy."""
    env, used = report["environment"], report["peaks"]
    here = env["peaks_reached_here"]
    said = f"Reached here: {here[0] / 1e12:.0f} TFLOP/s, {here[1] / 1e9:,.0f} GB/s. " if here else ""
    return said + (f"Limits with {used[0] / 1e12:.0f} TFLOP/s, {used[1] / 1e9:,.0f} GB/s." if used else "")


def compared(rows: list[dict[str, Any]], config: OmniLMMConfig, dtype: torch.dtype, peaks: Peaks | None) -> None:
    """Put the limits and the original way's speed beside each scenario."""
    originals = {
        row["scenario"]["new_tokens"]: row["samples_per_s"]
        for row in rows
        if row["scenario"]["is_original"] and not row.get("error")
    }
    for row in rows:
        if row.get("error"):
            continue
        scenario = Scenario(**row["scenario"])
        asked = replace(scenario, prompt_tokens=int(row["prompt_tokens"] or scenario.prompt_tokens))
        limits = None if scenario.is_original else limits_of(asked, config, dtype, peaks)
        row["limit_per_s"] = limits.samples_per_s if limits else None
        row["ttft_limit_ms"] = limits.ttft_ms if limits and scenario.batch == 1 else None
        row["tpot_limit_ms"] = limits.tpot_ms if limits and scenario.new_tokens > 1 else None
        row["share_of_limit"] = row["samples_per_s"] / limits.samples_per_s if limits else None
        same = originals.get(row["scenario"]["new_tokens"])
        row["times_original"] = row["samples_per_s"] / same if same and not scenario.is_original else None


def main() -> int:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu_report.json and gpu_report.md")
    parser.add_argument("--checkpoint", type=Path, help="a full-size checkpoint that is there already")
    parser.add_argument("--config", type=Path, help="folder with config.json and tokenizer.model to make weights for")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seconds", type=float, default=20.0, help="window of each scenario (20)")
    parser.add_argument("--small", action="store_true", help="the small checkpoint and short answers: a rehearsal")
    parser.add_argument("--minutes", type=float, default=8.0, help="no variant begins after so many minutes (8)")
    options = parser.parse_args()
    end = time.perf_counter() + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    model, env, card = load(options)
    peaks = peaks_of(env["device_name"]) or env["peaks_reached_here"]
    report: dict[str, Any] = {"environment": env, "peaks": peaks, "scenarios": [], "parity": {}, "variants": []}
    scenarios = small_scenarios() if options.small else list(SCENARIOS)
    for scenario in scenarios:
        print(scenario.name, file=sys.stderr, flush=True)
        try:
            row = run_scenario(scenario, model, options.seconds, card)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            row = {"scenario": asdict(scenario), "error": _said(error)}
        report["scenarios"].append(row)
        compared(report["scenarios"], model.config, model.dtype, peaks)
        write(report, options.out)
    report["parity"] = parity(model, lambda n: list(itertools.islice(requests(scenarios[0], model, 7), n)))
    write(report, options.out)
    for variant in variants(model, scenarios, min(5.0, options.seconds), run_scenario):
        print(f"{variant.group}: {variant.name}", file=sys.stderr, flush=True)
        report["variants"].append(tried(variant, report["variants"], time.perf_counter() < end))
        write(report, options.out)
    print(markdown(report))
    return 1 if any(row.get("error") for row in report["scenarios"]) else 0


def load(options: argparse.Namespace) -> tuple[OmniLMM, dict[str, Any], Nvml | None]:
    """The model, its environment, and the card."""
    with tempfile.TemporaryDirectory(dir=options.out) as scratch:
        start = time.perf_counter()
        folder = resolve_checkpoint("small-final") if options.small else options.checkpoint
        folder = folder or make_checkpoint(options.config, Path(scratch))
        made_s = time.perf_counter() - start
        start = time.perf_counter()
        model = OmniLMM.from_checkpoint(folder, dtype=options.dtype, device=options.device)
        _settle(model.device)
        load_s = time.perf_counter() - start
    on_cuda = model.device.type == "cuda"
    uuid = str(torch.cuda.get_device_properties(model.device).uuid) if on_cuda else None
    card, no_card = card_of(uuid)
    return model, environment(model, load_s, card, no_card) | {"weights_made_s": made_s}, card


def tried(variant: Variant, before: list[dict[str, Any]], has_time: bool) -> dict[str, Any]:
    """A variant's line: what was found, against the first of its group, or why there is nothing."""
    line: dict[str, Any] = {"group": variant.group, "name": variant.name, "unit": variant.unit}
    line |= {"value": None, "ratio": None, "results": [], "same": ""}
    line["skipped"] = "" if has_time else "skipped: no time was left"
    first = next((one for one in before if one["group"] == variant.group), line)
    if has_time:
        try:
            line["value"], line["results"] = variant.measure()
            if first is not line and first["results"]:
                line["same"] = variant.compare(first["results"], line["results"])
        except Exception as error:  # noqa: BLE001 - a compiler, a kernel or memory may be missing: that is the finding
            line["skipped"] = f"not possible here: {_said(error)}"
    if first is not line and first["value"] and line["value"]:
        line["ratio"] = line["value"] / first["value"]
    return line


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no details'}"


def write(report: dict[str, Any], folder: Path) -> None:
    """Both files, as far as the report has come."""
    (folder / "gpu_report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    (folder / "gpu_report.md").write_text(markdown(report))


if __name__ == "__main__":
    sys.exit(main())
