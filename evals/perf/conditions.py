"""Under which conditions was it measured: an environment record before and after, and what of it spoils the numbers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from evals.files import PROJECT
from evals.identity import environment
from evals.perf.nvml import SW_POWER_CAP, THROTTLED, Nvml, reason_names
from evals.perf.timeline import Flag, GpuSample

FOREIGN_MIB = 1024.0  # in use before our model is loaded: more than our own context (up to 700) and the driver's share
BUSY_PERCENT = 10  # the card's utilisation before we began, above which somebody else computes on it
FOREIGN_CPU_SHARE = 0.10  # of this machine's processor time, taken by others while we measured


def environment_record(model: Mapping[str, Any], facts: Mapping[str, Any], card: Nvml | None) -> dict[str, Any]:
    """Everything about machine, libraries and card that can move a time."""
    named = {**model, "device_name": facts.get("device_name")}
    return environment(named) | {
        "facts": dict(facts),
        "card": card.record() if card else None,
        "program": source_revision(),
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cpu_quota": _cpu_quota(),
        "container": _in_container(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def source_revision() -> dict[str, Any]:
    """Git revision of this program and whether it was changed; nulls outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "-C", str(PROJECT), *arguments],  # noqa: S607 - git is found as the user has it
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"revision": git("rev-parse", "HEAD"), "changed": None if changes is None else bool(changes)}


class CpuWatch:
    """How much of the machine's processors others took between construction and :meth:`flags`."""

    def __init__(self) -> None:
        self._all, self._own = _busy_seconds(), _own_seconds()

    def flags(self) -> list[Flag]:
        """A warning where the machine was not quiet."""
        total, busy = (after - before for after, before in zip(_busy_seconds(), self._all, strict=True))
        foreign = busy - (_own_seconds() - self._own)
        if total <= 0 or foreign / total <= FOREIGN_CPU_SHARE:
            return []
        share = 100 * foreign / total
        return [Flag("warning", "busy_host", f"other processes took {share:.0f} % of this machine's processor time")]


def card_flags_before(card: Nvml, pid: int) -> list[Flag]:
    """What spoils a measurement before it begins: somebody computes on the card. Asked before our model is loaded."""
    flags = []
    busy = card.utilisation()
    if busy is not None and busy > BUSY_PERCENT:
        flags.append(Flag("invalid", "busy_card", f"the card was {busy} % busy before anything was measured"))
    found = card.processes()
    if found is None:
        flags.append(Flag("note", "no_process_list", card.reason("process")))
    else:
        foreign = sorted(set(found) - {pid})
        if foreign:
            listed = ", ".join(map(str, foreign))
            detail = f"other processes compute on the card: {listed}"
            if pid not in found:  # a container counts processes in its own way
                detail += " (this process does not find itself by its number; one of them may be it)"
            flags.append(Flag("warning", "foreign_processes", detail))
    used = card.device_used_mib()
    if used is not None and used > FOREIGN_MIB:
        detail = f"{used:,.0f} MiB of the card were in use before the model was loaded"
        flags.append(Flag("warning", "foreign_memory", detail))
    return flags


def throttle_flags(samples: Sequence[GpuSample]) -> list[Flag]:
    """Heat or power supply held the clocks down: the run is invalid; a power cap is the card's normal limit: a note."""
    masks = [sample.reasons for sample in samples if sample.reasons is not None]
    held = [mask & THROTTLED for mask in masks if mask & THROTTLED]
    flags = []
    if held:
        names = sorted({name for mask in held for name in reason_names(mask)})
        detail = f"clocks were held down by {', '.join(names)} in {len(held)} of {len(masks)} samples"
        flags.append(Flag("invalid", "throttled", detail))
    capped = sum(bool(mask & SW_POWER_CAP) for mask in masks)
    if capped:
        flags.append(
            Flag("note", "power_cap", f"the power limit held the clocks down in {capped} of {len(masks)} samples")
        )
    return flags


def _busy_seconds() -> tuple[float, float]:
    """(all, busy) processor seconds of the machine since it was started."""
    times = psutil.cpu_times()
    total = sum(times)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return total, total - idle


def _own_seconds() -> float:
    """Processor seconds of this process and of the children that it waited for."""
    mine = os.times()
    return mine.user + mine.system + mine.children_user + mine.children_system


def _cpu_quota() -> float | None:
    """Processors that the control group allows; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
