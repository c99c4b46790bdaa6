"""Every request we build is one the official SDKs' types accept, and holds no field they do not know."""

from __future__ import annotations

import pytest
from judges.dialects import MODELS, VALIDATE, body_of, build, target
from judges.scenarios import SCENARIOS, SOUND, Scenario

from omnilabs.providers import PROVIDERS
from omnilabs.types import Capabilities, ModelInfo

IDS = [scenario.name for scenario in SCENARIOS]
OWN_FIELDS = {"mistral": {"random_seed"}, "openrouter": {"reasoning"}}
"""What a row's API takes that OpenAI's does not; named here by hand, so that a new field needs a second look."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
@pytest.mark.parametrize("wire", MODELS)
def test_a_request_is_one_the_sdk_types_accept(wire: str, scenario: Scenario, stream: bool):
    built = build(target(wire, MODELS[wire][scenario.model]), scenario, stream=stream)
    VALIDATE[wire](body_of(built))


@pytest.mark.parametrize("scenario", [*SCENARIOS, SOUND], ids=[*IDS, SOUND.name])
@pytest.mark.parametrize("row", [name for name, spec in PROVIDERS.items() if spec.wire == "openai"])
def test_a_request_to_every_openai_shaped_row_is_one_openais_types_accept(row: str, scenario: Scenario):
    able = Capabilities(images=True, pdf=True, audio=True, json_schema=scenario.model != "simple", reasoning=True)
    spec = PROVIDERS[row]
    to = target("openai", "gpt-4.1")
    to = type(to)(type(to.endpoint)(spec, spec.base_url, to.endpoint.api_key), ModelInfo("m", row, capabilities=able))
    body = body_of(build(to, scenario, stream=True))
    own = OWN_FIELDS.get(row, set())
    if spec.caches_on_mark:
        body["messages"] = [_unmarked(message) for message in body["messages"]]
    VALIDATE["openai"](body, frozenset(own))


def _unmarked(message: dict[str, object]) -> dict[str, object]:
    content = message["content"]
    if isinstance(content, list):
        message["content"] = [{k: v for k, v in part.items() if k != "cache_control"} for part in content]
    return message
