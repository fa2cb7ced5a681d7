"""What holds for any captions, and what the tokenizer and the caption metrics do with odd ones."""

from __future__ import annotations

import importlib.util
import math
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError, SpecError
from evals.metrics import get_metric
from evals.metrics.ptb import tokenize

WORDS = [
    "a",
    "Dog",
    "can't",
    "cannot",
    "U.S.",
    "(left)",
    "1/2",
    "3",
    "red,",
    "cat.",
    "猫",
    "👍",
    "-",
    "\u2028",
    "\r",
    "<b>",
]
CAPTION = st.one_of(st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join), st.text(max_size=30))
ROWS = st.lists(st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=4)), min_size=1, max_size=5)
NAMES = ["bleu", "rouge_l", "cider", "coco_caption"]
FEW = settings(max_examples=40, deadline=None)


class TestTokenizer:
    @pytest.mark.parametrize(
        ("caption", "tokens"),
        [
            ("A dog's bowl isn't full.", "a dog 's bowl is n't full"),
            ("He cannot; we're gonna.", "he can not we 're gon na"),
            ("Two (red) signs, one #1", "two -lrb- red -rrb- signs one # 1"),
            ("Mr. Poe of St. Ives, etc.", "mr. poe of st. ives etc."),
            ("Plan B. The end", "plan b the end"),
            ("no. 5 and no.", "no. 5 and no"),
            ("1 1/2 cups", "1\u00a01/2 cups"),
            ("20% off £3 & 5¢", "20 % off # 3 & 5 cents"),
            ("what?! really...", "what ?! really"),
            ("a two-story F/A-18", "a two-story f/a -18"),
            ("“quoted” — 'text'", "quoted text"),
            ("cat 🐈 𝐀", "cat"),
            ("co\u00adop", "coop"),
            ("", ""),
        ],
    )
    def test_examples(self, caption: str, tokens: str) -> None:
        assert tokenize(caption) == tokens

    @pytest.mark.parametrize("separator", ["\n", "\r", "\r\n", "\u2028", "\u2029", "\x0b", "\x0c"])
    def test_a_line_separator_is_white_space(self, separator: str) -> None:
        assert tokenize(f"a dog{separator}runs") == "a dog runs"

    @FEW
    @given(caption=CAPTION)
    def test_any_text_gives_lower_case_tokens_without_blanks_at_the_ends(self, caption: str) -> None:
        tokens = tokenize(caption)
        assert tokens == tokens.strip(" ")
        assert "  " not in tokens
        assert tokens == tokens.lower()

    @FEW
    @given(words=st.lists(st.sampled_from(["a", "dog", "red-haired", "runs", "3", "o'clock", "is", "n't"]), max_size=8))
    def test_tokenising_plain_tokens_again_changes_nothing(self, words: list[str]) -> None:
        once = tokenize(" ".join(words))
        assert tokenize(once) == once

    @pytest.mark.parametrize("piece", ["word. ", "x", "a-", "No. 5 ", "<b> ", "(", "'"])
    def test_long_texts_take_time_in_proportion(self, piece: str) -> None:
        started = time.process_time()
        tokenize(piece * (200_000 // len(piece)))
        assert time.process_time() - started < 10


@pytest.mark.parametrize("name", NAMES)
class TestAnyCaptions:
    @FEW
    @given(rows=ROWS, seed=st.integers(0, 9))
    def test_scores_are_in_range_whatever_the_order_of_references(
        self, name: str, rows: list[tuple[str, list[str]]], seed: int
    ) -> None:
        predictions = [prediction for prediction, _ in rows]
        references = [accepted for _, accepted in rows]
        shuffled = [random.Random(seed).sample(accepted, len(accepted)) for accepted in references]
        metric = get_metric(name)
        found = metric.compute(predictions, references)
        assert found == pytest.approx(metric.compute(predictions, shuffled), abs=1e-12)
        assert all(
            0 <= value <= (10 if key == "cider" else 1) + 1e-9 for key, value in found.items() if value is not None
        )
        assert all(
            score is not None and math.isfinite(score) for score in metric.score_samples(predictions, references)
        )

    def test_a_separator_in_one_caption_leaves_the_others_alone(self, name: str) -> None:
        rows = [
            ("a cat sits", ["a cat sits down"]),
            ("two dogs run far", ["two dogs run fast"]),
            ("a bus", ["a big bus"]),
        ]
        plain = get_metric(name).score_samples([p for p, _ in rows], [r for _, r in rows])
        odd = get_metric(name).score_samples(["a cat\u2028sits", *(p for p, _ in rows[1:])], [r for _, r in rows])
        assert odd == plain

    def test_a_failed_request_has_no_score_and_does_not_move_the_others(self, name: str) -> None:
        predictions = ["a cat sits on a mat", "two dogs run in a park", "a red bus stops here"]
        references = [["a cat sits on the mat"], ["two dogs run in the park"], ["a red bus stops there"]]
        full = get_metric(name).score_samples(predictions, references)
        assert get_metric(name).score_samples([predictions[0], None, predictions[2]], references) == [
            full[0],
            None,
            full[2],
        ]
        assert set(get_metric(name).compute([None], [["a"]]).values()) == {None}

    def test_bad_rows_are_named(self, name: str) -> None:
        with pytest.raises(DataError, match="row 1 is empty"):
            get_metric(name).compute(["a", "b"], [["a"], []])
        with pytest.raises(DataError, match="predictions 1, references 2"):
            get_metric(name).compute(["a"], [["a"], ["b"]])
        with pytest.raises(SpecError, match="tokenizer"):
            get_metric(name, tokenizer="moses")


def test_cider_of_one_image_is_zero() -> None:
    assert get_metric("cider").compute(["a cat"], [["a cat"]]) == {"cider": 0.0}


def test_bleu_takes_the_shorter_of_two_equally_close_references() -> None:
    short = get_metric("bleu").compute(["a b c d"], [["a b c", "a b c d e"]])["bleu_1"]
    long = get_metric("bleu").compute(["a b c d"], [["a b c d e"]])["bleu_1"]
    assert short == pytest.approx(1.0)
    assert long == pytest.approx(math.exp(1 - 5 / 4))


def test_rouge_l_takes_precision_and_recall_from_different_references() -> None:
    found = get_metric("rouge_l").compute(["a b"], [["a", "a b c d"]])["rouge_l"]
    assert found == pytest.approx((1 + 1.44) * 1.0 * 1.0 / (1.0 + 1.44 * 1.0))


def test_the_raw_string_variant_is_another_number() -> None:
    predictions, references = ["A cat.", "Two dogs."], [["a cat"], ["two dogs"]]
    assert get_metric("cider").compute(predictions, references) != get_metric("cider", tokenizer="none").compute(
        predictions, references
    )


def test_composite_equals_its_parts() -> None:
    rows = ["a cat sits on a mat", "two dogs run in a park"], [["a cat on the mat", "cat"], ["dogs run in the park"]]
    together = get_metric("coco_caption").compute(*rows)
    for name in ("bleu", "rouge_l", "cider"):
        assert {key: together[key] for key in get_metric(name).compute(*rows)} == get_metric(name).compute(*rows)


class TestJavaMetrics:
    @pytest.mark.parametrize("name", ["meteor", "spice"])
    def test_without_java_the_score_is_null_and_the_reason_known(self, name: str, monkeypatch: Any) -> None:
        monkeypatch.setattr("shutil.which", lambda program: None)
        metric = get_metric(name)
        assert metric.unavailable()  # type: ignore[attr-defined]
        assert metric.compute(["a cat"], [["a cat"]]) == {name: None}
        assert metric.score_samples(["a cat"], [["a cat"]]) == [None]

    def test_without_the_package_the_reason_is_the_command_that_installs_it(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert "pip install" in str(get_metric("meteor").unavailable())  # type: ignore[attr-defined]
