"""Every error OmniRouter raises, as one tree. Catch `OmniError` to catch them all.

    OmniError
    ├── ConfigurationError          no key, contradictory arguments; also a ValueError     (before I/O)
    ├── InvalidRequestError         bad input, .parameter; also a ValueError               (before I/O)
    │   ├── UnknownModelError       .nearest: the closest known ids
    │   └── UnsupportedParameterError   .parameters: what this model or provider cannot take
    ├── NoEligibleModelError        .rejected: the reason by model                         (before I/O)
    │   └── BudgetExceededError     the call would cost more than allowed
    ├── TransportError              no response; .phase dns | tls | connect | stale | send | receive | body | redirect
    │   └── RequestTimeoutError     .phase connect | send | first_byte | idle | total
    ├── APIStatusError              .status .body
    │   ├── BadRequestError 400, 422     └── ContextLengthError
    │   ├── AuthenticationError 401, 403
    │   ├── NotFoundError 404
    │   ├── RateLimitError 429           └── QuotaExceededError
    │   └── ServerError 5xx              └── OverloadedError 503, 529
    ├── ResponseFormatError         a 2xx of undocumented shape; .body_prefix
    │   └── ResponseTooLargeError
    ├── StreamInterruptedError      .partial: what had arrived
    └── AllCandidatesFailedError    .failures, in the order tried

Every error is picklable, never holds a key, and has `.provider .model .status .request_id .retryable .retry_after_s
.attempts .partial` (None, False or empty where they do not apply).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnilabs._response import Attempt, ChatResponse
    from omnilabs._secret import Secret

__all__ = [
    "APIStatusError",
    "AllCandidatesFailedError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "ConfigurationError",
    "ContextLengthError",
    "InvalidRequestError",
    "NoEligibleModelError",
    "NotFoundError",
    "OmniError",
    "OverloadedError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseFormatError",
    "ResponseTooLargeError",
    "ServerError",
    "StreamInterruptedError",
    "TransportError",
    "UnknownModelError",
    "UnsupportedParameterError",
    "from_status",
    "redact",
]

_KEY_LIKE = (  # compiled and kept by `re` when it is first needed
    r"\b(?:sk|pk|rk|gsk|xai|fw|key|tgp|AIza|ghp|hf|omni)[-_][A-Za-z0-9_\-]{8,}|\bAIza[A-Za-z0-9_\-]{8,}"
    r"|(?i:\bbearer\s+)[A-Za-z0-9._\-]{8,}"
)
_MESSAGE_CHARS = 200


def redact(text: str) -> str:
    """Return `text` with anything that looks like an API key replaced by `[key]`."""
    return re.sub(_KEY_LIKE, "[key]", text)


_LEAST_SECRET_CHARS = 8  # "none", "ollama": what a server without keys is given is a word, not a secret


def _without(value: Any, secret: Secret) -> Any:
    """Return a text or JSON value without a credential."""
    if isinstance(value, str):
        return value.replace(secret.reveal(), "[key]") if len(secret.reveal()) >= _LEAST_SECRET_CHARS else value
    if isinstance(value, Mapping):
        return {_without(name, secret): _without(item, secret) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(item, secret) for item in value]
    return value


class OmniError(Exception):
    """Base of every error of this package.

    Attributes:
        provider: Provider asked, or None before one was chosen.
        model: Model asked, or None.
        status: HTTP status, or None when there was no response.
        request_id: The provider's id of the request, for its support.
        retryable: Whether the same request may succeed later.
        retry_after_s: Seconds the provider asked to wait, or None.
        attempts: Every failed attempt of the call so far, this one included.
        partial: What a broken stream had delivered, or None.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        attempts: Sequence[Attempt] = (),
        partial: ChatResponse | None = None,
    ) -> None:
        super().__init__(redact(message))
        self.provider = provider
        self.model = model
        self.status = status
        self.request_id = request_id
        if retryable is not None:
            self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.attempts: tuple[Attempt, ...] = tuple(attempts)
        self.partial = partial

    @property
    def message(self) -> str:
        """The error's text, keys redacted."""
        return str(self.args[0])

    def forget(self, secret: Secret) -> None:
        """Replace a credential wherever a provider repeated it: not every key looks like one."""
        self.args = (_without(self.message, secret),)
        for name, value in self.__dict__.items():
            if isinstance(value, str | Mapping | list):
                self.__dict__[name] = _without(value, secret)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[OmniError], args: tuple[Any, ...], state: dict[str, Any]) -> OmniError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(OmniError, ValueError):
    """No key, or arguments that contradict each other; raised before any request."""


