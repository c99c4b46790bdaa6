"""What both clients share: configuration, the router, and turning arguments into a call and a request. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypedDict

from omnilabs._allowance import Allowance
from omnilabs._breaker import Breaker
from omnilabs._call import Call
from omnilabs._config import ClientConfig, ProviderConfig
from omnilabs._decision import Decision
from omnilabs._frozen import frozen
from omnilabs._http import AsyncTransport, HttpLimits, HttpRequest, HttpResponse, Transport
from omnilabs._learner import Learner
from omnilabs._models import Capabilities, ModelInfo
from omnilabs._request import LIMITS, ChatRequest, Routing, build_request, build_routing, call_options
from omnilabs._retry import RetryPolicy
from omnilabs._secret import Secret
from omnilabs._spend import Ledger
from omnilabs._telemetry import Telemetry, TelemetryMode, Trace
from omnilabs.errors import (
    ConfigurationError,
    InvalidRequestError,
    NoEligibleModelError,
    UnknownModelError,
    UnsupportedParameterError,
)
from omnilabs.providers import Target
from omnilabs.providers import _omnirouter as hosted
from omnilabs.providers import _openai_images as openai_images
from omnilabs.router import Router
from omnilabs.router._catalog import Catalog

__all__ = ["ClientCore", "ClientOptions", "Errand", "Plan"]


class ClientOptions(TypedDict, total=False):
    """Settings of a client, keyword-only.

    Keys:
        timeout_s: Seconds for a whole call, every attempt and fallback together (default 600; None is no limit).
        connect_timeout_s: Seconds to reach a server (10).
        first_byte_timeout_s: Seconds until it begins to answer (300).
        idle_timeout_s: Seconds without a byte in the middle of an answer (120).
        max_retries: Attempts after the first, per model (2).
        max_connections: Connections held open (100).
        max_response_bytes: Largest answer that is read (32 MiB).
        max_cost_usd: US dollars the client may spend in its life (None: no limit).
        unsupported: What to do with a setting a model cannot take: "error" (default) or "drop" and report it.
        telemetry: OpenTelemetry spans and metrics: True, False, "content" for messages and answers in the spans too, or
            None (default): where the application has set a tracer provider up.
    """

    timeout_s: float | None
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    max_retries: int
    max_connections: int
    max_response_bytes: int
    max_cost_usd: float | None
    unsupported: Literal["error", "drop"]
    telemetry: TelemetryMode


# The server knows what an unlisted model can do; a request it cannot serve comes back with its own words.
_ANYTHING = Capabilities(tools=True, images=True, pdf=True, audio=True, json_schema=True, reasoning=True)


@frozen
class Plan:
    """A call ready to be driven."""

    call: Call
    request: ChatRequest


@frozen
class Errand:
    """A call that is not a chat, ready to be driven: what to send, and how to read the answer."""

    call: Call
    http: HttpRequest
    read: Callable[[HttpResponse, Target], Any]


class ClientCore:
    """One client's configuration and memory."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        api_key: Secret | None,
        base_url: str | None,
        mode: str | None,
        providers: Mapping[str, ProviderConfig] | None,
        models: Sequence[ModelInfo] | None,
        router: Router | None,
        options: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        unknown = sorted(options.keys() - ClientOptions.__annotations__.keys())
        if unknown:
            known = ", ".join(sorted(ClientOptions.__annotations__))
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}; settings are: {known}")
        if models is not None and router is not None:
            raise ConfigurationError("pass models= or router=, not both: a router has its own models")
        self.config = ClientConfig.resolve(
            environ, api_key=api_key, base_url=base_url, mode=mode, providers=providers, **options
        )
        self.router = router or Router(models)
        self._clock = clock
        self._forms: dict[tuple[str, ...], str] = {}
        self._breaker = Breaker(clock)
        self.ledger = Ledger()
        self._allowance = Allowance(self.config, self.router, self.ledger)
        self._telemetry: Telemetry | None = None

    # ---- plans

    def chat(
        self,
        messages: object,
        model: object,
        temperature: float | None,
        max_tokens: int | None,
        options: Mapping[str, Any],
    ) -> Plan:
        """Return the plan of a call to one named model, or to the models of a decision in its order.

        Raises:
            InvalidRequestError: Bad input, or an unknown model with the nearest names.
            ConfigurationError: No key for the model's provider.
            BudgetExceededError: It may cost more than is allowed.
        """
        request = self._request(messages, temperature, max_tokens, None, options)
        decision = model if isinstance(model, Decision) else None
        names = [model] if decision is None else [candidate.model for candidate in decision.ranked]
        targets = [self.target(self.resolve(name)) for name in names]
        expected_usd = [self._allowance.check(request, target.model, options) for target in targets]
        # Reading the prompt again to learn lengths is worth its time only where the router had read it before.
        call = self._call(targets, options, self._learner(request if decision is not None else None))
        call.decision = decision
        return self._ready(call, request, expected_usd[0])

    def smart_select(
        self,
        messages: object,
        temperature: float | None,
        max_tokens: int | None,
        routing: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Plan:
        """Return the plan of a call to the models the router ranks best.

        Raises:
            InvalidRequestError: Bad input.
            NoEligibleModelError: No model can answer, with each one's reason.
        """
        request = self._request(messages, temperature, max_tokens, build_routing(**routing), options)
        if self.config.mode == "hosted":
            return self._ready(self._call([self.target(self.resolve("auto"))], options), request)
        decision = self._plan(request, options)
        targets = [self.target(self.resolve(candidate.model)) for candidate in decision.ranked]
        call = self._call(targets, options, self._learner(request))
        call.decision = decision
        return self._ready(call, request, decision.pick.cost_usd)

    def select(
        self,
        messages: object,
        temperature: float | None,
        max_tokens: int | None,
        routing: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Decision:
        """Return the decision alone.

        Raises:
            ConfigurationError: In hosted mode, whose server decides only together with an answer.
            NoEligibleModelError: No model can answer, with each one's reason.
        """
        if self.config.mode == "hosted":
            raise ConfigurationError(
                "the hosted service has no route for the decision alone: call smart_select(verbose=True), or use "
                "mode='embedded' with your own keys, or omnilabs.router.Router without any"
            )
        return self._plan(self._request(messages, temperature, max_tokens, build_routing(**routing), options), options)

    def model_listing(self, model_type: str | None) -> list[dict[str, Any]] | Errand:
        """Return the records of the models that can be asked, or in hosted mode how to ask for them.

        Raises:
            InvalidRequestError: An unknown `model_type`.
        """
        if model_type not in (None, "chat", "image", "reasoning"):
            raise InvalidRequestError(
                f"model_type is 'chat', 'image' or None, not {model_type!r}", parameter="model_type"
            )
        if self.config.mode == "hosted":
            target = self.target(self.resolve("models"))
            http = hosted.models_request(target.endpoint, model_type)
            return Errand(self._call([target], {}), http, lambda reply, _: hosted.parse_models(reply))
        listed = [model for model in self.router.catalog.models if self.available(model) is None]
        return [model.to_dict() for model in listed if model_type is None or _is_of_type(model, model_type)]

    def image(self, prompt: str, model: str, size: str, quality: str, n: int) -> Errand:
        """Return how to have pictures made.

        Raises:
            InvalidRequestError: Bad input, or a model or provider that makes no pictures.
        """
        if not isinstance(prompt, str) or not prompt.strip():
            raise InvalidRequestError("prompt is empty: say what to show", parameter="prompt")
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 10:
            raise InvalidRequestError(f"n is the number of pictures, 1 to 10, not {n!r}", parameter="n")
        info = self.resolve(model)
        listed = self.router.find(info.id)
        if listed is not None and listed.kind == "chat":
            raise InvalidRequestError(f"{model!r} is a chat model: name an image model", parameter="model")
        target = self.target(info)
        if self.config.mode == "hosted":
            http = hosted.image_request(target.endpoint, prompt=prompt, model=model, size=size, quality=quality, n=n)
            return Errand(self._call([target], {}), http, lambda reply, _: hosted.parse_images(reply))
        if self.config.mode == "sandbox":
            raise UnsupportedParameterError("the sandbox makes no pictures", parameters=("mode",), model=model)
        http = openai_images.image_request(target, prompt=prompt, size=size, quality=quality, n=n)
        return Errand(self._call([target], {}), http, openai_images.parse_images)

    # ---- models

    def resolve(self, name: object) -> ModelInfo:
        """Return the model of a name: an id, an alias, or `provider/name` for any model of a known provider.

        Raises:
            UnknownModelError: With the nearest known names.
        """
        if not isinstance(name, str) or not name.strip():
            raise InvalidRequestError(f"model is the id of a model, not {name!r}", parameter="model")
        if self.config.mode == "hosted":
            return ModelInfo(name, "omnirouter", capabilities=_ANYTHING)
        if self.config.mode == "sandbox" and name.startswith("sandbox/"):
            return _sandbox_model(name)
        known = self.router.find(name) or Catalog.load().find(name)
        if known is not None:
            return known
        provider, _, rest = name.replace(":", "/", 1).partition("/") if "/" not in name else name.partition("/")
        if rest and (provider in self.config.unconfigured or provider in self.config.endpoints):
            return ModelInfo(f"{provider}/{rest}", provider, rest, capabilities=_ANYTHING)
        nearest = self.router.nearest(name)
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        auto = "; smart_select() picks a model for you" if name == "auto" else ""
        raise UnknownModelError(
            f"unknown model {name!r}{hint}{auto}; a model the catalogue does not list goes as 'provider/name'",
            nearest=nearest,
            model=name,
        )

    def target(self, model: ModelInfo) -> Target:
        """Return where to ask a model.

        Raises:
            ConfigurationError: No key for its provider, naming the variable.
        """
        endpoint = self.config.endpoint_of(model.provider)
        if endpoint is None:
            raise ConfigurationError(self.config.why_not(model.provider), provider=model.provider, model=model.id)
        return Target(endpoint, model)

    def available(self, model: ModelInfo) -> str | None:
        """Return None when a model can be chosen now, otherwise why not."""
        return self._unconfigured(model) or self._breaker.reason(self.target(model))

    def _unconfigured(self, model: ModelInfo) -> str | None:
        if self.config.mode != "embedded":
            return None
        if model.provider not in self.config.endpoints:
            return self.config.why_not(model.provider)
        if model.provider in self.config.unasked:
            return f"{model.provider!r} needs no key but was not configured: set its address, or name it in providers="
        return None

    # ---- transports

    def transport(self) -> Transport:
        """Return the transport of a blocking client; it opens nothing before the first call."""
        if self.config.mode == "sandbox":
            from omnilabs._sandbox import SandboxTransport

            return SandboxTransport()
        from omnilabs._transport import HttpTransport

        return HttpTransport(self.config.max_connections)

    def async_transport(self) -> AsyncTransport:
        """Return the transport of an asyncio client; it opens nothing before the first call."""
        if self.config.mode == "sandbox":
            from omnilabs._sandbox import AsyncSandboxTransport

            return AsyncSandboxTransport()
        from omnilabs._transport import AsyncHttpTransport

        return AsyncHttpTransport(self.config.max_connections)

    # ---- parts

    def _request(
        self,
        messages: object,
        temperature: float | None,
        max_tokens: int | None,
        routing: Routing | None,
        options: Mapping[str, Any],
    ) -> ChatRequest:
        limits = LIMITS & call_options(options).keys()
        if limits and self.config.mode == "hosted":
            raise UnsupportedParameterError(
                f"the hosted service chooses and charges by itself, so {', '.join(sorted(limits))} cannot be kept: "
                "leave it out; max_cost_usd of the client stops it once that much is spent",
                parameters=sorted(limits),
            )
        return build_request(
            messages,
            temperature=temperature,
            max_tokens=max_tokens,
            routing=routing,
            options=options,
            unsupported=self.config.unsupported,
        )

    def _plan(self, request: ChatRequest, options: Mapping[str, Any]) -> Decision:
        limits = self._allowance.limits(options)
        try:
            return self._allowance.choose(request, limits, options, self.available)
        except NoEligibleModelError as error:
            resting = self._resting(error.rejected)
            if resting is None:
                raise
        # Everything that could answer is resting after failures: better to try the one that is due first than nothing.
        return self._allowance.choose(
            request, limits, options, lambda model: None if model.id == resting else "another model is due earlier"
        )

    def _resting(self, rejected: Mapping[str, str]) -> str | None:
        """Return the model whose breaker closes first, among those rejected for nothing else."""
        waits: dict[str, float] = {}
        for name, reason in rejected.items():
            model = self.router.find(name)
            if model is not None and self._unconfigured(model) is None:
                target = self.target(model)
                if self._breaker.reason(target) is not None and "to be tried again in" in reason:
                    waits[name] = self._breaker.opens_in_s(target)
        return min(waits, key=lambda name: (waits[name], name), default=None)

    def _ready(self, call: Call, request: ChatRequest, expected_usd: Decimal | None = None) -> Plan:
        """Return the plan of a chat: what it may cost is held back from a budget, and a trace listens where wanted.

        Raises:
            BudgetExceededError: The client's budget does not allow it beside the calls under way.
            ConfigurationError: It is to be traced, and OpenTelemetry is not installed.
        """
        telemetry = self._wanted_telemetry()
        self._allowance.hold(call, expected_usd)
        if telemetry is not None:
            trace = Trace(telemetry, request, call.targets, call.decision, self._clock)
            call.observers = (*call.observers, trace)
        return Plan(call, request)

    def _wanted_telemetry(self) -> Telemetry | None:
        mode = self.config.telemetry
        if not Telemetry.is_wanted(mode):
            return None
        if self._telemetry is None:
            self._telemetry = Telemetry(with_content=mode == "content")
        return self._telemetry

    def _learner(self, request: ChatRequest | None) -> Learner | None:
        # A server's own choice and the sandbox's made-up answers tell nothing of the models.
        return Learner(self.router, request) if self.config.mode == "embedded" else None

    def _call(self, targets: Sequence[Target], options: Mapping[str, Any], learner: Learner | None = None) -> Call:
        config = self.config
        timeout_s = options.get("timeout_s") or config.timeout_s
        retries = options.get("max_retries")
        return Call(
            targets=targets,
            retry=RetryPolicy(config.max_retries if retries is None else retries),
            clock=self._clock,
            limits=HttpLimits(
                config.connect_timeout_s,
                config.first_byte_timeout_s,
                config.idle_timeout_s,
                None if timeout_s is None else self._clock() + timeout_s,
                config.max_response_bytes,
            ),
            forms=self._forms,
            observers=(self._breaker, self.ledger) if learner is None else (self._breaker, self.ledger, learner),
        )


def _is_of_type(model: ModelInfo, model_type: str) -> bool:
    return model.capabilities.reasoning if model_type == "reasoning" else model.kind == model_type


def _sandbox_model(name: str) -> ModelInfo:
    from omnilabs._sandbox import FAULTS

    fault = name.removeprefix("sandbox/")
    if fault not in FAULTS:
        raise UnknownModelError(
            f"the sandbox has no fault {fault!r}: use one of {', '.join(FAULTS)}", nearest=tuple(FAULTS), model=name
        )
    return ModelInfo(name, "sandbox", fault, capabilities=_ANYTHING)
