"""Recompute the numbers of `compare`, `leaderboard` and `gate` from run directories, step by step, with statsmodels.

    python docs/recompute_decisions.py RUN_A RUN_B

Nothing of evals.statistics is used to compute: each number is made again from samples/<task>.parquet by the textbook
method, printed beside what the project says, and compared. It covers tasks whose headline is a mean of per-question
scores and where at least ten clusters changed (below that, see docs/statistics.md); others are listed as skipped.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from evals.compare import compare_runs
from evals.store import open_run


def paired_table(folders: list[Path], task: str, headline: str) -> pd.DataFrame:
    """One row a question: the score of A, the score of B, and the cluster."""
    tables = []
    for folder in folders:
        table = pd.read_parquet(folder / "samples" / f"{task}.parquet").dropna(subset=[f"unit:{headline}"])
        table["score"] = [unit[0] for unit in table[f"unit:{headline}"]]
        tables.append(table[["row_id", "content_hash", "cluster", "score"]])
    return tables[0].merge(tables[1], on=["row_id", "content_hash"], suffixes=("_a", "_b"))


def clustered_mean(values: np.ndarray, clusters: pd.Series) -> sm.regression.linear_model.RegressionResultsWrapper:
    """A mean is a regression on a constant; clustered covariance with G - 1 degrees of freedom."""
    groups = pd.factorize(clusters)[0]
    return sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)


def agree(name: str, ours: float, theirs: float, tolerance: float = 1e-9) -> None:
    """Print both, and stop where they differ."""
    print(f"    {name:<34} {ours: .8f}  {theirs: .8f}")
    if not math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=tolerance):
        raise SystemExit(f"{name}: the project says {ours!r}, recomputed {theirs!r}")


def main(arguments: list[str]) -> int:
    folders = [Path(argument) for argument in arguments]
    if len(folders) != 2:
        raise SystemExit(__doc__)
    comparison = compare_runs([open_run(folder) for folder in folders])[0]
    results = json.loads((folders[0] / "results.json").read_text(encoding="utf-8"))["tasks"]
    print("                                        project     recomputed")

    recomputed = {}
    for task in comparison.tasks:
        said = task.difference
        if said.method != "cluster_t" or said.p is None:
            print(f"  {task.task}: skipped ({said.method})")
            continue
        table = paired_table(folders, task.task, results[task.task]["headline"])
        change = (table["score_b"] - table["score_a"]).to_numpy()
        fit = clustered_mean(change, table["cluster_a"])
        low, high = fit.conf_int()[0]
        print(f"  {task.task}: {len(table)} questions, {table['cluster_a'].nunique()} clusters")
        agree("difference", said.value, change.mean())
        agree("standard error", said.se, fit.bse[0])
        agree("95 % interval, low", said.low, low)
        agree("95 % interval, high", said.high, high)
        agree("discordance", said.discordance, (change != 0).mean())
        if said.test == "mcnemar_mid_p":
            lost, gained = int((change < 0).sum()), int((change > 0).sum())
            exact = mcnemar([[0, lost], [gained, 0]], exact=True).pvalue
            half = scipy.stats.binom.pmf(min(lost, gained), lost + gained, 0.5)
            agree("p (mid-p McNemar)", said.p, min(1.0, exact - half) if lost != gained else 1.0)
        else:
            agree("p (paired t by clusters)", said.p, fit.pvalues[0])
        agree(
            "one-sided 95 % lower bound", said.lower(0.05), said.value + scipy.stats.t.ppf(0.05, said.df) * fit.bse[0]
        )
        recomputed[task.task] = (task, change.mean(), fit.bse[0], table["cluster_a"].nunique() - 1)

    p_values = [task.difference.p for task in comparison.tasks if task.difference.p is not None]
    if p_values:
        print("  Holm over all tasks")
        adjusted = multipletests(p_values, method="holm")[1]
        for task, p in zip([t for t in comparison.tasks if t.difference.p is not None], adjusted, strict=True):
            agree(task.task, task.p_holm, p)

    macro = comparison.overall
    if macro is not None and not macro.shared_clusters and len(recomputed) == len(comparison.tasks):
        print("  macro mean (no image in two tasks)")
        parts = list(recomputed.values())
        weights = np.array([task.weight for task, *_ in parts]) / sum(task.weight for task, *_ in parts)
        spans = np.array([task.difference.span for task, *_ in parts])
        errors = weights * np.array([se for _, _, se, _ in parts]) / spans
        value = float(np.sum(weights * np.array([mean for _, mean, _, _ in parts]) / spans))
        df = np.sum(errors**2) ** 2 / np.sum(errors**4 / np.array([df for *_, df in parts]))
        agree("difference", macro.value, value)
        agree("standard error", macro.se, math.sqrt(np.sum(errors**2)))
        agree("degrees of freedom", macro.df, df)
        agree("gate: lower bound, 95 % one-sided", macro.lower(0.05), value + scipy.stats.t.ppf(0.05, df) * macro.se)
        agree("gate: upper bound, 99 % one-sided", macro.upper(0.01), value + scipy.stats.t.ppf(0.99, df) * macro.se)
    print("all agree")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
