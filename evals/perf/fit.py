"""Does it fit: weights, keys and values and activations against the memory that is free, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.errors import AdapterError
from model_adapters.probe import Footprint

MIB = 2**20
RESERVE = 0.05  # of the free memory, for what no estimate sees


@dataclass(frozen=True, slots=True)
class Fit:
    """What loading and each batch size would take, in MiB; None where the adapter or the device does not tell.

    Attributes:
        batch_mib: by batch size, everything together.
        largest_batch: that fits, 0 if not even one row does.
        reason: why nothing can be said; empty where it can.
    """

    device: str | None
    weights_mib: float | None
    kv_mib_per_row: float | None
    activation_mib_per_row: float | None
    fixed_mib: float | None
    free_mib: float | None
    batch_mib: dict[int, float]
    largest_batch: int | None
    reason: str = ""

    def fits(self, batch: int) -> bool:
        """Whether this batch size should fit; True where nothing is known."""
        return self.largest_batch is None or batch <= self.largest_batch


def check_fit(footprint: Footprint | None, batches: Sequence[int], new_tokens: int = 0) -> Fit:
    """Estimate what fits.

    Args:
        footprint: as the adapter estimates it.
        new_tokens: generated a row beyond those that the footprint counts with.
    """
    if footprint is None:
        return Fit(None, None, None, None, None, None, {}, None, "the adapter does not say what memory it needs")
    kv_row = footprint.kv_bytes_per_token * (footprint.tokens_per_row + new_tokens)
    row = kv_row + footprint.activation_bytes_per_row
    base = footprint.weights_bytes + footprint.fixed_bytes
    free = footprint.free_bytes
    largest = None if free is None else max(0, int((free * (1 - RESERVE) - base) // row))
    return Fit(
        device=footprint.device,
        weights_mib=footprint.weights_bytes / MIB,
        kv_mib_per_row=kv_row / MIB,
        activation_mib_per_row=footprint.activation_bytes_per_row / MIB,
        fixed_mib=footprint.fixed_bytes / MIB,
        free_mib=None if free is None else free / MIB,
        batch_mib={batch: (base + batch * row) / MIB for batch in batches},
        largest_batch=largest,
        reason="" if free is not None else "the device does not tell how much memory is free",
    )


def require_fit(fit: Fit) -> None:
    """Refuse what cannot even hold one row.

    Raises:
        AdapterError: with what it needs, what is free, and what to do.
    """
    if fit.largest_batch != 0 or fit.weights_mib is None or fit.free_mib is None:
        return
    least = fit.weights_mib + (fit.fixed_mib or 0) + (fit.kv_mib_per_row or 0) + (fit.activation_mib_per_row or 0)
    raise AdapterError(
        f"This model does not fit on {fit.device}: one request needs about {least:,.0f} MiB (weights "
        f"{fit.weights_mib:,.0f}), and {fit.free_mib:,.0f} MiB are free. Free memory, choose a smaller dtype "
        "(--dtype bfloat16), or another device."
    )
