"""`OmniLLM`: LangChain has no suite for text models, so this is one."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any, Literal, get_args

import pytest
from integrations.langchain.chat_server import ChatServer
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from loopback import Recorded, Reply

from langchain_omni import OmniLLM, get_omni_cost_callback
from langchain_omni._routing import Plan
from omnilabs import ChatResponse
from omnilabs.errors import BadRequestError, ConfigurationError

Mode = Literal["sync", "async"]
both_modes = pytest.mark.parametrize("mode", get_args(Mode))


class Meeting(ChatServer):
    """Answers only when as many requests are there at the same time, and notes the most there ever were."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(size)
        self._lock = threading.Lock()
        self._here = 0
        self.most = 0

    def answer(self, request: Recorded) -> Reply:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
        self._barrier.wait(timeout=5)
        with self._lock:
            self._here -= 1
        return super().answer(request)


class Stalling(ChatServer):
    """Refuses one prompt, and answers the others when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def answer(self, request: Recorded) -> Reply:
        if request.json["messages"][0]["content"] == "one":
            return Reply(400, {"error": {"message": "no"}})
        assert self.go_on.wait(timeout=20)
        return super().answer(request)


class Watch(BaseCallbackHandler):
    """Notes the tokens and the last generation it is told of."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.last: Any = None

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.last = response.generations[0][0]

    @property
    def facts(self) -> dict[str, Any]:
        """What the generation tells, without the time it took."""
        info: dict[str, Any] = self.last.generation_info
        return info | {"omni_call": info["omni_call"] | {"latency_s": 0.0}}


def settings_for(server: ChatServer) -> dict[str, Any]:
    return {"model": "gpt-4o", "providers": {"openai": {"api_key": "test", "base_url": server.url}}}


async def texts(llm: OmniLLM, mode: Mode, prompts: list[str], **settings: Any) -> list[str]:
    result = llm.generate(prompts, **settings) if mode == "sync" else await llm.agenerate(prompts, **settings)
    return [line[0].text for line in result.generations]


@pytest.fixture
def llm(served: dict[str, Any]) -> OmniLLM:
    return OmniLLM(model="gpt-4o", **served)


async def test_every_way_to_ask_gives_the_same_text(llm: OmniLLM):
    text = llm.invoke("Tell me about the sea.")
    assert text.startswith("You said: Tell me about the sea.")
    assert await llm.ainvoke("Tell me about the sea.") == text
    assert "".join(llm.stream("Tell me about the sea.")) == text
    assert "".join([piece async for piece in llm.astream("Tell me about the sea.")]) == text
    assert llm.batch(["Tell me about the sea."] * 3) == [text] * 3
    assert await llm.abatch(["Tell me about the sea."] * 3) == [text] * 3
    assert llm.generate(["Tell me about the sea."] * 2).generations[1][0].text == text


async def test_it_answers_over_any_backend(backend: dict[str, Any]):
    llm = OmniLLM(**backend)
    assert llm.invoke("hello")
    assert len(list(llm.stream("hello there"))) > 1
    assert await llm.ainvoke("hello")


def test_a_generation_tells_who_answered_and_at_what_cost(served: dict[str, Any]):
    info = OmniLLM(model="auto", **served).generate(["hi"]).generations[0][0].generation_info
    assert info is not None
    assert info["provider"] == "openai"
    assert info["cost"] > 0
    assert info["omni"]["decision"]["model"] == info["omni_call"]["model_id"]
    assert info["usage_metadata"]["total_tokens"] > 0


def test_a_stream_tells_the_same_once(llm: OmniLLM):
    streamed, whole = Watch(), Watch()
    list(llm.stream("Tell me about the sea.", config={"callbacks": [streamed]}))
    llm.invoke("Tell me about the sea.", config={"callbacks": [whole]})
    assert len(streamed.tokens) > 3
    assert whole.tokens == []
    assert streamed.facts == whole.facts


async def ask(llm: OmniLLM, mode: Mode, watch: Watch, **settings: Any) -> str:
    config: Any = {"callbacks": [watch]}
    if mode == "sync":
        return llm.invoke("Tell me about the sea.", config, **settings)
    return await llm.ainvoke("Tell me about the sea.", config, **settings)


