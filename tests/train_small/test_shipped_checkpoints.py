"""The shipped checkpoints: small enough to ship, complete, and as able as docs/small_model.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evals.data.generated import generate
from tools.train_small.measure import load
from tools.train_small.testing import answer_rows

CHECKPOINTS = Path(__file__).resolve().parents[2] / "model_adapters" / "checkpoints"
FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.model",
    "tokenizer_config.json",
}


def right_share(checkpoint: str, name: str, seed: int, count: int) -> float:
    model, packer = load(CHECKPOINTS / checkpoint, torch.float32)
    rows = list(generate(name, seed, count))
    answers = answer_rows(model, packer, rows, name)
    return sum(answer == row.fields["answer"] for answer, row in zip(answers, rows, strict=True)) / count


def test_both_checkpoints_are_complete_and_take_at_most_16_mb() -> None:
    folders = [CHECKPOINTS / name for name in ("small-early", "small-final")]
    assert all({file.name for file in folder.iterdir()} == FILES for folder in folders)
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) <= 16_000_000


@pytest.mark.parametrize(
    ("name", "at_least"), [("easyvqa", 0.95), ("shapes_presence", 0.95), ("words_ocr", 0.8), ("shapes_caption", 0.9)]
)
def test_final_checkpoint_has_the_skill_that_is_documented(name: str, at_least: float) -> None:
    assert right_share("small-final", name, 20260, 48) >= at_least


def test_early_checkpoint_reads_less_than_the_final_one() -> None:
    assert right_share("small-early", "words_ocr", 20260, 64) < right_share("small-final", "words_ocr", 20260, 64)
