"""What this machine can compute on, without loading a model."""

from __future__ import annotations

from typing import Any


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
        free, total = torch.cuda.mem_get_info(index)
        devices.append(
            {
                "device": f"cuda:{index}",
                "name": torch.cuda.get_device_name(index),
                "memory_mib": total / 2**20,
                "free_mib": free / 2**20,
                "uuid": str(torch.cuda.get_device_properties(index).uuid),
                "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            }
        )
    return devices
