"""The kinds of token of Penn Treebank tokenisation, most particular first: what each looks like and becomes.

The rules were derived from the observable behaviour of the program that pycocoevalcap 1.2 runs (CoreNLP 3.4.1), by
probing it with words and characters in many contexts, and from the published Penn Treebank conventions; no part of its
source was used. How often it differs from that program on real captions is in docs/scoring.md; known are unusual
smileys and signs glued before ``www.``. The longest match wins, counting what must follow; of equally long ones the
first listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from evals.metrics.ptb_characters import DIGITS, LETTERS, SYMBOLS, WORD_MARKS, character_class, characters

BLANKS = " \t\u00a0\u2000-\u200a\u200b\u3000"

# All of these keep their period; found by probing all strings of up to four letters and a vocabulary of longer ones.
TITLES = """
    adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen
    gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt mtg natl pfc ph pres prof pvt rep
    reps rev sen sens sfc sgt spc st ste supt supts treas vs wm
"""
# These keep it even where a single letter follows at once ("etc.x" is "etc. x").
FINAL_ABBREVIATIONS = """
    al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext feb fla fri
    ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn plc ppte
    ppty pte ptes pty ptys rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
"""
CAPITALISED_ABBREVIATIONS = "ark az del ill la mass miss ore pa tex wash"  # only as "Ark." or "ARK."
NUMBERED_ABBREVIATIONS = "art ca fig figs no nos op pp prop"  # only before a number
# A capitalised one of these begins a sentence, so that "A." before it is no initial.
SENTENCE_BEGINNINGS = """
    a an as at he if in it so we but her now one our she the yet you here last many more once some such that then they
    this what when about according additionally after earlier however other since their there these while
"""
SPLIT_WORDS = (("can", "not"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("gim", "me"), ("wan", "na"))
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": " ", "&mdash;": "--"}

SINGLE_CHARACTERS = {character: character for character in characters(SYMBOLS)} | BRACKETS
SINGLE_CHARACTERS |= {character: character for character in "!?.,;:@_-/'`"}
SINGLE_CHARACTERS |= {"€": "$", "\x80": "$", "£": "#", "¢": "cents", "½": "1/2", "¼": "1/4", "¾": "3/4"}
SINGLE_CHARACTERS |= dict.fromkeys("–—\x96\x97", "--") | dict.fromkeys("…\x85", "...")
SINGLE_CHARACTERS |= dict.fromkeys("\xad", "-")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of token.

    Attributes:
        pattern: group 1 is the token; what matches behind it must follow and counts as length.
        begins: matches each character that the pattern can begin with.
        rewrite: what the matched text becomes.
    """

    pattern: re.Pattern[str]
    begins: re.Pattern[str]
    rewrite: Callable[[str], str]


def _same(text: str) -> str:
    return text


def _without_soft_hyphens(text: str) -> str:
    return text.replace("\xad", "") or "-"


def _with_brackets(text: str) -> str:
    text = text.replace(" ", "\xa0")
    return text.replace("(", "-lrb-").replace(")", "-rrb-")


def _straight_apostrophe(text: str) -> str:
    return re.sub("[’\x92]", "'", text)


def _entity(text: str) -> str:
    return ENTITIES.get(text.lower(), text)


def _any_of(words: str) -> str:
    return "|".join(sorted(words.split(), key=len, reverse=True))


_L = character_class(LETTERS, WORD_MARKS)
_D = character_class(DIGITS)
_WORD = f"[{_L}{_D}]*[{_L}][{_L}{_D}]*"
_ALNUM = f"[{_L}{_D}]+"
_APOSTROPHE = "['’\x92]"
_DOTTED = rf"[{_L}][{_L}{_D}]*(?:\.[{_L}][{_L}{_D}]*)+"
_PART = rf"(?:[A-Za-z](?:\.[A-Za-z])+\.|{_ALNUM})"
_REST = f"[{_L}{_D}]?"  # draws level with a word like "etc.x", and comes first
_NO_LETTER = "(?![A-Za-z])"
_NUMBER = f"(?:[{_D}]+(?:[.,:][{_D}]+)*|(?:[.,:][{_D}]+)+)"
_SPACES = f"[{BLANKS}]"
_NO_BEGINNING = (
    f"(?!{_SPACES}+(?:{'|'.join([w.title() for w in SENTENCE_BEGINNINGS.split()])}|M[rs]\\.)(?={_SPACES}|\\n))"
)
_URL_END = r"[^\s\"<>|(){}.!?,;:'`\-]"


