"""Code that runs on CUDA only, with a stand-in for the card: what is called, in which order, with what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from model_adapters.contract import AdapterError
from model_adapters.devices import device_report
from model_adapters.omnilmm.costs import footprint_of
from model_adapters.omnilmm.devices import exact_convolutions
from model_adapters.omnilmm.engine import Engine, EngineOptions
from model_adapters.omnilmm.graphs import StepGraphs, recorded
from model_adapters.omnilmm.image_processing import normalise
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.pixels import looked_up, staged
from model_adapters.omnilmm.tensor_files import SafetensorsFile
from model_adapters.torch_probe import CudaClock

CARD = torch.device("cuda:1")


@pytest.fixture(scope="module")
def tiny_model(tiny_checkpoint: Path) -> OmniLMM:
    return OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_levels_looked_up_on_the_device_are_those_of_the_host_to_the_last_bit(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    squares = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    squares[0] = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)  # every level
    squares[1].flags.writeable = False
    found = looked_up(staged(squares, pinned=False), dtype)
    assert found.is_contiguous()
    assert torch.equal(found, torch.from_numpy(normalise(squares)).to(dtype))


@pytest.mark.parametrize(
    ("device", "dtype", "inside"),
    [("cuda", torch.float32, False), ("cuda", torch.bfloat16, True), ("cpu", torch.float32, True)],
)
def test_fp32_convolutions_on_cuda_take_no_tf32(device: str, dtype: torch.dtype, inside: bool) -> None:
    assert torch.backends.cudnn.allow_tf32
    with exact_convolutions(torch.device(device), dtype):
        assert torch.backends.cudnn.allow_tf32 is inside
    assert torch.backends.cudnn.allow_tf32


class FakeCuda:
    """Streams, events and graphs that write down what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self._graph = SimpleNamespace(replay=lambda: self.log.append("replay"))
        fakes = {
            "device": self._inside("device"),
            "stream": self._inside("stream"),
            "Stream": lambda device: self._stream(f"side {device}"),
            "current_stream": lambda device: self._stream(f"main {device}"),
            "CUDAGraph": lambda: self._graph,
            "graph": self._capture,
            "synchronize": lambda device: self.log.append(f"synchronise {device}"),
            "Event": self._event,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    def _stream(self, name: str) -> Any:
        waits = SimpleNamespace(wait_stream=lambda other: self.log.append(f"{name} waits for {other.name}"))
        return SimpleNamespace(name=name, wait_stream=waits.wait_stream)

    def _inside(self, what: str) -> Any:
        @contextmanager
        def inside(value: Any) -> Iterator[None]:
            name = getattr(value, "name", value)
            self.log.append(f"{what} {name}")
            yield
            self.log.append(f"{what} {name} left")

        return inside

    @contextmanager
    def _capture(self, graph: Any, *, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert graph is self._graph
        self.log.append(f"capture on {stream.name}, {capture_error_mode}")
        yield
        self.log.append("captured")

    def _event(self, *, enable_timing: bool) -> Any:
        assert enable_timing
        number = sum(line.startswith("event") for line in self.log)
        self.log.append(f"event {number}")

        def elapsed_time(end: Any) -> float:
            self.log.append("elapsed")
            return 1.5

        return SimpleNamespace(
            record=lambda stream: self.log.append(f"record {number} on {stream.name}"), elapsed_time=elapsed_time
        )


def test_a_step_is_warmed_up_on_a_side_stream_of_its_device_and_recorded_there(monkeypatch) -> None:
    cuda = FakeCuda(monkeypatch)
    replay = recorded(lambda: cuda.log.append("step"), CARD)
    assert cuda.log == [
        "device cuda:1",
        "side cuda:1 waits for main cuda:1",
        "stream side cuda:1",
        "step",
        "stream side cuda:1 left",
        "main cuda:1 waits for side cuda:1",
        "capture on side cuda:1, thread_local",
        "step",
        "captured",
        "device cuda:1 left",
    ]
    replay()
    assert cuda.log[-1] == "replay"


def test_events_are_read_after_one_last_synchronisation(monkeypatch) -> None:
    cuda = FakeCuda(monkeypatch)
    clock = CudaClock(CARD)
    for stage in ("vision", "decode"):
        with clock.device(stage):
            cuda.log.append(stage)
    assert "elapsed" not in cuda.log
    assert [line for line in cuda.log if line.startswith("record")] == [f"record {i} on main cuda:1" for i in range(4)]
    assert [(span.stage, span.ms) for span in clock.spans()] == [("vision", 1.5), ("decode", 1.5)]
    assert cuda.log[-3:] == ["synchronise cuda:1", "elapsed", "elapsed"]


def test_out_of_memory_gives_the_recorded_steps_memory_back(tiny_model: OmniLMM) -> None:
    engine = Engine(tiny_model, EngineOptions(batch_size=8))
    engine._graphs = graphs = StepGraphs(tiny_model.llm)
    graphs._memory = torch.zeros(8)
    engine._make_room(4, "CUDA out of memory")
    assert graphs._memory.numel() == 0
    assert engine.batching.size == 4
    engine.close()


def properties(**more: Any) -> Any:
    known = {"name": "NVIDIA H100 80GB HBM3", "total_memory": 80 * 2**30, "uuid": "11-22", "major": 9}
    return SimpleNamespace(**(known | more))


def full(_: Any) -> tuple[int, int]:
    raise RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA")


@pytest.mark.parametrize(("free", "major", "bf16"), [(lambda _: (10 * 2**30, 80 * 2**30), 9, True), (full, 7, False)])
def test_a_card_that_is_full_is_listed_without_its_free_memory(monkeypatch, free: Any, major: int, bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties(major=major))
    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    card = device_report()[1]
    assert (card["device"], card["memory_mib"], card["bf16"], card["uuid"]) == ("cuda:0", 80 * 1024, bf16, "11-22")
    assert card["free_mib"] == (None if free is full else 10 * 1024)


def test_a_card_that_cannot_be_used_is_an_error_in_words(monkeypatch, tiny_model: OmniLMM) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    from model_adapters.omnilmm.layout import OmniLMMLayout

    config = tiny_model.config
    with pytest.raises(AdapterError, match=r"cuda:1 cannot be used \(CUDA error: out of memory\)"):
        footprint_of(config, OmniLMMLayout(config), torch.bfloat16, CARD, 8)


def test_weights_are_read_to_the_device_by_its_name(monkeypatch, tiny_checkpoint: Path) -> None:
    from model_adapters.omnilmm import tensor_files

    [path] = tiny_checkpoint.glob("*.safetensors")
    file, opened = SafetensorsFile(path), []

    @contextmanager
    def safe_open(path: Path, framework: str, device: str) -> Iterator[Any]:
        opened.append((path, framework, device))
        yield SimpleNamespace(get_tensor=lambda name: f"tensor {name}")

    monkeypatch.setattr(tensor_files, "safe_open", safe_open)
    assert file.read_to("a", CARD) == "tensor a"
    assert file.read_to("b", torch.device("cuda")) == "tensor b"
    assert opened == [(path, "pt", "cuda:1"), (path, "pt", "cuda")]
