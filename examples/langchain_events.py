"""Events of a call: the first chunk tells who answers and why, before any text; the last what it cost."""

import asyncio

from langchain_omni import ChatOmni


async def main() -> None:
    model = ChatOmni(model="auto", rel_cost=0.8)
    text = ""
    async for event in model.astream_events("Name a river of Portugal.", version="v2"):
        if event["event"] == "on_chat_model_stream":
            chunk = event["data"]["chunk"]
            if not text and "omni" in chunk.response_metadata:
                decision = chunk.response_metadata["omni"]["decision"]
                print("chosen before the first word:", chunk.response_metadata["model_name"] == decision["model"])
            text += chunk.text
        elif event["event"] == "on_chat_model_end":
            answer = event["data"]["output"]
    print(text)
    print("the same at the end:", answer.text == text)
    print(answer.usage_metadata["total_tokens"], "tokens,", answer.response_metadata["cost"], "USD")


asyncio.run(main())

# Prints, in the sandbox:
# chosen before the first word: True
# [sandbox] This answer is made up by the OmniRouter sandbox; no model was asked.
# You asked: Name a river of Portugal.
# the same at the end: True
# 43 tokens, 6.45e-06 USD
