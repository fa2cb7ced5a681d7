"""Measuring in simulated time: what is reported is what the simulated model took."""

from dataclasses import replace

import pytest
from simulated import Simulated, SimulatedProbe

from evals.errors import AdapterError, SpecError
from evals.perf.fit import check_fit, require_fit
from evals.perf.job import ProfileJob, rules_of
from evals.perf.measure import Bench, OutOfMemory, Rules, until
from evals.perf.metrics import METRICS, Seen
from evals.perf.process import _cases, _Loaded
from evals.perf.workload import SCENARIOS, Natural, Scenario, Synthetic, find_scenarios, shapes
from model_adapters.contract import Request, Turn
from model_adapters.probe import Footprint, TokenClock

RULES = Rules(least_requests=8, least_s=0.5, most_s=5.0, instrumented=4)
SMALL = Scenario("small", "for tests", width=16, height=16, prompt_words=4, new_tokens=4)


def bench(adapter, batch=1, scenario=SMALL, beams=1):
    probe = adapter.probe()
    probe.set_batch_size(batch)
    probe.fixed_length(True)
    return Bench(adapter, probe, Synthetic(scenario, beams), batch, adapter.now)


def test_a_closed_pass_reports_what_the_model_took():
    adapter = Simulated()
    window = bench(adapter).closed(until(RULES))
    first = window.requests[0]
    assert (first.token_ns[0] - first.submit_ns) / 1e6 == pytest.approx(35)  # vision, prefill, one token
    assert [(b - a) / 1e6 for a, b in zip(first.token_ns, first.token_ns[1:], strict=False)] == pytest.approx([5] * 3)
    assert (first.done_ns - first.submit_ns) / 1e6 == pytest.approx(50)
    assert len(window.requests) == 10  # half a second of 50 ms each
    assert window.seconds == pytest.approx(0.5)


def test_a_stream_ends_with_a_whole_batch_and_reports_its_rate():
    window = bench(Simulated(), batch=4).stream(until(RULES))
    assert window.kind == "stream"
    assert len(window.requests) % 4 == 0
    assert len(window.requests) / window.seconds == pytest.approx(4 / 0.050)


def test_a_pass_ends_at_its_longest_even_with_few_requests():
    slow = Scenario("slow", "-", width=16, height=16, new_tokens=600)
    assert len(bench(Simulated(), scenario=slow).closed(until(RULES)).requests) == 2  # three seconds each


def test_warm_up_goes_on_until_times_are_stable():
    assert bench(Simulated()).warm_up(RULES) == (5, True)
    assert bench(Simulated(cold_ms=64)).warm_up(RULES) == (11, True)  # 64, 32, ... 1 ms: stable within 2 % from the 7th
    assert bench(Simulated(cold_ms=1e9)).warm_up(RULES) == (20, False)


def test_the_instrumented_pass_has_the_stages_and_the_observer_shows():
    adapter = Simulated(marks_ms=5)
    one = bench(adapter)
    clean = one.closed(until(RULES))
    window, spans = one.instrumented(4)
    assert sorted({(s.stage, round(s.ms)) for s in spans}) == [("decode", 20), ("prefill", 20), ("vision", 10)]
    [record] = _cases(_Loaded(adapter, adapter.probe(), None), [Synthetic(SMALL)], ProfileJob(rules=RULES), None)
    measured = replace(record, latency=clean, instrumented=window)
    seen = Seen(None, measured)
    assert METRICS["observer_effect"].values(seen) == pytest.approx((1.1,))
    assert METRICS["prefill_ms"].values(seen) == pytest.approx((20.0,))


def test_nothing_is_kept_from_pass_to_pass():
    adapter = Simulated()
    probe = adapter.probe()
    one = Bench(adapter, probe, Synthetic(SMALL), 1, adapter.now)
    seen = [r.request_id for _ in range(3) for r in one.closed(until(RULES)).requests]
    assert len(set(seen)) == len(seen)
    assert probe.forgotten == 3


