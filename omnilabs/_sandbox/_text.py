"""Reading a prompt without a model: its words, its sentences, its question, and the sentences that answer it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple

from omnilabs._frozen import frozen

__all__ = ["Prompt", "Sentence", "best_sentences", "clip", "is_question", "read_prompt", "sentences", "words"]

_MAX_CHARS = 400_000
_SENTENCE_CHARS = 400
_SENTENCES = 3
_STEM_CHARS = 6
# Below these shares of the question's weight a sentence does not answer it, or adds nothing to the answer.
_RELEVANT_SHARE = 0.34
_NEW_SHARE = 0.2
# A short sentence is the better answer, but length must not outweigh a second matching word.
_LENGTH_OFFSET = 20

# Scripts written without spaces: Thai, Lao, Khmer, kana, Han, Hangul. Two neighbouring characters stand for a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_WORD = re.compile(r"\w+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
_STOPWORDS = frozenset(
    """a about above all also am an and any are as at be been but by can could did do does for from give had has have
    he her hers him his how i if in into is it its let like many may me more most much my no not of on one or our out
    over please she should so some tell than that the their them then there these they this those to under up us was we
    were what when where which while who whom whose why will with would you your s t re ll ve d
    der die das den dem des ein eine einer eines und oder ist sind war wie was wer wo wann warum welche welcher mit von
    zu im am auf für nicht es ich du sie wir
    le la les un une des du de et ou est sont que qui quoi quel quelle dans pour par sur avec je tu il elle nous vous
    el los las una y o es son en por para con qué cuál cómo dónde cuándo quién se lo del al
    il lo gli uno di che chi come dove quando per nel nella sono
    и в во не на что как это кто где когда с по из у к о а но""".split()
)

_LABEL = r"(?:question|query|frage|pregunta|domanda|вопрос|问题|質問)"
_QUESTION_LINE = re.compile(
    rf"^[ \t>*#-]*(?:[\w-]+[ \t]+){{0,2}}{_LABEL}(?:[ \t]+(?:input|is|as|follows)){{0,3}}[ \t]*[:：][ \t*]*(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_EMPTY_LABEL = re.compile(r"[\w' *-]{1,30}[:：]\**")
_TAG = re.compile(r"<(context|documents?|passages?|sources?)\b[^<>]*>", re.IGNORECASE)
_REGIONS = (
    re.compile(r"^-{5,}[ \t]*\n(?P<context>.*)\n-{5,}[ \t]*$", re.DOTALL | re.MULTILINE),
    re.compile(
        r"^[^\n:]{0,160}\b(?:context|documents?|passages?|excerpts?|kontext|contexte|contexto|контекст|上下文)"
        r"\b[^\n:：]{0,40}[:：]\s*(?P<context>.*)",
        re.IGNORECASE | re.DOTALL | re.MULTILINE,
    ),
)
_INSTRUCTION = re.compile(
    r"(?:you are|you're|your (?:task|job|role|answer)|answer (?:the|all|only|in|with|as|from)"
    r"|use the (?:following|context|provided|given)|given the|based on|if you (?:don't|do not|cannot)|do not|don't"
    r"|please|always|never|keep|avoid|respond|reply|think step|context information|some rules|when in doubt)\b",
    re.IGNORECASE,
)
_SANDBOX_LINE = re.compile(r"^.*\[sandbox\].*$", re.MULTILINE)
_METADATA_LINE = re.compile(r"[\w-]+: \S+")
_RULE = re.compile(r"[-=*_~`]{3,}\w*|\|?[\s:|-]+\|?")
_NO_SENTENCE = (_RULE, _METADATA_LINE, _EMPTY_LABEL)
_LIST_MARK = re.compile(r"(?:[-*+•]|\d{1,3}[.)])\s+")
_SENTENCE_END = re.compile(
    r"(?:(?<=[.!?…])(?<!\bDr\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bNo\.)(?<!\bvs\.)(?<!\be\.g\.)(?<!\bi\.e\.)"
    r"|(?<=[.!?…][\"'”’)\]]))\s+(?=[^a-z\s])|(?<=[。！？।])\s*"
)
_QUESTION_MARKS = ("?", "？", "؟")


class Sentence(NamedTuple):
    """A sentence, and the heading it stands under."""

    text: str
    heading: str


@frozen
class Prompt:
    """A prompt taken apart.

    Attributes:
        question: What is asked.
        context: The sentences it may be answered from, each with its heading.
        passage: The sentences of the user's own message among them.
        is_given: Whether the prompt marks its context as such, so that "not in the context" is an answer.
    """

    question: str
    context: tuple[Sentence, ...]
    passage: tuple[Sentence, ...]
    is_given: bool

    def answer(self) -> str:
        """Return the one to three sentences of the context that answer best, or "".

        An order about a passage, such as to sum it up, shares no word with it and gets its first two sentences.
        """
        found = best_sentences(self.question, self.context, at_least=0.0 if self.is_given else _RELEVANT_SHARE)
        if not found and not is_question(self.question) and len(self.passage) > 2:
            found = [unit.text for unit in self.passage[:2]]
        return " ".join(found)


def words(text: str) -> list[str]:
    """Return the words that carry meaning, folded and cut to their first six letters, in order.

    The cut is a stemmer for any language that inflects at the end; it parts identifiers at `_` and capitals too.
    """
    folded = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text)).casefold()
    found: list[str] = []
    for word in _WORD.findall(folded):
        if _UNSPACED.search(word):
            found += _unspaced_words(word)
        elif word not in _STOPWORDS:
            found.append(_stem(word))
    return found


def _unspaced_words(word: str) -> Iterable[str]:
    for run in _UNSPACED.findall(word):
        yield from (run[at : at + 2] for at in range(max(1, len(run) - 1)))
    yield from (_stem(rest) for rest in _UNSPACED.split(word) if rest and rest not in _STOPWORDS)


def _stem(word: str) -> str:
    singular = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    return singular[:_STEM_CHARS]


def clip(text: str, chars: int) -> str:
    """Return `text` on one line, cut to at most `chars` characters."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: chars - 1].rstrip()}…"


