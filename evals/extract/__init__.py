"""Reading an answer out of a reply: deterministic, apart from scoring, never a guess. ``get_extractor(name)`` is the way in."""

from evals.extract.registry import EXTRACTORS, Extractor, get_extractor

__all__ = ["EXTRACTORS", "Extractor", "get_extractor"]
