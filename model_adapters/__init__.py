"""Models behind one interface. ``load_adapter`` is the way in; implementations are imported only when asked for."""

import logging

from model_adapters.contract import AdapterError, ModelAdapter
from model_adapters.registry import ADAPTERS, load_adapter

# transformers imports torchao wherever it is installed, and that tells on stderr which CUDA kernels this build of torch
# lacks and which of its own calls are deprecated: nothing that a user of this project can act on.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)

__all__ = ["ADAPTERS", "AdapterError", "ModelAdapter", "load_adapter"]
