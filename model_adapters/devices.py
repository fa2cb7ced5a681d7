"""What this machine can compute on, without loading a model."""

from __future__ import annotations

from typing import Any

_FIRST_WITH_BF16 = 8  # compute capability: Ampere


def device_report() -> list[dict[str, Any]]:
    """The CPU and every CUDA device that torch sees.

    Returns:
        One entry a device: ``device`` (the name that ``--device`` takes), ``name``, ``memory_mib`` and ``free_mib``,
        ``bf16`` (whether bf16 arithmetic is native), ``uuid``; null where it does not apply or is not known.
    """
    import torch

    cpu = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    devices: list[dict[str, Any]] = [
        {"device": "cpu", "name": cpu, "memory_mib": None, "free_mib": None, "bf16": None, "uuid": None}
    ]
    for index in range(torch.cuda.device_count()):
        properties, free = torch.cuda.get_device_properties(index), _free_bytes(index)
        devices.append(
            {
                "device": f"cuda:{index}",
                "name": properties.name,
                "memory_mib": properties.total_memory / 2**20,
                "free_mib": None if free is None else free / 2**20,
                "uuid": str(properties.uuid),
                "bf16": properties.major >= _FIRST_WITH_BF16,
            }
        )
    return devices


def _free_bytes(index: int) -> int | None:
    """Free memory of a CUDA device; None where no context can be made there: it is full, or another's alone."""
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(index)
    except RuntimeError:
        return None
    return int(free)
