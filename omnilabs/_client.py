"""`OmniClient`: arguments in, a flow driven with blocking calls, a response out."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from omnilabs._base_client import BaseClient, Messages, routing_settings
from omnilabs._core import Plan
from omnilabs._decision import Decision
from omnilabs._drive import ChatStream, drive
from omnilabs._flow import chat_flow, plain_flow, stream_flow
from omnilabs._http import Transport
from omnilabs._request import DEFAULT_TEMPERATURE, ChatOptions
from omnilabs._response import ChatResponse

__all__ = ["OmniClient"]


class OmniClient(BaseClient[Transport]):
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
                routing_settings(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
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
            routing_settings(k, model_names, rel_cost, rel_latency, rel_accuracy, verbose),
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
