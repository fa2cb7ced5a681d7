"""Our own reader of multiple-choice replies: takes what the reply says, says why where it says nothing, never guesses.

The order of the rules is the order of how plainly a reply answers:

1. the whole reply is one letter;
2. an announced final answer ("final answer: B", a boxed letter);
3. other statements ("the answer is B", "选B", "B is correct", a leading "B. dog", "B" on a line of its own): all of
   them must agree;
4. the text of one option, as the whole reply, after "the answer is", or as the only option that a short reply mentions.

Two different answers are no answer (``several_answers``), a letter whose text is that of another option neither
(``contradiction``). "Not A but C" is C; "not A" alone is no answer, even with two options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.option_text import match_option_text
from evals.extract.text import clean_reply, fold, option_map, simplified
from evals.extract.yes_no import yes_no

Extraction = tuple[str | None, str]

# A letter that stands alone. Letters that are also words ("a dog", "I see") need something after them that no noun
# phrase has. Chinese and Japanese write no blanks, so "stands alone" means alone among ASCII letters and digits.
_ALONE, _ENDS = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9+#'-])"
_AFTER_WORD = r"(?=\s*(?:$|\n|[^\sA-Za-z0-9_]|(?:because|since|as|is|and|or)\b))"
_LETTER = rf"{_ALONE}(?:[B-HJ-Z]{_ENDS}|[AIa-z]{_ENDS}{_AFTER_WORD})"
_JOINED = r"(?:,|/|&|、|\band\b|\bor\b|和|与|或|及)"
_LIST = rf"[(\[]?{_LETTER}[)\]]?(?:\s*{_JOINED}\s*(?:option\s)?[(\[]?(?-i:{_ALONE}[A-Z](?![A-Za-z0-9]))[)\]]?)*"
_NEGATED = re.compile(
    r"(?i:\b(?:not|isn't|rather than|instead of|neither|nor)|不是|并非|不选|不应选|而非|排除)\s*"
    r"(?i:\b(?:option|choice)\s|选项)?[(\[]?(?<![A-Za-z0-9])([A-Z])(?![A-Za-z0-9])[)\]]?"
    r"(?:\s*[,，]?\s*(?i:but rather|but|rather|而是|而选|而应选|应该是|应是)(?i:\s(?=\S))?)?"
    r"(?i:\s*(?:option|choice)(?=\s))?"
)
_IS = (
    r"(?:\s*(?:is|are|was|would be|should be|must be|might be|may be|could be|will be|to be))?\s*[:=]?\s*"
    r"(?:clearly|definitely|probably|likely|most likely)?\s*(?:(?:option|choice|letter)\s*)?"
)
_FINAL = re.compile(rf"\bfinal\s(?:answer|choice){_IS}({_LIST})", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s?\{\s*\(?([A-Za-z])\)?\s*\}|<answer>\s*\(?([A-Za-z])\)?\s*</answer>")
_STATED = [
    re.compile(rf"\b(?:answer|choice|option|solution){_IS}({_LIST})", re.IGNORECASE),
    re.compile(
        r"\b(?:choose|select|pick|go with|going with|chose|it's|it is|that's|that is|i(?: would)? say|i think|"
        r"i believe|i guess|maybe|probably|likely|so|thus|therefore|hence|only|both|either)"
        rf"\s*[,:]?\s*(?:(?:the\s)?(?:option|choice|answer)\s*(?:is\s*)?)?({_LIST})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"({_LETTER})[)\]]?\s+is\s+(?:the\s|my\s|most\s|clearly\s)*"
        r"(?:correct|right|best|answer|true|appropriate|likely)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?:答案|正解|选项|正确的|选择|选|应是|应该是|认为是|觉得是|因此|所以|答|答え)[】\]]?\s*"
        rf"(?:应该|应当|应|就)?\s*(?:是|为|选|は)?\s*[:,]?\s*(?:选项|选择)?\s*({_LIST})"
    ),
]
_LEADING = re.compile(
    r"(?:\((?P<bracket>[A-Za-z])\)|\[(?P<square>[A-Za-z])\]|(?P<marked>[A-Za-z])\s?[.。):,、\]](?=\s|\D)|(?P<line>[A-Za-z])(?=\n)"
    r"|(?P<word>[B-HJ-Z])(?=\s)|(?P<article>[AI])(?=\s(?:is|because|since|as|was|seems)\b))\s*(?P<rest>.*)",
    re.DOTALL,
)
_CALLED = re.compile(r"[^\w]*([A-Za-z])\s?(?:选项|项)\W*")  # "B选项": option B
# "A, B and C." as the whole statement, or two letters with a word between them whatever follows.
_JOINED_IN_FRONT = re.compile(
    rf"{_LIST}(?=\s*(?:$|[.\n]))|[(\[]?{_LETTER}[)\]]?\s*(?:and|or|&|/|和|或|与)\s*[(\[]?[A-Z](?![A-Za-z0-9])",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?<![A-Za-z0-9])([A-Za-z])(?![A-Za-z0-9])")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_CAPITAL = re.compile(r"(?<![A-Za-z0-9])([B-HJ-Z])(?![A-Za-z0-9+#'-])")
_REFUSAL = re.compile(
    r"\b(?:sorry|i cannot|i can't|i can not|unable to|not able to|"
    r"cannot (?:be )?(?:determine|answer|see|tell)|can't (?:determine|tell)|"
    r"don't know|do not know|not possible to|no image|without (?:the|an) image|as an ai)|"
    r"无法|抱歉|对不起|不知道|不确定|不清楚|不能确定",
    re.IGNORECASE,
)


def robust(text: str, choices: Mapping[str, Any] | Sequence[Any] | None = None, **_context: Any) -> Extraction:
    """The option a reply chooses.

    Args:
        text: the reply.
        choices: options as letter -> text or as a list (letters from A on); without them, letters A to H.

    Returns:
        The option's letter and the rule that fired, or None and the reason: ``empty``, ``several_answers``,
        ``contradiction``, ``not_an_option``, ``several_options``, ``ambiguous_text``, ``negated_only``, ``refusal`` or
        ``no_answer``.
    """
    options = option_map(choices)
    reply = simplified(clean_reply(text))
    if not reply:
        return None, "empty"
    letters = {letter.upper(): letter for letter in options if len(letter) == 1}
    found = _whole_reply(reply, letters, options) or _boxed(text, letters) or _statements(reply, letters, options)
    if found:
        return found
    if sorted(map(fold, options.values())) == ["no", "yes"]:
        return _polar(reply, options)
    if _names_another_letter(reply, letters):
        return None, "not_an_option"
    found = match_option_text(reply, options)
    if found[0] is not None:
        named = {m[1] for m in _CAPITAL.finditer(reply)} & set(letters)
        return (None, "several_answers") if named - {found[0].upper()} else found
    if _REFUSAL.search(reply):
        return None, "refusal"
    if found[1] == "no_answer" and _NEGATED.search(reply):
        return None, "negated_only"
    return found


def _whole_reply(reply: str, letters: dict[str, str], options: dict[str, str]) -> Extraction | None:
    """A reply that is one letter in any punctuation, word for word one option, or a letter and its text."""
    bare = [c for c in reply if c.isalnum()]
    if len(bare) == 1 and bare[0].upper() in letters and bare[0].isascii() and len(reply) <= 12:
        return letters[bare[0].upper()], "letter"
    called = _CALLED.fullmatch(reply)
    if called and called[1].upper() in letters:
        return letters[called[1].upper()], "letter"
    texts, folded = {letter: fold(text) for letter, text in options.items()}, fold(reply)
    same = [letter for letter, text in texts.items() if text and text == folded]
    if same:
        return (same[0], "option_text") if len(same) == 1 else (None, "ambiguous_text")
    match = _LEADING.match(reply)
    if (
        match
        and (letter := letters.get(_first_group(match).upper()))
        and texts[letter]
        and fold(match["rest"]) == texts[letter]
    ):
        return letter, "letter_and_text"
    return None


def _first_group(match: re.Match[str]) -> str:
    """The letter that a reply begins with, whichever form it has."""
    return next(value for name, value in match.groupdict().items() if name != "rest" and value)


def _boxed(text: str, letters: dict[str, str]) -> Extraction | None:
    """Letters in ``\\boxed{}`` or ``<answer>`` marks, which replies use for nothing but their final answer."""
    found = {(m[1] or m[2]).upper() for m in _BOXED.finditer(text)} & set(letters)
    if not found:
        return None
    return (letters[found.pop()], "final_answer") if len(found) == 1 else (None, "several_answers")


def _statements(reply: str, letters: dict[str, str], options: dict[str, str]) -> Extraction | None:
    """What the reply states in words or by its form; None where it states nothing."""
    positive = _NEGATED.sub(" ", reply)
    final = _stated_letters([_FINAL], positive, letters)
    if len(final) == 1:
        return letters[final.pop()], "final_answer"
    stated = _stated_letters(_STATED, positive, letters) | final
    rule = "stated"
    form, form_rule = _by_form(positive, letters, options)
    if form_rule == "contradiction":
        return None, "contradiction"
    if form and not stated:
        rule = form_rule
    stated |= form
    if not stated:
        return None
    return (letters[stated.pop()], rule) if len(stated) == 1 else (None, "several_answers")


def _stated_letters(patterns: list[re.Pattern[str]], reply: str, letters: dict[str, str]) -> set[str]:
    """Every option letter that one of the patterns captures in the reply (a capture may be a list, "A and C")."""
    captured = [match[1] for pattern in patterns for match in pattern.finditer(reply)]
    return {label[1].upper() for part in captured for label in _LABEL.finditer(part)} & set(letters)


def _by_form(reply: str, letters: dict[str, str], options: dict[str, str]) -> tuple[set[str], str]:
    """Letters that the form of the reply marks as its answer: in front, on the last line, or in brackets."""
    leading = _leading_letters(reply, letters, options)
    if leading[0] or leading[1] == "contradiction":
        return leading
    last_line = _LABEL.sub(r"\1", reply.rsplit("\n", 1)[-1]).strip(" ().[]:;!,")
    if "\n" in reply and last_line.upper() in letters:
        return {last_line.upper()}, "last_line"
    bracketed = {m[1] for m in _BRACKETED.finditer(reply)} & set(letters)
    if bracketed:
        return bracketed, "bracketed_letter"
    return set(), ""


def _leading_letters(reply: str, letters: dict[str, str], options: dict[str, str]) -> tuple[set[str], str]:
    """The letter (or joined letters) a reply begins with, checked against an option text right behind it."""
    joined = _JOINED_IN_FRONT.match(reply)
    if joined and len(several := {label[1].upper() for label in _LABEL.finditer(joined[0])} & set(letters)) > 1:
        return several, "leading_letter"
    match = _LEADING.match(reply)
    if match is None or _first_group(match).upper() not in letters:
        return set(), ""
    letter, rest = _first_group(match).upper(), match["rest"]
    said = fold(rest)
    if said and any(fold(text) == said for name, text in options.items() if name != letters[letter]):
        return set(), "contradiction"
    return {letter}, "leading_letter"


def _names_another_letter(reply: str, letters: dict[str, str]) -> bool:
    """The reply is, or begins with, a marked letter that no option has ("E", "E. because" where A to D are offered)."""
    match = _LEADING.match(reply)
    if match and (match["bracket"] or match["square"] or match["marked"]):
        return _first_group(match).upper() not in letters
    return len(reply) == 1 and reply.isascii() and reply.isalpha()


def _polar(reply: str, options: dict[str, str]) -> Extraction:
    """Options that are "yes" and "no" are read as a yes/no reply is."""
    value, rule = yes_no(reply)
    return next((letter for letter, text in options.items() if fold(text) == value), None), rule
