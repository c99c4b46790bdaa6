"""An open stream as a value that is fed bytes: chunks out, the whole response at the end, errors with what had come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from omnilabs._accumulate import Accumulator
from omnilabs._decision import Decision
from omnilabs._frozen import evolve
from omnilabs._http import StreamHead
from omnilabs._messages import ReasoningPart, TextPart
from omnilabs._request import ChatRequest
from omnilabs._response import ChatChunk, ChatResponse, ToolCallDelta
from omnilabs._sse import EventDecoder, ServerSentEvent
from omnilabs._tokens import estimate_tokens, prompt_tokens
from omnilabs._usage import Usage
from omnilabs.errors import OmniError, ResponseFormatError, StreamInterruptedError, TransportError
from omnilabs.providers._base import StreamDecoder, Target

if TYPE_CHECKING:
    from omnilabs._observer import Observer

__all__ = ["NOT_UTF8", "StreamSession", "forget_key"]

NOT_UTF8 = "the provider sent bytes that are not UTF-8; they are replaced by U+FFFD"


def forget_key(error: OmniError, target: Target) -> None:
    """Take the key that was sent to a target out of an error that may repeat it."""
    key = target.endpoint.api_key
    if key is not None:
        error.forget(key)


class StreamSession:
    """One stream from its first piece to its end. Pure: a driver reads the bytes and hands them in.

    Usage, finish reason and explanation are held back for one last chunk, wherever the provider sends them.
    """

    def __init__(
        self,
        *,
        head: StreamHead,
        decoder: StreamDecoder,
        target: Target,
        request: ChatRequest,
        decision: Decision | None,
        finish: Callable[[ChatResponse, float], ChatResponse],
        clock: Callable[[], float],
        begun: float,
        observers: Sequence[Observer],
    ) -> None:
        self.head = head
        self.decision = decision
        self.target = target
        self.first_chunk_s: float | None = None
        self._decoder = decoder
        self._request = request
        self._finish = finish
        self._clock = clock
        self._begun = begun
        self._observers = observers
        self._events = EventDecoder()
        self._seen = Accumulator()
        self._warnings: tuple[str, ...] = ()
        self._pending: list[ChatChunk] = []
        self._response: ChatResponse | None = None
        self._over = False
        self._told = False
        self._failure: OmniError | None = None
        self.has_begun = False

    @property
    def is_over(self) -> bool:
        """Whether the answer is whole; bytes that may follow do not matter."""
        return self._over

    @property
    def response(self) -> ChatResponse:
        """The whole response; before the end what has arrived so far, its usage estimated."""
        if self._response is not None:
            return self._response
        return self._finish(self._partial(), self._clock() - self._begun)

    def begin(self, data: bytes | OmniError | None) -> OmniError | None:
        """Take in the first bytes; return the failure if nothing of the answer can be given out yet."""
        try:
            chunks = (
                self._end() if data is None else self._fail(data) if isinstance(data, OmniError) else self.feed(data)
            )
        except StreamInterruptedError as error:
            cause = error.__cause__
            if isinstance(cause, OmniError):
                return cause
            return TransportError(
                f"{self.target.provider} ended the stream before the answer began", phase="body", maybe_billed=True
            )
        except OmniError as error:
            error.partial = None
            return error
        self._pending += chunks
        held = self._decoder.answer
        self.has_begun = bool(self._pending) or self._over or (held is not None and held.is_holding)
        return None

    def take_whole(self, response: ChatResponse) -> None:
        """Take in a whole answer that came instead of a stream, with all that has to go back to the provider."""
        about: dict[str, Any] = {"model": response.model, "provider": response.provider, "id": response.id}
        chunks = [
            ChatChunk(reasoning=part.text, opaque=part.opaque, **about)
            if isinstance(part, ReasoningPart)
            else ChatChunk(part.text, opaque=part.opaque, **about)
            for part in response.parts
            if isinstance(part, ReasoningPart | TextPart)
        ]
        rest = ChatChunk(
            tool_calls=tuple(
                ToolCallDelta(index, call.id, call.name, call.arguments_json, call.opaque)
                for index, call in enumerate(response.tool_calls)
            ),
            annotations=response.annotations,
            logprobs=response.logprobs,
            refusal=response.refusal,
            **about,
        )
        if rest.tool_calls or _says_more(rest):
            chunks.append(rest)
        said_once = {name: getattr(response, name) for name in ("usage", "finish_reason", "explanation")}
        for chunk in (*chunks, ChatChunk(**about, **said_once)):
            self._seen.add(chunk)
        self._warnings = response.warnings
        self._pending = [*chunks, self._last()]
        self.has_begun = True

    def pending(self) -> list[ChatChunk]:
        """Return, once, the chunks that came while the stream was opened."""
        chunks, self._pending = self._pending, []
        return chunks

    def take(self, data: bytes | OmniError | None) -> list[ChatChunk]:
        """Return the chunks that these bytes, the end (None) or a failure complete; `check` then raises what broke."""
        try:
            return self.feed(data) if isinstance(data, bytes) else self.end(data)
        except OmniError as error:
            self._failure = _bare(error)
            return []

    def check(self) -> None:
        """Raise what broke the stream, if anything, from a frame that holds nothing the provider sent.

        Raises:
            OmniError: As `feed` and `end`.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure

    def feed(self, data: bytes) -> list[ChatChunk]:
        """Return the chunks these bytes complete.

        Raises:
            OmniError: The provider reported an error in the stream, or broke its dialect; `partial` is attached.
        """
        try:
            return self._decode(self._events.feed(data))
        except OmniError as error:
            broken = self._broken(error)
            raise broken from broken.__cause__

    def end(self, error: OmniError | None = None) -> list[ChatChunk]:
        """Return the last chunks when the body has ended, by itself or by a failure.

        Raises:
            StreamInterruptedError: The dialect's terminal mark was missing; `partial` holds what had arrived.
            RequestTimeoutError: A time limit ran out before it; `partial` likewise.
        """
        return self._end() if error is None else self._fail(error)

    def abandon(self) -> None:
        """The caller wants no more: what had arrived is the response, and it is paid for."""
        self._release()
        self._ended(self.response, None)

    def _ended(self, response: ChatResponse | None, error: OmniError | None) -> None:
        if not self._told:
            self._told = True
            for observer in self._observers:
                observer.ended(response, error)

    def _decode(self, events: Sequence[ServerSentEvent]) -> list[ChatChunk]:
        chunks: list[ChatChunk] = []
        if self._over:
            return chunks
        feed, add = self._decoder.feed, self._seen.add
        for event in events:
            for chunk in feed(event):
                add(chunk)
                if chunk.usage is not None or chunk.finish_reason is not None:
                    chunk = evolve(chunk, usage=None, finish_reason=None)
                if chunk.content or chunk.tool_calls or chunk.reasoning or _says_more(chunk):
                    chunks.append(chunk)
            if self._decoder.is_complete and (event.data == "[DONE]" or event.event == "message_stop"):
                chunks.append(self._last())
                break
        if chunks and self.first_chunk_s is None:
            self.first_chunk_s = self._clock() - self._begun
        return chunks

    def _end(self) -> list[ChatChunk]:
        try:
            chunks = self._decode(self._events.flush())
        except OmniError as error:
            broken = self._broken(error)
            raise broken from broken.__cause__
        if self._over:
            return chunks
        if self._decoder.is_complete:
            return [*chunks, self._last()]
        self._release()
        raise self._tell(self._interrupted(f"{self.target.provider} ended the stream without finishing its answer"))

    def _fail(self, error: OmniError) -> list[ChatChunk]:
        if self._over:
            return []
        if self._decoder.is_complete:  # only the usage, if anything, is missing
            return [self._last()]
        raise self._broken(error)

    def _last(self) -> ChatChunk:
        """Close the response and return the chunk that carries what comes once."""
        self._over = True
        if self.first_chunk_s is None:  # the first piece and the last came at once
            self.first_chunk_s = self._clock() - self._begun
        response = evolve(self._warned(self._seen.response()), ttft_s=self.first_chunk_s)
        if response.usage.all_tokens is None:
            response = evolve(response, usage=self._estimate())
        self._response = done = self._finish(response, self._clock() - self._begun)
        for observer in self._observers:
            observer.succeeded(self.target, done, done.latency_s or 0.0)
        self._ended(done, None)
        return ChatChunk(
            model=done.model,
            provider=done.provider,
            usage=done.usage,
            finish_reason=done.finish_reason,
            id=done.id,
            explanation=done.explanation,
        )

    def _broken(self, error: OmniError) -> OmniError:
        """Return the error to raise for a failure in the stream, with what had arrived."""
        self._release()
        forget_key(error, self.target)
        failed: OmniError = error
        if isinstance(error, ResponseFormatError) or (
            isinstance(error, TransportError) and not isinstance(error, TimeoutError)
        ):
            failed = self._interrupted(f"the stream of {self.target.provider} broke: {error.message}")
            failed.__cause__ = _bare(error)
        failed.provider = self.target.provider
        failed.model = self.target.model.id
        failed.partial = self.response
        failed.attempts = failed.partial.attempts
        return self._tell(failed)

    def _release(self) -> None:
        """Take what the decoder holds back for arrived: nothing will come to show what it is."""
        held = self._decoder.answer
        if held is not None:
            for chunk in held.read((), is_over=True):
                self._seen.add(chunk)

    def _tell(self, failed: OmniError) -> OmniError:
        """Tell the observers of a failure after the beginning; before it the flow does."""
        if self.has_begun:
            for observer in self._observers:
                observer.failed(self.target, failed, self._clock() - self._begun)
            self._ended(None, failed)
        return failed

    def _interrupted(self, message: str) -> StreamInterruptedError:
        return StreamInterruptedError(
            f"{message}; what had arrived is in .partial, ask again for the whole answer",
            provider=self.target.provider,
            model=self.target.model.id,
            partial=self.response,
        )

    def _partial(self) -> ChatResponse:
        response = self._warned(self._seen.response())
        # Calls whose arguments may be cut off must not be executed.
        return evolve(response, usage=self._estimate(), tool_calls=())

    def _warned(self, response: ChatResponse) -> ChatResponse:
        warnings = (*self._warnings, NOT_UTF8) if self._events.has_replaced else self._warnings
        return evolve(response, warnings=warnings) if warnings else response

    def _estimate(self) -> Usage:
        """Return the tokens of what was sent and has arrived, marked as an estimate."""
        seen = self._seen.response()
        known = seen.usage
        told = known.uncached_input_tokens
        made = seen.content + (seen.reasoning or "") + "".join(c.name + c.arguments_json for c in seen.tool_calls)
        return evolve(
            known,
            uncached_input_tokens=ceil(prompt_tokens(self._request)) if told is None else told,
            output_tokens=max(known.output_tokens or 0, estimate_tokens(made)),
            cost_usd=None,
            cost_source="unknown",
            is_estimated=True,
        )


def _bare(error: OmniError) -> OmniError:
    """Return an error without its traceback, whose frames hold what the provider sent: it may have repeated a key."""
    error.__traceback__ = None
    return error


def _says_more(chunk: ChatChunk) -> bool:
    return bool(chunk.opaque or chunk.annotations or chunk.logprobs or chunk.refusal)
