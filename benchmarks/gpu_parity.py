"""Whether the fast ways give the tokens of the slow ones, on the model and the device at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from model_adapters.contract import Request
from model_adapters.omnilmm.engine import Engine, EngineOptions
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.shipped import resolve_checkpoint

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "omnilmm_ref_a" / "checkpoint"
N, TOKENS = 64, 12


def parity(model: OmniLMM, requests: Callable[[int], list[Request]]) -> dict[str, Any]:
    """Checks by name: answers that differ, largest differences."""
    asked = [replace(r, generation=replace(r.generation, max_new_tokens=TOKENS)) for r in requests(N)]
    together = _answers(model, asked, EngineOptions(batch_size=N))
    alone = _answers(model, asked, EngineOptions(batch_size=1, share_prefix=False, feature_cache_mib=0.0))
    eager = _answers(model, asked, EngineOptions(batch_size=N, graphs=False))
    dtype = str(model.dtype).removeprefix("torch.")
    return {
        f"{dtype}: answers of batch {N} that differ from batch 1": f"{_differing(together, alone)} of {N}",
        f"{dtype}: answers with recorded steps that differ from eager ones": f"{_differing(together, eager)} of {N}",
        **_formats(model.device),
    }


def _answers(model: OmniLMM, asked: list[Request], options: EngineOptions) -> dict[str, str]:
    engine = Engine(model, options)
    engine.ignore_end = True
    answers = {response.request_id: response.text for response in engine.generate(asked)}
    engine.close()
    return answers


def _differing(one: dict[str, str], other: dict[str, str]) -> int:
    return sum(one[name] != other[name] for name in one)


def _formats(device: torch.device) -> dict[str, Any]:
    """bf16 against fp32, and fp32 here against fp32 on the CPU, on a small checkpoint."""
    is_reference = REFERENCE.is_dir()
    folder = REFERENCE if is_reference else resolve_checkpoint("small-final")
    name = "omnilmm_ref_a" if is_reference else "small-final"
    made = {
        "fp32": OmniLMM.from_checkpoint(folder, dtype="float32", device=str(device)),
        "bf16": OmniLMM.from_checkpoint(folder, dtype="bfloat16", device=str(device)),
        "cpu": OmniLMM.from_checkpoint(folder, dtype="float32", device="cpu"),
    }
    side = made["cpu"].config.image_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(4, 3, side, side, generator=generator) * 2 - 1
    logits = {key: _logits(model, pixels) for key, model in made.items()}
    best = {key: value.argmax(-1) for key, value in logits.items()}
    device_gap = (logits["fp32"] - logits["cpu"]).abs().max()
    format_gap = (logits["bf16"] - logits["fp32"]).abs().max()
    differing = int((best["bf16"] != best["fp32"]).sum())
    return {
        f"{name}: largest difference of logits, fp32 here to fp32 on the CPU": f"{device_gap:.2e}",
        f"{name}: largest difference of logits, bf16 to fp32": f"{format_gap:.2e}",
        f"{name}: best tokens that differ, bf16 to fp32": f"{differing} of {len(pixels)}",
    }


@torch.inference_mode()
def _logits(model: OmniLMM, pixels: torch.Tensor) -> torch.Tensor:
    """After one question on each picture, (n, vocabulary) fp32 on the CPU."""
    from model_adapters.omnilmm.packing import Row
    from model_adapters.omnilmm.reading import prefill

    prompt = model.prompt([{"role": "user", "content": "What is it?"}])
    features = model.image_features(pixels.to(model.device, model.dtype))
    rows = [Row(prompt.ids, i, prompt.image_slot) for i in range(len(pixels))]
    return model.llm.lm_head(prefill(model.llm, rows, features).last_hidden).float().cpu()
