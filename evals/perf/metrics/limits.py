"""How near a stage comes to the card's published peaks: model FLOP and bandwidth utilisation, and the roofline."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from evals.perf.cards import card_peaks
from evals.perf.metrics.base import Metric, NoValue, Seen, answered, with_tokens
from model_adapters.probe import Work

COUNTED_WITHIN = 0.05  # formula and counter must agree this well, or the formula is not believed


@dataclass(frozen=True, slots=True)
class RooflinePoint:
    """A stage as measured: ``intensity`` in FLOP per byte of weights and cache read, ``tflops`` reached."""

    stage: str
    intensity: float
    tflops: float


class MfuPrefill(Metric):
    tag, title, unit = "mfu_prefill", "FLOP utilisation, prefill", "share"
    better = "higher"
    formula = "prefill FLOPs by formula / (prefill time · published dense peak of the dtype)"
    reads = ("spans", "work", "counted", "facts.device_name", "model.dtype")

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (_achieved(seen, "prefill") / _peak_flops(seen),)


class MfuVision(Metric):
    tag, title, unit = "mfu_vision", "FLOP utilisation, vision", "share"
    better = "higher"
    formula = "vision and resampler FLOPs by formula / (their time · published dense peak of the dtype)"
    reads = ("spans", "work", "counted", "facts.device_name", "model.dtype")

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (_achieved(seen, "vision") / _peak_flops(seen),)


class MbuDecode(Metric):
    tag, title, unit = "mbu_decode", "Bandwidth utilisation, decoding", "share"
    better = "higher"
    formula = (
        "(weights of layers and head + keys and values of the batch at mean length) / (TPOT · published bandwidth)"
    )
    reads = ("latency.requests", "work", "facts.device_name")

    def values(self, seen: Seen) -> tuple[float, ...]:
        step_bytes, step_s, _ = _decode_step(seen)
        name = seen.process.facts.get("device_name")
        peaks = card_peaks(name)
        if peaks is None:
            raise NoValue(_unknown_card(seen))
        return (step_bytes / (step_s * peaks.bandwidth_gb_s * 1e9),)


def roofline(seen: Seen) -> list[RooflinePoint]:
    """Points of the stages that can be placed; no card need be known."""
    points = []
    for stage in ("vision", "prefill"):
        try:
            achieved = _achieved(seen, stage)
        except NoValue:
            continue
        points.append(RooflinePoint(stage, _intensity(seen, stage), achieved / 1e12))
    try:
        step_bytes, step_s, flops = _decode_step(seen)
    except NoValue:
        return points
    return [*points, RooflinePoint("decode", flops / step_bytes, flops / step_s / 1e12)]


def _work(seen: Seen) -> Work:
    work = seen.process.work
    if work is None:
        raise NoValue("the adapter does not tell what it computes")
    if seen.case.case.shares:
        raise NoValue("questions share pictures or prefixes here: the work by formula would count too much")
    _check_against_counter(seen, work)
    return work


def _check_against_counter(seen: Seen, work: Work) -> None:
    """The formula must agree with what the framework counted of a request of this case."""
    counted = seen.case.counted
    if counted is None:
        return
    formula = counted.images * work.vision_flops + work.prefill_flops(counted.prompt_tokens)
    formula += sum(work.decode_flops(counted.prompt_tokens + i) for i in range(1, counted.new_tokens))
    if abs(counted.flops / formula - 1) > COUNTED_WITHIN:
        said = f"{formula / 1e9:.3g} and {counted.flops / 1e9:.3g} GF"
        raise NoValue(f"formula and counter disagree on the operations of a request ({said})")


def _stage_seconds(seen: Seen, stages: tuple[str, ...]) -> float:
    seconds = sum(span.ms for span in seen.case.spans if span.stage in stages) / 1000.0
    if seconds <= 0:
        raise NoValue("the adapter marks no such stage")
    return seconds


def _achieved(seen: Seen, stage: str) -> float:
    """FLOP per second that a stage of the instrumented pass reached."""
    work, requests = _work(seen), answered(seen.instrumented())
    if stage == "vision":
        images = sum(request.images for request in requests)
        if not images:
            raise NoValue("the requests have no images")
        return images * work.vision_flops / _stage_seconds(seen, ("vision", "resampler"))
    if seen.has_beams:
        raise NoValue(
            "beam search does not tell prefill and decoding apart, nor how many steps it took, so there is no formula"
        )
    if any(request.prompt_tokens is None for request in requests):
        raise NoValue("the adapter does not count prompt tokens")
    flops = sum(work.prefill_flops(request.prompt_tokens or 0) for request in requests)
    return flops / _stage_seconds(seen, ("prefill",))


def _intensity(seen: Seen, stage: str) -> float:
    """FLOP per byte of weights: each batch reads them once."""
    work, batch = _work(seen), seen.case.case.batch
    if stage == "vision":
        return batch * work.vision_flops / work.vision_weight_bytes
    tokens = statistics.fmean(request.prompt_tokens or 0 for request in answered(seen.instrumented()))
    return batch * work.prefill_flops(tokens) / work.step_weight_bytes


def _decode_step(seen: Seen) -> tuple[float, float, float]:
    """(bytes, seconds, FLOPs) of one decoding step of the whole batch, at the mean length of its sequences."""
    work, requests = _work(seen), with_tokens(seen, 2)
    if any(request.prompt_tokens is None for request in requests):
        raise NoValue("the adapter does not count prompt tokens")
    context = statistics.fmean((r.prompt_tokens or 0) + len(r.token_ns) / 2 for r in requests)
    seconds = statistics.median((r.token_ns[-1] - r.token_ns[0]) / (len(r.token_ns) - 1) / 1e9 for r in requests)
    if seconds <= 0:
        raise NoValue("tokens came at once")
    batch = seen.case.case.batch
    step_bytes = work.step_weight_bytes + batch * work.kv_bytes_per_token * context
    return step_bytes, seconds, batch * work.decode_flops(context)


def _peak_flops(seen: Seen) -> float:
    peaks = card_peaks(seen.process.facts.get("device_name"))
    if peaks is None:
        raise NoValue(_unknown_card(seen))
    dtype = str(seen.process.model.get("dtype"))
    tflops = peaks.tflops(dtype, tf32=bool(seen.process.facts.get("tf32_matmul")))
    if tflops is None:
        raise NoValue(f"no published {dtype} peak of {seen.process.facts.get('device_name')} is known here")
    return tflops * 1e12


def _unknown_card(seen: Seen) -> str:
    name = seen.process.facts.get("device_name")
    return f"no published peaks of {name} are known here" if name else "there is no published peak of this processor"
