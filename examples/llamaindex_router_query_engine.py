"""A router query engine: `OmniSelector` chooses the engine, and tells which model made the choice."""

from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.schema import TextNode
from llama_index.core.tools import QueryEngineTool
from llama_index.retrievers.bm25 import BM25Retriever

from llamaindex_omni import OmniLLM, OmniSelector

SOURCES = {
    "guide": ("How things are done.", ["A stream is closed by leaving its loop.", "A retry waits for Retry-After."]),
    "prices": ("What models cost.", ["Cached input costs a tenth of fresh.", "The large model costs 10 dollars."]),
}

llm = OmniLLM(rel_accuracy=0.0, rel_cost=1.0, model_names=["gpt-4o-mini", "gpt-4o"])
tools = [
    QueryEngineTool.from_defaults(
        RetrieverQueryEngine.from_args(
            BM25Retriever.from_defaults(nodes=[TextNode(text=text) for text in texts], similarity_top_k=1), llm=llm
        ),
        name=name,
        description=description,
    )
    for name, (description, texts) in SOURCES.items()
]
engine = RouterQueryEngine.from_defaults(tools, llm=llm, selector=OmniSelector(llm))

for question in ("What do the prices say of cached input?", "Look into the guide: how is a stream closed?"):
    response = engine.query(question)
    chosen = response.metadata["selector_result"]
    print(f"{question}\n  -> {tools[chosen.ind].metadata.name}, chosen by {chosen.model}")
    print(f"  {str(response).splitlines()[-1]}")

# Prints, in the sandbox:
# What do the prices say of cached input?
#   -> prices, chosen by gpt-4o-mini
#   Cached input costs a tenth of fresh.
# Look into the guide: how is a stream closed?
#   -> guide, chosen by gpt-4o-mini
#   A stream is closed by leaving its loop.
