"""The fields every model and selector takes: the client's settings by the client's own names, and how to route."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    field_validator,
    model_validator,
)

from langchain_omni._clients import Clients, Mark
from omnilabs import AsyncOmniClient, ClientPair, OmniClient
from omnilabs.router import Router
from omnilabs.types import ModelInfo

__all__ = ["CONFIG", "ROUTING", "OmniSettings"]

# A misspelt setting is an error; LangChain's own classes would ignore it, so each of ours says it again.
# What was given is not repeated in an error: it may be a key.
CONFIG = ConfigDict(
    extra="forbid",
    populate_by_name=True,
    arbitrary_types_allowed=True,
    defer_build=True,
    hide_input_in_errors=True,
)

_WORKED_OUT = ("_serialized", "_client_settings", "_call_defaults", "_identity", "_own_router")
"""Cached properties, LangChain's own `_serialized` among them."""
_KEY_SUFFIX = "_api_key"
_VARIABLES = {"api_key": "OMNI_API_KEY", "base_url": "OMNI_BASE_URL"}
_USER_INFO = re.compile(r"([^/?#]*//)?[^/?#]*@")
_LIVE = ("router", "client", "async_client")
ROUTING = ("k", "model_names", "rel_cost", "rel_latency", "rel_accuracy", "max_latency_s", "min_quality")


if TYPE_CHECKING:
    Key: TypeAlias = SecretStr | str
    """A key as it may be given; it is held as a secret."""
else:
    Key = SecretStr


