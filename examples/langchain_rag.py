"""A chain that answers from documents; any retriever does in the place of the one here."""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_omni import ChatOmni

DOCUMENTS = [
    "The harbour of Lisbon opens at six in the morning.",
    "Oranges from Seville are bitter and make good marmalade.",
    "The lighthouse of Genoa is the oldest that still works.",
]


def retrieve(question: str) -> str:
    """Return the documents that share words with the question, best first."""
    words = set(question.lower().strip("?").split())
    return "\n".join(sorted(DOCUMENTS, key=lambda text: -len(words & set(text.lower().split())))[:2])


prompt = ChatPromptTemplate.from_messages([("system", "Answer from this:\n{context}"), ("human", "{question}")])
chain = {"context": retrieve, "question": RunnablePassthrough()} | prompt | ChatOmni(model="auto") | StrOutputParser()

print(chain.invoke("When does the harbour of Lisbon open?"))
for answer in chain.batch(["What are oranges from Seville good for?", "Which lighthouse is the oldest?"]):
    print(answer)

# Prints, in the sandbox:
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# The harbour of Lisbon opens at six in the morning.
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# Oranges from Seville are bitter and make good marmalade.
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# The lighthouse of Genoa is the oldest that still works.
