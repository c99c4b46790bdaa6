"""A key that does not print, log, compare loudly or pickle, and a mapping that does not print what it holds."""

from collections.abc import Iterator, Mapping
from typing import NoReturn, final

__all__ = ["Secret", "Veiled"]


@final
class Secret:
    """A credential. Only `reveal()` gives it out; repr, str and format are masked and pickling raises TypeError."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the credential itself. Put it in no variable: a traceback may show it."""
        return self._value

    def after(self, prefix: str) -> "Secret":
        """Return the credential with a prefix, such as `Bearer `. No local variable holds it on the way."""
        made = Secret("")
        made._value = prefix + self._value
        return made

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled; read the key from the environment in the new process")


@final
class Veiled(Mapping[str, str]):
    """The environment without its values in repr: a traceback that shows locals must not show every key."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Mapping[str, str]) -> None:
        self._inner = inner

    def __getitem__(self, name: str) -> str:
        return self._inner[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"
