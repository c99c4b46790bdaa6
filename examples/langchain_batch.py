"""Two hundred prompts at once, and again from LangChain's cache, which costs nothing."""

from langchain_core.caches import InMemoryCache

from langchain_omni import ChatOmni, get_omni_cost_callback

model = ChatOmni(model="auto", rel_cost=0.9, rel_accuracy=0.1, cache=InMemoryCache())
prompts = [f"Is {number} a prime?" for number in range(200)]

with get_omni_cost_callback() as first:
    answers = model.batch(prompts, config={"max_concurrency": 16})
with get_omni_cost_callback() as second:
    again = model.batch(prompts, config={"max_concurrency": 16})

print("the same answers, in the same order:", [a.text for a in again] == [a.text for a in answers])
for name, cost in (("first", first.total), ("again", second.total)):
    print(f"{name}: {cost.calls} calls, {cost.cached_calls} from the cache, {cost.cost_usd:.4f} USD")

# Prints, in the sandbox:
# the same answers, in the same order: True
# first: 200 calls, 0 from the cache, 0.0008 USD
# again: 200 calls, 200 from the cache, 0.0000 USD
