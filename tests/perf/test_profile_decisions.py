"""What `compare`, `gate --perf` and the leaderboard make of profiles; documents are built from known timelines."""

import json
import math

import numpy as np
import pytest
from memory_runs import MemoryRun, MemoryTask
from timelines import case_record, process_record, request, window

import run_eval
from evals.compare.profiles import compare_profiles
from evals.errors import ComparisonError, StoreError
from evals.gate import judge_measurements, judge_speed, store_speed
from evals.gate.speed_rule import schedule
from evals.leaderboard import build_board
from evals.perf.document import build_document
from evals.perf.job import ProfileJob, Side
from evals.perf.stored import write_profile
from evals.perf.timeline import Case, Flag

MODEL = {"model": "m", "adapter": "a", "weights": "w", "dtype": "bfloat16", "device": "cuda"}


def profile(folder, levels, starts=None, key="key", batch=1, flags=(), tokens=3):
    """A profile whose processes are all this much slower than 40 ms and 10 ms a token."""
    starts = starts or range(len(levels))
    processes = []
    for index, (level, start) in enumerate(zip(levels, starts, strict=True)):
        requests = [request(i, ttft_ms=40 * level, gap_ms=10 * level, tokens=tokens) for i in range(10)]
        clean = window(requests, seconds=20 * level, energy_begin_mj=0, energy_end_mj=round(4e6 * level))
        record = case_record(case=Case("caption", batch, new_tokens=tokens), latency=clean, throughput=clean)
        hardware = {"hardware_key": key, "hardware": {"device_name": "card"}}
        processes.append(
            process_record(
                [record],
                index=index,
                started=f"2030-01-01T00:{start:02d}:00",
                before=hardware,
                model=MODEL,
                flags=flags,
            )
        )
    document = build_document(processes, Side("a"), ProfileJob(), profile_id=folder.name, command="")
    return write_profile(folder, document)


def sides(tmp_path, factor, pairs=5, spread=0.005, **more):
    """Interleaved profiles of A and B, B slower by a factor, with a little noise between processes."""
    rng, order = np.random.default_rng(3), schedule(pairs)
    found = []
    for letter, level in (("A", 1.0), ("B", factor)):
        starts = [minute for minute, side in enumerate(order) if side == letter]
        levels = (level * np.exp(rng.normal(0, spread, pairs))).tolist()
        found.append(profile(tmp_path / letter, levels, starts, **more))
    return found


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "PASS"), (1.1, "FAIL"), (0.8, "PASS")])
@pytest.mark.parametrize("batch", [1, 8])
def test_interleaved_profiles_are_judged_like_runs(tmp_path, factor, outcome, batch):
    a, b = sides(tmp_path, factor, batch=batch)
    verdict = judge_measurements([a.path], [b.path.parent])
    assert verdict.outcome == outcome
    single = {"caption b1 ttft_ms", "caption b1 tpot_ms", "caption b1 e2e_ms", "caption b1 energy_j_per_request"}
    offline = {"caption b8 requests_per_s", "caption b8 energy_j_per_request"}
    assert {finding.quantity for finding in verdict.findings} == (single if batch == 1 else offline)


def test_many_quantities_share_the_error_that_one_may_make():
    """A rise that one quantity alone would fail on is not enough where it is one of twelve."""
    from evals.gate.speed_rule import judge_pairs_together

    a, b = [100.0] * 4, [100.0, 104.0, 106.0, 107.0]
    one = {"caption b1 tpot_ms": (a, b)}
    unchanged = {f"case {i} e2e_ms": (a, [99.0, 101.0, 100.5, 99.5]) for i in range(11)}
    assert judge_pairs_together(one)[0].outcome == "FAIL"
    assert judge_pairs_together(one | unchanged)[0].outcome == "INCONCLUSIVE"


