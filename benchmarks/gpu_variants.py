"""Ways of computing that only a card can judge, each measured beside the one in use; none is part of the model's code.

- vision attention: heads of 72 as they are, or padded with zeros to 80 (or more), which is the same function;
- decoding steps: recorded as a CUDA graph (in use), not recorded, or compiled by torch.compile and then recorded;
- columns of recorded steps: room in multiples of 256 (in use) or of 64;
- pictures encoded at a time: 32 (in use), 16 or 64.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_limits import Peaks
from benchmarks.gpu_scenarios import Scenario
from model_adapters.omnilmm import graphs
from model_adapters.omnilmm.devices import wait_for
from model_adapters.omnilmm.engine import Engine, EngineOptions
from model_adapters.omnilmm.modeling import OmniLMM

_recorded = graphs.recorded  # the real one, while a variant stands in its place
ROUNDS = 20
PICTURES = 32
Run = Callable[..., dict[str, Any]]
Recorder = Callable[[Callable[[], None], torch.device], Callable[[], None]]


@dataclass(frozen=True)
class Variant:
    """One way. The first of a group is the one that the others are held against.

    Attributes:
        measure: gives the value, in ``unit``, and results as numbers or digests.
        compare: says in words how results differ from those of the group's first.
    """

    group: str
    name: str
    unit: str
    measure: Callable[[], tuple[float, list[Any]]]
    compare: Callable[[list[Any], list[Any]], str]


def variants(model: OmniLMM, scenarios: Sequence[Scenario], seconds: float, run: Run) -> Iterator[Variant]:
    """All variants, in the order in which they are worth their time.

    Args:
        scenarios: as measured before; single-stream decoding and captions at a larger batch are taken from them.
        run: measures a scenario, see ``run_scenario`` of the report.
    """
    single = next(s for s in scenarios if s.name.startswith("decode"))
    caption = next(s for s in scenarios if s.name.startswith("caption"))
    head = model.config.vision.hidden_size // model.config.vision.num_attention_heads
    for width in (head, (head // 16 + 1) * 16, (head // 32 + 1) * 32):
        measure = partial(_vision, model, width, head)
        yield Variant("vision tower", f"heads of {head} in {width}", "pictures/s", measure, _gap)
    used, steps = graphs.COLUMNS, partial(_steps, model, seconds, run)
    for name, recorder, columns in (
        (f"recorded, columns in multiples of {used}", graphs.recorded, used),
        ("recorded, columns in multiples of 64", graphs.recorded, 64),
        ("not recorded", _eager, used),
    ):
        measure = partial(steps, caption, recorder, columns)
        yield Variant(f"steps: {caption.name}", name, _unit(caption), measure, _differing)
    short = next(s for s in scenarios if s.name.startswith("short answer") and s.batch > 1)
    for size in (32, 16, 64):
        options = EngineOptions(batch_size=short.batch, vision_batch_size=size)
        measure = partial(_answered, model, seconds, run, short, options)
        yield Variant("pictures at a time", str(size), _unit(short), measure, _differing)
    for name, recorder in (("recorded", graphs.recorded), ("not recorded", _eager), ("compiled, recorded", _compiled)):
        measure = partial(steps, single, recorder, used)  # compiling takes a minute or two: last
        yield Variant(f"steps: {single.name}", name, _unit(single), measure, _differing)


def reached_peaks(device: torch.device, n: int = 8192, mib: int = 1024) -> Peaks | None:
    """What this card reaches in a large bf16 product and in copying memory: operations and bytes a second.

    None where it has no room or no bf16 for it.
    """
    try:
        return _reached(device, n, mib)
    except RuntimeError:
        return None


def _reached(device: torch.device, n: int, mib: int) -> Peaks:
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    product_s = _best_s(lambda: a @ b, device)
    source = torch.empty(mib * 2**20, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy_s = _best_s(lambda: target.copy_(source), device)
    return 2.0 * n**3 / product_s, 2.0 * source.nbytes / copy_s  # a copy reads and writes


def padded_heads(tower: nn.Module, width: int) -> nn.Module:
    """A copy of the vision tower whose heads have ``width`` numbers, the further ones zero: the same function."""
    padded = copy.deepcopy(tower)
    for module in padded.modules():
        if not hasattr(module, "q_proj"):
            continue
        heads, old = module.num_heads, module.head_dim
        for name in ("q_proj", "k_proj", "v_proj"):
            linear = getattr(module, name)
            rows = _widened(linear.weight.view(heads, old, -1), 1, width).flatten(0, 1)
            bias = _widened(linear.bias.view(heads, old), 1, width).flatten()
            setattr(module, name, _linear(rows, bias))
        columns = _widened(module.out_proj.weight.view(-1, heads, old), 2, width).flatten(1)
        module.out_proj = _linear(columns, module.out_proj.bias)
        module.head_dim = width  # its scale stays that of the real width
    return padded


@torch.inference_mode()
def _vision(model: OmniLMM, width: int, head: int) -> tuple[float, list[float]]:
    """Pictures a second through the tower, and the features of the first picture's first patches."""
    side = model.config.image_size
    generator = torch.Generator().manual_seed(0)
    n = PICTURES if model.device.type == "cuda" else 2
    pixels = (torch.rand(n, 3, side, side, generator=generator) * 2 - 1).to(model.device, model.dtype)
    tower = model.vpm if width == head else padded_heads(model.vpm, width)
    features: list[float] = tower(pixels)[0, :8].flatten().tolist()
    return n / _best_s(lambda: tower(pixels), model.device), features


