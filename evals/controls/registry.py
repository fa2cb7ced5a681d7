"""Everything that `run --model` takes: the controls of this room, and beside them all adapters.

A control of this room reads references, which an adapter never sees; so it lives here and not in ``model_adapters``.
"""

from __future__ import annotations

import importlib
from typing import Any

from model_adapters.contract import AdapterError, ModelAdapter, did_you_mean
from model_adapters.registry import adapter_names, build_adapter, load_adapter

CONTROLS: dict[str, str] = {
    "chance": "evals.controls.chance:Chance",
    "majority": "evals.controls.frequent:Majority",
    "oracle": "evals.controls.oracle:Oracle",
    "prior": "evals.controls.frequent:Prior",
    "replay": "evals.controls.replay:Replay",
}


def model_names() -> list[str]:
    """Names of all adapters and controls, sorted."""
    return sorted({*CONTROLS, *adapter_names()})


def load_model(name: str, /, **options: Any) -> ModelAdapter:
    """Build an adapter or a control by name.

    Raises:
        AdapterError: unknown name or option (with the nearest one), or whatever keeps the model from loading.
    """
    if name in CONTROLS:
        module, _, attribute = CONTROLS[name].partition(":")
        return build_adapter(name, getattr(importlib.import_module(module), attribute), options)
    if name not in adapter_names():
        hint = did_you_mean(name, model_names())
        raise AdapterError(f"Unknown adapter {name!r}.{hint} Known adapters: {', '.join(model_names())}.")
    return load_adapter(name, **options)
