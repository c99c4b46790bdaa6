"""Ask this repository's documentation: a LangChain chain, an agent and a LlamaIndex query engine, each model="auto".

Run it with `make quickstart`. With a key in the environment it asks real models; without one it says so and uses the
sandbox, whose answers are made up from the documents it is given.
"""

from __future__ import annotations

import time
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
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


def choose_mode() -> str | None:
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
    text = next(path for path in PAGES if path.name == page).read_text(encoding="utf-8")
    return f"{page} has {len(text.split())} words"


def row(what: str, omni: dict, usage: dict, seconds: float) -> list[str]:
    """One line of the table at the end."""
    decision = omni.get("decision") or {}
    cost = "unknown" if omni.get("cost") is None else f"{omni['cost']:.6f}"
    why = (decision.get("explanation") or "").removeprefix("Selected ")
    return [what, omni["model"], str(usage["total_tokens"]), cost, f"{seconds:.2f}", why[:110]]


def main() -> None:
    mode = choose_mode()
    table = [["what", "model", "tokens", "USD", "s", "why"]]
    context = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)[:6000]

    with ChatOmni(model="auto", mode=mode, rel_accuracy=0.6, rel_cost=0.4) as model:
        began = time.perf_counter()
        prompt = ChatPromptTemplate.from_template("Use this context.\n\n{context}\n\nQuestion: {question}")
        print("chain: ", end="")
        answer = None
        for chunk in (prompt | model).stream({"context": context, "question": QUESTION}):
            print(StrOutputParser().invoke(chunk), end="", flush=True)
            answer = chunk if answer is None else answer + chunk
        print("\n")
        table.append(
            row("LangChain chain", answer.response_metadata["omni"], answer.usage_metadata, time.perf_counter() - began)
        )

        began = time.perf_counter()
        agent = create_agent(model, [count_words])
        last = agent.invoke({"messages": [("user", "How many words has README.md? Count the words.")]})["messages"][-1]
        print(f"agent: {last.text}\n")
        table.append(
            row("LangChain agent", last.response_metadata["omni"], last.usage_metadata, time.perf_counter() - began)
        )

    began = time.perf_counter()
    documents = [Document(text=page.read_text(encoding="utf-8"), metadata={"page": page.name}) for page in PAGES]
    nodes = SentenceSplitter(chunk_size=256, chunk_overlap=20).get_nodes_from_documents(documents)
    retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=min(3, len(nodes)))
    with OmniLLM(model="auto", mode=mode) as llm:
        engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
        print(f"query engine (keyword retrieval): {engine.query(QUESTION)}\n")
        spend = llm.spend
    table.append(["LlamaIndex query engine", *spend, f"{time.perf_counter() - began:.2f}", ""])
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    main()
