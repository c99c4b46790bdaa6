"""Errors: of our family and of LangChain's, in every way to ask."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler
from loopback import Reply, events

from langchain_omni import ChatOmni, OmniLLM
from langchain_omni._errors import to_langchain_error
from omnilabs import errors as omni

CLASSES = [cls for name, cls in vars(omni).items() if inspect.isclass(cls) and issubclass(cls, omni.OmniError)]


@pytest.fixture
def model(served: dict[str, Any]) -> ChatOmni:
    return ChatOmni(model="gpt-4o", max_retries=0, **served)


def made(cls: type[omni.OmniError]) -> omni.OmniError:
    extra: dict[str, Any] = {"phase": "connect"} if issubclass(cls, omni.TransportError) else {}
    return cls("it failed", provider="openai", model="gpt-4o", request_id="r1", **extra)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_stays_itself_and_becomes_langchains(cls: type[omni.OmniError]):
    error = made(cls)
    both = to_langchain_error(error)
    assert isinstance(both, cls)
    assert isinstance(both, core.ModelError)
    assert both.is_retryable is error.retryable
    assert (both.message, both.provider, both.request_id) == ("it failed", "openai", "r1")
    assert to_langchain_error(both) is both


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_pickling(cls: type[omni.OmniError]):
    both = to_langchain_error(made(cls))
    assert isinstance(both, core.ModelError)
    again = pickle.loads(pickle.dumps(both))
    assert type(again) is type(both)
    assert (again.message, again.is_retryable, again.model) == (both.message, both.is_retryable, both.model)


STATUSES = [
    (400, None, omni.BadRequestError, core.ModelInvalidRequestError, False),
    (400, "context_length_exceeded", omni.ContextLengthError, core.ContextOverflowError, False),
    (401, None, omni.AuthenticationError, core.ModelAuthenticationError, False),
    (403, None, omni.AuthenticationError, core.ModelPermissionDeniedError, False),
    (404, None, omni.NotFoundError, core.ModelNotFoundError, False),
    (429, None, omni.RateLimitError, core.ModelRateLimitError, True),
    (429, "insufficient_quota", omni.QuotaExceededError, core.ModelRateLimitError, False),
    (500, None, omni.ServerError, core.ModelAPIError, True),
    (503, None, omni.OverloadedError, core.ModelAPIError, True),
]


async def _drain(model: Any) -> None:
    async for _ in model.astream("hi"):
        pass


async def _invoke(model: Any) -> None:
    model.invoke("hi")


async def _stream(model: Any) -> None:
    list(model.stream("hi"))


async def _ainvoke(model: Any) -> None:
    await model.ainvoke("hi")


WAYS = [_invoke, _ainvoke, _stream, _drain]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("status", "code", "ours", "theirs", "retryable"), STATUSES)
async def test_a_status_is_caught_as_either_family(
    chat_server: ChatServer, model: ChatOmni, way: Any, status: int, code: Any, ours: Any, theirs: Any, retryable: bool
):
    chat_server.script(Reply(status, {"error": {"message": "no", "code": code}}))
    with pytest.raises(ours) as caught:
        await way(model)
    assert isinstance(caught.value, theirs)
    assert caught.value.is_retryable is retryable
    assert (caught.value.status, caught.value.provider) == (status, "openai")


@pytest.mark.parametrize("way", [_stream, _drain])
async def test_a_stream_that_breaks_is_both_too_and_holds_what_came(chat_server: ChatServer, model: ChatOmni, way: Any):
    piece = {"id": "1", "model": "m", "choices": [{"delta": {"content": "half an ans"}, "finish_reason": None}]}
    chat_server.script(events(piece, breaks=True))
    with pytest.raises(core.ModelConnectionError) as caught:
        await way(model)
    assert isinstance(caught.value, omni.StreamInterruptedError)
    assert caught.value.partial is not None
    assert caught.value.partial.content == "half an ans"


@pytest.mark.parametrize("way", WAYS)
async def test_bad_input_is_langchains_invalid_request(served: dict[str, Any], way: Any):
    for cls in (ChatOmni, OmniLLM):
        with pytest.raises(core.ModelInvalidRequestError, match="temperature"):
            await way(cls(model="gpt-4o", temperature=9, **served))


@pytest.mark.parametrize("way", WAYS)
async def test_an_unknown_model_names_the_nearest(served: dict[str, Any], way: Any):
    with pytest.raises(core.ModelNotFoundError, match="gpt-4o"):
        await way(ChatOmni(model="gpt-4oo", **served))


@pytest.mark.parametrize("way", WAYS)
async def test_no_configuration_names_the_three_ways_out_and_is_not_retried(way: Any):
    with pytest.raises(core.ModelError, match="Three ways out") as caught:
        await way(ChatOmni())
    assert isinstance(caught.value, ValueError)
    assert caught.value.is_retryable is False


def test_a_trace_gets_the_status_and_body_of_a_failure(chat_server: ChatServer, model: ChatOmni):
    class Watch(BaseCallbackHandler):
        seen: Any = None

        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            Watch.seen = kwargs["response"].generations[0][0].message.response_metadata

    chat_server.script(Reply(400, {"error": {"message": "no"}}, {"x-request-id": "r7"}))
    with pytest.raises(omni.BadRequestError):
        model.invoke("hi", config={"callbacks": [Watch()]})
    assert Watch.seen == {"body": {"error": {"message": "no"}}, "status_code": 400, "request_id": "r7"}


def test_middleware_retries_what_may_pass_and_nothing_else(chat_server: ChatServer, model: ChatOmni):
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelRetryMiddleware

    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False, on_failure="error")
    agent: Any = create_agent(model, middleware=[retry])
    chat_server.script(Reply(503, {"error": {"message": "busy"}}))
    agent.invoke({"messages": "hi"})
    assert len(chat_server.requests) == 2
    chat_server.requests.clear()
    chat_server.script(Reply(401, {"error": {"message": "bad key"}}))
    with pytest.raises(core.ModelAuthenticationError):
        agent.invoke({"messages": "hi"})
    assert len(chat_server.requests) == 1


def test_retries_happen_in_one_layer(chat_server: ChatServer, served: dict[str, Any]):
    chat_server.script(*[Reply(503, {"error": {"message": "busy"}}, {"retry-after": "0"})] * 3)
    with pytest.raises(omni.OverloadedError) as caught:
        ChatOmni(model="gpt-4o", max_retries=2, **served).invoke("hi")
    assert len(chat_server.requests) == 3 == len(caught.value.attempts)


def test_leaving_a_stream_early_gives_the_connection_up(served: dict[str, Any]):
    settings: dict[str, Any] = {"model": "gpt-4o", "max_connections": 1, "timeout": 5}
    model = ChatOmni(**settings, **served)
    for _ in range(3):
        for _ in model.stream("Tell me about the sea."):
            break
    assert model.invoke("hi").text
