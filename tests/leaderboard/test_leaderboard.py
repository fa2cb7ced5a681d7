"""Leaderboards: ranks as wide as the evidence, nothing ranked across protocols, and files that git can diff."""

import csv
import io
import json

import pytest
from memory_runs import MemoryRun, MemoryTask, flipped, right

from evals.errors import ComparisonError, SpecError, StoreError
from evals.leaderboard import board_csv, board_json, board_markdown, build_board, read_folder, update_folder

N = 600


def model(name, shares=(0.6, 0.6), gained=0, n=N, **task):
    """A model on two tasks; ``gained`` answers more than the common base are right."""
    scores = [flipped(right(n, share, i), 0, gained, 5) for i, share in enumerate(shares)]
    tasks = {f"t{i}": MemoryTask(s, **task) for i, s in enumerate(scores)}
    identity = {"adapter": "omnilmm", "model": name, "dtype": "bfloat16", "parameters": 3_400_000_000}
    return MemoryRun(f"run-{name}", tasks, model=identity)


def entries(board):
    return {entry.model: entry for group in board.groups for entry in group.entries}


def test_ranks_are_intervals_and_ties_share_letters():
    board = build_board([model("low"), model("high", gained=80), model("near", gained=78)])
    found = entries(board)
    assert [entry.model for entry in board.groups[0].entries] == ["high", "near", "low"]
    assert (found["high"].rank, found["near"].rank, found["low"].rank) == ((1, 2), (1, 2), (3, 3))
    assert (found["high"].ties, found["near"].ties, found["low"].ties) == ("a", "a", "b")
    assert found["high"].macro_low < found["high"].macro < found["high"].macro_high


def test_a_missing_task_leaves_no_macro_and_no_rank():
    partial = MemoryRun("run-part", {"t0": MemoryTask(right(N, 0.9, 0))}, model={"model": "part"})
    board = build_board([model("whole"), partial])
    found = entries(board)["part"]
    assert (found.macro, found.rank, found.missing, found.unranked) == (None, None, ("t1",), "missing t1")
    assert found.cells["t0"].value is not None
    assert entries(board)["whole"].rank == (1, 1)
    assert len(board.groups) == 1


def test_a_suite_task_that_nobody_ran_leaves_all_unranked():
    board = build_board([model("a")], weights={"t0": 1.0, "t1": 1.0, "t2": 1.0})
    assert entries(board)["a"].unranked == "missing t2"
    with pytest.raises(SpecError, match="None of the runs has a task"):
        build_board([model("a")], weights={"other": 1.0})


def test_incomplete_coverage_is_shown_and_not_ranked():
    scores = right(N, 0.6)
    holed = MemoryRun(
        "run-holed", {"t0": MemoryTask([None, *scores[1:]]), "t1": MemoryTask(scores)}, model={"model": "h"}
    )
    found = entries(build_board([model("whole"), holed]))["h"]
    assert found.rank is None
    assert found.unranked == "not every sample was scored in t0"
    assert found.macro is not None


def test_different_protocols_are_never_ranked_together():
    other = model("other", gained=80, identity={"prompt": "p1"})
    board = build_board([model("one"), model("two"), other])
    assert [len(group.entries) for group in board.groups] == [2, 1]
    assert entries(board)["other"].rank == (1, 1)
    assert "prompt" in board.groups[1].differs[0]
    assert any("never across groups" in note for note in board.notes)
    allowed = build_board([model("one"), model("two"), other], allow=["prompt"])
    assert len(allowed.groups) == 1
    assert entries(allowed)["other"].rank == (1, 1)
    assert any("may differ in prompt" in note for note in allowed.notes)


def test_different_data_is_never_ranked_together():
    assert len(build_board([model("one"), model("short", n=N - 1)]).groups) == 2


def test_weights_come_from_the_suite():
    run = MemoryRun("r", {"t0": MemoryTask([1.0] * 30 + [0.0] * 10), "t1": MemoryTask([1.0, 0.0] * 20)})
    assert build_board([run], weights={"t0": 3.0, "t1": 1.0}).groups[0].entries[0].macro == pytest.approx(0.6875)
    assert build_board([run]).groups[0].entries[0].macro == pytest.approx(0.625)


def test_runs_with_different_weights_need_a_suite():
    one, two = MemoryRun("a", {"t": MemoryTask([1.0])}), MemoryRun("b", {"t": MemoryTask([1.0], weight=2.0)})
    with pytest.raises(SpecError, match="weight 1 in one run and 2 in b"):
        build_board([one, two])


