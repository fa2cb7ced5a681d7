"""One fresh process of a profile: check that it fits, load, ask once cold, then case by case. Gives a record."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from evals.errors import AdapterError, EvalError
from evals.perf.conditions import CpuWatch, card_flags_before, environment_record, throttle_flags
from evals.perf.fit import check_fit, require_fit
from evals.perf.host import peak_host_mib
from evals.perf.job import ProfileJob, Side, TaskChoice
from evals.perf.measure import Bench, OutOfMemory, no_garbage, until
from evals.perf.nvml import Nvml, open_card
from evals.perf.sampler import Sampler
from evals.perf.timeline import Case, CaseRecord, Counted, Flag, ProcessRecord, RequestTimes, Window
from evals.perf.workload import Natural, Synthetic, Workload, find_scenarios
from model_adapters import load_adapter
from model_adapters.contract import ModelAdapter, Request, Response, tells_of_full_memory
from model_adapters.probe import Footprint, Probe
from model_adapters.registry import adapter_class

LOST_SHARE = 0.5  # of failed requests, from which on a case says nothing about speed


@dataclass(frozen=True, slots=True)
class _Loaded:
    adapter: ModelAdapter
    probe: Probe
    card: Nvml | None


def profile_process(side: Side, job: ProfileJob, index: int) -> ProcessRecord:
    """Measure everything once.

    Raises:
        AdapterError: the model cannot be loaded, or does not fit.
        EvalError: a task cannot be read.
    """
    started = datetime.now(UTC).isoformat(timespec="microseconds")
    tasks = [_natural(choice, job) for choice in job.tasks]
    footprint = adapter_class(side.model).footprint(**side.options)
    fit = check_fit(footprint, job.batches)
    require_fit(fit)
    flags = _flags_before(footprint)
    adapter, load_ns = _load(side)
    try:
        probe = adapter.probe()
        facts = dict(probe.facts())
        card, no_nvml = open_card(facts.get("uuid"))
        model = dict(adapter.identity())
        loaded = _Loaded(adapter, probe, card)
        before, watch = environment_record(model, facts, card), CpuWatch()
        workloads = [*_synthetic(job, adapter), *tasks]
        cold = _cold(loaded, workloads[0])
        cases = tuple(_cases(loaded, workloads, job, fit.largest_batch))
        if index == 0:
            _traces(loaded, workloads[0], job)
        flags += throttle_flags([sample for case in cases for sample in case.gpu]) + watch.flags()
        return ProcessRecord(
            index=index,
            started=started,
            model=model,
            facts=facts,
            load_ns=load_ns,
            cold_ns=None if cold is None or cold.failure else cold.done_ns - cold.submit_ns,
            work=probe.work(),
            before=before,
            after=environment_record(model, facts, card),
            cases=cases,
            fit=fit,
            flags=tuple(flags),
            no_gpu="" if facts.get("uuid") else f"the model runs on {model.get('device') or 'no known device'}",
            no_nvml=no_nvml,
        )
    finally:
        adapter.close()


def _load(side: Side) -> tuple[ModelAdapter, int]:
    """The adapter and how long it took; out of memory is said in words."""
    begin = time.perf_counter_ns()
    try:
        adapter = load_adapter(side.model, **side.options)
    except EvalError:
        raise
    except Exception as error:
        if not tells_of_full_memory(f"{type(error).__name__}: {error}"):
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AdapterError(
            f"Out of memory while the model was loaded: {first}. Free memory, choose a smaller dtype, or another "
            "device; `profile --plan` says what it needs."
        ) from error
    adapter.probe().synchronise()
    return adapter, time.perf_counter_ns() - begin


def _flags_before(footprint: Footprint | None) -> list[Flag]:
    """What somebody else does on the card, seen while it holds nothing of ours but a context."""
    card, _ = open_card(footprint.uuid if footprint else None)
    return card_flags_before(card, os.getpid()) if card else []


def _synthetic(job: ProfileJob, adapter: ModelAdapter) -> list[Workload]:
    with_images = adapter.capabilities.max_images != 0
    return [Synthetic(scenario, job.num_beams, with_images) for scenario in find_scenarios(job.scenarios)]


def _natural(choice: TaskChoice, job: ProfileJob) -> Workload:
    """A task's questions with their own lengths."""
    from evals.data import Subset, open_dataset
    from evals.plan import make_plan
    from evals.spec import find_task

    spec = find_task(choice.name, choice.preset)
    dataset = open_dataset(spec, job.data_root, job.cache, Subset(choice.limit, choice.sample, seed=choice.seed))
    plan = make_plan(spec, dataset)
    asked = tuple((question.sample_id, request) for question, request in plan.walk(lambda _: False))
    return Natural(f"task {spec.name}", asked, "likelihood" if spec.protocol == "likelihood" else "generate")