def _kind(pattern: str, begins: str, rewrite: Callable[[str], str] = _same, *, follows: str = "") -> Kind:
    return Kind(re.compile(f"({pattern}){follows}"), re.compile(f"[{begins}]"), rewrite)


def _words() -> list[Kind]:
    """Words, with what is split off them and what joins them."""
    splits = [
        _kind(f"(?i:{first})", f"{first[0]}{first[0].upper()}", follows=f"(?i:{rest})") for first, rest in SPLIT_WORDS
    ]
    return [
        *splits,
        _kind("[A-Za-z]*[A-MO-Za-mo-z]", "A-Za-z", follows=r"[nN]['’`\x92][tT]"),
        _kind(r"[nN]['’\x92`][tT]", "nN", _straight_apostrophe),
        _kind(f"(?i:ma{_APOSTROPHE}am|c'mon|s'mores|ev'ry|nat'l|e'er)", "mMcCsSeEnN"),
        _kind(f"[dlnoDLNO]{_APOSTROPHE}[A-Za-z]{{2}}[{_L}{_D}]*", "dlnoDLNO"),
        _kind(f"[{_L}]*[aeiouAEIOU]{_APOSTROPHE}[aeiouAEIOU][{_L}]*", _L),
        _kind(f"(?i:[dlj]|ol){_APOSTROPHE}", "dljoDLJO"),
        _kind(f"[yY]{_APOSTROPHE}", "yY", follows=f"(?=[{_L}])"),
        _kind(_ALNUM, f"{_L}{_D}", _without_soft_hyphens),
        _kind(rf"{_ALNUM}(?:[-_‐‑]{_ALNUM})+", f"{_L}{_D}"),
        _kind(rf"{_PART}(?:-{_PART})+", f"{_L}{_D}"),
        _kind(rf"[{_L}{_D}]+(?:[-.]{_ALNUM})*-{_ALNUM}", _L),
        _kind(rf"{_DOTTED}\.|{_ALNUM}(?:-{_ALNUM})*\.", f"{_L}{_D}", follows="(?=[,;:])"),
        _kind("[A-Za-z0-9]+(?:-[A-Za-z]+)?(?:/[A-Za-z0-9]+(?:-[A-Za-z]+)?){1,2}", "A-Za-z0-9"),
        _kind(_DOTTED, _L),
        _kind(rf"[{_L}{_D}]+\\/[{_L}{_D}]+", f"{_L}{_D}"),
        _kind("[A-Z]+(?:[&+][A-Z]+)+", "A-Z"),
        _kind(r"[cC]\+\+|[cCfF]#", "cCfF"),
        _kind("(?i:w/o|c/o|w/)", "cCwW") if False else _kind("(?i:w/o)", "wW"),
    ]


def _apostrophes() -> list[Kind]:
    return [
        _kind(f"'(?i:[smd]|ll|re|ve){_NO_LETTER}", "'"),
        _kind("[’\x92](?i:[smd]|ll|re|ve)", "’\x92", _straight_apostrophe),
        _kind(f"{_APOSTROPHE}(?i:em|til|cause)|{_APOSTROPHE}[nN](?:{_APOSTROPHE}|{_NO_LETTER})", "'’\x92"),
        _kind("'[tT]", "'", follows="(?i:is|was)"),
        _kind(rf"{_APOSTROPHE}[{_D}]{{2}}(?:[sS]|(?={_SPACES}|\n))", "'’\x92"),
    ]


