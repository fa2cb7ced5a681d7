"""The gate: passes what did not change, fails what fell, says when it cannot know, and refuses what does not match."""

import gzip
import json
import math
import shutil
from xml.etree import ElementTree

import pytest
import yaml
from memory_runs import MemoryRun, MemoryTask, flipped, right

from evals.errors import ComparisonError, SpecError, StoreError
from evals.gate import (
    Margins,
    create_baseline,
    judge,
    open_baseline,
    read_margins,
    update_baseline,
    write_not_comparable,
    write_verdict,
)
from evals.gate.outputs import junit, markdown

TASKS = ("words", "shapes", "options", "presence")
SIZE = 1000


def base_scores(n=SIZE):
    return {task: right(n, 0.8, seed) for seed, task in enumerate(TASKS)}


def run_of(scores, name="run", **kwargs):
    per_task = {key: kwargs.pop(key) for key in ("categories", "identity", "new_tokens") if key in kwargs}
    return MemoryRun(name, {task: MemoryTask(values, **per_task) for task, values in scores.items()}, **kwargs)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    """A baseline that tests read; those that change one take ``own_baseline``."""
    runs = [run_of(base_scores(), f"base-{i}") for i in range(2)]
    return create_baseline(runs, tmp_path_factory.mktemp("gate") / "baseline", "small")


@pytest.fixture
def own_baseline(baseline, tmp_path):
    shutil.copytree(baseline.path, tmp_path / "baseline")
    return open_baseline(tmp_path / "baseline")


def changed(lost, gained, tasks=TASKS, n=SIZE):
    scores = base_scores(n)
    return {t: flipped(s, lost, gained, 7) if t in tasks else s for t, s in scores.items()}


def test_a_run_beside_itself_measures_no_noise(tmp_path):
    """It agrees with itself in everything; such a baseline would claim a noise floor of 0."""
    run = run_of(base_scores(50), "base")
    with pytest.raises(SpecError, match=r"The run base is given twice.*each in its own folder"):
        create_baseline([run, run], tmp_path / "baseline", "small")
    assert not (tmp_path / "baseline").exists()


def test_a_run_that_was_broken_off_makes_no_baseline(tmp_path):
    """Its scores are of the part that it had answered; a gate would compare whole runs with that part."""
    whole, part = run_of(base_scores(50), "whole"), run_of(base_scores(50), "part", status="interrupted")
    with pytest.raises(StoreError, match="has status 'interrupted'"):
        create_baseline([whole, part], tmp_path / "baseline", "small")
    assert not (tmp_path / "baseline").exists()
    create_baseline([whole, run_of(base_scores(50), "again")], tmp_path / "baseline", "small")
    with pytest.raises(StoreError, match="has status 'interrupted'"):
        update_baseline(tmp_path / "baseline", [part], single_reason="why not")


def test_the_same_answers_pass(baseline):
    verdict = judge(baseline, run_of(base_scores(), "again"))
    assert (verdict.outcome, verdict.exit_code) == ("PASS", 0)
    assert verdict.agreement == dict.fromkeys(TASKS, 1.0)
    assert verdict.reasons == ()
    assert -0.01 < verdict.rule.lower < 0


def test_a_five_point_drop_in_one_task_fails_and_names_it(baseline):
    verdict = judge(baseline, run_of(changed(60, 10, ["shapes"])))
    assert (verdict.outcome, verdict.exit_code) == ("FAIL", 1)
    assert [task.task for task in verdict.rule.tasks if task.outcome == "FAIL"] == ["shapes"]
    assert "shapes fell by 5.0 points" in verdict.sentence


def test_two_points_on_every_task_fail_by_the_macro_mean(baseline):
    verdict = judge(baseline, run_of(changed(45, 25)))
    assert verdict.outcome == "FAIL"
    assert any("macro mean fell by 2.0 points" in reason for reason in verdict.reasons)


def test_an_improvement_passes(baseline):
    verdict = judge(baseline, run_of(changed(10, 60)))
    assert verdict.outcome == "PASS"
    assert verdict.rule.macro.value == pytest.approx(0.05)