def _cold(loaded: _Loaded, workload: Workload) -> RequestTimes | None:
    """The very first request."""
    if workload.protocol == "likelihood" and not loaded.adapter.capabilities.choice_scoring:
        return None
    loaded.probe.fixed_length(workload.new_tokens > 0)
    try:
        return Bench(loaded.adapter, loaded.probe, workload, 1).one()
    except OutOfMemory:
        return None
    finally:
        loaded.probe.fixed_length(False)


def _cases(
    loaded: _Loaded, workloads: Sequence[Workload], job: ProfileJob, largest: int | None
) -> Iterator[CaseRecord]:
    """All cases, small batches first; what is too large is said and left out, and the sweep goes on."""
    full: dict[str, int] = {}  # by workload, the batch at which memory ended
    for batch in sorted(set(job.batches)):
        for workload in workloads:
            case = Case(workload.name, batch, workload.protocol, job.num_beams, workload.new_tokens, workload.shares)
            reason = _why_not(loaded, workload, batch, largest, full)
            if reason:
                yield CaseRecord(case, skipped=reason)
                continue
            print(f"  {case.name} ...", file=sys.stderr, flush=True)
            try:
                yield _measure(loaded, workload, case, job)
            except OutOfMemory as error:
                full[workload.name] = batch
                first = (str(error).splitlines() or ["no details"])[0]
                yield CaseRecord(case, skipped=f"out of memory at batch {batch}: {first}")


def _why_not(loaded: _Loaded, workload: Workload, batch: int, largest: int | None, full: dict[str, int]) -> str:
    """Why a case is not even tried; empty where it is."""
    if workload.protocol == "likelihood" and not loaded.adapter.capabilities.choice_scoring:
        return "the adapter cannot score choices by likelihood"
    if workload.limit is not None and batch > workload.limit:
        return f"a batch of {batch} is larger than the task's {workload.limit} requests"
    if largest is not None and batch > largest:
        return f"a batch of {batch} does not fit by estimate; the largest that does is {largest}"
    if workload.name in full:
        return f"a batch of {full[workload.name]} ran out of memory already"
    return ""


