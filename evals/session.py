"""A run's sessions: who asked the model, when, and how it ended. No part of a run's identity, and no result depends on
them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """One time that a run was begun or continued.

    Attributes:
        started, ended: ISO times; ended is None while it runs, and of one that was killed.
        command: what was typed.
        executor: ``in-process``, ``workers`` or ``ray``.
        workers: how many; None in process.
        address: of a Ray cluster; None where there was none, or Ray was started for the run.
        shard: the part of every task that it asked; None is all.
        hardware_key: of the machine that asked.
        status: how it ended, as the run's.
        answered, failed: requests of this session.
        batch_size: most requests at a time at its end, the smallest worker's; None where the adapter does not say.
        auto_batch: whether the adapter was left to find it.
    """

    started: str
    command: str
    executor: str
    workers: int | None = None
    address: str | None = None
    shard: str | None = None
    hardware_key: str | None = None
    ended: str | None = None
    status: str = "started"
    answered: int = 0
    failed: int = 0
    batch_size: int | None = None
    auto_batch: bool = False
