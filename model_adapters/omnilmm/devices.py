"""Where a model runs and in which number format: names from options to torch's objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.batching import DEFAULT_TOKENS

if TYPE_CHECKING:
    from model_adapters.omnilmm.language import MiniCPMDecoder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SHORT_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1``. :class:`AdapterError` if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AdapterError(f"Unknown device {name!r}; expected auto, cpu, cuda or cuda:N.") from error
    if device.type not in ("cpu", "cuda"):
        raise AdapterError(f"Device {name!r} is not supported; expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise AdapterError(
                f"Device {name!r} was asked for, but torch {torch.__version__} sees {count} CUDA devices. Use "
                "device=cpu, "
                "or install a CUDA build of torch and check the driver with nvidia-smi."
            )
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` (bfloat16 on CUDA, float32 on the CPU), or a dtype by its long or short name."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    try:
        return DTYPES[SHORT_NAMES.get(name, name)]
    except KeyError:
        known = ", ".join(["auto", *DTYPES, *SHORT_NAMES])
        raise AdapterError(f"Unknown dtype {name!r}; expected one of {known}.") from None


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Most rows and most ids (prompts and answers) of a batch."""

    rows: int
    tokens: int


CPU_ROWS, CUDA_ROWS = 160, 256  # a CPU likes batches that stay in its caches


def batch_limits(batch_size: int | str, vision_batch_size: int, llm: MiniCPMDecoder) -> BatchLimits:
    """What ``batch_size`` means on this device: itself, or for ``auto`` a number that memory has room for.

    On CUDA half of the free memory may be filled: an id takes its keys and values in every layer, and while its layer
    is computed about four vectors of the hidden size and three of the inner size.

    Raises:
        AdapterError: neither ``auto`` nor at least 1.
    """
    is_auto = batch_size == "auto"
    if not is_auto and (not isinstance(batch_size, int) or batch_size < 1 or vision_batch_size < 1):
        raise AdapterError(f"batch_size is {batch_size}; expected at least 1, or auto.")
    rows = batch_size if isinstance(batch_size, int) else CPU_ROWS
    if llm.device.type != "cuda":
        return BatchLimits(rows, DEFAULT_TOKENS)
    config = llm.language_config
    kept = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    passing = 4 * config.hidden_size + 3 * config.intermediate_size
    free, _ = torch.cuda.mem_get_info(llm.device)
    tokens = max(2048, int(0.5 * free) // ((kept + passing) * llm.dtype.itemsize))
    return BatchLimits(min(CUDA_ROWS, max(1, tokens // 512)) if is_auto else rows, tokens)


def to_device(pixels: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; to CUDA from pinned memory, so that the host need not wait."""
    if device.type == "cuda":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels


def wait_for(device: torch.device) -> None:
    """Let a device finish, so that a stage's time is its own."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
