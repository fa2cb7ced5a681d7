"""A request on a CUDA device that is not there: no tensor of the host strays among those of the card."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from fake_cuda import CUDA, fake_cuda, to_cuda
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils._python_dispatch import TorchDispatchMode

from model_adapters.omnilmm import graphs
from model_adapters.omnilmm.choosing import TokenChoice
from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.graphs import StepGraphs
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.pixels import looked_up
from model_adapters.omnilmm.reading import Prefilled, prefill
from model_adapters.omnilmm.rotation import Rotation
from model_adapters.omnilmm.scoring import choice_log_likelihoods
from model_adapters.omnilmm.shipped import resolve_checkpoint
from model_adapters.omnilmm.stepping import Grid

ROWS = 6
_ATEN = torch.ops.aten
WAITING = (_ATEN._local_scalar_dense.default, _ATEN.nonzero.default, _ATEN.masked_select.default)
INDEXING = (_ATEN.index.Tensor, _ATEN.index_put_.default)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> OmniLMM:
    """On the host still; nothing is recorded, since there is no card."""
    monkeypatch.setattr(graphs, "recorded", lambda step, device: step)
    return OmniLMM.from_checkpoint(resolve_checkpoint("small-final"), dtype="bfloat16", device="cpu")


def moved(model: OmniLMM) -> OmniLMM:
    to_cuda(model)
    inverse = model.llm.rotation._inverse
    model.llm.rotation = Rotation(torch.empty(inverse.shape, device=CUDA))
    assert model.device == CUDA
    return model


def features_of(model: OmniLMM) -> torch.Tensor:
    side = model.config.image_size
    pixels = looked_up(torch.empty((2, side, side, 3), dtype=torch.uint8, device=CUDA), model.dtype)
    return model.image_features(pixels)


def read(model: OmniLMM, *, share: bool = True) -> Prefilled:
    """Questions on two pictures; some of them long, so that packs are padded and beginnings shared."""
    prompt = model.prompt([{"role": "user", "content": "What is it?"}])
    ids = (*prompt.ids, *range(7, 7 + 90))
    rows = [Row(ids[: len(ids) - 15 * i], i % 2, prompt.image_slot) for i in range(ROWS)]
    return prefill(model.llm, rows, features_of(model), share=share)


def test_the_stand_in_finds_what_strays_and_what_is_read_back(model: OmniLMM) -> None:
    with fake_cuda():
        moved(model)
        width = model.llm.language_config.hidden_size
        with pytest.raises(RuntimeError, match="two devices"):
            model.llm.lm_head(torch.empty(2, width, dtype=model.dtype))
        with pytest.raises(DataDependentOutputException):
            torch.empty(2, device=CUDA).tolist()
        with Watch() as watch:
            torch.zeros(3).to(CUDA)
        assert len(watch.found) == 1


@pytest.mark.parametrize("share", [True, False])
def test_pictures_and_prompts_are_read_on_the_card_and_nothing_is_read_back(model: OmniLMM, share: bool) -> None:
    with fake_cuda():
        found = read(moved(model), share=share)
        logits = model.llm.lm_head(found.last_hidden)
    assert (found.last_hidden.device, found.last_hidden.dtype) == (CUDA, model.dtype)
    assert {key.device for key in (*found.cache.keys, *found.cache.values, found.cache.columns.depth)} == {CUDA}
    assert logits.shape == (ROWS, model.config.language.vocab_size)


class Watch(TorchDispatchMode):
    """Notes operators that a recording forbids: waiting for the card, and copies to or from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = function(*args, **(kwargs or {}))
        tensors = [t for t in (*args, out) if isinstance(t, torch.Tensor)]
        indices = [t for t in (args[1] if function in INDEXING else ()) if t is not None]
        if (
            len({t.device for t in tensors if t.dim()}) > 1
            or function in WAITING
            or any(t.dtype == torch.bool for t in indices)  # how many are true must be known first
        ):
            self.found.append(str(function))
        return out


def test_what_is_recorded_neither_waits_for_the_card_nor_copies_from_the_host(
    model: OmniLMM, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_cuda():
        found, steps = read(moved(model)), StepGraphs(model.llm)
        grid = Grid.of(found, list(range(ROWS)), CUDA)
        token = torch.zeros(ROWS, dtype=torch.int64, device=CUDA)
        hidden = grid.step(model.llm, token, steps, 30)
        assert grid.static is not None
        tables = [id(table) for table in model.llm.rotation._tables]
        with Watch() as watch, monkeypatch.context() as patch:
            patch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("made from numbers of the host"))
            grid.static._compute()
        assert watch.found == []
        assert [id(table) for table in model.llm.rotation._tables] == tables  # none is made while it is recorded
        kept = grid.keep(found, [0, 3]).step(model.llm, token[:2], steps, 20)
    assert (hidden.device, hidden.shape[0], kept.shape[0]) == (CUDA, ROWS, 2)


@pytest.mark.parametrize("recording", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_answers_are_generated_on_the_card(model: OmniLMM, recording: bool, penalty: float) -> None:
    lengths: Sequence[int] = [9, 2, 9, 2, 2, 9]  # rows leave on the way
    with fake_cuda(reads=True):
        found = read(moved(model))
        steps = StepGraphs(model.llm) if recording else None
        choice = TokenChoice(repetition_penalty=penalty)
        answers = decode(model.llm, found, max_new_tokens=lengths, eos_id=-1, bos_id=1, choice=choice, graphs=steps)
    assert [len(answer.ids) for answer in answers] == lengths


def test_choices_are_scored_on_the_card(model: OmniLMM) -> None:
    with fake_cuda(reads=True):
        scores = choice_log_likelihoods(model.llm, read(moved(model)), [[[5], [6, 7], [8, 9, 10]]] * ROWS)
    assert [len(row) for row in scores] == [3] * ROWS
