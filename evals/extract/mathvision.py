r"""How MATH-Vision's evaluator reads an answer (mathllm/MATH-V evaluation/evaluate.py and utils.py, commit 1d36118).

It takes a final letter, a number behind "is", what follows "the answer is" or what is in ``\boxed{}``, and strips it of
LaTeX spacing, degree signs and a few units.
"""

from __future__ import annotations

import re
from typing import Any

_LETTERS = "ABCDE"
_FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_BOXED = re.compile(r"oxed{(.*)}", re.DOTALL)
# In the original's order: each may uncover the next.
_REMOVED = (
    "\n", "\\text", "\\mbox", "\\left", "\\right", "^{\\circ}", "^\\circ", "{m}^3", "m^3", "{units}",
    "units", "{km}", "km", "\\!", "\\$", "$", "\\%",
)  # fmt: skip
_BARE_FRACTION = re.compile(r"(-?\d+)/(-?\d+)")


def mathvision(text: str, **_context: Any) -> tuple[str | None, str]:
    """The answer as the official script normalises it: lower case, without blanks; None for an empty reply.

    Every other reply has an answer here, right or not: where nothing marks it, the whole reply is taken (``reply``).
    """
    answer, rule = _marked(text.strip())
    answer = _clean(answer)
    for letter in _LETTERS.lower():
        answer = answer.replace(f"({letter})", letter).replace(f"{{{letter}}}", letter)
    answer = answer.rstrip(".").lstrip(":").strip()
    return (answer, rule) if answer else (None, "empty")


def _marked(reply: str) -> tuple[str, str]:
    """The part of the reply that it marks as its answer."""
    rule = "reply"
    for letter in _LETTERS:
        ends = (f" {letter}.", f" ({letter}).")
        if reply.endswith(ends) or reply.startswith((f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")):
            reply, rule = letter, "letter"
    tail = reply.rsplit("is ", 1)[-1].rstrip(".")
    if _is_float(tail):
        reply, rule = tail, "number" if tail != reply else rule
    if "oxed{" in reply:
        return (r"\boxed{" + reply.rsplit("oxed{", 1)[1] if reply.count("oxed{") > 1 else reply), "boxed"
    for flag in _FLAGS:
        for form in (flag, flag.replace("the", "The")):
            if form in reply:
                reply, rule = reply.rsplit(form, 1)[1].strip().split("\n")[0].split(". ")[0], "answer_is"
    return reply, rule


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _clean(answer: str) -> str:
    """Lower case, the content of the box, what follows the last "=" or approximation sign, without decoration."""
    answer = answer.lower().replace("{}", "")
    boxed = _BOXED.findall(answer)
    answer = boxed[-1] if boxed else answer
    closing, opening = answer.find("}"), answer.find("{")
    if closing != -1 and (opening == -1 or closing < opening):
        answer = answer[:closing]
    answer = answer.rsplit("=", 1)[-1].rsplit("\\approx", 1)[-1].replace("∞", "\\infty").replace("+\\infty", "\\infty")
    answer = answer.replace(" ", "").replace("\\,", "").replace("\\\\", "\\")
    for unwanted in _REMOVED:
        answer = answer.replace(unwanted, "")
    answer = answer.replace("bmatrix", "pmatrix").replace("tfrac", "frac").replace("dfrac", "frac")
    answer = answer.replace("{.", "{0.")
    if answer.startswith("."):
        answer = "0" + answer
    answer = re.sub(r"\\sqrt([^{])", r"\\sqrt{\1}", answer)
    if answer == "0.5":
        return r"\frac{1}{2}"
    fraction = _BARE_FRACTION.fullmatch(answer)
    return rf"\frac{{{int(fraction[1])}}}{{{int(fraction[2])}}}" if fraction else answer
