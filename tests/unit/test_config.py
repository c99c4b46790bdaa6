"""Whom a client asks is decided by arguments, then environment, and never by accident."""

from __future__ import annotations

from typing import Any

import pytest

from omnilabs._config import ClientConfig
from omnilabs.errors import ConfigurationError

resolve = ClientConfig.resolve


@pytest.mark.parametrize(
    ("environ", "arguments", "mode"),
    [
        ({}, {"api_key": "k"}, "hosted"),
        ({"OMNI_API_KEY": "k"}, {}, "hosted"),
        ({}, {"base_url": "http://localhost:1"}, "hosted"),
        ({"OMNI_BASE_URL": "http://localhost:1"}, {}, "hosted"),
        ({"OMNI_API_KEY": "k", "OPENAI_API_KEY": "o"}, {}, "hosted"),
        ({"OMNI_API_KEY": "k", "OPENAI_API_KEY": "o"}, {"mode": "embedded"}, "embedded"),
        ({"OPENAI_API_KEY": "o"}, {}, "embedded"),
        ({"OLLAMA_BASE_URL": "http://localhost:11434/v1"}, {}, "embedded"),
        ({}, {"providers": {"local": {"base_url": "http://localhost:1"}}}, "embedded"),
        ({"OMNI_API_KEY": "k"}, {"providers": {"openai": {"api_key": "o"}}}, "embedded"),
        ({"OMNI_MODE": "sandbox", "OPENAI_API_KEY": "o"}, {}, "sandbox"),
        ({"OMNI_MODE": "sandbox"}, {"mode": "hosted"}, "hosted"),
        ({}, {"mode": "sandbox"}, "sandbox"),
    ],
)
def test_the_mode_follows_arguments_then_environment(environ: dict[str, str], arguments: dict[str, Any], mode: str):
    assert resolve(environ, **arguments).mode == mode


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}, {"OMNI_API_KEY": "  "}])
def test_without_any_key_the_error_names_the_three_ways_out(environ: dict[str, str]):
    with pytest.raises(ConfigurationError, match=r"OMNI_API_KEY.*OPENAI_API_KEY.*sandbox") as caught:
        resolve(environ)
    assert isinstance(caught.value, ValueError)


def test_the_sandbox_is_entered_by_name_only():
    for environ in ({}, {"SANDBOX": "1"}, {"OMNI_MODE": ""}):
        with pytest.raises(ConfigurationError):
            resolve(environ)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mode": "cloud"}, "hosted, embedded, sandbox"),
        ({"mode": "sandbox", "api_key": "k"}, "api_key belongs to mode='hosted'"),
        ({"mode": "embedded", "base_url": "http://x"}, "base_url belongs to mode='hosted'"),
        ({"mode": "hosted", "providers": {"openai": {"api_key": "o"}}}, "providers= belongs to mode='embedded'"),
        ({"api_key": "k", "providers": {"openai": {"api_key": "o"}}}, "belong to the hosted service"),
        ({"providers": {"local": {}}}, "not a known provider"),
        ({"providers": {"local": {"base_url": "http://x", "wire": "soap"}}}, "wire is one of"),
        ({"providers": {"openai": {"key": "k"}}}, "unknown field 'key'"),
        ({"providers": {"openai": {}}}, "OPENAI_API_KEY"),
        ({"providers": {"local": {"base_url": "localhost:1"}}}, "http://"),
        ({"api_key": "k k"}, "white space"),
        ({"api_key": "k", "timeout_s": 0}, "timeout_s"),
        ({"api_key": "k", "timeout_s": float("nan")}, "timeout_s"),
        ({"api_key": "k", "max_retries": -1}, "max_retries"),
        ({"api_key": "k", "max_retries": 1.5}, "whole number"),
        ({"api_key": "k", "unsupported": "ignore"}, "unsupported"),
    ],
)
def test_contradictions_are_refused_with_the_way_out(arguments: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says):
        resolve({}, **arguments)


def test_providers_take_key_and_address_from_their_usual_variables():
    config = resolve({"OPENAI_API_KEY": " sk-1 \n", "OPENAI_BASE_URL": "http://proxy/v1/", "GROQ_API_KEY": "g"})
    openai = config.endpoints["openai"]
    assert openai.base_url == "http://proxy/v1"
    assert openai.api_key is not None
    assert openai.api_key.reveal() == "sk-1"
    assert "groq" in config.endpoints
    assert "ANTHROPIC_API_KEY" in config.why_not("anthropic")


def test_an_argument_beats_the_environment():
    config = resolve({"OPENAI_API_KEY": "env"}, providers={"openai": {"api_key": "arg"}})
    key = config.endpoints["openai"].api_key
    assert key is not None
    assert key.reveal() == "arg"


def test_the_environments_key_does_not_go_to_an_address_given_in_code():
    config = resolve({"OPENAI_API_KEY": "env"}, providers={"openai": {"base_url": "http://elsewhere/v1"}})
    assert config.endpoints["openai"].api_key is None


def test_ollama_answers_when_named_and_is_not_picked_unasked():
    assert "ollama" in resolve({"OPENAI_API_KEY": "o"}).unasked
    assert "ollama" not in resolve({"OLLAMA_BASE_URL": "http://localhost:1"}).unasked
    assert "ollama" not in resolve({}, providers={"ollama": {}}).unasked


def test_keys_are_masked_in_every_repr():
    config = resolve({"OPENAI_API_KEY": "sk-verysecret"}, providers={"groq": {"api_key": "gsk_verysecret"}})
    assert "verysecret" not in repr(config)
    assert "verysecret" not in str(config.endpoints)
