"""Ask this repository's documentation: a LangChain chain, an agent and a LlamaIndex query engine, each model="auto".

Run it with `make quickstart`. With a key in the environment it asks real models; without one it says so and uses the
sandbox, whose answers are made up from the documents it is given.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_index.core import Document
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.retrievers.bm25 import BM25Retriever

from langchain_omni import ChatOmni
from llamaindex_omni import OmniLLM
from omnilabs import OmniClient
from omnilabs.errors import ConfigurationError

DOCS = Path(__file__).parent.parent
PAGES = [DOCS / "README.md", *sorted((DOCS / "docs").glob("*.md"))]
QUESTION = "What is never entered by accident?"


def choose_mode() -> Literal["sandbox"] | None:
    """Use the keys that are there; without any, ask for the sandbox by name."""
    try:
        OmniClient().close()
    except ConfigurationError:
        print("No key in the environment: answers come from the sandbox, which makes them up from the documents.\n")
        return "sandbox"
    return None


@tool
def count_words(page: str) -> str:
    """Count the words of a documentation page, such as README.md."""
    path = next((path for path in PAGES if path.name.lower() == page.lower()), None)
    return f"{page} has {len(path.read_text('utf-8').split())} words" if path else f"there is no page {page!r}"


def row(what: str, model: str, tokens: int, cost: float | None, seconds: float, why: str) -> list[str]:
    """One line of the table at the end."""
    money = "unknown" if cost is None else f"{cost:.6f}"
    return [what, model, str(tokens), money, f"{seconds:.2f}", why.removeprefix("Selected ")[:100]]


def message_row(what: str, message: AIMessage, began: float) -> list[str]:
    """The line of a LangChain message: everything about the call is in its metadata."""
    facts = message.response_metadata
    tokens = (message.usage_metadata or {}).get("total_tokens", 0)
    decision = facts["omni"]["decision"]
    why = decision["explanation"] if decision else facts["omni"]["reason"]
    return row(what, facts["model_name"], tokens, facts["cost"], time.perf_counter() - began, why)


def main() -> None:
    mode = choose_mode()
    table = [["what", "model", "tokens", "USD", "s", "why"]]
    context = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)[:6000]

    model = ChatOmni(model="auto", mode=mode, rel_accuracy=0.6, rel_cost=0.4)
    began = time.perf_counter()
    prompt = ChatPromptTemplate.from_template("Use this context.\n\n{context}\n\nQuestion: {question}")
    print("chain: ", end="")
    answer: AIMessageChunk | None = None
    for chunk in (prompt | model).stream({"context": context, "question": QUESTION}):
        print(chunk.text, end="", flush=True)
        answer = chunk if answer is None else answer + chunk
    print("\n")
    assert answer is not None
    table.append(message_row("LangChain chain, streamed", answer, began))

    began = time.perf_counter()
    agent = create_agent(model, [count_words])
    last = agent.invoke({"messages": [("user", "How many words are in 'README.md'?")]})["messages"][-1]
    print(f"agent: {last.text}\n")
    table.append(message_row("LangChain agent", last, began))

    began = time.perf_counter()
    documents = [Document(text=page.read_text(encoding="utf-8"), metadata={"page": page.name}) for page in PAGES]
    nodes = SentenceSplitter(chunk_size=256, chunk_overlap=20).get_nodes_from_documents(documents)
    retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=min(3, len(nodes)))
    with OmniClient(mode=mode) as client:
        engine = RetrieverQueryEngine.from_args(retriever, llm=OmniLLM(model="auto", client=client))
        print(f"query engine (keyword retrieval): {engine.query(QUESTION)}\n")
        ((name, spent),) = client.spend.by_model.items()
    tokens = spent.input_tokens + spent.output_tokens
    seconds = time.perf_counter() - began
    table.append(row("LlamaIndex query engine", name, tokens, float(spent.cost_usd), seconds, "see client.spend"))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    main()
