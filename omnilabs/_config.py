"""Arguments, then environment, then defaults, in one pure function: the only reader of the environment's names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, TypeAlias, cast, get_args

from omnilabs._frozen import evolve, frozen
from omnilabs._secret import Secret, Veiled
from omnilabs._telemetry import TelemetryMode
from omnilabs.errors import ConfigurationError
from omnilabs.providers import PROVIDERS, Endpoint, ProviderSpec
from omnilabs.providers._registry import HOSTED, SANDBOX, WIRES

__all__ = ["ClientConfig", "Mode", "ProviderConfig", "veil_address", "veil_key", "veil_keys"]

Mode: TypeAlias = Literal["hosted", "embedded", "sandbox"]
ProviderConfig: TypeAlias = Mapping[str, Any]
"""`api_key`, `base_url`, `headers`; for a server of your own also `wire` ("openai" unless said) and `needs_key`."""

_PROVIDER_FIELDS = frozenset({"api_key", "base_url", "headers", "wire", "needs_key", "images_path", "native_schema"})


@frozen
class ClientConfig:
    """How a client works, decided once.

    Attributes:
        mode: hosted, embedded or sandbox.
        endpoints: The providers that can be asked, by name.
        unconfigured: The known providers that cannot, by name, with the way to configure them.
        unasked: Providers that need no key and were not configured: they answer when named, and are never picked.
        timeout_s: Seconds for a whole call, every attempt and fallback together; None is no limit.
        connect_timeout_s: Seconds to reach a server.
        first_byte_timeout_s: Seconds until it begins to answer.
        idle_timeout_s: Seconds without a byte in the middle of an answer.
        max_retries: Attempts after the first, per model.
        max_connections: Connections a client holds open.
        max_response_bytes: Largest answer that is read.
        max_cost_usd: US dollars the client may spend in its life, or None.
        unsupported: What to do with a setting a model cannot take, unless a call says otherwise.
        telemetry: Whether calls are traced: see `ClientOptions`.
    """

    mode: Mode
    endpoints: Mapping[str, Endpoint]
    unconfigured: Mapping[str, str] = field(default_factory=dict[str, str])
    unasked: frozenset[str] = frozenset()
    timeout_s: float | None = 600.0
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 300.0
    idle_timeout_s: float = 120.0
    max_retries: int = 2
    max_connections: int = 100
    max_response_bytes: int = 32 * 1024 * 1024
    max_cost_usd: float | None = None
    unsupported: Literal["error", "drop"] = "error"
    telemetry: TelemetryMode = None

    @classmethod
    def resolve(
        cls,
        environ: Mapping[str, str],
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        mode: str | None = None,
        providers: Mapping[str, ProviderConfig] | None = None,
        **limits: Any,
    ) -> ClientConfig:
        """Return the configuration for these arguments in this environment.

        Raises:
            ConfigurationError: Nothing says whom to ask, or arguments contradict each other.
        """
        environ, api_key, providers = Veiled(environ), veil_key(api_key), veil_keys(providers)
        base_url = veil_address(base_url)
        chosen = _choose_mode(environ, api_key=api_key, base_url=base_url, mode=mode, providers=providers)
        for name, value in limits.items():
            _check_limit(name, value)
        match chosen:
            case "hosted":
                config = cls(chosen, {HOSTED.name: _hosted(environ, api_key, base_url)})
            case "sandbox":
                config = cls(chosen, {SANDBOX.name: Endpoint(SANDBOX, SANDBOX.base_url)})
            case "embedded":
                config = cls(chosen, *_embedded(environ, providers or {}))
        return evolve(config, **limits)

    def endpoint_of(self, provider: str) -> Endpoint | None:
        """Return where to ask a provider: its own endpoint, or the sandbox or the service that stands for all."""
        if self.mode == "embedded":
            return self.endpoints.get(provider)
        return next(iter(self.endpoints.values()))

    def why_not(self, provider: str) -> str:
        """Return how to make a provider available, as a sentence."""
        return self.unconfigured.get(provider) or f'no provider {provider!r}: add it with providers={{"{provider}": …}}'


def _choose_mode(
    environ: Mapping[str, str],
    *,
    api_key: Secret | None,
    base_url: str | None,
    mode: str | None,
    providers: Mapping[str, ProviderConfig] | None,
) -> Mode:
    asked = mode or _get(environ, "OMNI_MODE")
    if asked is not None:
        if asked not in get_args(Mode):
            raise ConfigurationError(f"mode is one of {', '.join(get_args(Mode))}, not {asked!r}")
        if mode is not None and mode != "hosted" and (api_key or base_url):
            given = "api_key" if api_key else "base_url"
            raise ConfigurationError(
                f"{given} belongs to mode='hosted', not to mode={mode!r}: pass providers' keys in providers="
            )
        if asked == "hosted" and providers:
            raise ConfigurationError("mode='hosted' asks the service alone: providers= belongs to mode='embedded'")
        return cast("Mode", asked)
    # Arguments before the environment: who passes providers= means them, whatever OMNI_API_KEY says.
    if api_key or base_url:
        if providers:
            raise ConfigurationError("api_key and base_url belong to the hosted service, providers= to mode='embedded'")
        return "hosted"
    if not providers and (_get(environ, "OMNI_API_KEY") or _get(environ, "OMNI_BASE_URL")):
        return "hosted"
    if providers or any(_is_named(spec, environ) for spec in PROVIDERS.values()):
        return "embedded"
    variables = ", ".join(spec.key_env[0] for spec in PROVIDERS.values() if spec.needs_key)
    raise ConfigurationError(
        "whom to ask is not configured. Three ways out: (1) hosted: set OMNI_API_KEY or pass api_key, or set "
        f"OMNI_BASE_URL to a server that needs none; (2) embedded: set a provider's own key ({variables}) or pass "
        "providers={...}; (3) to try things without any key, ask for made-up answers by name: mode='sandbox' or "
        "OMNI_MODE=sandbox"
    )


def _get(environ: Mapping[str, str], *names: str) -> str | None:
    """Return the first variable that is set to more than white space."""
    return next((value for name in names if (value := environ.get(name, "").strip())), None)


def _is_named(spec: ProviderSpec, environ: Mapping[str, str]) -> bool:
    """Whether the environment has this provider's key, or the address of one that needs none."""
    return _get(environ, *spec.key_env) is not None or (
        not spec.needs_key and _get(environ, *spec.base_url_env) is not None
    )