def test_out_of_memory_is_seen_whether_the_adapter_raises_or_halves():
    with pytest.raises(OutOfMemory, match="CUDA out of memory"):
        bench(Simulated(room=4), batch=8).closed(until(RULES))
    with pytest.raises(OutOfMemory, match="batches of 4, not 8"):
        bench(Simulated(room=4, halve=True), batch=8).closed(until(RULES))


def test_other_errors_of_an_adapter_are_not_taken_for_memory():
    class Broken(Simulated):
        def _answer(self, batch):
            raise ValueError("a shape is wrong")

    with pytest.raises(ValueError, match="a shape is wrong"):
        bench(Broken()).closed(until(RULES))


def sweep(adapter, batches=(1, 8, 16), workloads=None, largest=None, **job):
    loaded = _Loaded(adapter, adapter.probe(), None)
    found = _cases(loaded, workloads or [Synthetic(SMALL)], ProfileJob(batches=batches, rules=RULES, **job), largest)
    return {record.case.batch: record for record in found}


@pytest.fixture(autouse=True)
def _simulated_time(monkeypatch):
    """Cases measure in the time of the adapter that they measure."""
    made = Bench.__init__

    def init(self, adapter, probe, workload, batch, clock=None, **more):
        made(self, adapter, probe, workload, batch, clock or getattr(adapter, "now", None), **more)

    monkeypatch.setattr(Bench, "__init__", init)


def test_a_sweep_goes_on_with_what_fits():
    records = sweep(Simulated(room=8), batches=(1, 8, 16, 32))
    assert [records[b].skipped for b in (1, 8)] == ["", ""]
    assert records[16].skipped.startswith("out of memory at batch 16: CUDA out of memory")
    assert records[32].skipped == "a batch of 16 ran out of memory already"
    assert len(records[8].throughput.requests) > 0


def test_a_batch_that_does_not_fit_by_estimate_is_not_tried():
    adapter = Simulated()
    assert "does not fit by estimate; the largest that does is 8" in sweep(adapter, largest=8)[16].skipped


def test_a_batch_larger_than_the_task_is_left_out_with_the_reason():
    asked = tuple((f"s{i}", Request(f"q{i}", (Turn("user", ("?",)),))) for i in range(5))
    records = sweep(Simulated(), batches=(1, 8), workloads=[Natural("task t", asked, "generate")])
    assert records[8].skipped == "a batch of 8 is larger than the task's 5 requests"
    requests = records[1].latency.requests
    assert len({r.request_id for r in requests}) == len(requests) > 5  # rounds are told apart
    assert len({r.sample_id.partition("@")[0] for r in requests}) == 5


def test_an_adapter_without_likelihood_leaves_that_scenario_out():
    adapter = Simulated(choices=False)
    [record] = sweep(adapter, (1,), [Synthetic(SCENARIOS["letter-likelihood"])]).values()
    assert record.skipped == "the adapter cannot score choices by likelihood"


def test_an_adapter_with_beams_of_its_own_is_measured_as_the_beam_search_that_it_is(monkeypatch):
    """Nothing is counted: the formula is of greedy decoding, and would be held against three beams."""
    monkeypatch.setattr(SimulatedProbe, "beams", lambda self, asked: 3)
    monkeypatch.setattr(SimulatedProbe, "counted_flops", lambda self, run: pytest.fail("was counted"))
    record = sweep(Simulated(tells_tokens=False), (1,))[1]
    assert record.beams == 3
    assert any("own way of decoding has 3 beams" in note for note in record.notes)
    assert any("answers end where the model ends them" in note for note in record.notes)


def test_beams_are_measured_without_times_of_tokens_and_say_that_lengths_are_natural():
    record = sweep(Simulated(), (1,), [Synthetic(SMALL, num_beams=3)], num_beams=3)[1]
    assert all(not request.token_ns for request in record.latency.requests)
    assert record.notes == ("answers end where the model ends them, after 4 tokens at most",)
    assert record.latency.requests[0].done_ns > 0