class InvalidRequestError(OmniError, ValueError):
    """Bad input, raised before any request; `parameter` names it."""

    def __init__(self, message: str, *, parameter: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.parameter = parameter


class UnknownModelError(InvalidRequestError):
    """No model of that name; `nearest` lists the closest known ids."""

    def __init__(self, message: str, *, nearest: Sequence[str] = (), **fields: Any) -> None:
        super().__init__(message, parameter="model", **fields)
        self.nearest = tuple(nearest)


class UnsupportedParameterError(InvalidRequestError):
    """The model or its provider cannot take these `parameters`; `unsupported="drop"` would leave them out."""

    def __init__(self, message: str, *, parameters: Sequence[str] = (), **fields: Any) -> None:
        super().__init__(message, parameter=parameters[0] if parameters else None, **fields)
        self.parameters = tuple(parameters)


class NoEligibleModelError(OmniError, ValueError):
    """No candidate can answer this request; `rejected` maps each model to its reason."""

    def __init__(self, message: str, *, rejected: Mapping[str, str] | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.rejected = dict(rejected or {})


class BudgetExceededError(NoEligibleModelError):
    """The call would cost more than `max_cost_usd` leaves; nothing was spent on it."""


class TransportError(OmniError):
    """No response arrived; `phase` says how far the request came, `maybe_billed` whether it may have been worked on.

    In phase "stale" a connection kept from an earlier call turned out to be closed: it is tried again at once, once.
    """

    retryable = True

    def __init__(self, message: str, *, phase: str, maybe_billed: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.phase = phase
        self.maybe_billed = maybe_billed


class RequestTimeoutError(TransportError, TimeoutError):
    """A limit in seconds ran out in `phase`: connect, send, first_byte, idle or total."""


class APIStatusError(OmniError):
    """The provider answered with an error status; `body` is its JSON (or text) with keys redacted."""

    def __init__(self, message: str, *, body: object = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.body = body


class BadRequestError(APIStatusError):
    """400 or 422: the provider refuses the request as it is."""


class ContextLengthError(BadRequestError):
    """The prompt is longer than the model's context."""


class AuthenticationError(APIStatusError):
    """401 or 403: the key is missing, wrong, or not allowed this model."""


class NotFoundError(APIStatusError):
    """404: the provider does not know the model or the route."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens for now; see `retry_after_s`."""

    retryable = True


class QuotaExceededError(RateLimitError):
    """429 or 402: the account has no credit or quota left; waiting does not help."""

    retryable = False


class ServerError(APIStatusError):
    """5xx: the provider failed."""

    retryable = True


class OverloadedError(ServerError):
    """503 or 529: the provider is overloaded for now."""


class ResponseFormatError(OmniError):
    """A success status with a body of undocumented shape; `body_prefix` holds its first 200 characters."""

    retryable = True

    def __init__(self, message: str, *, body_prefix: str = "", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.body_prefix = redact(body_prefix[:_MESSAGE_CHARS])


class ResponseTooLargeError(ResponseFormatError):
    """The answer is larger than `max_response_bytes`."""

    retryable = False


class StreamInterruptedError(OmniError):
    """A stream broke after it had begun; `partial` holds what had arrived, with an estimate of its usage."""


class AllCandidatesFailedError(OmniError):
    """Every candidate model failed; `failures` holds the last error of each, in the order tried."""

    def __init__(self, message: str, *, failures: Sequence[OmniError] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.failures = tuple(failures)


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: AuthenticationError,
    404: NotFoundError,
    413: ContextLengthError,
    422: BadRequestError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}


def from_status(status: int, message: str, **fields: Any) -> APIStatusError:
    """Return the error class for an HTTP status of 400 or more, built with `message` and the error's fields.

    408, 409 and 425 are retryable although they are not 5xx.
    """
    cls = _BY_STATUS.get(status) or (ServerError if status >= 500 else APIStatusError)
    retryable = True if status in (408, 409, 425) else None
    return cls(message, status=status, retryable=retryable, **fields)
