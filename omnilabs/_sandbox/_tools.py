"""Which tools a text asks for, and the arguments it gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from omnilabs._sandbox._facts import Facts, name_parts
from omnilabs._sandbox._fill import fill
from omnilabs._sandbox._request import Conversation, Request, Tool
from omnilabs._sandbox._text import is_question, words

__all__ = ["Call", "choose_calls"]

# A word of the tool's name settles it; words of its description have to be two.
_NAME_SCORE = 2.0
_WORD_SCORE = 0.5
_MAX_DESCRIPTION_SCORE = 1.5
_LITERAL_SCORE = 3.0
_CALL_SCORE = 1.0
_MAX_TEXT_CHARS = 4_000

# Say nothing about which tool is meant.
_EMPTY_WORDS = frozenset(words("get set give use return tool function call make do run value result given user name"))
# Say little, unless the name has nothing else.
_VERBS = frozenset(
    words(
        "search find create list show look lookup query fetch add update delete check calculate compute send read write"
        " open tell text number"
    )
)
_SEARCHES = frozenset(words("search retrieve retriever lookup query doc documentation knowledge wiki wikipedia browse"))
_OPERATIONS = (
    (re.compile(r"\d\s*\+\s*\d|\bplus\b|\bsum\b|\badd\b", re.IGNORECASE), "add"),
    (re.compile(r"\d\s*[*×]\s*\d|\d\s+times\b|\btimes\s+\d|\bproduct of\b", re.IGNORECASE), "multip"),
    (re.compile(r"\d\s+[-−–]\s+\d|\bminus\b|\bdifference between\b", re.IGNORECASE), "subtra"),
    (re.compile(r"\d\s*[/÷]\s*\d|\bdivided by\b", re.IGNORECASE), "divide"),
)
_ARITHMETIC = frozenset(words("calculate compute mathematics math arithmetic"))
_SAME = {"adder": "add", "additi": "add", "sum": "add", "plus": "add", "divisi": "divide"}
_ANSWERING = frozenset(words("answer respond response output final"))
_CLAUSE = re.compile(r"(?:[,;.?!]\s+|\b(?:and|then|also|und|y|et)\b)\s*", re.IGNORECASE)


class Call(NamedTuple):
    """A tool call: what to call, and with which arguments."""

    tool: Tool
    arguments: dict[str, Any]


class _Match(NamedTuple):
    """How well a text asks for a tool, and the words of the tool's name that it holds."""

    score: float
    named: frozenset[str]


def choose_calls(request: Request, said: str) -> list[Call]:
    """Return the calls this request gets; none where an answer in text is due.

    `tool_choice` is obeyed. With "auto", tools are called that the user's text names, each once a turn; a tool that it
    only describes is called if it is the first call of the turn. With "required", tools that were not called in this
    turn come first, and among them one that only takes the final answer comes last.

    Args:
        request: The request.
        said: The answer in prose, for tools that only take the final answer.
    """
    conversation = request.conversation
    ranked = _ranked(request)
    named = _named(ranked)
    is_forced = request.choice not in ("auto", "none") and (request.choice != "required" or len(request.tools) == 1)
    texts = _texts(named, conversation.user)
    return [
        _call(
            tool,
            texts.get(tool.name, conversation.user),
            conversation,
            said,
            whole=is_forced or _takes_answer(tool, request.tools),
        )
        for tool in _pick(request, ranked, named)
    ]


def _ranked(request: Request) -> list[tuple[_Match, Tool]]:
    """Return the tools that act, the best match first; of equals the first."""
    actions = (tool for tool in request.tools if not _takes_answer(tool, request.tools))
    matched = [(_match(tool, request.conversation), tool) for tool in actions]
    return sorted(matched, key=lambda pair: -pair[0].score)


def _pick(request: Request, ranked: Sequence[tuple[_Match, Tool]], named: Sequence[Tool]) -> list[Tool]:
    if request.choice == "none" or not request.tools:
        return []
    if request.choice not in ("auto", "required"):
        return [tool for tool in request.tools if tool.name == request.choice][:1]
    conversation = request.conversation
    waiting = [tool for tool in named if tool.name not in conversation.called]
    if waiting:
        return waiting if request.is_parallel else waiting[:1]
    has_begun = bool(conversation.called or conversation.results)
    if not has_begun and ranked and ranked[0][0].score >= _CALL_SCORE:
        return [ranked[0][1]]
    return _required(request, [tool for _, tool in ranked]) if request.choice == "required" else []


