"""Memory of this process as the operating system sees it."""

from __future__ import annotations

import resource
import sys


def peak_host_mib() -> float:
    """Peak resident memory of this process so far, in MiB (2**20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB
