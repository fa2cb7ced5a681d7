"""The noise floor: what changes with the batch is measured, and a baseline keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_adapters import Scripted, usual
from small_tasks import SmallTask, choice_task, small_task

import run_eval
from evals.data import open_dataset
from evals.determinism import measure_noise
from evals.errors import AdapterError, SpecError, StoreError
from evals.gate import create_baseline
from evals.plan import TaskPlan, make_plan
from evals.runner import execute
from evals.spec import find_task
from evals.store import Run
from model_adapters.contract import Request, Response
from model_adapters.probe import Probe
from model_adapters.registry import ADAPTERS


class Resizable(Scripted):
    """Can be told its batch size; answers ``shifty`` requests otherwise in a batch of more than one."""

    shifty: frozenset[str] = frozenset()

    def probe(self) -> Probe:
        adapter = self

        class Sizes(Probe):
            def set_batch_size(self, size: int) -> bool:
                adapter.batch_size = size
                return True

        return Sizes()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for response in super().generate(requests):
            if response.request_id in self.shifty and self.batch_size > 1:
                yield Response(response.request_id, "purple")
            else:
                yield response


class Shifty(Resizable):
    """One answer of twelve depends on the batch."""

    shifty = frozenset({"q00003"})


def plan_of(task: SmallTask) -> TaskPlan:
    spec = find_task(str(task.yaml))
    return make_plan(spec, open_dataset(spec, task.folder, task.folder / "cache"))


@pytest.mark.parametrize("make", [small_task, choice_task])
def test_a_model_that_does_not_see_its_company_has_no_noise(make: Any, tmp_path: Path) -> None:
    floor = measure_noise(plan_of(make(tmp_path)), Resizable(), requests=100, batch_size=4)
    assert (floor.answers_changed, floor.discordance) == (0.0, 0.0)
    assert len(floor.ways) == 3


def test_what_changes_in_a_batch_is_counted(tmp_path: Path) -> None:
    floor = measure_noise(plan_of(small_task(tmp_path)), Shifty(), requests=12, batch_size=4)
    assert floor.n == 12
    assert [way.answers_changed for way in floor.ways] == [pytest.approx(1 / 12)] * 3
    right = usual(next(r for q, r in plan_of(small_task(tmp_path)).walk(lambda q: False) if q.sample_id == "q00003"))
    assert floor.discordance == (pytest.approx(1 / 12) if right == "yellow" else 0.0)


def test_an_adapter_whose_batches_cannot_be_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="does not let its batch size be set"):
        measure_noise(plan_of(small_task(tmp_path)), Scripted(), requests=12, batch_size=4)


@pytest.fixture
def floor_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command wrote about a model of which one answer in twelve changes."""
    task, out = small_task(tmp_path), tmp_path / "floor.json"
    monkeypatch.setitem(ADAPTERS, "shifty", f"{__name__}:Shifty")
    place = ["--data-root", str(tmp_path), "--out", str(out)]
    code = run_eval.main(["doctor", "--determinism", "--task", str(task.yaml), "--model", "shifty", *place])
    assert code == 0
    return out


def test_the_command_writes_a_floor_that_a_baseline_keeps(floor_file: Path, tmp_path: Path) -> None:
    task = small_task(tmp_path)
    run = execute(task.job(tmp_path / "run"), Scripted).run
    with pytest.raises(SpecError, match="needs at least two runs"):
        create_baseline([run], tmp_path / "none", "b")
    made = create_baseline([run], tmp_path / "base", "b", noise_file=floor_file)
    assert made.noise["colours"]["answers_changed"] == pytest.approx(1 / 12)


@pytest.mark.parametrize("damage", ["{", "{}", '{"schema_version": 9}', None], ids=["torn", "empty", "newer", "model"])
def test_a_floor_that_is_none_is_refused(floor_file: Path, tmp_path: Path, damage: str | None) -> None:
    run = execute(small_task(tmp_path).job(tmp_path / "run"), Scripted).run
    document = json.loads(floor_file.read_text())
    document["model"]["weights"] = "other"
    floor_file.write_text(json.dumps(document) if damage is None else damage)
    reason = "was measured on another model: weights" if damage is None else "is no noise floor"
    with pytest.raises(StoreError, match=reason):
        create_baseline([Run(run.path)], tmp_path / "base", "b", noise_file=floor_file)


def test_the_command_needs_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_eval.main(["doctor", "--determinism", "--model", "null"]) == 2
    assert "needs --task" in capsys.readouterr().err