def _required(request: Request, actions: Sequence[Tool]) -> list[Tool]:
    """Return the tool to call where one has to be called and the text asks for none."""
    answering = [tool for tool in request.tools if tool not in actions]
    candidates = [*answering, *actions]
    fresh = [tool for tool in candidates if tool.name not in request.conversation.called]
    return (fresh or candidates)[:1]


def _takes_answer(tool: Tool, tools: Sequence[Tool]) -> bool:
    """Whether a tool among others only takes the final answer in its schema, as frameworks ask for structured answers.

    Such a tool is named like a class among functions, or says what it is for.
    """
    if len(tools) < 2:
        return False
    is_class = tool.name[:1].isupper() and "_" not in tool.name
    says_so = "final answer" in tool.description.lower() or bool(_ANSWERING.intersection(_name_words(tool)))
    return says_so or (is_class and any(other.name[:1].islower() for other in tools))


def _named(ranked: Sequence[tuple[_Match, Tool]]) -> list[Tool]:
    """Return the tools that the text names, each by a word that names no better one."""
    found: list[Tool] = []
    taken: set[str] = set()
    for match, tool in ranked:
        if match.named - taken:
            found.append(tool)
            taken |= match.named
    return found


def _match(tool: Tool, conversation: Conversation) -> _Match:
    text = conversation.user[-_MAX_TEXT_CHARS:]
    asked = _asked_words(text)
    name = _name_words(tool)
    telling = name - _VERBS or name
    named = telling & asked
    score = _NAME_SCORE * bool(named) + _WORD_SCORE * len((name - telling) & asked)
    score += len(named) / (len(telling) or 1)
    described = {_SAME.get(word, word) for word in words(tool.description)} - _EMPTY_WORDS
    parameters = {word for key in _parameter_names(tool) for word in words(key)} - _EMPTY_WORDS
    score += min(_MAX_DESCRIPTION_SCORE, _WORD_SCORE * len(((described | parameters) - named) & asked))
    if re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", text, re.IGNORECASE):
        score += _LITERAL_SCORE
        named |= {tool.name}
    if name & _SEARCHES and is_question(text):
        score += _WORD_SCORE
        score += _WORD_SCORE * bool(re.search(re.escape(tool.name), conversation.system, re.IGNORECASE))
    return _Match(score, frozenset(named))


def _asked_words(text: str) -> frozenset[str]:
    asked = {_SAME.get(word, word) for word in words(text)} - _EMPTY_WORDS
    meant = {operation for pattern, operation in _OPERATIONS if pattern.search(text)}
    if "multip" in meant:
        asked.discard("time")  # "3 times 4" does not ask for the time
    return frozenset(asked | meant | (_ARITHMETIC if meant else set()))


def _name_words(tool: Tool) -> frozenset[str]:
    every = {_SAME.get(word, word) for part in name_parts(tool.name) for word in words(part)}
    return frozenset(every - _EMPTY_WORDS or every)


def _parameter_names(tool: Tool) -> list[str]:
    properties = tool.parameters.get("properties")
    return [str(key) for key in properties] if isinstance(properties, dict) else []


def _texts(tools: Sequence[Tool], text: str) -> dict[str, str]:
    """Return the text that each tool's arguments come from: where several are named, first the clauses that name it."""
    if len(tools) < 2:
        return {}
    own: dict[str, list[str]] = {tool.name: [] for tool in tools}
    current = tools[0]
    for clause in filter(None, _CLAUSE.split(text)):
        asked = _asked_words(clause)
        shared = [len(_name_words(tool) & asked) for tool in tools]
        if max(shared):  # a clause that names none belongs to the tool before it
            current = tools[shared.index(max(shared))]
        own[current.name].append(clause)
    return {name: "\n".join([*clauses, text]) for name, clauses in own.items()}


def _call(tool: Tool, text: str, conversation: Conversation, said: str, *, whole: bool) -> Call:
    if whole:
        text = "\n".join([*(result.text for result in conversation.results), text])
    facts = Facts(text, said=said if whole else "", ignored=frozenset(words(tool.name)))
    value = fill({**tool.parameters, "type": "object"}, facts, optional=whole)
    return Call(tool, value if isinstance(value, dict) else {})
