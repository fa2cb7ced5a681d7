"""Batches of requests to answers, through transformers' own ``generate``.

Greedy search and beams are the library's. Sampling is a greedy search over drawn tokens: after temperature, top-k and
top-p, each row draws from its own generator and all other tokens are ruled out, so that a seed gives the same answer in
any company, and torch's global generator is left alone. The repetition penalty covers generated tokens, not the prompt.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.streamers import BaseStreamer

from model_adapters.contract import GenerationSettings, Request
from model_adapters.transformers_models.processing import Encoded


@dataclass(slots=True)
class Generated:
    """What one batch gave.

    Attributes:
        ids: new tokens of each row, the end token included if it came.
        ended: whether a row ended by itself (end token or stop string).
        start_s, end_s: of the whole call, ``perf_counter``.
        token_s: when each step's tokens were on the host; empty for beams.
        vision_s: time in the vision tower and what follows it.
    """

    ids: list[list[int]] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    start_s: float = 0.0
    end_s: float = 0.0
    token_s: list[float] = field(default_factory=list)
    vision_s: float = 0.0


class VisionClock:
    """Times a model's way from pixels to image features, wherever the library has it under its usual name."""

    def __init__(self, model: Any) -> None:
        inner = getattr(model, "model", None)
        self.holder = next((part for part in (inner, model) if hasattr(part, "get_image_features")), None)
        self.spent_s = 0.0
        if self.holder is not None:
            self.holder.get_image_features = self._timed(self.holder.get_image_features)

    @property
    def is_there(self) -> bool:
        """Whether the stage could be found."""
        return self.holder is not None

    def remove(self) -> None:
        """Give the model its own method back."""
        if self.holder is not None:
            del self.holder.get_image_features

    def _timed(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(plain)  # generate looks at the signature to know which inputs it takes
        def timed(*arguments: Any, **options: Any) -> Any:
            wait()
            start = time.perf_counter()
            features = plain(*arguments, **options)
            wait()
            self.spent_s += time.perf_counter() - start
            return features

        return timed


class TokenTimes(BaseStreamer):
    """Notes when each step's tokens reach the host; the first call brings the prompt."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self._prompt = True

    def put(self, value: Tensor) -> None:
        """Called by ``generate`` with ids on the host."""
        if not self._prompt:
            self.times_s.append(time.perf_counter())
        self._prompt = False

    def end(self) -> None:
        """Nothing is left to be told."""


class Draw(LogitsProcessor):
    """Leaves one drawn token a row; comes after the warpers."""

    def __init__(self, seeds: Sequence[tuple[int, str]]) -> None:
        self._generators = [_generator(seed, name) for seed, name in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, vocabulary) scores to 0 for the drawn token and -inf for the others."""
        lines = scores.float().softmax(dim=-1).cpu()  # drawn on the host, so that a seed means the same on each device
        drawn = [torch.multinomial(line, 1, generator=g) for line, g in zip(lines, self._generators, strict=True)]
        return torch.full_like(scores, -torch.inf).scatter_(1, torch.stack(drawn).to(scores.device), 0.0)


class StopStrings(StoppingCriteria):
    """Ends a row once its new text holds one of the strings."""

    def __init__(self, decode: Callable[[list[int]], str], stop: tuple[str, ...], columns: int) -> None:
        self._decode, self._stop, self._columns = decode, tuple(end for end in stop if end), columns

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        """(rows,) bool."""
        texts = [self._decode(row) for row in input_ids[:, self._columns :].tolist()]
        done = [any(end in text for end in self._stop) for text in texts]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


def generate(
    model: Any,
    tokenizer: Any,
    encoded: Encoded,
    requests: Sequence[Request],
    clock: VisionClock,
    *,
    ignore_end: bool = False,
) -> Generated:
    """Answer one batch; all requests have the same settings.

    Args:
        ignore_end: generate exactly ``max_new_tokens`` (for measurements of speed).
    """
    settings = requests[0].generation
    inputs = on_device(encoded, model)
    columns = encoded.inputs["input_ids"].shape[1]
    options: dict[str, Any] = {
        "max_new_tokens": settings.max_new_tokens,
        "num_beams": settings.num_beams,
        "do_sample": False,
        "pad_token_id": tokenizer.pad_token_id,
        "logits_processor": logits_processors(settings, [request.request_id for request in requests], columns),
    }
    times = TokenTimes() if settings.num_beams == 1 else None
    if times is not None:
        options["streamer"] = times
    if ignore_end:
        options["min_new_tokens"] = settings.max_new_tokens
    if settings.stop and settings.num_beams == 1 and not ignore_end:
        options["stopping_criteria"] = StoppingCriteriaList(
            [StopStrings(lambda ids: tokenizer.decode(ids, skip_special_tokens=True), settings.stop, columns)]
        )
    clock.spent_s = 0.0
    found = Generated(start_s=time.perf_counter())
    sequences = model.generate(**inputs, **options)
    wait()
    found.end_s = time.perf_counter()
    found.token_s = times.times_s if times is not None else []
    found.vision_s = clock.spent_s
    ends = end_ids(model)
    for row in sequences[:, columns:].tolist():
        ids, ended = until_end(row, frozenset() if ignore_end else ends)
        text = tokenizer.decode(ids, skip_special_tokens=True) if settings.stop else ""
        stopped = any(end in text for end in settings.stop if end)
        if stopped and not ended and settings.num_beams == 1:  # padded behind its stop string
            ids = _until_stop(ids, settings.stop, tokenizer)
        found.ids.append(ids)
        found.ended.append(ended or stopped)
    return found


def logits_processors(settings: GenerationSettings, names: Sequence[str], columns: int) -> LogitsProcessorList:
    """What is done to the scores before the best token is taken.

    Args:
        names: request ids, for the seeds.
        columns: of the prompt, which the penalty leaves out.
    """
    made = LogitsProcessorList()
    if settings.repetition_penalty != 1.0:
        made.append(RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty), prompt_ignore_length=columns))
    if settings.do_sample:
        if settings.temperature != 1.0:
            made.append(TemperatureLogitsWarper(float(settings.temperature)))
        if settings.top_k > 0:
            made.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1.0:
            made.append(TopPLogitsWarper(float(settings.top_p)))
        made.append(Draw([(settings.seed, name) for name in names]))
    return made


def on_device(encoded: Encoded, model: Any) -> dict[str, Any]:
    """A batch's tensors where the model wants them, pictures in its number format."""
    moved = {}
    for name, value in encoded.inputs.items():
        if isinstance(value, Tensor):
            value = value.to(model.device, model.dtype if value.is_floating_point() else None)
        moved[name] = value
    return moved


def end_ids(model: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    found = model.generation_config.eos_token_id
    return frozenset([found] if isinstance(found, int) else found or [])


def until_end(row: list[int], ends: frozenset[int]) -> tuple[list[int], bool]:
    """A row up to its end token, and whether there was one."""
    for at, token in enumerate(row):
        if token in ends:
            return row[: at + 1], True
    return row, False


def wait() -> None:
    """Let the device finish, so that a time is a stage's own."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _until_stop(ids: list[int], stop: tuple[str, ...], tokenizer: Any) -> list[int]:
    """The shortest beginning whose text holds a stop string."""
    for length in range(1, len(ids)):
        text = tokenizer.decode(ids[:length], skip_special_tokens=True)
        if any(end in text for end in stop if end):
            return ids[:length]
    return ids


def _generator(seed: int, name: str) -> torch.Generator:
    """A generator of the request's own, so that a sampled answer does not depend on the company it was drawn in."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
