"""Reading an answer out of a reply: deterministic, apart from scoring, never a guess."""

from evals.extract.registry import EXTRACTORS, Extractor, extractor_version, get_extractor

__all__ = ["EXTRACTORS", "Extractor", "extractor_version", "get_extractor"]
