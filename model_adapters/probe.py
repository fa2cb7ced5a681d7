"""What a profiler may ask of a loaded adapter: clocks for its stages, its device's memory, what its work costs.

The harness imports no torch; whatever must touch a device stands behind :class:`Probe`. The one here knows the host
only and is what an adapter has that brings none of its own: its GPU-only numbers are null.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Stages in the order in which a request takes them. The first two run on the host, in threads beside each other.
STAGES = ("image_decode", "resize", "h2d", "vision", "resampler", "prefill", "decode")
_NOTHING = nullcontext()


class StageClock:
    """Told by an adapter where a stage begins and ends and when tokens came. This one does not listen."""

    def host(self, stage: str) -> AbstractContextManager[None]:
        """Around work that the host does."""
        return _NOTHING

    def device(self, stage: str) -> AbstractContextManager[None]:
        """Around work that the device does."""
        return _NOTHING

    def tokens(self, request_id: str, times_s: Sequence[float]) -> None:
        """When each token of a request was on the host, in seconds of ``time.perf_counter``."""


class TokenClock(StageClock):
    """Listens to tokens only: it costs nothing that a clean measurement would notice.

    Attributes:
        token_s: request id to the times of its tokens.
    """

    def __init__(self) -> None:
        self.token_s: dict[str, tuple[float, ...]] = {}

    def tokens(self, request_id: str, times_s: Sequence[float]) -> None:
        self.token_s[request_id] = tuple(times_s)


@dataclass(frozen=True, slots=True)
class Span:
    """One time that a stage ran."""

    stage: str
    ms: float


class RecordingClock(TokenClock):
    """Times every stage by the host's clock; for an adapter that computes on the host."""

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[Span] = []  # appended to by threads, too; that is atomic

    @contextmanager
    def host(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._spans.append(Span(stage, (time.perf_counter() - start) * 1000.0))

    def device(self, stage: str) -> AbstractContextManager[None]:
        return self.host(stage)

    def spans(self) -> list[Span]:
        """All spans; to be read once, after the device has finished."""
        return list(self._spans)


@dataclass(frozen=True, slots=True)
class Work:
    """What a model must compute and read, by formula from its sizes.

    Attributes:
        vision_flops: of one image through vision tower and resampler.
        token_flops: of one token through the layers of the language model, without attention's scores.
        head_flops: of one token through the head.
        attention_flops: of one token per token of context that it sees (itself among them), in all layers.
        step_weight_bytes: read by one decoding step, whatever the batch: layers and head, no embedding table.
        kv_bytes_per_token: keys and values of one token in all layers.
        vision_weight_bytes: of vision tower and resampler.
        spared_flops, spared_attention_flops: the share of ``token_flops`` and ``attention_flops`` that only a prompt's
            last token takes, because nobody reads what the last layer would make of the others; 0 where all take it.
    """

    vision_flops: float
    token_flops: float
    head_flops: float
    attention_flops: float
    step_weight_bytes: float
    kv_bytes_per_token: float
    vision_weight_bytes: float
    spared_flops: float = 0.0
    spared_attention_flops: float = 0.0

    def prefill_flops(self, tokens: float) -> float:
        """Reading a prompt of so many tokens, causal, with one row of logits."""
        others = tokens - 1
        whole = self.token_flops * tokens + self.attention_flops * tokens * (tokens + 1) / 2 + self.head_flops
        return whole - self.spared_flops * others - self.spared_attention_flops * others * tokens / 2

    def decode_flops(self, context: float) -> float:
        """One token of one sequence that sees so many tokens, itself among them."""
        return self.token_flops + self.head_flops + self.attention_flops * context


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model will need on its device, estimated before it is loaded.

    Attributes:
        device: where it would be loaded; weights_bytes: all parameters in the chosen dtype.
        kv_bytes_per_token: of one row. activation_bytes_per_row: of one more row in a batch, at ``tokens_per_row``.
        fixed_bytes: whatever the batch (a vision batch, context and libraries of the device).
        tokens_per_row: context that one row was counted with.
        free_bytes, total_bytes: of the device now; None where it cannot be known.
        uuid: of a CUDA device, so that its state can be seen before anything is loaded.
    """

    device: str
    weights_bytes: int
    kv_bytes_per_token: int
    activation_bytes_per_row: int
    fixed_bytes: int
    tokens_per_row: int
    free_bytes: int | None
    total_bytes: int | None
    uuid: str | None = None


class Probe:
    """A profiler's view of a loaded adapter. Each method may answer "unknown" (None, False, nothing)."""

    def facts(self) -> Mapping[str, Any]:
        """Device and library settings that can change a time: uuid, versions, TF32, attention, determinism."""
        return {}

    def synchronise(self) -> None:
        """Wait until the device has finished what it was given."""

    def listen(self, clock: StageClock | None) -> bool:
        """Let the adapter tell this clock about stages and tokens, or nobody (None); False if it tells nothing."""
        return False

    def stage_clock(self) -> RecordingClock:
        """A clock that suits the device."""
        return RecordingClock()

    def set_batch_size(self, size: int) -> bool:
        """Compute this many rows at a time from now on; False if the adapter cannot change it."""
        return False

    def fixed_length(self, on: bool) -> bool:
        """Generate exactly ``max_new_tokens``, end tokens or not; False if the adapter cannot."""
        return False

    def beams(self, asked: int) -> int:
        """Beams that a request for so many is decoded with: another number where the adapter has a way of its own."""
        return asked

    def forget(self) -> None:
        """Drop whatever was kept from earlier requests, so that repeated ones are computed again."""

    def reset_peaks(self) -> None:
        """Begin a new peak of device memory."""

    def memory_mib(self) -> Mapping[str, float | None]:
        """``allocated``, ``peak_allocated``, ``peak_reserved`` and ``weights`` in MiB (2**20 bytes)."""
        return {}

    def work(self) -> Work | None:
        """What the model computes and reads."""
        return None

    def counted_flops(self, run: Callable[[], object]) -> float | None:
        """Floating point operations of a call, counted while it runs (slowly)."""
        return None

    def trace(self, path: Path) -> AbstractContextManager[bool]:
        """Write a trace of what runs inside; gives False where there is no tracer."""
        return nullcontext(False)

    def memory_snapshot(self, path: Path) -> AbstractContextManager[bool]:
        """Write the allocator's history of what runs inside; gives False where there is none."""
        return nullcontext(False)