def _eager(step: Callable[[], None], _: torch.device) -> Callable[[], None]:
    """The step of fixed shape as it is."""
    return step


def _compiled(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Fused by torch's compiler, then recorded, where a device records."""
    made: Callable[[], None] = torch.compile(step, dynamic=False)
    made()
    return _recorded(made, device)


def _steps(
    model: OmniLMM, seconds: float, run: Run, scenario: Scenario, recorder: Recorder, columns: int
) -> tuple[float, list[str]]:
    """A scenario with steps of fixed shape (on a CPU, too) that this recorder makes, ``columns`` to a unit of room."""

    def prepare(engine: Engine) -> None:
        engine._graphs = graphs.StepGraphs(engine._llm)  # a CPU's engine would take no static steps

    with _swapped("recorded", recorder), _swapped("COLUMNS", columns):
        row = run(scenario, model, seconds, options=EngineOptions(batch_size=scenario.batch), prepare=prepare)
    return _value(scenario, row), row["first_answers"]


def _answered(
    model: OmniLMM, seconds: float, run: Run, scenario: Scenario, options: EngineOptions
) -> tuple[float, list[str]]:
    row = run(scenario, model, seconds, options=options)
    return _value(scenario, row), row["first_answers"]


def _differing(first: list[str], these: list[str]) -> str:
    return f"{sum(a != b for a, b in zip(first, these, strict=True))} of {len(these)} answers differ"


def _gap(first: list[float], these: list[float]) -> str:
    return f"features differ by {max(abs(a - b) for a, b in zip(first, these, strict=True)):.2g} at most"


def _value(scenario: Scenario, row: dict[str, Any]) -> float:
    return float(row["tpot_ms"] if scenario.batch == 1 else row["samples_per_s"])


def _unit(scenario: Scenario) -> str:
    return "ms a token" if scenario.batch == 1 else "samples/s"


def _widened(tensor: Tensor, at: int, width: int) -> Tensor:
    """Zeros behind the numbers of one dimension."""
    shape = list(tensor.shape)
    shape[at] = width
    wide = tensor.new_zeros(shape)
    wide.narrow(at, 0, tensor.shape[at]).copy_(tensor)
    return wide


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight, made.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return made


def _best_s(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of some calls; the first three do not count."""
    best = float("inf")
    for number in range(3 + (ROUNDS if device.type == "cuda" else 3)):
        wait_for(device)
        start = time.perf_counter()
        call()
        wait_for(device)
        best = min(best, time.perf_counter() - start) if number >= 3 else best
    return best


@contextmanager
def _swapped(name: str, value: Any) -> Iterator[None]:
    """A name of the module of recorded steps means something else inside."""
    before = getattr(graphs, name)
    setattr(graphs, name, value)
    try:
        yield
    finally:
        setattr(graphs, name, before)
