"""A conformance kit for LlamaIndex LLMs: inherit `LLMTests`, say how to make yours, and run pytest.

```python
import pytest
from llama_index.core.llms.llm import LLM

from llamaindex_omni.testing import LLMTests


class TestMyLLM(LLMTests):
    has_audio = False

    def make_llm(self, base_url: str, api_key: str, **settings: object) -> LLM:
        return MyLLM(api_base=base_url, api_key=api_key, **settings)
```

The checks talk to a scripted OpenAI-shaped server over real sockets on loopback, blocking and asyncio, and need neither
a key nor a pytest plugin. A flag that is off skips the checks of what the LLM does not claim to do.
"""

import pytest

from llamaindex_omni.testing._accounting import AccountingChecks
from llamaindex_omni.testing._endpoints import EndpointChecks
from llamaindex_omni.testing._messages import MessageChecks
from llamaindex_omni.testing._resilience import ResilienceChecks
from llamaindex_omni.testing._serialisation import SerialisationChecks
from llamaindex_omni.testing._server import (
    Break,
    Calls,
    Endless,
    Fail,
    OpenAIServer,
    Refuse,
    Reply,
    Request,
    Say,
    Structured,
    ToolCallReply,
)
from llamaindex_omni.testing._streams import StreamChecks
from llamaindex_omni.testing._structured import StructuredChecks
from llamaindex_omni.testing._tools import ToolChecks

__all__ = [
    "Break",
    "Calls",
    "Endless",
    "Fail",
    "LLMTests",
    "OpenAIServer",
    "Refuse",
    "Reply",
    "Request",
    "Say",
    "Structured",
    "ToolCallReply",
]


# LlamaIndex's own code uses what pydantic and its workflows have deprecated.
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
class LLMTests(
    EndpointChecks,
    StreamChecks,
    MessageChecks,
    ToolChecks,
    StructuredChecks,
    AccountingChecks,
    SerialisationChecks,
    ResilienceChecks,
):
    """Every check of the kit, for one LLM class. See the module's docstring."""
