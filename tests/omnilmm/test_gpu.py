"""On a CUDA device (-m gpu): number formats, batch sizes and recorded steps give the tokens that they should."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu_parity import _formats, parity
from benchmarks.gpu_scenarios import SCENARIOS, requests
from model_adapters.contract import ModelAdapter, Response
from model_adapters.omnilmm.adapter import OmniLMMAdapter
from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.graphs import StepGraphs
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.pixels import to_pixels
from model_adapters.omnilmm.reading import prefill

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def models(tiny_checkpoint: Path) -> dict[str, OmniLMM]:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    where = {"cpu": ("float32", "cpu"), "fp32": ("float32", "cuda"), "bf16": ("bfloat16", "cuda")}
    return {name: OmniLMM.from_checkpoint(tiny_checkpoint, dtype, device) for name, (dtype, device) in where.items()}


def tokens(model: OmniLMM, graphs: StepGraphs | None = None, n: int = 24) -> list[list[int]]:
    prompt = model.prompt([{"role": "user", "content": "What is in the image?"}])
    side = model.config.image_size
    pixels = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = [Row((*prompt.ids, i), i % 4, prompt.image_slot) for i in range(10, 18)]
    with torch.inference_mode():
        features = model.image_features(pixels.to(model.device, model.dtype))
        read = prefill(model.llm, rows, features)
        answers = decode(model.llm, read, max_new_tokens=[n] * len(rows), eos_id=-1, bos_id=1, graphs=graphs)
    return [answer.ids for answer in answers]


def test_fp32_gives_the_tokens_of_the_cpu(models: dict[str, OmniLMM]) -> None:
    assert tokens(models["fp32"]) == tokens(models["cpu"])


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_recorded_steps_give_the_tokens_of_eager_ones_time_and_again(models: dict[str, OmniLMM], dtype: str) -> None:
    eager, graphs = tokens(models[dtype]), StepGraphs(models[dtype].llm)
    assert tokens(models[dtype], graphs) == eager
    assert tokens(models[dtype], graphs, n=150)[0][:24] == eager[0]
    assert tokens(models[dtype], graphs) == eager


def test_batches_of_64_answer_as_one_by_one_in_fp32(models: dict[str, OmniLMM]) -> None:
    from itertools import islice

    model = models["fp32"]
    found = parity(model, lambda n: list(islice(requests(SCENARIOS[0], model, 1), n)))
    assert {value for name, value in found.items() if name.startswith("float32")} == {"0 of 64"}


def test_bf16_logits_are_near_fp32(models: dict[str, OmniLMM]) -> None:
    found = _formats(models["bf16"].device)
    gaps = [float(value) for name, value in found.items() if "largest difference" in name]
    assert gaps[0] < 1e-3
    assert gaps[1] < 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pixels_made_on_the_card_are_those_of_the_host_to_the_last_bit(models: dict[str, OmniLMM], dtype) -> None:
    squares = [np.random.default_rng(i).integers(0, 256, (56, 56, 3), dtype=np.uint8) for i in range(5)]
    host, card = (to_pixels(squares, models[name].device, dtype) for name in ("cpu", "fp32"))
    assert card.is_cuda
    assert torch.equal(card.cpu(), host)


def test_weights_on_the_card_are_those_on_the_host(models: dict[str, OmniLMM], tiny_checkpoint: Path) -> None:
    host = OmniLMM.from_checkpoint(tiny_checkpoint, "bfloat16", "cpu").state_dict()
    card = models["bf16"].state_dict()
    assert all(tensor.is_cuda for tensor in card.values())
    assert [name for name in host if not torch.equal(host[name], card[name].cpu())] == []


def test_counted_operations_are_those_of_the_formula_where_steps_are_recorded(tiny_checkpoint: Path) -> None:
    from model_adapters import load_adapter

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    adapter: OmniLMMAdapter = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cuda")
    probe, work, n = adapter.probe(), adapter.probe().work(), 20
    asked = next(requests(SCENARIOS[0], adapter.model, 1))
    asked = replace(asked, generation=replace(asked.generation, max_new_tokens=n))
    answers: list[Response] = []
    probe.fixed_length(True)
    counted = probe.counted_flops(lambda: answers.extend(adapter.generate([asked])))
    prompt = answers[0].usage.prompt_tokens
    assert work is not None
    assert prompt is not None
    formula = work.vision_flops + work.prefill_flops(prompt) + sum(work.decode_flops(prompt + i) for i in range(1, n))
    assert counted == pytest.approx(formula, rel=0.01)


def test_the_adapter_reports_peaks_and_its_card(tiny_checkpoint: Path) -> None:
    from model_adapters import load_adapter

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    adapter: ModelAdapter = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cuda")
    assert adapter.memory_mib()["peak_allocated_mib"] > 0
    assert adapter.identity()["dtype"] == "bfloat16"
