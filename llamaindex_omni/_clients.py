"""The two clients behind a model: one set of settings, one router, shared by the model's copies."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import Any

from omnilabs import AsyncOmniClient, OmniClient
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router

__all__ = ["Clients"]


class Clients:
    """A blocking and an asyncio client: ready ones, or of the same settings, the second made when first needed.

    It closes only what it made. Copies of a model share it, so it is never copied.

    Raises:
        ConfigurationError: Nothing says whom to ask, or settings contradict each other.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        blocking: OmniClient | None = None,
        asyncio: AsyncOmniClient | None = None,
    ) -> None:
        self.are_ready = blocking is not None or asyncio is not None
        if self.are_ready and settings:
            raise ConfigurationError(f"pass a ready client or settings of one, not both: {', '.join(sorted(settings))}")
        self._settings = settings
        self._lock = threading.Lock()
        self._blocking = blocking
        self._asyncio = asyncio
        if not self.are_ready:
            client = self._blocking = OmniClient(**settings)
            # A model thrown away gives its sockets up at once instead of leaving them to the collector.
            weakref.finalize(self, client.close)

    @property
    def any(self) -> OmniClient | AsyncOmniClient:
        """Either client, for what both know: the mode and the router."""
        client = self._blocking or self._asyncio
        assert client is not None  # one was given or made
        return client

    @property
    def router(self) -> Router:
        """What chooses the models."""
        return self.any.router

    def available(self) -> frozenset[str] | None:
        """Return the ids of the chat models that can be asked, or None where only a server could tell. No I/O."""
        if self._blocking is None or self._blocking.mode == "hosted":
            return None
        return frozenset(record["id"] for record in self._blocking.get_available_models("chat"))

    @property
    def blocking(self) -> OmniClient:
        """The blocking client."""
        if self._blocking is None:
            raise ConfigurationError("only async_client= was given: pass client= too, or call the async methods")
        return self._blocking

    @property
    def asyncio(self) -> AsyncOmniClient:
        """The asyncio client; its connections belong to each event loop and end with it."""
        if self._asyncio is None:
            with self._lock:
                if self._asyncio is None:
                    self._asyncio = self._make_asyncio()
        return self._asyncio

    def _make_asyncio(self) -> AsyncOmniClient:
        if self.are_ready:
            raise ConfigurationError("only client= was given: pass async_client= too, or call the blocking methods")
        settings = {name: value for name, value in self._settings.items() if name not in ("models", "router")}
        # What one client's router learns, both know.
        return AsyncOmniClient(**settings, router=self.router)

    def close(self) -> None:
        """Close the blocking client's connections; a later call opens new ones."""
        if not self.are_ready and self._blocking is not None:
            self._blocking.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections, and the blocking client's."""
        self.close()
        if not self.are_ready and self._asyncio is not None:
            await self._asyncio.aclose()

    def __deepcopy__(self, memo: dict[int, Any]) -> Clients:
        return self
