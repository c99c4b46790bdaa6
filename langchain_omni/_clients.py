"""The clients behind a model, made at the first call and shared by its copies; and how such a thing is named."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from omnilabs import ClientPair

__all__ = ["Clients", "Mark"]


class Clients:
    """One pair of clients for one set of settings, which the first of a model's copies to make a call decides.

    Copies share the object as long as they agree on the settings; it is never copied or pickled itself.

    Attributes:
        environment: What the first model read from the environment, by field. LangChain's runtime copies are given it,
            which must not pass for settings of their own.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None) -> None:
        self.environment = dict(environment or {})
        self._settings = settings
        self._lock = threading.Lock()
        self._pair: ClientPair | None = None

    def for_settings(self, settings: Mapping[str, Any]) -> Clients:
        """Return this object if it has these settings, or none yet; otherwise a new one."""
        if self._settings is settings:
            return self
        with self._lock:
            if self._settings is None:
                self._settings = settings
            return self if self._settings == settings else Clients(settings, self.environment)

    def pair(self) -> ClientPair:
        """Return the clients.

        Raises:
            ConfigurationError: Ready clients and settings were given.
        """
        if self._pair is None:
            with self._lock:
                if self._pair is None:
                    settings: Mapping[str, Any] = self._settings or {}
                    self._pair = ClientPair(**settings)
        return self._pair

    def close(self) -> None:
        """Close the blocking client's connections; a later call opens new ones."""
        if self._pair is not None:
            self._pair.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections and the blocking client's."""
        if self._pair is not None:
            await self._pair.aclose()

    def __deepcopy__(self, memo: dict[int, Any]) -> Clients:
        return self

    def __reduce__(self) -> tuple[type[Clients], tuple[()]]:
        return Clients, ()


class Mark:
    """Stands for a live object, a client or a router, where a model is stored or told apart from others in a cache.

    No two objects have the same, in any process, so one's answers are never served for another's.
    """

    _known: ClassVar[WeakKeyDictionary[object, Mark]] = WeakKeyDictionary()

    def __init__(self, name: str) -> None:
        self.__name__ = name
        """What LangChain writes of an object that it cannot store, and all that it keeps of it in a cache's key."""

    @classmethod
    def of(cls, live: object) -> Mark:
        """Return the object's mark, the same as long as it lives."""
        return cls._known.setdefault(live, cls(f"{type(live).__name__} {uuid4().hex}"))

    def __repr__(self) -> str:
        return f"<{self.__name__}>"
