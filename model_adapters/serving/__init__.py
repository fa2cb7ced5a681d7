"""Any adapter as a server that speaks OpenAI's chat completions protocol: ``run_eval.py serve``."""

from model_adapters.serving.service import Service, serve

__all__ = ["Service", "serve"]
