"""`ClientPair`: a blocking and an asyncio client that are one, for objects that answer both ways."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, Unpack

from omnilabs._async_client import AsyncOmniClient
from omnilabs._client import OmniClient
from omnilabs._config import Mode, ProviderConfig, veil_address, veil_key, veil_keys
from omnilabs._core import ClientOptions
from omnilabs._models import ModelInfo
from omnilabs._spend import Spend
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router

__all__ = ["ClientPair"]

C = TypeVar("C", OmniClient, AsyncOmniClient)


class ClientPair:
    """An `OmniClient` and an `AsyncOmniClient` of one configuration, router, circuit breaker, budget and ledger.

    ```python
    from omnilabs import ClientPair

    pair = ClientPair(mode="sandbox", max_cost_usd=1.0)
    pair.blocking.chat([{"role": "user", "content": "Hello"}], "gpt-4o-mini")
    print(pair.spend)  # what both have spent
    ```

    Each is made when it is first asked for, and opens nothing before its first call. Thread-safe; a deep copy is the
    pair itself. The LangChain and LlamaIndex models stand on it.

    Attributes:
        is_given: Ready clients were passed, which live in this process only.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = (
        "api_key",
        "base_url",
        "mode",
        "providers",
        "models",
        "router",
        *ClientOptions.__annotations__,
    )
    """The names of a client's settings, as both clients take them."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        mode: Mode | None = None,
        providers: Mapping[str, ProviderConfig] | None = None,
        models: Sequence[ModelInfo] | None = None,
        router: Router | None = None,
        client: OmniClient | None = None,
        async_client: AsyncOmniClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Take the settings of a client, or ready clients of either kind or both, which are never closed here.

        Args:
            api_key: As `OmniClient` takes it, like every setting below.
            base_url: As `OmniClient` takes it.
            mode: As `OmniClient` takes it.
            providers: As `OmniClient` takes it.
            models: As `OmniClient` takes it.
            router: As `OmniClient` takes it.
            client: A ready blocking client; without `async_client`, the asyncio one is made beside it.
            async_client: A ready asyncio client; without `client`, the blocking one is made beside it.
            **options: As `OmniClient` takes them.

        Raises:
            ConfigurationError: Ready clients and settings were passed; of the settings, at first use.
        """
        # From here on a traceback that shows locals shows no key.
        key, api_key, providers = veil_key(api_key), None, veil_keys(providers)
        base_url = veil_address(base_url)
        given: dict[str, Any] = {
            "api_key": key,
            "base_url": base_url,
            "mode": mode,
            "providers": providers,
            "models": models,
            "router": router,
        }
        # Of the options, None may mean something: timeout_s=None is no limit.
        self._settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | options
        self.is_given = client is not None or async_client is not None
        if self.is_given and self._settings:
            raise ConfigurationError(
                f"pass a ready client or settings of one, not both: {', '.join(sorted(self._settings))}"
            )
        self._given = (client, async_client)
        self._blocking, self._asyncio = client, async_client
        self._lock = threading.Lock()

    @property
    def blocking(self) -> OmniClient:
        """The blocking client.

        Raises:
            ConfigurationError: Nothing says whom to ask, settings contradict each other, or the only client given
                carries its requests by a transport of its own.
        """
        if self._blocking is None:
            with self._lock:
                if self._blocking is None:
                    self._blocking = self._made(OmniClient, self._asyncio)
                    # A pair thrown away gives its sockets up at once instead of leaving them to the collector.
                    weakref.finalize(self, self._blocking.close)
        return self._blocking

    @property
    def asyncio(self) -> AsyncOmniClient:
        """The asyncio client; its connections belong to each event loop and end with it.

        Raises:
            ConfigurationError: As `blocking`.
        """
        if self._asyncio is None:
            with self._lock:
                if self._asyncio is None:
                    self._asyncio = self._made(AsyncOmniClient, self._blocking)
        return self._asyncio

    @property
    def mode(self) -> Mode:
        """hosted, embedded or sandbox."""
        return self._either.mode

    @property
    def router(self) -> Router:
        """What chooses the models of `smart_select` in embedded and sandbox mode."""
        return self._either.router

    @property
    def spend(self) -> Spend:
        """What both clients have spent so far."""
        return self._either.spend

    def available_models(self, model_type: str | None = None) -> list[dict[str, Any]] | None:
        """Return the records of the models that can be asked, or None in hosted mode, where only a server could tell.

        No I/O. `model_type` is as `OmniClient.get_available_models` takes it.
        """
        listing = self._either._core.model_listing(model_type)
        return listing if isinstance(listing, list) else None

    def close(self) -> None:
        """Close the blocking client's connections unless it was given; a later call opens new ones."""
        if self._blocking is not None and self._blocking is not self._given[0]:
            self._blocking.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections and the blocking client's, unless they were given."""
        self.close()
        if self._asyncio is not None and self._asyncio is not self._given[1]:
            await self._asyncio.aclose()

    @property
    def _either(self) -> OmniClient | AsyncOmniClient:
        return self._blocking or self._asyncio or self.blocking

    def _made(self, kind: type[C], other: OmniClient | AsyncOmniClient | None) -> C:
        return kind(**self._settings) if other is None else kind.sharing(other)

    def __deepcopy__(self, memo: dict[int, Any]) -> ClientPair:
        return self
