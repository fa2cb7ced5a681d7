"""What the adapters of the image model and of the text model have in common: loading, identity, memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_adapters.contract import AdapterError, ModelAdapter, Request, Response
from model_adapters.omnilmm.engine import Engine, EngineOptions
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.tensor_files import open_tensor_files

ADAPTER_VERSION = "1"
MIB = 2**20
MODES = ("fast", "reference")
# Options of the engine that cannot change an answer (beyond rounding) and are no part of a model's identity.
_SPEED_ONLY = ("batch_size", "vision_batch_size", "feature_cache_mib", "share_prefix")


class CheckpointAdapter(ModelAdapter):
    """An adapter around a loaded checkpoint and its engine."""

    name: str

    def __init__(self, model: OmniLMM | MiniCPM, folder: Path, options: EngineOptions) -> None:
        self.model = model
        self.engine = Engine(model, options)
        self._folder = folder
        self._module: nn.Module = model if isinstance(model, OmniLMM) else model.llm
        parameters = list(self._module.parameters())  # a tied matrix is counted once
        self._identity = {
            "adapter": self.name,
            "adapter_version": ADAPTER_VERSION,
            "model": folder.resolve().name,
            "weights": weights_fingerprint(open_tensor_files(folder)),
            "config": _sha256(folder / "config.json"),
            "tokenizer": _sha256(folder / "tokenizer.model"),
            "dtype": str(parameters[0].dtype).removeprefix("torch."),
            "device": parameters[0].device.type,
            "parameters": sum(parameter.numel() for parameter in parameters),
            **{key: value for key, value in asdict(options).items() if key not in _SPEED_ONLY},
        }
        self._weights_bytes = sum(parameter.nbytes for parameter in parameters)
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats(self._module_device)

    def identity(self) -> Mapping[str, Any]:
        """Names, digests and every option that can change an answer."""
        return dict(self._identity)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests in batches."""
        return self.engine.generate(requests)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihood of each request's choices."""
        return self.engine.score_choices(requests)

    def memory_mib(self) -> Mapping[str, float | None]:
        """Device memory in MiB; peaks are known on CUDA only."""
        peaks: dict[str, float | None] = {"peak_allocated_mib": None, "peak_reserved_mib": None}
        if self._on_cuda:
            peaks["peak_allocated_mib"] = torch.cuda.max_memory_allocated(self._module_device) / MIB
            peaks["peak_reserved_mib"] = torch.cuda.max_memory_reserved(self._module_device) / MIB
        return {**peaks, "weights_mib": self._weights_bytes / MIB}

    def stop(self) -> None:
        """Let the batch in flight be the last one."""
        self.engine.stopped = True

    def close(self) -> None:
        """Free the model."""
        self.engine.close()
        on_cuda = self._on_cuda
        del self.model, self.engine, self._module
        if on_cuda:
            torch.cuda.empty_cache()

    @property
    def _module_device(self) -> torch.device:
        return next(self._module.parameters()).device

    @property
    def _on_cuda(self) -> bool:
        return self._module_device.type == "cuda"


def engine_options(mode: str, **options: Any) -> EngineOptions:
    """Options of the engine; ``reference`` turns off everything that only makes it faster.

    Raises:
        AdapterError: unknown mode.
    """
    if mode not in MODES:
        raise AdapterError(f"Unknown mode {mode!r}; expected one of {', '.join(MODES)}.")
    if mode == "reference":
        slow = {"batch_size": 1, "vision_batch_size": 1, "feature_cache_mib": 0.0, "share_prefix": False}
        options = {**options, **slow}
    return EngineOptions(**options)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
