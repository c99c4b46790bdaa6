"""Tells the router how fast and how long its models really answer, so that the next choice knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnilabs._observer import Observer
from omnilabs._request import ChatRequest
from omnilabs._response import ChatResponse

if TYPE_CHECKING:
    from omnilabs.providers import Target
    from omnilabs.router import Router

__all__ = ["Learner"]


class Learner(Observer):
    """Listens to one call. Estimates teach nothing, so a stream that was left early is passed over."""

    def __init__(self, router: Router, request: ChatRequest | None) -> None:
        """Learn for `router`; with the `request` it learns lengths too, at the price of reading the prompt again."""
        self._router = router
        self._request = request

    def succeeded(self, target: Target, response: ChatResponse | None, elapsed_s: float) -> None:
        """An attempt succeeded; a whole answer tells speed and length."""
        if response is None or response.usage.is_estimated:
            return
        self._router.observe(
            target.model.id,
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            ttft_s=response.ttft_s,
            total_s=response.latency_s,
            request=self._request,
        )