def _measure(loaded: _Loaded, workload: Workload, case: Case, job: ProfileJob) -> CaseRecord:
    """One case: warm up, clean passes, instrumented pass."""
    probe, card, rules = loaded.probe, loaded.card, job.rules
    bench = Bench(loaded.adapter, probe, workload, case.batch)
    beams = 1 if case.protocol == "likelihood" else probe.beams(case.num_beams)
    notes = _prepare(bench, case, beams)
    if card:
        bench.energy, bench.energy_reason = card.energy_mj, lambda: card.reason("energy")
    try:
        warm_up, warm = bench.warm_up(rules)
        if not warm:
            notes.append(f"times were not yet within {rules.warm_within:.0%} after {warm_up} warm-up batches")
        probe.reset_peaks()
        with Sampler(card) as sampler:
            with no_garbage():
                latency = throughput = bench.closed(until(rules))
            if case.batch > 1:
                with no_garbage():
                    throughput = bench.stream(until(rules))
        clean = [latency] if throughput is latency else [latency, throughput]
        memory = dict(probe.memory_mib())
        process_mib = card.process_mib(os.getpid()) if card else None
        device_mib = card.device_used_mib() if card else None
        with no_garbage():
            instrumented, spans = bench.instrumented(max(rules.instrumented, case.batch))
        counted = None if beams > 1 else _count(bench, case)
    finally:
        probe.fixed_length(False)
    return CaseRecord(
        case=case,
        latency=latency,
        throughput=throughput,
        instrumented=instrumented,
        spans=tuple(spans),
        memory_mib=memory,
        process_mib=process_mib,
        device_mib=device_mib,
        memory_reasons={what: card.reason(what) for what in ("process", "device")} if card else {},
        peak_host_mib=peak_host_mib(),
        gpu=sampler.samples,
        warm_up=warm_up,
        warm=warm,
        counted=counted,
        beams=beams,
        skipped=_lost(clean),
        notes=tuple(notes + _failures(clean)),
    )


def _prepare(bench: Bench, case: Case, beams: int) -> list[str]:
    """Set batch size and answer length; what the adapter cannot do is a note."""
    notes = []
    bench.own_batches = not bench.probe.set_batch_size(case.batch * beams)
    if bench.own_batches and case.batch > 1:
        notes.append("the adapter forms batches of its own: the batch is what it was given at a time")
    fixed = bench.probe.fixed_length(case.new_tokens > 0)
    if beams > case.num_beams:
        notes.append(f"the adapter's own way of decoding has {beams} beams")
    if case.new_tokens and (not fixed or beams > 1):
        notes.append(f"answers end where the model ends them, after {case.new_tokens} tokens at most")
    return notes


def _count(bench: Bench, case: Case) -> Counted | None:
    """A request's operations by the framework's counter, slowly and untimed."""
    if case.batch > 1 or case.protocol != "generate" or case.shares:
        return None
    asked: list[tuple[Request, Response]] = []
    flops = bench.probe.counted_flops(lambda: asked.extend(bench.ask(1)))
    if flops is None or not asked:
        return None
    request, response = asked[0]
    usage = response.usage
    if usage.prompt_tokens is None or usage.new_tokens is None:
        return None
    return Counted(flops, usage.prompt_tokens, usage.new_tokens, len(request.images))


def _lost(windows: Sequence[Window]) -> str:
    """Why a case with many failures has no numbers."""
    requests = [request for window in windows for request in window.requests]
    failed = [request for request in requests if request.failure]
    if len(failed) <= LOST_SHARE * len(requests):
        return ""
    return f"{len(failed)} of {len(requests)} requests failed: {failed[0].failure}"


def _failures(windows: Sequence[Window]) -> list[str]:
    failed = [request for window in windows for request in window.requests if request.failure]
    return [f"{len(failed)} requests failed and are left out: {failed[0].failure}"] if failed else []


def _traces(loaded: _Loaded, workload: Workload, job: ProfileJob) -> None:
    """Trace and memory snapshot of one batch, apart from everything that is timed."""
    if job.traces is None:
        return
    bench = Bench(loaded.adapter, loaded.probe, workload, max(job.batches))
    job.traces.mkdir(parents=True, exist_ok=True)
    trace, snapshot = job.traces / "trace.json", job.traces / "memory_snapshot.pickle"
    with loaded.probe.memory_snapshot(snapshot) if job.memory_snapshot else nullcontext(True) as taken:
        if not taken:
            print("no memory snapshot: only the CUDA allocator keeps a history", file=sys.stderr)
        with loaded.probe.trace(trace) if job.trace else nullcontext(True) as traced:
            if not traced:
                print("no trace: the adapter has no profiler", file=sys.stderr)
            bench.ask(max(job.batches))
