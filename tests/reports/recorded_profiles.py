"""Profiles on disk, made of recorded timelines: a card with all its numbers, and a processor without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from timelines import case_record, process_record, request, window

from evals.perf.document import build_document
from evals.perf.job import ProfileJob, Side
from evals.perf.stored import Profile, write_profile
from evals.perf.timeline import Case, CaseRecord, Flag, ProcessRecord

NAME = "small <b>model</b>"
SCENARIOS = ("short-answer", "many-questions-one-image")


def cases(slower: float) -> list[CaseRecord]:
    """Two scenarios at batch 1 and 8, and one that did not fit."""
    found = []
    for scenario in SCENARIOS:
        for batch in (1, 8):
            times = [request(i, ttft_ms=40 * slower, gap_ms=10 * slower) for i in range(80)]
            clean = window(times, seconds=10.0, energy_begin_mj=0, energy_end_mj=4_000_000)
            case = Case(scenario, batch, new_tokens=3)
            found.append(case_record(case=case, latency=clean, throughput=clean, notes=("a <i>note</i>",)))
    return [*found, CaseRecord(Case("ocr", 64, new_tokens=100), skipped="out of memory at batch 64: CUDA")]


def a_profile(folder: Path, *, flags: tuple[Flag, ...] = (), on_cpu: bool = False) -> Profile:
    """Two processes of a model on an H100, or on a processor."""
    hardware = {"device_name": "NVIDIA H100 80GB HBM3", "cpu": "a processor"}
    if on_cpu:
        hardware["device_name"] = ""
    processes: list[ProcessRecord] = []
    for index, slower in enumerate((1.0, 1.02)):
        records = cases(slower)
        if on_cpu:
            records = [replace(record, gpu=(), memory_mib={"weights": 12.0}) for record in records]
        processes.append(
            process_record(
                records,
                index=index,
                model={"model": NAME, "dtype": "bfloat16", "device": "cpu" if on_cpu else "cuda"},
                facts={"device_name": None if on_cpu else hardware["device_name"], "tf32_matmul": False},
                before={"hardware_key": "key", "hardware": hardware},
                no_gpu="the model runs on cpu" if on_cpu else "",
                flags=flags,
            )
        )
    command = f"run_eval.py profile --out {folder.name}"
    document = build_document(processes, Side("a"), ProfileJob(), profile_id=folder.name, command=command)
    return write_profile(folder, document)
