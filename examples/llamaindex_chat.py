"""One LLM for every model: ask, stream, and see which model answered and what it cost."""

from llama_index.core.llms import ChatMessage

from llamaindex_omni import OmniLLM

llm = OmniLLM(rel_accuracy=0.1, rel_cost=0.9, model_names=["gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5"])

answer = llm.chat([ChatMessage(role="user", content="Why is the sea salty?")])
omni = answer.additional_kwargs["omni"]
print(answer.message.content)
print("model:", omni["model_id"], "of", [one["model"] for one in omni["decision"]["ranked"]])
print("tokens:", answer.additional_kwargs["total_tokens"], "USD:", f"{omni['cost_usd']:.6f}")

for chunk in llm.stream_complete("Count to three."):
    print(chunk.delta, end="|")
print()

named = llm.pinned("gpt-4o")
print("pinned:", named.complete("Hello.").additional_kwargs["omni"]["model_id"], named.metadata.context_window)

decision = llm.smart_select("Prove that pi is irrational.", rel_accuracy=1.0, rel_cost=0.0)
print("without asking:", decision.model)

# Prints, in the sandbox:
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# You asked: Why is the sea salty?
# model: gpt-4o-mini of ['gpt-4o-mini', 'gpt-4o', 'claude-sonnet-4-5']
# tokens: 41 USD: 0.000019
# [sandbox]| This| answer| is| made| up| by| the| OmniRouter| sandbox;| no| model| was| asked.|
# You| asked:| Count| to| three.||
# pinned: gpt-4o 128000
# without asking: claude-sonnet-4-5