def test_profiles_of_other_hardware_or_work_are_not_comparable(tmp_path):
    a, b = sides(tmp_path, 1.0)
    other = profile(tmp_path / "other", [1.0] * 5, [9] * 5, key="another card")
    larger = profile(tmp_path / "larger", [1.0] * 5, batch=8)
    for make in (judge_speed, lambda x, y: compare_profiles(x[0], y[0])):
        with pytest.raises(ComparisonError, match="another card"):
            make([a], [other])
        with pytest.raises(ComparisonError, match="different cases"):
            make([a], [larger])
    with pytest.raises(ComparisonError, match="cannot be held against each other"):
        judge_speed([a], [MemoryRun("r", {"t": MemoryTask([1.0])})])
    with pytest.raises(ComparisonError, match="order AAAAABBBBB"):
        judge_speed([profile(tmp_path / "first", [1.0] * 5)], [profile(tmp_path / "then", [1.0] * 5, range(5, 10))])
    assert b.hardware_key == "key"


def test_an_invalid_profile_is_not_judged(tmp_path):
    hot = profile(tmp_path / "hot", [1.0] * 3, flags=(Flag("invalid", "throttled", "clocks were held down by heat"),))
    cool = profile(tmp_path / "cool", [1.0] * 3)
    assert (hot.document["valid"], cool.document["valid"]) == (False, True)
    for judge in (lambda: judge_speed([cool], [hot]), lambda: compare_profiles(cool, hot)):
        with pytest.raises(ComparisonError, match="held down by heat"):
            judge()


def test_processes_that_moved_to_other_hardware_make_the_profile_invalid():
    keys = [process_record(index=i, before={"hardware_key": key, "hardware": {}}) for i, key in enumerate("ab")]
    document = build_document(keys, Side("a"), ProfileJob(), profile_id="p", command="")
    assert [flag["kind"] for flag in document["flags"]] == ["hardware_changed"]


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.1, 1)])
def test_a_stored_speed_judges_profiles_of_its_machine(tmp_path, factor, code):
    levels = np.exp(np.random.default_rng(4).normal(0, 0.005, 12)).tolist()
    store_speed([profile(tmp_path / "p", levels)], tmp_path / "base")
    candidate = profile(tmp_path / "c", [factor * level for level in levels[:3]])
    assert judge_measurements([tmp_path / "base"], [candidate.path]).exit_code == code


def test_a_stored_speed_of_another_machine_is_exit_code_4_and_leaves_an_error_for_ci(tmp_path, capsys):
    store_speed([profile(tmp_path / "p", [1.0] * 10)], tmp_path / "base")
    candidate = profile(tmp_path / "c", [0.5] * 3, key="faster card")
    options = ["--baseline", str(tmp_path / "base"), "--candidate", str(candidate.path.parent)]
    assert run_eval.main(["gate", "--perf", *options, "--out", str(tmp_path / "gate")]) == 4
    assert "no speed of this hardware (faster card); it keeps key" in capsys.readouterr().err
    verdict = json.loads((tmp_path / "gate" / "verdict.json").read_text())
    assert verdict["outcome"] == "NOT COMPARABLE"


def test_a_folder_keeps_one_speed_a_machine(tmp_path):
    for key in ("one", "two"):
        store_speed([profile(tmp_path / key, [1.0] * 10, key=key)], tmp_path / "base")
    assert {path.name for path in (tmp_path / "base").iterdir()} == {"speed-one.json", "speed-two.json"}
    assert judge_measurements([tmp_path / "base"], [profile(tmp_path / "c", [1.0], key="two").path]).outcome == "PASS"


def test_an_edited_or_unreadable_stored_speed_is_refused(tmp_path):
    path = store_speed([profile(tmp_path / "p", [1.0] * 10)], tmp_path / "base")
    candidate = profile(tmp_path / "c", [1.0])
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"model": {}}))
    with pytest.raises(StoreError, match="edited by hand"):
        judge_measurements([tmp_path / "base"], [candidate.path])
    path.write_text(json.dumps(document | {"schema_version": 9}))
    with pytest.raises(StoreError, match="another schema"):
        judge_measurements([tmp_path / "base"], [candidate.path])
    path.write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        judge_measurements([tmp_path / "base"], [candidate.path])


def test_speeds_of_different_models_are_not_stored_together(tmp_path):
    one, other = profile(tmp_path / "a", [1.0]), profile(tmp_path / "b", [1.0], batch=8)
    with pytest.raises(ComparisonError, match="not profiles of one workload"):
        store_speed([one, other], tmp_path / "base")
    with pytest.raises(ComparisonError, match="No profile is given"):
        store_speed([], tmp_path / "base")


