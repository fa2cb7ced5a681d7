"""run_eval.py with the test's adapters: what the tests that kill a run start as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from model_adapters.registry import ADAPTERS  # noqa: E402 - the path comes first

ADAPTERS |= {"scripted": "scripted_adapters:Scripted", "deadly": "scripted_adapters:Deadly"}

if __name__ == "__main__":
    import run_eval

    sys.exit(run_eval.main())
