"""What every value a user holds can do: attributes, `value["key"]`, `dict(value)`, plain JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

__all__ = ["Record", "evolve", "plain"]

_LEAVES = frozenset({str, int, float, bool, type(None)})

R = TypeVar("R", bound="Record")

if TYPE_CHECKING:
    _Base = Mapping[str, Any]
else:

    class _Base:
        """What `Mapping` gives, without its metaclass, which would slow every `isinstance` of a record down."""

        __slots__ = ()
        get, keys, items, values = Mapping.get, Mapping.keys, Mapping.items, Mapping.values
        __contains__ = Mapping.__contains__

    Mapping.register(_Base)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record(_Base):
    """A frozen value that also reads as a mapping, as the documentation's examples index it.

    Equality, hash and repr are written here once for all: generated for every class they are half of the package's
    import. A subclass is a `dataclass(frozen=True, slots=True, eq=False, repr=False)`; its fields' `compare` and `repr`
    hold as usual.

    A subclass lists its public keys in `_keys`; keys in `_optional` appear only when not None or ().
    Any other public attribute (an alias such as `prompt_tokens`) can be indexed too, but is not iterated over.
    """

    _keys: ClassVar[tuple[str, ...]] = ()
    _optional: ClassVar[frozenset[str]] = frozenset()

    def __getitem__(self, key: str) -> Any:
        if isinstance(key, str) and not key.startswith("_"):
            if key in self._keys:
                value = getattr(self, key)
                if key not in self._optional or (value is not None and value != ()):
                    return value
            elif isinstance(getattr(type(self), key, None), property) or key in self.__dataclass_fields__:
                return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._keys if key not in self._optional or getattr(self, key) not in (None, ()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(self) if f.compare)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(self) if f.compare))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"{type(self).__qualname__}({shown})"

    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the public keys as plain JSON types, nested values included."""
        return {key: plain(self[key]) for key in self}


def evolve(record: R, **changes: Any) -> R:
    """Return a copy of a record with other values: `dataclasses.replace` without its checks, at a quarter of its time.

    For records without a `__post_init__` and without keyword-only fields; the caller answers for the names.
    """
    cls = type(record)
    copy = object.__new__(cls)
    names: tuple[str, ...] = cls.__match_args__
    for name in names:
        object.__setattr__(copy, name, changes[name] if name in changes else getattr(record, name))
    return copy


def plain(value: object) -> Any:
    """Return `value` in JSON types: records and mappings as dicts, tuples as lists, Decimal as float."""
    if type(value) in _LEAVES:  # nearly all values; the checks below are slow
        return value
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        raise TypeError("bytes have no JSON form; encode them first")
    return value