def is_question(text: str) -> bool:
    """Whether the text ends by asking."""
    return text.rstrip().endswith(_QUESTION_MARKS)


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of prose or Markdown, in order; headings, rules and metadata lines are not sentences."""
    units: list[Sentence] = []
    paragraph: list[str] = []
    heading = ""

    def end_paragraph() -> None:
        joined = " ".join(paragraph)
        paragraph.clear()
        for part in _SENTENCE_END.split(joined):
            if part.strip():
                units.append(Sentence(clip(part, _SENTENCE_CHARS), heading))

    for line in (raw.strip() for raw in text[:_MAX_CHARS].splitlines()):
        if line.startswith("#"):
            end_paragraph()
            heading = line.lstrip("# ")
        elif not line or any(pattern.fullmatch(line) for pattern in _NO_SENTENCE):
            end_paragraph()
        else:
            mark = _LIST_MARK.match(line)
            is_row = line.startswith("|")
            if mark or is_row:
                end_paragraph()
            cells = "; ".join(cell.strip() for cell in line.split("|") if cell.strip())
            paragraph.append(cells if is_row else line[mark.end() :] if mark else line)
    end_paragraph()
    return units


def best_sentences(question: str, units: Sequence[Sentence], *, at_least: float = 0.0) -> list[str]:
    """Return the one to three sentences that together share most with the question, in their own order.

    A word weighs the more the fewer sentences have it (inverse document frequency); a heading's words count half for
    the sentences under it. Sentence after sentence is taken for what it adds, until nothing much is added.

    Args:
        question: What is asked.
        units: The sentences to choose from.
        at_least: The share of the question's weight that the best sentence must have, else nothing is returned.
    """
    asked = frozenset(words(question))
    terms = [frozenset(words(unit.text)) for unit in units]
    if not asked or not terms:
        return []
    headings = {unit.heading: frozenset(words(unit.heading)) for unit in units}
    seen = Counter(term for own in terms for term in own & asked)
    weights = {term: log(1 + len(terms) / (seen[term] + 0.5)) for term in sorted(asked)}
    total = sum(weights.values())
    open_terms = set(asked)
    chosen: list[int] = []
    while len(chosen) < _SENTENCES:
        share, at = _best(units, terms, headings, weights, open_terms, chosen)
        needed = max(at_least, 1e-9) if not chosen else _NEW_SHARE
        if share < needed * total:
            break
        chosen.append(at)
        open_terms -= terms[at] | headings[units[at].heading]
    return [units[at].text for at in sorted(chosen)]


def _best(
    units: Sequence[Sentence],
    terms: Sequence[frozenset[str]],
    headings: Mapping[str, frozenset[str]],
    weights: Mapping[str, float],
    open_terms: set[str],
    chosen: Sequence[int],
) -> tuple[float, int]:
    """Return the weight and index of the sentence that adds most, length considered; the first of equals."""
    taken = {units[at].text for at in chosen}
    best_rank, best = 0.0, (0.0, 0)
    for at, (unit, own) in enumerate(zip(units, terms, strict=True)):
        shared = own & open_terms
        above = (headings[unit.heading] - own) & open_terms
        if not shared and not above:
            continue
        share = sum(weights[term] for term in sorted(shared)) + sum(weights[term] for term in sorted(above)) / 2
        rank = share / (_LENGTH_OFFSET + len(own)) / (2 if is_question(unit.text) else 1)
        if rank > best_rank and unit.text not in taken:
            best_rank, best = rank, (share, at)
    return best


def read_prompt(system: str, earlier: Iterable[str], user: str) -> Prompt:
    """Take a conversation apart into a question and the sentences that may answer it.

    Knows the prompts LangChain and LlamaIndex build for retrieval (a `Context:` label, dashed lines, XML-like tags, a
    `Query:` or `Question:` line) and otherwise takes the last question, and all else that is not an instruction.

    Args:
        system: Text of the system messages.
        earlier: Texts of earlier user messages: what they told may be asked for later.
        user: Text of the last user message.
    """
    system, user = (_SANDBOX_LINE.sub("", text[:_MAX_CHARS]) for text in (system, user))
    question, rest = _take_question(user)
    given, own = _region(system), _region(rest)
    is_given = bool(given or own)
    before = [given] if is_given else [system, *earlier]
    context = [unit for text in before for unit in _told(text, question, is_given)]
    passage = _told(own if is_given else rest, question, is_given)
    return Prompt(question, (*context, *passage), tuple(passage), is_given)


def _told(text: str, question: str, is_given: bool) -> list[Sentence]:
    """Return the sentences that tell something: neither the question again nor, outside a marked context, an order."""
    asked = words(question)
    told = (unit for unit in sentences(text) if words(unit.text) != asked)
    return [unit for unit in told if is_given or not _INSTRUCTION.match(unit.text)]


def _region(text: str) -> str:
    """Return what the text marks as context, or ""."""
    tag = _TAG.search(text)
    end = text.lower().rfind(f"</{tag[1].lower()}>") if tag else -1
    if tag and end > tag.end():
        return text[tag.end() : end]
    found = next((match for pattern in _REGIONS if (match := pattern.search(text))), None)
    return found["context"] if found else ""


def _take_question(text: str) -> tuple[str, str]:
    """Return the question and the rest of the text."""
    lines = list(_QUESTION_LINE.finditer(text))
    if lines:
        last = lines[-1]
        before, after = text[: last.start()], text[last.end() :]
        asked = last[1].strip() or next((line.strip() for line in after.splitlines() if line.strip()), "")
        if asked:
            return clip(asked, _SENTENCE_CHARS), before + (after if last[1].strip() else after.replace(asked, "", 1))
    region = _region(text)
    asked = _asked_in(text.replace(region, " ") if region else text)
    return asked, text.replace(asked, " ", 1)


def _asked_in(text: str) -> str:
    """Return the last question; else the line that announces or follows a long text; else the whole text."""
    units = sentences(text)
    asking = [unit.text for unit in units if is_question(unit.text)]
    if asking:
        return asking[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return text.strip() if len(units) < 3 else units[0].text
    is_long = len(lines[-1]) > _SENTENCE_CHARS // 2
    return lines[0] if lines[0].endswith(":") or is_long else lines[-1]
