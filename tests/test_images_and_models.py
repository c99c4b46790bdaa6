"""Pictures over OpenAI-shaped routes, and the list of the models that can be asked, in embedded mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llmock.testing import LLMockServer
from loopback import Loopback, Reply
from openai.types import ImageGenerateParams, ImagesResponse
from pydantic import TypeAdapter

from omnilabs.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
    ResponseFormatError,
    UnknownModelError,
    UnsupportedParameterError,
)
from omnilabs.providers import PROVIDERS

if TYPE_CHECKING:
    from conftest import Omni

KEY = "test-key-canary"
PAGE = ImagesResponse.model_validate({"created": 1, "data": [{"url": "https://h/1.png"}, {"url": "https://h/2.png"}]})
DATA = ImagesResponse.model_validate({"created": 1, "data": [{"b64_json": "AAAA"}]})


def connect(omni: Omni, url: str, *names: str, **options: Any) -> Any:
    return omni.client(providers={name: {"api_key": KEY, "base_url": url} for name in names}, max_retries=0, **options)


def page(answer: ImagesResponse) -> Reply:
    return Reply(body=answer.model_dump(exclude_unset=True))


# ---- pictures


def test_pictures_are_made_as_documented(omni: Omni):
    with Loopback() as server:
        server.script(page(PAGE))
        made = connect(omni, f"{server.url}/v1", "openai").generate_image(
            "a cat 😀", size="1792x1024", quality="hd", n=2
        )
        sent = server.requests[0]
    assert made == {"urls": ["https://h/1.png", "https://h/2.png"], "model": "dall-e-3", "provider": "openai"}
    assert (sent.method, sent.path) == ("POST", "/v1/images/generations")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.json == {"model": "dall-e-3", "prompt": "a cat 😀", "size": "1792x1024", "quality": "hd", "n": 2}
    assert TypeAdapter[Any](ImageGenerateParams).validate_python(sent.json) == sent.json


def test_a_picture_sent_as_data_becomes_a_url(omni: Omni):
    with Loopback() as server:
        server.script(page(DATA))
        made = connect(omni, server.url, "openai").generate_image("a cat", "gpt-image-1", quality="low")
    assert made["urls"] == ["data:image/png;base64,AAAA"]


def test_the_documented_defaults_say_nothing_a_model_would_refuse(omni: Omni):
    with Loopback() as server:
        server.script(page(DATA), page(DATA), page(DATA))
        client = connect(omni, server.url, "openai", "xai", "together")
        client.generate_image("a cat", "gpt-image-1")
        client.generate_image("a cat", "grok-imagine-image")
        client.generate_image("a cat", "black-forest-labs/FLUX.1-schnell-Free")
        assert [sorted(request.json) for request in server.requests] == [
            ["model", "n", "prompt", "size"],  # these models call no quality "standard"
            ["model", "n", "prompt"],
            ["model", "n", "prompt"],
        ]
        with pytest.raises(UnsupportedParameterError, match="size") as refused:
            client.generate_image("a cat", "black-forest-labs/FLUX.1-schnell-Free", size="512x512", quality="hd")
        assert refused.value.parameters == ("size", "quality")
        assert len(server.requests) == 3


def test_a_server_nobody_here_wrote_makes_pictures(omni: Omni):
    with LLMockServer() as server:
        made = connect(omni, server.base_url("openai"), "openai").generate_image("a cat", n=3)
    assert len(made["urls"]) == 3
    assert all(url.startswith("data:image/svg+xml;base64,") for url in made["urls"])


def test_a_server_of_ones_own_makes_pictures_where_its_route_is_named(omni: Omni):
    with Loopback() as server:
        server.script(page(PAGE))
        own = {"base_url": server.url, "images_path": "/draw"}
        client = omni.client(providers={"local": own, "plain": {"base_url": server.url}})
        assert client.generate_image("a cat", "local/sdxl")["provider"] == "local"
        assert server.requests[0].path == "/draw"
        with pytest.raises(UnsupportedParameterError, match="no OpenAI-shaped images route"):
            client.generate_image("a cat", "plain/sdxl")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"prompt": " "}, InvalidRequestError, "prompt"),
        ({"n": 0}, InvalidRequestError, "1 to 10"),
        ({"n": 11}, InvalidRequestError, "1 to 10"),
        ({"n": True}, InvalidRequestError, "1 to 10"),
        ({"model": "gpt-4o-mini"}, InvalidRequestError, "chat model"),
        ({"model": "dall-e-33"}, UnknownModelError, "dall-e-3"),
        ({"model": "grok-imagine-image"}, ConfigurationError, "XAI_API_KEY"),
        ({"model": "anthropic/painter"}, UnsupportedParameterError, "no OpenAI-shaped images route"),
    ],
)
def test_bad_input_is_told_before_any_request(omni: Omni, arguments: dict[str, Any], error: type[Exception], said: str):
    with Loopback() as server:
        with pytest.raises(error, match=said):
            connect(omni, server.url, "openai", "anthropic").generate_image(**{"prompt": "a cat", **arguments})
        assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(401, {"error": {"message": f"bad key {KEY}"}}), AuthenticationError),
        (Reply(429, {"error": {"message": "slow down"}}), RateLimitError),
        (Reply(200, {"data": []}), ResponseFormatError),
        (Reply(200, {"data": [{"revised_prompt": "x"}]}), ResponseFormatError),
        (Reply(200, {"data": "x"}), ResponseFormatError),
        (Reply(200, b"<html>"), ResponseFormatError),
    ],
)
def test_a_failure_has_its_class(omni: Omni, reply: Reply, error: type[Exception]):
    with Loopback() as server:
        server.script(reply)
        with pytest.raises(error) as failed:
            connect(omni, server.url, "openai").generate_image("a cat")
    assert KEY not in str(failed.value)


# ---- models


def test_only_models_that_can_be_asked_are_listed(omni: Omni):
    client = connect(omni, "http://127.0.0.1:9", "openai", "groq")
    records = client.get_available_models()
    assert {record["provider"] for record in records} == {"openai", "groq"}
    ids = [record["id"] for record in records]
    assert len(ids) == len(set(ids))
    assert {"gpt-4o-mini", "dall-e-3", "llama-3.3-70b-versatile"} <= set(ids)


def test_every_provider_with_a_key_is_listed_and_ollama_is_not(omni: Omni):
    names = [name for name, spec in PROVIDERS.items() if spec.needs_key]
    records = connect(omni, "http://127.0.0.1:9", *names).get_available_models()
    assert {record["provider"] for record in records} == set(names)
    assert len(records) > 150


def test_models_are_listed_by_type(omni: Omni):
    client = connect(omni, "http://127.0.0.1:9", "openai", "xai")
    everything, chats, images, thinking = (
        [record["id"] for record in client.get_available_models(kind)] for kind in (None, "chat", "image", "reasoning")
    )
    assert {*chats, *images} == set(everything)
    assert not set(chats) & set(images)
    assert {"dall-e-3", "gpt-image-1", "grok-imagine-image"} <= set(images)
    assert {"gpt-5-mini", "o3"} <= set(thinking) <= set(chats)
    assert "gpt-4o" not in thinking
    assert client.get_available_models(model_type="image") == client.get_available_models("image")
    with pytest.raises(InvalidRequestError, match="model_type"):
        client.get_available_models("video")


def test_a_record_has_the_documented_keys_and_tells_no_zero_for_what_is_unknown(omni: Omni):
    client = connect(omni, "http://127.0.0.1:9", "openai")
    record = next(record for record in client.get_available_models() if record["id"] == "gpt-4o-mini")
    documented = {
        "id",
        "name",
        "provider",
        "description",
        "max_tokens",
        "benchmarks",
        "cost_per_million_tokens",
        "latency",
    }
    assert documented <= record.keys()
    assert record["cost_per_million_tokens"] == pytest.approx((3 * 0.15 + 0.60) / 4)
    picture = next(record for record in client.get_available_models("image") if record["id"] == "dall-e-3")
    assert picture["cost_per_million_tokens"] is None


def test_in_the_sandbox_every_model_is_listed_and_no_picture_is_made(omni: Omni):
    client = omni.client(mode="sandbox")
    assert len(client.get_available_models("chat")) > 150
    with pytest.raises(UnsupportedParameterError, match="sandbox"):
        client.generate_image("a cat")
