"""What can be said about numbers from a sample of questions: intervals, paired differences, power, ranks.

numpy and the standard library only. Everything works on the unit vectors of :class:`evals.metrics.base.Statistic`, so
every metric gets the same treatment and nothing is scored twice.
"""

from evals.statistics.intervals import Interval, interval
from evals.statistics.macro import Macro, TaskNumber, difference_part, macro_mean, score_part
from evals.statistics.multiplicity import benjamini_hochberg, holm
from evals.statistics.paired import Difference, paired_difference
from evals.statistics.power import detectable_effect, sample_size, units_needed
from evals.statistics.quantiles import Quantile, quantile
from evals.statistics.ranks import rank_intervals, significantly_better, tie_groups

__all__ = [
    "Difference",
    "Interval",
    "Macro",
    "Quantile",
    "TaskNumber",
    "benjamini_hochberg",
    "detectable_effect",
    "difference_part",
    "holm",
    "interval",
    "macro_mean",
    "paired_difference",
    "quantile",
    "rank_intervals",
    "sample_size",
    "score_part",
    "significantly_better",
    "tie_groups",
    "units_needed",
]
