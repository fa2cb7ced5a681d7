"""Visual tokens of images, kept while memory allows: many questions ask about the same picture."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

MIB = 2**20


class FeatureStore:
    """Least recently used features go first once the budget is full.

    Args:
        budget_mib: how much to keep, in MiB of feature tensors; 0 keeps nothing.
    """

    def __init__(self, budget_mib: float) -> None:
        self._budget_bytes = int(budget_mib * MIB)
        self._used_bytes = 0
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._kept

    def get(self, sha256: str) -> Tensor | None:
        """Features of an image by the digest of its encoded bytes, (query_num, hidden)."""
        features = self._kept.get(sha256)
        if features is not None:
            self._kept.move_to_end(sha256)
        return features

    def put(self, sha256: str, features: Tensor) -> None:
        """Keep features; the tensor must own its memory (a row of a batch would keep the whole batch alive)."""
        if features.nbytes > self._budget_bytes or sha256 in self._kept:
            return
        self._kept[sha256] = features
        self._used_bytes += features.nbytes
        while self._used_bytes > self._budget_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._used_bytes -= oldest.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._used_bytes = 0
