"""Controls: what they answer, how they are told from models, and that the harness runs them like any other."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from adapter_contract import TEXTS, AdapterContract, ask, odd_pictures, picture_ref, plain_picture
from control_runs import answers_of, scored_with
from PIL import Image

import run_eval
from evals.controls import load_model
from evals.controls.chance import possible_answers
from evals.controls.planned import bound
from evals.data import open_dataset
from evals.leaderboard import build_board
from evals.plan import TaskPlan, make_plan
from evals.spec import find_task
from evals.store import open_run
from model_adapters import load_adapter
from model_adapters.contract import AdapterError, GenerationSettings, ImageRef, ModelAdapter, Request, Turn

sys.path.append(str(Path(__file__).parents[1] / "harness"))
from small_tasks import SmallTask, choice_task, png, small_task

CONTROLS = ("chance", "majority", "prior", "oracle")


def plan_of(task: SmallTask) -> TaskPlan:
    spec = find_task(str(task.yaml))
    return make_plan(spec, open_dataset(spec, task.folder, task.folder / "cache"))


def with_answers(task: SmallTask, answers: list[tuple[str, str]]) -> TaskPlan:
    """The task with other questions and answers, a picture of its own each."""
    rows = []
    for i, (question, answer) in enumerate(answers):
        (task.folder / "images" / f"{i}.png").write_bytes(png((i % 256, i // 256, 7)))
        rows.append({"id": f"q{i}", "image": f"{i}.png", "question": question, "kind": "x", "answer": answer})
    (task.folder / f"{task.name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return plan_of(task)


def run(task: SmallTask, model: str, out: Path, *more: str) -> int:
    words = ["run", str(task.yaml), "--model", model, "--data-root", str(task.folder), "--out", str(out)]
    return run_eval.main([*words, "--quiet", "--no-report", *more])


class TestChance:
    def test_draws_are_even_and_the_same_in_any_order(self, tmp_path: Path) -> None:
        plan = plan_of(choice_task(tmp_path, n=400, protocol="vanilla"))
        texts = {name: r.text for name, r in answers_of(plan, "chance").items()}
        counts = Counter(texts.values())
        assert set(counts) == set("ABCD")
        assert max(counts.values()) < 140  # 100 expected, a standard deviation of 8.7
        requests = [request for _, request in plan.walk(lambda question: False)]
        turned = {r.request_id: r.text for r in bound(load_model("chance"), plan).generate(requests[::-1])}
        assert turned == texts
        assert {name: r.text for name, r in answers_of(plan, "chance", seed=1).items()} != texts

    def test_what_could_be_an_answer_without_options(self) -> None:
        assert possible_answers(["3", "1", "1"]) == range(1, 4)
        assert possible_answers(["yes", "no", "yes"]) == ["no", "yes"]
        assert possible_answers(["1", "two"]) == ["1", "two"]
        assert possible_answers([]) == []


class TestFrequent:
    def test_majority_gives_one_answer_and_scores_its_share(self, tmp_path: Path) -> None:
        answers = [("what colour is it?", "red" if i % 3 else "blue") for i in range(60)]
        plan = with_answers(small_task(tmp_path), answers)
        scored, rows = scored_with(plan.spec, plan.dataset, "majority")
        assert {row.prediction for row in rows} == {"red"}
        assert scored.statistics[0].value == pytest.approx(2 / 3)

    def test_prior_knows_what_the_beginning_of_a_question_gives_away(self, tmp_path: Path) -> None:
        kinds = (("is it round, number", "yes"), ("how many are there, number", "2"), ("what colour, number", "red"))
        answers = [(f"{kinds[i % 3][0]} {i}?", kinds[i % 3][1]) for i in range(90)]
        plan = with_answers(small_task(tmp_path), answers)
        assert scored_with(plan.spec, plan.dataset, "prior")[0].statistics[0].value == 1.0
        assert scored_with(plan.spec, plan.dataset, "majority")[0].statistics[0].value == pytest.approx(1 / 3)

    def test_prior_does_not_see_its_own_answer(self, tmp_path: Path) -> None:
        plan = with_answers(small_task(tmp_path), [(f"q {i}", f"answer {i}") for i in range(50)])
        assert scored_with(plan.spec, plan.dataset, "prior")[0].statistics[0].value == 0.0

    def test_prior_on_balanced_answers_is_near_half_and_not_zero(self, tmp_path: Path) -> None:
        plan = with_answers(small_task(tmp_path), [("is it?", ("yes", "no")[i % 2]) for i in range(400)])
        value = scored_with(plan.spec, plan.dataset, "prior")[0].statistics[0].value
        assert value is not None
        assert 0.35 < value < 0.55

    def test_prior_takes_the_option_that_was_right_most_often(self, tmp_path: Path) -> None:
        task = choice_task(tmp_path, n=80, images=80, protocol="circular")
        for row in task.rows:
            row |= {"question": "which colour?", "letter": "C", "answer": "blue"}
        (tmp_path / f"{task.name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in task.rows))
        plan = plan_of(task)
        assert scored_with(plan.spec, plan.dataset, "prior")[0].statistics[0].value == 1.0  # by text, not by letter
        assert scored_with(plan.spec, plan.dataset, "majority")[0].statistics[0].value == 0.0


class TestReplay:
    def test_a_replayed_run_scores_as_the_run_itself(self, tmp_path: Path) -> None:
        task = choice_task(tmp_path, n=20)
        assert run(task, "chance", tmp_path / "first") == 0
        assert run(task, "replay", tmp_path / "again", "-o", f"run={tmp_path / 'first'}") == 0
        first, again = (json.loads((tmp_path / n / "results.json").read_text()) for n in ("first", "again"))
        name = next(iter(first["tasks"]))
        assert again["tasks"][name]["statistics"] == first["tasks"][name]["statistics"]
        assert again["tasks"][name]["efficiency"]["latency_ms"] == first["tasks"][name]["efficiency"]["latency_ms"]
        assert again["model"]["replayed"]["run"] == "first"
        assert again["model"]["model"] == "chance"
        (group,) = build_board([open_run(tmp_path / "again")]).groups
        assert group.entries[0].imported  # answers that were there already have no speed of their own
        assert set(group.entries[0].efficiency.values()) == {None}

    def test_what_was_not_answered_fails(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        task = small_task(tmp_path, n=10)
        assert run(task, "oracle", tmp_path / "half", "--limit", "4") == 0
        assert run(task, "replay", tmp_path / "all", "-o", f"run={tmp_path / 'half'}") == 5
        assert json.loads((tmp_path / "all" / "results.json").read_text())["tasks"]["colours"]["n_errors"] == 6

    def test_another_sample_under_the_same_id_is_another_question(self, tmp_path: Path) -> None:
        task = small_task(tmp_path, n=6)
        assert run(task, "oracle", tmp_path / "before") == 0
        task.rows[2]["question"] = "Something else?"
        (tmp_path / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in task.rows))
        plan = plan_of(task)
        strict = answers_of(plan, "replay", run=str(tmp_path / "before"))
        assert [r.request_id for r in strict.values() if r.failure] == ["q00002"]
        assert not any(r.failure for r in answers_of(plan, "replay", run=str(tmp_path / "before"), match="id").values())

    def test_a_run_without_the_task_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(small_task(tmp_path, "one"), "oracle", tmp_path / "run") == 0
        assert run(small_task(tmp_path, "two"), "replay", tmp_path / "b", "-o", f"run={tmp_path / 'run'}") == 2
        assert "has no task 'two'" in capsys.readouterr().err


class TestInTheHarness:
    @pytest.mark.parametrize("name", CONTROLS)
    @pytest.mark.parametrize("protocol", ["vanilla", "circular", "likelihood"])
    def test_every_control_runs_under_every_protocol(self, name: str, protocol: str, tmp_path: Path) -> None:
        assert run(choice_task(tmp_path, n=8, protocol=protocol), name, tmp_path / "run") == 0
        task = json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]["options"]
        assert task["coverage"] == 1.0
        if name == "oracle":
            assert task["statistics"][task["headline"]]["value"] == 1.0

    def test_tasks_with_the_same_request_ids_are_told_apart(self, tmp_path: Path) -> None:
        tasks = [small_task(tmp_path, "one"), choice_task(tmp_path, "two", protocol="vanilla")]
        words = ["run", *(str(task.yaml) for task in tasks), "--model", "oracle", "--data-root", str(tmp_path)]
        assert run_eval.main([*words, "--out", str(tmp_path / "run"), "--quiet", "--no-report"]) == 0
        found = json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]
        assert [t["statistics"][t["headline"]]["value"] for t in found.values()] == [1.0, 1.0]

    def test_controls_stand_on_the_leaderboard_without_a_rank(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = small_task(tmp_path, n=40)
        for name in ("oracle", "majority", "null"):
            assert run(task, name, tmp_path / name) == 0
        capsys.readouterr()
        runs = [str(tmp_path / name) for name in ("oracle", "majority", "null")]
        assert run_eval.main(["leaderboard", *runs, "--out", str(tmp_path / "board"), "--json"]) == 0
        (group,) = json.loads(capsys.readouterr().out)["groups"]
        entries = {entry["model"]: entry for entry in group["entries"]}
        assert {name: entry["control"] for name, entry in entries.items()} == {
            "oracle": True,
            "majority": True,
            "null": False,
        }
        assert entries["oracle"]["rank"] is None
        assert entries["oracle"]["macro"] == 1.0
        assert entries["null"]["rank"] == [1, 1]
        assert "oracle (control)" in (tmp_path / "board" / "leaderboard.html").read_text()
        assert "**oracle** (control)" in (tmp_path / "board" / "leaderboard.md").read_text()

    def test_names_and_options_that_are_wrong(self) -> None:
        with pytest.raises(AdapterError, match="Did you mean 'oracle'"):
            load_model("orakle")
        with pytest.raises(AdapterError, match="Did you mean 'seed'"):
            load_model("chance", sed=1)
        with pytest.raises(AdapterError, match="content or id"):
            load_model("replay", run="x", match="hash")
        with pytest.raises(AdapterError, match=r"works in `run` only"):
            load_model("oracle").generate([])


QUESTIONS = [Request(f"r{i}", (Turn("user", (f"Question {i}?",)),), GenerationSettings(4)) for i in range(12)]


class TestEcho(AdapterContract):
    looks_at_images = False
    honours_stop = False

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter("echo")

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return QUESTIONS


class OfATask(AdapterContract):
    """A control as the harness uses it: bound to a task. What is not of the task has no answer, whatever it holds."""

    name: str
    looks_at_images = False
    honours_stop = False

    @pytest.fixture(scope="class")
    @classmethod
    def plan(cls, tmp_path_factory: pytest.TempPathFactory) -> TaskPlan:
        return plan_of(choice_task(tmp_path_factory.mktemp("contract"), n=12, protocol="vanilla"))

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, plan: TaskPlan) -> Callable[[], ModelAdapter]:
        return lambda: bound(load_model(cls.name), plan)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls, plan: TaskPlan) -> list[Request]:
        return [request for _, request in plan.walk(lambda question: False)]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        return [ask("of another task", "?"), ask("with a picture", plain_picture(), "?")]

    def test_odd_pictures_are_answered_or_fail_with_a_message(self, adapter: ModelAdapter) -> None:
        asked = [ask(name, picture_ref(image, name), "?") for name, image in odd_pictures().items()]
        assert_all_fail(adapter, asked)

    def test_a_request_without_a_picture_is_answered_where_announced(self, adapter: ModelAdapter) -> None:
        assert_all_fail(adapter, [ask("blind", "Is water wet?")])

    def test_several_pictures_are_answered_where_announced(self, adapter: ModelAdapter) -> None:
        assert_all_fail(adapter, [ask("pair", plain_picture(10), plain_picture(200), "What changed?")])

    def test_any_text_is_answered_or_fails_with_a_message(self, adapter: ModelAdapter) -> None:
        assert_all_fail(adapter, [ask(name, text) for name, text in TEXTS.items()])


def assert_all_fail(adapter: ModelAdapter, asked: list[Request]) -> None:
    responses = list(adapter.generate(iter(asked)))
    assert [r.request_id for r in responses] == [r.request_id for r in asked]
    assert all(r.failure is not None and r.failure.message for r in responses)


class TestOracleContract(OfATask):
    name = "oracle"


class TestChanceContract(OfATask):
    name = "chance"


class TestMajorityContract(OfATask):
    name = "majority"


class TestPriorContract(OfATask):
    name = "prior"


class TestReplayContract(OfATask):
    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, plan: TaskPlan, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ModelAdapter]:
        task = choice_task(tmp_path_factory.mktemp("replayed"), n=12, protocol="vanilla")
        assert run(task, "chance", task.folder / "run") == 0
        return lambda: bound(load_model("replay", run=str(task.folder / "run")), plan)

    def test_choices_are_scored_where_announced(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        """A replayed run has the likelihoods that it stored, and no others."""
        assert all(r.choice_scores is None for r in adapter.score_choices(requests))


def picture(size: tuple[int, int] = (20, 10)) -> ImageRef:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, "PNG")
    data = out.getvalue()
    return ImageRef(hashlib.sha256(data).hexdigest(), "red.png", lambda: data)


class TestBlind(AdapterContract):
    """Over the small shipped model, by its language side alone."""

    looks_at_images = False

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter("blind", base="omnilmm", checkpoint="small-early", device="cpu")

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        seen = picture()
        return [
            Request(f"r{i}", (Turn("user", (seen, f"Is the shape {word}?")),), GenerationSettings(4))
            for i, word in enumerate(("red", "blue", "green", "round", "a square") * 2)
        ]

    def test_answers_do_not_depend_on_the_picture(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        others = [
            Request(r.request_id, (Turn("user", (picture((64, 64)), r.turns[0].text)),), r.generation) for r in requests
        ]
        texts = [r.text for r in adapter.generate(requests)]
        assert texts == [r.text for r in adapter.generate(others)]
        sighted = load_adapter("omnilmm", checkpoint="small-early", device="cpu", text_only=True)
        bare = [Request(r.request_id, (Turn("user", (r.turns[0].text,)),), r.generation) for r in requests]
        assert texts == [r.text for r in sighted.generate(bare)]
        sighted.close()

    def test_the_identity_names_the_base_and_what_was_taken(self, adapter: ModelAdapter) -> None:
        identity = adapter.identity()
        assert (identity["adapter"], identity["base"], identity["image"]) == ("blind", "omnilmm", "none")
        assert identity["control"] is True
        assert identity["weights"]


class Sees(ModelAdapter):
    """Says the size and colour of what it is shown."""

    from model_adapters.contract import Capabilities

    capabilities = Capabilities(max_images=1)

    def __init__(self, colour: bool = True) -> None:
        self._colour = colour

    def identity(self) -> dict[str, object]:
        return {"adapter": "sees", "model": "sees"}

    def generate(self, requests):  # type: ignore[no-untyped-def]
        from model_adapters.contract import Response

        for request in requests:
            image = request.images[0].open()
            yield Response(request.request_id, f"{image.size} {image.getpixel((0, 0))}")


def test_grey_pictures_keep_their_size_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_adapters.registry import ADAPTERS

    monkeypatch.setitem(ADAPTERS, "sees", f"{__name__}:Sees")
    with pytest.raises(AdapterError, match="image=grey"):
        load_adapter("blind", base="sees")
    blind = load_adapter("blind", base="sees", image="grey", colour=True)
    (answer,) = blind.generate([Request("a", (Turn("user", (picture((7, 5)), "?")),))])
    assert answer.text == "(7, 5) (128, 128, 128)"
    broken = ImageRef("0" * 64, "broken.png", lambda: b"\x89PNG broken")
    with pytest.raises(OSError, match=r"broken\.png"):
        list(blind.generate([Request("b", (Turn("user", (broken, "?")),))]))


def test_blind_refuses_what_makes_no_sense() -> None:
    with pytest.raises(AdapterError, match="none or grey"):
        load_adapter("blind", image="black")
    with pytest.raises(AdapterError, match="has no option 'checkpint'"):
        load_adapter("blind", base="omnilmm", checkpint="small-final")
    with pytest.raises(AdapterError, match="name the model itself"):
        load_adapter("blind", base="blind")
