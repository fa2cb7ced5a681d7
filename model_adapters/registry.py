"""Adapters by name. Explicit names to dotted paths; other packages add theirs through an entry point."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from model_adapters.contract import AdapterError, ModelAdapter, did_you_mean
from model_adapters.option_types import check_types

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "omnilmm_eval.adapters"

ADAPTERS: dict[str, str] = {
    "omnilmm": "model_adapters.omnilmm.adapter:OmniLMMAdapter",
    "minicpm": "model_adapters.omnilmm.text_adapter:MiniCPMAdapter",
    "openai": "model_adapters.openai_api.adapter:OpenAIAdapter",
    "blind": "model_adapters.blind:BlindAdapter",
    "echo": "model_adapters.echo:EchoAdapter",
    "transformers": "model_adapters.transformers_models.adapter:TransformersAdapter",
    "null": "model_adapters.null:NullAdapter",
    "rapidocr": "model_adapters.specialists.rapidocr:RapidOcrAdapter",
    "tesseract": "model_adapters.specialists.tesseract:TesseractAdapter",
}


def _installed() -> Iterable[EntryPoint]:
    """Adapters of other packages."""
    from importlib.metadata import entry_points  # 25 ms, which most commands need not spend

    return entry_points(group=ENTRY_POINT_GROUP)


def adapter_names() -> list[str]:
    """Names of all adapters, built in and from installed packages, sorted."""
    return sorted(set(ADAPTERS) | {point.name for point in _installed()})


def adapter_path(name: str) -> str:
    """Where the class behind a name is, ``module:Class``; nothing is imported.

    Raises:
        AdapterError: unknown adapter (with the nearest name).
    """
    if name in ADAPTERS:
        return ADAPTERS[name]
    for point in _installed():
        if point.name == name:
            return point.value
    hint = did_you_mean(name, adapter_names())
    raise AdapterError(f"Unknown adapter {name!r}.{hint} Known adapters: {', '.join(adapter_names())}.")


def adapter_class(name: str) -> type[ModelAdapter]:
    """The class behind a name. Raises :class:`AdapterError` with the nearest name for an unknown one."""
    module, _, attribute = adapter_path(name).partition(":")
    loaded: type[ModelAdapter] = getattr(importlib.import_module(module), attribute)
    return loaded


def load_adapter(name: str, /, **options: Any) -> ModelAdapter:
    """Build an adapter: ``load_adapter("omnilmm", checkpoint=..., dtype=..., device=...)``.

    Raises:
        AdapterError: unknown adapter, unknown option (with the nearest name), an option of the wrong type, or whatever
            keeps the model from loading.
    """
    return build_adapter(name, adapter_class(name), options)


def build_adapter(name: str, cls: type[ModelAdapter], options: Mapping[str, Any]) -> ModelAdapter:
    """An adapter of a class, its options checked; a class that takes ``**options`` checks the others itself."""
    parameters = inspect.signature(cls).parameters.values()
    known = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_others = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for option in options:
        if option not in known and not takes_others:
            hint = did_you_mean(option, known)
            raise AdapterError(
                f"Adapter {name!r} has no option {option!r}.{hint} Its options: {', '.join(known) or 'none'}."
            )
    missing = [p.name for p in parameters if p.name in known and p.default is p.empty and p.name not in options]
    if missing:
        raise AdapterError(
            f"Adapter {name!r} needs the option {missing[0]!r}: -o {missing[0]}=... on the command line."
        )
    check_types(name, cls, options)
    return cls(**options)
