"""The clients behind a model: made at the first call, shared by its copies, closed with the last of them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import Any

from omnilabs import AsyncOmniClient, OmniClient

__all__ = ["Clients"]


class Clients:
    """One blocking and one asyncio client of the same settings, both with the same router, each made when first needed.

    Copies of a model share the object as long as they agree on the settings; it is never copied or pickled itself.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._blocking: OmniClient | None = None
        self._asyncio: AsyncOmniClient | None = None

    def for_settings(self, settings: Mapping[str, Any]) -> Clients:
        """Return this object if it has these settings, or none yet; otherwise a new one."""
        if self._settings is settings:
            return self
        with self._lock:
            if self._settings is None:
                self._settings = settings
            return self if self._settings == settings else Clients(settings)

    def blocking(self) -> OmniClient:
        """Return the blocking client.

        Raises:
            ConfigurationError: Nothing says whom to ask, or settings contradict each other.
        """
        if self._blocking is None:
            with self._lock:
                if self._blocking is None:
                    client = OmniClient(**self._shared(self._asyncio))
                    # A model thrown away gives its sockets up at once instead of leaving them to the collector.
                    weakref.finalize(self, client.close)
                    self._blocking = client
        return self._blocking

    def asyncio(self) -> AsyncOmniClient:
        """Return the asyncio client; its connections belong to each event loop and end with it.

        Raises:
            ConfigurationError: Nothing says whom to ask, or settings contradict each other.
        """
        if self._asyncio is None:
            with self._lock:
                if self._asyncio is None:
                    self._asyncio = AsyncOmniClient(**self._shared(self._blocking))
        return self._asyncio

    def close(self) -> None:
        """Close the blocking client's connections; a later call opens new ones."""
        if self._blocking is not None:
            self._blocking.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections and the blocking client's."""
        self.close()
        if self._asyncio is not None:
            await self._asyncio.aclose()

    def _shared(self, other: OmniClient | AsyncOmniClient | None) -> dict[str, Any]:
        """Return the settings, with the router of the client that exists already: what one learns, both know."""
        settings = dict(self._settings or {})
        if other is not None:
            settings.pop("models", None)
            settings["router"] = other.router
        return settings

    def __deepcopy__(self, memo: dict[int, Any]) -> Clients:
        return self

    def __reduce__(self) -> tuple[type[Clients], tuple[()]]:
        return Clients, ()