def test_comparing_profiles_gives_ratios_with_intervals_over_processes(tmp_path):
    a, b = sides(tmp_path, 1.2)
    found = {(r.case, r.quantity): r for r in compare_profiles(a, b).ratios}
    ttft, rate = found["caption b1", "ttft_ms"], found["caption b1", "samples_per_s"]
    assert ttft.ratio == pytest.approx(1.2, rel=0.02)
    assert ttft.low < 1.2 < ttft.high
    assert rate.ratio == pytest.approx(1 / 1.2, rel=0.02)
    assert (ttft.verdict, rate.verdict) == ("worse", "worse")
    assert found["process", "load_s"].verdict == "no difference seen"


def test_the_interval_of_a_ratio_is_welchs_on_logs(tmp_path):
    import scipy.stats

    levels = [[1.0, 1.02, 0.99], [1.1, 1.15, 1.08, 1.12]]
    a, b = (profile(tmp_path / str(i), one) for i, one in enumerate(levels))
    found = next(r for r in compare_profiles(a, b).ratios if r.quantity == "tpot_ms")
    oracle = scipy.stats.ttest_ind(np.log(levels[1]), np.log(levels[0]), equal_var=False).confidence_interval()
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((oracle.low, oracle.high), abs=1e-5)


def test_verdicts_of_a_comparison_are_adjusted_over_its_quantities(tmp_path):
    """Of many quantities some leave their own interval by chance: Holm's p decides."""
    levels = [[1.0, 1.02, 0.99, 1.01], [1.03, 1.05, 1.01, 1.04]]
    a, b = (profile(tmp_path / str(i), one) for i, one in enumerate(levels))
    ratios = compare_profiles(a, b).ratios
    ttft = next(r for r in ratios if r.quantity == "ttft_ms")
    assert ttft.low > 1
    assert ttft.p_holm > 0.05
    assert ttft.verdict == "no difference seen"
    assert {r.p_holm for r in ratios if r.quantity == "weights_mib"} == {1.0}


def test_one_process_a_side_has_ratios_without_intervals_and_says_so(tmp_path):
    found = compare_profiles(profile(tmp_path / "a", [1.0]), profile(tmp_path / "b", [1.1]))
    assert all(r.low is None and r.verdict == "" for r in found.ratios)
    assert "--repeats" in found.notes[-1]


def test_the_compare_command_takes_two_profiles(tmp_path, capsys):
    a, b = sides(tmp_path, 1.2)
    assert run_eval.main(["compare", str(a.path), str(b.path.parent)]) == 0
    assert "worse" in capsys.readouterr().out
    assert run_eval.main(["compare", str(a.path), str(b.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hardware_key"] == "key"
    assert run_eval.main(["compare", str(a.path)]) == 2


def run_with_profile(folder, **environment):
    run = MemoryRun(folder.name, {"t": MemoryTask([1.0, 0.0, 1.0])}, model=MODEL, **environment)
    run.path = folder
    return run


def test_a_profile_in_a_runs_folder_gives_the_leaderboard_its_times(tmp_path):
    profile(tmp_path / "r" / "profile", [1.0] * 3)
    run = run_with_profile(tmp_path / "r", hardware_key="key")
    entry = build_board([run]).groups[0].entries[0]
    assert entry.efficiency["ttft_ms"] == pytest.approx(40)
    assert entry.efficiency["tpot_ms"] == pytest.approx(10)
    assert entry.efficiency["energy_j_per_request"] == pytest.approx(400)


@pytest.mark.parametrize("wrong", ["hardware", "model", "invalid"])
def test_a_profile_of_another_machine_or_model_lends_nothing(tmp_path, wrong):
    flags = (Flag("invalid", "throttled", "hot"),) if wrong == "invalid" else ()
    profile(tmp_path / "r" / "profile", [1.0], key="other" if wrong == "hardware" else "key", flags=flags)
    run = run_with_profile(tmp_path / "r", hardware_key="key")
    if wrong == "model":
        run.manifest["identity"]["model"] = MODEL | {"dtype": "float32"}
    assert "ttft_ms" not in build_board([run]).groups[0].entries[0].efficiency
