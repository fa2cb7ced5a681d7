"""Checkpoints averaged tensor by tensor (a "soup" of fine-tunes: Wortsman et al. 2022, https://arxiv.org/abs/2203.05482)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.shipped import resolve_checkpoint
from model_adapters.omnilmm.tensor_files import TensorFile, open_tensor_files


@dataclass(frozen=True, slots=True)
class Part:
    """One checkpoint of a mean, and its share of it; the shares of all parts sum to 1."""

    folder: Path
    share: float


class MeanFile:
    """Weight files of the same names and shapes, read as their weighted mean in float32."""

    def __init__(self, parts: Sequence[tuple[Mapping[str, TensorFile], float]]) -> None:
        self._parts = parts
        self.path = next(iter(parts[0][0].values())).path
        self.shapes: Mapping[str, tuple[int, ...]] = {name: file.shapes[name] for name, file in parts[0][0].items()}

    def read(self, name: str) -> Tensor:
        """sum(share * tensor), summed in float64 so that the order of the parts does not matter."""
        total = torch.zeros(self.shapes[name], dtype=torch.float64)
        for files, share in self._parts:
            total += files[name].read(name).double() * share
        return total.float()


def read_parts(text: str) -> tuple[Part, ...]:
    """``a,b`` (equal shares) or ``a:0.25,b:0.75``; names of shipped checkpoints or folders.

    Raises:
        AdapterError: fewer than two checkpoints, an unknown one, or shares that are given for some only, are not
            positive or do not sum to a positive number.
    """
    names, weights = [], []
    for piece in text.split(","):
        name, colon, number = piece.strip().rpartition(":")
        try:
            weights.append(float(number) if colon else None)
            names.append(name if colon else number)
        except ValueError:  # the colon belongs to the path
            weights.append(None)
            names.append(piece.strip())
    given = [weight for weight in weights if weight is not None]
    if len(names) < 2 or not all(names):
        raise AdapterError(
            f"average={text!r}: expected two checkpoints or more, as in average=small-early,small-final."
        )
    if given and (len(given) < len(names) or not all(math.isfinite(w) and w > 0 for w in given)):
        raise AdapterError(
            f"average={text!r}: expected a positive weight for each checkpoint, as in average=first:0.3,second:0.7, or "
            "none at all."
        )
    shares = given or [1.0] * len(names)
    return tuple(Part(resolve_checkpoint(name), share / sum(shares)) for name, share in zip(names, shares, strict=True))


def open_mean(parts: Sequence[Part]) -> tuple[dict[str, TensorFile], str]:
    """The files of a mean, and its fingerprint.

    Raises:
        AdapterError: checkpoints whose tensors or tokenizers differ.
    """
    opened = [open_tensor_files(part.folder) for part in parts]
    shapes = [{name: tuple(file.shapes[name]) for name, file in files.items()} for files in opened]
    for part, own in zip(parts[1:], shapes[1:], strict=True):
        odd = sorted(name for name in own.keys() | shapes[0].keys() if own.get(name) != shapes[0].get(name))
        if odd:
            raise AdapterError(
                f"{parts[0].folder.name} and {part.folder.name} cannot be averaged: {len(odd)} tensors differ in name "
                f"or shape, e.g. {odd[0]} ({shapes[0].get(odd[0], 'absent')} and {own.get(odd[0], 'absent')})."
            )
        if (part.folder / "tokenizer.model").read_bytes() != (parts[0].folder / "tokenizer.model").read_bytes():
            raise AdapterError(
                f"{parts[0].folder.name} and {part.folder.name} cannot be averaged: their tokenizer.model differ, so "
                "the same row of an embedding means different words."
            )
    digest = hashlib.sha256(b"mean")
    for line in sorted(
        f"{weights_fingerprint(files)} {part.share!r}" for files, part in zip(opened, parts, strict=True)
    ):
        digest.update(line.encode())
    mean = MeanFile([(files, part.share) for files, part in zip(opened, parts, strict=True)])
    return dict.fromkeys(mean.shapes, mean), digest.hexdigest()
