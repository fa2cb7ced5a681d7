"""``batch_size="auto"``: found from the first batches on a device with memory of its own, and kept then."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_adapters import load_adapter
from model_adapters.contract import AdapterError, GenerationSettings, ImageRef, ModelAdapter, Request, Turn
from model_adapters.omnilmm import engine as engine_module
from model_adapters.omnilmm.batch_size import CUDA_ROWS, LAST_SHARE, BatchSize
from model_adapters.omnilmm.batching import Asked
from model_adapters.omnilmm.engine import Engine, EngineOptions
from model_adapters.omnilmm.prompt import Prompt

MIB = 2**20
SIZES = SimpleNamespace(
    num_hidden_layers=40, num_key_value_heads=36, head_dim=64, hidden_size=2304, intermediate_size=5760
)
MODEL_3B: Any = SimpleNamespace(language_config=SIZES, dtype=torch.bfloat16)


class FakeMemory:
    """A device's memory in which a batch takes so much a row, and in which more does not fit.

    Attributes:
        batches: rows of each batch that was tried.
    """

    def __init__(self, capacity_mib: float, row_mib: float, weights_mib: float = 0.0) -> None:
        self._capacity, self._row, self._weights = capacity_mib * MIB, row_mib * MIB, weights_mib * MIB
        self._peak = self._weights
        self.batches: list[int] = []

    def take(self, rows: int) -> None:
        """Compute so many rows, or raise as torch does."""
        self.batches.append(rows)
        if self._weights + rows * self._row > self._capacity:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self._peak = max(self._peak, self._weights + rows * self._row)

    def capacity(self) -> int:
        return int(self._capacity)

    def allocated(self) -> int:
        return int(self._weights)

    def peak(self) -> int:
        return int(self._peak)


def batch(rows: int, ids: int = 100, beams: int = 1) -> list[Asked]:
    settings = GenerationSettings(max_new_tokens=10, num_beams=beams)
    return [Asked(Request(f"r{i}", (), settings), Prompt([0] * (ids - 10), None), None) for i in range(rows)]


def search(size: BatchSize, memory: FakeMemory, ids: int = 100, batches: int = 12) -> list[int]:
    """Rows of batches as large as the limits let them be."""
    rows = []
    for _ in range(batches):
        rows.append(min(size.limits.rows, size.limits.tokens // ids))
        memory.take(rows[-1])
        size.look(batch(rows[-1], ids))
    return rows


def test_batches_grow_into_the_room_that_memory_has_and_stay() -> None:
    memory = FakeMemory(24_000, 80, weights_mib=7_000)  # a batch's columns take twice what the formula says
    size = BatchSize("auto", MODEL_3B, memory)
    rows = search(size, memory, ids=100)
    fits = LAST_SHARE * 17_000 / 80
    assert rows[0] < fits / 2
    assert fits * 0.85 < rows[-1] <= fits
    assert all(b <= 2 * a for a, b in pairwise(rows))
    assert rows[4:] == rows[4:5] * 8
    again = BatchSize("auto", MODEL_3B, fresh := FakeMemory(24_000, 80, weights_mib=7_000))
    assert search(again, fresh) == rows  # the same requests on the same machine


def test_rows_have_a_cap_and_ids_no_more_than_the_formula_gives() -> None:
    memory = FakeMemory(80_000, 1, weights_mib=7_000)  # prompts that share nearly everything
    size = BatchSize("auto", MODEL_3B, memory)
    begun = size.limits
    search(size, memory, ids=600)
    assert size.limits.rows == CUDA_ROWS
    assert begun.tokens * 1.7 < size.limits.tokens <= begun.tokens * LAST_SHARE / 0.5 + 1


@given(
    st.floats(1_000, 200_000), st.floats(0.5, 3_000), st.integers(20, 1_500), st.lists(st.integers(1, 300), max_size=9)
)
def test_growing_never_fills_memory_that_rows_take_evenly(
    free_mib: float, row_mib: float, ids: int, small: list[int]
) -> None:
    memory = FakeMemory(free_mib, row_mib)
    size = BatchSize("auto", MODEL_3B, memory)
    begun = size.limits
    if min(begun.rows, begun.tokens // ids) * row_mib > free_mib:
        return  # the formula is far off: the engine halves then
    for rows in [*small, *[CUDA_ROWS] * 8]:
        rows = max(1, min(rows, size.limits.rows, size.limits.tokens // ids))
        memory.take(rows)
        before = size.limits
        size.look(batch(rows, ids))
        assert before.rows <= size.limits.rows <= max(before.rows, CUDA_ROWS)
        assert before.tokens <= size.limits.tokens


def test_a_size_that_was_asked_for_stays_and_a_full_memory_ends_the_search() -> None:
    memory = FakeMemory(80_000, 1)
    fixed = BatchSize(8, MODEL_3B, memory)
    search(fixed, memory)
    assert (fixed.batching.size, fixed.batching.is_auto) == (8, False)
    found = BatchSize("auto", MODEL_3B, memory)
    found.shrink(5, "OutOfMemoryError")
    search(found, memory)
    assert (found.batching.size, found.batching.is_auto) == (5, True)
    assert [(full.batch_size, full.error) for full in found.batching.full] == [(5, "OutOfMemoryError")]


def test_a_cpus_size_is_fixed() -> None:
    size = BatchSize("auto", MODEL_3B, None)
    size.look(batch(160))
    assert (size.limits.rows, size.batching.is_auto) == (160, True)


@pytest.mark.parametrize("asked", [0, -1, "many"])
def test_a_size_that_is_none_is_refused(asked: Any) -> None:
    with pytest.raises(AdapterError, match="expected at least 1, or auto"):
        BatchSize(asked, MODEL_3B, None)


@pytest.fixture(scope="module")
def adapter(tiny_checkpoint: Path) -> Iterator[ModelAdapter]:
    made = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=4)
    yield made
    made.close()


@pytest.mark.parametrize("most", [64, 11])
def test_the_engine_finds_the_size_and_answers_the_same(
    adapter: Any, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Memory for 64 rows, or for less than the formula says: then a batch is halved, and that is the size."""
    file = io.BytesIO()
    Image.new("RGB", (40, 40), (200, 30, 30)).save(file, "PNG")
    image = ImageRef(hashlib.sha256(file.getvalue()).hexdigest(), "red", file.getvalue)
    texts = ["What is it?", "Is there a red circle?", "yes", "A. red B. blue"]
    generation = GenerationSettings(max_new_tokens=2)
    requests = [Request(f"r{i}", (Turn("user", (image, texts[i % 4])),), generation) for i in range(300)]
    expected = {response.request_id: response.text for response in adapter.generate(requests)}
    memory = FakeMemory(most, 1.0)  # the tiny model's own bytes play no part
    monkeypatch.setattr("model_adapters.omnilmm.batch_size.tokens_that_fit", lambda llm, free: 8_192)  # 16 rows
    whole = engine_module.prefill

    def prefill(llm: Any, rows: Any, features: Any, **options: Any) -> Any:
        memory.take(len(rows))
        return whole(llm, rows, features, **options)

    monkeypatch.setattr(engine_module, "prefill", prefill)
    own = Engine(adapter.model, EngineOptions(), memory)
    assert {response.request_id: response.text for response in own.generate(requests)} == expected
    assert memory.batches[0] == 16
    found = own.batching
    if most == 64:
        assert 0.8 * LAST_SHARE * most <= found.size <= LAST_SHARE * most
        assert found.full == ()
    else:
        assert (found.size, len(found.full)) == (8, 1)
        assert set(memory.batches[1:-1]) == {8}
    own.close()
