"""An agent with a tool. Each question gets its model; within a tool loop the model stays."""

import asyncio
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler

from llamaindex_omni import OmniLLM, OmniRoutingEvent


class Choices(BaseEventHandler):
    """Prints which model was chosen."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Print the routing events."""
        if isinstance(event, OmniRoutingEvent):
            print(f"[{event.source}] {event.model}")


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}, 21 degrees."


async def main() -> None:
    get_dispatcher().add_event_handler(Choices())
    llm = OmniLLM(rel_accuracy=0.1, rel_cost=0.9, model_names=["gpt-4o-mini", "gpt-4o"])
    print(await FunctionAgent(tools=[get_weather], llm=llm).run(user_msg="What is the weather in Paris?"))


asyncio.run(main())

# Prints, in the sandbox:
# [router] gpt-4o-mini
# [sticky] gpt-4o-mini
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# get_weather says: It is sunny in Paris, 21 degrees.