def test_a_small_significant_drop_below_half_the_margin_does_not_fail_a_task(tmp_path):
    scores = {"t": right(5000, 0.8)}
    folder = create_baseline([run_of(scores, f"b{i}") for i in range(2)], tmp_path / "b", "n")
    verdict = judge(folder, run_of({"t": flipped(scores["t"], 40, 5)}))
    assert verdict.rule.tasks[0].p_holm < 1e-4
    assert verdict.rule.tasks[0].gain == pytest.approx(-0.007)
    assert verdict.outcome == "INCONCLUSIVE" or verdict.outcome == "PASS"
    assert verdict.rule.tasks[0].outcome != "FAIL"


def test_too_few_samples_are_inconclusive_and_say_how_many_would_do(tmp_path):
    scores = base_scores(100)
    small = create_baseline([run_of(scores, f"b{i}") for i in range(2)], tmp_path / "b", "n")
    verdict = judge(small, run_of({t: flipped(s, 8, 8, 3) for t, s in scores.items()}))
    assert (verdict.outcome, verdict.exit_code) == ("INCONCLUSIVE", 3)
    expected = 6.18 * 0.16 / 0.01**2  # (z.95 + z.8)^2 x discordance / margin^2
    assert verdict.samples_needed == pytest.approx(expected, rel=0.02)
    assert f"{verdict.samples_needed:,} samples" in verdict.sentence


def test_strict_asks_every_task_to_pass_on_its_own(baseline):
    scores = changed(20, 20)
    assert judge(baseline, run_of(scores)).outcome == "PASS"
    strict = judge(baseline, run_of(changed(90, 90)), strict=True)
    assert strict.outcome == "INCONCLUSIVE"
    root = ElementTree.fromstring(junit(strict))
    assert int(root.get("failures")) >= 4


def test_one_cluster_is_inconclusive(tmp_path):
    one = MemoryRun("r", {"t": MemoryTask([1.0, 0.0], clusters=["x", "x"])})
    folder = create_baseline([one], tmp_path / "b", "n", single_reason="a test")
    verdict = judge(folder, one)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "fewer than two independent clusters" in verdict.sentence


# guards


def test_failed_requests_alone_exit_with_5(baseline):
    scores = base_scores()
    scores["words"] = [None if i < 10 else s for i, s in enumerate(scores["words"])]
    verdict = judge(baseline, run_of(scores))
    assert (verdict.outcome, verdict.exit_code) == ("FAIL", 5)
    assert "failed requests: 0.0 % → 1.0 %" in verdict.sentence
    assert any("10 rows have no score" in line for line in verdict.warnings)


def test_unreadable_answers_and_longer_answers_fail(baseline):
    scores = base_scores()
    tasks = {t: MemoryTask(s, parse_failures=20 if t == "words" else 0) for t, s in scores.items()}
    tasks["shapes"] = MemoryTask(scores["shapes"], predictions=["a much longer answer"] * SIZE)
    verdict = judge(baseline, MemoryRun("c", tasks))
    kinds = {(guard.kind, guard.task) for guard in verdict.guards if not guard.kept}
    assert kinds == {("parse_failures", "words"), ("answer_length", "shapes")}
    assert verdict.exit_code == 1


def test_a_collapsed_category_fails_though_the_mean_is_kept(tmp_path):
    scores = {"t": right(2000, 0.8)}
    kinds = {"kind": ["rare" if i < 60 else f"k{i % 5}" for i in range(2000)]}
    base = create_baseline([run_of(scores, f"b{i}", categories=kinds) for i in range(2)], tmp_path / "b", "n")
    worse = [0.0 if i < 30 else s for i, s in enumerate(scores["t"])]
    better = flipped(worse, 0, 24)
    verdict = judge(base, run_of({"t": better}, categories=kinds))
    assert verdict.rule.outcome != "FAIL"
    assert verdict.outcome == "FAIL"
    assert any("kind = rare" in reason for reason in verdict.reasons)


def test_memory_is_guarded_on_the_same_hardware_only(tmp_path):
    before, after = {"peak_allocated_mib": 1000.0}, {"peak_allocated_mib": 1100.0}
    runs = [run_of(base_scores(200), f"b{i}", efficiency=before) for i in range(2)]
    base = create_baseline(runs, tmp_path / "b", "n")
    same = judge(base, run_of(base_scores(200), efficiency=after))
    assert [g.kept for g in same.guards if g.kind == "peak_memory"] == [False]
    other = judge(base, run_of(base_scores(200), efficiency=after, hardware_key="other"))
    assert not any(g.kind == "peak_memory" for g in other.guards)


