"""OpenAI's own SDK on top of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest
from pydantic import BaseModel
from unit.sandbox_kit import (
    WEATHER,
)

from omnilabs._http import HttpRequest
from omnilabs._sandbox import SandboxTransport
from omnilabs.errors import OmniError


class Person(BaseModel):
    name: str
    age: int | None
    email: str | None = None


@pytest.fixture
def sdk() -> Iterator[openai.OpenAI]:
    transport = SandboxTransport()

    def handle(request: httpx2.Request) -> httpx2.Response:
        head = transport.open(HttpRequest(request.method, str(request.url), {}, request.content))
        if isinstance(head, OmniError):
            raise httpx2.ConnectError(str(head))
        reads = list(iter(head.stream.read, None))
        return httpx2.Response(head.status, headers=dict(head.headers), content=b"".join(reads))

    client = httpx2.Client(transport=httpx2.MockTransport(handle))
    with openai.OpenAI(api_key="none", base_url="http://sandbox.invalid/v1", http_client=client, max_retries=0) as api:
        yield api


def test_the_official_sdk_streams_a_tool_call(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],  # type: ignore[list-item] # a dict as users write it
    ) as stream:
        answer = stream.get_final_completion()

    calls_made = answer.choices[0].message.tool_calls
    assert calls_made is not None
    assert [(call.function.name, call.function.arguments) for call in calls_made] == [
        ("get_weather", '{"city": "Paris"}')
    ]


def test_the_official_sdk_parses_a_structured_answer(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": "Bob is 25."}], response_format=Person
    )

    assert answer.choices[0].message.parsed == Person(name="Bob", age=25)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("rate-limited", openai.RateLimitError),
        ("quota-exceeded", openai.RateLimitError),
        ("overloaded", openai.InternalServerError),
        ("bad-key", openai.AuthenticationError),
        ("not-found", openai.NotFoundError),
        ("context-length", openai.BadRequestError),
    ],
)
def test_the_official_sdk_raises_its_own_error(sdk: openai.OpenAI, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        sdk.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}])
