"""What a text states: numbers, quotations, names, phrases, lists and labelled values, each to be taken once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from omnilabs._sandbox._text import clip, is_question, words

__all__ = ["Facts", "name_parts"]

_MAX_CHARS = 20_000
_QUERY_CHARS = 200
_ARITHMETIC_CHARS = 1_000

_NUMBER = re.compile(r"(?<![\w.])-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15})(?:\.[0-9]{1,12})?(?![0-9])")
_SMALL_NUMBERS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_SMALL_NUMBERS)})\b", re.IGNORECASE)
_QUOTED = re.compile(
    r"\"([^\"\n]+)\"|“([^”\n]+)”|„([^“\n]+)“|«([^»\n]+)»|「([^」\n]+)」|`([^`\n]+)`|(?<!\w)['‘]([^'’\n]+)['’](?!\w)"
)
_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀ-ŽА-ЯЁΑ-Ω][\w'’-]*"
_NAME = re.compile(rf"\b{_CAPITAL}(?:[ ](?:(?:of|de|la|van|von|del)[ ])?{_CAPITAL})*(?:,[ ][A-Z]{{2}}\b)?")
# "John is", "Ada wrote" and "Bob," begin with a name; "Weather in" and "Prices of" do not.
_AFTER_NAME = re.compile(r"(?:,|'s| (?:and|is|was|has|had|will|can|wrote|\w+(?:ed|s))\b|\W*$)")
_PREPOSITION = (
    r"(?:in|for|of|about|at|to|from|on|near|named|called|für|über|nach|von|de|en|sobre|para|sur|pour|à|в|о|для)"
)
_PHRASE = re.compile(
    rf"\b{_PREPOSITION}\s+(?:(?:the|a|an|my|our|der|die|das|la|le|el)\s+)?"
    rf"((?:(?!\b(?:{_PREPOSITION}|and|with|then|please|now|today|tomorrow)\b)[^,.;:?!\n]){{1,60}})",
    re.IGNORECASE,
)
_LIST = re.compile(r"(?:[:：]|\b(?:items|list of))\s+([^.:;?!\n]*,[^.:;?!\n]*)", re.IGNORECASE)
_LIST_COMMA = re.compile(r"\s*(?:,\s*(?:and|or)\s|,|\band\b|\bor\b)\s*")
_TOPIC = re.compile(r"\b(?:for|about|on|regarding|saying|that says)\s+(.+)", re.IGNORECASE)
_ARITHMETIC = re.compile(r"[(\d][\d\s.()]*(?:[-+*/×÷^%][\d\s.()]*)+[\d)]")
_LABELLED_TEXT = r"\"[^\"\n]+\"|'[^'\n]+'|(?:(?!\band\b)[^,;.?!\n\"'{}\[\]]){1,80}"
_NEGATION = frozenset({"no", "not", "without", "don't", "isn't", "excluding"})
_SWITCHED_OFF = re.compile(r"[\w\s\"'`]*?[:=]\s*[\"']?(?:false|no|off)\b", re.IGNORECASE)
_FLAG_VERBS = frozenset({"is", "has", "include", "with", "use", "allow", "enable", "show", "add", "should"})
# Words that begin a sentence with a capital and name nothing.
_NOT_NAMES = frozenset(
    """i add answer ask book build calculate call check compare compute convert create define delete describe draft
    explain extract fetch fill find generate get hello hey hi list look lookup make multiply name open plan please read
    remind remove return run save schedule search send set show solve start subtract sum summarize summarise take thanks
    translate turn update use using what's who's where's how's whats write yes no""".split()
)


class _Number(NamedTuple):
    """A number, and where in the text it ends."""

    end: int
    value: float


class Facts:
    """What a text states. What is taken is gone, so that the next property gets the next value.

    Args:
        text: The text.
        said: The answer in prose, if there is one.
        ignored: Words (as `words` gives them) that are not names here, such as those of the tool's own name.
    """

    def __init__(self, text: str, *, said: str = "", ignored: frozenset[str] = frozenset()) -> None:
        self.text = text[:_MAX_CHARS]
        self.said = said
        self.quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(self.text)]
        self.names = list(_names(self.text, ignored.union(*map(words, self.quoted)) if self.quoted else ignored))
        self.phrases = [match[1].strip() for match in _PHRASE.finditer(self.text)]
        self.listed = [
            item for match in _LIST.finditer(self.text) for item in _LIST_COMMA.split(match[1].strip()) if item
        ]
        self._numbers = list(_numbers(self.text))
        self._used: set[str] = set()

    def take(self, values: Iterable[str], fits: Callable[[str], bool]) -> str | None:
        """Return and use up the first of `values` that fits and was not taken before."""
        for value in values:
            if value and value.casefold() not in self._used and fits(value):
                self._used.add(value.casefold())
                return value
        return None

    def take_number(
        self, name: str, about: Iterable[str], fits: Callable[[float], bool], *, any_: bool
    ) -> float | None:
        """Return and use up the number labelled `name`, else the next before a word of `about`, or any with `any_`."""
        labelled = self.labelled(name, _NUMBER.pattern)
        wanted = None if labelled is None else _number(labelled)
        topics = frozenset(about)
        for at, (end, value) in enumerate(self._numbers):
            is_meant = value == wanted if wanted is not None else any_ or self._next_word(end) in topics
            if is_meant and fits(value):
                del self._numbers[at]
                return value
        return None

    def _next_word(self, at: int) -> str:
        return next(iter(words(self.text[at : at + 40])), "")

    def labelled(self, name: str, value: str = _LABELLED_TEXT) -> str | None:
        """Return what the text gives as `name: value`, `name = value` or `name is value`."""
        label = _pattern(name_parts(name))
        if not label:
            return None
        found = re.search(rf"\b{label}\b[\"'`*]*\s*(?:[:=]|\b(?:is|are|was)\b)\s*({value})", self.text, re.IGNORECASE)
        return found[1].strip("\"'` ") if found else None

    def place(self, value: object) -> int | None:
        """Return where a word, phrase or number stands in the text, or None."""
        label = _pattern(name_parts(str(value)))
        found = re.search(rf"(?<!\w){label}(?!\w)", self.text, re.IGNORECASE) if label else None
        return found.start() if found else None

    def affirms(self, name: str) -> bool | None:
        """Return whether the text says yes or no to a flag such as `is_urgent`, None if it does not mention it."""
        at = self.place(name)
        if at is None:
            at = self.place(" ".join(part for part in name_parts(name) if part.lower() not in _FLAG_VERBS))
        if at is None:
            return None
        before = self.text[max(0, at - 16) : at].casefold().split()
        return not (_SWITCHED_OFF.match(self.text[at : at + 60]) or _NEGATION.intersection(before))

    def query(self, name: str) -> str:
        """Return the text as a search query: arithmetic for an expression, the topic of an order, or the question."""
        if "expression" in name.casefold() and (found := _ARITHMETIC.search(self.text[:_ARITHMETIC_CHARS])):
            return found[0].strip()
        line = clip(self.text, _QUERY_CHARS)
        topic = None if is_question(line) else _TOPIC.search(line)
        return (topic[1] if topic else line).rstrip(" .!")


def name_parts(name: str) -> list[str]:
    """Return the words of an identifier in any convention, or of a phrase."""
    return [part for part in re.split(r"(?<=[a-z0-9])(?=[A-Z])|[\s_-]+", name) if part]


def _pattern(parts: Sequence[str]) -> str:
    return r"[\s_-]*".join(map(re.escape, parts))


def _number(digits: str) -> float:
    plain = digits.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def _numbers(text: str) -> list[_Number]:
    """Return the numbers in order: those in digits, and small ones in English words."""
    digits = [_Number(match.end(), _number(match[0])) for match in _NUMBER.finditer(text)]
    spelled = [_Number(m.end(), _SMALL_NUMBERS.index(m[0].lower())) for m in _NUMBER_WORD.finditer(text)]
    return sorted(digits + spelled)


def _names(text: str, ignored: frozenset[str]) -> Iterator[str]:
    """Yield runs of capitalised words; those that may only be the beginning of a sentence come last."""
    doubtful: list[str] = []
    for match in _NAME.finditer(text):
        name = match[0]
        first, _, rest = name.partition(" ")
        if not words(first) or first.casefold() in _NOT_NAMES:
            name, first = rest, ""
        name = name.removesuffix("'s").removesuffix("’s")
        if not words(name) or ignored.issuperset(words(name)):
            continue
        begins = bool(first) and " " not in name and (text[: match.start()].rstrip() or ".")[-1:] in ".!?:\n"
        if not begins or _AFTER_NAME.match(text, match.end()):
            yield name
        elif not text.startswith(":", match.end()):  # "Topic: ..." labels what follows
            doubtful.append(name)
    yield from doubtful
