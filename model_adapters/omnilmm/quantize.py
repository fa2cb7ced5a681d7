"""Weight-only quantisation by torchao: matrices in 8 or 4 bits, activations in the model's own number format.

``int8``: symmetric, one scale an output row. ``int4``: symmetric, one scale a group of 32 inputs; torchao keeps the
values one a byte where it has no packed kernel (every CPU), so that it shows what four bits do to answers, and saves no
more memory than ``int8``.

What stays as it is: the resampler (its raw matrices and its joint attention take no quantised weight), embeddings and
the head, norms, and the vision tower unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from model_adapters.contract import AdapterError, did_you_mean

KINDS = ("int8", "int4")
GROUP = 32  # inputs that share a scale; less where a matrix is not divisible by it
_LANGUAGE, _VISION = ("llm.model.layers.", "model.layers."), "vpm."


def check_kind(kind: str | None) -> None:
    """Raises :class:`AdapterError`: unknown kind of quantisation, or torchao is not installed."""
    if kind is None:
        return
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise AdapterError(f"quantize={kind!r}: no such number format.{hint} Expected {' or '.join(KINDS)}.")
    _torchao()


def quantize_model(module: nn.Module, kind: str, *, vision: bool = False) -> dict[str, Any]:
    """Quantise a loaded model's matrices in place.

    Args:
        module: an OmniLMM, or a text decoder.
        kind: one of :data:`KINDS`.
        vision: the vision tower's matrices, too.

    Returns:
        What belongs into the model's identity.
    """
    prefixes = (*_LANGUAGE, *([_VISION] if vision else []))
    return quantize_linear(module, kind, lambda name: name.startswith(prefixes)) | {"quantize_vision": vision}


def quantize_linear(module: nn.Module, kind: str, chosen: Callable[[str], bool]) -> dict[str, Any]:
    """Quantise the linear layers whose names are chosen, in place; returns what belongs into the model's identity."""
    check_kind(kind)
    torchao = _torchao()
    if kind == "int8":
        torchao.quantize_(
            module,
            torchao.Int8WeightOnlyConfig(),
            filter_fn=lambda part, name: isinstance(part, nn.Linear) and chosen(name),
        )
    else:
        from torchao.quantization.granularity import PerGroup

        linear = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear) and chosen(name)}
        groups = {name: math.gcd(part.in_features, GROUP) for name, part in linear.items()}
        for group in sorted(set(groups.values())):
            config = torchao.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(group))
            torchao.quantize_(module, config, filter_fn=lambda _, name, group=group: groups.get(name) == group)
    return {"quantize": kind, "quantize_library": f"torchao {version('torchao')}"}


def stored_bytes(tensor: torch.Tensor) -> int:
    """Memory of a parameter; of a quantised one, of its values and scales."""
    if type(tensor) in (torch.Tensor, nn.Parameter) or not hasattr(tensor, "__tensor_flatten__"):
        return tensor.nbytes
    names, _ = tensor.__tensor_flatten__()
    return sum(stored_bytes(getattr(tensor, name)) for name in names)


def _torchao() -> Any:
    try:
        from torchao import quantization
    except ImportError as error:
        raise AdapterError(
            "Quantising needs the package torchao, which is not installed. Install it with: "
            "pip install 'omnilmm-eval[quantize]'"
        ) from error
    return quantization
