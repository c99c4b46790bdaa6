"""Structured answers: each model is asked in its own way, and the selector that lives on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from integrations.llamaindex.pool import MODELS
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools.types import ToolMetadata
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ValidationError

from llamaindex_omni import OmniLLM, OmniRefusalError, OmniSelection, OmniSelector
from llamaindex_omni.testing import Fail, OpenAIServer, Refuse, Say, Structured
from llamaindex_omni.testing._calling import listening
from omnilabs.errors import ResponseFormatError
from omnilabs.types import Capabilities


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


PARIS = City(name="Paris", inhabitants=2_100_000)
PROMPT = PromptTemplate("Describe {name}.")
SECOND = replace(MODELS[2], id="tools-only", name="tools-only", capabilities=Capabilities())


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        server.replies(Structured(PARIS.model_dump_json()))
        yield server


def made(server: OpenAIServer, **settings: Any) -> OmniLLM:
    providers = {"openai": {"base_url": server.base_url, "api_key": "sk-test-123456"}}
    return OmniLLM(providers=providers, models=[*MODELS, SECOND], max_retries=0, **settings)


def predicted(llm: OmniLLM, **llm_kwargs: Any) -> City:
    return llm.structured_predict(City, PROMPT, llm_kwargs=llm_kwargs, name="Paris")


def test_a_model_with_native_schemas_gets_one(server: OpenAIServer) -> None:
    assert predicted(made(server, model="middle")) == PARIS
    body = server.requests[0].body
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["name", "inhabitants"]
    assert "tools" not in body


def test_a_model_with_tools_only_is_made_to_call_one(server: OpenAIServer) -> None:
    assert predicted(made(server, model="tools-only")) == PARIS
    body = server.requests[0].body
    [tool] = body["tools"]
    assert tool["function"]["parameters"]["required"] == ["name", "inhabitants"]
    assert body["tool_choice"]["function"]["name"] == tool["function"]["name"]
    assert "response_format" not in body


def test_a_model_with_neither_is_asked_in_words(server: OpenAIServer) -> None:
    server.replies(Say(f"Here you are: {PARIS.model_dump_json()}"))
    llm = made(server, model="plain")

    async def stream() -> list[Any]:
        return [one async for one in await llm.astream_structured_predict(City, PROMPT, name="Paris")]

    assert predicted(llm) == PARIS
    assert asyncio.run(llm.astructured_predict(City, PROMPT, name="Paris")) == PARIS
    body = server.requests[0].body
    assert not {"tools", "tool_choice", "response_format"} & body.keys()
    assert "inhabitants" in body["messages"][-1]["content"]
    server.replies(Say(PARIS.model_dump_json()))
    assert list(llm.stream_structured_predict(City, PROMPT, name="Paris"))[-1] == PARIS
    assert asyncio.run(stream())[-1] == PARIS


def test_models_that_can_do_neither_are_not_chosen(server: OpenAIServer) -> None:
    predicted(made(server, rel_accuracy=0.0, rel_cost=1.0), model_names=["plain", "large"])
    assert server.requests[0].body["model"] == "large"


def test_a_fallback_is_asked_in_its_own_way(server: OpenAIServer) -> None:
    server.replies(Fail(500), Structured(PARIS.model_dump_json()))
    assert predicted(made(server, rel_accuracy=1.0, rel_cost=0.0), model_names=["large", "tools-only"]) == PARIS
    ways = {one.body["model"]: "tools" in one.body for one in server.requests}
    assert ways == {"large": False, "tools-only": True}


def test_how_it_was_asked_is_told(server: OpenAIServer) -> None:
    told: list[str] = []
    for model in ("middle", "tools-only"):
        with listening() as heard:
            predicted(made(server, model=model))
        [end] = [event for event in heard if event.class_name() == "LLMChatEndEvent"]
        told.append(end.model_dump()["response"]["additional_kwargs"]["omni"]["structured_by"])
    assert told == ["native", "tool"]


def test_one_prediction_is_told_once(server: OpenAIServer) -> None:
    with listening() as heard:
        predicted(made(server))
        list(made(server).stream_structured_predict(City, PROMPT, name="Paris"))
    kinds = [event.class_name() for event in heard]
    for kind in ("LLMStructuredPredictStartEvent", "LLMStructuredPredictEndEvent", "LLMChatStartEvent"):
        assert kinds.count(kind) == 2


def test_an_answer_that_does_not_fit_is_an_error(server: OpenAIServer) -> None:
    server.replies(Structured('{"name": "Paris"}'))
    llm = made(server)
    with pytest.raises(ValidationError, match="inhabitants"):
        predicted(llm)
    stream = llm.stream_structured_predict(City, PROMPT, name="Paris")
    with pytest.raises(ValidationError, match="inhabitants"):
        list(stream)


@pytest.mark.parametrize("model", ["middle", "tools-only"])
def test_a_refusal_is_told_in_the_models_words(server: OpenAIServer, model: str) -> None:
    server.replies(Refuse("I cannot help with that."))
    llm = made(server, model=model)
    structured = llm.as_structured_llm(City)
    messages = [ChatMessage("Describe Paris.")]

    async def stream() -> None:
        async for _ in await llm.astream_structured_predict(City, PROMPT, name="Paris"):
            pass

    for ask in (
        lambda: predicted(llm),
        lambda: asyncio.run(llm.astructured_predict(City, PROMPT, name="Paris")),
        lambda: list(llm.stream_structured_predict(City, PROMPT, name="Paris")),
        lambda: asyncio.run(stream()),
        lambda: structured.chat(messages),
        lambda: list(structured.stream_chat(messages)),
    ):
        with pytest.raises(OmniRefusalError, match="refused to answer: I cannot help with that") as raised:
            ask()
        assert (raised.value.provider, raised.value.model) == ("openai", model)


def test_a_withheld_answer_is_not_called_invalid_json(server: OpenAIServer) -> None:
    server.replies(Say('{"name": "Par', finish_reason="content_filter"))
    with pytest.raises(OmniRefusalError, match=r"withheld the answer .*content_filter"):
        predicted(made(server))


def test_an_answer_that_was_cut_off_is_no_object_even_if_it_can_be_read(server: OpenAIServer) -> None:
    server.replies(Say(PARIS.model_dump_json(), finish_reason="length"))
    llm = made(server)
    for ask in (lambda: predicted(llm), lambda: list(llm.stream_structured_predict(City, PROMPT, name="Paris"))):
        with pytest.raises(ResponseFormatError, match=r"cut off .*raise max_tokens"):
            ask()


def test_a_refusal_is_a_value_error_and_in_the_answers_kwargs(server: OpenAIServer) -> None:
    server.replies(Refuse("I cannot help with that."))
    llm = made(server)
    with pytest.raises(ValueError, match="refused"):
        predicted(llm)
    answer = llm.chat([ChatMessage("Describe Paris.")])
    *_, last = llm.stream_chat([ChatMessage("Describe Paris.")])
    for one in (answer, last):
        assert one.message.content == one.additional_kwargs["refusal"] == "I cannot help with that."


def test_a_growing_object_never_loses_what_it_had(server: OpenAIServer) -> None:
    objects = list(made(server).stream_structured_predict(City, PROMPT, name="Paris"))
    filled = [sum(value is not None for value in one.model_dump().values()) for one in objects]
    assert filled == sorted(filled)
    assert isinstance(objects[-1], City)


def test_a_program_mode_chosen_by_name_is_respected(server: OpenAIServer) -> None:
    server.replies(Say(PARIS.model_dump_json()))
    assert predicted(made(server, pydantic_program_mode=PydanticProgramMode.LLM)) == PARIS
    assert "response_format" not in server.requests[0].body


def test_the_system_prompt_goes_along(server: OpenAIServer) -> None:
    predicted(made(server, system_prompt="Be exact."))
    assert server.requests[0].body["messages"][0] == {"role": "system", "content": "Be exact."}


# ---- the selector

CHOICES = [ToolMetadata("Prices of everything.", name="prices"), ToolMetadata("How to do\nthings.", name="guide")]


@pytest.mark.parametrize("way", ["select", "aselect"])
def test_the_selector_tells_what_was_chosen_why_and_by_whom(server: OpenAIServer, way: str) -> None:
    server.replies(Structured('{"selections": [{"reason": "It asks how.", "choice": "guide"}]}'))
    chosen: Any = getattr(OmniSelector(made(server)), way)(CHOICES, "How do I stream?")
    selection = asyncio.run(chosen) if way == "aselect" else chosen
    assert isinstance(selection, OmniSelection)
    assert (selection.ind, selection.reason) == (1, "It asks how.")
    assert selection.model == server.requests[0].body["model"]
    assert selection.omni["decision"]["ranked"][0]["model"] == selection.model
    system, user = server.requests[0].body["messages"]
    assert "- prices: Prices of everything.\n- guide: How to do things." in system["content"]
    assert user["content"] == "How do I stream?"


def test_the_selector_may_choose_several(server: OpenAIServer) -> None:
    both = '{"selections": [{"reason": "a", "choice": "guide"}, {"reason": "b", "choice": "prices"}]}'
    server.replies(Structured(both))
    assert OmniSelector(made(server, model="middle"), max_outputs=2).select(CHOICES, "All of it?").inds == [1, 0]
    schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["selections"]["maxItems"] == 2


@pytest.mark.parametrize("said", ['{"selections": [{"reason": "", "choice": "other"}]}', '{"selections": []}', "guide"])
def test_a_choice_that_was_not_offered_is_an_error(server: OpenAIServer, said: str) -> None:
    server.replies(Structured(said))
    with pytest.raises(ResponseFormatError, match="prices, guide"):
        OmniSelector(made(server)).select(CHOICES, "How?")


def test_a_refusal_to_choose_is_told_in_the_models_words(server: OpenAIServer) -> None:
    server.replies(Refuse("I cannot help with that."))
    with pytest.raises(OmniRefusalError, match="I cannot help with that"):
        OmniSelector(made(server)).select(CHOICES, "How?")


def test_choices_without_names_of_their_own_are_numbered(server: OpenAIServer) -> None:
    server.replies(Structured('{"selections": [{"reason": "", "choice": "choice_2"}]}'))
    assert OmniSelector(made(server)).select(["Prices.", "Guides."], "How?").ind == 1
    same = [ToolMetadata("Prices.", name="tool"), ToolMetadata("Guides.", name="tool")]
    assert OmniSelector(made(server)).select(same, "How?").ind == 1


def test_the_selectors_prompt_can_be_read_and_changed(server: OpenAIServer) -> None:
    server.replies(Structured('{"selections": [{"reason": "", "choice": "guide"}]}'))
    selector = OmniSelector(made(server))
    assert "{choices}" in selector.get_prompts()["prompt"].get_template()
    selector.update_prompts({"prompt": PromptTemplate("Pick.\n{choices}")})
    selector.select(CHOICES, "How?")
    assert server.requests[0].body["messages"][0]["content"].startswith("Pick.\n- prices")
