"""Where a model runs and in which number format: names from options to torch's objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from model_adapters.contract import AdapterError

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


def wait_for(device: torch.device) -> None:
    """Let a device finish, so that a stage's time is its own."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def exact_convolutions(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Inside, fp32 convolutions on CUDA are computed in fp32: cuDNN takes TF32 (10 bits) unless it is told not to.

    torch's matrix products are in fp32 as they are.
    """
    if device.type != "cuda" or dtype != torch.float32:
        return nullcontext()
    return _without_tf32()


@contextmanager
def _without_tf32() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before
