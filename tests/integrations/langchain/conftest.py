"""One loopback chat server for the LangChain tests of a module, and an offline `httpx` for the official suites."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx
import pytest
from integrations.langchain.chat_server import ChatServer


@pytest.fixture(scope="module")
def chat_server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


@pytest.fixture(autouse=True)
def assets_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official suites fetch a picture, a document and a sound; a few bytes do as well."""
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "offline")
    monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=b"bytes", request=_REQUEST))


@pytest.fixture(autouse=True)
def listed_by_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add our rows to core's list of what `load(..., allowed_objects="all")` may load.

    It names its partners one by one; the official suite passes "all" and nothing else. Our users pass
    `allowed_objects=[ChatOmni]`, which `test_langchain_storage.py` shows without this.
    """
    load = import_module("langchain_core.load.load")  # the function of the same name hides the module
    for row in (("langchain_omni", "chat_models", "ChatOmni"), ("langchain_omni", "llms", "OmniLLM")):
        monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, row, row)
    monkeypatch.setattr(load, "_default_class_paths_cache", {})


_REQUEST = httpx.Request("GET", "http://localhost")


@pytest.fixture(params=["sandbox", "llmock"])
def backend(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a model that answers without a key: from inside the process, and from a server over a socket."""
    if request.param == "sandbox":
        return {"mode": "sandbox"}
    llmock = request.getfixturevalue("llmock")
    return {"model": "gpt-4o-mini", "providers": {"openai": {"api_key": "test", "base_url": llmock.base_url("openai")}}}


@pytest.fixture
def served(chat_server: ChatServer) -> dict[str, Any]:
    """Settings of a model that the loopback chat server answers."""
    chat_server.requests.clear()
    return {"providers": {"openai": {"api_key": "test", "base_url": chat_server.url}}}
