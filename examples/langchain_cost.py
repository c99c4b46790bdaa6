"""What it all cost, per served model: chains, agents, threads and tasks within the block are counted."""

from langchain_omni import ChatOmni, OmniLLM, get_omni_cost_callback

with get_omni_cost_callback() as cost:
    ChatOmni(model="gpt-4o").batch(["one", "two", "three"])
    list(ChatOmni(model="gpt-4o-mini").stream("a streamed answer"))
    OmniLLM(model="gpt-4o-mini").invoke("a text model")

for model, spent in cost.by_model.items():
    print(
        f"{model}: {spent.calls} calls, {spent.input_tokens} + {spent.output_tokens} tokens, {spent.cost_usd:.6f} USD"
    )
print(
    f"together: {cost.total.calls} calls, {cost.total.cost_usd:.6f} USD, {cost.total.unpriced_calls} of unknown price"
)

# Prints, in the sandbox:
# gpt-4o: 3 calls, 25 + 72 tokens, 0.000782 USD
# gpt-4o-mini: 2 calls, 22 + 53 tokens, 0.000035 USD
# together: 5 calls, 0.000818 USD, 0 of unknown price