@both_modes
async def test_streaming_streams_inside_invoke_and_tells_the_same(mode: Mode, served: dict[str, Any]):
    plain, streaming = OmniLLM(model="gpt-4o", **served), OmniLLM(model="gpt-4o", streaming=True, **served)
    whole, streamed, asked, declined = Watch(), Watch(), Watch(), Watch()
    text = await ask(plain, mode, whole)
    assert await ask(streaming, mode, streamed) == text
    assert await ask(plain, mode, asked, stream=True) == text
    assert await ask(streaming, mode, declined, stream=False) == text
    assert len(streamed.tokens) == len(asked.tokens) > 3
    assert "".join(streamed.tokens) == text
    assert whole.tokens == declined.tokens == []
    assert streamed.facts == asked.facts == whole.facts
    assert type(streamed.last) is type(whole.last)


@both_modes
async def test_of_several_streams_the_first_is_told(mode: Mode, served: dict[str, Any]):
    """LangChain gives the run of the first prompt alone: another's tokens would be told as that one's."""
    watch = Watch()
    llm = OmniLLM(model="gpt-4o", streaming=True, callbacks=[watch], **served)
    answers = await texts(llm, mode, ["one", "two", "three"])
    assert "".join(watch.tokens) == answers[0]
    assert ["one" in answers[0], "two" in answers[1], "three" in answers[2]] == [True] * 3


def test_an_answer_without_text_tells_the_same_streamed():
    llm, streamed, whole = OmniLLM(model="sandbox/empty", mode="sandbox"), Watch(), Watch()
    assert "".join(llm.stream("hi", config={"callbacks": [streamed]})) == ""
    assert llm.invoke("hi", config={"callbacks": [whole]}) == ""
    assert streamed.facts == whole.facts
    assert streamed.facts["finish_reason"] == "stop"
    assert streamed.facts["usage_metadata"]["input_tokens"] > 0
    assert "cost" in streamed.facts


@both_modes
async def test_several_prompts_are_asked_at_the_same_time(mode: Mode):
    with Meeting(4) as server:
        answers = await texts(OmniLLM(**settings_for(server)), mode, ["one", "two", "three", "four"])
    assert [word in answer for word, answer in zip(("one", "two", "three", "four"), answers, strict=True)] == [True] * 4


@both_modes
async def test_a_batch_keeps_to_max_concurrency(mode: Mode):
    prompts: list[Any] = [str(number) for number in range(6)]
    with Meeting(2) as server:
        llm = OmniLLM(**settings_for(server))
        config: Any = {"max_concurrency": 2}
        answers = llm.batch(prompts, config) if mode == "sync" else await llm.abatch(prompts, config)
    assert server.most == 2
    assert [answer[10] for answer in answers] == prompts


