"""When a model fails: LangChain's fallbacks, and errors that are caught as LangChain's or as ours."""

from langchain_core.exceptions import ModelError, ModelRateLimitError

from langchain_omni import ChatOmni
from omnilabs.errors import RateLimitError

# The sandbox fails on demand, so that your own handling of failures can be tried without a provider.
failing = ChatOmni(model="sandbox/rate-limited", mode="sandbox", max_retries=0)

try:
    failing.invoke("hello")
except RateLimitError as error:
    print(type(error).__name__, "is LangChain's too:", isinstance(error, ModelRateLimitError))
    print("worth another try:", error.is_retryable, "after", error.retry_after_s, "s")

chain = failing.with_fallbacks([ChatOmni(model="gpt-4o-mini")], exceptions_to_handle=(ModelError,))
print("answered by", chain.invoke("hello").response_metadata["model_name"])

# model="auto" needs none: it tries the next of the k best models by itself, and the answer says so.
answer = ChatOmni(model="auto", k=3).invoke("hello")
print("failed attempts on the way:", answer.response_metadata["omni_call"]["attempts"])

# Prints, in the sandbox:
# OmniRateLimitError is LangChain's too: True
# worth another try: True after 1.0 s
# answered by gpt-4o-mini
# failed attempts on the way: []
