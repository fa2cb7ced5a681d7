"""Published peaks of cards, dense (without sparsity), from NVIDIA's data sheets. An unknown card has none.

Tensor-core rates are with fp32 accumulation; where a sheet gives the sparse rate only, half of it. ``fp32`` is the
rate of ordinary fp32 arithmetic, ``tf32`` of tensor cores on fp32 tensors. Clocks and power limits of a real card may
keep it below; that is what a utilisation shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CardPeaks:
    """Peaks of one card: TFLOP/s by number format (None: the format has no unit on it), memory in GB/s (1e9 bytes).

    Attributes:
        reached: what the best kernels of today reach on it in bf16 and in reading memory, where that was measured.
            Limits of a program are computed with it (benchmarks/gpu_limits.py); utilisation is a share of the
            published peaks, as everywhere.
    """

    name: str
    bf16: float | None
    fp16: float
    tf32: float | None
    fp32: float
    bandwidth_gb_s: float
    source: str
    reached: tuple[float, float] | None = None

    def tflops(self, dtype: str, *, tf32: bool = False) -> float | None:
        """The peak that matrix products in this dtype can reach."""
        if dtype == "float32":
            return self.tf32 if tf32 and self.tf32 is not None else self.fp32
        return {"bfloat16": self.bf16, "float16": self.fp16}.get(dtype)


# Pattern of the name that NVML and torch give (without "NVIDIA "), first match counts.
_CARDS: tuple[tuple[str, CardPeaks], ...] = (
    (r"H200 NVL", CardPeaks("H200 NVL", 835.5, 835.5, 417.5, 60.0, 4800.0, "H200 data sheet")),
    (r"H200", CardPeaks("H200 SXM", 989.0, 989.0, 494.5, 67.0, 4800.0, "H200 data sheet", (790.0, 4300.0))),
    (r"H100 NVL", CardPeaks("H100 NVL", 835.5, 835.5, 417.5, 60.0, 3900.0, "H100 data sheet")),
    (r"H100 PCIe", CardPeaks("H100 PCIe", 756.0, 756.0, 378.0, 51.0, 2000.0, "H100 PCIe product brief")),
    (r"H100 80GB HBM3", CardPeaks("H100 SXM", 989.0, 989.0, 494.5, 67.0, 3350.0, "H100 data sheet")),
    (r"A100-SXM4-80GB", CardPeaks("A100 SXM 80 GB", 312.0, 312.0, 156.0, 19.5, 2039.0, "A100 data sheet")),
    (r"A100 80GB PCIe", CardPeaks("A100 PCIe 80 GB", 312.0, 312.0, 156.0, 19.5, 1935.0, "A100 data sheet")),
    (r"A100-(SXM4|PCIE)-40GB", CardPeaks("A100 40 GB", 312.0, 312.0, 156.0, 19.5, 1555.0, "A100 data sheet")),
    (r"A30$", CardPeaks("A30", 165.0, 165.0, 82.0, 10.3, 933.0, "A30 data sheet")),
    (r"A40$", CardPeaks("A40", 149.7, 149.7, 74.8, 37.4, 696.0, "A40 data sheet")),
    (r"A10G$", CardPeaks("A10G", 70.0, 70.0, 35.0, 35.0, 600.0, "A10G data sheet")),
    (r"A10$", CardPeaks("A10", 125.0, 125.0, 62.5, 31.2, 600.0, "A10 data sheet")),
    (r"L40S", CardPeaks("L40S", 362.0, 362.0, 183.0, 91.6, 864.0, "L40S data sheet")),
    (r"L40$", CardPeaks("L40", 181.0, 181.0, 90.5, 90.5, 864.0, "L40 data sheet")),
    (r"L4$", CardPeaks("L4", 121.0, 121.0, 60.0, 30.3, 300.0, "L4 data sheet")),
    (r"V100-SXM2", CardPeaks("V100 SXM2", None, 125.0, None, 15.7, 900.0, "V100 data sheet")),
    (r"(Tesla )?T4$", CardPeaks("T4", None, 65.0, None, 8.1, 320.0, "T4 data sheet")),
    (r"GeForce RTX 4090$", CardPeaks("RTX 4090", 165.2, 165.2, 82.6, 82.6, 1008.0, "Ada whitepaper")),
    (r"GeForce RTX 3090$", CardPeaks("RTX 3090", 71.0, 71.0, 35.6, 35.6, 936.0, "Ampere GA102 whitepaper")),
    (r"RTX A6000$", CardPeaks("RTX A6000", 154.8, 154.8, 77.4, 38.7, 768.0, "RTX A6000 data sheet")),
)


def card_peaks(name: str | None) -> CardPeaks | None:
    """Peaks of a card by the name that its driver gives; None if it is not in the table, or is a MIG slice of one."""
    if not name or "MIG" in name:
        return None
    plain = name.removeprefix("NVIDIA ").strip()
    return next((peaks for pattern, peaks in _CARDS if re.match(pattern, plain)), None)
