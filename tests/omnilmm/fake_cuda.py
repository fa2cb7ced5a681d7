"""A CUDA device that is not there: torch's fake tensors have shape, format and device, and compute nothing.

Code for CUDA runs on them as it would on a card as far as devices go: a tensor of the host among those of the card, or
a number read back from the card, is an error. A build of torch without CUDA lacks a few pieces that are not of the
dispatcher (indexing, ``contiguous``, attention); they are played here by operators that are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda:0")
_ATEN = torch.ops.aten


class _Played(TorchFunctionMode):
    """Indexing, contiguous and attention by plain operators."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.tensor and torch.device((kwargs or {}).get("device") or "cpu").type == "cuda":
            made = np.asarray(args[0])  # its numbers are not kept: a card's would have to be read back
            kind = {"i": torch.int64, "b": torch.bool, "f": torch.float32}[made.dtype.kind]
            return torch.empty(made.shape, dtype=kind, device=kwargs["device"])
        if function is Tensor.__getitem__:
            return _get(*args)
        if function is Tensor.__setitem__:
            return _set(*args)
        if function is Tensor.contiguous:
            return args[0] if args[0].is_contiguous() else args[0].clone(memory_format=torch.contiguous_format)
        if function is Tensor.__invert__:
            return _ATEN.bitwise_not(args[0])
        if function is Tensor.copy_:
            return _copy(*args, **(kwargs or {}))
        if function is nn.functional.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


@contextmanager
def fake_cuda(*, reads: bool = False) -> Iterator[None]:
    """Inside, tensors can be made on CUDA; reading numbers back from it is an error, or with ``reads`` zeros."""
    before = FakeTensor.tolist
    if reads:
        FakeTensor.tolist = lambda tensor: np.zeros(tensor.shape, dtype=int).tolist()
    try:
        with FakeTensorMode(), _Played(), torch.inference_mode():
            yield
    finally:
        FakeTensor.tolist = before


def to_cuda(module: nn.Module) -> nn.Module:
    """The module itself with all its tensors on the card; inside :func:`fake_cuda`."""
    for part in module.modules():
        for name, old in list(part._parameters.items()):
            if old is not None:
                part._parameters[name] = nn.Parameter(_there(old), requires_grad=False)
        for name, old in list(part._buffers.items()):
            if old is not None:
                part._buffers[name] = _there(old)
    return module


def _there(old: Tensor) -> Tensor:
    return torch.empty(old.shape, dtype=old.dtype, device=CUDA)


def _split(tensor: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None]]:
    """A view by slices, numbers and None, and the tensors that it is further indexed with, by dimension."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in [k for k in keys if not isinstance(k, Tensor)]:
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        used = sum(k is not None and k is not Ellipsis for k in keys)
        keys[at : at + 1] = [slice(None)] * (tensor.dim() - used)
    indices: list[Tensor | None] = []
    dim = 0
    for k in keys:
        if k is None:
            tensor = tensor.unsqueeze(dim)
        elif isinstance(k, int):
            tensor = tensor.select(dim, k)
            continue
        elif isinstance(k, slice):
            tensor = _ATEN.slice(tensor, dim, k.start, k.stop, k.step or 1)
        else:
            index = torch.tensor(k) if isinstance(k, list) else k
            # indices of the host are taken by a card's tensor, too: torch copies them
            indices += [None] * (dim - len(indices)) + [index.to(tensor.device)]
        dim += 1
    return tensor, indices


def _get(tensor: Tensor, key: Any) -> Tensor:
    view, indices = _split(tensor, key)
    return _ATEN.index(view, indices) if indices else view


def _set(tensor: Tensor, key: Any, value: Any) -> None:
    view, indices = _split(tensor, key)
    if indices:
        _ATEN.index_put_(view, indices, value if isinstance(value, Tensor) else torch.full((), value).to(view))
    elif isinstance(value, Tensor):
        _copy(view, value)


def _copy(target: Tensor, source: Tensor, **_: Any) -> Tensor:
    """Copies go from any device to any other; shapes must fit."""
    source.expand(target.shape)
    return target


def _attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, enable_gqa: bool = False, **_: Any
) -> Tensor:
    """Shapes and devices of attention."""
    if enable_gqa:
        k, v = (one.repeat_interleave(q.shape[1] // one.shape[1], 1) for one in (k, v))
    scores = q @ k.transpose(-1, -2)
    if attn_mask is not None:
        assert attn_mask.dtype in (torch.bool, q.dtype)
        scores = torch.add(scores, attn_mask)
    return (scores.softmax(-1) @ v).to(q.dtype)
