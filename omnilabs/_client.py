"""`OmniClient` and `AsyncOmniClient`: arguments in, a flow driven, a response out. All but the driver is shared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, Unpack, overload

from omnilabs._config import Mode, ProviderConfig, veil_address, veil_key, veil_keys
from omnilabs._core import ClientCore, ClientOptions, Plan
from omnilabs._decision import Decision
from omnilabs._drive import AsyncChatStream, ChatStream, adrive, drive
from omnilabs._flow import chat_flow, plain_flow, stream_flow
from omnilabs._http import AsyncTransport, Transport
from omnilabs._messages import ChatMessage
from omnilabs._models import ModelInfo
from omnilabs._request import DEFAULT_TEMPERATURE, ChatOptions
from omnilabs._response import ChatResponse
from omnilabs._secret import Veiled
from omnilabs._spend import Spend
from omnilabs.errors import ConfigurationError
from omnilabs.router import Router

__all__ = ["AsyncOmniClient", "OmniClient"]

Messages: TypeAlias = Sequence[ChatMessage | Mapping[str, Any]]
T = TypeVar("T", Transport, AsyncTransport)


class _Client(Generic[T]):
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
    def sharing(cls, client: OmniClient | AsyncOmniClient) -> Self:
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


class OmniClient(_Client[Transport]):
    """One interface to all models; blocking. `AsyncOmniClient` is the same for asyncio.

    ```python
    from omnilabs import OmniClient

    with OmniClient() as client:
        answer = client.chat([{"role": "user", "content": "Tell me a joke."}], "gpt-4o-mini")
        print(answer["content"], answer.usage.total_cost)
    ```

    Constructing it opens nothing. It is thread-safe; close it, or use it in a `with` block.
    """

    def _new_transport(self) -> Transport:
        return self._core.transport()

    @overload
    def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: Literal[False] = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        *,
        stream: Literal[True],
        **options: Unpack[ChatOptions],
    ) -> ChatStream: ...

    @overload
    def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | ChatStream: ...

    def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | ChatStream:
        """Ask one model.

        Args:
            messages: `ChatMessage` values or dicts with `role` and `content`.
            model: A model's id (`gpt-4o-mini`), or `provider/name`; or a decision of `select`, whose models are
                asked in its order.
            temperature: 0 to 2; None leaves it to the provider. The default of 0.7 is not sent to a model that takes
                none.
            max_tokens: Longest answer in tokens; None means the model's default.
            stream: Return the answer's chunks as they come, to iterate over.
            **options: Tools, schemas, reasoning and everything else: see `ChatOptions`.

        Raises:
            InvalidRequestError: Bad input; nothing was sent.
            ConfigurationError: No key for the model's provider; nothing was sent.
            OmniError: The provider's failure, by class; `.attempts` holds every attempt.
        """
        return self._answer(self._core.chat(messages, model, temperature, max_tokens, options), stream)

    @overload
    def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[False] = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[True],
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatStream: ...

    @overload
    def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | ChatStream: ...

    def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | ChatStream:
        """Choose the model for these messages, and ask it; on its failure the next of the `k` best.

        Args:
            messages: `ChatMessage` values or dicts with `role` and `content`.
            k: How many models to consider, 1 to 10.
            model_names: Choose among these only.
            rel_cost: Weight of the expected cost, 0 to 1.
            rel_latency: Weight of the expected time, 0 to 1.
            rel_accuracy: Weight of the expected quality, 0 to 1. Weights are normalised to sum 1.
            verbose: Add an `explanation` in words and numbers.
            stream: Return the answer's chunks as they come, to iterate over.
            temperature: As in `chat`; None leaves it to the provider.
            max_tokens: As in `chat`.
            **options: As in `chat`.

        Raises:
            NoEligibleModelError: No model can answer this request; `.rejected` holds each one's reason.
            AllCandidatesFailedError: All of the `k` best failed; `.failures` holds their errors.
            OmniError: As `chat`.
        """
        return self._answer(
            self._core.smart_select(
                messages,
                temperature,
                max_tokens,
                _routing(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
                options,
            ),
            stream,
        )

    def select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> Decision:
        """Return the decision `smart_select` would take, with its reasons; nothing is sent and nothing spent.

        Takes what `smart_select` takes.

        Raises:
            ConfigurationError: In hosted mode: the service decides only together with an answer.
            NoEligibleModelError: No model can answer this request; `.rejected` holds each one's reason.
        """
        return self._core.select(
            messages,
            temperature,
            max_tokens,
            _routing(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
            options,
        )

    def get_available_models(self, model_type: str | None = None) -> list[dict[str, Any]]:
        """Return the records of the models that can be asked: 'chat', 'image', or None for all.

        A record has `id`, `name`, `provider`, `description`, `max_tokens`, `benchmarks`, `cost_per_million_tokens`
        (US dollars, blended) and `latency` (seconds to the first token), as far as they are known.
        """
        listing = self._core.model_listing(model_type)
        if isinstance(listing, list):
            return listing
        return drive(plain_flow(listing.call, listing.http, listing.read), self._transport)

    def generate_image(
        self, prompt: str, model: str = "dall-e-3", size: str = "1024x1024", quality: str = "standard", n: int = 1
    ) -> dict[str, Any]:
        """Generate pictures; return `{"urls": [...], "model", "provider"}`.

        Args:
            prompt: What to show.
            model: An image model's id.
            size: 256x256, 512x512, 1024x1024, or another size the model takes.
            quality: standard, hd, or another the model takes.
            n: How many pictures, 1 to 10.

        Raises:
            InvalidRequestError: Bad input; nothing was sent.
            OmniError: The provider's failure, by class.
        """
        task = self._core.image(prompt, model, size, quality, n)
        return drive(plain_flow(task.call, task.http, task.read), self._transport)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, plan: Plan, stream: bool) -> ChatResponse | ChatStream:
        if stream:
            return ChatStream(drive(stream_flow(plan.call, plan.request), self._transport))
        return drive(chat_flow(plan.call, plan.request), self._transport)


class AsyncOmniClient(_Client[AsyncTransport]):
    """`OmniClient` for asyncio: the same methods and arguments, awaited.

    ```python
    from omnilabs import AsyncOmniClient

    async with AsyncOmniClient() as client:
        stream = await client.chat([{"role": "user", "content": "Tell me a joke."}], "gpt-4o-mini", stream=True)
        async for chunk in stream:
            print(chunk["content"], end="")
    ```

    One object serves any number of event loops, one after the other or in several threads.
    """

    def _new_transport(self) -> AsyncTransport:
        return self._core.async_transport()

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: Literal[False] = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        *,
        stream: Literal[True],
        **options: Unpack[ChatOptions],
    ) -> AsyncChatStream: ...

    @overload
    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream: ...

    async def chat(
        self,
        messages: Messages,
        model: str | Decision,
        temperature: float | None = DEFAULT_TEMPERATURE,
        max_tokens: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream:
        """Ask one model; see `OmniClient.chat`."""
        return await self._answer(self._core.chat(messages, model, temperature, max_tokens, options), stream)

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[False] = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse: ...

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: Literal[True],
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncChatStream: ...

    @overload
    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream: ...

    async def smart_select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        stream: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatResponse | AsyncChatStream:
        """Choose the model and ask it; see `OmniClient.smart_select`."""
        return await self._answer(
            self._core.smart_select(
                messages,
                temperature,
                max_tokens,
                _routing(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
                options,
            ),
            stream,
        )

    async def select(
        self,
        messages: Messages,
        k: int = 5,
        model_names: Sequence[str] | None = None,
        rel_cost: float = 0.5,
        rel_latency: float = 0.0,
        rel_accuracy: float = 0.5,
        verbose: bool = False,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[ChatOptions],
    ) -> Decision:
        """Return the decision alone; see `OmniClient.select`."""
        return self._core.select(
            messages,
            temperature,
            max_tokens,
            _routing(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
            options,
        )

    async def get_available_models(self, model_type: str | None = None) -> list[dict[str, Any]]:
        """Return the records of the models that can be asked; see `OmniClient.get_available_models`."""
        listing = self._core.model_listing(model_type)
        if isinstance(listing, list):
            return listing
        return await adrive(plain_flow(listing.call, listing.http, listing.read), self._transport)

    async def generate_image(
        self, prompt: str, model: str = "dall-e-3", size: str = "1024x1024", quality: str = "standard", n: int = 1
    ) -> dict[str, Any]:
        """Generate pictures; see `OmniClient.generate_image`."""
        task = self._core.image(prompt, model, size, quality, n)
        return await adrive(plain_flow(task.call, task.http, task.read), self._transport)

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _answer(self, plan: Plan, stream: bool) -> ChatResponse | AsyncChatStream:
        if stream:
            return AsyncChatStream(await adrive(stream_flow(plan.call, plan.request), self._transport))
        return await adrive(chat_flow(plan.call, plan.request), self._transport)


def _routing(
    k: int,
    model_names: Sequence[str] | None,
    rel_cost: float,
    rel_latency: float,
    rel_accuracy: float,
    verbose: bool,
) -> dict[str, Any]:
    return {
        "k": k,
        "model_names": model_names,
        "rel_cost": rel_cost,
        "rel_latency": rel_latency,
        "rel_accuracy": rel_accuracy,
        "verbose": verbose,
    }