def _abbreviations() -> list[Kind]:
    capitalised = _any_of(" ".join([f"{w.title()} {w.upper()}" for w in CAPITALISED_ABBREVIATIONS.split()]))
    return [
        _kind(rf"(?i:{_any_of(TITLES)})\.", "A-Za-z"),
        _kind(rf"(?:(?i:{_any_of(FINAL_ABBREVIATIONS)})|{capitalised})\.", "A-Za-z", follows=_REST),
        _kind(rf"(?i:{_any_of(NUMBERED_ABBREVIATIONS)})\.", "A-Za-z", follows=rf"(?={_SPACES}*[{_D}])"),
        _kind(r"[A-Za-z](?:\.[A-Za-z])+\.", "A-Za-z"),
        _kind(r"(?i:ph|ed)\.[dD]\.", "A-Za-z", follows=_REST),
        _kind(rf"[A-Za-z]\.{_NO_BEGINNING}", "A-Za-z"),
    ]


def _numbers() -> list[Kind]:
    return [
        _kind(rf"[-+]?{_NUMBER}", f"{_D}.,:+\\-"),
        _kind(rf"[{_D}]{{1,4}}[- \xa0][{_D}]{{1,4}}/[{_D}]{{1,4}}", _D, _with_brackets),
        _kind(rf"\([{_D}]{{3}}\)[ \xa0]?[{_D}]{{3}}[- \xa0.][{_D}]{{4}}", "(", _with_brackets),
        _kind(r"[A-Z]+\$", "A-Z"),
    ]


def _addresses() -> list[Kind]:
    return [
        _kind(rf"(?i:https?://)[^\s\"<>|(){{}}]+\.[^\s\"<>|(){{}}]*{_URL_END}", "hH"),
        _kind(rf"(?i:(?:[a-z0-9]{{2,}}\.)+(?:com|net|org|edu))/[^\s\"<>|(){{}}]*{_URL_END}", "A-Za-z0-9"),
        _kind(r"<?[A-Za-z0-9][^\s\"<>|()]*@(?:[^\s\"<>|().]+\.)*[^\s\"<>|().]+>?", "<A-Za-z0-9"),
        _kind("@[A-Za-z_][A-Za-z0-9_]*", "@"),
        _kind(f"#[{_L}]+", "#"),
        _kind(
            r"</?[A-Za-z][A-Za-z0-9_:.\-]*(?:[ \t]+[A-Za-z_:\-]+=(?:\"[^\"<>]*\"|'[^'<>]*'))*[ \t]*/?>|<[!?][^<> ]+>",
            "<",
        ),
        _kind(f"(?i:{'|'.join(ENTITIES)})|&[aeiouAEIOU](?:acute|grave|uml|circ);|&[nN]tilde;|&#[0-9]+;", "&", _entity),
    ]


def _marks() -> list[Kind]:
    faces = r"[:;=][-o']?[()\[\]DPpO|{@](?![A-Za-z0-9])|[<>]:-?[()D]|[:;]'[()]|[:;=]\\"
    kaomoji = r"\^_\^|-_-|\((?:\^_\^|-_-)\)|[<>]_[<>]|=_=|~_~|'_'|[oO0]\.[oO0](?![A-Za-z0-9])"
    return [
        _kind(faces, ":;=<>", _with_brackets),
        _kind(kaomoji, "\\^\\-(<>=~'oO0", _with_brackets),
        _kind(r"\.{3,}|\. \. \.", ".", lambda text: "..."),
        _kind("[!?]{2,}", "!?"),
        _kind("-{2,4}", "\\-", lambda text: "--"),
        _kind("-{5,}|_{2,}|#{2,}|@{2,}|\\*{2,}", "_#@*\\-"),
        _kind("<<|>>", "<>"),
        _kind(r"\\\*", "\\\\"),
        _kind("''|[`‘’“”‹›«»„\x91-\x94\x8b\x9b]{1,2}", "'`‘’“”‹›«»„\x91-\x94\x8b\x9b", _quotes),
        _kind("[⁰²³¹⁴-⁹₀-₉]+", "⁰²³¹⁴-⁹₀-₉"),
    ]


_QUOTES = dict.fromkeys("‘‹\x91\x8b", "`") | dict.fromkeys("’›\x92\x9b", "'")
_QUOTES |= dict.fromkeys("“«\x93", "``") | dict.fromkeys("”»\x94", "''")


def _quotes(text: str) -> str:
    return "".join([_QUOTES.get(character, character) for character in text])


KINDS = (*_abbreviations(), *_words(), *_apostrophes(), *_numbers(), *_addresses(), *_marks())
SINGLE_CHARACTERS |= _QUOTES | {'"': "''"}
