"""The small model's tokenizer: a SentencePiece BPE of the same kind as MiniCPM's.

Byte fallback, identity normaliser, no dummy prefix, digits split. Upper-case letters and digits stay single pieces,
because no training text holds two of them side by side: rendered words are then read letter by letter.
"""

from __future__ import annotations

import io
import string
from collections.abc import Iterator
from pathlib import Path
from random import Random

import easy_vqa
import sentencepiece

from evals.data.generated import language, shapes_caption, shapes_mc, shapes_presence

USER_DEFINED = ["\n", "\t", "<image>", "</image>", "<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>"]
_SENTENCES_EACH = 3000
_MAX_PIECES = 640
# Chinese is given word by word: without spaces, whole sentences would become pieces.
_CHINESE_WORDS = [
    *("红色", "绿色", "蓝色", "黄色", "紫色", "黑色", "圆形", "正方形", "三角形", "星形", "左上角", "右上角"),
    *("左下角", "右下角", "图中", "有", "几个", "图形", "一个", "和", "的", "是", "什么", "形状", "颜色", "在"),
    *("哪里", "吗", "请", "描述", "这", "张", "图片", "里", "写着", "只", "回答", "文字", "选项", "字母", "或", "用户"),
]
_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + "用户，。？！：、（）"


def build_tokenizer(path: Path, seed: int) -> int:
    """Train on prompts and answers, write ``tokenizer.model`` and return the number of pieces."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(list(_sentences(seed))),
        model_writer=out,
        model_type="bpe",
        vocab_size=_MAX_PIECES,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_digits=True,
        character_coverage=1.0,
        required_chars=_CHARACTERS,
        user_defined_symbols=USER_DEFINED,
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(out.getvalue())
    return int(sentencepiece.SentencePieceProcessor(model_proto=out.getvalue()).get_piece_size())


def _sentences(seed: int) -> Iterator[str]:
    """Yield lines of prompts and answers; SentencePiece takes lines, the line break is a piece of its own."""
    rng = Random(f"tokenizer/{seed}")
    questions, answers, _ = easy_vqa.get_train_questions()
    for _ in range(_SENTENCES_EACH):
        category = rng.choice(shapes_mc.CATEGORIES)
        scene, target = shapes_mc.draw_scene_for(rng, category)
        fields = shapes_mc.choice_fields(rng, scene, target, category, "en", 0)
        yield from (str(fields["question"]), *(f"A. {fields[letter]}" for letter in language.LETTERS))
        _, asked = shapes_presence.make_scene(rng)
        yield str(shapes_presence.question_fields(*asked[0], "en")["question"])
        yield str(shapes_caption.caption_fields(scene, rng, "en")["answer"])
        pick = rng.randrange(len(questions))
        yield from (questions[pick], answers[pick])
        for texts in (language.CHOICE_INSTRUCTION, language.YES_NO_INSTRUCTION, language.WORD_INSTRUCTION):
            yield texts["en"]
        yield from (language.WORD_QUESTION["en"], language.CAPTION_QUESTION["en"], language.ONE_WORD_INSTRUCTION)
        yield from ("yes", "no", *_CHINESE_WORDS)