def _hosted(environ: Mapping[str, str], api_key: Secret | None, base_url: str | None) -> Endpoint:
    key = api_key or veil_key(_get(environ, "OMNI_API_KEY"))
    address = base_url or veil_address(_get(environ, "OMNI_BASE_URL")) or HOSTED.base_url
    return Endpoint(HOSTED, _address(HOSTED.name, address), _secret("api_key", key))


def _embedded(
    environ: Mapping[str, str], providers: Mapping[str, ProviderConfig]
) -> tuple[dict[str, Endpoint], dict[str, str], frozenset[str]]:
    """Return the endpoints, what is missing for the others, and those that were not asked for."""
    endpoints: dict[str, Endpoint] = {}
    missing: dict[str, str] = {}
    unasked: set[str] = set()
    for name, spec in PROVIDERS.items():
        given = providers.get(name)
        address = veil_address(_get(environ, *spec.base_url_env))
        key = veil_key(_get(environ, *spec.key_env))
        if given is not None:
            endpoints[name] = _endpoint(spec, given, address, key)
        elif key is not None or not spec.needs_key:
            endpoints[name] = _endpoint(spec, {}, address, key)
            if key is None and address is None:
                unasked.add(name)
        else:
            missing[name] = _no_key(spec)
    for name in providers.keys() - PROVIDERS.keys():
        endpoints[name] = _own_server(name, providers[name])
    return endpoints, missing, frozenset(unasked)


def _no_key(spec: ProviderSpec) -> str:
    return (
        f"no API key for {spec.name!r}: set {' or '.join(spec.key_env)}, or pass "
        f"providers={{{spec.name!r}: {{'api_key': …}}}}"
    )


def _own_server(name: str, given: ProviderConfig) -> Endpoint:
    wire = given.get("wire", "openai")
    if wire not in WIRES:
        raise ConfigurationError(f"providers[{name!r}]: wire is one of {', '.join(WIRES)}, not {wire!r}")
    if not given.get("base_url"):
        known = ", ".join(PROVIDERS)
        raise ConfigurationError(
            f"providers[{name!r}] is not a known provider ({known}): give its 'base_url', and 'wire' if not openai"
        )
    spec = ProviderSpec(name=name, wire=wire, base_url="", needs_key=bool(given.get("needs_key", False)))
    return _endpoint(spec, given, None, None)


