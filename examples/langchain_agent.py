"""An agent with a tool, a structured answer and a memory. Within a tool loop the chosen model stays."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import create_model

from langchain_omni import ChatOmni


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It is sunny in {city}, 21 degrees."


Trip = create_model("Trip", city=(str, ...))
model = ChatOmni(model="auto", rel_cost=0.6)
agent = create_agent(model, [get_weather], checkpointer=InMemorySaver())
thread = {"configurable": {"thread_id": "1"}}
messages = agent.invoke({"messages": "What is the weather in Paris?"}, thread)["messages"]
for message in messages[1:]:
    print(f"{message.type}: {message.text or message.tool_calls[0]['args']}")
print("the loop stayed with its model:", messages[-1].response_metadata["omni"]["reason"])
print("remembered:", len(agent.invoke({"messages": "Thank you."}, thread)["messages"]), "messages")

planner = create_agent(model, response_format=Trip)
print(repr(planner.invoke({"messages": "Plan a trip to 'Lisbon'"})["structured_response"]))

# Prints, in the sandbox:
# ai: {'city': 'Paris'}
# tool: It is sunny in Paris, 21 degrees.
# ai: [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# get_weather says: It is sunny in Paris, 21 degrees.
# the loop stayed with its model: sticky
# remembered: 6 messages
# Trip(city='Lisbon')
