"""A tool loop stays with its model: signatures, id formats and prompt caches do not survive a change in the middle."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock

from omnilabs import ChatResponse as OmniResponse
from omnilabs.types import Candidate, Decision

__all__ = ["ToolLoops"]

_REMEMBERED = 4096
_Key: TypeAlias = tuple[str, str, str]


class ToolLoops:
    """Remembers which decision led to which tool call, for the last 4,096 calls; thread-safe.

    The key is in the messages themselves (the call's id, name and arguments), so a conversation that was stored and
    read again is still recognised.
    """

    def __init__(self) -> None:
        self._decisions: OrderedDict[_Key, Decision] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, response: OmniResponse) -> None:
        """Keep the decision behind a response's tool calls, the model that answered first."""
        if response.decision is None or not response.tool_calls:
            return
        decision = _led_by(response.decision, response.model_id or response.model)
        with self._lock:
            for call in response.tool_calls:
                self._decisions[_key(call.id, call.name, call.arguments_json)] = decision
            while len(self._decisions) > _REMEMBERED:
                self._decisions.popitem(last=False)

    def recall(self, messages: Sequence[ChatMessage]) -> Decision | None:
        """Return the decision of the tool loop these messages are in the middle of, if they are."""
        answered = False
        for message in reversed(messages):
            if message.role == MessageRole.USER:
                return None
            if message.role in (MessageRole.TOOL, MessageRole.FUNCTION):
                answered = True
                continue
            for block in message.blocks if answered else ():
                if isinstance(block, ToolCallBlock):
                    decision = self._decisions.get(_key(block.tool_call_id or "", block.tool_name, block.tool_kwargs))
                    if decision is not None:
                        return decision
        return None


def _key(call_id: str, name: str, arguments: Mapping[str, object] | str) -> _Key:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return call_id, name, str(arguments)
    return call_id, name, json.dumps(arguments, sort_keys=True)


def _led_by(decision: Decision, model: str) -> Decision:
    """Return the decision with the model that answered in front; the others stay to fall back on."""
    first: list[Candidate] = [one for one in decision.ranked if one.model == model]
    rest = [one for one in decision.ranked if one.model != model]
    return replace(decision, ranked=(*first, *rest)) if first else decision
