"""Models behind one interface. ``load_adapter`` is the way in; implementations are imported only when asked for."""

from model_adapters.contract import AdapterError, ModelAdapter
from model_adapters.registry import ADAPTERS, load_adapter

__all__ = ["ADAPTERS", "AdapterError", "ModelAdapter", "load_adapter"]
