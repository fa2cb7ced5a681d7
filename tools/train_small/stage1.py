"""Stage 1: the vision tower alone learns what lies under each patch.

Without it the resampler attends uniformly, only global colour gets through to the decoder and words are never learnt.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tools.train_small import optim, parallel, patches
from tools.train_small.architecture import build_vision

LEARNING_RATE = 1e-3
IMAGES_PER_PROCESS = 48
SAVE_EVERY = 500
LOG_EVERY = 50


class PatchClassifier(nn.Module):
    """The vision tower with a linear head over the patch classes."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = build_vision()
        self.head = nn.Linear(self.vision.config.hidden_size, patches.NUM_CLASSES)
        optim.initialise_matrices(self)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:  # (n, 3, 64, 64) -> (n, 64, classes)
        return self.head(self.vision(pixel_values=pixels).last_hidden_state)


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """Normalise (n, h, w, 3) uint8 to (n, 3, h, w) float32 with mean = std = 0.5, as the image processor does."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255).sub_(0.5).div_(0.5).contiguous()


def train(rank: int, processes: int, folder: str, steps: int, seed: int) -> None:
    """Train the vision tower; one of ``processes`` workers.

    Args:
        rank: this worker's number.
        processes: how many there are.
        folder: state and log are kept here; a state found there is gone on with.
        steps: optimiser steps of the whole stage.
        seed: of weights and data.
    """
    torch.manual_seed(seed)
    model = PatchClassifier()
    optimizer = optim.make_optimizer({1.0: list(model.parameters())}, LEARNING_RATE)
    state = Path(folder) / "stage1.pt"
    first = optim.load_state(state, model, optimizer) if state.exists() else 0
    started = time.perf_counter()
    losses: list[float] = []
    hits = np.zeros(2)
    for step in range(first, steps):
        images, labels = patches.patch_batch(Random(f"stage1/{seed}/{rank}/{step}"), IMAGES_PER_PROCESS)
        targets = torch.from_numpy(labels)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(to_pixels(images))
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        parallel.average_gradients(model.parameters())
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.set_rate(optimizer, LEARNING_RATE * optim.rate_at(step, steps))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        is_character = targets >= patches.FIRST_CHARACTER
        hits += [float((logits.argmax(-1) == targets)[is_character].sum()), float(is_character.sum())]
        if rank == 0 and (step + 1) % LOG_EVERY == 0:
            entry = {"stage": 1, "step": step + 1, "loss": round(sum(losses) / len(losses), 4)}
            entry |= {
                "character_accuracy": round(hits[0] / hits[1], 4),
                "wall_s": round(time.perf_counter() - started, 1),
            }
            with (Path(folder) / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            losses.clear()
            hits[:] = 0
        if rank == 0 and ((step + 1) % SAVE_EVERY == 0 or step + 1 == steps):
            optim.save_state(state, model, optimizer, step + 1)
