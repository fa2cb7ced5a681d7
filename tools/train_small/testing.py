"""Greedy exact-match scores of a model, with nothing of the harness: what the training log and the docs report."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from evals.data.generated import GeneratedRow, generate, language
from model_adapters.omnilmm.modeling import OmniLMM
from tools.train_small.packing import MASKED, Packer
from tools.train_small.stage1 import to_pixels

DATA_SETS = ("easyvqa", "shapes_mc", "shapes_presence", "words_ocr", "shapes_caption")
QUICK_ROWS = 80
QUICK_SEED = 90_001  # for the log only: neither training nor the reported test set
MAX_NEW_TOKENS = 40
_BATCH = 64


def prompt_of(row: GeneratedRow, name: str) -> str:
    """Return the prompt of a row."""
    templates = {"shapes_mc": language.CHOICE_TEMPLATE, "shapes_caption": language.CAPTION_TEMPLATE}
    return templates.get(name, language.QUESTION_TEMPLATE).format_map(row.fields)


def quick_scores(model: OmniLMM, packer: Packer) -> dict[str, float]:
    """Return the share of right answers, in percent, over a few rows of every data set."""
    scores = {}
    for name in DATA_SETS:
        rows = list(generate(name, QUICK_SEED, QUICK_ROWS))
        answers = answer_rows(model, packer, rows, name)
        right = [answer == row.fields["answer"] for answer, row in zip(answers, rows, strict=True)]
        scores[name] = round(100 * float(np.mean(right)), 2)
    return scores


def answer_rows(
    model: OmniLMM, packer: Packer, rows: Sequence[GeneratedRow], name: str, blank: bool = False
) -> list[str]:
    """Answer rows greedily; ``blank`` shows a grey picture instead of each row's own."""
    pixels = [np.asarray(Image.open(io.BytesIO(row.image_bytes)).convert("RGB")) for row in rows]
    if blank:
        pixels = [np.full_like(image, 128) for image in pixels]
    prompts = [packer.prompt_ids(prompt_of(row, name)) for row in rows]
    answers: list[str] = [""] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(prompts[index]))
    for start in range(0, len(rows), _BATCH):
        chosen = order[start : start + _BATCH]
        found = greedy(model, packer, np.stack([pixels[i] for i in chosen]), [prompts[i] for i in chosen])
        for index, ids in zip(chosen, found, strict=True):
            answers[index] = packer.tokenizer.decode_answer(ids)
    return answers


@torch.no_grad()
def greedy(model: OmniLMM, packer: Packer, images: np.ndarray, prompts: list[list[int]]) -> list[list[int]]:
    """Decode a left-padded batch greedily.

    Args:
        images: (n, 64, 64, 3) uint8.
        prompts: n lists of ids.

    Returns:
        The new ids of each, ending with the end of sequence if it came.
    """
    longest = max(map(len, prompts))
    pads = torch.tensor([longest - len(prompt) for prompt in prompts])
    ids = torch.tensor([[packer.tokenizer.unk_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    features = model.image_features(to_pixels(images).to(next(model.parameters()).dtype))
    embeds = model.splice(ids, features, pads + packer.image_start)  # (n, length, hidden)
    real = torch.arange(longest)[None] >= pads[:, None]  # (n, length)
    cache, answers = None, []
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    for _ in range(MAX_NEW_TOKENS):
        total, new = real.shape[1], embeds.shape[1]
        positions = (real.cumsum(1) - 1).clamp(min=0)[:, -new:]
        seen = real[:, None, :] & torch.ones(total, total, dtype=torch.bool).tril()[-new:]  # (n, new, total)
        mask = torch.zeros(seen.shape, dtype=embeds.dtype).masked_fill_(~seen, MASKED)[:, None]
        out = model.llm.model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        cache = out.past_key_values
        token = model.llm.lm_head(out.last_hidden_state[:, -1]).argmax(-1)  # (n,)
        answers.append(token)
        ended |= token == packer.tokenizer.eos_id
        if ended.all():
            break
        embeds = model.llm.embed(token[:, None])
        real = torch.cat([real, torch.ones(len(prompts), 1, dtype=torch.bool)], 1)
    return [_until_end(row, packer.tokenizer.eos_id) for row in torch.stack(answers, 1).tolist()]


def _until_end(ids: list[int], eos_id: int) -> list[int]:
    return ids[: ids.index(eos_id) + 1] if eos_id in ids else ids
