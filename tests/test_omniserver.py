"""The loopback server keeps to the protocol, seen by a client that knows nothing of this package."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from omniserver import ANSWER, MODELS, OmniServer
from wire.omnirouter_kit import (
    JOKE,
    SELECT,
)


def ask(server: OmniServer, method: str, path: str, body: Any = None, key: str | None = "k") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=5)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    is_stream = answer.headers["Content-Type"] == "text/event-stream"
    return answer.status, data if is_stream else json.loads(data)


CHAT = {"model": "gpt-4", "messages": JOKE, "temperature": 0.7, "max_tokens": None, "stream": False}


def test_the_server_answers_as_documented():
    with OmniServer(api_key="k") as server:
        assert ask(server, "POST", "/v1/chat/completions", CHAT) == (
            200,
            {
                "model": "gpt-4",
                "provider": "openai",
                "content": "".join(ANSWER),
                "usage": {"all_tokens": 23, "total_cost": 0.00001},
            },
        )
        assert ask(server, "GET", "/v1/models/image")[1]["models"][0]["id"] == "dall-e-3"
        assert len(ask(server, "GET", "/v1/models")[1]["models"]) == len(MODELS)
        assert [seen.path for seen in server.requests] == ["/v1/chat/completions", "/v1/models/image", "/v1/models"]
        assert server.requests[0].json == CHAT


@pytest.mark.parametrize(
    ("change", "key", "status", "detail"),
    [
        ({}, "other", 401, "Invalid API key"),
        ({}, None, 403, "Not authenticated"),
        ({"model": "gpt-9"}, "k", 400, "Unknown model: gpt-9"),
        (
            {"messages": [{"content": "x"}]},
            "k",
            422,
            [{"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing"}],
        ),
        (
            {"messages": [{"role": "user"}]},
            "k",
            422,
            [{"loc": ["body", "messages", 0, "content"], "msg": "Field required", "type": "missing"}],
        ),
    ],
)
def test_the_server_refuses_what_the_service_refuses(change: Any, key: str | None, status: int, detail: Any):
    with OmniServer(api_key="k") as server:
        assert ask(server, "POST", "/v1/chat/completions", {**CHAT, **change}, key) == (status, {"detail": detail})


def test_the_server_has_only_its_generations_routes():
    gone = (404, {"detail": "Not Found"})
    with OmniServer("published") as published, OmniServer("later") as later:
        assert ask(published, "POST", "/v1/router/smart_select", {"messages": JOKE, **SELECT}) == gone
        assert ask(later, "POST", "/v1/router/select-model", {"messages": JOKE, **SELECT}) == gone
        assert ask(later, "POST", "/v1/chat/completions", {**CHAT, "stream": True}) == gone
        assert ask(published, "POST", "/v1/chat/completions", {**CHAT, "stream": True})[0] == 200
        assert ask(later, "POST", "/v1/chat/completions/stream", CHAT)[1].endswith(b"data: [DONE]\n\n")
