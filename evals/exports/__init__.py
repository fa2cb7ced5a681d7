"""A finished run in other programs' hands: trackers of experiments, and other suites' file formats."""

from evals.exports.registry import TARGETS, Destination, export_run

__all__ = ["TARGETS", "Destination", "export_run"]