def test_few_failures_are_a_note_and_many_void_the_case():
    few = sweep(Simulated(fail=frozenset({"q12"})), (1,))[1]
    assert not few.skipped
    assert few.notes == ("1 requests failed and are left out: ValueError: bad",)
    many = sweep(Simulated(fail=frozenset(f"q{i}" for i in range(200))), (1,))[1]
    assert "requests failed: ValueError: bad" in many.skipped


def test_requests_that_never_come_back_are_failures():
    class Forgetful(Simulated):
        def generate(self, requests):
            for response in super().generate(requests):
                if response.request_id != "q3":
                    yield response

    window = bench(Forgetful()).closed(until(RULES))
    assert [r.failure for r in window.requests if r.request_id == "q3"] == ["no answer came back"]


def test_token_clocks_give_back_what_they_heard_once():
    clock = TokenClock()
    window = bench(Simulated()).closed(lambda n, s: n >= 3, clock)
    assert len(window.requests) == 3
    assert clock.token_s == {}


@pytest.mark.parametrize("name", [*SCENARIOS, *(shape.name for shape in shapes())])
def test_scenarios_repeat_exactly_and_never_show_a_picture_twice_by_accident(name):
    [scenario] = find_scenarios([name])
    small = replace(scenario, width=min(scenario.width, 32), height=min(scenario.height, 32))
    one, two = Synthetic(small), Synthetic(small)
    group = scenario.questions * scenario.rotations
    asked = [one.request(i) for i in range(2 * group)]
    assert asked == [two.request(i) for i in range(2 * group)]
    pictures = [request.images[0].sha256 for _, request in asked]
    assert len(set(pictures)) == 2
    assert pictures[0] != pictures[group]
    assert len({sample for sample, _ in asked}) == 2 * scenario.questions
    assert asked[0][1].generation.max_new_tokens == max(1, scenario.new_tokens)


def test_a_picture_of_another_number_has_other_bytes_and_the_same_size():
    import hashlib

    one, other = (Synthetic(SMALL).request(i)[1].images[0] for i in (0, 32))  # the same drawing, used again
    assert one.sha256 == hashlib.sha256(one.read()).hexdigest()
    assert one.sha256 != other.sha256
    assert one.open().tobytes() == other.open().tobytes()


def test_unknown_scenarios_and_meaningless_numbers_are_refused():
    with pytest.raises(SpecError, match="Did you mean 'caption'"):
        find_scenarios(["captoin"])
    for wrong in ({"batches": (0,)}, {"batches": ()}, {"num_beams": 0}, {"scenarios": ()}):
        with pytest.raises(SpecError):
            ProfileJob(**wrong)
    with pytest.raises(SpecError, match="more than 0"):
        rules_of(quick=False, seconds=0)


GIB = 2**30
FOOTPRINT = Footprint("cuda", 7 * GIB, 368_640, 10 * 2**20, GIB, 192, 10 * GIB, 80 * GIB)


def test_the_fit_counts_weights_cache_and_activations():
    fit = check_fit(FOOTPRINT, (1, 64))
    row = 368_640 * 192 + 10 * 2**20
    assert fit.largest_batch == int((10 * GIB * 0.95 - 8 * GIB) // row)
    assert fit.batch_mib[64] == pytest.approx((8 * GIB + 64 * row) / 2**20)
    assert not fit.fits(fit.largest_batch + 1)
    require_fit(fit)


def test_what_cannot_hold_one_request_is_refused_before_loading():
    with pytest.raises(AdapterError, match=r"does not fit on cuda: one request needs about .* are free"):
        require_fit(check_fit(replace(FOOTPRINT, free_bytes=7 * GIB), (1,)))


def test_an_unknown_footprint_refuses_nothing():
    for fit in (check_fit(None, (1,)), check_fit(replace(FOOTPRINT, free_bytes=None), (1,))):
        require_fit(fit)
        assert fit.reason
        assert fit.fits(10_000)
