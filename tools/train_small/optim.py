"""Initialisation, optimiser groups, the learning-rate schedule, and training state on disk."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

WEIGHT_DECAY = 0.05
WARM_UP_STEPS = 300
FINAL_RATE_SHARE = 0.02


def initialise_matrices(module: nn.Module) -> None:
    """Draw every weight matrix with standard deviation 1/sqrt(fan-in), zero every bias."""
    for name, parameter in module.named_parameters():
        if parameter.dim() >= 2 and "position" not in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif parameter.dim() >= 2:
            nn.init.normal_(parameter, std=0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


def rate_at(step: int, total_steps: int) -> float:
    """Return the factor on the learning rate at a step: warm-up, then a straight line down to 2 %."""
    warm_up = min(WARM_UP_STEPS, total_steps // 4)
    if step < warm_up:
        return (step + 1) / warm_up
    return 1.0 - (1.0 - FINAL_RATE_SHARE) * (step - warm_up) / max(1, total_steps - warm_up)


def make_optimizer(groups: dict[float, list[nn.Parameter]], learning_rate: float) -> torch.optim.AdamW:
    """Make AdamW with weight decay on matrices only.

    Args:
        groups: factor on the learning rate → parameters.
        learning_rate: peak rate of factor 1.
    """
    settings = []
    for factor, parameters in groups.items():
        matrices = [parameter for parameter in parameters if parameter.dim() >= 2]
        vectors = [parameter for parameter in parameters if parameter.dim() < 2]
        settings.append({"params": matrices, "factor": factor, "weight_decay": WEIGHT_DECAY})
        settings.append({"params": vectors, "factor": factor, "weight_decay": 0.0})
    return torch.optim.AdamW(settings, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["factor"]


def save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimiser moments and the step, so that a stopped training goes on where it was."""
    partial = path.with_suffix(".partial")
    torch.save({"weights": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, partial)
    partial.replace(path)


def load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Read what ``save_state`` wrote (tensors and numbers only, no code) and return the step to go on with."""
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
