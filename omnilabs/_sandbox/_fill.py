"""A JSON value for a JSON schema: taken from a text where it speaks for one, made minimal where it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Final

from omnilabs._sandbox._facts import Facts, name_parts
from omnilabs._sandbox._schema import (
    FORMATS,
    MAX_CHARS,
    Schema,
    as_list,
    as_schema,
    branches_of,
    choices_of,
    count_of,
    fits,
    fits_number,
    fits_string,
    is_nullable,
    kind_of,
    properties_of,
    resolve,
    smallest_number,
)
from omnilabs._sandbox._text import clip, words

__all__ = ["fill"]

_FALLBACK_CHARS = 80
_MAX_ITEMS = 10
# A schema that refers to itself has no end; these bounds are far above what a real one needs.
_MAX_EVIDENT_DEPTH = 6
_MAX_DEPTH = 24
_MAX_VALUES = 2_000
_PATTERN_LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32)
_PATTERN_TRIES = ("A0", "a0", "A-0", "a-0", "0.0", "0-0", "2000-01-01", "00:00", "a@a.aa", "https://a.aa", "#000000")
_FREE_TEXT = frozenset(
    words(
        "q query question text input prompt message content body task request search instruction topic problem"
        " expression"
    )
)
_SPOKEN = frozenset(
    words("answer summary response explanation description text reasoning output result content message reply analysis")
)
# What a string's name says of its form where the schema does not.
_FORMAT_OF_NAME = {
    "email": "email",
    "url": "uri",
    "uri": "uri",
    "link": "uri",
    "website": "uri",
    "date": "date",
}
_ADDRESSEES = frozenset({"to", "cc", "bcc", "recipient", "recipients", "sender"})


class _Absent(Enum):
    """The type of `ABSENT`: None is a JSON value."""

    ABSENT = "the text speaks for no value"


ABSENT: Final = _Absent.ABSENT


def fill(schema: object, facts: Facts, *, optional: bool) -> Any:
    """Return a value that is valid for `schema`, taken from `facts` as far as possible.

    Required properties are always there: what the text labels (`city: Paris`), quotes, names of an enum, counts, writes
    with a capital or puts after a preposition, in its own order; else the schema's default or example, else the
    smallest valid value. Optional properties are there when the text speaks for them.

    Local `$ref`, `allOf`, unions, nullable types, enums, formats, nested objects and arrays, and the bounds of numbers,
    strings (up to 20,000 characters) and arrays (up to 2,000 items) are honoured. A `pattern` is met where something in
    the text or a simple value meets it. `not`, `if`, `contains`, `minProperties` and `dependentSchemas` are not read.

    Args:
        schema: The JSON schema; what is not one allows any value.
        facts: What the text states. It is used up.
        optional: Take the text's names, numbers and phrases for optional properties too, and treat all properties as
            required where none is said to be. Without it an optional property must be labelled, quoted or named.
    """
    return _Filler(schema, facts, optional=optional).value(schema, "", need=True, eager=True, depth=0)


class _Filler:
    """Fills one schema. `_evident` reads the text and may find nothing; `_minimal` reads only the schema."""

    def __init__(self, root: object, facts: Facts, *, optional: bool) -> None:
        self._root = root
        self._facts = facts
        self._optional = optional
        self._left = _MAX_VALUES

    def value(self, schema: object, name: str, *, need: bool, eager: bool, depth: int) -> Any:
        """Return a value, or ABSENT where none is needed and the text speaks for none."""
        resolved = resolve(schema, self._root)
        found = self._evident(resolved, name, eager, depth)
        return self._minimal(resolved, name, depth) if found is ABSENT and need else found

    def _evident(self, schema: Schema, name: str, eager: bool, depth: int) -> Any:
        self._left -= 1
        if depth > _MAX_EVIDENT_DEPTH or self._left <= 0:
            return ABSENT
        if choices := choices_of(schema):
            return self._chosen(choices)
        if branches := branches_of(schema):
            return self._of_branches(branches, name, eager, depth)
        match kind_of(schema):
            case "object":
                return self._described(schema, eager, depth)
            case "array":
                return self._listed(schema, name, eager, depth)
            case "integer" | "number":
                return self._counted(schema, name, eager)
            case "boolean":
                said = self._facts.affirms(name)
                return ABSENT if said is None else said
            case "null":
                return ABSENT
            case _:
                return self._named(schema, name, eager)

    def _chosen(self, choices: list[Any]) -> Any:
        """Return the choice that the text names first, the longest of those at one place."""
        named = [
            (at, -len(str(one)), order) for order, one in enumerate(choices) if (at := self._place(one)) is not None
        ]
        return choices[min(named)[2]] if named else ABSENT

    def _place(self, choice: object) -> int | None:
        return None if isinstance(choice, dict | list) else self._facts.place(choice)

    def _of_branches(self, branches: list[Any], name: str, eager: bool, depth: int) -> Any:
        """Return the first branch the text speaks for; one whose discriminator it names goes before."""
        named = sorted(branches, key=lambda branch: not self._names_constant(branch))
        for branch in named:
            value = self.value(branch, name, need=False, eager=eager, depth=depth + 1)
            if value is not ABSENT:
                return value
        return ABSENT

    def _names_constant(self, branch: object) -> bool:
        properties, _ = properties_of(resolve(branch, self._root))
        constants = (choices_of(resolve(own, self._root)) for own in properties.values())
        return any(self._chosen(choices) is not ABSENT for choices in constants)

    def _described(self, schema: Schema, eager: bool, depth: int) -> Any:
        """Return the object the text describes. Required properties come first to the facts."""
        properties, required = properties_of(schema)
        found: Schema = {}
        # "with keys `setup` and `punchline`" quotes names, not values.
        self._facts.quoted = [quoted for quoted in self._facts.quoted if quoted not in properties]
        for name in sorted(properties, key=lambda name: name not in required):
            own = eager and (self._optional or name in required)
            value = self.value(properties[name], name, need=False, eager=own, depth=depth + 1)
            if value is not ABSENT:
                found[name] = value
        return self._completed(found, schema, depth) if found else ABSENT

    def _completed(self, found: Schema, schema: Schema, depth: int) -> Schema:
        """Return the object with every required property, in the schema's order."""
        properties, required = properties_of(schema)
        wanted = required or (list(properties) if self._optional else [])
        for name in wanted:
            if name not in found:
                found[name] = self._minimal(resolve(properties.get(name), self._root), name, depth + 1)
        return {name: found[name] for name in (*properties, *required) if name in found}

    def _listed(self, schema: Schema, name: str, eager: bool, depth: int) -> Any:
        if "prefixItems" in schema:
            return ABSENT
        items = resolve(schema.get("items"), self._root)
        if choices := choices_of(items):
            found = [choice for choice in choices if self._place(choice) is not None]
        else:
            found = list(self._items(items, name, eager, depth))
        found = found[: count_of(schema, "maxItems", _MAX_ITEMS)]
        return self._sized(found, schema, name, depth) if found else ABSENT

    def _items(self, items: Schema, name: str, eager: bool, depth: int) -> Iterator[Any]:
        """Yield item after item until the text has no more, repeats itself, or says much less than for the first."""
        first: Any = ABSENT
        last: Any = ABSENT
        for _ in range(_MAX_ITEMS):
            item: Any = ABSENT
            if eager and kind_of(items) == "string" and not branches_of(items):
                taken = self._facts.take(self._facts.listed, lambda value: fits_string(value, items))
                item = ABSENT if taken is None else taken
            if item is ABSENT:
                item = self.value(items, name, need=False, eager=eager, depth=depth + 1)
            first = item if first is ABSENT else first
            if item is ABSENT or item == last or 2 * _told(item) <= _told(first):
                return
            last = item
            yield item

    def _counted(self, schema: Schema, name: str, eager: bool) -> Any:
        about = words(f"{name} {schema.get('description', '')}")
        value = self._facts.take_number(name, about, lambda number: fits_number(number, schema), any_=eager)
        if value is None:
            return ABSENT
        return int(value) if kind_of(schema) == "integer" else value

    def _named(self, schema: Schema, name: str, eager: bool) -> Any:
        format_ = schema.get("format")
        is_known = isinstance(format_, str) and format_ in FORMATS
        for source in [self._formatted(str(format_))] if is_known else self._sources(schema, name, eager):
            value = self._facts.take(source, lambda text: fits_string(text, schema))
            if value is not None:
                return value
        return ABSENT

    def _formatted(self, format_: str) -> list[str]:
        return re.findall(FORMATS[format_][0], self._facts.text)

    def _sources(self, schema: Schema, name: str, eager: bool) -> Iterator[Iterable[str]]:
        """Yield what a string may be taken from, the surest first."""
        facts, terms = self._facts, frozenset(words(name))
        if facts.said and terms & _SPOKEN:
            yield [facts.said]
        implied = _implied_format(name)
        if implied:
            yield self._formatted(implied)
        if name.lower() in _ADDRESSEES:
            yield self._formatted("email")
        yield filter(None, [facts.labelled(name)])
        yield facts.quoted
        if eager and terms & _FREE_TEXT:
            yield [facts.query(name)]
        elif eager and not implied:
            yield facts.names
            yield facts.phrases
        if "pattern" in schema:
            yield facts.text.split()

    def _minimal(self, schema: Schema, name: str, depth: int) -> Any:
        """Return the schema's default or example, else the smallest valid value."""
        self._left -= 1
        if depth > _MAX_DEPTH:
            return None
        given = [schema[key] for key in ("default",) if key in schema] + as_list(schema.get("examples"))
        for value in given:
            if fits(value, schema):
                return value
        if choices := choices_of(schema):
            return choices[0]
        if branches := branches_of(schema):
            resolved = [resolve(branch, self._root) for branch in branches]
            is_optional = any(kind_of(branch) == "null" for branch in resolved)
            return None if is_optional else self._minimal(resolved[0], name, depth + 1)
        return None if is_nullable(schema) else self._smallest(schema, name, depth)

    def _smallest(self, schema: Schema, name: str, depth: int) -> Any:
        match kind_of(schema):
            case "object":
                return self._completed({}, schema, depth) if self._left > 0 else {}
            case "array":
                prefix = as_list(schema.get("prefixItems"))
                found = [self._minimal(resolve(item, self._root), name, depth + 1) for item in prefix]
                return self._sized(found, schema, name, depth)
            case "integer" | "number":
                return smallest_number(schema)
            case "boolean":
                return False
            case "null":
                return None
            case _:
                return self._any_string(schema, name)

    def _any_string(self, schema: Schema, name: str) -> str:
        format_ = schema.get("format")
        known = format_ if isinstance(format_, str) and format_ in FORMATS else _implied_format(name)
        if known and fits_string(FORMATS[known][1], schema):
            return FORMATS[known][1]
        low, high = count_of(schema, "minLength", 0), count_of(schema, "maxLength", MAX_CHARS)
        text = clip(self._facts.said or self._facts.text, _FALLBACK_CHARS)[:high]
        padded = text.ljust(min(low, MAX_CHARS), ".")
        if "pattern" not in schema:
            return padded
        repeated = (char * length for length in (low, *_PATTERN_LENGTHS) for char in "aA0")
        return next((value for value in (padded, *_PATTERN_TRIES, *repeated) if fits_string(value, schema)), padded)

    def _sized(self, found: list[Any], schema: Schema, name: str, depth: int) -> list[Any]:
        """Return the list without repetition where the schema asks for that, and long enough."""
        if schema.get("uniqueItems") is True:
            found = list({json.dumps(item, sort_keys=True): item for item in found}.values())
        items = resolve(as_schema(schema.get("items")), self._root)
        while len(found) < count_of(schema, "minItems", 0) and self._left > 0:
            found.append(self._another(items, name, depth, len(found)))
        return found

    def _another(self, items: Schema, name: str, depth: int, at: int) -> Any:
        """Return a smallest item, different from the others of its list where its type allows that."""
        choices = choices_of(items)
        if choices:
            self._left -= 1
            return choices[at % len(choices)]
        value = self._minimal(items, name, depth + 1)
        other: Any = value
        if branches_of(items):
            return value
        if isinstance(value, str):
            other = f"{value} {at + 1}"
        elif isinstance(value, int) and not isinstance(value, bool):
            other = value + at
        return other if fits(other, items) else value


def _implied_format(name: str) -> str | None:
    """Return the format that a property's name implies, such as `email` in `user_email`."""
    return next((_FORMAT_OF_NAME[part.lower()] for part in name_parts(name) if part.lower() in _FORMAT_OF_NAME), None)


def _told(item: object) -> int:
    """Return how much an item says: the properties of an object that are not null; one for anything else."""
    return sum(value is not None for value in item.values()) if isinstance(item, dict) else 1