# what must not be judged


def test_missing_tasks_are_not_comparable(baseline):
    scores = base_scores()
    del scores["words"], scores["shapes"]
    with pytest.raises(ComparisonError, match=r"lacks 2 of the 4 tasks.*words, shapes"):
        judge(baseline, run_of(scores))


def test_other_settings_are_not_comparable_unless_allowed(baseline):
    other = run_of(base_scores(), identity={"prompt": "another"})
    with pytest.raises(ComparisonError, match="prompt differs"):
        judge(baseline, other)
    assert judge(baseline, other, allow=["prompt"]).allowed[0].part == "prompt"


def test_other_data_is_not_comparable(baseline):
    scores = {task: values[:900] for task, values in base_scores().items()}
    with pytest.raises(ComparisonError, match="data differs"):
        judge(baseline, run_of(scores))


def test_an_unfinished_run_is_refused(baseline):
    with pytest.raises(StoreError, match="'interrupted': it has not finished"):
        judge(baseline, run_of(base_scores(), status="interrupted"))


# baselines


def test_a_baseline_is_read_as_it_was_written(baseline):
    again = open_baseline(baseline.path)
    assert again.run.results == baseline.run.results
    assert again.margins == Margins()
    assert again.noise["words"] == {"discordance": 0.0, "answers_changed": 0.0}
    with gzip.open(baseline.path / "scores.jsonl.gz", "rt") as lines:
        row = json.loads(next(lines))
    assert set(row) == {"task", "row", "content", "cluster", "unit", "answer", "categories"}


