"""Rotary position embedding, with its angles kept in a table."""

from __future__ import annotations

import torch
from torch import Tensor


class Rotation:
    """Rotary angles by position (Su et al. 2021, RoFormer), computed in fp32 once and looked up."""

    def __init__(self, inverse_frequencies: Tensor) -> None:
        self._inverse = inverse_frequencies  # (head_dim / 2,)
        self._cosine = self._sine = torch.empty(0)
        self._tables: list[Tensor] = []  # recorded steps go on reading the tables that they were recorded with

    def at(self, positions: Tensor, highest: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine, (..., 1, head_dim / 2) each; ``highest`` position asked for."""
        if highest >= len(self._cosine) or self._cosine.dtype != dtype or self._cosine.device != positions.device:
            size = max(2048, 2 * highest)
            angles = torch.arange(size, device=positions.device)[:, None] * self._inverse.to(positions.device).float()
            self._cosine, self._sine = angles.cos().to(dtype), angles.sin().to(dtype)
            self._tables += [self._cosine, self._sine]
        return self._cosine[positions].unsqueeze(-2), self._sine[positions].unsqueeze(-2)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the halves of each head against each other, (..., heads, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    out = torch.empty_like(x)
    left, right = out.chunk(2, dim=-1)
    torch.mul(a, cosine, out=left).addcmul_(b, sine, value=-1)
    torch.mul(b, cosine, out=right).addcmul_(a, sine)
    return out
