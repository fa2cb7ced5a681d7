"""Metrics by name. Explicit names to dotted paths, imported only when asked for; packages add theirs by entry point."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from evals.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from evals.metrics.base import Metric

ENTRY_POINT_GROUP = "omnilmm_eval.metrics"

METRICS: dict[str, str] = {
    "spice": "evals.metrics.java_captions:Spice",
    "meteor": "evals.metrics.java_captions:Meteor",
    "coco_caption": "evals.metrics.coco_caption:CocoCaption",
    "rouge_l": "evals.metrics.rouge:RougeL",
    "cider_d": "evals.metrics.cider:CiderD",
    "cider": "evals.metrics.cider:Cider",
    "bleu": "evals.metrics.bleu:Bleu",
    "circular": "evals.metrics.choice:Circular",
    "cmmmu": "evals.metrics.mmmu:Cmmmu",
    "choice_likelihood": "evals.metrics.likelihood:ChoiceLikelihood",
    "gsm8k": "evals.metrics.gsm8k:Gsm8k",
    "hallusion_bench": "evals.metrics.hallusion:HallusionBench",
    "judge_score": "evals.metrics.judge:JudgeScore",
    "llava_bench": "evals.metrics.judge:LlavaBench",
    "mathvision": "evals.metrics.mathvision:MathVision",
    "mathvista": "evals.metrics.mathvista:MathVista",
    "mme": "evals.metrics.mme:Mme",
    "mmmu": "evals.metrics.mmmu:Mmmu",
    "multiple_choice": "evals.metrics.choice:MultipleChoice",
    "pope": "evals.metrics.pope:Pope",
    "anls": "evals.metrics.anls:Anls",
    "cer": "evals.metrics.edit:Cer",
    "chartqapro": "evals.metrics.chartqapro:ChartQaPro",
    "exact_match": "evals.metrics.exact:ExactMatch",
    "gqa": "evals.metrics.exact:Gqa",
    "ned": "evals.metrics.edit:Ned",
    "ocrbench": "evals.metrics.ocrbench:OcrBench",
    "relaxed_accuracy": "evals.metrics.relaxed:RelaxedAccuracy",
    "textvqa_accuracy": "evals.metrics.textvqa:TextVqaAccuracy",
    "token_f1": "evals.metrics.token_f1:TokenF1",
    "vqa_accuracy": "evals.metrics.vqa:VqaAccuracy",
    "wer": "evals.metrics.edit:Wer",
}


def _installed() -> Iterable[EntryPoint]:
    """Metrics of other packages."""
    from importlib.metadata import entry_points  # 25 ms, which most commands need not spend

    return entry_points(group=ENTRY_POINT_GROUP)


def metric_names() -> list[str]:
    """Names of all metrics, built in and from installed packages, sorted."""
    return sorted(set(METRICS) | {point.name for point in _installed()})


def get_metric(name: str, **options: Any) -> Metric:
    """A metric by name; ``options`` go to its constructor. An unknown name is a :class:`SpecError` with the nearest."""
    if name in METRICS:
        module, _, attribute = METRICS[name].partition(":")
        cls = getattr(importlib.import_module(module), attribute)
    elif name.startswith("evaluate:"):  # a metric of that library; its import takes seconds, so only when asked for
        cls = partial(importlib.import_module("evals.metrics.from_evaluate").FromEvaluate, name)
    elif found := [point for point in _installed() if point.name == name]:
        cls = found[0].load()
    else:
        hint = did_you_mean(name, metric_names())
        raise SpecError(f"Unknown metric {name!r}.{hint} Known metrics: {', '.join(metric_names())}.")
    try:
        metric: Metric = cls(**options)
    except TypeError as error:
        raise SpecError(f"Metric {name!r} does not take these options, {options}: {error}.") from error
    return metric
