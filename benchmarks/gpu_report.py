#!/usr/bin/env python3
"""The whole GPU programme of OmniLMM-3B in one go: speed, memory, energy, distance to the limits, parity.

    python benchmarks/gpu_report.py --out gpu_report                # the real configuration, random bf16 weights, CUDA
    python benchmarks/gpu_report.py --out small --small --device cpu   # a small model: is the script whole?

Needs torch, transformers and what they bring, nothing else: without Pillow the pictures come decoded and squashed, and
the report says so. Writes OUT/gpu_report.json and OUT/gpu_report.md; each scenario is written down as soon as it is
measured. Within 10 minutes on an H200-class card: --seconds bounds the window of each scenario.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import itertools
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from benchmarks.gpu_limits import limit_per_s, peaks_of  # noqa: E402
from benchmarks.gpu_parity import parity  # noqa: E402
from model_adapters.contract import GenerationSettings, ImageRef, Request, Response, Turn  # noqa: E402
from model_adapters.omnilmm.config import OmniLMMConfig  # noqa: E402
from model_adapters.omnilmm.engine import Engine, EngineOptions  # noqa: E402
from model_adapters.omnilmm.modeling import OmniLMM  # noqa: E402
from model_adapters.omnilmm.random_weights import write_random_checkpoint  # noqa: E402
from model_adapters.omnilmm.shipped import resolve_checkpoint  # noqa: E402

MIB = 2**20
ORIGINAL = EngineOptions(
    batch_size=1, vision_batch_size=1, feature_cache_mib=0.0, share_prefix=False, original_decoding=True
)


@dataclass(frozen=True)
class Scenario:
    """What is asked, and how.

    Attributes:
        text_tokens: of a question, about.
        shared_tokens: of these, how many begin all questions on a picture.
        new_tokens: of each answer; the end token is ignored.
        questions: on one picture.
        batch: rows at a time.
        by_likelihood: one-letter choices from one pass.
        is_original: the original way instead.
    """

    name: str
    text_tokens: int
    new_tokens: int
    batch: int
    questions: int = 1
    shared_tokens: int = 0
    by_likelihood: bool = False
    is_original: bool = False


SCENARIOS = (
    Scenario("short answer, batch 1", 60, 3, 1),
    Scenario("decode, batch 1 (TPOT)", 60, 64, 1),
    Scenario("short answer, batch 64", 60, 3, 64),
    Scenario("letter by likelihood, batch 64", 120, 1, 64, by_likelihood=True),
    Scenario("caption of 30 tokens, batch 64", 60, 30, 64),
    Scenario("OCR of 100 tokens, batch 64", 60, 100, 64),
    Scenario("18 questions on one picture", 25, 2, 252, questions=18),
    Scenario("circular, 4 rotations", 120, 1, 256, questions=4, shared_tokens=40),
    Scenario("original way, short answer", 60, 3, 1, is_original=True),
    Scenario("original way, caption of 30 tokens", 60, 30, 1, is_original=True),
    Scenario("original way, OCR of 100 tokens", 60, 100, 1, is_original=True),
)


class Square:
    """A decoded picture of the model's own size, for machines without Pillow."""

    mode = "RGB"

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.size = pixels.shape[:2]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._pixels


@dataclass(frozen=True, slots=True)
class NoisePicture(ImageRef):
    """Noise, another for each number; made when it is opened, as a file would be decoded then."""

    number: int = 0
    side: int = 448

    def open(self) -> Any:
        rng = np.random.default_rng(self.number)
        blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Square(blocks.repeat(self.side // 8, axis=0).repeat(self.side // 8, axis=1))


def pictures(side: int, seed: int) -> Iterator[ImageRef]:
    """Endless distinct pictures."""
    for number in itertools.count(seed * 10_000_000):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        yield NoisePicture(name, f"noise {number}", bytes, number, side)


def requests(scenario: Scenario, model: OmniLMM, seed: int) -> Iterator[Request]:
    """Endless requests of a scenario."""
    settings = GenerationSettings(max_new_tokens=scenario.new_tokens)
    own = [_text(model, scenario.text_tokens - scenario.shared_tokens, str(i)) for i in range(scenario.questions)]
    stem = _text(model, scenario.shared_tokens, "stem") if scenario.shared_tokens else ""
    for number, picture in enumerate(pictures(model.config.image_size, seed)):
        for k, text in enumerate(own):
            turn = Turn("user", (picture, stem + text))
            choices = ("A", "B", "C", "D") if scenario.by_likelihood else ()
            yield Request(f"{number}#{k}", (turn,), settings, choices)


def _text(model: OmniLMM, tokens: int, salt: str) -> str:
    """A text of about so many tokens that begins like no other."""
    words = itertools.cycle(["red", "circle", "blue", "what", "is", "left", "of", "it"])
    text = salt
    while len(model.tokenizer.encode_text(text)) < tokens:
        text += " " + next(words)
    return text


def run_scenario(scenario: Scenario, model: OmniLMM, seconds: float) -> dict[str, Any]:
    """Warm up, then answer for at least ``seconds``; whole batches only."""
    options = ORIGINAL if scenario.is_original else EngineOptions(batch_size=scenario.batch)
    engine = Engine(model, options)
    engine.ignore_end = True
    device = model.device
    answer: Callable[..., Iterator[Response]] = engine.score_choices if scenario.by_likelihood else engine.generate
    stream = requests(scenario, model, seed=1)

    def ask(batches: int) -> list[Response]:
        return list(answer(itertools.islice(stream, batches * scenario.batch)))

    ask(2)
    start = time.perf_counter()
    ask(1)
    one_batch_s = time.perf_counter() - start
    _settle(device)
    energy_mj, begin = energy_of(device), time.perf_counter()
    responses: list[Response] = []
    while time.perf_counter() - begin < seconds:
        left_s = seconds - (time.perf_counter() - begin)
        responses += ask(max(1, min(64, int(left_s / max(one_batch_s, 1e-4)))))
    wall_s = time.perf_counter() - begin
    spent_mj = energy_of(device)
    engine.close()
    failed = [r.failure for r in responses if r.failure]
    if failed:
        raise RuntimeError(f"{scenario.name}: {len(failed)} requests failed, e.g. {failed[0]}")
    return {
        "scenario": asdict(scenario),
        "requests": len(responses),
        "wall_s": wall_s,
        "samples_per_s": len(responses) / wall_s,
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
    }


def _energy(before: float | None, after: float | None, wall_s: float, n: int) -> float | None:
    """J per sample; null from windows below 10 s, where the counter's steps would count, and after a reset."""
    if before is None or after is None or after < before or wall_s < 10:
        return None
    return (after - before) / 1000 / n


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


def energy_of(device: torch.device) -> float | None:
    """The card's energy counter in mJ, by NVML; null without pynvml, permission or counter."""
    if device.type != "cuda":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(uuid)))
    except Exception:  # noqa: BLE001 - whatever NVML lacks here, the report goes on without it
        return None


