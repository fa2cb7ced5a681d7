"""Prompts as trees: every prompt finds exactly its own ids on its path, and common beginnings are held once."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn
from model_adapters.omnilmm import reading
from model_adapters.omnilmm.batching import Asked, plan_batches
from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.graphs import StepGraphs
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.packing import Forest, Row, common_length, pack_rows, plant
from model_adapters.omnilmm.prompt import Prompt
from model_adapters.omnilmm.reading import prefill

PROMPTS = st.lists(
    st.lists(st.integers(3, 6), min_size=1, max_size=7).map(lambda ids: (1, *ids)), min_size=1, max_size=9
)


def path(forest: Forest, row: int) -> list[int]:
    """Ids of the columns that a row's last id sees, by position."""
    pack, slot, depth = forest.pack[row], forest.slot[row], forest.depth[forest.pack[row], forest.end[row]]
    seen = (forest.first[pack] <= slot) & (slot <= forest.last[pack]) & (forest.depth[pack] <= depth)
    order = np.argsort(forest.depth[pack][seen])
    assert forest.depth[pack][seen][order].tolist() == list(range(depth + 1))
    return forest.ids[pack][seen][order].tolist()


@given(prompts=PROMPTS, cuts=st.sets(st.integers(1, 8)))
def test_every_prompt_sees_its_own_ids_and_each_beginning_stands_once(
    prompts: list[tuple[int, ...]], cuts: set[int]
) -> None:
    order = sorted(range(len(prompts)), key=lambda i: prompts[i])
    edges = [0, *sorted(cut for cut in cuts if cut < len(order)), len(order)]
    packs = [order[begin:end] for begin, end in pairwise(edges)]
    forest = plant(packs, prompts, [0] * len(prompts))
    for row, ids in enumerate(prompts):
        assert path(forest, row) == list(ids)
    for number, pack in enumerate(packs):
        beginnings = {prompts[i][: n + 1] for i in pack for n in range(len(prompts[i]))}
        assert int((forest.first[number] < 2**30).sum()) == len(beginnings)


@given(prompts=PROMPTS, most=st.integers(1, 40), share=st.booleans())
def test_each_row_is_in_one_pack_and_packs_have_their_head_in_common(
    prompts: list[tuple[int, ...]], most: int, share: bool
) -> None:
    rows = [Row((1, 9, 9, *ids), i % 2, 1) if i % 3 else Row((*range(20, 30), *ids)) for i, ids in enumerate(prompts)]
    packing = pack_rows(rows, 2, most_nodes=most, share=share)
    assert sorted(i for pack in packing.packs for i in pack) == list(range(len(rows)))
    for pack, head in zip(packing.packs, packing.heads, strict=True):
        assert len({rows[i].ids[:head] for i in pack}) == 1
        assert all(len(rows[i].ids) > head for i in pack)
        assert len({rows[i].image for i in pack}) == 1
    if not share:
        assert max(map(len, packing.packs)) == 1


def test_texts_that_begin_differently_are_not_put_together() -> None:
    rows = [Row((1, *[n] * 12, k)) for n in (5, 6) for k in (7, 8)]
    assert sorted(map(sorted, pack_rows(rows, 0, most_nodes=100).packs)) == [[0, 1], [2, 3]]
    assert common_length([(1, 2, 3), (1, 2, 4, 5)]) == 2
    assert common_length([(1, 2), (1, 2)]) == 1


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> OmniLMM:
    return OmniLMM.from_checkpoint(tiny_checkpoint, dtype="float32", device="cpu")


def asked_rows(model: OmniLMM) -> list[Row]:
    """Nine questions on two pictures, and three texts."""
    texts = ["Is it red?", "Is it blue?", "Is it?", "What is it?", "What?", "Which color is it?", "no", "yes", "no"]
    prompts = [model.prompt([{"role": "user", "content": text}]) for text in texts]
    plain = [
        model.prompt([{"role": "user", "content": f"Answer with the option's letter. {t}"}], image=False) for t in "ABA"
    ]
    return [Row(p.ids, i % 2, p.image_slot) for i, p in enumerate(prompts)] + [Row(p.ids) for p in plain]


