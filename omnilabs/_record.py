"""What every value a user holds can do: attributes, `value["key"]`, `dict(value)`, plain JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import Field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from omnilabs._frozen import frozen

__all__ = ["Record", "plain"]

_LEAVES = frozenset({str, int, float, bool, type(None)})

if TYPE_CHECKING:
    _Base = Mapping[str, Any]
else:

    class _Base:
        """What `Mapping` gives, without its metaclass, which would slow every `isinstance` of a record down."""

        __slots__ = ()
        get, keys, items, values = Mapping.get, Mapping.keys, Mapping.items, Mapping.values
        __contains__ = Mapping.__contains__

    Mapping.register(_Base)


@frozen
class Record(_Base):
    """A frozen value that also reads as a mapping, as the documentation's examples index it.

    A subclass lists its public keys in `_keys`; keys in `_optional` appear only when not None or ().
    Any other public attribute (an alias such as `prompt_tokens`) can be indexed too, but is not iterated over.
    """

    _keys: ClassVar[tuple[str, ...]] = ()
    _optional: ClassVar[frozenset[str]] = frozenset()
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

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

    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the public keys as plain JSON types, nested values included."""
        return {key: plain(self[key]) for key in self}


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