def test_the_same_runs_give_the_same_bytes(tmp_path):
    for name in "ab":
        create_baseline([run_of(base_scores(50), f"r{i}") for i in range(2)], tmp_path / name, "n")
    for file in ("baseline.yaml", "scores.jsonl.gz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_noise_floor_is_measured(tmp_path):
    one, two = right(500, 0.7), flipped(right(500, 0.7), 4, 6)
    base = create_baseline([run_of({"t": one}, "a"), run_of({"t": two}, "b")], tmp_path / "b", "n")
    assert base.noise["t"]["discordance"] == pytest.approx(0.02)


def test_one_run_needs_a_reason_and_keeps_it(tmp_path):
    run = run_of(base_scores(20))
    with pytest.raises(SpecError, match="at least two runs"):
        create_baseline([run], tmp_path / "b", "n")
    create_baseline([run], tmp_path / "b", "n", single_reason="the machine is gone")
    assert yaml.safe_load((tmp_path / "b" / "baseline.yaml").read_text())["single_reason"] == "the machine is gone"


def test_disagreeing_runs_and_other_models_make_no_baseline(tmp_path):
    one, two = right(500, 0.7), flipped(right(500, 0.7), 60, 5)
    with pytest.raises(ComparisonError, match="disagree on task t"):
        create_baseline([run_of({"t": one}, "a"), run_of({"t": two}, "b")], tmp_path / "b", "n")
    runs = [run_of({"t": one}, "a", model={"weights": "x"}), run_of({"t": one}, "b", model={"weights": "y"})]
    with pytest.raises(ComparisonError, match=r"not runs of one model.*weights"):
        create_baseline(runs, tmp_path / "b", "n")


def test_an_existing_baseline_is_not_overwritten(baseline):
    with pytest.raises(StoreError, match="already holds a baseline"):
        create_baseline([run_of(base_scores(20)), run_of(base_scores(20))], baseline.path, "n")


def test_an_edited_document_is_refused(own_baseline):
    file = own_baseline.path / "baseline.yaml"
    file.write_text(file.read_text().replace("macro: 0.01", "macro: 0.5"))
    with pytest.raises(StoreError, match="was edited"):
        open_baseline(own_baseline.path)


def test_edited_scores_are_refused(own_baseline):
    file = own_baseline.path / "scores.jsonl.gz"
    lines = gzip.decompress(file.read_bytes()).replace(b"[0.0,1.0]", b"[1.0,1.0]")
    file.write_bytes(gzip.compress(lines))
    with pytest.raises(StoreError, match=r"scores\.jsonl\.gz was changed"):
        open_baseline(own_baseline.path)


def test_a_newer_schema_is_refused(own_baseline):
    file = own_baseline.path / "baseline.yaml"
    file.write_text(file.read_text().replace("schema_version: 1", "schema_version: 2", 1))
    with pytest.raises(StoreError, match="schema version 2, this program reads 1"):
        open_baseline(own_baseline.path)


@pytest.mark.parametrize(("content", "named"), [(None, "does not exist"), ("a: [", "not valid YAML")])
def test_a_missing_or_broken_document(tmp_path, content, named):
    if content:
        (tmp_path / "baseline.yaml").write_text(content)
    with pytest.raises(StoreError, match=named):
        open_baseline(tmp_path)


def test_update_shows_what_changes(own_baseline):
    runs = [run_of(changed(5, 25, ["words"]), f"new-{i}") for i in range(2)]
    new, changes = update_baseline(own_baseline.path, runs)
    assert any(line.startswith("score.words: ") for line in changes)
    assert new.run.manifest["run_id"] == "new-0"
    margins, changes = update_baseline(own_baseline.path, [], margins=Margins(macro=0.02))
    assert changes == ["margins.macro: 0.01 → 0.02"]
    assert margins.margins.macro == 0.02


def test_margins_are_checked():
    assert read_margins({"macro": 0.02, "tasks": {"words": 0.05}}).of("words") == 0.05
    with pytest.raises(SpecError, match="Did you mean 'macro'"):
        read_margins({"marco": 0.02})
    with pytest.raises(SpecError, match="at least 0"):
        read_margins({"task": "1 %"})


# what is written


def test_files_for_programs_ci_and_people(baseline, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    verdict = judge(baseline, run_of(changed(60, 10, ["shapes"]), "pull-request-7"))
    write_verdict(verdict, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert (document["outcome"], document["exit_code"]) == ("FAIL", 1)
    assert document["differences"]["shapes"]["value"] == pytest.approx(-0.05)
    root = ElementTree.fromstring((tmp_path / "out" / "junit.xml").read_bytes())
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases["shapes"].find("failure") is not None
    assert cases["words"].find("failure") is None
    properties = {p.get("name"): float(p.get("value")) for p in cases["shapes"].iter("property")}
    assert properties["difference"] == pytest.approx(-0.05)
    assert int(root.get("tests")) == len(cases)
    report = (tmp_path / "out" / "report.md").read_text()
    assert report.startswith("## ❌ Gate: FAIL")
    assert summary.read_text() == report + "\n"


def test_inconclusive_tasks_are_skipped_with_a_message(tmp_path):
    scores = base_scores(100)
    small = create_baseline([run_of(scores, f"b{i}") for i in range(2)], tmp_path / "b", "n")
    verdict = judge(small, run_of({t: flipped(s, 8, 8, 3) for t, s in scores.items()}))
    root = ElementTree.fromstring(junit(verdict))
    assert int(root.get("skipped")) >= 1
    assert root.get("failures") == "0"


def test_reports_stay_below_the_limit(baseline):
    verdict = judge(baseline, run_of(base_scores()))
    limit = len(markdown(verdict).encode()) - 100
    text = markdown(verdict, limit)
    assert len(text.encode()) <= limit
    assert "more tasks in verdict.json" in text


def test_text_from_names_cannot_become_markup(baseline):
    verdict = judge(baseline, run_of(base_scores(), "a|b<img onerror=x>\x00"))
    assert "<img" not in markdown(verdict)
    ElementTree.fromstring(junit(verdict))


def test_not_comparable_is_an_error_in_ci(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    write_not_comparable(ComparisonError("prompt differs"), tmp_path)
    root = ElementTree.fromstring((tmp_path / "junit.xml").read_bytes())
    assert root.get("errors") == "1"
    assert json.loads((tmp_path / "verdict.json").read_text())["exit_code"] == 4


def test_numbers_of_the_verdict_follow_the_protocol(baseline):
    """Macro bound of four independent tasks: t on the root of the summed variances."""
    verdict = judge(baseline, run_of(changed(40, 40)))
    errors = [d.se for d in verdict.differences.values()]
    expected = math.sqrt(sum(se**2 for se in errors)) / 4
    assert verdict.rule.macro.se == pytest.approx(expected)
    assert verdict.rule.lower == pytest.approx(-1.645 * expected, rel=0.01)
    assert verdict.rule.detectable == pytest.approx(2.486 * expected, rel=0.01)
