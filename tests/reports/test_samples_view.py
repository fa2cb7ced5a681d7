"""What the sample browser is given: every row, or the most telling ones and a count of the others."""

import base64
import io
import json
from dataclasses import replace

import pytest
from PIL import Image
from report_runs import HOSTILE, failed, jpeg, mixed, sample, unparsed, wrong

from evals.records import ScoredSample
from reports import samples_view as view


def task(*runs: list[ScoredSample], best: float = 1.0, worst: float = 0.0, extracts: bool = True) -> view.TaskRows:
    keyed = tuple({row.row_id: row for row in rows} for rows in runs)
    return view.TaskRows("t", "T", "accuracy", best, worst, extracts, keyed)


def no_picture(_: str) -> bytes | None:
    return None


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (sample(1), "right"),
        (wrong(1), "wrong"),
        (unparsed(1), "unparsed"),
        (failed(1), "error"),
        (sample(1, scores={"accuracy": 0.3}), "partly right"),
        (sample(1, scores={"accuracy": None}), "not scored"),
        (sample(1, scores={"other": 1.0}), "right"),
        (sample(1, scores={}), "not scored"),
    ],
)
def test_every_fate_has_its_name(row: ScoredSample, state: str) -> None:
    assert view.STATE_NAMES[view.state_of(row, task([row]))] == state


@pytest.mark.parametrize(("rate", "state"), [(0.0, "right"), (0.4, "partly right"), (1.0, "wrong"), (2.5, "wrong")])
def test_an_error_rate_is_right_at_zero_and_wrong_from_one_on(rate: float, state: str) -> None:
    row = sample(1, scores={"accuracy": rate})
    assert view.STATE_NAMES[view.state_of(row, task([row], best=0.0, worst=1.0))] == state


def test_answers_that_nobody_parses_are_not_unparsed() -> None:
    row = sample(1, extracted=None)
    assert view.state_of(row, task([row], extracts=False)) == view.RIGHT


def test_shared_texts_are_stored_once() -> None:
    data = view.browser_data([task([sample(i) for i in range(50)])], no_picture)
    assert data["strings"].count(sample(1).prompt) == 1
    assert data["kept"] == {"rows": 50, "of_rows": 50, "pictures": 0, "of_pictures": 0}


def test_long_texts_are_cut_and_say_by_how_much() -> None:
    assert view.clip("x" * 5000) == ["x" * 4000, 1000]
    assert view.clip("short") == "short"
    assert view.clip(None) is None


def test_every_hostile_text_survives_as_json() -> None:
    rows = [sample(i, prediction=text + "\ud800") for i, text in enumerate(HOSTILE.values())]
    json.dumps(view.browser_data([task(rows)], no_picture), ensure_ascii=False).encode("utf-8")


def test_rows_beyond_the_budget_are_left_out_right_ones_first() -> None:
    rows = [replace(row, prediction=f"{row.prediction} " + "words " * 100) for row in mixed(200)]
    data = view.browser_data([task(rows)], no_picture, budget=60_000)
    kept = data["tasks"][0]["rows"]
    states = {view.STATE_NAMES[row[6]] for row in kept}
    assert 0 < len(kept) < 200
    assert {"error", "unparsed", "wrong"} <= states
    assert [row[0] for row in kept] == sorted(row[0] for row in kept)
    assert data["kept"]["of_rows"] == 200
    assert len(json.dumps(data)) < 60_000


def test_rows_that_changed_between_runs_come_first() -> None:
    before, after = [sample(i) for i in range(100)], [sample(i) for i in range(100)]
    after[90] = wrong(90)
    data = view.browser_data([task(before, after)], no_picture, budget=1200)
    assert "q00090" in {row[0] for row in data["tasks"][0]["rows"]}


def test_a_row_that_one_run_lacks_is_still_shown() -> None:
    data = view.browser_data([task([sample(1)], [sample(1), sample(2)])], no_picture)
    rows = data["tasks"][0]["rows"]
    assert [row[0] for row in rows] == ["q00001", "q00002"]
    assert rows[1][7][0] == 0


def pictured(count: int) -> list[ScoredSample]:
    return [sample(i, image_hashes=(f"{i:064x}",)) for i in range(count)]


def test_pictures_that_fit_are_kept_as_stored() -> None:
    data = view.browser_data([task(pictured(3))], lambda _: jpeg((9, 9, 9)))
    assert base64.b64decode(data["pictures"][2]) == jpeg((9, 9, 9))


def test_too_many_pictures_are_made_smaller_then_left_out() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((384, 384), 90).convert("RGB").save(buffer, "JPEG", quality=80)
    data = view.browser_data([task(pictured(40))], lambda _: buffer.getvalue(), budget=300_000)
    stored = [picture for picture in data["pictures"] if picture]
    assert 0 < len(stored) < 40
    assert data["kept"]["pictures"] == len(stored)
    assert sum(map(len, stored)) < 300_000
    assert max(Image.open(io.BytesIO(base64.b64decode(stored[0]))).size) == view.SMALLEST_EDGE_PX


def test_only_jpeg_reaches_the_page() -> None:
    data = view.browser_data([task(pictured(1))], lambda _: b"<svg onload=alert(1)>")
    assert data["pictures"] == [None]
