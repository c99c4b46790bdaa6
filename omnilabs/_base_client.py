"""What both clients are before they send anything: configuration, the core, a transport."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeAlias, TypeVar, Unpack

from omnilabs._config import Mode, ProviderConfig, veil_address, veil_key, veil_keys
from omnilabs._core import ClientCore, ClientOptions
from omnilabs._http import AsyncTransport, Transport
from omnilabs._messages import ChatMessage
from omnilabs._models import ModelInfo
from omnilabs._secret import Veiled
from omnilabs._spend import Spend
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router

__all__ = ["BaseClient", "Messages", "routing_settings"]

Messages: TypeAlias = Sequence[ChatMessage | Mapping[str, Any]]
T = TypeVar("T", Transport, AsyncTransport)


class BaseClient(Generic[T]):
    """What both clients are before they send anything; T is the kind of transport."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        mode: Mode | None = None,
        providers: Mapping[str, ProviderConfig] | None = None,
        models: Sequence[ModelInfo] | None = None,
        router: Router | None = None,
        transport: T | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Decide whom to ask; nothing is opened.

        Args:
            api_key: Key of the hosted service; falls back to `OMNI_API_KEY`.
            base_url: Address of an OmniRouter server; falls back to `OMNI_BASE_URL`, then to the hosted service.
            mode: hosted, embedded or sandbox; falls back to `OMNI_MODE`, then to what the keys suggest. The sandbox
                makes its answers up and is entered by name only.
            providers: Keys and addresses of providers, by name: `{"openai": {"api_key": ...}}`, or a server of your
                own, `{"local": {"base_url": ..., "wire": "openai"}}`, whose models go as `local/name`.
            models: The models `smart_select` chooses from, instead of the catalogue.
            router: A router of your own, fitted to your traffic.
            transport: What carries the requests, for tests.
            **options: Time limits, retries, budget: see `ClientOptions`.

        Raises:
            ConfigurationError: Nothing says whom to ask, or arguments contradict each other.
        """
        # From here on a traceback that shows locals shows no key.
        key, api_key, providers = veil_key(api_key), None, veil_keys(providers)
        base_url = veil_address(base_url)
        self._core = ClientCore(
            Veiled(os.environ),
            api_key=key,
            base_url=base_url,
            mode=mode,
            providers=providers,
            models=models,
            router=router,
            options=options,
        )
        self._has_own_transport = transport is not None
        self._transport: T = transport or self._new_transport()

    @classmethod
    def sharing(cls, client: BaseClient[Any]) -> Self:
        """Return a client of this kind that is one with `client` but for connections: settings, router, budget, spend.

        Raises:
            ConfigurationError: `client` carries its requests by a transport of its own, which this kind cannot use.
        """
        if client._has_own_transport:
            raise ConfigurationError(
                f"the {type(client).__name__} has a transport of its own, so no {cls.__name__} can be made beside it: "
                "pass one of each kind"
            )
        made = cls.__new__(cls)
        made._core = client._core
        made._has_own_transport = False
        made._transport = made._new_transport()
        return made

    @property
    def mode(self) -> Mode:
        """hosted, embedded or sandbox."""
        return self._core.config.mode

    @property
    def router(self) -> Router:
        """What chooses the models of `smart_select` in embedded and sandbox mode."""
        return self._core.router

    @property
    def spend(self) -> Spend:
        """What this client has spent so far: US dollars and tokens, by model."""
        return self._core.ledger.spend()

    def __repr__(self) -> str:
        if not hasattr(self, "_core"):  # a traceback shows a client whose construction failed
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}(mode={self.mode!r})"

    def _new_transport(self) -> T:
        raise NotImplementedError


def routing_settings(
    k: int,
    model_names: Sequence[str] | None,
    rel_cost: float,
    rel_latency: float,
    rel_accuracy: float,
    verbose: bool,
) -> dict[str, Any]:
    """Return how to choose, by the names of `Routing`'s fields."""
    return {
        "k": k,
        "model_names": model_names,
        "rel_cost": rel_cost,
        "rel_latency": rel_latency,
        "rel_accuracy": rel_accuracy,
        "verbose": verbose,
    }
