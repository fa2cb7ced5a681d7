"""words_ocr: read a word or a code of three to six characters. All of them are held out from training by value."""

from __future__ import annotations

from collections.abc import Iterator

from evals.data.generated.language import WORD_INSTRUCTION, WORD_QUESTION, Language
from evals.data.generated.rows import GeneratedRow, JsonValue, encode_png, is_chinese, row_rng
from evals.data.generated.words import WORD_LENGTHS, draw_word, random_code, random_style, random_word

CODE_SHARE = 0.3


def rows(seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield ``count`` rows, with three to six characters in turn."""
    for index in range(count):
        rng = row_rng("words_ocr", seed, index)
        length = WORD_LENGTHS[index % len(WORD_LENGTHS)]
        is_code = rng.random() < CODE_SHARE
        text = (random_code if is_code else random_word)(rng, length, held_out=True)
        style = random_style(rng, text)
        fields = word_fields(text, "zh" if is_chinese(index) else "en")
        fields |= {"category": f"{length} characters", "kind": "code" if is_code else "word", "face": style.face}
        yield GeneratedRow(f"words_ocr-{seed}-{index:06d}", encode_png(draw_word(rng, text, style)), fields)


def word_fields(text: str, language: Language) -> dict[str, JsonValue]:
    """Return question and answer for a picture of ``text``."""
    return {
        "question": WORD_QUESTION[language],
        "answer": text,
        "instruction": WORD_INSTRUCTION[language],
        "language": language,
    }
