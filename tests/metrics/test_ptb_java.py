"""The caption tokenizer equals the Java program it replaces, where that program is present."""

from __future__ import annotations

import importlib.util
import random
import shutil

import pytest

from evals.metrics.ptb import tokenize

WORDS = (
    "a the two dogs cats man's women's it's can't isn't they've red-and-white half-open café 3 12 1,000 3.5 1/2 10:30 "
    "a.m. p.m. U.S. St. Dr. etc. (left) [right] \"yes\" 'no' “well” $5 5% #1 AT&T rice/beans 1st '80s o'clock cannot "
    "gonna -- — … park. tree, dog; cat: here! there? www.example.com"
)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pycocoevalcap") is None, reason="needs the package pycocoevalcap")
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java (a java program on the PATH)")
def test_captions_of_common_pieces_equal_the_java_program() -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    source = random.Random(7)
    captions = [" ".join(source.choices(WORDS.split(), k=8)) for _ in range(2000)]
    found = PTBTokenizer().tokenize({row: [{"caption": caption}] for row, caption in enumerate(captions)})
    differing = [text for row, text in enumerate(captions) if tokenize(text) != found[row][0]]
    assert not differing
