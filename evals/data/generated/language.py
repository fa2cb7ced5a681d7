"""The questions' words in English and Chinese, and the prompt templates that the small model was trained with."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

QUESTION_TEMPLATE = "{question}\n{instruction}"
"""shapes_presence, words_ocr and easyvqa."""

CHOICE_TEMPLATE = "{question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\n{instruction}"
"""shapes_mc."""

CAPTION_TEMPLATE = "{question}"
"""shapes_caption."""

LETTERS = "ABCD"

CHOICE_INSTRUCTION: dict[Language, str] = {"en": "Answer with the letter.", "zh": "请回答选项字母。"}
# Chinese questions are answered yes or no as well, as in the Chinese parts of the field's yes/no benchmarks.
YES_NO_INSTRUCTION: dict[Language, str] = {"en": "Answer yes or no.", "zh": "请回答yes或no。"}
WORD_INSTRUCTION: dict[Language, str] = {"en": "Answer with the text only.", "zh": "请只回答文字。"}
ONE_WORD_INSTRUCTION = "Answer with one word."

WORD_QUESTION: dict[Language, str] = {"en": "What is written in the picture?", "zh": "图片里写着什么？"}
CAPTION_QUESTION: dict[Language, str] = {"en": "Describe the picture.", "zh": "请描述这张图片。"}

QUARTER_NAMES: dict[Language, tuple[str, ...]] = {
    "en": ("top left", "top right", "bottom left", "bottom right"),
    "zh": ("左上角", "右上角", "左下角", "右下角"),
}
_CHINESE = {
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "purple": "紫色",
    "black": "黑色",
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星形",
}


def word_for(name: str, language: Language) -> str:
    """Return a colour or kind in the given language."""
    return name if language == "en" else _CHINESE[name]


def pair_name(pair: tuple[str, str], language: Language) -> str:
    """Name a shape by colour and kind: ``red circle`` or ``红色圆形``."""
    separator = " " if language == "en" else ""
    return separator.join(word_for(part, language) for part in pair)


def enumerate_pairs(pairs: list[tuple[str, str]], language: Language) -> str:
    """Say what is there: ``a red circle, a blue star and a black square``."""
    article, comma, conjunction = ("a ", ", ", " and ") if language == "en" else ("一个", "、", "和")
    names = [article + pair_name(pair, language) for pair in pairs]
    return names[0] if len(names) == 1 else comma.join(names[:-1]) + conjunction + names[-1]
