"""A tool loop stays with its model: signatures, id formats and prompt caches do not survive a change in the middle."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock

from omnilabs import ChatResponse as OmniResponse
from omnilabs.types import Candidate

__all__ = ["ToolLoops"]

_REMEMBERED = 4096
_Key: TypeAlias = tuple[str, str, str]


class ToolLoops:
    """Remembers which model made which tool call, for the last 4,096 calls; thread-safe.

    The key is in the messages themselves (the call's id, name and arguments), so a conversation that was stored and
    read again is still recognised.
    """

    def __init__(self) -> None:
        self._models: OrderedDict[_Key, Candidate] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, response: OmniResponse) -> None:
        """Keep which of a decision's models made a response's tool calls."""
        ranked = () if response.decision is None else response.decision.ranked
        model = next((one for one in ranked if one.model == response.model_id), None)
        if model is None:
            return
        with self._lock:
            for call in response.tool_calls:
                self._models[_key(call.id, call.name, call.arguments_json)] = model
            while len(self._models) > _REMEMBERED:
                self._models.popitem(last=False)

    def recall(self, messages: Sequence[ChatMessage]) -> Candidate | None:
        """Return the model that began the tool loop these messages are in the middle of, if they are."""
        answered = False
        for message in reversed(messages):
            if message.role == MessageRole.USER:
                return None
            if message.role in (MessageRole.TOOL, MessageRole.FUNCTION):
                answered = True
                continue
            for block in message.blocks if answered else ():
                if isinstance(block, ToolCallBlock):
                    model = self._models.get(_key(block.tool_call_id or "", block.tool_name, block.tool_kwargs))
                    if model is not None:
                        return model
        return None


def _key(call_id: str, name: str, arguments: Mapping[str, object] | str) -> _Key:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return call_id, name, str(arguments)
    return call_id, name, json.dumps(arguments, sort_keys=True)
