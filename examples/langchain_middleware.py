"""An agent whose model is chosen once per run, and said in its state."""

from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_omni import ChatOmni, OmniRouterMiddleware


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It is sunny in {city}."


chooser = ChatOmni(model="auto", model_names=["gpt-4o-mini", "gpt-4o"], rel_cost=1.0, rel_accuracy=0.0)
agent = create_agent(chooser, [get_weather], middleware=[OmniRouterMiddleware(scope="run")])
state = agent.invoke({"messages": "What is the weather in Paris?"})

print(state["messages"][-1].text)
print("chosen once:", state["omni_route"]["model"])
for candidate in state["omni_route"]["decision"]["ranking"]:
    print(f"  {candidate['model']}: quality {candidate['quality']:.2f}, {candidate['cost_usd']:.6f} USD")

# Prints, in the sandbox:
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# get_weather says: It is sunny in Paris.
# chosen once: gpt-4o-mini
#   gpt-4o-mini: quality 0.69, 0.000166 USD
#   gpt-4o: quality 0.73, 0.002769 USD
