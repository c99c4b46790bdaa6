"""A chain whose history is kept per session; with sticky="conversation" it stays with its first model.

LangChain now recommends LangGraph's checkpointers for new code: langchain_agent.py has one.
"""

from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_omni import ChatOmni

sessions: dict[str, InMemoryChatMessageHistory] = {}


def session_history(session_id: str) -> InMemoryChatMessageHistory:
    """Return a session's messages so far."""
    return sessions.setdefault(session_id, InMemoryChatMessageHistory())


prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{text}")])
chain = RunnableWithMessageHistory(
    prompt | ChatOmni(model="auto", sticky="conversation"),
    session_history,
    input_messages_key="text",
    history_messages_key="history",
)
for name, text in (("ann", "My name is Ann."), ("ann", "What is my name?"), ("bob", "What is my name?")):
    answer = chain.invoke({"text": text}, {"configurable": {"session_id": name}})
    tokens = answer.usage_metadata["input_tokens"]
    print(f"{name}: {answer.response_metadata['omni']['reason']}, {tokens} tokens of prompt")
models = {each.response_metadata["model_name"] for each in sessions["ann"].messages if each.type == "ai"}
print("models that answered ann:", len(models))

# Prints, in the sandbox:
# ann: auto, 11 tokens of prompt
# ann: sticky, 50 tokens of prompt
# bob: auto, 11 tokens of prompt
# models that answered ann: 1