def test_the_chance_normalised_view():
    run = MemoryRun("r", {"t": MemoryTask([1.0] * 5 + [0.0] * 5, chance=0.25), "u": MemoryTask([0.0] * 10, chance=0.5)})
    entry = build_board([run]).groups[0].entries[0]
    assert entry.cells["t"].normalised == pytest.approx((0.5 - 0.25) / 0.75)
    assert entry.cells["u"].normalised == 0.0
    assert entry.macro_normalised == pytest.approx(1 / 6)


def test_one_run_twice_and_no_runs_are_refused():
    with pytest.raises(ComparisonError, match="run-a is given more than once"):
        build_board([model("a"), model("a")])
    with pytest.raises(ComparisonError, match="no run is given"):
        build_board([])


def test_one_cluster_has_a_score_and_no_rank():
    run = MemoryRun("r", {"t": MemoryTask([1.0, 0.0], clusters=["x", "x"])})
    entry = build_board([run]).groups[0].entries[0]
    assert (entry.macro, entry.macro_low, entry.rank) == (0.5, None, None)
    assert "fewer than two independent clusters" in entry.unranked


def test_json_csv_and_markdown_say_the_same():
    board = build_board([model("low"), model("high", gained=80)], title="Demo | <b>")
    document = json.loads(json.dumps(board_json(board), allow_nan=False))
    rows = list(csv.DictReader(io.StringIO(board_csv(board))))
    best = document["groups"][0]["entries"][0]
    assert rows[0]["model"] == best["model"] == "high"
    assert float(rows[0]["macro"]) == pytest.approx(best["macro"])
    assert (rows[0]["rank_best"], rows[0]["rank_worst"]) == ("1", "1")
    text = board_markdown(board)
    assert f"{best['macro'] * 100:.1f} [" in text
    assert "3.40 B" in text
    assert "<b>" not in text


def test_a_name_cannot_be_a_formula_in_a_spreadsheet():
    text = board_csv(build_board([model("=HYPERLINK(1)")]))
    assert ",'=HYPERLINK(1)," in text


def test_a_folder_ranks_newcomers_against_entries_whose_runs_are_gone(tmp_path):
    update_folder(tmp_path, [model("low"), model("high", gained=80)])
    board = update_folder(tmp_path, [model("middle", gained=40)])
    direct = build_board([model("low"), model("high", gained=80), model("middle", gained=40)])
    assert {name: entry.rank for name, entry in entries(board).items()} == {
        name: entry.rank for name, entry in entries(direct).items()
    }
    assert entries(board)["low"].macro == pytest.approx(entries(direct)["low"].macro)
    assert len(read_folder(tmp_path)) == 3
    assert json.loads((tmp_path / "leaderboard.json").read_text())["kind"] == "leaderboard"


def test_every_run_keeps_its_own_entry_whatever_it_is_called(tmp_path):
    names = ["基线", "候选", "a b", "a-b", "a/b", "run.1"]
    runs = [MemoryRun(name, {"t": MemoryTask(right(60, 0.5, seed))}) for seed, name in enumerate(names)]
    update_folder(tmp_path, runs)
    update_folder(tmp_path, runs[:2])
    assert sorted(run.manifest["run_id"] for run in read_folder(tmp_path)) == sorted(names)


def test_an_entry_under_the_name_of_an_older_version_is_replaced(tmp_path):
    run = MemoryRun("a b", {"t": MemoryTask(right(60, 0.5))})
    update_folder(tmp_path, [run])
    for path in list((tmp_path / "entries").iterdir()):
        path.rename(path.with_name("a-b" + "".join(path.suffixes)))
    update_folder(tmp_path, [run])
    assert len(read_folder(tmp_path)) == 1
    assert len(list((tmp_path / "entries").iterdir())) == 2


def test_the_same_entries_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        update_folder(tmp_path / folder, [model("a"), model("b", gained=20)])
    update_folder(tmp_path / "two", [model("a")])
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_damaged_entries_are_refused(tmp_path):
    update_folder(tmp_path, [model("a")])
    scores = tmp_path / "entries" / "run-a.scores.jsonl.gz"
    scores.write_bytes(scores.read_bytes() + b"x")
    with pytest.raises(StoreError, match="was changed"):
        read_folder(tmp_path)
    entry = tmp_path / "entries" / "run-a.json"
    entry.write_text(entry.read_text().replace('"schema_version": 1', '"schema_version": 9', 1))
    with pytest.raises(StoreError, match="schema version 9"):
        read_folder(tmp_path)
    entry.write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        read_folder(tmp_path)


def test_efficiency_of_other_hardware_is_noted():
    one, two = model("a"), model("b")
    two.manifest["environment"] = {"hardware_key": "gpu-9", "hardware": {"device_name": "H200"}}
    board = build_board([one, two])
    assert any("different hardware" in note for note in board.notes)
    assert entries(board)["b"].hardware == "H200"
