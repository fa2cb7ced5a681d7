"""Reading an answer out of a reply: deterministic, apart from scoring, never a guess."""

from evals.extract.registry import EXTRACTORS, Extractor, get_extractor

__all__ = ["EXTRACTORS", "Extractor", "get_extractor"]
