"""What the adapters of the image model and of the text model have in common: loading, identity, memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_adapters.contract import AdapterError, Batching, ModelAdapter, Request, Response
from model_adapters.omnilmm.average import read_parts
from model_adapters.omnilmm.config import OmniLMMConfig, read_language_config
from model_adapters.omnilmm.costs import footprint_of, work_of
from model_adapters.omnilmm.devices import resolve_device, resolve_dtype
from model_adapters.omnilmm.engine import ORIGINAL_DECODING, Engine, EngineOptions
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.following import Follower, OnText
from model_adapters.omnilmm.layout import MiniCPMLayout, OmniLMMLayout
from model_adapters.omnilmm.lora import open_lora
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.quantize import stored_bytes
from model_adapters.omnilmm.shipped import DEFAULT, resolve_checkpoint
from model_adapters.omnilmm.tensor_files import open_tensor_files
from model_adapters.probe import Footprint, StageClock
from model_adapters.torch_probe import TorchProbe

ADAPTER_VERSION = "1"
MIB = 2**20
MODES = ("fast", "plain", "reference")
# Options of the engine that cannot change an answer (beyond rounding) and are no part of a model's identity.
_SPEED_ONLY = ("batch_size", "vision_batch_size", "feature_cache_mib", "share_prefix", "graphs")


class CheckpointAdapter(ModelAdapter):
    """An adapter around a loaded checkpoint and its engine."""

    name: str

    def __init__(
        self, model: OmniLMM | MiniCPM, folder: Path, options: EngineOptions, variant: Mapping[str, Any] | None = None
    ) -> None:
        self.model = model
        self.engine = Engine(model, options)
        self._folder = folder
        self._module: nn.Module = model if isinstance(model, OmniLMM) else model.llm
        parameters = list(self._module.parameters())  # a tied matrix is counted once
        self._identity = {
            "adapter": self.name,
            "adapter_version": ADAPTER_VERSION,
            "model": folder.resolve().name,
            "weights": (variant or {}).get("weights") or weights_fingerprint(open_tensor_files(folder)),
            "config": _sha256(folder / "config.json"),
            "tokenizer": _sha256(folder / "tokenizer.model"),
            "dtype": str(parameters[0].dtype).removeprefix("torch."),
            "device": parameters[0].device.type,
            "device_name": torch.cuda.get_device_name(parameters[0].device) if parameters[0].is_cuda else None,
            "parameters": sum(parameter.numel() for parameter in parameters),
            **{key: value for key, value in asdict(options).items() if key not in _SPEED_ONLY},
            **(variant or {}),  # what was done to the folder's weights
        }
        self._weights_bytes = sum(map(stored_bytes, parameters))
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats(self._module_device)

    def identity(self) -> Mapping[str, Any]:
        """Names, digests and every option that can change an answer."""
        return dict(self._identity)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests in batches."""
        return self.engine.generate(requests)

    def stream(self, requests: Iterable[Request], on_text: OnText) -> Iterator[Response]:
        """Answer requests in batches, and tell each answer token by token (beams: when it is there)."""
        follower = Follower(on_text)
        for response in self.engine.generate(requests, follower):
            follower.finished(response)
            yield response

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

    def batching(self) -> Batching:
        """Rows computed at a time, and each time that memory was full."""
        return self.engine.batching

    def probe(self) -> EngineProbe:
        """Clocks and counters around this adapter's engine."""
        return EngineProbe(self.model, self.engine)

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

    @classmethod
    def verify_weights(
        cls, checkpoint: str = DEFAULT, average: str | None = None, lora: str | None = None, **_: Any
    ) -> str | None:
        """Read the checkpoint's tensors again, or those of all checkpoints of a mean, and those of a LoRA adapter."""
        folders = [part.folder for part in read_parts(average)] if average else [resolve_checkpoint(checkpoint)]
        found = [weights_fingerprint(open_tensor_files(folder), verify=True) for folder in folders]
        if lora is not None:
            found.append(f"lora {weights_fingerprint(open_lora(Path(lora).expanduser()), verify=True)}")
        return ", ".join(found)

    @property
    def _module_device(self) -> torch.device:
        return next(self._module.parameters()).device

    @property
    def _on_cuda(self) -> bool:
        return self._module_device.type == "cuda"


class EngineProbe(TorchProbe):
    """The probe of a model and the engine that answers with it."""

    def __init__(self, model: OmniLMM | MiniCPM, engine: Engine) -> None:
        self._engine = engine
        with_images = isinstance(model, OmniLMM)
        config = model.config if isinstance(model, OmniLMM) else model.llm.language_config
        super().__init__(
            model if isinstance(model, OmniLMM) else model.llm,
            parts={"vision": model.vpm, "resampler": model.resampler} if with_images else {},
            tell=self._set_clock,
            work=work_of(config, model.llm.dtype),
        )

    def set_batch_size(self, size: int) -> bool:
        self._engine.set_batch_size(size)
        return True

    def fixed_length(self, on: bool) -> bool:
        self._engine.ignore_end = on
        return True

    def beams(self, asked: int) -> int:
        return int(ORIGINAL_DECODING["num_beams"]) if self._engine.options.original_decoding else asked

    def forget(self) -> None:
        self._engine.forget()

    def counted_flops(self, run: Callable[[], object]) -> float | None:
        """Steps run one by one meanwhile: the counter does not see recorded ones."""
        with self._engine.eager():
            return super().counted_flops(run)

    def _set_clock(self, clock: StageClock) -> None:
        self._engine.clock = clock


def checkpoint_footprint(folder: Path, dtype: str, device: str, vision_batch: int) -> Footprint:
    """Memory that a checkpoint would take, from its config alone.

    Raises:
        AdapterError: an unknown dtype or device, or one that is not there; a config that cannot be read.
    """
    where = resolve_device(device)
    kind = resolve_dtype(dtype, where)
    if json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") == "minicpm":
        language = read_language_config(folder / "config.json")
        return footprint_of(language, MiniCPMLayout(language), kind, where, vision_batch)
    config = OmniLMMConfig.from_json(folder / "config.json")
    return footprint_of(config, OmniLMMLayout(config), kind, where, vision_batch)


def engine_options(mode: str, **options: Any) -> EngineOptions:
    """Options of the engine for a mode.

    ``fast`` shares and batches; ``plain`` turns off everything that only makes it faster and answers one request at a
    time with its own settings; ``reference`` is plain with the decoding of the original ``chat``: three beams and a
    repetition penalty of 1.2 by transformers' ``generate``, whatever the task says (unless it samples).

    Raises:
        AdapterError: unknown mode.
    """
    if mode not in MODES:
        raise AdapterError(f"Unknown mode {mode!r}; expected one of {', '.join(MODES)}.")
    if mode != "fast":
        slow = {"batch_size": 1, "vision_batch_size": 1, "feature_cache_mib": 0.0, "share_prefix": False}
        options = {**options, **slow, "original_decoding": mode == "reference"}
    return EngineOptions(**options)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