def environment(model: OmniLMM, load_s: float) -> dict[str, Any]:
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
    }
    if model.device.type == "cuda":
        properties = torch.cuda.get_device_properties(model.device)
        found |= {
            "device_name": properties.name,
            "device_memory_mib": properties.total_memory / MIB,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "graphs": True,
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
        f"{env['date']}, torch {env['torch']}, transformers {env['transformers']}, {env['dtype']}, "
        f"{env['parameters'] / 1e9:.2f} B parameters (random weights), loaded in {env['load_s']:.1f} s.",
        "",
        "| scenario | samples/s | computed limit | share | x original | TTFT ms | TPOT ms | peak MiB | J a sample |",
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
            _cell(row["ttft_ms"], ".2f"),
            _cell(row["tpot_ms"], ".2f"),
            _cell(memory, ".0f"),
            _cell(row["energy_j_per_sample"], ".2f"),
        ]
        lines.append(f"| {row['scenario']['name']} | {' | '.join(cells)} |")
    lines += ["", "## Parity", "", "| check | found |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in report["parity"].items()]
    return "\n".join(lines) + "\n"


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def compared(rows: list[dict[str, Any]], config: OmniLMMConfig, dtype: torch.dtype, card: str | None) -> None:
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
        limit = None
        if not scenario.is_original:
            limit = limit_per_s(scenario, config, dtype, peaks_of(card))
        row["limit_per_s"] = limit
        row["share_of_limit"] = row["samples_per_s"] / limit if limit else None
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
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out) as scratch:
        start = time.perf_counter()
        folder = resolve_checkpoint("small-final") if options.small else options.checkpoint
        folder = folder or make_checkpoint(options.config, Path(scratch))
        made_s = time.perf_counter() - start
        start = time.perf_counter()
        model = OmniLMM.from_checkpoint(folder, dtype=options.dtype, device=options.device)
        _settle(model.device)
        env = environment(model, time.perf_counter() - start) | {"weights_made_s": made_s}
    report: dict[str, Any] = {"environment": env, "scenarios": [], "parity": {}}
    for scenario in small_scenarios() if options.small else SCENARIOS:
        print(scenario.name, file=sys.stderr, flush=True)
        try:
            row = run_scenario(scenario, model, options.seconds)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            row = {"scenario": asdict(scenario), "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        report["scenarios"].append(row)
        compared(report["scenarios"], model.config, model.dtype, env["device_name"])
        write(report, options.out)
    report["parity"] = parity(model, lambda n: list(itertools.islice(requests(SCENARIOS[0], model, 7), n)))
    write(report, options.out)
    print(markdown(report))
    return 1 if any(row.get("error") for row in report["scenarios"]) else 0


def small_scenarios() -> list[Scenario]:
    """The same with small numbers."""
    return [
        replace(
            scenario,
            text_tokens=max(6, scenario.text_tokens // 8),
            shared_tokens=scenario.shared_tokens // 8,
            new_tokens=min(6, scenario.new_tokens),
            batch=min(8, scenario.batch),
            questions=min(4, scenario.questions),
        )
        for scenario in SCENARIOS
    ]


def write(report: dict[str, Any], folder: Path) -> None:
    """Both files, as far as the report has come."""
    (folder / "gpu_report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    (folder / "gpu_report.md").write_text(markdown(report))


if __name__ == "__main__":
    sys.exit(main())
