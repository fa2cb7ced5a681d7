"""Controls: answers that no model gave. They are a report's floor and ceiling lines, and they test the scorers."""

from evals.controls.registry import CONTROLS, load_model, model_names

__all__ = ["CONTROLS", "load_model", "model_names"]
