"""A conversation whose history is kept per session; with sticky="conversation" it stays with its first model."""

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_omni import ChatOmni

model = ChatOmni(model="auto", sticky="conversation")
sessions: dict[str, list[BaseMessage]] = {}


def say(session: str, text: str) -> str:
    """Answer within a session."""
    history = sessions.setdefault(session, [])
    history.append(HumanMessage(text))
    answer = model.invoke(history)
    history.append(answer)
    return f"{answer.response_metadata['omni']['reason']}, {answer.usage_metadata['input_tokens']} tokens of prompt"


print("ann:", say("ann", "My name is Ann."))
print("ann:", say("ann", "What is my name?"))
print("bob:", say("bob", "What is my name?"))
models = {message.response_metadata["model_name"] for message in sessions["ann"] if message.type == "ai"}
print("models that answered ann:", len(models))

# Prints, in the sandbox:
# ann: auto, 11 tokens of prompt
# ann: sticky, 50 tokens of prompt
# bob: auto, 11 tokens of prompt
# models that answered ann: 1
