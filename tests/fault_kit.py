"""Calls against the fault server: one provider of one's own, one question, streamed or not, with the time it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faultserver import FaultServer

from omnilabs.errors import OmniError
from omnilabs.types import ChatResponse

QUESTION = [{"role": "user", "content": "What is two and two?"}]
MODEL = "local/m"


def providers(server: FaultServer, **fields: Any) -> dict[str, Any]:
    """Return the configuration of the server as a provider of one's own."""
    return {"local": {"base_url": server.url, **fields}}


def ask(client: Any, *, streamed: bool, model: str = MODEL, **options: Any) -> ChatResponse:
    """Return the answer to the question; a stream is read to its end first."""
    if not streamed:
        response: ChatResponse = client.chat(QUESTION, model, **options)
        return response
    stream = client.chat(QUESTION, model, stream=True, **options)
    for _ in stream:
        pass
    whole: ChatResponse = stream.response
    return whole


@dataclass(frozen=True)
class Outcome:
    """What became of a call: a response or an error, and the seconds it took."""

    response: ChatResponse | None
    error: OmniError | None
    seconds: float


def outcome(work: Callable[[], ChatResponse]) -> Outcome:
    """Return what became of a call. Only our own errors are caught: any other fails the test."""
    begun = time.monotonic()
    try:
        response = work()
    except OmniError as error:
        return Outcome(None, error, time.monotonic() - begun)
    return Outcome(response, None, time.monotonic() - begun)


def failure(work: Callable[[], ChatResponse]) -> Any:
    """Return the error of a call that must fail, with `seconds` it took."""
    result = outcome(work)
    assert result.error is not None, f"answered: {result.response}"
    return result.error