def _endpoint(spec: ProviderSpec, given: ProviderConfig, address: str | None, key: Secret | None) -> Endpoint:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"providers[{spec.name!r}] is a mapping with 'api_key', 'base_url' and the like")
    unknown = sorted(given.keys() - _PROVIDER_FIELDS)
    if unknown:
        raise ConfigurationError(
            f"providers[{spec.name!r}] has the unknown field {unknown[0]!r}: use {', '.join(sorted(_PROVIDER_FIELDS))}"
        )
    changes = {name: given[name] for name in ("images_path", "native_schema", "needs_key") if name in given}
    spec = evolve(spec, **changes)
    base_url = given.get("base_url") or address or spec.base_url
    # The environment's key belongs to the environment's or the provider's own address, not to one given here.
    own_key = given.get("api_key") or (key if not given.get("base_url") else None)
    if spec.needs_key and not own_key and base_url == spec.base_url:
        raise ConfigurationError(_no_key(spec))
    return Endpoint(
        spec,
        _address(spec.name, str(base_url)),
        _secret(spec.name, own_key),
        _headers(spec.name, given.get("headers") or {}),
    )


def _address(name: str, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"the base_url of {name!r} must begin with http:// or https://, not {url[:9]!r}…")
    if veil_address(url) != url or _VEIL in url:
        raise ConfigurationError(f"the base_url of {name!r} holds a user name or password: use api_key or headers")
    return url.rstrip("/")


def veil_key(key: object) -> Secret | None:
    """Return a key, given as text, a `Secret` or another library's secret, as a `Secret`; None for an empty one."""
    if key is None or isinstance(key, Secret):
        return key
    text = str(getattr(key, "get_secret_value", lambda: key)()).strip()
    return Secret(text) if text else None


def veil_address(url: str | None) -> str | None:
    """Return an address without the password it must not have, still wrong enough to be refused."""
    return None if url is None else _USER_INFO.sub(_VEIL, str(url), count=1)


_VEIL = "//…@"
_USER_INFO = re.compile(r"//[^/?#]*@")


def veil_keys(providers: Mapping[str, ProviderConfig] | None) -> Mapping[str, ProviderConfig] | None:
    """Return the providers' settings with every key and header as a `Secret`."""
    if not isinstance(providers, Mapping):
        return providers
    return {name: _veil_fields(given) if isinstance(given, Mapping) else given for name, given in providers.items()}


def _veil_fields(given: ProviderConfig) -> ProviderConfig:
    fields = dict(given)
    if "base_url" in fields:
        fields["base_url"] = veil_address(fields["base_url"])
    if "api_key" in fields:
        fields["api_key"] = veil_key(fields["api_key"])
    if isinstance(fields.get("headers"), Mapping):
        fields["headers"] = {
            str(name): value if isinstance(value, Secret) else Secret(str(value).strip())
            for name, value in fields["headers"].items()
        }
    return fields


def _headers(name: str, headers: object) -> dict[str, Secret]:
    """Return headers that can be sent.

    Raises:
        ConfigurationError: They are no mapping, or one holds what HTTP does not allow; it is not quoted.
    """
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"the headers of {name!r} are a mapping of names to values")
    for header, value in headers.items():
        if not _HEADER_NAME.fullmatch(header) or not (value.reveal().isascii() and value.reveal().isprintable()):
            raise ConfigurationError(f"the header {header!r} of {name!r} holds characters that HTTP does not allow")
    return dict(headers)


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _secret(name: str, key: Secret | None) -> Secret | None:
    """Return a key that can be sent.

    Raises:
        ConfigurationError: It holds what no header can carry.
    """
    if key is not None and not _is_sendable(key):
        raise ConfigurationError(f"the API key of {name!r} holds white space or characters no key has: check it")
    return key


def _is_sendable(key: Secret) -> bool:
    return _SENDABLE.fullmatch(key.reveal()) is not None


_SENDABLE = re.compile(r"[!-~]*")


_COUNTS = frozenset({"max_retries", "max_connections", "max_response_bytes"})


def _check_limit(name: str, value: object) -> None:
    if name == "unsupported":
        if value not in ("error", "drop"):
            raise ConfigurationError(f"unsupported is 'error' or 'drop', not {value!r}")
        return
    if name == "telemetry":
        if value not in (None, True, False, "content"):
            raise ConfigurationError(f"telemetry is True, False, 'content' or None, not {value!r}")
        return
    if value is None and name in ("timeout_s", "max_cost_usd"):
        return
    least = 0 if name == "max_retries" else 1 if name in _COUNTS else 0.001 if name != "max_cost_usd" else 0
    is_number = isinstance(value, int if name in _COUNTS else int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(cast("float", value)) or cast("float", value) < least:
        kind = "a whole number" if name in _COUNTS else "a number"
        raise ConfigurationError(f"{name} is {kind} of at least {least}, not {value!r}")
