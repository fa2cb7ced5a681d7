"""Baselines and the gate that judges a candidate run against one."""

from evals.gate.baseline import Baseline, create_baseline, open_baseline, update_baseline
from evals.gate.margins import Margins, read_margins
from evals.gate.outputs import write_not_comparable, write_verdict
from evals.gate.speed import SpeedVerdict, judge_speed
from evals.gate.stored_speed import judge_measurements, store_speed
from evals.gate.verdict import Verdict, judge

__all__ = [
    "Baseline",
    "Margins",
    "SpeedVerdict",
    "Verdict",
    "create_baseline",
    "judge",
    "judge_measurements",
    "judge_speed",
    "open_baseline",
    "read_margins",
    "store_speed",
    "update_baseline",
    "write_not_comparable",
    "write_verdict",
]