class OmniSettings(BaseModel):
    """Whom to ask and how to choose. Constructing it opens nothing and asks nobody.

    Left out, a setting is what `omnilabs.OmniClient` makes of it: argument, then environment, then default.
    """

    model_config = CONFIG

    mode: Literal["hosted", "embedded", "sandbox"] | None = None
    """hosted, embedded or sandbox; falls back to `OMNI_MODE`, then to what the keys suggest."""
    api_key: Key | None = None
    """Key of the hosted service; falls back to `OMNI_API_KEY`."""
    base_url: str | None = None
    """Address of an OmniRouter server; falls back to `OMNI_BASE_URL`."""
    providers: dict[str, dict[str, Any]] | None = None
    """Keys and addresses of providers, by name: `{"openai": {"api_key": ...}}`."""
    models: Sequence[ModelInfo] | None = Field(default=None, exclude=True)
    """The models to choose from, instead of the catalogue."""
    router: Router | None = Field(default=None, exclude=True)
    """A router of your own, fitted to your traffic."""
    timeout_s: float | None = Field(default=None, validation_alias=AliasChoices("timeout_s", "timeout"))
    """Seconds for a whole call, every attempt and fallback together."""
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    max_retries: int | None = None
    """How often one model is tried again after a passing failure."""
    max_connections: int | None = None
    max_response_bytes: int | None = None
    max_cost_usd: float | None = None
    """US dollars the client may spend in its life."""
    unsupported: Literal["error", "drop"] | None = None
    """What to do with a setting a model cannot take: refuse it, or leave it out and report it."""
    telemetry: bool | Literal["content"] | None = None
    """Spans and metrics by OpenTelemetry's conventions; "content" puts messages and answers into them."""
    client: OmniClient | None = Field(default=None, exclude=True, repr=False)
    """A ready client for blocking calls, instead of the settings above."""
    async_client: AsyncOmniClient | None = Field(default=None, exclude=True, repr=False)
    """A ready client for asyncio, instead of the settings above."""

    k: int | None = None
    """How many models to consider, 1 to 10."""
    model_names: list[str] | None = None
    """Choose among these only."""
    rel_cost: float | None = None
    """Weight of the expected cost, 0 to 1."""
    rel_latency: float | None = None
    """Weight of the expected time, 0 to 1."""
    rel_accuracy: float | None = None
    """Weight of the expected quality, 0 to 1."""
    max_latency_s: float | None = None
    """Leave out models expected to take longer, in seconds."""
    min_quality: float | None = None
    """Leave out models expected to do worse, 0 to 1."""

    shared_clients: Clients = Field(default_factory=Clients, init=False, exclude=True, repr=False)
    """Not to be set: what copies have in common. A field, because LangChain's `configurable_fields` copies fields only.
    """

    @field_validator("models", mode="before")
    @classmethod
    def _read_stored_models(cls, models: Any) -> Any:
        """Read models as they are stored, too."""
        if not isinstance(models, Sequence):
            return models
        return [_stored_model().validate_python(one) if isinstance(one, Mapping) else one for one in models]

    @field_validator("base_url")
    @classmethod
    def _refuse_password(cls, url: str | None) -> str | None:
        return None if url is None else _without_password(url)

    @model_validator(mode="before")
    @classmethod
    def _gather_provider_keys(cls, values: Any) -> Any:
        """Read `openai_api_key=...`, which is how a stored model gets its keys back, as the provider's `api_key`."""
        if not isinstance(values, dict):
            return values
        keys = {name: values[name] for name in values if name.endswith(_KEY_SUFFIX)}
        if not keys:
            return values
        providers = dict(values.get("providers") or {})
        for name, key in keys.items():
            provider = name.removesuffix(_KEY_SUFFIX)
            if key is not None:
                providers[provider] = {**providers.get(provider, {}), "api_key": key}
        return {**{name: value for name, value in values.items() if name not in keys}, "providers": providers or None}

    @field_validator("providers", mode="before")
    @classmethod
    def _mask_provider_secrets(cls, providers: Any) -> Any:
        if not isinstance(providers, dict):
            return providers
        return {name: _masked(name, given) for name, given in providers.items()}

    @model_validator(mode="after")
    def _read_environment(self) -> Self:
        """Show the hosted service's key and address where the client would read them from the environment."""
        if self.client is not None or self.async_client is not None:
            ready = self.client or self.async_client
            self.mode = self.mode or (None if ready is None else ready.mode)
        elif self.mode in (None, "hosted"):
            for name, variable in _VARIABLES.items():
                if getattr(self, name) is None and (value := os.environ.get(variable)):
                    vars(self)[name] = SecretStr(value) if name == "api_key" else value
                    self.shared_clients.environment[name] = getattr(self, name)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Let LangChain's own classes finish too: pydantic would stop at this one."""
        super().model_post_init(context)

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Where each key is read from when a stored model is loaded again; the keys themselves are never stored."""
        return {"api_key": "OMNI_API_KEY", **{name: name.upper() for name in self._provider_keys()}}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What is stored in the place of fields: providers without keys and headers, which may be keys; models as JSON.

        A router or a client cannot be stored: a mark stands for it, which LangChain refuses to load.
        """
        stored: dict[str, Any] = {**self._marks()}
        if self.models is not None:
            stored["models"] = [_stored_model().dump_python(model, mode="json") for model in self.models]
        if self.providers:
            stored["providers"] = {
                provider: {name: value for name, value in given.items() if name not in ("api_key", "headers")}
                for provider, given in self.providers.items()
            }
        return {**stored, **self._provider_keys()}

    def _marks(self) -> dict[str, Mark]:
        return {name: Mark.of(value) for name in _LIVE if (value := getattr(self, name)) is not None}

    def _provider_keys(self) -> dict[str, Any]:
        given = (self.providers or {}).items()
        return {f"{name}{_KEY_SUFFIX}": fields["api_key"] for name, fields in given if fields.get("api_key")}

    def _pair(self) -> ClientPair:
        """Return the clients to ask by.

        Raises:
            ConfigurationError: A ready client and settings of one were given; all else is said by the client itself.
        """
        clients = self.shared_clients.for_settings(self._client_settings)
        if clients is not self.shared_clients:
            vars(self)["shared_clients"] = clients
        return clients.pair()

    @cached_property
    def _client_settings(self) -> dict[str, Any]:
        names = ClientPair.SETTINGS
        if self.client or self.async_client:  # whose mode is shown as the model's own
            names = ("client", "async_client", *(name for name in names if name != "mode"))
        return {name: value for name in names if (value := self._given(name)) is not None}

    # What was worked out from the fields must not outlive a change of them: it is part of every cache key.

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._forget()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; it shares the connections unless the update changes whom to ask."""
        copied = super().model_copy(update=update, deep=deep)
        copied._forget()
        return copied

    def _forget(self) -> None:
        for name in _WORKED_OUT:
            vars(self).pop(name, None)

    def _given(self, name: str) -> Any:
        """Return a setting of the client as it was passed; what came from the environment is left to the client."""
        value = getattr(self, name)
        if name in _VARIABLES and (
            name not in self.model_fields_set or value == self.shared_clients.environment.get(name)
        ):
            return None
        if name == "providers" and value is not None:
            return {provider: _unmasked(given) for provider, given in value.items()}
        return value

    def _routing(self) -> dict[str, Any]:
        return {name: value for name in ROUTING if (value := getattr(self, name)) is not None}


@cache
def _stored_model() -> TypeAdapter[ModelInfo]:
    return TypeAdapter(ModelInfo)


def _masked(provider: str, given: object) -> dict[str, Any]:
    """Return a provider's settings with its key and headers, which may hold another, as secrets.

    Raises:
        ValueError: They are no mapping; what was given is not repeated.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f'the settings of {provider!r} are a mapping, such as {{"api_key": ...}}')
    masked: dict[str, Any] = dict(cast("Mapping[str, Any]", given))
    if isinstance(masked.get("base_url"), str):
        _without_password(masked["base_url"])
    if not isinstance(masked.get("headers") or {}, Mapping):
        raise ValueError(f"the headers of {provider!r} are a mapping of names to values")
    if masked.get("api_key") is not None:
        masked["api_key"] = _secret(masked["api_key"])
    if masked.get("headers"):
        masked["headers"] = {name: _secret(value) for name, value in masked["headers"].items()}
    return masked


def _without_password(url: str) -> str:
    """Return an address.

    Raises:
        ValueError: It holds a password, which would show wherever addresses do.
    """
    if _USER_INFO.match(url):
        raise ValueError("the address holds a user name or password: use api_key or headers")
    return url


def _secret(value: Any) -> Any:
    return SecretStr(value) if isinstance(value, str) else value


def _unmasked(given: dict[str, Any]) -> dict[str, Any]:
    """Return a provider's settings as the client takes them; it unwraps the key itself, at the last moment."""
    headers = given.get("headers")
    if not headers:
        return given
    return {**given, "headers": {name: value.get_secret_value() for name, value in headers.items()}}
