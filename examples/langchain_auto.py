"""`model="auto"`: the model is chosen for each prompt, by weights that can change from call to call."""

from langchain_omni import ChatOmni, OmniSelector

names = ["gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5"]
model = ChatOmni(model="auto", model_names=names, rel_cost=0.5, rel_accuracy=0.5)

answer = model.invoke("What is 2 + 2?")
decision = answer.response_metadata["omni"]["decision"]
print("chosen:", decision["model"], "of", [candidate["model"] for candidate in decision["ranking"]])

print("thrifty:", model.select("What is 2 + 2?", rel_cost=1.0, rel_accuracy=0.0).model)
print("careful:", model.bind(rel_cost=0.0, rel_accuracy=1.0).select("Prove that pi is irrational.").model)

# The same choice as a step of its own, for a chat model of any integration:
print("for init_chat_model:", OmniSelector(model_names=names, rel_cost=1.0, rel_accuracy=0.0).invoke("What is 2 + 2?"))

# Prints, in the sandbox:
# chosen: gpt-4o-mini of ['gpt-4o-mini', 'claude-sonnet-4-5', 'gpt-4o']
# thrifty: gpt-4o-mini
# careful: claude-sonnet-4-5
# for init_chat_model: openai:gpt-4o-mini
