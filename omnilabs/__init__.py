"""OmniRouter: one interface to all models, and the right one for each prompt.

`OmniClient` and `AsyncOmniClient` have two calls: `chat()` asks a model, `smart_select()` chooses one and asks it.
Values are in `omnilabs.types`, errors in `omnilabs.errors`, the router in `omnilabs.router`, doubles for tests in
`omnilabs.testing`.
"""

from omnilabs._async_client import AsyncOmniClient
from omnilabs._client import OmniClient
from omnilabs._drive import AsyncChatStream, ChatStream
from omnilabs._messages import ChatMessage
from omnilabs._pair import ClientPair
from omnilabs._response import ChatChunk, ChatResponse
from omnilabs.errors import OmniError

__all__ = [
    "AsyncChatStream",
    "AsyncOmniClient",
    "ChatChunk",
    "ChatMessage",
    "ChatResponse",
    "ChatStream",
    "ClientPair",
    "OmniClient",
    "OmniError",
]

__version__ = "0.1.0"
