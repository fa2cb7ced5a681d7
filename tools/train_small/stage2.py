"""Stage 2: vision tower, resampler and decoder learn to answer, together."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.tokenizer import load_tokenizer
from tools.train_small import mixture, optim, parallel, patches
from tools.train_small.architecture import build_model
from tools.train_small.export import export
from tools.train_small.packing import Packed, Packer
from tools.train_small.stage1 import to_pixels
from tools.train_small.testing import quick_scores

LEARNING_RATE = 1e-3
VISION_RATE_FACTOR = 0.3  # at the full rate the pretrained tower is destroyed
WORDS_PER_PROCESS = 24
SCENES_PER_PROCESS = 14
EASY_PER_PROCESS = 10
LATE_SCENES_PER_PROCESS = 18
LATE_EASY_PER_PROCESS = 4
GROUP_WEIGHTS = (0.5, 0.5, 0.25)  # words, scenes, easy-VQA
PATCH_LOSS_START = 0.3
PATCH_LOSS_END = 0.6  # of the training
LOG_EVERY = 50
EVALUATE_EVERY = 400
SAVE_EVERY = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What one training run does.

    Attributes:
        folder: holds tokenizer.model and stage1.pt; state, log and exported checkpoints go there.
        steps: optimiser steps of the stage.
        seed: of weights and data.
        early_step: the step whose weights are exported as ``small-early``.
        start_from, start_step: a checkpoint to begin with instead of stage 1, and the step that it stands for.
    """

    folder: str
    steps: int
    seed: int
    early_step: int
    start_from: str | None = None
    start_step: int = 0


class Learner(nn.Module):
    """The model, and stage 1's linear head for the patch loss."""

    def __init__(self, model: OmniLMM) -> None:
        super().__init__()
        self.model = model
        self.patch_head = nn.Linear(model.config.vision.hidden_size, patches.NUM_CLASSES)

    def load_stage1(self, path: Path) -> None:
        """Take vision tower and head from stage 1."""
        weights = torch.load(path, weights_only=True)["weights"]
        vision = {name.removeprefix("vision."): value for name, value in weights.items() if name.startswith("vision.")}
        self.model.vpm.siglip.load_state_dict(vision)
        self.patch_head.load_state_dict(
            {name.removeprefix("head."): value for name, value in weights.items() if name.startswith("head.")}
        )

    def load_checkpoint(self, path: Path) -> None:
        """Take all of a checkpoint; the patch head, whose loss has faded out by then, stays as drawn."""
        self.model.load_state_dict(OmniLMM.from_checkpoint(path, dtype="float32", device="cpu").state_dict())

    def answer_loss(self, features: torch.Tensor, batch: Packed, start: int) -> torch.Tensor:
        """Return the weighted mean cross-entropy over the answers' tokens.

        Args:
            features: (n, query_num, hidden) visual tokens.
            batch: n packed sequences.
            start: position of the first visual token.
        """
        embeds = self.model.splice(batch.ids, features, start)  # (n, length, hidden)
        hidden = self.model.llm.model(
            inputs_embeds=embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        learnt = batch.targets >= 0
        logits = self.model.llm.lm_head(hidden[learnt])  # (tokens, vocabulary)
        weights = batch.weights[learnt]
        losses = functional.cross_entropy(logits.float(), batch.targets[learnt], reduction="none")
        return (losses * weights).sum() / weights.sum()


def train(rank: int, processes: int, plan: Plan) -> None:
    """Train; one of ``processes`` workers. A state found in the plan's folder is gone on with."""
    folder = Path(plan.folder)
    torch.manual_seed(plan.seed)
    tokenizer = load_tokenizer(folder / "tokenizer.model")
    learner = Learner(build_model(tokenizer.vocab_size, plan.seed))
    if plan.start_from:
        learner.load_checkpoint(Path(plan.start_from))
    else:
        learner.load_stage1(folder / "stage1.pt")
    packer = Packer(tokenizer, learner.model.config.query_num)
    optimizer = _optimizer(learner)
    state = folder / "stage2.pt"
    first = optim.load_state(state, learner, optimizer) if state.exists() else plan.start_step
    started = time.perf_counter()
    window: list[list[float]] = []
    for step in range(first, plan.steps):
        losses = _loss(learner, packer, Random(f"stage2/{plan.seed}/{rank}/{step}"), step / plan.steps)
        sum(losses).backward()
        parallel.average_gradients(learner.parameters())
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optim.set_rate(optimizer, LEARNING_RATE * optim.rate_at(step, plan.steps))
        optimizer.step()
        optimizer.zero_grad()
        window.append([float(loss.detach()) for loss in losses])
        done = step + 1
        if rank == 0 and done % LOG_EVERY == 0:
            means = np.mean(window, axis=0).round(4).tolist()
            entry = dict(zip(("words", "scenes", "easyvqa", "patches"), means, strict=True))
            _log(folder, {"stage": 2, "step": done, **entry, "wall_s": round(time.perf_counter() - started, 1)})
            window.clear()
        if rank == 0 and (done % SAVE_EVERY == 0 or done == plan.steps):
            optim.save_state(state, learner, optimizer, done)
        if rank == 0 and (done % EVALUATE_EVERY == 0 or done in (plan.early_step, plan.steps)):
            _log(folder, {"stage": 2, "step": done, "scores": quick_scores(learner.model, packer)})
            name = {plan.early_step: "small-early", plan.steps: "small-final"}.get(done, f"step-{done:06d}")
            export(learner.model, folder / "tokenizer.model", folder / name)


def _optimizer(learner: Learner) -> torch.optim.AdamW:
    vision = [*learner.model.vpm.parameters(), *learner.patch_head.parameters()]
    own = {id(parameter) for parameter in vision}
    others = [one for one in learner.parameters() if id(one) not in own and one.requires_grad]
    return optim.make_optimizer({VISION_RATE_FACTOR: vision, 1.0: others}, LEARNING_RATE)


def _loss(learner: Learner, packer: Packer, rng: Random, progress: float) -> list[torch.Tensor]:
    """Draw a batch and return its weighted losses: words, scenes, easy-VQA, patches."""
    is_late = progress >= mixture.LATE
    scenes, easy = (
        (LATE_SCENES_PER_PROCESS, LATE_EASY_PER_PROCESS) if is_late else (SCENES_PER_PROCESS, EASY_PER_PROCESS)
    )
    groups = [
        [mixture.word_example(rng, progress) for _ in range(WORDS_PER_PROCESS)],
        [mixture.scene_example(rng, progress) for _ in range(scenes)],
        [mixture.easy_example(rng) for _ in range(easy)],
    ]
    examples = [example for group in groups for example in group]
    pixels = to_pixels(np.stack([example.pixels for example in examples]))
    patch_weight = PATCH_LOSS_START * max(0.0, 1.0 - progress / PATCH_LOSS_END)
    with torch.autocast("cpu", torch.bfloat16):
        features = learner.model.vpm(pixels)  # (n, 64, vision width)
        visual = learner.model.resampler(features).split([len(group) for group in groups])
        losses = []
        for group, tokens, weight in zip(groups, visual, GROUP_WEIGHTS, strict=True):
            batch = packer.pack([example.questions for example in group])
            losses.append(weight * learner.answer_loss(tokens, batch, packer.image_start))
        labelled = [row for row, example in enumerate(examples) if example.patch_labels is not None]
        labels = torch.from_numpy(np.stack([examples[row].patch_labels for row in labelled]))
        logits = learner.patch_head(features[labelled])
    losses.append(patch_weight * functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten()))
    return losses


def _log(folder: Path, entry: dict[str, object]) -> None:
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