def continued(model: OmniLMM, rows: Sequence[Row], features: torch.Tensor, **how: object) -> list[list[int]]:
    graphs = how.pop("graphs", None)
    with torch.inference_mode():
        read = prefill(model.llm, rows, features, **how)  # type: ignore[arg-type]
        limits = [3 + 5 * (i % 4) for i in range(len(rows))]  # rows leave one after another
        answers = decode(model.llm, read, max_new_tokens=limits, eos_id=2, bos_id=1, graphs=graphs)  # type: ignore[arg-type]
    return [answer.ids for answer in answers]


@pytest.mark.parametrize("full", [0.0, 1.0], ids=["padding-computed", "padding-left-out"])
@pytest.mark.parametrize("most", [1, 25, 10_000])
def test_packs_of_any_size_continue_as_every_row_alone(
    model: OmniLMM, monkeypatch: pytest.MonkeyPatch, most: int, full: float
) -> None:
    rows = asked_rows(model)
    features = torch.randn(2, model.config.query_num, 64, generator=torch.Generator().manual_seed(1))
    limits = [3 + 5 * (i % 4) for i in range(len(rows))]
    with torch.inference_mode():
        alone = [
            decode(model.llm, prefill(model.llm, [row], features, share=False), max_new_tokens=[n], eos_id=2, bos_id=1)[
                0
            ].ids
            for row, n in zip(rows, limits, strict=True)
        ]
    assert max(map(len, alone)) > 10
    monkeypatch.setattr(reading, "most_nodes", lambda llm: most)
    monkeypatch.setattr(reading, "FULL", full)
    assert continued(model, rows, features) == alone
    assert continued(model, rows, features, share=False) == alone


def test_steps_of_fixed_shape_give_the_same_tokens(model: OmniLMM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA records and replays, run as it is: buffers are rounded up, run full, and are used again."""
    from model_adapters.omnilmm import graphs as module

    monkeypatch.setattr(module, "COLUMNS", 4)
    monkeypatch.setattr(module, "STEPS", 2)
    graphs = StepGraphs(model.llm)
    rows = asked_rows(model)
    features = torch.randn(2, model.config.query_num, 64, generator=torch.Generator().manual_seed(1))
    eager = continued(model, rows, features)
    assert continued(model, rows, features, graphs=graphs) == eager
    shapes = set(graphs._steps)
    assert len(shapes) > 1
    assert continued(model, rows, features, graphs=graphs) == eager
    assert set(graphs._steps) >= shapes
    assert continued(model, rows[:1], features, graphs=graphs) == continued(model, rows[:1], features)
    monkeypatch.setattr(module, "MOST_COLUMNS", 16)
    assert continued(model, rows, features, graphs=StepGraphs(model.llm)) == eager


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=30), rows=st.integers(1, 9), tokens=st.integers(20, 200)
)
def test_batches_keep_to_their_rows_and_tokens_and_are_the_same_each_time(
    lengths: list[int], rows: int, tokens: int
) -> None:
    pictures = [ImageRef(f"{i % 3}", "picture", bytes) for i in range(len(lengths))]
    asked = [
        Asked(
            Request(f"r{i}", (Turn("user", ("?",)),), GenerationSettings(max_new_tokens=5)),
            Prompt((1,) * n, 1),
            pictures[i],
        )
        for i, n in enumerate(lengths)
    ]
    batches = plan_batches(asked, rows, tokens)
    assert sorted(item.request.request_id for batch in batches for item in batch) == sorted(
        f"r{i}" for i in range(len(lengths))
    )
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or sum(len(item.prompt.ids) + 5 for item in batch) <= tokens
    assert plan_batches(asked, rows, tokens) == batches
