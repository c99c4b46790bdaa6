"""A query engine over keyword retrieval (BM25): no key, no embedding, no network."""

from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever

from llamaindex_omni import OmniLLM

NOTES = [
    "A stream is closed by leaving its loop, which gives the connection up at once.",
    "A retry waits as long as the provider's Retry-After asks for.",
    "The router ranks the models by expected quality, cost and time.",
]

counter = TokenCountingHandler()
Settings.callback_manager = CallbackManager([counter])
llm = OmniLLM()
retriever = BM25Retriever.from_defaults(nodes=[TextNode(text=note) for note in NOTES], similarity_top_k=2)
engine = RetrieverQueryEngine.from_args(retriever, llm=llm, streaming=True)

response = engine.query("How is a stream closed?")
response.print_response_stream()
print("\nbest source:", response.source_nodes[0].text)
print("tokens, as the provider counted them:", counter.total_llm_token_count)

# Prints, in the sandbox:
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# A stream is closed by leaving its loop, which gives the connection up at once.
# best source: A stream is closed by leaving its loop, which gives the connection up at once.
# tokens, as the provider counted them: 222
