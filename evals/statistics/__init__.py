"""What can be said about numbers from a sample of questions. numpy and ``scipy.special`` only."""

from evals.statistics.intervals import Interval, interval

__all__ = ["Interval", "interval"]
