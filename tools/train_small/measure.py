"""Measure a checkpoint on the whole held-out test data: ``python -m tools.train_small.measure CHECKPOINT``.

Rows and seeds are those of the tasks in tasks/demo, answers are decoded greedily and compared exactly. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from evals.data.generated import GeneratedRow, generate
from evals.data.generated.language import LETTERS
from model_adapters.omnilmm.checkpoint import load_weights
from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.layout import OmniLMMLayout
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.tokenizer import load_tokenizer
from tools.train_small.packing import Packer
from tools.train_small.testing import answer_rows

TEST_SEEDS = {"easyvqa": 0, "shapes_mc": 20261, "shapes_presence": 20262, "words_ocr": 20263, "shapes_caption": 20264}
ROWS = 1000
EASY_VQA_ROWS = 9673


def measure(model: OmniLMM, packer: Packer) -> dict[str, object]:
    """Return all figures, in percent."""
    result: dict[str, object] = {}
    for name, seed in TEST_SEEDS.items():
        rows = list(generate(name, seed, EASY_VQA_ROWS if name == "easyvqa" else ROWS))
        right = _right(model, packer, rows, name)
        result[name] = _percent(right)
        result[f"{name} by category"] = _by(rows, right, "category")
        if name != "easyvqa":
            result[f"{name} by language"] = _by(rows, right, "language")
        if name == "shapes_mc":
            every = [right] + [_right(model, packer, [rotate(row, by) for row in rows], name) for by in (1, 2, 3)]
            result["shapes_mc circular"] = _percent([all(turns) for turns in zip(*every, strict=True)])
            result["shapes_mc blind"] = _percent(_right(model, packer, rows, name, blank=True))
        if name == "easyvqa":
            result["easyvqa blind"] = _percent(_right(model, packer, rows, name, blank=True))
        if name == "words_ocr":
            result["words_ocr by kind"] = _by(rows, right, "kind")
            result["words_ocr by face"] = _by(rows, right, "face")
    return result


def rotate(row: GeneratedRow, by: int) -> GeneratedRow:
    """Return a four-option row with its options moved ``by`` places up."""
    options = [str(row.fields[letter]) for letter in LETTERS]
    options = options[by:] + options[:by]
    answer = LETTERS[options.index(str(row.fields["answer_text"]))]
    return replace(row, fields={**row.fields, **dict(zip(LETTERS, options, strict=True)), "answer": answer})


def _right(model: OmniLMM, packer: Packer, rows: Sequence[GeneratedRow], name: str, blank: bool = False) -> list[bool]:
    answers = answer_rows(model, packer, rows, name, blank)
    return [answer == row.fields["answer"] for answer, row in zip(answers, rows, strict=True)]


def _by(rows: Sequence[GeneratedRow], right: Sequence[bool], field: str) -> dict[str, float]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for row, is_right in zip(rows, right, strict=True):
        groups[str(row.fields[field])].append(is_right)
    return {key: _percent(groups[key]) for key in sorted(groups)}


def _percent(right: Sequence[bool]) -> float:
    return round(100 * sum(right) / len(right), 2)


def load(checkpoint: Path, dtype: torch.dtype) -> tuple[OmniLMM, Packer]:
    """Load a checkpoint on the CPU, and the prompts' packer with its tokenizer."""
    config = OmniLMMConfig.from_json(checkpoint)
    model = OmniLMM(config)
    load_weights(model, checkpoint, OmniLMMLayout(config), dtype=dtype, device=torch.device("cpu"))
    model.to(dtype).eval().reset_buffers(torch.device("cpu"))
    return model, Packer(load_tokenizer(checkpoint), config.query_num)


def main() -> None:
    """Load a checkpoint in fp32, or bf16 where asked, and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_small.measure", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    model, packer = load(arguments.checkpoint, getattr(torch, arguments.dtype))
    started = time.perf_counter()
    figures = measure(model, packer)
    print(json.dumps({**figures, "wall_s": round(time.perf_counter() - started, 1)}, indent=1))


if __name__ == "__main__":
    main()
