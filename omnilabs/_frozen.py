"""Frozen values: `@frozen` is `@dataclass(frozen=True, slots=True, weakref_slot=True)` at a ninth of the time.

The standard library writes and compiles five methods for every class; for the sixty of this package that was half of
its import. Here all but `__init__` are the same for every class, and `__init__` is compiled when the first value is
made. The classes are dataclasses all the same: `fields`, `replace` and `match` take them as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache
from typing import Any, NoReturn, TypeVar, dataclass_transform

__all__ = ["evolve", "frozen"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return the class with slots, and with values that cannot be changed, compared and hashed by their fields.

    Methods of these names that the class writes itself stay.
    """
    made = dataclass(init=False, repr=False, eq=False, slots=True, weakref_slot=True)(cls)
    for name, method in _SHARED.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    setattr(made, "__init__", _FirstInit(made))  # noqa: B010  # a checker would take the assignment for a method's
    return made


class _Made:
    """Stands in a signature for a default that is made for each value."""

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()


class _FirstInit:
    """Stands where `__init__` belongs until it is asked for."""

    def __init__(self, cls: type[Any]) -> None:
        self._cls = cls

    def __get__(self, instance: object, owner: type[Any]) -> Any:
        init = _written_init(self._cls)
        self._cls.__init__ = init
        return init if instance is None else init.__get__(instance, owner)


def _written_init(cls: type[Any]) -> Callable[..., None]:
    """Return an `__init__` that takes the fields and sets them."""
    scope: dict[str, Any] = {"_MADE": _MADE}
    parameters, lines, setters = ["self"], [], _setters(cls)
    for each in sorted(fields(cls), key=lambda each: each.kw_only is True):
        name, value = each.name, each.name
        if each.kw_only and "*" not in parameters:
            parameters.append("*")
        if each.default is not MISSING:
            scope[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
        elif each.default_factory is not MISSING:
            scope[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=_MADE")
            value = f"_make_{name}() if {name} is _MADE else {name}"
        else:
            parameters.append(name)
        scope[f"_set_{name}"] = setters[name]
        lines.append(f"_set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), scope)  # noqa: S102  # as dataclasses does
    init: Callable[..., None] = scope["__init__"]
    init.__annotations__ = {each.name: each.type for each in fields(cls)} | {"return": None}
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__module__ = cls.__module__
    return init


def evolve(value: T, **changes: Any) -> T:
    """Return a copy of a frozen value with other fields: `dataclasses.replace` at two thirds of its time.

    It copies what is there, so a `__post_init__` is not run again.

    Raises:
        TypeError: A field of an unknown name.
    """
    cls = type(value)
    setters = _setters(cls)
    if not changes.keys() <= setters.keys():
        raise TypeError(f"{cls.__name__} has no field {min(changes.keys() - setters.keys())!r}")
    copy: T = object.__new__(cls)
    for name, set_field in setters.items():
        set_field(copy, changes[name] if name in changes else getattr(value, name))
    return copy


def _slots_of(cls: Any) -> dict[str, Callable[[Any, Any], None]]:
    return {each.name: getattr(cls, each.name).__set__ for each in fields(cls)}


_setters: Callable[[Any], dict[str, Callable[[Any, Any], None]]] = cache(_slots_of)
"""What sets each field of a class, past the `__setattr__` that refuses: the slots' own."""


# ---- what all of them share


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(self) if f.compare)


def _hash(self: Any) -> int:
    return hash(tuple(getattr(self, f.name) for f in fields(self) if f.compare))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({shown})"


def _setattr(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for set_field, value in zip(_setters(type(self)).values(), state, strict=True):
        set_field(self, value)


_SHARED: dict[str, Callable[..., Any]] = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
