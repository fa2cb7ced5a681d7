"""Scoring in chunks gives what scoring at once gives; what is kept of a task's rows; samples as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import scoring
from evals.errors import DataError, SpecError, StoreError
from evals.metrics.base import Statistic, mean_statistic
from evals.metrics.registry import get_metric
from evals.metrics.selfcheck import VECTORS
from evals.records import Answer, Question, ScoredSample
from evals.results import restrict, task_results
from evals.samples_table import SamplesWriter, read_columns, read_samples, write_samples
from evals.scoring import ScoredTask, score_task
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec
from evals.statistics.clusters import cluster_codes
from evals.tally import Coded, JoinedStatistic, JoinedValue
from model_adapters.contract import Failure, Timing

WORDS = ("yes", "no", "a cat", "two dogs", "3", "3.5", "")


def spec_of(*metrics: str, **changes: Any) -> TaskSpec:
    value = {
        "schema": 1,
        "name": "t",
        "title": "T",
        "version": 1,
        "family": "vqa",
        "description": "",
        "data": {"source": "table", "files": ["t.jsonl"]},
        "metrics": [{"name": name} for name in metrics],
        "categories": ["kind"],
    }
    return build_stored(TaskSpec, value | changes)


def question(i: int, **changes: Any) -> Question:
    base = Question(
        request_id=f"q{i}",
        sample_id=f"q{i}",
        content_hash="00" * 32,
        cluster=f"image{i // 3}",
        prompt="?",
        image_hashes=(f"{i // 3:064x}",),
        references=(WORDS[i % 6], "cat"),
        fields={"question_type": ("what", "how many", None)[i % 3], "answer_type": "other"},
        categories={"kind": ("a", "b")[i % 2]} if i % 5 else {},
    )
    return replace(base, **changes)


def answers(texts: list[str | None]) -> Callable[[str], Answer | None]:
    """An answer a question; None fails."""
    failure = Failure("OSError", "truncated")

    def answer(request_id: str) -> Answer | None:
        text = texts[int(request_id[1:])]
        if text is None:
            return Answer(request_id, request_id, "00" * 32, failure=failure)
        return Answer(request_id, request_id, "00" * 32, text, timing=Timing(batch_ms=float(len(text))))

    return answer


def score(spec: TaskSpec, texts: list[str | None]) -> tuple[ScoredTask, list[ScoredSample]]:
    kept: list[ScoredSample] = []
    return score_task(spec, map(question, range(len(texts))), answers(texts), kept.extend), kept


def vectors_of_metrics_by_sample() -> list[Path]:
    """The shipped cases of the metrics that are scored in chunks; the others need the whole set at once."""
    stored = {path: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
    metrics = {path: get_metric(v["metric"], **v.get("options", {})) for path, v in stored.items()}
    return [path for path, metric in metrics.items() if metric.needs == "sample"]


@pytest.mark.parametrize("path", vectors_of_metrics_by_sample(), ids=lambda path: path.stem)
def test_a_metric_that_needs_single_samples_gives_statistics_that_join(path: Path) -> None:
    """What chunked scoring relies on: the parts over chunks make the whole, statistic by statistic."""
    vectors = json.loads(path.read_text())
    metric, cases = get_metric(vectors["metric"], **vectors.get("options", {})), vectors["cases"]
    names = {name for case in cases for name in case} - {"prediction", "references", "score"}

    def statistics(rows: list[dict[str, Any]]) -> list[Statistic]:
        columns = {name: [case.get(name) for case in rows] for name in names}
        return metric.statistics([c["prediction"] for c in rows], [c["references"] for c in rows], **columns)

    joined: dict[str, JoinedStatistic] = {}
    for start in range(0, len(cases), 3):
        for part in statistics(cases[start : start + 3]):
            joined.setdefault(part.name, JoinedStatistic()).add(part, start)
    whole = {s.name: s for s in statistics(cases)}
    assert joined.keys() == whole.keys()
    for name, expected in whole.items():
        found = joined[name].whole(name)
        assert (list(found.rows), found.combine, found.scale) == (list(expected.rows), expected.combine, expected.scale)
        np.testing.assert_array_equal(found.vectors, expected.vectors)


@pytest.mark.parametrize("metric", ["exact_match", "vqa_accuracy", "wer"])
@given(texts=st.lists(st.none() | st.sampled_from(WORDS), min_size=1, max_size=12), size=st.integers(1, 5))
@settings(max_examples=15)
def test_scoring_in_chunks_equals_scoring_at_once(metric: str, texts: list[str | None], size: int) -> None:
    spec = spec_of(metric)
    whole, samples = score(spec, texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "CHUNK", size)
        chunked, pieces = score(spec, texts)
    assert [(s.row_id, s.scores, s.prediction) for s in pieces] == [(s.row_id, s.scores, s.prediction) for s in samples]
    assert (chunked.all_wrong, chunked.all_right) == pytest.approx((whole.all_wrong, whole.all_right), nan_ok=True)
    ours, theirs = ({s.name: s for s in task.statistics} for task in (chunked, whole))
    assert ours.keys() == theirs.keys()
    assert chunked.statistics[0].name == whole.statistics[0].name
    for name, statistic in theirs.items():
        assert list(ours[name].rows) == list(statistic.rows)
        np.testing.assert_array_equal(ours[name].vectors, statistic.vectors)
    tables = [task_results(spec, task, {}, None) for task in (chunked, whole)]
    assert tables[0]["statistics"] == tables[1]["statistics"]
    assert tables[0]["categories"] == tables[1]["categories"]


def test_a_task_whose_metric_needs_the_whole_set_is_scored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK", 2)
    sizes: list[int] = []
    texts: list[str | None] = ["yes", "no", "yes", "no", "no"]
    rows = (question(i, references=(("yes", "no")[i % 2],)) for i in range(5))
    score_task(spec_of("pope", extractor="yes_no"), rows, answers(texts), lambda s: sizes.append(len(s)))
    assert sizes == [5]


def test_counts_failures_and_unread_answers() -> None:
    task, samples = score(spec_of("exact_match"), ["yes", None, "a cat", None, "x"])
    tally = task.tally
    assert (tally.n_requests, tally.n_samples, tally.n_failed) == (5, 5, 2)
    assert [s.failure.type if s.failure else None for s in samples] == [None, "OSError", None, "OSError", None]
    assert [s.scores["exact_match"] for s in samples][1::2] == [None, None]
    assert tally.efficiency.result(2.0)["requests_per_s"] == 1.5
    assert tally.efficiency.result(None)["requests_per_s"] is None


def test_an_unread_answer_is_wrong_and_between_the_bounds() -> None:
    rows = [question(i, references=("yes",)) for i in range(4)]
    said = answers(["Yes.", "no", "I can't tell", None])
    task = score_task(spec_of("multiple_choice", extractor="yes_no"), rows, said, lambda samples: None)
    assert task.tally.parse_failures == 1
    assert (task.all_wrong, task.all_right) == (0.25, 0.75)


def test_an_answer_to_another_version_of_the_sample_is_no_answer() -> None:
    rows = [question(0, content_hash="11" * 32)]
    task = score_task(spec_of("exact_match"), rows, answers(["yes"]), lambda samples: None)
    assert task.tally.n_failed == 1


def test_statistics_of_one_name_are_told_apart_by_their_metric() -> None:
    task, samples = score(spec_of("exact_match", "vqa_accuracy", "textvqa_accuracy"), ["yes", "no"])
    names = [s.name for s in task.statistics]
    assert len(set(names)) == len(names)
    assert set(samples[0].scores) == {"exact_match", "vqa_accuracy", "textvqa_accuracy"}


def test_rows_keep_the_vectors_of_whole_statistics_and_not_of_breakdowns() -> None:
    task, samples = score(spec_of("vqa_accuracy"), ["yes", "no", "a cat"])
    assert any("=" in s.name for s in task.statistics)
    assert all("=" not in name for sample in samples for name in sample.units)
    assert all(task.statistics[0].name in sample.units for sample in samples)


def test_an_unknown_headline_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"headline 'accuray' is none of its statistics exact_match"):
        score(spec_of("exact_match", headline="accuray"), ["yes"])


def test_a_missing_column_is_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"needs the field '.*'\. Name its column under columns\.fields"):
        score(spec_of("mme"), ["yes"])


def test_coded_columns_number_texts_in_order_of_appearance() -> None:
    column = Coded()
    for text in ("b", None, "a", "b"):
        column.append(text)
    assert (column.names, column.codes.tolist()) == (["b", "a"], [0, -1, 1, 0])


@given(st.lists(st.integers(0, 6)))
def test_clusters_as_numbers_are_coded_like_clusters_as_texts(keys: list[int]) -> None:
    ours, n = cluster_codes(np.array(keys, dtype=np.int64))
    theirs, m = cluster_codes([str(key) for key in keys])
    assert (ours.tolist(), n) == (theirs.tolist(), m)


def test_joined_statistics_and_restricted_ones_keep_their_rows() -> None:
    joined = JoinedStatistic()
    joined.add(mean_statistic("x", [1.0, None, 0.0]), 0)
    joined.add(mean_statistic("x", [None, 1.0]), 3)
    whole = joined.whole("y")
    assert (whole.name, list(whole.rows), whole.value) == ("y", [0, 2, 4], pytest.approx(2 / 3))
    part = restrict(whole, np.array([1, 2]))
    assert (list(part.rows), part.value) == ([2, 4], 0.5)


@given(st.lists(st.lists(st.sampled_from([None, 0.0, 1.0]), max_size=4), min_size=1, max_size=5))
def test_joined_rows_are_those_of_all_rows_at_once(chunks: list[list[float | None]]) -> None:
    joined, first = JoinedStatistic(), 0
    for chunk in chunks:
        joined.add(mean_statistic("x", chunk), first)
        first += len(chunk)
    whole, at_once = joined.whole("x"), mean_statistic("x", [score for chunk in chunks for score in chunk])
    assert list(whole.rows) == list(at_once.rows)
    assert whole.vectors.tolist() == at_once.vectors.tolist()


@given(st.lists(st.lists(st.floats(0, 1), max_size=4), min_size=1, max_size=5))
def test_a_value_from_sums_is_the_value_of_the_joined_statistic(chunks: list[list[float]]) -> None:
    joined, summed, first = JoinedStatistic(), JoinedValue(), 0
    for chunk in chunks:
        joined.add(mean_statistic("x", chunk), first)
        summed.add(mean_statistic("x", chunk))
        first += len(chunk)
    assert summed.value == pytest.approx(joined.whole("x").value)


def sample(i: int, **changes: Any) -> ScoredSample:
    base = ScoredSample(
        row_id=f"q{i}",
        group=f"q{i}",
        content_hash="0" * 64,
        cluster="c",
        prompt="?",
        image_hashes=("a" * 64,),
        references=("yes", "ja"),
        prediction="yes",
        extracted="yes",
        rule="",
        scores={"m": 0.5},
        units={"m": (0.5, 1.0)},
        categories={"kind": "a"},
        timing=Timing(batch_ms=1.5),
        new_tokens=3,
    )
    return replace(base, **changes)


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    failure = Failure("OSError", "truncated \u2028", "Traceback")
    none: dict[str, Any] = {"prediction": None, "extracted": None, "scores": {"m": None}, "units": {}, "categories": {}}
    rows = [sample(0), sample(1, failure=failure, timing=Timing(), new_tokens=None, **none), sample(2, references=())]
    write_samples(tmp_path / "s.parquet", rows)
    assert read_samples(tmp_path / "s.parquet") == rows
    columns = read_columns(tmp_path / "s.parquet", ["row_id", "score:m", "timing:batch_ms"])
    assert columns["row_id"] == ["q0", "q1", "q2"]
    assert columns["score:m"] == [0.5, None, 0.5]


def test_lone_surrogates_become_question_marks(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.parquet", [sample(0, prediction="a\ud800b", references=("\udfff",)), sample(1)])
    first, second = read_samples(tmp_path / "s.parquet")
    assert (first.prediction, first.references, second) == ("a?b", ("?",), sample(1))


def test_batches_become_row_groups_of_one_table(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    with SamplesWriter(tmp_path / "s.parquet", ["m"], ["kind"]) as writer:
        for start in (0, 10, 20):
            writer.write([sample(i) for i in range(start, start + 10)])
        assert not (tmp_path / "s.parquet").exists()
    assert pq.ParquetFile(tmp_path / "s.parquet").num_row_groups == 3
    assert [s.row_id for s in read_samples(tmp_path / "s.parquet")] == [f"q{i}" for i in range(30)]


def test_an_error_while_scoring_leaves_no_half_table(tmp_path: Path) -> None:
    def fails() -> None:
        with SamplesWriter(tmp_path / "s.parquet", ["m"], ["kind"]) as writer:
            writer.write([sample(0)])
            raise StoreError("damaged")

    with pytest.raises(StoreError, match="damaged"):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_results_hold_no_number_that_is_none(tmp_path: Path) -> None:
    for texts in ([None], [None, None], ["yes"], ["x" * 50, "y"]):
        spec = spec_of("wer", "cer", "exact_match", "vqa_accuracy")
        task, _ = score(spec, texts)  # type: ignore[arg-type]
        text = json.dumps(task_results(spec, task, {}, None), allow_nan=False)
        assert not math.isnan(len(text))
