"""The fields of `OmniLLM`: the client's settings by the client's own names, how to route, what to send."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from llama_index.core.bridge.pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_serializer,
    field_validator,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import TypeAdapter

from llamaindex_omni._tool_loops import ToolLoops
from omnilabs import AsyncOmniClient, ClientPair, OmniClient
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router
from omnilabs.types import ChatOptions, Decision, ModelInfo

__all__ = ["OmniSettings"]

# Of a provider's entry, what may be written down; `headers` hold keys as often as not.
_SECRET_FIELDS = frozenset({"api_key", "headers"})
_NOT_PICKLED = ("api_key", "client", "async_client", "router")


if TYPE_CHECKING:
    Key: TypeAlias = SecretStr | str
    """A key as it may be given; it is held as a secret."""
else:
    Key = SecretStr


class OmniSettings(FunctionCallingLLM):
    """What an `OmniLLM` is made of. A client setting left at None is what `omnilabs.OmniClient` makes of it.

    Dumps, pickles, repr and payloads hold no key: the other side reads it from its own environment.
    """

    # The validator is built with the first instance: an import should not pay for it, four classes over.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, defer_build=True)

    model: str = Field(default="auto", description="A model's id, or 'auto' to choose one for each call.")
    temperature: float | None = Field(default=None, description="0 to 2; not sent unless set.")
    max_tokens: int | None = Field(default=None, description="Longest answer in tokens; not sent unless set.")
    additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of every call, by the names of omnilabs.types.ChatOptions."
    )

    rel_accuracy: float = Field(default=0.5, description="Weight of the expected quality, 0 to 1.")
    rel_cost: float = Field(default=0.5, description="Weight of the expected cost, 0 to 1.")
    rel_latency: float = Field(default=0.0, description="Weight of the expected time, 0 to 1.")
    k: int = Field(default=5, description="How many models to consider, 1 to 10.")
    model_names: list[str] | None = Field(default=None, description="Choose among these only.")
    verbose: bool = Field(default=False, description="Explain each choice in words and numbers.")
    sticky: Literal["off", "tool_loop"] = Field(
        default="tool_loop", description="Stay with one model within a tool loop."
    )
    context_window: int | None = Field(
        default=None, description="Tokens; instead of the smallest window among the candidates."
    )

    mode: Literal["hosted", "embedded", "sandbox"] | None = None
    api_key: Key | None = Field(default=None, exclude=True, repr=False)
    base_url: str | None = None
    providers: dict[str, dict[str, Any]] | None = Field(default=None, repr=False)
    models: list[ModelInfo] | None = Field(default=None, repr=False)
    router: Router | None = Field(default=None, exclude=True, repr=False)
    client: OmniClient | None = Field(default=None, exclude=True, repr=False)
    async_client: AsyncOmniClient | None = Field(default=None, exclude=True, repr=False)
    timeout_s: float | None = None
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    max_retries: int | None = None
    max_connections: int | None = None
    max_response_bytes: int | None = None
    max_cost_usd: float | None = None
    unsupported: Literal["error", "drop"] | None = None
    telemetry: bool | Literal["content"] | None = None

    _clients: ClientPair = PrivateAttr()
    _loops: ToolLoops = PrivateAttr(default_factory=ToolLoops)

    if not TYPE_CHECKING:  # type checkers read the fields

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            _check_names(self.additional_kwargs)
            # Not in a validator: pydantic would wrap a ConfigurationError in its own.
            self._clients = ClientPair(client=self.client, async_client=self.async_client, **self._client_settings())
            _ = self._clients.mode  # what is wrong with the settings is said here, not at the first call

    def _client_settings(self) -> dict[str, Any]:
        return {name: value for name in ClientPair.SETTINGS if (value := getattr(self, name)) is not None}

    @field_validator("models", mode="before")
    @classmethod
    def _read_models(cls, models: Any) -> Any:
        """Read models as `to_dict` writes them."""
        if models is None:
            return None
        return [item if isinstance(item, ModelInfo) else _model_adapter().validate_python(item) for item in models]

    @field_serializer("models")
    def _write_models(self, models: list[ModelInfo] | None) -> list[Any] | None:
        return None if models is None else [_model_adapter().dump_python(item, mode="json") for item in models]

    @field_serializer("providers")
    def _write_providers(self, providers: dict[str, dict[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
        return _without_secrets(providers)

    # ---- copies

    def pinned(self, model: str | Decision) -> Self:
        """Return the same LLM with this model, or a decision's first; it shares the connections."""
        return self.model_copy(update={"model": model if isinstance(model, str) else model.model})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy everything but the connections and what routers learn, which copies share."""
        memo = {} if memo is None else memo
        for shared in (self.client, self.async_client, self.router, self._loops):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, Any]]]:
        """Pickle the fields without keys.

        Raises:
            TypeError: The LLM was given ready clients or a router, which live in one process.
        """
        if self._clients.is_given or self.router is not None:
            given = "a router" if self.router is not None else "ready clients"
            raise TypeError(f"an OmniLLM with {given} cannot be pickled: give it the settings of a client instead")
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in _NOT_PICKLED}
        fields["providers"] = _without_secrets(self.providers)
        return _rebuild, (type(self), fields)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    # ---- life

    def close(self) -> None:
        """Close the blocking connections; a later call opens new ones. Ready clients stay open."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close this event loop's connections and the blocking ones. Ready clients stay open."""
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _check_names(additional_kwargs: Mapping[str, Any]) -> None:
    """Refuse what no call would take, before the first one.

    Raises:
        ConfigurationError: Naming the setting and the known ones.
    """
    known = ChatOptions.__annotations__.keys()
    unknown = sorted(additional_kwargs.keys() - known)
    if unknown:
        raise ConfigurationError(
            f"additional_kwargs holds the unknown setting {unknown[0]!r}: use {', '.join(sorted(known))}; what else a "
            "provider takes goes into extra_body"
        )


def _rebuild(cls: Callable[..., Any], fields: Mapping[str, Any]) -> Any:
    return cls(**fields)


def _without_secrets(providers: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
    if providers is None:
        return None
    return {
        name: {key: copy.deepcopy(value) for key, value in fields.items() if key not in _SECRET_FIELDS}
        for name, fields in providers.items()
    }


def _model_adapter() -> TypeAdapter[ModelInfo]:
    return TypeAdapter(ModelInfo)
