"""Answers kept across runs, for whoever asks for it (`--response-cache DIR`).

keys.py      what decides an answer, as one digest
store.py     the answers on disk: one SQLite file, safe for several writers
adapter.py   an adapter in front of another that answers from the store where it can
"""

from evals.caching.adapter import CachingAdapter, behind_cache
from evals.caching.store import ResponseStore

__all__ = ["CachingAdapter", "ResponseStore", "behind_cache"]
