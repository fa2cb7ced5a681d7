"""Load a full-size checkpoint on this machine and time its stages; prints one JSON object.

    python benchmarks/full_size.py CHECKPOINT [--device cpu] [--dtype bfloat16] [--tokens 8]

Sizes and times do not depend on the values, so random weights (tools/make_weights.py) do as well as the released ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from pathlib import Path

import torch
from PIL import Image

from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.reading import prefill

QUESTION = [{"role": "user", "content": "What is in the image? Describe it in one sentence."}]


def measure(checkpoint: Path, device: str, dtype: str, tokens: int) -> dict[str, object]:
    """Load, encode a picture, read a prompt, decode; seconds of each, and the process's peak memory."""
    start = time.perf_counter()
    model = OmniLMM.from_checkpoint(checkpoint, dtype=dtype, device=device)
    loaded = time.perf_counter()
    after_load_gb = _peak_gb()
    features = model.encode_images([Image.effect_mandelbrot((640, 480), (-2, -1, 1, 1), 50)])
    _wait(model)
    seen = time.perf_counter()
    prompt = model.prompt(QUESTION)
    with torch.inference_mode():
        read = prefill(model.llm, [Row(prompt.ids, 0, prompt.image_slot)], features)
        _wait(model)
        filled = time.perf_counter()
        # No end token: every run decodes the same number of tokens.
        answer = decode(model.llm, read, max_new_tokens=[tokens], eos_id=-1, bos_id=1)[0]
    steps = [later - earlier for earlier, later in zip(answer.times_s, answer.times_s[1:], strict=False)]
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "load_s": round(loaded - start, 2),
        "vision_s": round(seen - loaded, 2),
        "prefill_s": round(filled - seen, 2),
        "prompt_tokens": len(prompt.ids),
        "decode_s_per_token": round(statistics.median(steps), 3) if steps else None,
        "new_tokens": len(answer.ids),
        "peak_rss_after_load_gb": round(after_load_gb, 2),
        "peak_rss_gb": round(_peak_gb(), 2),
        "load_peak_over_weights": round(after_load_gb / _weights_gb(model), 2),
    }


def _wait(model: OmniLMM) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # ru_maxrss is in KiB on Linux


def _weights_gb(model: OmniLMM) -> float:
    return sum(parameter.nbytes for parameter in model.parameters()) / 1e9


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Load a checkpoint, answer once, and time each stage.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tokens", type=int, default=8)
    options = parser.parse_args()
    print(json.dumps(measure(options.checkpoint, options.device, options.dtype, options.tokens)))


if __name__ == "__main__":
    main()
