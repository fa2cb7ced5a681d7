"""Every metric on recorded timelines whose values can be said by hand; and every reason for having none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import MS, WORK, case_record, process_record, request, spans, value, window

from evals.errors import SpecError
from evals.perf.cards import card_peaks
from evals.perf.metrics import METRICS, NoValue, Seen, metric, metric_table
from evals.perf.metrics.limits import roofline
from evals.perf.summary_values import summarise
from evals.perf.timeline import Case, Counted, GpuSample

# Ten requests: first token after 40 ms, gaps of 10 ms, three tokens, text 5 ms later; 4,000 J over 20 s.
KNOWN = {
    "load_s": 7.5,
    "cold_start_ms": 900.0,
    "weights_mib": 6000.0,
    "kv_bytes_per_token": 1e6,
    "ttft_ms": 40.0,
    "tpot_ms": 10.0,
    "itl_ms": 10.0,
    "e2e_ms": 65.0,
    "samples_per_s": 0.5,
    "requests_per_s": 0.5,
    "tokens_per_s": 1.5,
    "images_per_s": 0.5,
    "image_decode_ms": 1.0,
    "resize_ms": 2.0,
    "h2d_ms": 3.0,
    "vision_ms": 4.0,
    "resampler_ms": 5.0,
    "prefill_ms": 6.0,
    "decode_ms": 7.0,
    "observer_effect": 71.5 / 65.0,
    "device_busy": 10 * (3 + 4 + 5 + 6 + 7) / 1000.0,
    "peak_allocated_mib": 7000.0,
    "peak_reserved_mib": 7500.0,
    "process_mib": 8000.0,
    "device_mib": 8500.0,
    "peak_host_mib": 900.0,
    "energy_j_per_request": 400.0,
    "energy_j_per_token": 4000.0 / 30,
    "mean_power_w": 200.0,
    "sm_clock_mhz": 1980.0,
    "memory_clock_mhz": 2619.0,
    "temperature_c": 63.0,
    "throttled": 0.0,
    # 100 prompt tokens of 5 GF and one row of logits of 1 GF in 6 ms, against 989 TFLOP/s
    "mfu_prefill": (501e9 / 0.006) / 989e12,
    # an image of 1 TF in 4 + 5 ms
    "mfu_vision": (1e12 / 0.009) / 989e12,
    # 6 GB of weights and 101.5 tokens of 1 MB in 10 ms, against 3,350 GB/s
    "mbu_decode": ((6e9 + 101.5e6) / 0.010) / 3350e9,
}


def test_every_metric_has_a_known_answer_here():
    assert set(KNOWN) == set(METRICS)


@pytest.mark.parametrize("tag", KNOWN)
def test_the_value_is_what_the_timeline_says(tag):
    values = value(tag)
    assert values == pytest.approx((KNOWN[tag],) * len(values))
    assert len(values) == {"ttft_ms": 10, "tpot_ms": 10, "e2e_ms": 10, "itl_ms": 20}.get(tag, 1)


@pytest.mark.parametrize("tag", METRICS)
def test_each_says_unit_direction_formula_and_what_it_reads(tag):
    about = metric_table()[tag]
    assert about["unit"]
    assert about["formula"]
    assert about["better"] in ("lower", "higher", None)
    recorded = {"latency", "throughput", "instrumented", "spans", "memory_mib", "process_mib", "device_mib", "gpu"}
    recorded |= {"peak_host_mib", "counted", "load_ns", "cold_ns", "work", "facts", "model"}
    assert {name.partition(".")[0] for name in about["reads"]} <= recorded


def test_an_unknown_metric_is_named_with_the_nearest():
    with pytest.raises(SpecError, match="Did you mean 'ttft_ms'"):
        metric("tftt_ms")


def reason(tag, case=None, **process):
    with pytest.raises(NoValue) as caught:
        value(tag, case, **process)
    return str(caught.value)


STREAMED = ("ttft_ms", "tpot_ms", "itl_ms", "mbu_decode")


@pytest.mark.parametrize("tag", STREAMED)
def test_beam_search_has_no_times_of_tokens(tag):
    assert "beam search" in reason(tag, case_record(case=Case("caption", 1, num_beams=3)))
    assert "beam search" in reason(tag, case_record(beams=3))  # the adapter's own way


def test_utilisation_of_beam_search_says_why_there_is_no_formula():
    assert "nor how many steps it took" in reason("mfu_prefill", case_record(beams=3))
    assert value("mfu_vision", case_record(beams=3)) == value("mfu_vision")


@pytest.mark.parametrize("tag", [*STREAMED, "tokens_per_s"])
def test_likelihood_generates_no_tokens(tag):
    assert "likelihood" in reason(tag, case_record(case=Case("letter", 1, "likelihood")))


@pytest.mark.parametrize("tag", STREAMED)
def test_an_adapter_that_tells_no_tokens_has_none(tag):
    silent = window([request(i, tokens=0, new_tokens=3) for i in range(3)])
    assert "does not tell when tokens came" in reason(tag, case_record(latency=silent))


def test_an_adapter_that_measures_by_itself_is_believed_where_it_tells_no_tokens():
    said = {"tokens": 0, "new_tokens": 3, "told_ttft_ms": 41.0, "told_tpot_ms": 9.0}
    served = case_record(latency=window([request(i, **said) for i in range(3)]))
    assert value("ttft_ms", served) == (41.0,) * 3
    assert value("tpot_ms", served) == (9.0,) * 3
    both = case_record(latency=window([request(0, told_ttft_ms=1.0)]))
    assert value("ttft_ms", both) == (40.0,)


def test_one_token_has_a_first_but_no_time_per_token():
    case = case_record(latency=window([request(0, tokens=1)]))
    assert value("ttft_ms", case) == (40.0,)
    assert "2 tokens" in reason("tpot_ms", case)


def test_failed_requests_count_nowhere():
    broken = replace(request(9), failure="RuntimeError: x")
    case = case_record(latency=window([request(0), broken]), throughput=window([request(0), broken], seconds=2.0))
    assert value("e2e_ms", case) == (65.0,)
    assert value("requests_per_s", case) == (0.5,)
    assert "no request was answered" in reason("e2e_ms", case_record(latency=window([broken])))


def test_rotations_of_a_question_are_one_sample_and_only_when_all_are_answered():
    rotations = [request(i, sample_id=f"s{i // 4}") for i in range(8)]
    assert value("samples_per_s", case_record(throughput=window(rotations, seconds=1.0))) == (2.0,)
    assert value("requests_per_s", case_record(throughput=window(rotations, seconds=1.0))) == (8.0,)
    rotations[5] = replace(rotations[5], failure="x")
    assert value("samples_per_s", case_record(throughput=window(rotations, seconds=1.0))) == (1.0,)


@pytest.mark.parametrize(
    "tag", ["peak_allocated_mib", "peak_reserved_mib", "process_mib", "device_mib", "energy_j_per_request"]
)
def test_a_processor_has_no_gpu_numbers(tag):
    assert reason(tag, no_gpu="the model runs on cpu") == "the model runs on cpu"


@pytest.mark.parametrize("tag", ["device_busy", "sm_clock_mhz", "temperature_c", "throttled", "mean_power_w"])
def test_nor_has_it_a_card_to_watch(tag):
    assert reason(tag, no_gpu="the model runs on cpu") == "the model runs on cpu"


def energy_case(seconds=20.0, **ends):
    return case_record(throughput=window([request(0)], seconds=seconds, **ends))


def test_energy_needs_a_counter_that_did_not_restart_and_ten_seconds():
    assert "was reset" in reason("mean_power_w", energy_case(energy_begin_mj=5, energy_end_mj=4))
    assert "needs 10 s" in reason("mean_power_w", energy_case(9.9, energy_begin_mj=5, energy_end_mj=9))
    silent = energy_case(energy_reason="NVML does not tell: Not Supported")
    assert reason("energy_j_per_token", silent) == "NVML does not tell: Not Supported"
    assert reason("energy_j_per_token", no_nvml="no library") == "no library"
    assert reason("sm_clock_mhz", case_record(gpu=()), no_nvml="no library") == "no library"


def test_throttling_is_the_share_of_samples_held_down_by_heat_or_supply():
    masks = (0x8, 0x4, 0x40, 0)  # hardware slowdown, power cap (normal), thermal, nothing
    case = case_record(gpu=tuple(GpuSample(i, reasons=mask) for i, mask in enumerate(masks)))
    assert value("throttled", case) == (0.5,)
    assert "no samples" in reason("sm_clock_mhz", case)


def test_stages_come_from_the_instrumented_pass_only():
    assert "marks no stages" in reason("prefill_ms", case_record(spans=()))
    beams = case_record(spans=tuple(s for s in spans() if s.stage != "prefill"))
    assert "did not run" in reason("prefill_ms", beams)
    assert "not made" in reason("prefill_ms", case_record(instrumented=None))


def test_a_case_that_was_not_measured_says_why():
    lost = case_record(latency=None, throughput=None, instrumented=None, gpu=(), skipped="out of memory at batch 64")
    for tag in ("ttft_ms", "samples_per_s", "decode_ms", "temperature_c", "mfu_prefill"):
        assert reason(tag, lost) == "out of memory at batch 64"


@pytest.mark.parametrize("tag", ["mfu_prefill", "mfu_vision", "mbu_decode"])
def test_utilisation_of_an_unknown_card_or_model_is_unknown(tag):
    assert "no published peaks" in reason(tag, facts={"device_name": "NVIDIA Z999"})
    assert "no published peak of this processor" in reason(tag, facts={})
    assert "does not tell what it computes" in reason(tag, work=None)
    assert "share pictures" in reason(tag, case_record(case=Case("circular", 1, shares=True)))


def test_the_formula_is_not_believed_where_the_counter_disagrees():
    formula = 1e12 + WORK.prefill_flops(100) + 2 * WORK.decode_flops(102)
    assert value("mfu_prefill", case_record(counted=Counted(formula * 1.04, 100, 3, 1)))
    assert "disagree" in reason("mfu_prefill", case_record(counted=Counted(formula * 0.9, 100, 3, 1)))


def test_tf32_and_fp32_have_peaks_of_their_own():
    facts = {"device_name": "NVIDIA H100 80GB HBM3", "tf32_matmul": True}
    fp32 = {"model": "m", "dtype": "float32"}
    [plain] = value("mfu_prefill", model=fp32)
    [tf32] = value("mfu_prefill", model=fp32, facts=facts)
    assert plain / tf32 == pytest.approx(494.5 / 67.0)
    assert "no published int8 peak" in reason("mfu_prefill", model={"dtype": "int8"})


def test_the_roofline_has_a_point_for_each_stage_and_needs_no_card():
    case = case_record()
    points = {p.stage: p for p in roofline(Seen(process_record([case], facts={}), case))}
    assert points["vision"].intensity == pytest.approx(1000)
    assert points["prefill"].tflops == pytest.approx(501e9 / 0.006 / 1e12)
    assert points["decode"].intensity == pytest.approx(6e9 / (6e9 + 101.5e6))
    assert roofline(Seen(process_record([case], work=None), case)) == []


@pytest.mark.parametrize(
    ("name", "bf16", "bandwidth"),
    [
        ("NVIDIA H100 80GB HBM3", 989.0, 3350.0),
        ("NVIDIA H100 PCIe", 756.0, 2000.0),
        ("NVIDIA H200", 989.0, 4800.0),
        ("NVIDIA A100-SXM4-80GB", 312.0, 2039.0),
        ("NVIDIA A10", 125.0, 600.0),
        ("NVIDIA A10G", 70.0, 600.0),
        ("NVIDIA L4", 121.0, 300.0),
        ("NVIDIA L40S", 362.0, 864.0),
        ("Tesla T4", None, 320.0),
    ],
)
def test_cards_are_told_apart_by_their_names(name, bf16, bandwidth):
    peaks = card_peaks(name)
    assert (peaks.tflops("bfloat16"), peaks.bandwidth_gb_s) == (bf16, bandwidth)


@pytest.mark.parametrize("name", [None, "", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA A100X", "AMD Instinct MI300X"])
def test_an_unknown_card_has_no_peaks(name):
    assert card_peaks(name) is None


def several(*levels):
    return [
        Seen(
            p := process_record([case_record(latency=window([request(i, ttft_ms=ms) for i in range(10)]))]), p.cases[0]
        )
        for ms in levels
    ]


def test_processes_are_the_replicates_of_an_interval():
    found = summarise(METRICS["ttft_ms"], several(38.0, 40.0, 42.0))
    assert (found.value, found.replicates, found.interval_over) == (40.0, (38.0, 40.0, 42.0), "processes")
    assert found.high - found.value == pytest.approx(4.302653 * 2 / 3**0.5)  # t with 2 degrees of freedom


def test_one_process_has_an_interval_over_requests_or_none():
    one = several(40.0)
    assert summarise(METRICS["ttft_ms"], one).interval_over == "requests of one process"
    rate = summarise(METRICS["requests_per_s"], one)
    assert (rate.low, rate.high, rate.interval_over, rate.percentiles) == (None, None, None, None)


def test_percentiles_come_only_from_enough_requests():
    found = summarise(METRICS["e2e_ms"], several(*[40.0] * 6)).percentiles  # 60 requests
    assert found["p95"]["value"] == pytest.approx(65.0)
    assert found["p99"]["value"] is None


def test_a_process_without_a_value_is_said_and_left_out():
    seen = [*several(40.0), *several(44.0)]
    beams = process_record([case_record(case=Case("caption", 1, num_beams=3))])
    found = summarise(METRICS["ttft_ms"], [*seen, Seen(beams, beams.cases[0])])
    assert (found.value, found.replicates) == (42.0, (40.0, 44.0, None))
    assert "1 of 3 processes" in found.reason


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40), st.floats(0.001, 100), st.integers(2, 20))
def test_time_to_first_token_and_time_per_token_add_up_to_the_last_token(starts, gap, tokens):
    requests = [request(i, ttft_ms=s, gap_ms=gap, tokens=tokens) for i, s in enumerate(starts)]
    case = case_record(latency=window(requests))
    ttft, tpot, e2e = (value(tag, case) for tag in ("ttft_ms", "tpot_ms", "e2e_ms"))
    for first, each, whole in zip(ttft, tpot, e2e, strict=True):
        assert first + each * (tokens - 1) + 5.0 == pytest.approx(whole, abs=tokens * 1e6 / MS**2 + 1e-3)
