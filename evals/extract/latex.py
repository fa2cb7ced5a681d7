r"""The value of a short LaTeX or plain arithmetic expression, without any evaluation of code.

Grammar (implicit products as in ``2\sqrt{3}\pi``, ratios as quotients as in ``3:16``)::

    sum     = product (("+" | "-") product)*
    product = power (("*" | "/" | ":" | "\cdot" | "\times" | "\div")? power)*
    power   = ("+" | "-")* atom ("^" power)?
    atom    = number | "\pi" | "\frac" group group | "\sqrt" ("[" sum "]")? group | function power | "(" sum ")" |
    "{" sum "}"

Anything else (a unit, a degree or percent sign, a variable, a word) makes the text no number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

#: Longest expression that is read; longer replies are prose.
MAX_CHARS = 400
_MAX_DEPTH = 40
_MAX_EXACT_BITS = 1 << 16  # largest power that is computed exactly, as in 3^1008 / 3^1009

Number = Fraction | float

_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|\\[a-z]+|[-+*/:^(){}\[\]])")
_IGNORED = re.compile(r"\\left|\\right|\\displaystyle|\\[,!;: ]|[$~]")
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "\\sin": math.sin,
    "\\cos": math.cos,
    "\\tan": math.tan,
    "\\ln": math.log,
    "\\log": math.log,
    "\\arctan": math.atan,
}
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_TIMES = ("*", "\\cdot", "\\times")
_OVER = ("/", ":", "\\div")


class _NotANumberError(Exception):
    """The text is no arithmetic expression."""


def latex_value(text: str) -> float | None:
    """The finite value of an expression, or None where the text is none."""
    text = _IGNORED.sub(" ", text.strip()) if len(text) <= MAX_CHARS else ""
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(match[1])
        at = match.end()
    parser = _Parser(tokens)
    try:
        value = float(parser.sum(0))
    except (_NotANumberError, ArithmeticError, ValueError):
        return None
    return value if parser.at == len(tokens) and math.isfinite(value) else None


class _Parser:
    """Recursive descent over tokens; ``at`` is the next one."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self, depth: int) -> Number:
        if depth > _MAX_DEPTH:
            raise _NotANumberError
        value = self.product(depth + 1)
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            value += sign * self.product(depth + 1)
        return value

    def product(self, depth: int) -> Number:
        value = self.power(depth)
        while token := self.peek():
            if token in _TIMES:
                self.take()
                value *= self.power(depth)
            elif token in _OVER:
                self.take()
                value /= self.power(depth)
            elif token in ("+", "-", "^", ")", "}", "]"):
                break
            else:
                value *= self.power(depth)
        return value

    def power(self, depth: int) -> Number:
        if depth > _MAX_DEPTH:
            raise _NotANumberError
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        value = self.atom(depth + 1)
        if self.peek() == "^":
            self.take()
            value = _power(value, self.power(depth + 1))
        return sign * value

    def atom(self, depth: int) -> Number:
        symbol = self.take()
        if symbol[:1].isdigit() or symbol[:1] == ".":
            return Fraction(symbol)
        if symbol == "\\pi":
            return math.pi
        if symbol in ("(", "{"):
            return self.closed(symbol, depth)
        if symbol == "\\frac":
            return self.argument(depth) / self.argument(depth)
        if symbol == "\\sqrt":
            root = self.closed(self.take(), depth) if self.peek() == "[" else 2
            return math.pow(self.argument(depth), 1 / root)
        if symbol in _FUNCTIONS:
            return _FUNCTIONS[symbol](float(self.power(depth + 1)))
        raise _NotANumberError

    def closed(self, opening: str, depth: int) -> Number:
        value = self.sum(depth + 1)
        if self.take() != _CLOSING[opening]:
            raise _NotANumberError
        return value

    def argument(self, depth: int) -> Number:
        r"""A group in braces, or LaTeX's bare single digit, as in ``\frac12``."""
        if self.peek() == "{":
            return self.closed(self.take(), depth)
        token = self.peek()
        if len(token) > 1 and token.isdigit():
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self.atom(depth + 1)


def _power(base: Number, exponent: Number) -> Number:
    """Exact for rationals and whole exponents of bearable size, else a float."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent.numerator)
        if size <= _MAX_EXACT_BITS:
            return base**exponent.numerator
    return math.pow(base, exponent)
