"""`@frozen` beside the standard library's `@dataclass(frozen=True, slots=True)`: whatever one does, the other does."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest

from omnilabs._frozen import evolve, frozen


def declare(decorate: Callable[[type[Any]], type[Any]]) -> type[Any]:
    """Return the same class under either decorator, with every kind of field the package uses."""

    @decorate
    class Point:
        """A point."""

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list)
        note: str = field(default="", compare=False, repr=False)
        strict: bool | None = field(default=None, kw_only=True)

        @property
        def total(self) -> int:
            return self.x + self.y

    return Point


Ours, Theirs = declare(frozen), declare(dataclass(frozen=True, slots=True, weakref_slot=True))
GIVEN: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1,), {}),
    ((1, 3), {"tags": ["a"]}),
    ((), {"x": 1, "note": "n", "strict": True}),
    ((1, 2, ["b"], "n"), {"strict": False}),
]
WRONG: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {"x": 1}),
    ((1,), {"z": 1}),
    ((1, 2, [], "", True), {}),
]


@frozen
class Checked:
    """A value that checks itself, and writes its own repr."""

    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("no name")

    def __repr__(self) -> str:
        return "Checked(...)"


class Grown(Checked):
    """A plain class on top of a frozen one."""


def values(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


@pytest.mark.parametrize(("args", "kwargs"), GIVEN)
def test_values_hold_what_they_were_given(args: tuple[Any, ...], kwargs: dict[str, Any]):
    ours, theirs = Ours(*args, **kwargs), Theirs(*args, **kwargs)
    assert values(ours) == values(theirs)
    assert repr(ours) == repr(theirs)
    assert ours.total == theirs.total


@pytest.mark.parametrize(("args", "kwargs"), WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(args: tuple[Any, ...], kwargs: dict[str, Any]):
    with pytest.raises(TypeError) as theirs:
        Theirs(*args, **kwargs)
    with pytest.raises(TypeError) as ours:
        Ours(*args, **kwargs)
    assert str(ours.value) == str(theirs.value)


def test_the_signature_is_the_same_before_and_after_the_first_value():
    fresh = declare(frozen)
    assert str(inspect.signature(fresh)) == str(inspect.signature(Theirs))
    fresh(1)
    assert str(inspect.signature(fresh)) == str(inspect.signature(Theirs))
    assert fresh.__match_args__ == Theirs.__match_args__
    assert fresh.__slots__ == Theirs.__slots__


def test_a_value_cannot_be_changed():
    point = Ours(1)
    changes: list[Callable[[], object]] = [
        lambda: setattr(point, "x", 2),
        lambda: delattr(point, "x"),
        lambda: setattr(point, "new", 2),
    ]
    for change in changes:
        with pytest.raises(FrozenInstanceError):
            change()
    assert point.x == 1
    assert not hasattr(point, "__dict__")


def test_values_are_equal_by_the_fields_that_compare():
    assert Ours(1) == Ours(1, 2, note="else")
    assert Ours(1) != Ours(2)
    assert Ours(1) != Theirs(1)
    assert hash(Checked("a")) == hash(Checked("a"))
    assert len({Checked("a"), Checked("a"), Checked("b")}) == 2
    with pytest.raises(TypeError):  # a list among the fields
        hash(Ours(1))


def test_each_value_gets_a_default_of_its_own():
    assert Ours(1).tags is not Ours(1).tags


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(again: Callable[[Any], Any]):
    assert again(Checked("a")) == Checked("a")


def test_what_the_class_writes_itself_stays():
    assert repr(Checked("a")) == "Checked(...)"
    with pytest.raises(ValueError, match="no name"):
        Checked("")


def test_a_subclass_inherits_it_all():
    assert Grown("a").name == "a"
    assert Grown("a") != Checked("a")


def test_evolve_replaces_fields_and_refuses_others():
    point = Ours(1, 3, strict=True)
    assert values(evolve(point, x=5)) == values(dataclasses.replace(point, x=5))
    assert point.x == 1
    with pytest.raises(TypeError, match="no field 'z'"):
        evolve(point, z=1)


def test_a_value_matches_by_position():
    match Ours(1, 7):
        case Ours(x, y):
            assert (x, y) == (1, 7)
