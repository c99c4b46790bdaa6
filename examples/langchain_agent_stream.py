"""An agent whose calls, results and words are shown as they come, with the tokens of each step."""

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.tools import tool

from langchain_omni import ChatOmni


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It is sunny in {city}, 21 degrees."


agent = create_agent(ChatOmni(model="gpt-4o-mini"), [get_weather])
question = {"messages": "What is the weather in Paris?"}
for message, where in agent.stream(question, stream_mode="messages"):
    if isinstance(message, ToolMessage):
        print(f"\n[{where['langgraph_node']}] {message.text}")
    elif isinstance(message, AIMessageChunk):
        for call in message.tool_call_chunks:
            print(call["args"], end="")
        print(message.text, end="")
        if message.chunk_position == "last":
            print(f" ({message.usage_metadata['output_tokens']} tokens)", end="")
print()

# Prints, in the sandbox:
# {"city": "Paris"} (12 tokens)
# [tools] It is sunny in Paris, 21 degrees.
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# get_weather says: It is sunny in Paris, 21 degrees. (33 tokens)
