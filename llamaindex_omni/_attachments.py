"""What a provider wants back unchanged (signatures of thoughts), carried in blocks that survive a memory store.

`TextBlock` and `ToolCallBlock` have no room for it, so what belongs to them rides in a `ThinkingBlock` without content
at the end of the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.llms.types import ContentBlock, ThinkingBlock

from omnilabs.types import Opaque, TextPart, ToolCall

__all__ = ["Attachments"]

_OWN = "omni_opaque"
_CARRIED = "omni_carried"


@dataclass
class Attachments:
    """The attachments of one message, by text block (in order) and by call id."""

    texts: Iterator[Opaque | None]
    calls: Mapping[str, Opaque]

    @classmethod
    def of(cls, blocks: Sequence[ContentBlock]) -> Attachments:
        """Return what a message's carrier holds; most messages have none."""
        for block in reversed(blocks):
            if isinstance(block, ThinkingBlock) and cls.is_carrier(block):
                carried: Mapping[str, Any] = block.additional_information[_CARRIED]
                calls = {name: _read(item) for name, item in carried["calls"].items()}
                return cls(
                    iter([_read(item) for item in carried["texts"]]),
                    {name: opaque for name, opaque in calls.items() if opaque is not None},
                )
        return cls(iter(()), {})

    @staticmethod
    def is_carrier(block: ThinkingBlock) -> bool:
        """Whether a block only carries what belongs to other blocks."""
        return _CARRIED in block.additional_information

    @staticmethod
    def of_thinking(block: ThinkingBlock) -> Opaque | None:
        """Return what the provider attached to a thought."""
        return _read(block.additional_information.get(_OWN))

    def next_text(self) -> Opaque | None:
        """Return what belongs to the next text block."""
        return next(self.texts, None)

    def of_call(self, call_id: str) -> Opaque | None:
        """Return what belongs to a call."""
        return self.calls.get(call_id)


def information(opaque: Opaque | None) -> dict[str, Any]:
    """Return a thought's `additional_information`."""
    return {} if opaque is None else {_OWN: opaque.to_dict()}


def carrier(texts: Sequence[TextPart], calls: Sequence[ToolCall]) -> ThinkingBlock | None:
    """Return the block that carries what belongs to these texts and calls, or None where nothing does."""
    of_calls = {call.id: call.opaque.to_dict() for call in calls if call.opaque is not None}
    if not of_calls and all(text.opaque is None for text in texts):
        return None
    of_texts = [None if text.opaque is None else text.opaque.to_dict() for text in texts]
    return ThinkingBlock(additional_information={_CARRIED: {"texts": of_texts, "calls": of_calls}})


def _read(item: object) -> Opaque | None:
    if not isinstance(item, Mapping):
        return None
    return Opaque(str(item["provider"]), item["data"])
