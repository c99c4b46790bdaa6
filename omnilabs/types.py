"""The values users hold: messages, responses, usage, decisions and model records."""

from omnilabs._decision import Candidate, Decision, Weights
from omnilabs._messages import (
    AudioPart,
    ChatMessage,
    FilePart,
    ImagePart,
    Opaque,
    Part,
    ReasoningPart,
    TextPart,
    ToolCall,
)
from omnilabs._models import Ability, Capabilities, ModelInfo, Price, Speed
from omnilabs._request import ChatOptions, ToolChoice
from omnilabs._response import Attempt, ChatChunk, ChatResponse, ToolCallDelta
from omnilabs._spend import ModelSpend, Spend
from omnilabs._tokens import estimate_tokens
from omnilabs._usage import CostSource, Usage, cost_usd

__all__ = [
    "Ability",
    "Attempt",
    "AudioPart",
    "Candidate",
    "Capabilities",
    "ChatChunk",
    "ChatMessage",
    "ChatOptions",
    "ChatResponse",
    "CostSource",
    "Decision",
    "FilePart",
    "ImagePart",
    "ModelInfo",
    "ModelSpend",
    "Opaque",
    "Part",
    "Price",
    "ReasoningPart",
    "Speed",
    "Spend",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "Usage",
    "Weights",
    "cost_usd",
    "estimate_tokens",
]
