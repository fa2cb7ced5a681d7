"""Training sees exactly what inference computes: packed questions answer as they would alone."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from evals.data.generated.words import CHARACTERS
from tools.train_small import mixture, patches
from tools.train_small.architecture import build_model
from tools.train_small.build_tokenizer import USER_DEFINED, build_tokenizer
from tools.train_small.measure import rotate
from tools.train_small.packing import Packer
from tools.train_small.stage1 import to_pixels
from tools.train_small.testing import greedy


@pytest.fixture(scope="module")
def packer(tmp_path_factory: pytest.TempPathFactory) -> Packer:
    from model_adapters.omnilmm.tokenizer import load_tokenizer

    path: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    build_tokenizer(path, seed=1)
    return Packer(load_tokenizer(path), query_num=16)


@torch.no_grad()
def test_packed_questions_give_the_logits_they_give_alone(packer: Packer) -> None:
    model = build_model(packer.tokenizer.vocab_size, seed=3).eval()
    examples = [mixture.scene_example(Random(seed), progress=0.5) for seed in (1, 2)]
    features = model.image_features(to_pixels(np.stack([example.pixels for example in examples])))

    def logits(questions: list[list[tuple[str, str]]], rows: list[int]) -> torch.Tensor:
        batch = packer.pack(questions)
        embeds = model.splice(batch.ids, features[rows], packer.image_start)
        hidden = model.llm.model(
            inputs_embeds=embeds, attention_mask=batch.mask, position_ids=batch.positions
        ).last_hidden_state
        return model.llm.lm_head(hidden[batch.targets >= 0])

    together = logits([example.questions for example in examples], [0, 1])
    alone = [logits([[asked]], [row]) for row, example in enumerate(examples) for asked in example.questions]
    assert torch.allclose(together, torch.cat(alone), atol=2e-5)


def test_targets_are_the_answers_and_their_end(packer: Packer) -> None:
    batch = packer.pack([[("What color is the circle?", "red"), ("Where?", "top left")]])
    targets = batch.targets[batch.targets >= 0].tolist()
    assert packer.tokenizer.decode(targets) == "red</s>top left</s>"


def test_greedy_answers_do_not_depend_on_the_batch(packer: Packer) -> None:
    model = build_model(packer.tokenizer.vocab_size, seed=3).eval()
    images = np.stack([mixture.scene_example(Random(seed), progress=0.5).pixels for seed in range(3)])
    prompts = [packer.prompt_ids("What?" + " Which one?" * extra) for extra in range(3)]
    together = greedy(model, packer, images, prompts)
    assert together == [greedy(model, packer, images[i : i + 1], prompts[i : i + 1])[0] for i in range(3)]


def test_tokenizer_spells_words_and_is_the_same_every_time(packer: Packer, tmp_path: Path) -> None:
    tokenizer = packer.tokenizer
    for text in ("RAIN4X", "AI", "WHAT2"):
        assert len(tokenizer.encode_text(text)) == len(text)
    assert [tokenizer.model.pieces[3 + i].text for i in range(len(USER_DEFINED))] == USER_DEFINED
    build_tokenizer(tmp_path / "again.model", seed=1)
    assert load_pieces(tmp_path / "again.model") == [piece.text for piece in tokenizer.model.pieces]


def load_pieces(path: Path) -> list[str]:
    from model_adapters.omnilmm.tokenizer import load_tokenizer

    return [piece.text for piece in load_tokenizer(path).model.pieces]


def test_patch_labels_tell_what_is_painted() -> None:
    example = mixture.word_example(Random(4), progress=1.0)
    text = example.questions[0][1]
    assert example.patch_labels is not None
    found = {CHARACTERS[label - patches.FIRST_CHARACTER] for label in example.patch_labels.tolist() if label}
    assert found
    assert found <= set(text)


def test_training_words_are_never_held_out() -> None:
    from evals.data.generated.words import WORD_LENGTHS, is_held_out

    texts = [mixture.word_example(Random(seed), progress=1.0).questions[0][1] for seed in range(300)]
    assert not any(is_held_out(text) for text in texts if len(text) >= WORD_LENGTHS[0])


def test_rotation_moves_the_answer_with_its_option() -> None:
    from evals.data.generated import generate

    row = next(generate("shapes_mc", 1, 1))
    turned = [rotate(row, by) for by in range(4)]
    assert len({one.fields["answer"] for one in turned}) == 4
    assert all(one.fields[str(one.fields["answer"])] == row.fields["answer_text"] for one in turned)
