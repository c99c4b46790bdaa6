"""Our errors as LangChain's: each class below is both, so `except` and middleware of either family catch it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core import exceptions as core

from omnilabs import errors as omni

__all__ = ["to_langchain_error"]


class OmniModelError(omni.OmniError, core.ModelError):
    """Any other failure of a model call."""


class OmniConfigurationError(omni.ConfigurationError, core.ModelError):
    """No key, or settings that contradict each other."""


class OmniInvalidRequestError(omni.InvalidRequestError, core.ModelInvalidRequestError):
    """Bad input, refused before it was sent."""


class OmniUnknownModelError(omni.UnknownModelError, core.ModelNotFoundError):
    """No model of that name."""


class OmniUnsupportedParameterError(omni.UnsupportedParameterError, core.ModelInvalidRequestError):
    """The model cannot take a setting."""


class OmniNoEligibleModelError(omni.NoEligibleModelError, core.ModelInvalidRequestError):
    """No candidate can answer the request."""


class OmniBudgetExceededError(omni.BudgetExceededError, core.ModelError):
    """The call would cost more than is allowed."""


class OmniConnectionError(omni.TransportError, core.ModelConnectionError):
    """No response arrived."""


class OmniTimeoutError(omni.RequestTimeoutError, core.ModelTimeoutError):
    """A time limit ran out."""


class OmniStatusError(omni.APIStatusError, core.ModelError):
    """An error status without a class of its own."""


class OmniBadRequestError(omni.BadRequestError, core.ModelInvalidRequestError):
    """The provider refuses the request as it is."""


class OmniContextOverflowError(omni.ContextLengthError, core.ContextOverflowError):
    """The prompt is longer than the model's context."""


class OmniAuthenticationError(omni.AuthenticationError, core.ModelAuthenticationError):
    """The key is missing or wrong."""


class OmniPermissionDeniedError(omni.AuthenticationError, core.ModelPermissionDeniedError):
    """The key is not allowed this model."""


class OmniNotFoundError(omni.NotFoundError, core.ModelNotFoundError):
    """The provider does not know the model or the route."""


class OmniRateLimitError(omni.RateLimitError, core.ModelRateLimitError):
    """Too many requests or tokens for now."""


class OmniQuotaExceededError(omni.QuotaExceededError, core.ModelRateLimitError):
    """No credit left; `is_retryable` is False: waiting does not help."""


class OmniServerError(omni.ServerError, core.ModelAPIError):
    """The provider failed."""


class OmniOverloadedError(omni.OverloadedError, core.ModelAPIError):
    """The provider is overloaded for now."""


class OmniResponseFormatError(omni.ResponseFormatError, core.ModelAPIError):
    """The provider's answer has an undocumented shape."""


class OmniResponseTooLargeError(omni.ResponseTooLargeError, core.ModelError):
    """The answer is larger than is allowed."""


class OmniStreamInterruptedError(omni.StreamInterruptedError, core.ModelConnectionError):
    """A stream broke after it had begun."""


class OmniAllCandidatesFailedError(omni.AllCandidatesFailedError, core.ModelAPIError):
    """Every candidate model failed."""


_BOTH: Mapping[type[omni.OmniError], type[omni.OmniError]] = {
    both.__mro__[1]: both
    for both in (
        OmniModelError,
        OmniConfigurationError,
        OmniInvalidRequestError,
        OmniUnknownModelError,
        OmniUnsupportedParameterError,
        OmniNoEligibleModelError,
        OmniBudgetExceededError,
        OmniConnectionError,
        OmniTimeoutError,
        OmniStatusError,
        OmniBadRequestError,
        OmniContextOverflowError,
        OmniAuthenticationError,
        OmniNotFoundError,
        OmniRateLimitError,
        OmniQuotaExceededError,
        OmniServerError,
        OmniOverloadedError,
        OmniResponseFormatError,
        OmniResponseTooLargeError,
        OmniStreamInterruptedError,
        OmniAllCandidatesFailedError,
    )
}


class ErrorResponse(NamedTuple):
    """What LangChain reads of an error's response for its traces."""

    status_code: int
    body: object

    def json(self) -> object:
        """Return the body; keys in it are redacted already."""
        return self.body


def to_langchain_error(error: omni.OmniError) -> omni.OmniError:
    """Return the same failure as a class that is also LangChain's, with every attribute kept.

    `is_retryable`, which LangChain's middleware asks, says what our `retryable` says of this very failure.
    """
    if isinstance(error, core.LangChainException):
        return error
    cls = next(_BOTH[base] for base in type(error).__mro__ if base in _BOTH)
    if cls is OmniAuthenticationError and error.status == 403:
        cls = OmniPermissionDeniedError
    fields: dict[str, Any] = {**error.__dict__, "is_retryable": error.retryable}
    if isinstance(error, omni.APIStatusError) and error.status is not None:
        fields["response"] = ErrorResponse(error.status, error.body)
    both = cls.__new__(cls, *error.args)
    both.args = error.args
    both.__dict__.update(fields)
    return both.with_traceback(error.__traceback__)