def test_no_prompt_and_one_prompt_start_no_thread(llm: OmniLLM, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("langchain_omni.llms.ContextThreadPoolExecutor", None)
    assert llm.invoke("hi")
    assert llm.batch(["hi"])
    assert llm.generate([]).generations == []


def test_the_threads_have_the_callers_context(served: dict[str, Any]):
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen: list[str] = []

    class Noting(OmniLLM):
        def _ask(self, plan: Plan) -> ChatResponse:
            seen.append(tenant.get())
            return super()._ask(plan)

    tenant.set("acme")
    Noting(model="gpt-4o", **served).batch(["one", "two", "three"])
    assert seen == ["acme"] * 3


@both_modes
async def test_one_failing_prompt_fails_the_call_and_waits_for_no_other(mode: Mode):
    with Stalling() as server:  # its own, as what was under way may still arrive
        with pytest.raises(BadRequestError):
            await texts(OmniLLM(**settings_for(server)), mode, ["one", "stall", "stall"])
        server.go_on.set()


def test_stop_and_settings_reach_the_wire(chat_server: ChatServer, llm: OmniLLM):
    assert llm.invoke("Tell me about the sea.", stop=["That"]).endswith("sea.. ")
    llm.bind(max_tokens=3, temperature=0.5).invoke("hi")
    body = chat_server.requests[-1].json
    assert (body["max_completion_tokens"], body["temperature"]) == (3, 0.5)
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_a_cache_tells_routing_apart(chat_server: ChatServer, served: dict[str, Any]):
    cache = InMemoryCache()
    cheap = OmniLLM(rel_cost=1.0, rel_accuracy=0.0, cache=cache, **served)
    good = OmniLLM(rel_cost=0.0, rel_accuracy=1.0, cache=cache, **served)
    for _ in range(2):
        cheap.invoke("hi")
        good.invoke("hi")
    assert len(chat_server.requests) == 2


@pytest.fixture
def cached(served: dict[str, Any]) -> OmniLLM:
    return OmniLLM(model="gpt-4o", cache=InMemoryCache(), **served)


@both_modes
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gpt-4o-mini"},
        {"max_tokens": 2},
        {"temperature": 0.1},
        {"seed": 7},
        {"stop": ["a"]},
        {"stop_sequences": ["a"]},
        {"extra_body": {"user": "u"}},
        {"model": "auto", "rel_cost": 1.0, "rel_accuracy": 0.0},
    ],
    ids=lambda settings: "-".join(settings),
)
async def test_a_cache_tells_calls_apart(
    mode: Mode, settings: dict[str, Any], chat_server: ChatServer, cached: OmniLLM
):
    for _ in range(2):
        await texts(cached, mode, ["hi"])
        await texts(cached, mode, ["hi"], **settings)
    assert len(chat_server.requests) == 2
    assert cached.bind(**settings).invoke("hi")
    assert len(chat_server.requests) == 2


def test_a_cache_tells_the_models_own_stop_words_apart(chat_server: ChatServer, cached: OmniLLM):
    """LangChain writes the call's `stop`, or None, over the model's own."""
    other = cached.model_copy(update={"stop": ["That"]})
    assert [cached.invoke("hi"), cached.invoke("hi")] == ["You said: hi. That is all I know about it."] * 2
    assert [other.invoke("hi"), other.invoke("hi")] == ["You said: hi. "] * 2
    assert len(chat_server.requests) == 2


def test_a_cache_does_not_tell_names_and_tags_apart(chat_server: ChatServer, cached: OmniLLM):
    cached.invoke("hi", {"run_name": "one", "tags": ["a"], "metadata": {"b": 1}})
    cached.invoke("hi", {"run_name": "two"})
    assert len(chat_server.requests) == 1


def test_a_call_with_settings_shares_the_models_connections(chat_server: ChatServer, llm: OmniLLM):
    for number in range(3):
        llm.max_retries = number  # new clients, which the calls share again
        llm.invoke("hi", max_tokens=2)
        llm.invoke("hi", max_tokens=3)
        llm.invoke("hi")
    assert len({request.peer for request in chat_server.requests}) == 3


def test_a_call_with_settings_tells_its_callbacks_of_a_missing_key():
    told: list[BaseException] = []

    class Failures(BaseCallbackHandler):
        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            told.append(error)

    with pytest.raises(ConfigurationError) as caught:
        OmniLLM(model="gpt-4o", mode="embedded").invoke("hi", {"callbacks": [Failures()]}, max_tokens=2)
    assert told == [caught.value]


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_it_is_stored_and_loaded_without_its_key(llm: OmniLLM, monkeypatch: pytest.MonkeyPatch):
    stored = dumpd(llm)
    assert "'test'" not in str(stored)
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    again = load(stored, allowed_objects=[OmniLLM], valid_namespaces=["langchain_omni"], secrets_from_env=True)
    assert again.invoke("hi") == llm.invoke("hi")


def test_it_stands_in_a_chain_and_its_cost_is_counted(llm: OmniLLM):
    chain = PromptTemplate.from_template("Tell me about {what}.") | llm | StrOutputParser()
    with get_omni_cost_callback() as cost:
        assert "the sea" in chain.invoke({"what": "the sea"})
    assert cost.total.calls == 1
    assert cost.total.cost_usd > 0
    assert cost.total.input_tokens > 0


def test_counts_tokens_and_closes(llm: OmniLLM):
    assert llm.get_num_tokens("Hello, world!") in range(2, 6)
    llm.invoke("hi")
    llm.close()
    assert llm.invoke("hi")
