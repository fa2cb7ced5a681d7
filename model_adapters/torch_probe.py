"""The probe of adapters that compute with torch: CUDA events, allocator statistics, counted FLOPs, traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_adapters.probe import Probe, RecordingClock, Span, StageClock, Work

MIB = 2**20
SNAPSHOT_EVENTS = 100_000


class CudaClock(RecordingClock):
    """Times the device's stages by pairs of CUDA events, which are read only after one final synchronisation."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def device(self, stage: str) -> Iterator[None]:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        stream = torch.cuda.current_stream(self._device)
        begin.record(stream)
        yield
        end.record(stream)
        self._events.append((stage, begin, end))

    def spans(self) -> list[Span]:
        torch.cuda.synchronize(self._device)
        return super().spans() + [Span(stage, begin.elapsed_time(end)) for stage, begin, end in self._events]


class TorchProbe(Probe):
    """A probe around a torch module.

    Args:
        module: the whole model.
        parts: stage name to the module whose calls are that stage (``vision``, ``resampler``).
        tell: called with the clock that the engine shall tell, or None.
        work: what the model computes, if its sizes say so.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        parts: Mapping[str, nn.Module],
        tell: Callable[[StageClock], None],
        work: Work | None = None,
    ) -> None:
        self._module, self._parts, self._tell, self._work = module, parts, tell, work
        self._hooks: list[Any] = []

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self._module.parameters()).device

    @property
    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def facts(self) -> Mapping[str, Any]:
        """Versions and switches of torch that can change a time."""
        found: dict[str, Any] = {
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "tf32_cudnn": torch.backends.cudnn.allow_tf32,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "attention": "sdpa",
        }
        if self._on_cuda:
            properties = torch.cuda.get_device_properties(self.device)
            found |= {
                "device_name": properties.name,
                "uuid": str(properties.uuid),
                "multiprocessors": properties.multi_processor_count,
                "compute_capability": f"{properties.major}.{properties.minor}",
                "cuda": torch.version.cuda,
                "cudnn": torch.backends.cudnn.version(),
            }
        return found

    def synchronise(self) -> None:
        if self._on_cuda:
            torch.cuda.synchronize(self.device)

    def listen(self, clock: StageClock | None) -> bool:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._tell(clock or StageClock())
        if isinstance(clock, RecordingClock):
            for stage, part in self._parts.items():
                self._hooks += _around(part, clock, stage)
        return True

    def stage_clock(self) -> RecordingClock:
        return CudaClock(self.device) if self._on_cuda else RecordingClock()

    def reset_peaks(self) -> None:
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def memory_mib(self) -> Mapping[str, float | None]:
        weights = sum(parameter.nbytes for parameter in self._module.parameters()) / MIB
        found: dict[str, float | None] = {"weights": weights}
        if self._on_cuda:
            found |= {
                "allocated": torch.cuda.memory_allocated(self.device) / MIB,
                "peak_allocated": torch.cuda.max_memory_allocated(self.device) / MIB,
                "peak_reserved": torch.cuda.max_memory_reserved(self.device) / MIB,
            }
        return found

    def work(self) -> Work | None:
        return self._work

    def counted_flops(self, run: Callable[[], object]) -> float | None:
        """By torch's counter: matrix products, convolutions and attention.

        The counter knows no attention kernel of the CPU and takes causal attention for a full square; both are put
        right. It does not see elementwise work, kernels that are no operators of torch, or replayed CUDA graphs.
        """
        from torch.utils.flop_counter import FlopCounterMode

        trained = [parameter for parameter in self._module.parameters() if parameter.requires_grad]
        for parameter in trained:  # the counter asks for gradients, which inference mode does not have
            parameter.requires_grad_(False)
        try:
            with FlopCounterMode(display=False, custom_mapping=_attention_counts()) as counter:
                run()
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)
        return float(counter.get_total_flops())

    @contextmanager
    def trace(self, path: Path) -> Iterator[bool]:
        """A Chrome trace of torch's profiler."""
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._on_cuda else [])]
        with profile(activities=activities, record_shapes=True) as recorded:
            yield True
        recorded.export_chrome_trace(str(path))

    @contextmanager
    def memory_snapshot(self, path: Path) -> Iterator[bool]:
        """The CUDA allocator's history, for pytorch.org/memory_viz; there is none on the CPU."""
        if not self._on_cuda:
            yield False
            return
        torch.cuda.memory._record_memory_history(max_entries=SNAPSHOT_EVENTS)
        try:
            yield True
            torch.cuda.memory._dump_snapshot(str(path))
        finally:
            torch.cuda.memory._record_memory_history(enabled=None)


def _attention_counts() -> dict[Any, Callable[..., int]]:
    """Operations of torch's attention kernels; the number is the place of ``is_causal`` among their arguments."""
    kernels = torch.ops.aten
    return {
        kernels._scaled_dot_product_flash_attention_for_cpu: _attention_count(4),
        kernels._scaled_dot_product_flash_attention: _attention_count(4),
        kernels._scaled_dot_product_efficient_attention: _attention_count(6),
        kernels._scaled_dot_product_cudnn_attention: _attention_count(6),
    }


def _attention_count(causal_at: int) -> Callable[..., int]:
    """Counts 4 · width for each pair of a query and a key that it sees: scores and mixing."""
    from torch.utils.flop_counter import sdpa_flop_count

    def count(*args: Any, out_val: Any = None, **options: Any) -> int:
        query, key, value = (tensor.shape for tensor in args[:3])
        flops: int = sdpa_flop_count(query, key, value)
        is_causal = options.get("is_causal", len(args) > causal_at and args[causal_at])
        n = query[-2]
        return flops * (n + 1) // (2 * n) if is_causal and n == key[-2] else flops

    count._get_raw = True  # type: ignore[attr-defined]  # to be given tensors and flags, not shapes
    return count


def _around(part: nn.Module, clock: RecordingClock, stage: str) -> list[Any]:
    """Hooks that put a module's calls between the clock's marks."""
    running: list[ExitStack] = []

    def before(*_: Any) -> None:
        stack = ExitStack()
        marks: AbstractContextManager[None] = clock.device(stage)
        stack.enter_context(marks)
        running.append(stack)

    def after(*_: Any) -> None:
        running.pop().close()

    return [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
