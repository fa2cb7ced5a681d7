"""What the model computes and needs, by formula; and the probe through which a profiler looks at it."""

import json

import pytest
import torch
from PIL import Image

from model_adapters import load_adapter
from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn
from model_adapters.omnilmm.adapter import OmniLMMAdapter
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig
from model_adapters.omnilmm.costs import work_of
from model_adapters.probe import STAGES, Probe, RecordingClock, TokenClock


def picture(number: int) -> ImageRef:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), (number, 40, 90)).save(buffer, "PNG")
    return ImageRef(f"{number:064d}", f"picture {number}", buffer.getvalue)


def request(number: int, new_tokens: int = 8, beams: int = 1) -> Request:
    turn = Turn("user", (picture(number), "What is the shape?"))
    return Request(f"r{number}", (turn,), GenerationSettings(max_new_tokens=new_tokens, num_beams=beams))


@pytest.fixture(scope="module")
def adapter():
    loaded = load_adapter("omnilmm", device="cpu", batch_size=4)
    yield loaded
    loaded.close()


def test_the_released_model_costs_what_its_sizes_say():
    """The figures of the roofline that was computed by hand: 938 + 30 GF, 609 GF, 5.45 GB, 0.369 MB."""
    work = work_of(OmniLMMConfig(), torch.bfloat16)
    assert work.vision_flops == pytest.approx(938e9 + 29.8e9, rel=0.002)
    assert work.prefill_flops(124) + 123 * work.spared_flops == pytest.approx(609e9, rel=0.002)
    assert work.prefill_flops(124) == pytest.approx(596e9, rel=0.002)
    assert work.decode_flops(124) == pytest.approx(5.5e9, rel=0.002)
    assert work.step_weight_bytes == pytest.approx(5.45e9, rel=0.002)
    assert work.kv_bytes_per_token == 368_640


def test_the_text_model_has_no_vision_cost():
    assert work_of(LanguageConfig(), torch.float32).vision_flops == 0


@pytest.mark.parametrize("new_tokens", [1, 5])
def test_counted_operations_are_those_of_the_formula(adapter, new_tokens):
    probe, work = adapter.probe(), adapter.probe().work()
    answers = []
    probe.fixed_length(True)
    counted = probe.counted_flops(lambda: answers.extend(adapter.generate([request(20 + new_tokens, new_tokens)])))
    probe.fixed_length(False)
    assert answers[0].failure is None
    prompt = answers[0].usage.prompt_tokens
    formula = work.vision_flops + work.prefill_flops(prompt)
    formula += sum(work.decode_flops(prompt + i) for i in range(1, new_tokens))
    assert counted == pytest.approx(formula, rel=0.001)


@pytest.mark.parametrize("steps", [1, 2])
def test_three_beams_cost_three_prompts_through_whole_layers_and_three_rows_a_step(steps):
    """The original's way: what the formula lacks for longer answers is the number of steps, which is not told."""
    reference = load_adapter("omnilmm", device="cpu", mode="reference")
    probe, work, answers = reference.probe(), reference.probe().work(), []
    assert (probe.beams(1), load_adapter("null").probe().beams(1)) == (3, 1)
    counted = probe.counted_flops(lambda: answers.extend(reference.generate([request(50 + steps, steps)])))
    tokens = answers[0].usage.prompt_tokens
    prompt = work.token_flops * tokens + work.attention_flops * tokens * (tokens + 1) / 2 + work.head_flops
    formula = work.vision_flops + 3 * prompt + 3 * sum(work.decode_flops(tokens + i) for i in range(1, steps))
    assert counted == pytest.approx(formula, rel=0.001)
    reference.close()


@pytest.mark.parametrize(("causal", "pairs"), [(False, 7 * 7), (True, 7 * 8 / 2)])
def test_attention_on_a_cpu_is_counted_by_the_pairs_that_are_seen(adapter, causal, pairs):
    heads, width = 3, 64
    q = torch.zeros(1, heads, 7, width)
    attend = torch.nn.functional.scaled_dot_product_attention
    counted = adapter.probe().counted_flops(lambda: attend(q, q, q, is_causal=causal))
    assert counted == 4 * heads * width * pairs


def test_steps_are_not_replayed_while_they_are_counted(adapter, monkeypatch):
    recorded, seen = object(), []
    monkeypatch.setattr(adapter.engine, "_graphs", recorded)
    adapter.probe().counted_flops(lambda: seen.append(adapter.engine._graphs))
    assert seen == [None]
    assert adapter.engine._graphs is recorded


def test_a_footprint_is_known_without_loading(tmp_path):
    found = OmniLMMAdapter.footprint(checkpoint="small-final", device="cpu")
    loaded = load_adapter("omnilmm", checkpoint="small-final", device="cpu")
    weights = loaded.memory_mib()["weights_mib"] * 2**20
    assert found.weights_bytes == pytest.approx(weights, rel=0.01)
    assert found.kv_bytes_per_token == loaded.probe().work().kv_bytes_per_token
    assert found.free_bytes is not None
    loaded.close()


def test_the_stages_of_a_request_are_told_and_the_answers_stay_the_same(adapter):
    before = [r.text for r in adapter.generate([request(3)])]
    probe, clock = adapter.probe(), adapter.probe().stage_clock()
    probe.forget()
    assert probe.listen(clock)
    assert [r.text for r in adapter.generate([request(3)])] == before
    probe.listen(None)
    assert {span.stage for span in clock.spans()} == set(STAGES)
    assert all(span.ms > 0 for span in clock.spans())
    told = len(clock.spans())
    list(adapter.generate([request(4)]))
    assert len(clock.spans()) == told, "hooks were left behind"


def test_tokens_are_told_with_their_times_and_beams_tell_none(adapter):
    probe, clock = adapter.probe(), TokenClock()
    probe.listen(clock)
    probe.fixed_length(True)
    list(adapter.generate([request(5, new_tokens=7)]))
    list(adapter.generate([request(6, beams=2)]))
    probe.fixed_length(False)
    probe.listen(None)
    assert list(clock.token_s) == ["r5"]
    times = clock.token_s["r5"]
    assert len(times) == 7
    assert list(times) == sorted(times)


def test_the_batch_size_can_be_changed(adapter):
    probe = adapter.probe()
    assert probe.set_batch_size(2)
    sizes = [r.timing.batch_size for r in adapter.generate([request(i) for i in range(10, 14)])]
    assert sizes == [2, 2, 2, 2]
    assert probe.set_batch_size(4)


def test_a_trace_can_be_written_and_the_cpu_has_no_memory_history(adapter, tmp_path):
    probe = adapter.probe()
    with probe.trace(tmp_path / "trace.json") as traced:
        list(adapter.generate([request(7, 1)]))
    assert traced
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    with probe.memory_snapshot(tmp_path / "memory.pickle") as taken:
        assert not taken


def test_an_adapter_without_a_probe_knows_the_host_only():
    probe = load_adapter("null").probe()
    assert type(probe) is Probe
    assert not probe.listen(TokenClock())
    assert not probe.set_batch_size(2)
    assert not probe.fixed_length(True)
    assert probe.work() is None
    assert probe.counted_flops(lambda: None) is None
    assert probe.memory_mib() == {}
    assert isinstance(probe.stage_clock(), RecordingClock)
